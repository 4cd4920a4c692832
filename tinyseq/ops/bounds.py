"""The larger, the smaller, and what is kept between bounds."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.op import elementwise
from tinyseq.ops.arithmetic import where
from tinyseq.samples import real


@elementwise
class maximum:
    """The larger of two, element by element. A NaN wins; equal ones share the gradient evenly.

    Equation: y = max(a, b)
    Shapes: a and b broadcast, y has the broadcast shape.
    Example:
        >>> import tinyseq as ts
        >>> ts.maximum(ts.tensor([1.0, 5.0]), ts.tensor([3.0, 4.0]))
        tensor([3., 5.])
    """

    latex = r"\max({a}, {b})"
    samples = real(-2, 2, (3, 4), (3, 4)) + real(-2, 2, (3, 4), (4,))
    sparse = True  # the smaller one has no share

    def forward(a, b): return np.maximum(a, b)
    def backward_a(gy, a, b): return where(a == b, 0.5 * gy, where(a < b, 0.0, gy))
    def backward_b(gy, a, b): return where(a == b, 0.5 * gy, where(b < a, 0.0, gy))


@elementwise
class minimum:
    """The smaller of two, element by element. A NaN wins; equal ones share the gradient evenly.

    Equation: y = min(a, b)
    Shapes: a and b broadcast, y has the broadcast shape.
    Example:
        >>> import tinyseq as ts
        >>> ts.minimum(ts.tensor([1.0, 5.0]), ts.tensor([3.0, 4.0]))
        tensor([1., 4.])
    """

    latex = r"\min({a}, {b})"
    samples = real(-2, 2, (3, 4), (3, 4)) + real(-2, 2, (3, 4), (4,))
    sparse = True

    def forward(a, b): return np.minimum(a, b)
    def backward_a(gy, a, b): return where(a == b, 0.5 * gy, where(b < a, 0.0, gy))
    def backward_b(gy, a, b): return where(a == b, 0.5 * gy, where(a < b, 0.0, gy))


@elementwise
class clamp_min:
    """x, but nowhere below a bound. On the bound the gradient is x's; a NaN stays, and takes it.

    Equation: y = max(x, min)
    Shapes: x and min broadcast, y has the broadcast shape; min may be a number.
    Example:
        >>> import tinyseq as ts
        >>> ts.clamp_min(ts.tensor([-1.0, 2.0]), 0.5)
        tensor([0.5, 2. ])
    """

    latex = r"\max({x}, {min})"
    samples = real(-2, 2, (3, 4), (3, 4)) + real(-2, 2, (3, 4), (4,))
    sparse = True

    def forward(x, min): return np.maximum(x, min)
    def backward_x(gy, x, min): return where(x < min, 0.0, gy)
    def backward_min(gy, x, min): return where(x < min, gy, 0.0)


@elementwise
class clamp_max:
    """x, but nowhere above a bound. On the bound the gradient is x's; a NaN stays, and takes it.

    Equation: y = min(x, max)
    Shapes: x and max broadcast, y has the broadcast shape; max may be a number.
    Example:
        >>> import tinyseq as ts
        >>> ts.clamp_max(ts.tensor([-1.0, 2.0]), 0.5)
        tensor([-1. ,  0.5])
    """

    latex = r"\min({x}, {max})"
    samples = real(-2, 2, (3, 4), (3, 4)) + real(-2, 2, (3, 4), (4,))
    sparse = True

    def forward(x, max): return np.minimum(x, max)
    def backward_x(gy, x, max): return where(max < x, 0.0, gy)
    def backward_max(gy, x, max): return where(max < x, gy, 0.0)


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """What lies outside of [min, max] becomes the bound; either may be None, a number or a Tensor.

    On a bound the gradient is 1, as in torch; a NaN stays one and takes the gradient (in torch it
    gets 0). Where min is above max, the result is max. In a cell: clamp_max(clamp_min(z, a), b).

    Errors: ValueError if both bounds are missing.
    Example:
        >>> import tinyseq as ts
        >>> ts.clamp(ts.tensor([-2.0, 0.5, 3.0]), -1, 1)
        tensor([-1. ,  0.5,  1. ])
    """
    if min is None and max is None:
        raise ValueError("clamp: at least one of min and max must be given")
    above = input if min is None else clamp_min(input, min)
    return above if max is None else clamp_max(above, max)
