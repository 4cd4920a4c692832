"""Initial values, in place: torch's names and, for uniform ones in float32, torch's very bits."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq.mode import no_grad
from tinyseq.ops import randn
from tinyseq.ops.generator import Generator, generator as shared
from tinyseq.tensor import Tensor, wrap

GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 0.75,
         **{f"conv{n}d": 1.0 for n in (1, 2, 3)}}


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0,
             generator: Generator | None = None) -> Tensor:
    """Fill with numbers drawn evenly from [a, b), by a generator of one's own if it is given.

    Example:
        >>> import tinyseq as ts
        >>> _ = ts.manual_seed(0)
        >>> ts.nn.init.uniform_(ts.zeros(2), -1.0, 1.0)
        tensor([-0.00748682,  0.5364436 ])
    """
    if not a <= b:
        raise ValueError(f"uniform_ expects a <= b, got a={a}, b={b}")
    drawn = (generator or shared).uniform(a, b, tensor.shape, tensor.dtype)
    return write(tensor, "uniform_", drawn)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0,
            generator: Generator | None = None) -> Tensor:
    """Fill with normally distributed numbers."""
    if not std >= 0:
        raise ValueError(f"normal_ expects std >= 0, got std={std}")
    drawn = randn(*tensor.shape, dtype=tensor.dtype, generator=generator).array
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


def xavier_uniform_(tensor: Tensor, gain: float = 1.0,
                    generator: Generator | None = None) -> Tensor:
    """Fill evenly so that variances pass unchanged, forwards and backwards on average.

    Equation: U(-a, a), a = gain sqrt(6 / (fan_in + fan_out))
    Source: Glorot and Bengio 2010.
    """
    fan_in, fan_out = fans(tensor)
    bound = math.sqrt(3.0) * (gain * math.sqrt(2.0 / float(fan_in + fan_out)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0,
                   generator: Generator | None = None) -> Tensor:
    """As `xavier_uniform_`, normally distributed: std = gain sqrt(2 / (fan_in + fan_out))."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / float(sum(fans(tensor)))), generator)


def eye_(tensor: Tensor) -> Tensor:
    """Ones on the diagonal of a matrix, zeros elsewhere: `eye_(ts.zeros(2, 3))`."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_ expects a tensor of 2 axes, got the shape {tensor.shape}")
    return write(tensor, "eye_", np.eye(*tensor.shape, dtype=tensor.dtype))


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in",
                     nonlinearity: str = "leaky_relu",
                     generator: Generator | None = None) -> Tensor:
    """Fill evenly so that variances pass a layer of rectifiers with slope `a` unchanged.

    Equation: U(-b, b), b = gain sqrt(3 / fan), gain = sqrt(2 / (1 + a^2)) for leaky_relu
    Errors: ValueError for an unknown mode or nonlinearity.
    Source: He et al. 2015.
    """
    bound = math.sqrt(3.0) * kaiming_spread(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in",
                    nonlinearity: str = "leaky_relu",
                    generator: Generator | None = None) -> Tensor:
    """As `kaiming_uniform_`, normally distributed: std = gain / sqrt(fan)."""
    return normal_(tensor, 0.0, kaiming_spread(tensor, a, mode, nonlinearity), generator)


def kaiming_spread(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    """The standard deviation that both kaiming initialisations have."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much a nonlinearity shrinks its input's spread, inverted; torch's values."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in GAINS:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity!r}: one of "
                         f"{', '.join((*GAINS, 'leaky_relu'))}")
    return GAINS[nonlinearity]


