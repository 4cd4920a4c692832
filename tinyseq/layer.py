"""What one recurrent layer in one direction is made of: parameters, and the arrays behind them."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinyseq.equations import Cell
from tinyseq.tensor import Tensor


class Weights(NamedTuple):
    """The parameters of one layer in one direction, in torch's shapes."""

    ih: Tensor                          # (K*H, I)
    hh: Tensor                          # (K*H, H)
    bias_ih: Tensor | None = None       # (K*H)
    bias_hh: Tensor | None = None       # (K*H)
    vectors: tuple[Tensor, ...] = ()    # each (H), in the order of cell.vectors
    hr: Tensor | None = None            # (P, H), for cells that project

    def flat(self) -> tuple[Tensor | None, ...]:
        """In the order that a fused node keeps them in."""
        return (self.ih, self.hh, self.bias_ih, self.bias_hh, *self.vectors, self.hr)

    @staticmethod
    def of(flat: Any) -> Weights:
        """The inverse of `flat`."""
        ih, hh, bias_ih, bias_hh, *vectors, hr = flat
        return Weights(ih, hh, bias_ih, bias_hh, tuple(vectors), hr)


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

    @staticmethod
    def of(cell: Cell, operands: tuple[Any, ...]) -> Parts:
        """The arrays of x, the states and the weights, contiguous."""
        S = len(cell.states)
        arrays: list[Any] = [None if t is None else np.ascontiguousarray(t.array)
                             for t in operands]
        ih, hh, bx, bh, *vectors, hr = arrays[1 + S:]
        zero = np.zeros(ih.shape[0], ih.dtype)
        return Parts(arrays[0], arrays[1:1 + S], ih, hh, zero if bx is None else bx,
                     zero if bh is None else bh,
                     np.array(vectors) if vectors else np.zeros((0, 1), ih.dtype), hr)
