"""Rounding, sign and division with a remainder: flat but for jumps, so their gradient is 0."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq.op import elementwise
from tinyseq.ops.arithmetic import where
from tinyseq.ops.pointwise import Pointwise
from tinyseq.samples import real
from tinyseq.tensor import Tensor


class Flat(Pointwise):
    """A function that is constant between its jumps: recorded, with a gradient of 0."""

    def __call__(self, *operands: Any, other: Any = None) -> Any:
        y = super().__call__(*operands, other=other)
        for t in (*operands, other):  # `where` never picks t, and so hands it zeros
            if isinstance(t, Tensor) and t.requires_grad:
                y = where(np.False_, t, y)
        return y


def whole(ufunc: np.ufunc) -> Callable:
    """A rounding; integers stay what they are."""
    return lambda x: ufunc(x) if x.dtype.kind == "f" else x.copy()


floor = Flat("floor", whole(np.floor),
             "The largest whole number that is not above x; its gradient is 0.")
ceil = Flat("ceil", whole(np.ceil),
            "The smallest whole number that is not below x; its gradient is 0.")
trunc = Flat("trunc", whole(np.trunc),
             "x without its fraction, rounded towards 0; its gradient is 0.")
sign = Flat("sign", lambda x: np.where(x < 0, -1, x > 0).astype(x.dtype),
            "-1, 0 or 1 as x is negative, zero (or NaN, as in torch) or positive; gradient 0.")
floor_divide = Flat("floor_divide", lambda a, b: floored(a, b),
                    "The floor of a / b: `a // b`. Its gradient is 0 (torch has none).", 2)
truncated = Flat("div", lambda a, b: cut_short(a, b), "a / b, rounded towards 0.", 2)
rounded = Flat("round", whole(np.rint), "The nearest whole number.")


def floored(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """floor(a / b) as torch has it: an infinity where a float is divided by zero.

    Errors: ZeroDivisionError for integers, as in torch.
    """
    y = np.floor_divide(a, divisor(b))
    return y if b.dtype.kind != "f" else np.where(b == 0, a / b, y)


def cut_short(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b without its fraction; of integers, without a detour through floating point."""
    if b.dtype.kind == "f":
        return np.trunc(a / b)
    down = np.floor_divide(a, divisor(b))
    return down + ((down < 0) & (down * b != a))


def divisor(b: np.ndarray) -> np.ndarray:
    """b, unless it is a whole number 0, for which there is no quotient to stand in; or bool."""
    if b.dtype.kind == "b":
        raise RuntimeError("a division with a remainder is not implemented for bool: type "
                           "t.long()")
    if b.dtype.kind != "f" and not np.all(b):
        raise ZeroDivisionError("an integer divided by zero: use floating point, type b.float()")
    return b


def round(input: Any, *, decimals: int = 0) -> Tensor:
    """The nearest number with `decimals` places; halves go to the even neighbour. Gradient 0.

    Example:
        >>> import tinyseq as ts
        >>> ts.round(ts.tensor([0.5, 1.5, 2.5])), ts.round(ts.tensor([1.26]), decimals=1)
        (tensor([0., 2., 2.]), tensor([1.3]))
    """
    if decimals == 0:
        return rounded(input)
    scale = 10.0 ** abs(decimals)
    return rounded(input * scale) / scale if decimals > 0 else rounded(input / scale) * scale


@elementwise
class remainder:
    """What is left of a after division by b, with the sign of b: `a % b`.

    Equation: y = a - b floor(a / b)
    Shapes: a and b broadcast, y has the broadcast shape.
    Example:
        >>> import tinyseq as ts
        >>> ts.remainder(ts.tensor([5.0, -5.0]), 3.0)
        tensor([2., 1.])
    """

    latex = r"{a} \bmod {b}"
    samples = real(0.5, 4, (3, 4), (3, 4)) + real(0.5, 4, (3, 4), (4,))
    sparse = True  # where a < b, b has no share

    @np.errstate(invalid="ignore", divide="ignore")
    def forward(a, b): return np.remainder(a, divisor(b))
    def backward_a(gy): return gy
    def backward_b(gy, a, b): return -gy * floor_divide(a, b)


@elementwise
class fmod:
    """What is left of a after division by b, with the sign of a.

    Equation: y = a - b trunc(a / b)
    Shapes: a and b broadcast, y has the broadcast shape.
    Example:
        >>> import tinyseq as ts
        >>> ts.fmod(ts.tensor([5.0, -5.0]), 3.0)
        tensor([ 2., -2.])
    """

    latex = r"\mathrm{{fmod}}({a}, {b})"
    samples = real(0.5, 4, (3, 4), (3, 4)) + real(0.5, 4, (3, 4), (4,))
    sparse = True

    @np.errstate(invalid="ignore", divide="ignore")
    def forward(a, b): return np.fmod(a, divisor(b))
    def backward_a(gy): return gy
    def backward_b(gy, a, b): return -gy * trunc(a / b)
