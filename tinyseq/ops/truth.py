"""Comparisons, logic and tests of single elements: bool tensors, without a gradient."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq.ops.pointwise import Pointwise
from tinyseq.tensor import Tensor, wrap


def comparison(name: str, ufunc: Callable, word: str) -> Pointwise:
    """A comparison of two tensors, or of a tensor and a number."""
    return Pointwise(name, ufunc, f"Whether a is {word} b, element by element: a bool Tensor, "
                     "no gradient. Nothing is equal to a NaN.", 2)


eq = comparison("eq", np.equal, "equal to")
ne = comparison("ne", np.not_equal, "different from")
lt = comparison("lt", np.less, "less than")
le = comparison("le", np.less_equal, "at most")
gt = comparison("gt", np.greater, "greater than")
ge = comparison("ge", np.greater_equal, "at least")

logical_not = Pointwise("logical_not", np.logical_not, "Whether an element is 0 (or False).")
logical_and = Pointwise("logical_and", np.logical_and, "Whether neither of two elements is 0.", 2)
logical_or = Pointwise("logical_or", np.logical_or, "Whether one of two elements is not 0.", 2)
logical_xor = Pointwise("logical_xor", np.logical_xor, "Whether just one of two is not 0.", 2)
isnan = Pointwise("isnan", np.isnan, "Whether an element is NaN.")
isinf = Pointwise("isinf", np.isinf, "Whether an element is +inf or -inf.")
isfinite = Pointwise("isfinite", np.isfinite, "Whether an element is neither NaN nor infinite.")

bitwise_not = Pointwise("bitwise_not", np.bitwise_not, "`~x`: not, for bool and for integers.")
bitwise_and = Pointwise("bitwise_and", np.bitwise_and, "`a & b`, for bool and for integers.", 2)
bitwise_or = Pointwise("bitwise_or", np.bitwise_or, "`a | b`, for bool and for integers.", 2)
bitwise_xor = Pointwise("bitwise_xor", np.bitwise_xor, "`a ^ b`, for bool and for integers.", 2)
LOGIC = {"__invert__": bitwise_not,
         **{f"__{side}{word}__": call for side in ("", "r") for word, call in (
             ("and", bitwise_and), ("or", bitwise_or), ("xor", bitwise_xor))}}


def values(name: str, t: Any) -> np.ndarray:
    """The array of a Tensor, or a TypeError."""
    if not isinstance(t, Tensor):
        raise TypeError(f"{name} compares Tensors, got {type(t).__name__}: type ts.tensor(...)")
    return t.array


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape and equal elements; a NaN equals nothing.

    Example:
        >>> import tinyseq as ts
        >>> ts.equal(ts.tensor([1, 2]), ts.tensor([1, 2])), ts.equal(ts.ones(2), ts.ones(1))
        (True, False)
    """
    return bool(np.array_equal(values("equal", input), values("equal", other)))


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8,
            equal_nan: bool = False) -> Tensor:
    """Where |input - other| <= atol + rtol |other|.

    Example:
        >>> import tinyseq as ts
        >>> ts.isclose(ts.tensor([1.0, 2.0]), ts.tensor([1.000001, 2.1]))
        tensor([ True, False])
    """
    if rtol < 0 or atol < 0:
        raise ValueError(f"rtol and atol must not be negative, got {rtol} and {atol}")
    return wrap(np.isclose(values("isclose", input), values("isclose", other), rtol, atol,
                           equal_nan))


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8,
             equal_nan: bool = False) -> bool:
    """Whether isclose holds everywhere.

    Example:
        >>> import tinyseq as ts
        >>> ts.allclose(ts.ones(3), ts.ones(3) + 1e-7)
        True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).array.all())
