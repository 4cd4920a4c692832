#!/usr/bin/env python3
"""Write what PyTorch computes for every operation, and how far tinyseq is from it.

    tools/make_golden_ops.py           writes tests/goldens/ops.npz (needs torch 2.13) and the
                                       table of operations in docs/parity.md
    tools/make_golden_ops.py --docs    the table alone, from the committed numbers (no torch)

The cases are ops_cases.py's. Inputs and cotangents are drawn from a case's name, so that only
results are stored, in float64: values, their shapes and dtypes, and the gradients of all floating
point inputs. Beside them the dtypes of results of mixed operands. The tests
(test_parity_ops.py) run the same cases through `run`, for either library.
"""
from __future__ import annotations

import argparse
import sys
import warnings
import zlib
from itertools import product
from typing import Any

import numpy as np

from make_golden import ROOT, write_table
from ops_cases import CASES, FAMILIES, Case

GOLDEN = ROOT / "tests" / "goldens" / "ops.npz"
MARKS = "<!-- ops:begin -->", "<!-- ops:end -->"
Results = dict[str, np.ndarray]  # y0, y1 ... and the gradients x0, x1 ... of one case

DTYPES = {"b": "bool", "i": "int64", "f": "float32", "d": "float64"}
BESIDE = "tensor", "0-d", "number"
MIXED = ("sub", "div", "pow", "maximum", "fmod", "floor_divide", "where", "lt", "eq",
         "masked_fill", "clamp", "cat", "scatter")  # (add and mul: tests/test_tensor.py)
ALONE = ("sum", "prod", "mean", "cumsum", "amax", "argmax", "all", "abs", "neg", "exp", "sqrt",
         "sigmoid", "floor", "sign", "relu", "softmax", "reciprocal", "norm", "isnan")


# -- values and gradients ----------------------------------------------------------------------
def run(lib: Any, case: Case, create_graph: bool = False,
        seed: str = "") -> tuple[Results, list[Any]]:
    """A case's values and gradients by name; and as tensors, for a look at the graph they have."""
    stream = np.random.RandomState(zlib.crc32(f"{case.family}: {case.name}{seed}".encode()))
    tensors = [lib.tensor(draw.array(stream)) for draw in case.draws]
    leaves = {f"x{k}": t.requires_grad_() for k, (t, draw) in enumerate(zip(tensors, case.draws))
              if draw.dtype == "float64" and not draw.constant}
    made = case.call(lib, *tensors)
    values = list(made) if isinstance(made, (list, tuple)) else [made]
    found = {f"y{k}": y for k, y in enumerate(values)}
    recorded = [y for y in values if y.requires_grad]
    if leaves and recorded:
        cotangents = [lib.tensor(signed(stream, tuple(y.shape)), dtype=y.dtype)
                      for y in recorded]
        gradients = lib.autograd.grad(recorded, list(leaves.values()), cotangents,
                                      create_graph=create_graph, allow_unused=True)
        found |= {name: lib.zeros_like(x) if g is None else g
                  for (name, x), g in zip(leaves.items(), gradients)}
    return {name: np.asarray(t.detach()) for name, t in found.items()}, list(found.values())


def signed(stream: np.random.RandomState, shape: tuple[int, ...]) -> np.ndarray:
    """A cotangent: numbers of either sign, none of them near 0."""
    return np.asarray(stream.uniform(0.5, 1.5, shape) * stream.choice([-1.0, 1.0], shape))


def described(found: Results) -> str:
    """The names, dtypes and shapes of a case's results."""
    return "; ".join(f"{name} {a.dtype} {a.shape}" for name, a in found.items())


def flat(found: Results) -> np.ndarray:
    """A case's results as one vector, as they are stored."""
    parts = [a.astype(np.float64).ravel() for a in found.values()]
    return np.concatenate([np.zeros(0), *parts])


def apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, as a part of the largest entry (or of 1); what is not finite must
    be the same."""
    finite = np.isfinite(theirs)
    if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
        return np.inf
    ours, theirs = ours[finite], theirs[finite]
    far = np.abs(ours - theirs).max(initial=0.0) / np.abs(theirs).max(initial=1.0)
    return float(far) if np.isfinite(far) else np.inf


def distance(ours: Results, said: str, numbers: np.ndarray) -> tuple[float, float]:
    """How far a case's values and its gradients are from the stored ones."""
    if described(ours) != said:
        return np.inf, np.inf
    far, at = {"y": 0.0, "x": 0.0}, 0
    for name, a in ours.items():
        stored, at = numbers[at:at + a.size], at + a.size
        far[name[0]] = max(far[name[0]], apart(a.ravel().astype(np.float64), stored))
    return far["y"], far["x"]


