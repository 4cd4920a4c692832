"""What one recurrent layer in one direction is made of: parameters, and the arrays behind them."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinyseq.equations import Cell
from tinyseq.errors import ShapeError
from tinyseq.graph import Node
from tinyseq.ops import narrow
from tinyseq.tensor import Tensor


class Weights(NamedTuple):
    """The parameters of one layer in one direction, in torch's shapes."""

    ih: Tensor                          # (K*H, I)
    hh: Tensor                          # (K*H, H)
    bias_ih: Tensor | None = None       # (K*H)
    bias_hh: Tensor | None = None       # (K*H)
    vectors: tuple[Tensor, ...] = ()    # in the order of cell.vectors, each (H) or several: (m*H)
    hr: Tensor | None = None            # (P, H), for cells that project
    given: tuple[Tensor, ...] = ()      # constants of every step, each (T, N, H): cell.given

    def flat(self) -> tuple[Tensor | None, ...]:
        """In the order that a fused node keeps them in."""
        return (self.ih, self.hh, self.bias_ih, self.bias_hh, *self.vectors, self.hr, *self.given)

    @staticmethod
    def of(flat: Any, cell: Cell) -> Weights:
        """The inverse of `flat`, for the weights of a cell."""
        ih, hh, bias_ih, bias_hh, *rest = flat
        V = len(rest) - 1 - len(cell.given)
        return Weights(ih, hh, bias_ih, bias_hh, tuple(rest[:V]), rest[V], tuple(rest[V + 1:]))

    def each_vector(self, H: int) -> list[Tensor]:
        """The vectors one by one, each (H)."""
        return [v if v.shape[0] == H else narrow(v, 0, k, H)
                for v in self.vectors for k in range(0, v.shape[0], H)]


class Parts(NamedTuple):
    """The arrays of one layer's inputs, zeros standing in for what is absent."""

    x: np.ndarray
    states: list[np.ndarray]
    ih: np.ndarray
    hh: np.ndarray
    bx: np.ndarray
    bh: np.ndarray
    vectors: np.ndarray                 # (V, H)
    held: list[int]                     # how many of them each operand holds
    hr: np.ndarray
    given: list[np.ndarray]

    @staticmethod
    def of(cell: Cell, operands: tuple[Any, ...]) -> Parts:
        """The arrays of x, the states and the weights, contiguous."""
        S, end = len(cell.states), len(operands) - len(cell.given)
        arrays: list[Any] = [None if t is None else np.ascontiguousarray(t.array)
                             for t in operands[:end]]
        ih, hh, bx, bh, *vectors, hr = arrays[1 + S:]
        zero, H = np.zeros(ih.shape[0], ih.dtype), ih.shape[0] // len(cell.gates)
        return Parts(arrays[0], arrays[1:1 + S], ih, hh, zero if bx is None else bx,
                     zero if bh is None else bh,
                     np.concatenate(vectors).reshape(-1, H) if vectors
                     else np.zeros((0, 1), ih.dtype), [v.shape[0] // H for v in vectors],
                     np.zeros((1, 1), ih.dtype) if hr is None else hr,
                     [t.array for t in operands[end:]])


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
    held = sum([v.shape[0] / H for v in weights.vectors])
    for what, names, count in ((f"vectors of {H}", cell.vectors, held),
                               ("given constants", cell.given, len(weights.given))):
        if len(names) != count:
            raise ShapeError(f"cell {cell.name!r}: expected {len(names)} {what} "
                             f"({', '.join(names)}), got {count:g}")
    for name, t in zip(cell.given, weights.given):
        if t.shape != (*shape[:2], H):
            raise ShapeError(f"cell {cell.name!r}: {name!r} is given for every step, so it must "
                             f"be {(*shape[:2], H)}, got {t.shape}")
