"""Activations and the functions behind them; numpy here, our own kernels for large arrays."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq import kernels
from tinyseq.op import OPS, elementwise
from tinyseq.ops.arithmetic import where
from tinyseq.ops.bounds import clamp_max
from tinyseq.ops.elementary import abs, erfc, exp, log1p, square
from tinyseq.samples import real


@elementwise
class tanh:
    """Hyperbolic tangent: squashes any real number into (-1, 1).

    Equation: y = tanh(x)
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.tanh(ts.tensor([0.0, 1.0]))
        tensor([0.       , 0.7615942])
    """

    latex = r"\tanh({x})"
    samples = real(-2, 2)

    def forward(x): return np.tanh(x)
    def backward(gy, y): return gy * (1.0 - y * y)


@elementwise
class sigmoid:
    """Logistic sigmoid: squashes any real number into (0, 1). Written so that nothing overflows.

    Equation: y = 1 / (1 + e^-x) = (1 + tanh(x / 2)) / 2
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.sigmoid(ts.tensor([0.0, 2.0]))
        tensor([0.5      , 0.8807971])
    """

    latex = r"\sigma({x})"
    samples = real(-4, 4)

    def forward(x): return 0.5 * tanh(0.5 * x) + 0.5
    def backward(gy, y): return gy * y * (1.0 - y)


@elementwise
class relu:
    """Rectifier: the positive part. Its derivative at 0 is 0, as torch has it; a NaN stays NaN.

    Equation: y = max(x, 0)
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.relu(ts.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    latex = r"\max({x}, 0)"
    samples = real(-2, 2)
    kinks = (0.0,)

    def forward(x): return np.maximum(x, 0)
    def backward(gy, y): return where(y <= 0.0, 0.0, gy)


@elementwise
class gelu_erf:
    """x times the probability that a standard normal number is below x.

    Equation: y = x (1 + erf(x / sqrt 2)) / 2
    Shapes: y as x.
    Source: Hendrycks and Gimpel 2016.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.gelu(ts.tensor([0.0, 1.0])).numpy().round(3)
        array([0.   , 0.841], dtype=float32)
    """

    name = "gelu"
    latex = r"\mathrm{{gelu}}({x})"
    samples = real(-2, 2)

    @np.errstate(invalid="ignore")
    def forward(x): return x * (0.5 * erfc(-0.7071067811865476 * x))

    def backward(gy, x):
        return gy * (0.5 * erfc(-0.7071067811865476 * x)
                     + x * (0.3989422804014327 * exp(-0.5 * (x * x))))


@elementwise
class gelu_tanh:
    """gelu's approximation by a tanh.

    Equation: y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
    Shapes: y as x.
    Source: Hendrycks and Gimpel 2016.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.gelu(ts.tensor([0.0, 1.0]), "tanh").numpy().round(3)
        array([0.   , 0.841], dtype=float32)
    """

    latex = r"\mathrm{{gelu}}_{{\tanh}}({x})"
    samples = real(-2, 2)

    @np.errstate(invalid="ignore", over="ignore")
    def forward(x):
        return 0.5 * x * (1.0 + tanh(0.7978845608028654 * x * (1.0 + 0.044715 * (x * x))))

    def backward(gy, x):
        return gy * (0.5 + 0.5 * tanh(0.7978845608028654 * x * (1.0 + 0.044715 * (x * x)))
                     + 0.5 * x * (1.0 - square(tanh(0.7978845608028654 * x
                                                    * (1.0 + 0.044715 * (x * x)))))
                     * (0.7978845608028654 * (1.0 + 0.134145 * (x * x))))


@elementwise
class silu:
    """x times its own sigmoid.

    Equation: y = x / (1 + e^-x)
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.silu(ts.tensor([0.0, 1.0])).numpy().round(3)
        array([0.   , 0.731], dtype=float32)
    """

    latex = r"{x} \odot \sigma({x})"
    samples = real(-2, 2)

    @np.errstate(invalid="ignore")
    def forward(x): return x * sigmoid(x)
    def backward(gy, x): return gy * (sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))))


@elementwise
class logsigmoid:
    """The logarithm of the sigmoid, exact where the sigmoid itself is 0 or 1.

    Equation: y = -ln(1 + e^-x)
    Shapes: y as x. Units: nats.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.logsigmoid(ts.tensor([0.0, -1000.0]))
        tensor([-6.931472e-01, -1.000000e+03])
    """

    latex = r"\ln \sigma({x})"
    samples = real(-3, 3)

    def forward(x): return clamp_max(x, 0.0) - log1p(exp(-abs(x)))
    def backward(gy, x): return gy * sigmoid(-x)


@elementwise
class softsign:
    """Like tanh, but slower to reach its limits -1 and 1.

    Equation: y = x / (1 + |x|)
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.softsign(ts.tensor([-1.0, 3.0]))
        tensor([-0.5 ,  0.75])
    """

    latex = r"\frac{{{x}}}{{1 + |{x}|}}"
    samples = real(-2, 2)
    kinks = (0.0,)  # of its second derivative

    @np.errstate(invalid="ignore")
    def forward(x): return x / (1.0 + abs(x))
    def backward(gy, x): return gy / ((1.0 + abs(x)) * (1.0 + abs(x)))


def gelu(input: Any, approximate: str = "none") -> Any:
    """x times the probability that a standard normal number is below x; or a tanh close to that.

    Errors: ValueError for an `approximate` that is neither "none" nor "tanh".
    Example:
        >>> import tinyseq as ts
        >>> ts.gelu(ts.tensor([1.0])).numpy().round(3)
        array([0.841], dtype=float32)
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return gelu_tanh(input) if approximate == "tanh" else gelu_erf(input)


# Large arrays: our own kernels beat numpy's (docs/scalar.md).
for _name in ("exp", "log", "tanh", "sigmoid"):
    OPS[_name].fast = kernels.elementwise(_name)
