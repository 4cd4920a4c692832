"""Which operation is to blame: every node's own rule against differences of its own forward."""
from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyseq.graph import Node
from tinyseq.tensor import Tensor
from tinyseq.walk import differentiate, undo_broadcast


def find_culprit(tape: Sequence[tuple[Tensor, tuple]], outputs: Sequence[Tensor],
                 cotangents: Sequence[np.ndarray], rtol: float, noise: float) -> str:
    """The first node, newest first, whose rule does not agree with its forward; as a sentence."""
    asked = [(t, g) for t, g in zip(outputs, cotangents) if t.requires_grad]
    differentiate([t for t, _ in asked], [np.asarray(g) for _, g in asked], True, False,
                  keep="**")
    for out, operands in reversed(tape):
        node = out.node
        if node is None or node.gy is None:
            continue
        for k, found in node.op.pull(node, node.gy, False):
            said = wrong(node, operands, k, np.asarray(found), rtol, noise)
            if said:
                return said
    return ("every operation's own rule is right: the gradient is lost between operations (an "
            "output that is detached, or a sum that leaves out a term)")


def wrong(node: Node, operands: tuple, k: int, found: np.ndarray, rtol: float,
          noise: float) -> str | None:
    """What is wrong with one rule at one node, or None."""
    arrays: list[Any] = [t.array if isinstance(t, Tensor) else t for t in operands]
    x = arrays[k]
    analytic = undo_broadcast(found, x.shape)
    for index in np.ndindex(x.shape):
        h = 1e-5 * max(1.0, abs(float(x[index])))
        sides = []
        for sign in (1, -1):
            moved = x.copy()
            moved[index] += sign * h
            sides.append((moved[index], node.op.forward(
                *[moved if i == k else a for i, a in enumerate(arrays)], **(node.attrs or {}))))
        slope = (sides[0][1] - sides[1][1]) / (sides[0][0] - sides[1][0]) * node.gy
        numeric, size = float(np.sum(slope)), float(np.sum(np.abs(slope)))
        if abs(float(analytic[index]) - numeric) > rtol * abs(numeric) + noise * size:
            return sentence(node, k, index, float(analytic[index]), numeric)
    return None


def sentence(node: Node, k: int, index: tuple[int, ...], analytic: float, numeric: float) -> str:
    """The culprit by scope, with its equation and its rule as they stand in the code."""
    op = node.op
    name = op.inputs[0 if op.variadic else k]
    ratio = f"ratio analytic/numeric {analytic / numeric:.4g}" if numeric else \
        f"analytic {analytic:.4g} where 0 is right"
    equation = next((line.strip() for line in op.doc.splitlines() if "Equation:" in line), "")
    rule = op.rules[0 if op.variadic else k]
    try:
        text = " ".join(inspect.getsource(rule).split())
    except (OSError, TypeError):
        text = repr(rule)
    return (f"guilty: {str(node.scope) or 'top level'}  {op.name}, backward with respect to {name}"
            f" at {index}: {ratio}\n  {equation}\n  rule: {text}")
