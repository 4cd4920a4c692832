"""Arithmetic by name: what operators do, with torch's keywords and options."""
from __future__ import annotations

from typing import Any

from tinyseq.ops import arithmetic
from tinyseq.ops.rounding import floor_divide, truncated


def add(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """Sum, element by element: input + alpha other.

    Shapes: input and other broadcast.
    Example:
        >>> import tinyseq as ts
        >>> ts.add(ts.tensor([1.0, 2.0]), 3.0, alpha=2)
        tensor([7., 8.])
    """
    return arithmetic.add(input, other if alpha == 1 else other * alpha)


def sub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """Difference, element by element: input - alpha other.

    Shapes: input and other broadcast.
    Example:
        >>> import tinyseq as ts
        >>> ts.sub(ts.tensor([1.0, 2.0]), 3.0, alpha=2)
        tensor([-5., -4.])
    """
    return arithmetic.sub(input, other if alpha == 1 else other * alpha)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """Quotient, element by element; rounded down with "floor", towards 0 with "trunc".

    Shapes: input and other broadcast. A rounded quotient has gradient 0; one of integers stays
    of integers.
    Errors: ValueError for another rounding mode.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([7.0, -7.0])
        >>> ts.div(x, 2.0), ts.div(x, 2.0, rounding_mode="trunc")
        (tensor([ 3.5, -3.5]), tensor([ 3., -3.]))
    """
    if rounding_mode is None:
        return arithmetic.div(input, other)
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode != "trunc":
        raise ValueError("div expected rounding_mode to be one of None, 'trunc', or 'floor' but "
                         f"found {rounding_mode!r}")
    return truncated(input, other)


def pow(input: Any, exponent: Any) -> Any:
    """A power, element by element; 0 ** 0 is 1, with a gradient of 0 for both, as in torch.

    Shapes: input and exponent broadcast. Either may be a number.
    Example:
        >>> import tinyseq as ts
        >>> ts.pow(ts.tensor([1.0, 3.0]), exponent=2)
        tensor([1., 9.])
    """
    return arithmetic.pow(input, exponent)


def where(condition: Any, input: Any, other: Any) -> Any:
    """Elements of input where the condition holds, of other elsewhere.

    Shapes: all three broadcast; input and other may be numbers. The condition is bool.
    Errors: TypeError for a condition that is not bool; ShapeError naming the three shapes.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([1.0, -2.0])
        >>> ts.where(x > 0, x, 0.0)
        tensor([1., 0.])
    """
    return arithmetic.where(condition, input, other)
