"""Activations as modules: they carry the settings of the functions of the same names."""
from __future__ import annotations

from typing import Any

from tinyseq.nn.module import Module
from tinyseq.ops import (elu, gelu, hardsigmoid, hardtanh, leaky_relu, log_softmax, logsigmoid,
                         relu, sigmoid, silu, softmax, softplus, softsign, tanh)


class Tanh(Module):
    """tanh, element by element."""

    def forward(self, input: Any) -> Any:
        return tanh(input)


class Sigmoid(Module):
    """1 / (1 + exp(-x)), element by element."""

    def forward(self, input: Any) -> Any:
        return sigmoid(input)


class LogSigmoid(Module):
    """ln sigmoid(x), element by element."""

    def forward(self, input: Any) -> Any:
        return logsigmoid(input)


class Softsign(Module):
    """x / (1 + |x|), element by element."""

    def forward(self, input: Any) -> Any:
        return softsign(input)


class InPlace(Module):
    """What some activations share: torch's `inplace`, which is shown and changes no result.

    torch writes over the input to save memory; here the input keeps its values.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def settings(self) -> str:
        """What the repr shows before `inplace`."""
        return ""

    def extra_repr(self) -> str:
        return ", ".join(filter(None, (self.settings(), "inplace=True" if self.inplace else "")))


class ReLU(InPlace):
    """max(x, 0), element by element.

    Example:
        >>> import tinyseq as ts
        >>> ReLU(inplace=True)(ts.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def forward(self, input: Any) -> Any:
        return relu(input)


class SiLU(InPlace):
    """x sigmoid(x), element by element."""

    def forward(self, input: Any) -> Any:
        return silu(input)


class Hardsigmoid(InPlace):
    """min(max(x / 6 + 1 / 2, 0), 1), element by element."""

    def forward(self, input: Any) -> Any:
        return hardsigmoid(input)

    def extra_repr(self) -> str:
        return ""


class LeakyReLU(InPlace):
    """x, and negative_slope x below 0.

    Example:
        >>> import tinyseq as ts
        >>> LeakyReLU(negative_slope=0.5)(ts.tensor([-1.0, 2.0]))
        tensor([-0.5,  2. ])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input: Any) -> Any:
        return leaky_relu(input, self.negative_slope)

    def settings(self) -> str:
        return f"negative_slope={self.negative_slope}"


class ELU(InPlace):
    """x, and alpha (e^x - 1) below 0.

    Example:
        >>> import tinyseq as ts
        >>> ELU(alpha=2.0)(ts.tensor([-1.0, 2.0]))
        tensor([-1.2642411,  2.       ])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Any) -> Any:
        return elu(input, self.alpha)

    def settings(self) -> str:
        return f"alpha={self.alpha}"


class Hardtanh(InPlace):
    """x, held between two bounds.

    Errors: ValueError unless min_val is below max_val.
    Example:
        >>> import tinyseq as ts
        >>> Hardtanh(min_val=-2, max_val=2)(ts.tensor([-3.0, 0.5]))
        tensor([-2. ,  0.5])
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0,
                 inplace: bool = False) -> None:
        super().__init__(inplace)
        if not min_val < max_val:
            raise ValueError(f"max_val ({max_val}) must be greater than min_val ({min_val})")
        self.min_val, self.max_val = min_val, max_val

    def forward(self, input: Any) -> Any:
        return hardtanh(input, self.min_val, self.max_val)

    def settings(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}"


class GELU(Module):
    """x times the probability that a standard normal number is below x, or `"tanh"`, close to it.

    Example:
        >>> import tinyseq as ts
        >>> GELU(approximate="tanh")(ts.zeros(1))
        tensor([0.])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Any) -> Any:
        return gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """ln(1 + e^(beta x)) / beta, and x itself where beta x is above the threshold.

    Example:
        >>> import tinyseq as ts
        >>> Softplus(beta=2.0, threshold=20.0)(ts.tensor([0.0, 30.0]))
        tensor([ 0.3465736, 30.       ])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Any) -> Any:
        return softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """exp(x) over its sum along `dim`.

    Example:
        >>> import tinyseq as ts
        >>> Softmax(dim=0)(ts.zeros(2))
        tensor([0.5, 0.5])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return softmax(input, dim=self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """The logarithm of softmax along `dim`: `LogSoftmax(dim=-1)`."""

    def forward(self, input: Any) -> Any:
        return log_softmax(input, dim=self.dim)
