"""Fused layers against their equations: what the check op by op has not seen."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tinyseq import kernels
from tinyseq.culprit import step_of
from tinyseq.fused import Fused
from tinyseq.gradcheck.trial import Trial, tensors
from tinyseq.graph import Node, collect
from tinyseq.scope import state
from tinyseq.tensor import Tensor
from tinyseq.unroll import unroll_gates
from tinyseq.walk import differentiate

CLOSE = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-4}  # relative to the largest
WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def kernel_faults(func: Callable, inputs: Mapping[str, Tensor], trial: Trial) -> list[str]:
    """What is wrong with the fused kernels that the function runs in the detail in force.

    Each fused node's outputs and gradients are computed by its kernels and from its equations.
    Kernels that would have to be compiled for this are left alone unless the rule says so.
    """
    if state.detail == "gates" or trial.rule.fused is False or not kernels.available():
        return []
    if trial.rule.fused is None and (cells := uncompiled(trial)):
        trial.report.untested.update(
            (f"the fused kernels of {name}", "they are not compiled; fused=True compiles them")
            for name in cells)
        return []
    outputs = [t for t in tensors(func(*inputs.values())) if t.dtype.kind == "f"]
    asked = [(t, g) for t, g in zip(outputs, trial.cotangents) if t.requires_grad]
    nodes = [node for node in collect([t.node for t, _ in asked if t.node is not None])
             if isinstance(node.op, Fused)]
    if not nodes:
        return []
    names = {t: name for name, t in inputs.items()}
    for node in nodes:
        node.keep = True
    grads = differentiate([t for t, _ in asked], [np.asarray(g, t.dtype) for t, g in asked],
                          True, False)
    faults = [fault for node in nodes for fault in compared(node, names)]
    if not faults:
        faults = [f"the gradient of {names.get(leaf, leaf.label)} through fused layers differs "
                  "from that op by op, though every kernel agrees with its equations"
                  for leaf, g in grads.items() if leaf in trial.grads
                  and apart(g, np.asarray(trial.grads[leaf])) is not None]
    return faults


def uncompiled(trial: Trial) -> list[str]:
    """The cells in a run whose kernels are neither shipped nor compiled already."""
    cells = {cell: None for step in trial.steps
             if (cell := step_of(step.node.scope)[1]) is not None}
    dtype = trial.outputs[0].dtype if trial.outputs else np.dtype(np.float64)
    return [cell.name for cell in cells if kernels.committed(cell) is None
            and dtype not in Fused.of(cell, unroll_gates).made]


def compared(node: Node, names: Mapping[Any, str]) -> Iterator[str]:
    """The faults of one fused node: its outputs first, then its operands' gradients."""
    op, operands = node.op, node.saved[:len(node.inputs)]
    head = f"the fused kernel of {op.cell.name} differs from its equations"
    twins, again = op.apart(node)
    made = [t.array for t in again]
    values = [t.array for t in node.saved[len(operands):-1]]
    for name, y, wanted in zip(("y", *op.cell.returns), values, made):
        if (at := apart(y, wanted)) is not None:
            yield (f"{head} going forward: {name} at {at}, {place(node)}: kernel {y[at]:.9g}, "
                   f"equations {wanted[at]:.9g}")
            return
    if node.gy is None:
        return
    gys = [None if g is None else np.asarray(g) for g in node.gy]
    before, state.scope = state.scope, node.scope  # as backward does
    try:
        fused = dict(op.pull(node, gys, False))
    finally:
        state.scope = before
    asked = [(t, g) for t, g in zip(again, gys) if g is not None]
    ends = [t.node for t, parent in zip(twins, node.inputs) if parent is not None]
    plain = differentiate([t for t, _ in asked], [g for _, g in asked], True, False, stop=ends)
    titles = ("x", *op.cell.states, *WEIGHTS, *op.cell.vectors, "weight_hr", *op.cell.given)
    for k, g in fused.items():
        wanted = plain.get(twins[k].node, np.zeros_like(g))
        if (at := apart(g, wanted)) is not None:
            name = names.get(node.inputs[k], titles[k])
            yield (f"{head} at {name}{gate(op.cell, titles[k], g, at)}, element {at}, "
                   f"{place(node)}: kernel {g[at]:.9g}, equations {wanted[at]:.9g}")


def apart(a: np.ndarray, b: np.ndarray) -> tuple[int, ...] | None:
    """Where two arrays differ most, if by more than rounding."""
    gap = np.abs(a - b)
    if not gap.size or gap.max() <= CLOSE[a.dtype] * max(np.abs(b).max(), 1e-300):
        return None
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))


def gate(cell: Any, title: str, g: np.ndarray, at: tuple[int, ...]) -> str:
    """`[f]`, where a weight's row belongs to a gate."""
    if title not in WEIGHTS or len(cell.gates) == 1:
        return ""
    return f"[{cell.gates[at[0] // (g.shape[0] // len(cell.gates))]}]"


def place(node: Node) -> str:
    """Where a fused node stands."""
    return str(node.scope) or "top level"
