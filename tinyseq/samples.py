"""Samples: how the inputs are drawn on which the tests run every operation."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Sample(NamedTuple):
    """How to draw one set of inputs: shapes, a range, and the attributes of the call."""

    shapes: tuple[tuple[int, ...], ...]
    low: float
    high: float
    attrs: dict[str, Any]

    def draw(self, rng: np.random.Generator) -> list[np.ndarray]:
        return [rng.uniform(self.low, self.high, shape) for shape in self.shapes]


def real(low: float, high: float, *shapes: tuple[int, ...], count: int = 1,
         **attrs: Any) -> tuple[Sample, ...]:
    """Inputs drawn evenly from [low, high]; by default one shape, and a broadcast partner."""
    if shapes:
        return (Sample(shapes, low, high, attrs),)
    if count == 1:
        return (Sample(((3, 4),), low, high, attrs),)
    return tuple(Sample(pair, low, high, attrs)
                 for pair in (((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2, 3))))
