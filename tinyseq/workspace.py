"""What a fused forward pass keeps for backward; its memory is used again, not asked for anew."""
from __future__ import annotations

import numpy as np

from tinyseq.equations import Cell

_pool: dict[tuple, list[np.ndarray]] = {}  # workspaces given back, by shape and dtype
_held = [0]  # bytes waiting there
MOST = 512 * 2 ** 20  # bytes: sequences of many lengths must not pile up


def workspace(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array to write into, a used one if there is one: fresh pages cost more than the work."""
    try:
        array = _pool[shape, dtype].pop()
    except (KeyError, IndexError):
        return np.empty(shape, dtype)
    _held[0] -= array.nbytes
    return array


def give_back(array: np.ndarray) -> None:
    """Keep an array for the next pass that wants its shape, unless enough is kept already."""
    if _held[0] + array.nbytes <= MOST:
        _held[0] += array.nbytes
        _pool.setdefault((array.shape, array.dtype), []).append(array)


def release_workspaces() -> None:
    """Give the memory of all waiting workspaces back to the system."""
    _pool.clear()
    _held[0] = 0


class Run:
    """What one forward pass keeps for backward; gives its workspaces back when it dies."""

    def __init__(self, cell: Cell, x: np.ndarray, dtype: np.dtype, H: int, saves: bool) -> None:
        T, N = x.shape[:2]
        K = len(cell.gates)
        kept = len([line for line in cell.lines
                    if not line.scalar and line.name not in cell.returns])
        self.Wx = workspace((T, N, K * H), dtype)
        self.Wh = workspace((T if saves else 1, N, K * H), dtype)
        self.lines = workspace((T, kept + len(cell.given), N, H), dtype)
        self.states: list[np.ndarray] = []

    def __del__(self) -> None:
        for array in (self.Wx, self.Wh, self.lines):
            give_back(array)
