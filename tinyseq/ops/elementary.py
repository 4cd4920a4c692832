"""Elementary functions of one number: logarithms, roots, trigonometry, the error function."""
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tinyseq import kernels
from tinyseq.op import elementwise
from tinyseq.ops.arithmetic import where
from tinyseq.samples import real


@elementwise
class abs:
    """The absolute value; its derivative at 0 is 0, as torch has it.

    Equation: y = |x|
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.abs(ts.tensor([-1.5, 2.0]))
        tensor([1.5, 2. ])
    """

    latex = "|{x}|"
    samples = real(-2, 2)
    kinks = (0.0,)

    def forward(x): return np.abs(x)
    def backward(gy, x): return where(x < 0.0, -gy, where(x > 0.0, gy, 0.0))


@elementwise
class exp:
    """The exponential.

    Equation: y = e^x
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.exp(ts.tensor([0.0, 1.0])).numpy().round(3)
        array([1.   , 2.718], dtype=float32)
    """

    latex = r"e^{{{x}}}"
    samples = real(-2, 2)

    @np.errstate(over="ignore", under="ignore")
    def forward(x): return np.exp(x)
    def backward(gy, y): return gy * y


@elementwise
class log1p:
    """The logarithm of 1 + x, exact for small x too.

    Equation: y = ln(1 + x)
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.log1p(ts.tensor([0.0, 1e-10]))
        tensor([0.e+00, 1.e-10])
    """

    latex = r"\ln(1 + {x})"
    samples = real(-0.5, 3)

    @np.errstate(divide="ignore", invalid="ignore")
    def forward(x): return np.log1p(x)
    def backward(gy, x): return gy / (1.0 + x)


@elementwise
class expm1:
    """The exponential minus 1, exact for small x too.

    Equation: y = e^x - 1
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.expm1(ts.tensor([0.0, 1e-10]))
        tensor([0.e+00, 1.e-10])
    """

    latex = "e^{{{x}}} - 1"
    samples = real(-2, 2)

    @np.errstate(over="ignore", under="ignore")
    def forward(x): return np.expm1(x)
    def backward(gy, y): return gy * (y + 1.0)


@elementwise
class rsqrt:
    """One over the square root.

    Equation: y = 1 / sqrt(x)
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.rsqrt(ts.tensor([4.0, 0.25]))
        tensor([0.5, 2. ])
    """

    latex = r"\frac{{1}}{{\sqrt{{{x}}}}}"
    samples = real(0.5, 4)

    @np.errstate(divide="ignore", invalid="ignore")
    def forward(x): return 1.0 / np.sqrt(x)
    def backward(gy, y): return gy * (-0.5 * (y * y * y))


@elementwise
class square:
    """x times x.

    Equation: y = x^2
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.square(ts.tensor([-3.0, 2.0]))
        tensor([9., 4.])
    """

    latex = "{x}^2"
    samples = real(-2, 2)

    @np.errstate(over="ignore", under="ignore")
    def forward(x): return x * x
    def backward(gy, x): return gy * (2.0 * x)


@elementwise
class reciprocal:
    """One over x.

    Equation: y = 1 / x
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.reciprocal(ts.tensor([4.0, 0.25]))
        tensor([0.25, 4.  ])
    """

    latex = r"\frac{{1}}{{{x}}}"
    samples = real(0.5, 4)

    @np.errstate(divide="ignore", over="ignore")
    def forward(x): return 1.0 / x
    def backward(gy, y): return -gy * (y * y)


@elementwise
class sin:
    """The sine.

    Equation: y = sin x
    Shapes: y as x. Units: radians.
    Example:
        >>> import tinyseq as ts
        >>> ts.sin(ts.tensor([0.0, 1.0])).numpy().round(3)
        array([0.   , 0.841], dtype=float32)
    """

    latex = r"\sin {x}"
    samples = real(-3, 3)

    @np.errstate(invalid="ignore")
    def forward(x): return np.sin(x)
    def backward(gy, x): return gy * cos(x)


@elementwise
class cos:
    """The cosine.

    Equation: y = cos x
    Shapes: y as x. Units: radians.
    Example:
        >>> import tinyseq as ts
        >>> ts.cos(ts.tensor([0.0, 1.0])).numpy().round(3)
        array([1.  , 0.54], dtype=float32)
    """

    latex = r"\cos {x}"
    samples = real(-3, 3)

    @np.errstate(invalid="ignore")
    def forward(x): return np.cos(x)
    def backward(gy, x): return -gy * sin(x)


@elementwise
class erf:
    """The error function: the part of a normal distribution within x sqrt(2) deviations.

    Equation: y = 2 / sqrt(pi) integral_0^x e^(-t^2) dt
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.erf(ts.tensor([0.0, 1.0])).numpy().round(3)
        array([0.   , 0.843], dtype=float32)
    """

    latex = r"\mathrm{{erf}}({x})"
    samples = real(-2, 2)

    def forward(x): return error_function("erf", x)
    def backward(gy, x): return gy * (1.1283791670955126 * exp(-(x * x)))


@elementwise
class erfc:
    """1 - erf(x), exact where that is small.

    Equation: y = 2 / sqrt(pi) integral_x^inf e^(-t^2) dt
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.erfc(ts.tensor([0.0, 1.0])).numpy().round(3)
        array([1.   , 0.157], dtype=float32)
    """

    latex = r"\mathrm{{erfc}}({x})"
    samples = real(-2, 2)

    def forward(x): return error_function("erfc", x)
    def backward(gy, x): return gy * (-1.1283791670955126 * exp(-(x * x)))


def error_function(word: str, x: np.ndarray) -> np.ndarray:
    """math.erf or math.erfc of every element, for numpy has neither; large arrays by a kernel."""
    one = {"erf": math.erf, "erfc": math.erfc}[word]
    if x.size > 4096:
        return COMPILED[word](x, lambda x: error_function_of(one, x))
    return error_function_of(one, x)


def error_function_of(one: Callable, x: np.ndarray) -> np.ndarray:
    """One of math's functions on every element, in x's dtype if that is floating point."""
    y = np.array([one(v) for v in x.ravel().tolist()]).reshape(x.shape)
    return y.astype(x.dtype) if x.dtype.kind == "f" else y


COMPILED = {word: kernels.elementwise(word) for word in ("erf", "erfc")}
