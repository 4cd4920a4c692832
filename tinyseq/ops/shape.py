"""Operations that move elements and change no value: their derivatives move them back."""
from __future__ import annotations

import operator
from numbers import Integral
from typing import Any

import numpy as np

from tinyseq.calling import Lift
from tinyseq.errors import ShapeError
from tinyseq.op import structural
from tinyseq.samples import real


def sizes_of(given: tuple, named: Any = None) -> tuple[int, ...]:
    """Sizes or axes as a caller wrote them: one by one, as one tuple, or by torch's keyword.

    Errors: TypeError for what is not an integer.
    """
    given = given if named is None else (named,)
    one = len(given) == 1 and not isinstance(given[0], Integral)
    try:
        return tuple([operator.index(n) for n in (given[0] if one else given)])
    except TypeError:
        raise TypeError(f"expected integers, as in f(2, 3) or f((2, 3)), got {given}") from None


def count_of(shape: tuple[int, ...]) -> int:
    """How many elements a shape has."""
    return int(np.prod(shape, dtype=np.int64))


def kept(shape: tuple[int, ...], dim: Any) -> tuple[int, ...]:
    """The shape after reducing `dim` (None: all axes) with the axes kept at size 1."""
    if dim is None or not shape:
        return (1,) * len(shape)
    dims = {d % len(shape) for d in (dim if isinstance(dim, tuple) else (dim,))}
    return tuple([1 if k in dims else n for k, n in enumerate(shape)])


def axis_of(x: Any, dim: int, extra: int = 0) -> int:
    """`dim` counted from the front; refused if x (with `extra` further axes) has not so many."""
    count = max(x.ndim + extra, 1)
    if not isinstance(dim, Integral):
        raise TypeError(f"an axis must be an integer, got {dim!r}")
    if not -count <= dim < count:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-count}, "
                         f"{count - 1}], but got {dim}): axis {dim} of a tensor of shape "
                         f"{x.shape}")
    return int(dim) % count


def axes_of(x: Any, dims: Any) -> tuple[int, ...]:
    """Axes counted from the front, each named once.

    Errors: IndexError for an axis that x has not, ValueError for one that is named twice.
    """
    at = tuple([axis_of(x, d) for d in dims])
    if len(set(at)) < len(at):
        raise ShapeError(f"axis {tuple(dims)} names an axis twice: dim "
                         f"{next(d for d in at if at.count(d) > 1)} appears multiple times in the "
                         "list of dims")
    return at


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


def reshape(x: Any, *sizes: Any, shape: Any = None) -> Any:
    """The same elements in another shape; one size may be -1. `view` is the same here.

    Errors: ShapeError naming the sizes when the count of elements differs.
    Example:
        >>> import tinyseq as ts
        >>> ts.reshape(ts.tensor([[1.0, 2.0]]), -1)
        tensor([1., 2.])
    """
    sizes = sizes_of(sizes, shape)
    try:
        if sizes and min(sizes) < -1:
            raise ValueError("a size is negative")
        return reshape_to(x, shape=sizes)
    except ValueError as error:
        raise ShapeError(f"a tensor of shape {x.shape} cannot be reshaped to {sizes}: shape "
                         f"'{list(sizes)}' is invalid for input of size {count_of(x.shape)}; at "
                         "most one size may be -1") from error


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

    def forward(x, dim0, dim1):
        if x.ndim == 0 and {dim0, dim1} <= {0, -1}:  # as in torch, a 0-d tensor has a last axis
            return x.reshape(())
        return np.swapaxes(x, dim0, dim1)

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
        return permute_axes(gy, dims=tuple(np.argsort([d % len(dims) for d in dims]).tolist()))


def permute(x: Any, *axes: Any, dims: Any = None) -> Any:
    """The axes in another order: `x.permute(1, 0, 2)`.

    Errors: ValueError unless every axis is named once.
    Example:
        >>> import tinyseq as ts
        >>> ts.permute(ts.zeros(2, 3), (1, 0)).shape
        (3, 2)
    """
    order = sizes_of(axes, dims)
    if sorted(d % max(x.ndim, 1) for d in order) != list(range(x.ndim)):
        raise ShapeError(f"permute of a {x.ndim}-D tensor must name every axis once, got {order}")
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


