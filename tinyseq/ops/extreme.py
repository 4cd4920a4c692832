"""The largest and the smallest: amax, amin, max, min, argmax, argmin; and all, any."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinyseq.op import structural
from tinyseq.ops.arithmetic import where
from tinyseq.ops.bounds import maximum, minimum
from tinyseq.ops.index import along, getitem
from tinyseq.ops.shape import axes_of, axis_of, kept, reshape
from tinyseq.samples import real
from tinyseq.tensor import Tensor, wrap


class Found(NamedTuple):
    """What max, min, sort and topk over an axis return: the values, and where they stood."""

    values: Tensor
    indices: Tensor


def shared(gy: Any, x: Any, y: Any, dim: Any) -> Any:
    """The gradient of an extreme: its winners share it evenly; NaNs win."""
    shape = kept(x.shape, dim)
    wins = (x == reshape(y, shape)) + (x != x)
    count = (wins * 1.0).sum(dim, keepdims=True)
    return where(wins, reshape(gy, shape) / count, 0.0)


@structural
class amax_over:
    """The largest element over axes; equal ones share the gradient evenly, as in torch.

    Equation: y = max_i x_i
    Shapes: y as x without the reduced axes. A NaN wins, and takes the gradient.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([[1.0, 5.0], [3.0, 4.0]]).amax(1)
        tensor([5., 4.])
    """

    name = "amax"
    latex = r"\max {x}"
    samples = real(-1, 1, (3, 4)) + real(-1, 1, (3, 4), dim=1)
    inputs = "x"

    def forward(x, dim=None, keepdim=False): return np.max(x, axis=dim, keepdims=keepdim)
    def backward(gy, x, y, dim): return shared(gy, x, y, dim)


@structural
class amin_over:
    """The smallest element over axes; equal ones share the gradient evenly, as in torch.

    Equation: y = min_i x_i
    Shapes: y as x without the reduced axes. A NaN wins, and takes the gradient.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([[1.0, 5.0], [3.0, 4.0]]).amin(1)
        tensor([1., 3.])
    """

    name = "amin"
    latex = r"\min {x}"
    samples = real(-1, 1, (3, 4)) + real(-1, 1, (3, 4), dim=1)
    inputs = "x"

    def forward(x, dim=None, keepdim=False): return np.min(x, axis=dim, keepdims=keepdim)
    def backward(gy, x, y, dim): return shared(gy, x, y, dim)


def over(name: str, x: Any, dim: Any) -> tuple[int, ...] | None:
    """The axes to reduce; refused where one of them is empty and has no extreme."""
    several = isinstance(dim, (tuple, list))
    at = None if dim is None or dim == () else axes_of(x, dim if several else (dim,))
    for k in range(x.ndim) if at is None else at:
        if x.ndim and x.shape[k] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {k} to have non-zero size, in a "
                             f"tensor of shape {x.shape}")
    return at if x.ndim else None


def amax(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element over `dim` (an int, a tuple, or None for all); ties share the gradient.

    Errors: IndexError for an axis that x has not, or that is empty.
    """
    return amax_over(x, dim=over("amax", x, dim), keepdim=keepdim)


def amin(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element over `dim` (an int, a tuple, or None for all); ties share the gradient.

    Errors: IndexError for an axis that x has not, or that is empty.
    """
    return amin_over(x, dim=over("amin", x, dim), keepdim=keepdim)


def place(name: str, find: Callable, x: Any, dim: int | None, keepdim: bool) -> np.ndarray:
    """Where the extreme stands, the first of equal ones: on `dim`, or in the flat order."""
    at = None if dim is None else axis_of(x, dim)
    if dim is not None or 0 in x.shape:
        over(name, x, dim)
    found = find(x.array if isinstance(x, Tensor) else x, axis=at if x.ndim else None)
    return np.asarray(found).reshape(kept(x.shape, at)) if keepdim else np.asarray(found)


def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest element stands: the first of equal ones; without `dim`, in flat order.

    Example:
        >>> import tinyseq as ts
        >>> ts.argmax(ts.tensor([[1, 5], [7, 7]]), 1)
        tensor([1, 0])
    """
    return wrap(place("argmax", np.argmax, x, dim, keepdim))


def argmin(x: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest element stands: the first of equal ones; without `dim`, in flat order.

    Example:
        >>> import tinyseq as ts
        >>> ts.argmin(ts.tensor([[1, 5], [7, 7]]), 1)
        tensor([0, 0])
    """
    return wrap(place("argmin", np.argmin, x, dim, keepdim))


def chosen(name: str, find: Callable, x: Any, dim: int, keepdim: bool) -> Found:
    """The values at the places that `find` gives, and these places."""
    at, places = axis_of(x, dim), place(name, find, x, dim, True)
    if x.ndim == 0:
        return Found(reshape(x, ()), wrap(places))
    index = along(places, at)
    if not keepdim:
        index, places = tuple([i.squeeze(at) for i in index]), places.squeeze(at)
    return Found(getitem(x, index=index), wrap(places))


def max(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; with `dim` a pair (values, indices), the first of equal ones winning.

    As in torch, without `dim` ties share the gradient evenly, with it the one at `indices` has it.

    Example:
        >>> import tinyseq as ts
        >>> ts.max(ts.tensor([[1.0, 5.0], [4.0, 3.0]]), 1).indices
        tensor([1, 0])
    """
    if isinstance(dim, Tensor):  # max(x, other), element by element
        return maximum(x, dim)
    return amax(x) if dim is None else chosen("max", np.argmax, x, dim, keepdim)


def min(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; with `dim` a pair (values, indices), the first of equal ones winning.

    Example:
        >>> import tinyseq as ts
        >>> ts.min(ts.tensor([[1.0, 5.0], [4.0, 3.0]]), 1).values
        tensor([1., 3.])
    """
    if isinstance(dim, Tensor):  # min(x, other), element by element
        return minimum(x, dim)
    return amin(x) if dim is None else chosen("min", np.argmin, x, dim, keepdim)


def truth(name: str, reduce: Callable, says: str) -> Callable:
    """all and any: of booleans, without a gradient."""
    def call(x: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
        at = None if dim is None or x.ndim == 0 else axes_of(
            x, dim if isinstance(dim, (tuple, list)) else (dim,))
        return wrap(np.asarray(reduce(x.array, axis=at, keepdims=keepdim)))
    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Whether {says} over `dim` (all axes if None) is true: bool, no gradient."
    return call


all = truth("all", np.all, "every element")
any = truth("any", np.any, "some element")
