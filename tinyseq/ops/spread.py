"""How far elements lie from their mean or from 0: var, std, norm."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.op import structural
from tinyseq.ops.arithmetic import mul, sub, where
from tinyseq.ops.extreme import amax, amin
from tinyseq.ops.reduce import axes, counts, floating, mean, sum_over
from tinyseq.ops.shape import kept, reshape
from tinyseq.samples import real


def spread(name: str, x: Any, dim: Any, unbiased: bool, keepdim: bool, correction: Any) -> tuple:
    """What var and std share: deviations, axes, and the divisor."""
    if isinstance(dim, bool):  # var(False) is torch's var(unbiased=False)
        unbiased, dim = dim, None
    x, over = floating(name, x), axes(x, dim)
    taken_off = float(unbiased) if correction is None else float(correction)
    return sub(x, mean(x, over, True)), over, max(0.0, counts(x, over) - taken_off)


def var(x: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *,
        correction: Any = None) -> Any:
    """The variance over `dim`: squared deviations, divided by count - correction (1; 0 if biased).

    Equation: y = sum_i (x_i - mean)^2 / (n - correction)
    Shapes: y as x without the reduced axes.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([1.0, 2.0, 3.0])
        >>> ts.var(x), ts.var(x, correction=0)
        (tensor(1.), tensor(0.6666667))
    """
    deviation, over, divisor = spread("var", x, dim, unbiased, keepdim, correction)
    return sum_over(mul(deviation, deviation), dim=over, keepdim=keepdim) / divisor


def std(x: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *,
        correction: Any = None) -> Any:
    """The standard deviation over `dim`; where it is 0 its gradient is 0, as in torch.

    Equation: y = sqrt(sum_i (x_i - mean)^2 / (n - correction))
    Shapes: y as x without the reduced axes.
    Example:
        >>> import tinyseq as ts
        >>> ts.std(ts.tensor([1.0, 2.0, 3.0]))
        tensor(1.)
    """
    deviation, over, divisor = spread("std", x, dim, unbiased, keepdim, correction)
    return norm_over(deviation, p=2.0, dim=over, keepdim=keepdim) / divisor ** 0.5


@structural
class norm_over:
    """The p-norm over axes, 0 < p < inf; `norm` is its public form. Its gradient at 0 is 0.

    Equation: y = (sum_i |x_i|^p)^(1/p)
    Shapes: y as x without the reduced axes.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([3.0, 4.0]).norm()
        tensor(5.)
    """

    name = "norm"
    latex = r"\lVert {x} \rVert"
    samples = (real(0.3, 2, (3, 4), p=2.0, dim=1) + real(-2, -0.3, (3, 4), p=3.0)
               + real(-2, -0.3, (3, 4), p=1.0, dim=0, keepdim=True))
    inputs = "x"
    kinks = (0.0,)

    @np.errstate(over="ignore", divide="ignore", invalid="ignore")
    def forward(x, p, dim=None, keepdim=False):
        if p == 2:
            return np.sqrt(np.sum(x * x, axis=dim, keepdims=keepdim))
        return np.sum(np.abs(x) ** p, axis=dim, keepdims=keepdim) ** (1 / p)

    def backward(gy, x, y, p, dim):
        shape = kept(x.shape, dim)
        gy, y = reshape(gy, shape), reshape(y, shape)
        unit = x / where(y == 0, 1.0, y)
        if p == 2:
            return gy * unit
        size = where(x > 0, unit, where(x < 0, -unit, 1.0))  # |x| / y; what is 0 has no part
        return where(x > 0, gy, where(x < 0, -gy, 0.0)) * size ** (p - 1)


def magnitude(x: Any) -> Any:
    """|x|, with gradient 0 at 0."""
    return where(x > 0, x, where(x < 0, -x, x * 0.0))


def norm(x: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """The p-norm of the elements over `dim` (all axes if None): p is a number, inf or "fro" (2).

    Shapes: y as x without the reduced axes. Ties of p = inf share the gradient evenly.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([3.0, -4.0])
        >>> [x.norm(p).item() for p in (2, 1, float("inf"), 0)]
        [5.0, 7.0, 4.0, 2.0]
    """
    if isinstance(p, str) and p != "fro":
        raise ValueError(f"norm: p must be a number or 'fro', got {p!r}")
    x, power, over = floating("norm", x, dtype), 2.0 if p == "fro" else float(p), axes(x, dim)
    if abs(power) == np.inf:
        return (amax if power > 0 else amin)(magnitude(x), over, keepdim)
    if power == 0:
        return sum_over(where(x != 0, 1.0 + x * 0.0, x * 0.0), dim=over, keepdim=keepdim)
    return norm_over(x, p=power, dim=over, keepdim=keepdim)
