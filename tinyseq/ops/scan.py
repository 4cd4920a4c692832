"""Running along an axis: cumsum, cumprod, prod, and the recurrence that differentiates them."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.op import structural
from tinyseq.ops.arithmetic import mul
from tinyseq.ops.arrange import flip
from tinyseq.ops.join import cat, narrow
from tinyseq.ops.reduce import counted
from tinyseq.ops.shape import astype, axis_of, kept, reshape
from tinyseq.samples import real


def before(x: Any, dim: int, start: float) -> Any:
    """x one place later along an axis, with `start` in the first place: what stood before each."""
    if x.shape[dim] == 0:
        return x
    first = np.full(kept(x.shape, dim), start, x.dtype)
    return cat([first, narrow(x, dim, 0, x.shape[dim] - 1)], dim)


@structural
class recurrence:
    """A linear recurrence along an axis, from a state of 0; its gradient is one, backwards.

    Equation: y_t = a_t y_{t-1} + b_t
    Shapes: a, b and y are equal; t runs along `dim`.
    Example:
        >>> import numpy as np
        >>> from tinyseq.ops.scan import recurrence
        >>> recurrence(np.full(4, 0.5), np.ones(4), dim=0)
        array([1.   , 1.5  , 1.75 , 1.875])
    """

    latex = r"{a} \, y_{{t-1}} + {b}"
    samples = real(-1, 1, (3, 4), (3, 4), dim=1) + real(-1, 1, (4, 2), (4, 2), dim=0)
    inputs = "a b"

    def forward(a, b, dim):
        y = np.empty(b.shape, np.result_type(a, b))
        y_t, a_t, b_t = [np.moveaxis(v, dim, 0) for v in (y, a, b)]
        for t in range(b.shape[dim]):
            y_t[t] = a_t[t] * y_t[t - 1] + b_t[t] if t else b_t[t]
        return y

    def backward_a(gy, a, y, dim): return mul(returned(gy, a, dim), before(y, dim, 0.0))
    def backward_b(gy, a, dim): return returned(gy, a, dim)


def returned(gy: Any, a: Any, dim: int) -> Any:
    """What comes back through a recurrence: g_t = gy_t + a_{t+1} g_{t+1}."""
    back = flip(a, dim)
    return flip(recurrence(before(back, dim, 0.0), flip(gy, dim), dim=dim), dim)


@structural
class cumsum_along:
    """The sum up to and with each place; `cumsum` is its public form.

    Equation: y_t = x_0 + ... + x_t
    Shapes: y as x; t runs along `dim`. Integers and bools give int64.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([1.0, 2.0, 3.0]).cumsum(0)
        tensor([1., 3., 6.])
    """

    name = "cumsum"
    latex = r"\sum_{{s \le t}} {x}_s"
    samples = real(-1, 1, (3, 4), dim=1) + real(-1, 1, (3, 4), dim=0)
    inputs = "x"

    def forward(x, dim): return np.cumsum(x, axis=dim, dtype=counted(x))
    def backward(gy, dim): return flip(cumsum_along(flip(gy, dim), dim=dim), dim)


@structural
class cumprod_along:
    """The product up to and with each place; its gradient is exact where factors are 0.

    Equation: y_t = x_0 x_1 ... x_t
    Shapes: y as x; t runs along `dim`. Integers and bools give int64.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([1.0, 2.0, 3.0]).cumprod(0)
        tensor([1., 2., 6.])
    """

    name = "cumprod"
    latex = r"\prod_{{s \le t}} {x}_s"
    samples = real(0.5, 1.5, (3, 4), dim=1) + real(-1.5, -0.5, (3, 4), dim=0)
    inputs = "x"

    def forward(x, dim): return np.cumprod(x, axis=dim, dtype=counted(x))
    def backward(gy, x, y, dim): return mul(before(y, dim, 1.0), returned(gy, x, dim))


@structural
class prod_along:
    """The product over an axis; its gradient is exact where factors are 0.

    Equation: y = prod_i x_i
    Shapes: y as x without the axis (of size 1 with keepdim).
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([2.0, 3.0]).prod()
        tensor(6.)
    """

    name = "prod"
    latex = r"\prod {x}"
    samples = real(0.5, 1.5, (3, 4), dim=1) + real(-1.5, -0.5, (3, 4), dim=0, keepdim=True)
    inputs = "x"

    def forward(x, dim, keepdim=False):
        return np.prod(x, axis=dim, keepdims=keepdim, dtype=counted(x))

    def backward(gy, x, dim):
        earlier = before(cumprod_along(x, dim=dim), dim, 1.0)
        later = flip(before(cumprod_along(flip(x, dim), dim=dim), dim, 1.0), dim)
        return reshape(gy, kept(x.shape, dim)) * (earlier * later)


def on_line(x: Any, dim: int, dtype: Any) -> tuple[Any, int]:
    """x in `dtype`, a 0-d one as a line of one element; and the axis counted from the front."""
    at = axis_of(x, dim)
    x = x if dtype is None else astype(x, dtype=np.dtype(dtype))
    return (x if x.ndim else reshape(x, (1,))), at


def cumsum(x: Any, dim: int, *, dtype: Any = None) -> Any:
    """The sum up to and with each place of axis `dim`."""
    line, at = on_line(x, dim, dtype)
    return reshape_back(cumsum_along(line, dim=at), x)


def cumprod(x: Any, dim: int, *, dtype: Any = None) -> Any:
    """The product up to and with each place of axis `dim`."""
    line, at = on_line(x, dim, dtype)
    return reshape_back(cumprod_along(line, dim=at), x)


def reshape_back(y: Any, x: Any) -> Any:
    """y as x was: 0-d, if x was."""
    return y if x.ndim else reshape(y, ())


def prod(x: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The product of all elements, or over axis `dim`."""
    if dim is None:
        x, dim, keepdim = reshape(x, (x.numel(),)), 0, False
    line, at = on_line(x, dim, dtype)
    return prod_along(line, dim=at, keepdim=keepdim and x.ndim > 0)
