"""Gradients from elsewhere against tinyseq's graph; and networks with a known mistake."""
from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from tinyseq.checks.options import CheckOptions
from tinyseq.checks.subjects import Arrays, arrays, restored
from tinyseq.gradcheck import Report, Row, gradcheck_report
from tinyseq.nn.rnnbase import RNNBase
from tinyseq.study.options import OptionError
from tinyseq.tensor import Tensor, wrap
from tinyseq.walk import differentiate

PREFIX = "grad."
RESULTS = ("y", "h_n", "c_n")
CLOSE = {8: 1e-10, 4: 1e-4, 2: 1e-1}  # by bytes a number, relative to the largest of its gate
BY_HAND = {"rnn": "rnn", "rnn-relu": "rnn_relu", "lstm": "lstm", "gru": "gru"}
GATED = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def judged(options: CheckOptions) -> tuple[Report, str]:
    """(the report on the gradients of a file, what they look like)."""
    given = arrays(str(options.grads), "--grads")
    values = {name: np.asarray(a, np.float64) for name, a in given.items()
              if not name.startswith(PREFIX)}
    grads = {name.removeprefix(PREFIX): a for name, a in given.items() if name.startswith(PREFIX)}
    cotangents = {name: np.asarray(grads.pop(name), np.float64) for name in RESULTS
                  if name in grads}
    weights = {name: a for name, a in values.items() if name not in ("x", "h_0", "c_0")}
    if "x" not in values or "weight_hh_l0" not in weights:
        raise OptionError(f"--grads {options.grads}: it needs arrays x and weight_ih_l0, "
                          f"weight_hh_l0 and so on; it has {', '.join(given) or 'none'}")
    if not cotangents or not grads:
        raise OptionError(f"--grads {options.grads}: it needs the cotangents (grad.y, grad.h_n or "
                          "grad.c_n) and the gradients to be judged, such as grad.weight_hh_l0")
    layer, name = restored(weights, "", options.cell)
    right = own(layer, values, cotangents)
    if unknown := sorted(set(grads) - set(right)):
        raise OptionError(f"--grads {options.grads}: gradients {unknown}, expected some of "
                          f"{', '.join(right)}")
    report = Report(method="comparison", words=("yours", "tinyseq's"),
                    why="comparison: tinyseq's gradients by its graph, float64",
                    title=f"gradients of {options.grads} as those of a {name}")
    gates = layer.cell.gates
    for key, g in right.items():
        if key not in grads:
            report.untested[key] = "the file has no gradient of it"
        elif grads[key].shape != g.shape:
            raise OptionError(f"--grads {options.grads}: grad.{key} has shape {grads[key].shape}, "
                              f"expected {g.shape}")
        else:
            cut = len(gates) > 1 and key.startswith(GATED)
            for k, gate in enumerate(gates if cut else [""]):
                report.rows.append(row(key, gate, k, len(gates) if cut else 1, grads[key], g))
    return report, diagnosis(name, layer, values, cotangents, grads)


def own(layer: RNNBase, values: Arrays, cotangents: Arrays) -> Arrays:
    """tinyseq's gradients of everything, by name."""
    names = ["x", *[f"{s.split('_')[0]}_0" for s in layer.cell.states]]
    lanes, N = len(layer.lanes()), values["x"].shape[1:2]
    sizes = [layer.proj_size or layer.hidden_size, layer.hidden_size]
    leaves: dict[str, Tensor] = {}
    for k, name in enumerate(names):
        a = values.get(name, np.zeros((lanes, *N, sizes[k - 1])))
        leaves[name] = wrap(a[None] if k and a.ndim == 2 and len(N) else a).requires_grad_()
    states = tuple([leaves[name] for name in names[1:]])
    try:
        y, last = layer(leaves["x"], states[0] if len(states) == 1 else states)
    except (RuntimeError, ValueError, TypeError) as error:
        raise OptionError(f"--grads: the arrays do not fit together: {error}") from error
    results = dict(zip(RESULTS, (y, *(last if isinstance(last, tuple) else (last,)))))
    if unknown := sorted(set(cotangents) - set(results)):
        raise OptionError(f"--grads: cotangents {unknown}, but there are only "
                          f"{', '.join(results)}")
    for name, g in cotangents.items():
        wanted = results[name].shape
        if g.shape != wanted and (1, *g.shape) != wanted:
            raise OptionError(f"--grads: grad.{name} has shape {g.shape}, expected {wanted}")
    asked = [(results[name], g.reshape(results[name].shape)) for name, g in cotangents.items()]
    found = differentiate([t for t, _ in asked], [g for _, g in asked], None, False)
    everything = {**leaves, **dict(layer.named_parameters())}
    return {name: np.asarray(found.get(t, np.zeros(t.shape))).reshape(
        values[name].shape if name in values else t.shape) for name, t in everything.items()}


