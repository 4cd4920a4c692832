"""Elements in other places: flip, roll, pad, repeat, tile, tril, triu, diagonal, unfold."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq.errors import ShapeError
from tinyseq.ops.arithmetic import add, where
from tinyseq.ops.index import getitem, put
from tinyseq.ops.join import cat, narrow
from tinyseq.ops.shape import (axes_of, axis_of, count_of, expand, permute_axes, reshape,
                               sizes_of)


def flip(x: Any, *axes: Any, dims: Any = None) -> Any:
    """The elements in the opposite order along some axes.

    Example:
        >>> import tinyseq as ts
        >>> ts.flip(ts.tensor([[1, 2], [3, 4]]), (1,))
        tensor([[2, 1],
                [4, 3]])
    """
    at = axes_of(x, sizes_of(axes, dims))
    if x.ndim == 0:
        return x
    return getitem(x, index=tuple([slice(None, None, -1 if k in at else None)
                                   for k in range(x.ndim)]))


def roll(x: Any, shifts: Any, dims: Any = None) -> Any:
    """The elements `shifts` places further along `dims`; what leaves at the end enters in front.

    Errors: ShapeError unless there is one shift for each axis.
    Example:
        >>> import tinyseq as ts
        >>> ts.roll(ts.arange(5), 2)
        tensor([3, 4, 0, 1, 2])
    """
    steps = sizes_of(shifts if isinstance(shifts, (tuple, list)) else (shifts,))
    if dims is None or dims == ():
        if len(steps) != 1:
            raise ShapeError(f"roll: shifts and dimensions must align. shifts: {len(steps)}, "
                             "dims:0")
        return reshape(roll(reshape(x, (count_of(x.shape),)), steps, 0), x.shape)
    axes = dims if isinstance(dims, (tuple, list)) else (dims,)
    if len(steps) != len(axes):
        raise ShapeError(f"roll: shifts and dimensions must align. shifts: {len(steps)}, "
                         f"dims:{len(axes)}")
    for step, dim in zip(steps, axes):
        size = x.shape[axis_of(x, dim)] if x.ndim else 0
        if size and step % size:
            cut = size - step % size
            x = cat([narrow(x, dim, cut, size - cut), narrow(x, dim, 0, cut)], dim)
    return x


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """Further elements around x; torch's order: (left, right) of the last axis first.

    They have one value; or, by mode, are x's own: "reflect" mirrors it at its first and last
    element, "replicate" repeats these, "circular" goes round. Negative counts cut off.
    Errors: NotImplementedError for another mode; ShapeError for odd many counts, too many, more
    than x has elements to mirror or to go round, or an axis that would get a negative size.
    Example:
        >>> import tinyseq as ts
        >>> ts.pad(ts.tensor([[1, 2]]), (1, 0, 0, 1), value=9)
        tensor([[9, 1, 2],
                [9, 9, 9]])
    """
    counts = sizes_of(tuple(pad))
    if mode not in ("constant", *AROUND):
        raise NotImplementedError("pad: mode must be 'constant', 'reflect', 'replicate' or "
                                  f"'circular', got {mode!r}")
    if len(counts) % 2 or len(counts) > 2 * input.ndim:
        raise ShapeError(f"Padding length must be divisible by 2 and at most two times the input "
                         f"dimension ({input.ndim}), got {len(counts)} counts: {counts}")
    pairs = [(0, 0)] * (input.ndim - len(counts) // 2)
    pairs += [(counts[k], counts[k + 1]) for k in range(len(counts) - 2, -1, -2)]
    shape = tuple([n + low + high for n, (low, high) in zip(input.shape, pairs)])
    if any(n < 0 for n in shape):
        raise ShapeError(f"pad: shape {input.shape} with padding {counts} would become {shape}")
    if mode != "constant":
        return surrounded(input, pairs, mode)
    inner = getitem(input, index=tuple([
        slice(max(0, -low), max(0, -low, n - max(0, -high)))
        for n, (low, high) in zip(input.shape, pairs)]))
    at = tuple([slice(max(0, low), max(0, low) + n)
                for n, (low, _) in zip(inner.shape, pairs)])
    y = put(inner, index=at, shape=shape)
    if not value:
        return y
    around = np.full(shape, value, input.dtype)
    around[at] = 0
    return add(y, around)


# Where the element at place k of a padded axis of size n comes from; and how many there may be.
AROUND: dict[str, tuple[Callable, Callable]] = {
    "reflect": (lambda k, n: n - 1 - abs(n - 1 - abs(k)), lambda n: n - 1),
    "replicate": (lambda k, n: np.clip(k, 0, n - 1), lambda n: np.inf if n else 0),
    "circular": (lambda k, n: k % n, lambda n: n)}


def surrounded(x: Any, pairs: list[tuple[int, int]], mode: str) -> Any:
    """x with elements of its own around it, axis by axis."""
    source, most = AROUND[mode]
    for axis, (low, high) in enumerate(pairs):
        if mode == "circular" and min(low, high) < 0:  # round what is left, as torch has it
            left = x.shape[axis] + min(low, 0) + min(high, 0)
            x, low, high = narrow(x, axis, max(0, -low), left), max(low, 0), max(high, 0)
        n = x.shape[axis]
        if max(low, high) > max(0, most(n)):
            raise ShapeError(f"pad: mode {mode!r} has at most {most(n)} elements for either side "
                             f"of axis {axis} of shape {x.shape}, got {(low, high)}")
        if low or high:
            places = source(np.arange(-low, n + high), n)
            x = getitem(x, index=(slice(None),) * axis + (places,))
    return x


def repeat(x: Any, *sizes: Any, repeats: Any = None) -> Any:
    """x side by side with itself, `sizes` times along each axis; more sizes add axes in front.

    Errors: ShapeError for fewer sizes than axes, or a negative one.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([1, 2]).repeat(2, 2)
        tensor([[1, 2, 1, 2],
                [1, 2, 1, 2]])
    """
    times = sizes_of(sizes, repeats)
    if len(times) < x.ndim:
        raise ShapeError("repeat: Number of dimensions of repeat dims can not be smaller than "
                         f"number of dimensions of tensor: {times} for shape {x.shape}")
    if min(times, default=0) < 0:
        raise ShapeError(f"repeat: sizes must not be negative, got {times}")
    shape = (1,) * (len(times) - x.ndim) + tuple(x.shape)
    apart = reshape(x, tuple([m for n in shape for m in (1, n)]))
    wide = expand(apart, shape=tuple([m for k, n in zip(times, shape) for m in (k, n)]))
    return reshape(wide, tuple([k * n for k, n in zip(times, shape)]))


def tile(x: Any, *sizes: Any, dims: Any = None) -> Any:
    """As repeat, but fewer counts than axes are taken for the last axes.

    Example:
        >>> import tinyseq as ts
        >>> ts.tile(ts.tensor([[1, 2]]), (2,))
        tensor([[1, 2, 1, 2]])
    """
    times = sizes_of(sizes, dims)
    return repeat(x, (1,) * (x.ndim - len(times)) + times)


def corner(name: str, x: Any, lower: bool, diagonal: int) -> Any:
    """The elements on one side of a diagonal of the last two axes, zeros on the other."""
    if x.ndim < 2:
        raise ShapeError(f"{name}: input tensor must have at least 2 dimensions, got {x.shape}")
    rows, columns = x.shape[-2:]
    below = np.tri(rows, columns, diagonal if lower else diagonal - 1, dtype=np.bool_)
    return where(below if lower else ~below, x, np.zeros((), x.dtype))


def tril(x: Any, diagonal: int = 0) -> Any:
    """The elements on and below a diagonal of the last two axes, zeros above it.

    Example:
        >>> import tinyseq as ts
        >>> ts.tril(ts.ones(2, 2))
        tensor([[1., 0.],
                [1., 1.]])
    """
    return corner("tril", x, True, diagonal)


def triu(x: Any, diagonal: int = 0) -> Any:
    """The elements on and above a diagonal of the last two axes, zeros below it.

    Example:
        >>> import tinyseq as ts
        >>> ts.triu(ts.ones(2, 2), 1)
        tensor([[0., 1.],
                [0., 0.]])
    """
    return corner("triu", x, False, diagonal)


def diagonal(x: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of two axes as the last axis: the elements where their places differ by offset.

    Example:
        >>> import tinyseq as ts
        >>> ts.diagonal(ts.tensor([[1, 2], [3, 4]]))
        tensor([1, 4])
    """
    first, second = axis_of(x, dim1), axis_of(x, dim2)
    if first == second or x.ndim < 2:
        raise ShapeError(f"diagonal dimensions cannot be identical {dim1}, {dim2} in shape "
                         f"{x.shape}")
    last = permute_axes(x, dims=(*[k for k in range(x.ndim) if k not in (first, second)],
                                 first, second))
    rows, columns = last.shape[-2:]
    start = max(0, -offset)
    on = np.arange(start, max(start, min(rows, columns - offset)))
    return getitem(last, index=(..., on, on + offset))


