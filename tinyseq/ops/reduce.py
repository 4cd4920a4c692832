"""Reductions over axes: sum, mean, max, logsumexp, log_softmax, softmax."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinyseq.op import structural
from tinyseq.ops.activation import exp
from tinyseq.ops.arithmetic import mul, sub, where
from tinyseq.ops.index import getitem
from tinyseq.ops.shape import axis_of, expand, reshape
from tinyseq.samples import real
from tinyseq.tensor import Tensor, wrap


def kept(shape: tuple[int, ...], dim: Any) -> tuple[int, ...]:
    """The shape after reducing `dim` with the axes kept at size 1."""
    if dim is None:
        return (1,) * len(shape)
    dims = {d % len(shape) for d in (dim if isinstance(dim, tuple) else (dim,))}
    return tuple(1 if k in dims else n for k, n in enumerate(shape))


@structural
class sum_over:
    """The sum over axes; `sum` is its public form.

    Equation: y = sum_i x_i
    Shapes: y as x without the reduced axes (of size 1 with keepdim).
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([[1.0, 2.0], [3.0, 4.0]]).sum(0)
        tensor([4., 6.])
    """

    name = "sum"
    latex = r"\sum {x}"
    samples = (real(-1, 1, (3, 4)) + real(-1, 1, (3, 4), dim=0)
               + real(-1, 1, (2, 3, 4), dim=(0, 2), keepdim=True))
    inputs = "x"

    def forward(x, dim=None, keepdim=False): return np.sum(x, axis=dim, keepdims=keepdim)
    def backward(gy, x_shape, dim): return expand(reshape(gy, kept(x_shape, dim)), shape=x_shape)


def sum(x: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None,
        keepdims: bool = False) -> Any:
    """The sum over `dim` (an int, a tuple, or None for all); numpy's axis and keepdims work too.

    Example:
        >>> import tinyseq as ts
        >>> ts.sum(ts.tensor([1.0, 2.0, 3.0]))
        tensor(6.)
    """
    over = axes(x, axis if dim is None else dim)
    return sum_over(x, dim=over, keepdim=bool(keepdim or keepdims))


def mean(x: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None,
         keepdims: bool = False) -> Any:
    """The mean over `dim`: the sum times 1/count.

    Example:
        >>> import tinyseq as ts
        >>> ts.mean(ts.tensor([1.0, 2.0, 6.0]))
        tensor(3.)
    """
    over = axes(x, axis if dim is None else dim)
    count = int(np.prod(x.shape)) // (int(np.prod(reduced(x.shape, over))) or 1)
    total = sum_over(x, dim=over, keepdim=bool(keepdim or keepdims))
    return total * (1.0 / count) if count else total / 0.0


def reduced(shape: tuple[int, ...], dim: Any) -> tuple[int, ...]:
    """As `kept`, for a tensor without axes as well."""
    return kept(shape, dim) if shape else ()


def axes(x: Any, dim: Any) -> Any:
    """`dim` checked: an int or a tuple of distinct ints that x has."""
    if dim is None:
        return None
    dims = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    if len({axis_of(x, d) for d in dims}) < len(dims):
        raise ValueError(f"axis {dims} names an axis twice")
    if x.ndim == 0:
        return None
    return dims if isinstance(dim, (tuple, list)) else dim


@structural
class amax:
    """The largest element over axes; equal ones share the gradient evenly, as in torch.

    Equation: y = max_i x_i
    Shapes: y as x without the reduced axes. A NaN wins, and takes the gradient.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([[1.0, 5.0], [3.0, 4.0]]).amax(1)
        tensor([5., 4.])
    """

    latex = r"\max {x}"
    samples = real(-1, 1, (3, 4)) + real(-1, 1, (3, 4), dim=1)
    inputs = "x"

    def forward(x, dim=None, keepdim=False): return np.max(x, axis=dim, keepdims=keepdim)

    def backward(gy, x, y, dim):
        shape = kept(x.shape, dim)
        wins = (x == reshape(y, shape)) + (x != x)
        return where(wins, reshape(gy, shape) / sum(wins * 1.0, dim, keepdim=True), 0.0)


class Extremum(NamedTuple):
    """What `max(x, dim)` returns: the values, and where they stood."""

    values: Tensor
    indices: Tensor


def max(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The largest element; with `dim` a pair (values, indices), the first of equal ones winning.

    Example:
        >>> import tinyseq as ts
        >>> ts.max(ts.tensor([[1.0, 5.0], [4.0, 3.0]]), 1).indices
        tensor([1, 0])
    """
    if dim is None:
        return amax(x)
    at = axis_of(x, dim)
    places = np.argmax(x.array, axis=at)
    grid = np.meshgrid(*[np.arange(n) for k, n in enumerate(x.shape) if k != at], indexing="ij")
    values = getitem(x, index=(*grid[:at], places, *grid[at:]))
    if keepdim:
        shape = kept(x.shape, dim)
        return Extremum(reshape(values, shape), wrap(places.reshape(shape)))
    return Extremum(values, wrap(places))


@structural
class logsumexp:
    """The logarithm of a sum of exponentials, shifted so that nothing overflows.

    Equation: y = ln sum_i e^x_i
    Shapes: y as x without the reduced axes. Units: nats, where x are log-probabilities.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([[0.0, 0.0]]).logsumexp(1)
        tensor([0.6931472])
    """

    latex = r"\ln \sum e^{{{x}}}"
    samples = real(-2, 2, (3, 4), dim=1) + real(-2, 2, (3, 4), dim=0, keepdim=True)
    inputs = "x"

    @np.errstate(divide="ignore", invalid="ignore", over="ignore")
    def forward(x, dim, keepdim=False):
        top = np.max(x, axis=dim, keepdims=True)
        top = np.where(np.isfinite(top), top, 0).astype(x.dtype)
        y = np.log(np.sum(np.exp(x - top), axis=dim, keepdims=True)) + top
        return y if keepdim else np.squeeze(y, dim)

    def backward(gy, x, y, dim):
        shape = kept(x.shape, dim)
        return mul(reshape(gy, shape), exp(sub(x, reshape(y, shape))))


@structural
class log_softmax:
    """Logarithms of probabilities that add up to one over an axis.

    Equation: y_i = x_i - ln sum_j e^x_j
    Shapes: y as x. Units: nats.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([0.0, 0.0]).log_softmax(0)
        tensor([-0.6931472, -0.6931472])
    """

    latex = r"{x} - \ln \sum e^{{{x}}}"
    samples = real(-2, 2, (3, 4), dim=1)
    inputs = "x"

    @np.errstate(divide="ignore", invalid="ignore", over="ignore")
    def forward(x, dim):
        y = x - np.max(x, axis=dim, keepdims=True)
        y -= np.log(np.sum(np.exp(y), axis=dim, keepdims=True))
        return y

    def backward(gy, y, dim): return sub(gy, mul(exp(y), sum(gy, dim, keepdim=True)))


def softmax(x: Any, dim: int) -> Any:
    """Probabilities that add up to one over `dim`: exp of log_softmax."""
    return exp(log_softmax(x, dim=dim))
