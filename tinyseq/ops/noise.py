"""Random tensors, with torch's numbers from the same seed where its docstring says so; dropout."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.array import checked_dtype, default_dtype
from tinyseq.errors import ShapeError
from tinyseq.op import structural
from tinyseq.ops.create import finished, placed, sizes
from tinyseq.ops.generator import Generator, generator, manual_seed
from tinyseq.samples import real
from tinyseq.tensor import Tensor, wrap

__all__ = ["Generator", "bernoulli", "check_probability", "dropout", "generator", "manual_seed",
           "multinomial", "normal", "rand", "rand_like", "randint", "randn", "randn_like",
           "randperm"]
default = generator  # the stream of those who name none


def floating(dtype: Any) -> np.dtype:
    """The dtype of random real numbers: float32 or float64."""
    found = default_dtype() if dtype is None else checked_dtype(dtype)
    if found.kind != "f":
        raise TypeError(f"random real numbers have dtype float32 or float64, not {found}")
    return found


@placed
def rand(*size: Any, generator: Generator | None = None, dtype: Any = None,
         requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1): torch's, bit for bit, from the same seed.

    Example:
        >>> import tinyseq as ts
        >>> _ = ts.manual_seed(0)
        >>> ts.rand(2)
        tensor([0.4962566, 0.7682218])
    """
    stream = generator or default
    return finished(stream.uniform(0.0, 1.0, sizes(size), floating(dtype)), requires_grad)


@placed
def randn(*size: Any, generator: Generator | None = None, dtype: Any = None,
          requires_grad: bool = False) -> Tensor:
    """Standard normal numbers: torch's, to 2 ulp in float32 and bit for bit in float64.

    Source: Box and Muller 1958, with torch's pairing of the uniform numbers.
    """
    return finished((generator or default).normal(sizes(size), floating(dtype)), requires_grad)


@placed
def rand_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1), of a tensor's shape and dtype."""
    return rand(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


@placed
def randn_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Standard normal numbers, of a tensor's shape and dtype."""
    return randn(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


@placed
def randint(*limits: Any, low: Any = None, high: Any = None, size: Any = None,
            generator: Generator | None = None, dtype: Any = np.int64,
            requires_grad: bool = False) -> Tensor:
    """Integers in [low, high): `randint(high, size)` or `randint(low, high, size)`; torch's.

    Errors: ValueError unless low is below high.
    Example:
        >>> import tinyseq as ts
        >>> _ = ts.manual_seed(0)
        >>> ts.randint(10, (5,))
        tensor([4, 9, 3, 0, 3])
    """
    *bounds, shape = (*limits, size) if size is not None else limits or (None,)
    bounds = [b for b in (low, *bounds, high) if b is not None]
    if len(bounds) not in (1, 2) or shape is None:
        raise TypeError("randint takes (high, size) or (low, high, size), the size as a tuple")
    low, high = (0, *bounds) if len(bounds) == 1 else bounds
    if not low < high:
        raise ValueError(f"randint expects low < high, got low {low} and high {high}")
    shape = sizes((shape,))
    made = (generator or default).integers(int(np.prod(shape)), high - low) + low
    return finished(made.reshape(shape).astype(checked_dtype(dtype)), requires_grad)


@placed
def randperm(n: int, *, generator: Generator | None = None, dtype: Any = np.int64) -> Tensor:
    """The numbers 0 to n - 1 in random order: torch's, for n below 2^32 / 20.

    Source: the shuffle of Fisher and Yates.
    Example:
        >>> import tinyseq as ts
        >>> _ = ts.manual_seed(0)
        >>> sorted(ts.randperm(5).tolist())
        [0, 1, 2, 3, 4]
    """
    if n < 0:
        raise ValueError(f"randperm expects n of at least 0, got {n}")
    words = (generator or default).words.randint(0, 2 ** 32, size=max(n - 1, 0), dtype=np.uint32)
    order = list(range(n))
    for k, word in enumerate(words.tolist()):
        other = k + word % (n - k)
        order[k], order[other] = order[other], order[k]
    return wrap(np.array(order, checked_dtype(dtype)))


def normal_array(mean: Any, std: Any, shape: Any, dtype: Any, stream: Generator) -> np.ndarray:
    """Normal numbers of a mean and a standard deviation, which may be arrays."""
    if np.any(np.asarray(std) < 0):
        raise ValueError(f"normal expects a std of at least 0, got {std}")
    return (stream.normal(shape, dtype) * std + mean).astype(dtype)


@placed
def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *,
           generator: Generator | None = None) -> Tensor:
    """Normal numbers; mean and std are numbers (then with a size) or Tensors. As exact as randn.

    Example:
        >>> import tinyseq as ts
        >>> ts.normal(ts.zeros(3), 1.0).shape
        (3,)
    """
    parts = [t.array if isinstance(t, Tensor) else t for t in (mean, std)]
    arrays = [a for a in parts if isinstance(a, np.ndarray)]
    if bool(arrays) == (size is not None):
        raise TypeError("normal takes a size if mean and std are numbers, and none for Tensors")
    shape = np.broadcast_shapes(*[a.shape for a in arrays]) if arrays else sizes((size,))
    dtype = np.result_type(*arrays) if arrays else default_dtype()
    return wrap(normal_array(*parts, shape, dtype, generator or default))


def bernoulli_array(p: np.ndarray, shape: Any, stream: Generator) -> np.ndarray:
    """True with probability p."""
    if not np.all((p >= 0) & (p <= 1)):
        raise ValueError("bernoulli expects probabilities in [0, 1], got "
                         f"{p[~((p >= 0) & (p <= 1))].flat[0]}")
    return stream.below(p, shape)


def bernoulli(input: Tensor, p: float | None = None, *,
              generator: Generator | None = None) -> Tensor:
    """1 with the probability that the input holds (or p), else 0: torch's, from the same seed.

    Errors: ValueError for a probability outside of [0, 1].
    Example:
        >>> import tinyseq as ts
        >>> ts.bernoulli(ts.tensor([0.0, 1.0]))
        tensor([0., 1.])
    """
    if input.dtype.kind != "f" and p is None:
        raise TypeError(f"bernoulli expects floating point probabilities, got {input.dtype}")
    chance = input.array if p is None else np.asarray(p, np.float64)
    return wrap(bernoulli_array(chance, input.shape, generator or default).astype(input.dtype))


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *,
                generator: Generator | None = None) -> Tensor:
    """Indices drawn with the probabilities that the input's rows are proportional to; torch's.

    Shapes: input (K) or (N, K), result (num_samples) or (N, num_samples), int64.
    Errors: ValueError for weights that are negative, not finite or all 0, or too few to draw from.
    Example:
        >>> import tinyseq as ts
        >>> ts.multinomial(ts.tensor([0.0, 3.0]), 2, replacement=True)
        tensor([1, 1])
    """
    weights, stream = input.array, generator or default
    if weights.ndim not in (1, 2) or weights.dtype.kind != "f":
        raise ShapeError(f"multinomial expects floating point weights of shape (K) or (N, K), got "
                         f"{weights.dtype} of shape {weights.shape}")
    if not np.all(np.isfinite(weights) & (weights >= 0)) or not np.all(weights.sum(-1) > 0):
        raise ValueError("multinomial expects weights that are finite, not negative, and not all "
                         "0 in a row")
    if num_samples < 1 or not replacement and num_samples > np.count_nonzero(weights, -1).min():
        raise ValueError(f"multinomial cannot draw {num_samples} samples from weights of shape "
                         f"{weights.shape} without replacement: too few are above 0")
    if not replacement or num_samples == 1:  # the largest of weight / exponential
        arrivals = -np.log1p(-stream.uniform(0.0, 1.0, weights.shape, np.float64))
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.argsort(-(weights / arrivals.astype(weights.dtype)), -1, kind="stable")
        return wrap(found[..., :num_samples].copy())
    chances = np.cumsum(weights, -1)
    chances = np.atleast_2d(chances / chances[..., -1:])
    drawn = stream.uniform(0.0, 1.0, (len(chances), num_samples), np.float64)
    found = np.stack([np.searchsorted(row, u) for row, u in zip(chances, drawn)])
    return wrap(found.reshape(*weights.shape[:-1], num_samples))


