"""Samples: how the inputs are drawn on which the tests run every operation."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Sample(NamedTuple):
    """How to draw one set of inputs: shapes, a range, and the attributes of the call.

    An array in a shape's place is that very input: indices, a mask, values that must not be drawn.
    """

    shapes: tuple[Any, ...]
    low: float
    high: float
    attrs: dict[str, Any]

    def draw(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Numbers spread over the range, no two of them close to each other: no ties, no kinks
        by chance.

        Example:
            >>> a, b = Sample(((2, 2), ()), -1.0, 1.0, {}).draw(np.random.default_rng(0))
            >>> bool(np.diff(np.sort([*a.ravel(), b])).min() > 0.1)
            True
        """
        counts = [0 if isinstance(s, np.ndarray) else int(np.prod(s)) for s in self.shapes]
        total = sum(counts)
        places = rng.permutation(total) + rng.uniform(0.25, 0.75, total)
        drawn = self.low + (self.high - self.low) * places / max(total, 1)
        parts = np.split(drawn, np.cumsum(counts)[:-1])
        return [s.copy() if isinstance(s, np.ndarray) else part.reshape(s)
                for s, part in zip(self.shapes, parts)]

    def operands(self, rules: Any, rng: np.random.Generator, dtype: Any = np.float64
                 ) -> list[np.ndarray]:
        """The inputs of a call, in `dtype`; one drawn for an input without a rule is a condition.

        Example:
            >>> cond, x = Sample(((2,), (2,)), -1, 1, {}).operands([None, len],
            ...     np.random.default_rng(0), np.float32)
            >>> cond.dtype, x.dtype
            (dtype('bool'), dtype('float32'))
        """
        rules = list(rules) * (len(self.shapes) if len(rules) == 1 else 1)
        return [v if v.dtype.kind != "f" else v > np.median(v)
                if rule is None and not isinstance(s, np.ndarray) else v.astype(dtype)
                for v, s, rule in zip(self.draw(rng), self.shapes, rules)]


def real(low: float, high: float, *shapes: Any, count: int = 1,
         **attrs: Any) -> tuple[Sample, ...]:
    """Inputs spread over [low, high]; by default one shape, and a broadcast partner.

    Example:
        >>> (first,) = real(-1, 1, (2, 3), np.array([[0], [2]]), dim=1)
        >>> first.attrs
        {'dim': 1}
    """
    if shapes:
        return (Sample(shapes, low, high, attrs),)
    if count == 1:
        return (Sample(((3, 4),), low, high, attrs),)
    return tuple(Sample(pair, low, high, attrs)
                 for pair in (((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2, 3))))


def extreme(low: float, high: float, **attrs: Any) -> tuple[Sample, ...]:
    """Values at the range's ends, zeros of both signs, infinities and NaN: for a block's
    `extremes`, where a value and a gradient are expected without a warning.

    Example:
        >>> extreme(-1e4, 1e4)[0].shapes[0][:3]
        array([-10000.,  10000.,      0.])
    """
    values = np.array([low, high, 0.0, -0.0, np.inf, -np.inf, np.nan])
    return (Sample((values,), low, high, attrs),)
