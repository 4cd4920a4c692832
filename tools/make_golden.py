#!/usr/bin/env python3
"""Write what PyTorch computes for its recurrent layers, and how far tinyseq is from it.

    tools/make_golden.py           writes tests/goldens/recurrent.npz (needs torch 2.13) and the
                                   table of layers in docs/parity.md
    tools/make_golden.py --docs    the table alone, from the committed numbers (needs no torch)

A case is a kind of layer, a depth, one or two directions, with or without bias, initial states
and a batch. Weights, inputs and cotangents are drawn from the case's name, so that only results
are stored: outputs, final states, and the gradients of all that has one, in float64. The tests
(test_golden.py, test_parity_layers.py) run the same cases through `run`, for either library.
"""
from __future__ import annotations

import argparse
import sys
import zlib
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "goldens" / "recurrent.npz"
PAGE = ROOT / "docs" / "parity.md"
MARKS = "<!-- layers:begin -->", "<!-- layers:end -->"
T, N, I, H, P = 5, 4, 2, 3, 2  # noqa: E741
LENGTHS = [2, 5, 1, 5]
ORDER = [1, 3, 0, 2]           # the longest first
KINDS: dict[str, tuple[str, dict]] = {
    "rnn_tanh": ("RNN", {}), "rnn_relu": ("RNN", {"nonlinearity": "relu"}), "lstm": ("LSTM", {}),
    "lstm_proj": ("LSTM", {"proj_size": P}), "gru": ("GRU", {})}
# How a case can be given, and which stored one has the same numbers.
FORMS = {"unbatched": "unbatched", "batched": "batched", "batch_first": "batched",
         "packed": "packed", "packed, sorted": "packed", "lengths=": "packed"}
DETAILS = "gates", "steps", "layers"


class Case(NamedTuple):
    """One configuration of a layer; `batch` is unbatched, batched or packed."""

    kind: str
    layers: int
    directions: int
    bias: bool
    hx: bool
    batch: str

    @property
    def name(self) -> str:
        return (f"{self.kind}.{self.layers}.{self.directions}.{'bias' if self.bias else 'nobias'}."
                f"{'hx' if self.hx else 'nohx'}.{self.batch}")


CASES = [Case(*parts) for parts in product(KINDS, (1, 2, 3), (1, 2), (True, False), (True, False),
                                           ("unbatched", "batched", "packed"))]


def made(lib: Any, case: Case, **more: Any) -> tuple[Any, np.random.RandomState]:
    """The case's layer in tinyseq or torch with its weights, and the stream that goes on."""
    name, options = KINDS[case.kind]
    layer = getattr(lib.nn, name)(I, H, case.layers, bias=case.bias, dtype=lib.float64,
                                  bidirectional=case.directions == 2, **options, **more)
    stream = np.random.RandomState(zlib.crc32(case.name.encode()))
    layer.load_state_dict({key: lib.tensor(stream.uniform(-0.5, 0.9, tuple(p.shape)))
                           for key, p in layer.named_parameters()})
    return layer, stream


def drawn(case: Case, stream: np.random.RandomState) -> tuple[np.ndarray, list, list]:
    """The case's input, initial states, and the cotangents of its output and final states."""
    width, D = P if case.kind == "lstm_proj" else H, case.directions
    sizes = [width, H] if case.kind.startswith("lstm") else [width]
    x = stream.normal(size=(T, N, I))
    states = [stream.normal(size=(D * case.layers, N, size)) for size in sizes]
    weigh = [stream.normal(size=(T, N, D * width)), *[stream.normal(size=s.shape) for s in states]]
    return x, states, weigh


def run(lib: Any, case: Case, form: str) -> dict[str, np.ndarray]:
    """All results of one case by name, batches as (T, N, ...) in whatever form they are given."""
    layer, stream = made(lib, case, **({"batch_first": True} if form == "batch_first" else {}))
    start, first, weigh = drawn(case, stream)
    x, *states = [lib.tensor(v, requires_grad=True) for v in (start, *first)]
    y, last = given(lib, layer, form, x, states if case.hx else [])
    finals = list(last) if len(states) == 2 else [last]
    if form == "unbatched":
        weigh = [g[:, 0] for g in weigh]
    sum([(out * lib.tensor(g)).sum() for out, g in zip([y, *finals], weigh)]).backward()
    found = {"y": y, "h_n": finals[0], "c_n": finals[-1], "x.grad": x.grad}
    if case.hx:
        found |= {f"{name}_0.grad": s.grad for name, s in zip("hc", states)}
    found |= {f"{name}.grad": p.grad for name, p in layer.named_parameters()}
    return {name: np.asarray(t.detach()) for name, t in found.items()}


def initial(lib: Any, kind: str) -> np.ndarray:
    """The float32 weights that a layer starts with after manual_seed(0)."""
    name, options = KINDS[kind]
    lib.manual_seed(0)
    layer = getattr(lib.nn, name)(I, H, 2, bidirectional=True, **options)
    return np.concatenate([np.asarray(p.detach()).ravel() for p in layer.parameters()])


