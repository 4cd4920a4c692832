"""The study's gradient check: every tensor, every line at every step; and a planted mistake."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinyseq.cells import CELLS
from tinyseq.equations import Cell
from tinyseq.gradcheck import Report, check
from tinyseq.layer import Weights
from tinyseq.op import OPS
from tinyseq.scope import scope
from tinyseq.tensor import Tensor, wrap
from tinyseq.unroll import unroll

NAMES = {"rnn": "rnn_tanh", "lstm": "lstm", "gru": "gru", "gru-textbook": "gru_textbook"}
T, N, I, H = 5, 3, 3, 4  # all different, so that no mistake can hide behind a square


def checked(cell: str, seed: int) -> Report:
    """Check one cell in float64: random state and biases, a loss on all outputs and states."""
    run, inputs = case(CELLS[NAMES[cell]], seed)
    gates = CELLS[NAMES[cell]].gates
    rows = {name: gates for name in inputs if "_l0" in name} if len(gates) > 1 else None
    return check(run, inputs, gates=rows)


def case(cell: Cell, seed: int) -> tuple[Any, dict[str, Tensor]]:
    """(a function of the tensors that returns all outputs, the tensors by name)."""
    rng = np.random.default_rng(seed)
    K, width = len(cell.gates), 1 / np.sqrt(H)
    shapes = {"x": (T, N, I), **{state: (N, H) for state in cell.states},
              "weight_ih_l0": (K * H, I), "weight_hh_l0": (K * H, H),
              "bias_ih_l0": (K * H,), "bias_hh_l0": (K * H,)}
    tensors = {name: wrap(rng.uniform(-width, width, shape) if "_l0" in name
                          else rng.normal(0, 0.5, shape)).requires_grad_()
               for name, shape in shapes.items()}
    S = len(cell.states)

    def run(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        with scope("l0.fwd"):
            y, finals = unroll(cell, x, rest[:S], Weights.of([*rest[S:], None], cell))
        return (y, *finals)

    return run, tensors


@contextmanager
def planted() -> Iterator[str]:
    """Inside, the engine makes the best-known mistake: W_hh is not transposed on the way back."""
    op = OPS["linear"]
    before, plans = op.rules[0], dict(op.plans)
    op.rules[0] = untransposed
    op.plans.clear()
    try:
        yield "missing transpose"
    finally:
        op.rules[0] = before
        op.plans.clear()
        op.plans.update(plans)


def untransposed(gy: Any, weight: Any) -> Any:
    """gy W with the square blocks of W taken the wrong way round."""
    rows, columns = weight.shape
    if rows % columns == 0 and columns == H:
        weight = weight.reshape(rows // columns, columns, columns).transpose(0, 2, 1)
        weight = weight.reshape(rows, columns)
    return gy @ weight