@structural
class drop:
    """A tensor times a mask that was drawn beforehand; `dropout` is its public form.

    Equation: y = x m, m = 0 with probability p, else 1/(1-p)
    Shapes: y as x.
    Example:
        >>> import numpy as np
        >>> from tinyseq.ops.noise import drop
        >>> drop(np.ones(2), mask=np.array([0.0, 2.0]))
        array([0., 2.])
    """

    name = "dropout"
    latex = r"{x} \odot m"
    samples = real(-1, 1, (3, 4), mask=np.tile([0.0, 2.0], 6).reshape(3, 4))
    inputs = "x"

    @np.errstate(invalid="ignore")
    def forward(x, mask): return np.where(mask == 0, mask, x * mask)  # 0 even for x = inf
    def backward(gy, mask): return drop(gy, mask=mask)


def dropout(input: Any, p: float = 0.5, training: bool = True) -> Any:
    """Zero each element with probability p and scale the others by 1/(1-p), in training only.

    From one seed the mask is torch's.

    Shapes: as the input.
    Errors: ValueError for a p outside [0, 1]; TypeError for a tensor of integers.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.dropout(ts.ones(3), 1.0)
        tensor([0., 0., 0.])
    """
    check_probability(p)
    if not training or p == 0.0:
        return input
    dtype = input.dtype
    if dtype.kind != "f":
        raise TypeError(f"dropout expects a floating point tensor, got {dtype}")
    if p == 1.0:
        return drop(input, mask=np.zeros(input.shape, dtype))
    stay = default.below(np.asarray(1.0 - p, np.float64), input.shape)
    return drop(input, mask=stay.astype(dtype) / dtype.type(1.0 - p))


def check_probability(p: Any) -> None:
    """Refuse a dropout probability outside [0, 1]: torch's text."""
    if isinstance(p, bool) or not isinstance(p, (int, float, np.number)) or not 0 <= p <= 1:
        raise ValueError("dropout should be a number in range [0, 1] representing the probability "
                         f"of an element being zeroed, got {p!r}")