def unfold(x: Any, dimension: int, size: int, step: int) -> Any:
    """Windows of `size` elements along an axis, each `step` further; the window is the last axis.

    Shapes: the axis of T elements becomes one of (T - size) // step + 1 windows.
    Errors: ShapeError for a window that does not fit, or a step below 1.
    Example:
        >>> import tinyseq as ts
        >>> ts.arange(5).unfold(0, 3, 2)
        tensor([[0, 1, 2],
                [2, 3, 4]])
    """
    at, length = axis_of(x, dimension), x.shape[dimension] if x.ndim else 1
    if not 0 <= size <= length:
        raise ShapeError(f"unfold: size is {size} but must be >= 0" if size < 0 else
                         f"unfold: maximum size for tensor at dimension {at} is {length} but size "
                         f"is {size}")
    if step < 1:
        raise ShapeError(f"unfold: step is {step} but must be > 0")
    starts = np.arange(0, length - size + 1, step)
    windows = getitem(x if x.ndim else reshape(x, (1,)),
                      index=(slice(None),) * at + (starts[:, None] + np.arange(size),))
    if not x.ndim:
        return reshape(windows, (size,))
    order = [k for k in range(windows.ndim) if k != at + 1]
    return permute_axes(windows, dims=(*order, at + 1))