# -- dtypes ------------------------------------------------------------------------------------
def dtypes(lib: Any) -> dict[str, str]:
    """The result's dtype (bifd; - if refused) of mixed operands, by operation and kind of the
    right one: a word for each left and a letter for each right dtype; of one operand, a word."""
    found = {f"{name} {beside}": " ".join("".join(
        letter(lambda: mixed(lib, name, left, right, beside)) for right in DTYPES.values())
        for left in DTYPES.values()) for name, beside in product(MIXED, BESIDE)}
    return found | {name: "".join(letter(lambda: alone(lib, name, dtype))
                                  for dtype in DTYPES.values()) for name in ALONE}


def letter(call: Any) -> str:
    """The letter of a result's dtype, or - for a call that is refused."""
    try:
        dtype = str(call().dtype).removeprefix("torch.")
    except (TypeError, RuntimeError, ValueError, IndexError):
        return "-"
    return {name: key for key, name in DTYPES.items()}.get(dtype, "?")


def mixed(lib: Any, name: str, left: str, right: str, beside: str) -> Any:
    """One operation on ones of two dtypes."""
    x = lib.tensor(np.ones(2, left))
    one = np.ones(2 if beside == "tensor" else (), right)
    other = one.item() if beside == "number" else lib.tensor(one)
    true = lib.tensor(np.array([True, False]))
    if name == "where":
        return lib.where(true, x, other)
    if name == "masked_fill":
        return x.masked_fill(true, other)
    if name == "cat":
        return lib.cat([x, other])
    if name == "scatter":
        return lib.scatter(x, 0, lib.tensor(np.array([0, 1])), other)
    return getattr(lib, name)(x, other)


def alone(lib: Any, name: str, dtype: str) -> Any:
    """One operation on ones of a dtype."""
    x = lib.tensor(np.ones(2, dtype))
    return getattr(lib, name)(x, 0) if name in ("cumsum", "softmax") else getattr(lib, name)(x)


# -- files -------------------------------------------------------------------------------------
def goldens() -> dict[str, np.ndarray]:
    """Torch's results: the cases' names, what their results are, and all numbers in a line."""
    import torch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # (of an empty tensor's var, of one that resizes)
        found = [run(torch, case)[0] for case in CASES]
    pairs = dtypes(torch)
    return {"torch": np.array(torch.__version__.split("+")[0]),
            "names": np.array([case.name for case in CASES]),
            "results": np.array([described(one) for one in found]),
            "sizes": np.array([flat(one).size for one in found]),
            "numbers": np.concatenate([flat(one) for one in found]),
            "dtypes": np.array([f"{name}: {words}" for name, words in pairs.items()])}


def stored() -> dict[str, tuple[str, np.ndarray]]:
    """The committed results: by a case's name, what they are, and their numbers."""
    with np.load(GOLDEN) as file:
        parts = np.split(file["numbers"], np.cumsum(file["sizes"])[:-1])
        return {str(name): (str(said), part)
                for name, said, part in zip(file["names"], file["results"], parts)}


def differences() -> dict[str, tuple[int, float, float]]:
    """By family: how many cases, and tinyseq's worst differences in values and in gradients."""
    sys.path.insert(0, str(ROOT))
    import tinyseq
    golden, found = stored(), dict.fromkeys(FAMILIES, (0, 0.0, 0.0))
    for case in CASES:
        count, value, gradient = found[case.family]
        y, x = distance(run(tinyseq, case)[0], *golden[case.name])
        found[case.family] = count + 1, max(value, y), max(gradient, x)
    return found


def table(found: dict[str, tuple[int, float, float]]) -> str:
    """The differences as a table for docs/parity.md, and what they are."""
    with np.load(GOLDEN) as golden:
        version = golden["torch"]
    total = sum(count for count, _, _ in found.values())
    return "\n".join([
        f"The largest difference from torch {version} in float64, as a part of each result's "
        "largest entry (or of 1), over the cases of `tools/ops_cases.py`, "
        f"{total:,} in all. Gradients are those of all floating point inputs, for a random "
        "cotangent; shapes, dtypes, infinities and NaNs are equal. "
        "`tools/make_golden_ops.py` writes this.",
        "", "| operations | cases | values | gradients |", "|---|---|---|---|",
        *[f"| {family} | {count} | {value:.0e} | {gradient:.0e} |"
          for family, (count, value, gradient) in found.items()]])


def main() -> int:
    parser = argparse.ArgumentParser(description="Torch's numbers for the operations.")
    parser.add_argument("--docs", action="store_true", help="only the table in docs/parity.md")
    if not parser.parse_args().docs:
        np.savez_compressed(GOLDEN, **goldens())  # type: ignore[arg-type]
        print(f"wrote {GOLDEN.name}: {len(CASES)} cases, {GOLDEN.stat().st_size:,} bytes")
    write_table("Operations", MARKS, table(differences()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
