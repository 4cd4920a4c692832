"""Activations that are put together of pieces: straight ones, and exponentials."""
from __future__ import annotations

from typing import Any

from tinyseq.op import elementwise
from tinyseq.ops.activation import sigmoid
from tinyseq.ops.arithmetic import where
from tinyseq.ops.bounds import clamp_max
from tinyseq.ops.elementary import exp, expm1, log1p
from tinyseq.samples import real


@elementwise
class leaky:
    """A rectifier with a slope on the negative side; at 0 the derivative is that slope.

    Equation: y = x if x > 0 else slope x
    Shapes: x and slope broadcast; the slope may be a Tensor that is trained.
    Example:
        >>> from tinyseq.ops.piecewise import leaky
        >>> import tinyseq as ts
        >>> leaky(ts.tensor([-1.0, 2.0]), 0.5)
        tensor([-0.5,  2. ])
    """

    name = "leaky_relu"
    latex = r"\mathrm{{leaky}}({x}, {slope})"
    samples = real(-2, 2, (3, 4), (3, 4)) + real(-2, 2, (3, 4), (4,))
    sparse = True  # the slope has no share where x is positive

    def forward(x, slope): return where(x > 0.0, x, slope * x)
    def backward_x(gy, x, slope): return where(x > 0.0, gy, gy * slope)
    def backward_slope(gy, x): return where(x > 0.0, 0.0, gy * x)


@elementwise
class exponential_unit:
    """Linear above 0, an exponential below that levels off at -alpha.

    Equation: y = x if x > 0 else alpha (e^x - 1)
    Shapes: x and alpha broadcast; y has the broadcast shape.
    Source: Clevert et al. 2016.
    Example:
        >>> from tinyseq.ops.piecewise import exponential_unit
        >>> import tinyseq as ts
        >>> exponential_unit(ts.tensor([-1.0, 2.0]), 1.0)
        tensor([-0.63212055,  2.        ])
    """

    name = "elu"
    latex = r"\mathrm{{elu}}({x}, {alpha})"
    samples = real(-2, 2, (3, 4), (3, 4)) + real(-2, 2, (3, 4), (4,))
    sparse = True

    def forward(x, alpha): return where(x > 0.0, x, alpha * expm1(clamp_max(x, 0.0)))
    def backward_x(gy, x, y, alpha): return where(x <= 0.0, gy * (y + alpha), gy)
    def backward_alpha(gy, x): return gy * expm1(clamp_max(x, 0.0))


@elementwise
class soft:
    """A rectifier with a round corner; above 20 it is x itself, as torch has it.

    Equation: y = ln(1 + e^x)
    Shapes: y as x.
    Example:
        >>> from tinyseq.ops.piecewise import soft
        >>> import tinyseq as ts
        >>> soft(ts.tensor([0.0, 30.0]))
        tensor([ 0.6931472, 30.       ])
    """

    name = "softplus"
    latex = r"\ln(1 + e^{{{x}}})"
    samples = real(-3, 3)

    def forward(x): return where(x > 20.0, x, log1p(exp(clamp_max(x, 20.0))))
    def backward(gy, x): return where(x > 20.0, gy, gy * sigmoid(x))


@elementwise
class hard_tanh:
    """x, held between -1 and 1; at the bounds the derivative is 0 (clamp's is 1), as in torch.

    Equation: y = min(max(x, -1), 1)
    Shapes: y as x.
    Example:
        >>> from tinyseq.ops.piecewise import hard_tanh
        >>> import tinyseq as ts
        >>> hard_tanh(ts.tensor([-3.0, 0.5]))
        tensor([-1. ,  0.5])
    """

    name = "hardtanh"
    latex = r"\mathrm{{hardtanh}}({x})"
    samples = real(-2, 2)
    kinks = (-1.0, 1.0)

    def forward(x): return where(x <= -1.0, -1.0, where(x >= 1.0, 1.0, x))
    def backward(gy, x): return where(x <= -1.0, 0.0, where(x >= 1.0, 0.0, gy))


@elementwise
class hardsigmoid:
    """A sigmoid of three straight pieces; its derivative at the corners is 0, as torch has it.

    Equation: y = min(max(x / 6 + 1 / 2, 0), 1)
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.hardsigmoid(ts.tensor([-4.0, 0.0, 1.5]))
        tensor([0.  , 0.5 , 0.75])
    """

    latex = r"\mathrm{{hardsigmoid}}({x})"
    samples = real(-5, 5)
    kinks = (-3.0, 3.0)

    def forward(x): return where(x <= -3.0, 0.0, where(x >= 3.0, 1.0, x / 6.0 + 0.5))
    def backward(gy, x): return where(x > -3.0, where(x < 3.0, gy / 6.0, 0.0), 0.0)


def leaky_relu(input: Any, negative_slope: float = 0.01) -> Any:
    """x, and slope x below 0. In a cell: leaky_relu(z, 0.01).

    Example:
        >>> import tinyseq as ts
        >>> ts.leaky_relu(ts.tensor([-1.0, 2.0]))
        tensor([-0.01,  2.  ])
    """
    return leaky(input, negative_slope)


def elu(input: Any, alpha: float = 1.0) -> Any:
    """x, and alpha (e^x - 1) below 0. In a cell: elu(z, 1.0).

    Example:
        >>> import tinyseq as ts
        >>> ts.elu(ts.tensor([-1.0, 2.0]))
        tensor([-0.63212055,  2.        ])
    """
    return exponential_unit(input, alpha)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """ln(1 + e^(beta x)) / beta, and x itself where beta x is above the threshold.

    Example:
        >>> import tinyseq as ts
        >>> ts.softplus(ts.tensor([0.0]), beta=2.0)
        tensor([0.3465736])
    """
    if beta == 1.0 and threshold == 20.0:
        return soft(input)
    scaled = input * beta
    return where(scaled > threshold, input, log1p(exp(clamp_max(scaled, threshold))) / beta)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """x, held between two bounds, with a derivative of 0 on them.

    Errors: ValueError unless min_val is below max_val.
    Example:
        >>> import tinyseq as ts
        >>> ts.hardtanh(ts.tensor([-3.0, 0.5]), -2, 2)
        tensor([-2. ,  0.5])
    """
    if not min_val < max_val:
        raise ValueError(f"hardtanh: min_val {min_val} must be below max_val {max_val}")
    if (min_val, max_val) == (-1.0, 1.0):
        return hard_tanh(input)
    return where(input <= min_val, min_val, where(input >= max_val, max_val, input))
