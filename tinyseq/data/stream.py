"""`StreamLoader`: a long series cut into streams side by side, read in windows that follow on."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinyseq.data.text import streams
from tinyseq.tensor import Tensor, wrap


class Batch(NamedTuple):
    """T steps of N streams: what is read, what comes next, and whether the state starts anew.

    Shapes: x, y (T, N).
    """

    x: Tensor
    y: Tensor
    restart: bool


class StreamLoader:
    """Windows for truncated BPTT, as tensors; every loop over it is one pass over the series.

    Column n of a window continues column n of the one before: carry the state over, detached,
    unless `restart` is set, which is so in the first window of every pass.
    Shapes: codes (characters,), integers such as `load_text().train`.
    Errors: TextError where a stream is shorter than one window and the character after it.
    Example:
        >>> loader = StreamLoader(np.arange(9), batch_size=2, steps=3)
        >>> for x, y, restart in loader:
        ...     print(x.tolist(), y.tolist(), restart)
        [[0, 4], [1, 5], [2, 6]] [[1, 5], [2, 6], [3, 7]] True
    """

    def __init__(self, codes: Any, batch_size: int, steps: int) -> None:
        self.codes = codes.array if isinstance(codes, Tensor) else np.asarray(codes)
        self.batch_size, self.steps = batch_size, steps
        streams(self.codes, batch_size, steps)  # refuses what gives no window

    def __len__(self) -> int:
        """How many windows a pass has."""
        return (len(self.codes) // self.batch_size - 1) // self.steps

    def __iter__(self) -> Iterator[Batch]:
        for x, y, restart in streams(self.codes, self.batch_size, self.steps, passes=1):
            yield Batch(wrap(x), wrap(y), restart)
