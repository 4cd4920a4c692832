"""Initial values, in place: torch's names and, for uniform ones in float32, torch's very bits."""
from __future__ import annotations

import math

import numpy as np

from tinyseq.mode import no_grad
from tinyseq.ops import generator, randn
from tinyseq.tensor import Tensor

GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3, "relu": math.sqrt(2.0)}


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Fill with numbers drawn evenly from [a, b).

    Example:
        >>> import tinyseq as ts
        >>> _ = ts.manual_seed(0)
        >>> ts.nn.init.uniform_(ts.zeros(2), -1.0, 1.0)
        tensor([-0.00748682,  0.5364436 ])
    """
    if not a <= b:
        raise ValueError(f"uniform_ expects a <= b, got a={a}, b={b}")
    return write(tensor, "uniform_", generator.uniform(a, b, tensor.shape, tensor.dtype))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Fill with normally distributed numbers."""
    if not std >= 0:
        raise ValueError(f"normal_ expects std >= 0, got std={std}")
    drawn = randn(*tensor.shape, dtype=tensor.dtype).array
    return write(tensor, "normal_", drawn * std + mean)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value."""
    return write(tensor, "constant_", np.asarray(val, tensor.dtype))


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return constant_(tensor, 1.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fill evenly so that variances pass unchanged, forwards and backwards on average.

    Equation: U(-a, a), a = gain sqrt(6 / (fan_in + fan_out))
    Source: Glorot and Bengio 2010.
    """
    fan_in, fan_out = fans(tensor)
    bound = math.sqrt(3.0) * (gain * math.sqrt(2.0 / float(fan_in + fan_out)))
    return uniform_(tensor, -bound, bound)


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in",
                     nonlinearity: str = "leaky_relu") -> Tensor:
    """Fill evenly so that variances pass a layer of rectifiers with slope `a` unchanged.

    Equation: U(-b, b), b = gain sqrt(3 / fan), gain = sqrt(2 / (1 + a^2)) for leaky_relu
    Errors: ValueError for an unknown mode or nonlinearity.
    Source: He et al. 2015.
    """
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = fans(tensor)[mode == "fan_out"]
    bound = math.sqrt(3.0) * (calculate_gain(nonlinearity, a) / math.sqrt(fan))
    return uniform_(tensor, -bound, bound)


def calculate_gain(nonlinearity: str, param: float = 0.01) -> float:
    """By how much a nonlinearity shrinks its input's spread, inverted; torch's values."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + param ** 2))
    if nonlinearity not in GAINS:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity!r}: one of "
                         f"{', '.join((*GAINS, 'leaky_relu'))}")
    return GAINS[nonlinearity]


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fill with orthonormal rows or columns (whichever are fewer), times gain.

    Source: Saxe, McClelland and Ganguli 2013.
    Example:
        >>> import numpy as np, tinyseq as ts
        >>> q = ts.nn.init.orthogonal_(ts.zeros(3, 3, dtype=ts.float64)).numpy()
        >>> bool(np.allclose(q @ q.T, np.eye(3)))
        True
    """
    fans(tensor)
    flat = randn(tensor.shape[0], math.prod(tensor.shape[1:]), dtype=np.float64).array
    wide = flat.shape[0] < flat.shape[1]
    q, r = np.linalg.qr(flat.T if wide else flat)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # else qr's own signs would be preferred
    return write(tensor, "orthogonal_", gain * (q.T if wide else q).reshape(tensor.shape))


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs reach a unit and how many it reaches; weights are (out, in, ...)."""
    if tensor.ndim < 2 or tensor.numel() == 0:
        raise ValueError("Fan in and fan out can not be computed for a tensor of shape "
                         f"{tensor.shape}: a weight has at least two axes, (out, in)")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def write(tensor: Tensor, by: str, values: np.ndarray) -> Tensor:
    """Copy values in, without history but counted."""
    with no_grad():
        return tensor.change(by, lambda a: np.copyto(a, values, casting="same_kind"))