def given(lib: Any, layer: Any, form: str, x: Any, states: list) -> tuple[Any, Any]:
    """Call a layer with a batch in one of the FORMS; the output as (T, N, ...)."""
    def call(value: Any, at: Any = None, **more: Any) -> tuple[Any, Any]:
        parts = [s if at is None else s[:, at] for s in states]
        return layer(value, None if not parts else parts[0] if len(parts) == 1 else tuple(parts),
                     **more)
    rnn = lib.nn.utils.rnn
    if form == "unbatched":
        return call(x[:, 0], 0)
    if form == "batched":
        return call(x)
    if form == "batch_first":
        y, last = call(x.transpose(0, 1))
        return y.transpose(0, 1), last
    if form == "packed":
        y, last = call(rnn.pack_padded_sequence(x, lib.tensor(LENGTHS), enforce_sorted=False))
        return rnn.pad_packed_sequence(y)[0], last
    if form == "lengths=":
        return call(x, lengths=LENGTHS)
    y, last = call(rnn.pack_padded_sequence(x[:, ORDER], [LENGTHS[n] for n in ORDER]), ORDER)
    back = [ORDER.index(n) for n in range(N)]
    last = tuple([s[:, back] for s in last]) if isinstance(last, tuple) else last[:, back]
    return rnn.pad_packed_sequence(y)[0][:, back], last


def flat(found: dict[str, np.ndarray]) -> np.ndarray:
    """All results as one vector, as they are stored."""
    return np.concatenate([value.ravel() for value in found.values()])


def worst(ours: dict[str, np.ndarray], golden: np.ndarray) -> float:
    """The largest difference in any result, as a part of that result's largest entry (or of 1)."""
    assert sum(a.size for a in ours.values()) == golden.size
    at, found = 0, 0.0
    for a in ours.values():
        b = golden[at:at + a.size]
        at += a.size
        found = max(found, float(np.abs(a.ravel() - b).max() / max(1.0, np.abs(b).max())))
    return found


def goldens() -> dict[str, np.ndarray]:
    """Torch's results of every case."""
    import torch
    version = np.array(torch.__version__.split("+")[0])
    return {"torch": version, **{f"initial.{kind}": initial(torch, kind) for kind in KINDS},
            **{case.name: flat(run(torch, case, case.batch)) for case in CASES}}


def differences() -> dict[tuple, float]:
    """Tinyseq's worst difference from the committed numbers, by kind, form, depth, directions."""
    sys.path.insert(0, str(ROOT))
    import tinyseq
    far: dict[tuple, float] = {}
    with np.load(GOLDEN) as golden:
        for case, form, detail in product(CASES, FORMS, DETAILS):
            if FORMS[form] == case.batch:
                with tinyseq.detail(detail):
                    found = worst(run(tinyseq, case, form), golden[case.name])
                at = case.kind, form, case.layers, case.directions
                far[at] = max(far.get(at, 0.0), found)
    return far


def table(far: dict[tuple, float]) -> str:
    """The differences as a table for docs/parity.md, and what they are."""
    with np.load(GOLDEN) as golden:
        version = golden["torch"]
    columns = list(product((1, 2, 3), (1, 2)))
    count = sum(1 for case in CASES for form in FORMS if FORMS[form] == case.batch) * len(DETAILS)
    return "\n".join([
        f"The largest difference from torch {version} in float64, over the output, the final "
        "states and the gradients of the input, the initial states and every parameter, as a part "
        "of each one's largest entry (or of 1). An entry is the worst of 12 runs: with and "
        "without bias, with and without initial states, at the three details. "
        f"{count:,} runs in all; `lengths=` (a padded batch with lengths) is compared with "
        "torch's packed sequences. `tools/make_golden.py` writes this.",
        "", "| layer | given as | " + " | ".join(
            f"{n} layer{'s'[:n > 1]}{', both ways' if d == 2 else ''}" for n, d in columns) + " |",
        "|---|---|" + "---|" * len(columns),
        *[f"| {kind} | {form} | " + " | ".join(f"{far[(kind, form, *c)]:.0e}" for c in columns)
          + " |" for kind, form in product(KINDS, FORMS)]])


def write_table(title: str, marks: tuple[str, str], text: str) -> None:
    """Put a table between its marks in docs/parity.md, and leave the rest of the page alone."""
    begin, end = marks
    page = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else "# tinyseq and PyTorch\n"
    if begin not in page:
        page += f"\n## {title}\n\n{begin}\n{end}\n"
    before, rest = page.split(begin)
    after = rest.split(end)[1]
    PAGE.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="Torch's numbers for the recurrent layers.")
    parser.add_argument("--docs", action="store_true", help="only the table in docs/parity.md")
    if not parser.parse_args().docs:
        GOLDEN.parent.mkdir(exist_ok=True)
        np.savez_compressed(GOLDEN, **goldens())  # type: ignore[arg-type]
        print(f"wrote {GOLDEN.name}: {GOLDEN.stat().st_size:,} bytes")
    write_table("Recurrent layers", MARKS, table(differences()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
