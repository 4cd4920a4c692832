"""What one recurrent layer in one direction is made of: parameters, and the arrays behind them."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinyseq.equations import Cell
from tinyseq.errors import ShapeError
from tinyseq.graph import Node
from tinyseq.tensor import Tensor


class Weights(NamedTuple):
    """The parameters of one layer in one direction, in torch's shapes."""

    ih: Tensor                          # (K*H, I)
    hh: Tensor                          # (K*H, H)
    bias_ih: Tensor | None = None       # (K*H)
    bias_hh: Tensor | None = None       # (K*H)
    vectors: tuple[Tensor, ...] = ()    # each (H), in the order of cell.vectors
    hr: Tensor | None = None            # (P, H), for cells that project
    given: tuple[Tensor, ...] = ()      # constants of every step, each (T, N, H): cell.given

    def flat(self) -> tuple[Tensor | None, ...]:
        """In the order that a fused node keeps them in."""
        return (self.ih, self.hh, self.bias_ih, self.bias_hh, *self.vectors, self.hr, *self.given)

    @staticmethod
    def of(flat: Any, cell: Cell) -> Weights:
        """The inverse of `flat`, for the weights of a cell."""
        ih, hh, bias_ih, bias_hh, *rest = flat
        V = len(cell.vectors)
        return Weights(ih, hh, bias_ih, bias_hh, tuple(rest[:V]), rest[V], tuple(rest[V + 1:]))


class Parts(NamedTuple):
    """The arrays of one layer's inputs, zeros standing in for what is absent."""

    x: np.ndarray
    states: list[np.ndarray]
    ih: np.ndarray
    hh: np.ndarray
    bx: np.ndarray
    bh: np.ndarray
    vectors: np.ndarray
    hr: np.ndarray | None
    given: list[np.ndarray]

    @staticmethod
    def of(cell: Cell, operands: tuple[Any, ...]) -> Parts:
        """The arrays of x, the states and the weights, contiguous."""
        S, V = len(cell.states), len(cell.vectors)
        arrays: list[Any] = [None if t is None else np.ascontiguousarray(t.array)
                             for t in operands[:6 + S + V]]
        ih, hh, bx, bh, *vectors, hr = arrays[1 + S:]
        zero = np.zeros(ih.shape[0], ih.dtype)
        return Parts(arrays[0], arrays[1:1 + S], ih, hh, zero if bx is None else bx,
                     zero if bh is None else bh,
                     np.array(vectors) if vectors else np.zeros((0, 1), ih.dtype), hr,
                     [t.array for t in operands[6 + S + V:]])


class Port:
    """One output of a node with several: it only hands its gradient to its place."""

    slot = True
    name = "output"

    def pull(self, node: Node, gy: Any, graph: bool) -> Iterator[tuple[int, Any]]:
        yield 0, gy


PORT = Port()


def check_sizes(cell: Cell, shape: tuple[int, ...], states: tuple[Tensor, ...],
                weights: Weights) -> None:
    """Refuse sizes that do not fit, before anything is computed."""
    (rows, inputs), K = weights.ih.shape, len(cell.gates)
    H = rows // K
    if len(shape) != 3 or shape[-1] != inputs:
        raise ShapeError(f"cell {cell.name!r}: x must be (T, N, {inputs}), got {shape}")
    if shape[0] == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    if len(states) != len(cell.states):
        raise ShapeError(f"cell {cell.name!r}: expected {len(cell.states)} states "
                         f"({', '.join(cell.states)}), got {len(states)}")
    P = H if weights.hr is None else weights.hr.shape[0]
    for k, (name, s) in enumerate(zip(cell.states, states)):
        wanted = (shape[1], H if k else P)
        if s.shape != wanted:
            raise ShapeError(f"cell {cell.name!r}: state {name!r} must be {wanted}, got {s.shape}")
    if weights.hh.shape != (K * H, P):
        raise ShapeError(f"cell {cell.name!r}: weight_hh must be ({K * H}, {P}), "
                         f"got {weights.hh.shape}")
    for what, names, held in (("vectors", cell.vectors, weights.vectors),
                              ("given constants", cell.given, weights.given)):
        if len(names) != len(held):
            raise ShapeError(f"cell {cell.name!r}: expected {len(names)} {what} "
                             f"({', '.join(names)}), got {len(held)}")
    for name, t in zip(cell.given, weights.given):
        if t.shape != (*shape[:2], H):
            raise ShapeError(f"cell {cell.name!r}: {name!r} is given for every step, so it must "
                             f"be {(*shape[:2], H)}, got {t.shape}")