def orthogonal_(tensor: Tensor, gain: float = 1.0,
                generator: Generator | None = None) -> Tensor:
    """Fill with orthonormal rows or columns (whichever are fewer), times gain.

    Source: Saxe, McClelland and Ganguli 2013.
    Example:
        >>> import numpy as np, tinyseq as ts
        >>> q = ts.nn.init.orthogonal_(ts.zeros(3, 3, dtype=ts.float64)).numpy()
        >>> bool(np.allclose(q @ q.T, np.eye(3)))
        True
    """
    fans(tensor)
    flat = randn(tensor.shape[0], math.prod(tensor.shape[1:]), dtype=np.float64,
                 generator=generator).array
    wide = flat.shape[0] < flat.shape[1]
    q, r = np.linalg.qr(flat.T if wide else flat)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # else qr's own signs would be preferred
    return write(tensor, "orthogonal_", gain * (q.T if wide else q).reshape(tensor.shape))


# -- recurrent layers and cells, gate by gate ------------------------------------------------
def each_gate_(module: Any, fill: Callable[[Tensor], Any], name: str = "weight_hh") -> Any:
    """Initialise each gate's rows on their own, in all layers and directions of a module.

    `fill` is any function of this file; `name` is "weight_hh", "weight_ih", "bias_ih" ...
    Errors: TypeError for a module without gates; ValueError where it has no such parameter.
    Example:
        >>> import tinyseq as ts
        >>> lstm = each_gate_(ts.nn.LSTM(3, 4, num_layers=2), orthogonal_)
        >>> forget = lstm.weight_hh_l1[4:8].detach()
        >>> ts.allclose(forget @ forget.T, ts.eye(4), atol=1e-6)
        True
    """
    for p in rows_of(module, name):
        for gate in np.split(p.array, len(module.cell.gates)):
            fill(wrap(gate, version=p.version))
    return module


def chrono_(module: Any, longest: int) -> Any:
    """Biases by which an LSTM or GRU forgets over times up to `longest` steps.

    Equation: b_f = ln u, b_i = -b_f with u from U(1, longest - 1); for a GRU b_z = ln u, z being
        what is kept. These are a gate's total bias: bias_ih has it, and bias_hh has 0.
    Errors: ValueError for a cell without such gates, for bias=False, or for a longest below 3.
    Source: Tallec and Ollivier 2018, arXiv 1804.11188.
    Example:
        >>> import tinyseq as ts
        >>> lstm = chrono_(ts.nn.LSTM(3, 4), longest=100)
        >>> i, f = lstm.bias_ih_l0.detach().numpy()[:8].reshape(2, 4)
        >>> bool((f >= 0).all()), bool((i == -f).all())
        (True, True)
    """
    if not longest > 2:
        raise ValueError(f"chrono_ expects a longest time of at least 3 steps, got {longest}")
    biases, gates = rows_of(module, "bias_ih"), module.cell.gates
    signs = {"f": 1.0, "i": -1.0} if {"f", "i"} <= set(gates) else {"z": 1.0}
    if not set(signs) <= set(gates):
        raise ValueError("chrono_ is for gates i and f (LSTM) or z (GRU), but this "
                         f"{type(module).__name__} has the gates {', '.join(gates)}")
    for own, other in zip(biases, rows_of(module, "bias_hh")):
        H = len(own) // len(gates)
        drawn = np.log(shared.uniform(1.0, longest - 1.0, (H,), own.dtype))
        for gate, sign in signs.items():
            at = slice(gates.index(gate) * H, (gates.index(gate) + 1) * H)
            write(wrap(own.array[at], version=own.version), "chrono_", sign * drawn)
            write(wrap(other.array[at], version=other.version), "chrono_", np.zeros_like(drawn))
    return module


def rows_of(module: Any, name: str) -> list[Tensor]:
    """The parameters of a recurrent module called `name`, of every layer and direction."""
    if not hasattr(module, "cell"):
        raise TypeError("expected a recurrent layer or cell, which has gates, got "
                        f"{type(module).__name__}")
    found = [p for full, p in module.named_parameters() if full.split("_l")[0] == name]
    if not found:
        raise ValueError(f"this {type(module).__name__} has no {name}, only "
                         + ", ".join(full for full, _ in module.named_parameters()))
    return found


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
