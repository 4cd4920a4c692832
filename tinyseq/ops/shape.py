"""Operations that move elements and change no value: their derivatives move them back."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import ShapeError
from tinyseq.op import structural
from tinyseq.samples import real
from tinyseq.tensor import Tensor


@structural
class reshape_to:
    """The same elements in another shape; `reshape` is its public form.

    Equation: y = x, read in C order
    Shapes: x and y have equally many elements; one size of y may be -1.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([1.0, 2.0]).reshape(2, 1)
        tensor([[1.],
                [2.]])
    """

    name = "reshape"
    latex = r"\mathrm{{reshape}}({x})"
    samples = real(-1, 1, (3, 4), shape=(2, 6))
    inputs = "x"

    def forward(x, shape): return x.reshape(shape)
    def backward(gy, x_shape): return reshape(gy, x_shape)


def reshape(x: Any, *shape: Any) -> Any:
    """The same elements in another shape; one size may be -1.

    Errors: ShapeError naming the sizes when the count of elements differs.
    Example:
        >>> import tinyseq as ts
        >>> ts.reshape(ts.tensor([[1.0, 2.0]]), -1)
        tensor([1., 2.])
    """
    sizes = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    try:
        if sizes and min(sizes) < -1:
            raise ValueError("a size is negative")
        return reshape_to(x, shape=sizes)
    except ValueError as error:
        raise ShapeError(f"a tensor of shape {x.shape} cannot be reshaped to {sizes}: "
                         f"{x.size() if isinstance(x, Tensor) else x.shape} has "
                         f"{int(np.prod(x.shape))} elements; at most one size may be -1"
                         ) from error


@structural
class transpose:
    """Two axes swapped.

    Equation: y_..j..i.. = x_..i..j..
    Shapes: y as x with the sizes of the two axes swapped.
    Errors: IndexError for an axis that x has not.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([[1.0, 2.0]]).transpose(0, 1)
        tensor([[1.],
                [2.]])
    """

    latex = "{x}^T"
    samples = real(-1, 1, (2, 3, 4), dim0=0, dim1=2)
    inputs = "x"

    def forward(x, dim0, dim1): return np.swapaxes(x, dim0, dim1)
    def backward(gy, dim0, dim1): return transpose(gy, dim0, dim1)


@structural
class permute_axes:
    """The axes in another order; `permute` is its public form.

    Equation: axis k of y is axis dims[k] of x
    Shapes: y's sizes are x's in the order of dims.
    Example:
        >>> import tinyseq as ts
        >>> ts.zeros(2, 3, 4).permute(2, 0, 1).shape
        (4, 2, 3)
    """

    name = "permute"
    latex = r"\mathrm{{permute}}({x})"
    samples = real(-1, 1, (2, 3, 4), dims=(2, 0, 1))
    inputs = "x"

    def forward(x, dims): return np.transpose(x, dims)

    def backward(gy, dims):
        return permute_axes(gy, dims=tuple(int(k) for k in np.argsort([d % len(dims)
                                                                      for d in dims])))


def permute(x: Any, *dims: Any) -> Any:
    """The axes in another order: `x.permute(1, 0, 2)`.

    Errors: ValueError unless every axis is named once.
    """
    order = tuple(dims[0]) if len(dims) == 1 and not isinstance(dims[0], int) else dims
    if sorted(d % max(x.ndim, 1) for d in order) != list(range(x.ndim)):
        raise ValueError(f"permute of a {x.ndim}-D tensor must name every axis once, got {order}")
    return permute_axes(x, dims=order)


@structural
class expand:
    """Repeat along axes of size 1, and along new leading axes, without copying.

    Equation: y = x, broadcast
    Shapes: x broadcasts to `shape`.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([1.0, 2.0]).expand((2, 2))
        tensor([[1., 2.],
                [1., 2.]])
    """

    latex = r"\mathrm{{expand}}({x})"
    samples = real(-1, 1, (3, 1), shape=(2, 3, 4))
    inputs = "x"

    def forward(x, shape): return np.broadcast_to(x, shape)
    def backward(gy): return gy  # the walker sums over what was stretched


@structural
class astype:
    """The same values in another floating point dtype; the gradient comes back in x's own.

    Equation: y = x
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([1.0]).double()
        tensor([1.], dtype=float64)
    """

    latex = "{x}"
    samples = real(-1, 1, (3, 4), dtype=np.float64)
    inputs = "x"

    def forward(x, dtype): return x.astype(dtype)
    def backward(gy): return gy  # the walker hands every input a gradient of its own dtype


def axis_of(x: Any, dim: int, extra: int = 0) -> int:
    """`dim` counted from the front; refused if x (with `extra` further axes) has not so many."""
    count = max(x.ndim + extra, 1)
    if not -count <= dim < count:
        raise IndexError(f"Dimension out of range: axis {dim} of a tensor of shape {x.shape}")
    return dim % count


def unsqueeze(x: Any, dim: int) -> Any:
    """A new axis of size 1 at `dim`."""
    at = axis_of(x, dim, 1)
    return reshape(x, x.shape[:at] + (1,) + x.shape[at:])


def squeeze(x: Any, dim: int | None = None) -> Any:
    """Without the axes of size 1 (or without axis `dim`, if its size is 1)."""
    drop = range(x.ndim) if dim is None else (axis_of(x, dim),)
    return reshape(x, tuple(n for k, n in enumerate(x.shape) if not (n == 1 and k in drop)))


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The axes from `start_dim` to `end_dim` as one."""
    first, last = axis_of(x, start_dim), axis_of(x, end_dim)
    if first > last:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    return reshape(x, x.shape[:first] + (-1,) + x.shape[last + 1:])
