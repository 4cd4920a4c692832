"""Activations and the functions behind them; numpy here, our own kernels for large arrays."""
from __future__ import annotations

import numpy as np

from tinyseq import kernels
from tinyseq.op import elementwise
from tinyseq.ops.arithmetic import where
from tinyseq.samples import real


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
class log:
    """The natural logarithm; log(0) = -inf and log of a negative number is nan, without a warning.

    Equation: y = ln x
    Shapes: y as x. Units: nats, where x is a probability.
    Example:
        >>> import tinyseq as ts
        >>> ts.log(ts.tensor([1.0, 2.0]))
        tensor([0.       , 0.6931472])
    """

    latex = r"\ln {x}"
    samples = real(0.5, 4)

    @np.errstate(divide="ignore", invalid="ignore")
    def forward(x): return np.log(x)
    def backward(gy, x): return gy / x


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


# Large arrays: our own kernels where they beat numpy's (docs/scalar.md; exp and log do not).
tanh.op.fast = kernels.elementwise("tanh")
sigmoid.op.fast = kernels.elementwise("sigmoid")