def broadcast_to(x: Any, *sizes: Any, size: Any = None) -> Any:
    """x repeated to these sizes without copying; -1 keeps a size. `Tensor.expand` is the same.

    Errors: ShapeError naming the first size that does not fit.
    Example:
        >>> import tinyseq as ts
        >>> ts.zeros(3, 1).expand(2, -1, 4).shape
        (2, 3, 4)
    """
    sizes = sizes_of(sizes, size)
    extra, said = len(sizes) - x.ndim, f"expand of shape {x.shape} to {sizes}"
    if extra < 0:
        raise ShapeError(f"{said}: the number of sizes provided ({len(sizes)}) must be greater or "
                         f"equal to the number of dimensions in the tensor ({x.ndim})")
    for k, n in enumerate(sizes):
        if n < -1 or (n == -1 and k < extra):
            raise ShapeError(f"{said}: The expanded size of the tensor ({n}) isn't allowed in "
                             f"{'a leading, non-existing ' if k < extra else ''}dimension {k}")
        if k >= extra and n != -1 and x.shape[k - extra] not in (1, n):
            raise ShapeError(f"{said}: The expanded size of the tensor ({n}) must match the "
                             f"existing size ({x.shape[k - extra]}) at non-singleton dimension "
                             f"{k}")
    return expand(x, shape=tuple([x.shape[k - extra] if n == -1 else n
                                  for k, n in enumerate(sizes)]))


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


def unsqueeze(x: Any, dim: int) -> Any:
    """A new axis of size 1 at `dim`."""
    at = axis_of(x, dim, 1)
    return reshape(x, x.shape[:at] + (1,) + x.shape[at:])


def squeeze(x: Any, dim: Any = None) -> Any:
    """Without the axes of size 1, or without those of the axis or axes `dim` that are.

    Example:
        >>> import tinyseq as ts
        >>> x = ts.zeros(1, 3, 1, 1)
        >>> x.squeeze().shape, x.squeeze(0).shape, x.squeeze((0, 1, -1)).shape
        ((3,), (3, 1, 1), (3, 1))
    """
    dims = range(x.ndim) if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    drop = axes_of(x, dims)
    return reshape(x, tuple(n for k, n in enumerate(x.shape) if not (n == 1 and k in drop)))


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The axes from `start_dim` to `end_dim` as one."""
    first, last = axis_of(x, start_dim), axis_of(x, end_dim)
    if first > last:
        raise ShapeError(f"flatten() has invalid args: start_dim {start_dim} cannot come after "
                         f"end_dim {end_dim}")
    return reshape(x, x.shape[:first] + (count_of(x.shape[first:last + 1]),) + x.shape[last + 1:])


def turned(x: Any) -> Any:
    """`x.T`: all axes in the opposite order."""
    return x if x.ndim < 2 else permute_axes(x, dims=tuple(range(x.ndim))[::-1])


def t(x: Any) -> Any:
    """The transpose of a matrix; a tensor of fewer axes as it is."""
    if x.ndim > 2:
        raise ShapeError(f"t() expects a tensor with <= 2 dimensions, but self is {x.ndim}D: type "
                         "x.mT, or x.transpose(dim0, dim1)")
    return turned(x)


def matrix_turned(x: Any) -> Any:
    """`x.mT`: the last two axes swapped."""
    if x.ndim < 2:
        raise ShapeError("tensor.mT is only supported on matrices or batches of matrices. Got "
                         f"{x.ndim}-D tensor.")
    return transpose(x, -1, -2)


def contiguous(x: Any) -> Any:
    """x itself if its elements lie in C order, else a recorded copy in which they do."""
    try:
        return x if x.array.flags.c_contiguous else reshape(reshape(x, -1), x.shape)
    except Lift:  # one sample of a batch: how it lies in memory is not its own
        return x