def row(name: str, gate: str, k: int, count: int, yours: np.ndarray, right: np.ndarray) -> Row:
    """One gate's rows (or all) of a gradient, compared."""
    a, b = np.split(np.asarray(yours, np.float64), count)[k], np.split(right, count)[k]
    top = float(np.abs(b).max(initial=0.0))
    allowed = CLOSE.get(yours.dtype.itemsize, 1e-10) * (top or 1.0)
    gap = np.where(np.isfinite(a), np.abs(a - b), np.inf)
    at = np.unravel_index(int(np.argmax(gap)), gap.shape) if gap.size else ()
    index = tuple(int(i) for i in at)
    shown = (index[0] + k * (len(right) // count), *index[1:]) if count > 1 else index
    worst = float(gap[at]) if gap.size else 0.0
    return Row(f"{name}[{gate}]" if gate else name, int(a.size), worst / (top or 1.0),
               worst / allowed, shown, float(a[at]), float(b[at]), allowed, 0.0, part=gate)


def diagnosis(name: str, layer: RNNBase, values: Arrays, cotangents: Arrays, grads: Arrays) -> str:
    """Which known mistake the gradients equal, where the museum has the cell."""
    plain = set(dict(layer.named_parameters())) == {
        key for key in dict(layer.named_parameters()) if key.startswith(GATED)}
    if name not in BY_HAND or not plain or values["x"].ndim != 3:
        return ""
    bugs = museum()
    T, N = values["x"].shape[:2]
    states = [f"{s.split('_')[0]}_0" for s in layer.cell.states]
    lanes, H = len(layer.lanes()), layer.hidden_size

    def each(names: list[str], held: Arrays) -> tuple[np.ndarray, ...]:
        return tuple([held[n].reshape(lanes, N, H) if n in held else np.zeros((lanes, N, H))
                      for n in names])

    y = cotangents.get("y", np.zeros((T, N, H * (1 + layer.bidirectional))))
    given = bugs.Fixture({k: a for k, a in values.items() if k.startswith(GATED)}, values["x"],
                         each(states, values), y, each(["h_n", "c_n"][:len(states)], cotangents))
    mine = {k: g.reshape(lanes, N, H) if k in states else g for k, g in grads.items()}
    return str(bugs.diagnose(mine, BY_HAND[name], given))


def museum() -> Any:
    """The package of known mistakes."""
    return importlib.import_module("tinyseq.bugs")


def planted(options: CheckOptions) -> tuple[Report, str]:
    """(the report on a network by hand with a known mistake, which one its gradients equal)."""
    bugs = museum()
    cell = BY_HAND.get(options.cell or "", options.cell)
    shown = [e for e in bugs.exhibits() if cell in (None, e.cell)]
    shown += [bugs.Exhibit(c, m, m.layers) for c in bugs.KNOWN if c == (cell or "lstm")
              for m in bugs.KNOWN[c]]
    found = [e for e in shown if e.mistake.name == options.bug]
    if not found:
        names = dict.fromkeys(e.mistake.name for e in shown)
        raise OptionError(f"--bug {options.bug}: no such mistake of a {cell or 'cell'}; there are "
                          + "; ".join(names))
    exhibit = found[0]
    f = exhibit.fixture(T=options.steps, N=options.batch, I=options.inputs, H=options.hidden,
                        seed=options.seed)
    func, inputs = bugs.checkable(exhibit.cell, f, [exhibit.mistake])
    hand = bugs.network(exhibit.cell, [exhibit.mistake])
    gates = {name: hand.hand.gates for name in f.weights if len(hand.hand.gates) > 1}
    report = gradcheck_report(func, inputs, method=options.method, gates=gates, seed=options.seed,
                              fast=options.fast or None)
    report.title = f"{exhibit.cell} by hand with a mistake, {exhibit.mistake.name!r}"
    verdict = bugs.diagnose(hand.gradients(f), exhibit.cell, f)
    if report.ok and not verdict.right:  # the mistake is in what it computes, not in the way back
        report.problems.append(f"these are the gradients of another network than the "
                               f"{exhibit.cell}: each is right for what is computed, and what is "
                               "computed is wrong")
    return report, str(verdict)
