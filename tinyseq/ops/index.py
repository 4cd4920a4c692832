"""Selecting and joining: indexing, cat, stack, split, embedding."""
from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tinyseq.errors import ShapeError
from tinyseq.op import structural
from tinyseq.ops.shape import axis_of, unsqueeze
from tinyseq.samples import real
from tinyseq.tensor import Tensor


@structural
class getitem:
    """The elements at an index: ints, slices, None, Ellipsis, integer arrays, a bool mask.

    Equation: y = x[index]
    Shapes: as numpy's indexing.
    Errors: IndexError naming the index, the axis and its size.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([1.0, 2.0, 3.0])[[0, 0, 2]]
        tensor([1., 1., 3.])
    """

    latex = "{x}[{index}]"
    samples = real(-1, 1, (3, 4), index=(slice(0, 2), 1)) + real(-1, 1, (3, 4), index=([0, 0, 2],))
    inputs = "x"

    def forward(x, index): return x[index]
    def backward(gy, x_shape, index): return put(gy, index=index, shape=x_shape)


@structural
class put:
    """Zeros, with x added at an index: the transpose of indexing. Repeated indices add up.

    Equation: y = 0; y[index] += x
    Shapes: y has `shape`; x has the shape of y[index].
    Example:
        >>> import numpy as np
        >>> from tinyseq.ops.index import put
        >>> put(np.ones(3), index=([0, 0, 1],), shape=(3,))
        array([2., 1., 0.])
    """

    latex = r"\mathrm{{put}}({x})"
    samples = real(-1, 1, (3,), index=([0, 0, 1],), shape=(4,))
    inputs = "x"

    def forward(x, index, shape):
        y = np.zeros(shape, x.dtype)
        if any(isinstance(i, (list, np.ndarray)) for i in as_tuple(index)):
            scatter_add(y, index, x)
        else:
            y[index] = x
        return y

    def backward(gy, index): return getitem(gy, index=index)


def scatter_add(y: np.ndarray, index: Any, x: np.ndarray) -> None:
    """y[index] += x with repeated indices; rows of a matrix by sorting, far faster than add.at."""
    one = as_tuple(index)
    rows = np.asarray(one[0]) if len(one) == 1 else None
    if rows is None or rows.dtype.kind not in "iu" or y.ndim != 2 or rows.size == 0:
        np.add.at(y, index, x)
        return
    flat = rows.reshape(-1) % y.shape[0]
    order = np.argsort(flat, kind="stable")
    found, first = np.unique(flat[order], return_index=True)
    y[found] += np.add.reduceat(x.reshape(flat.size, -1)[order], first, axis=0)


def as_tuple(index: Any) -> tuple:
    """x[k] and x[k,] alike."""
    return index if isinstance(index, tuple) else (index,)


def plain(index: Any) -> Any:
    """An index with Tensors turned into arrays; copied, so that backward finds it as it was."""
    if isinstance(index, tuple):
        return tuple(plain(i) for i in index)
    if isinstance(index, Tensor):
        return index.array.copy()
    return copy.deepcopy(index) if isinstance(index, (list, np.ndarray)) else index


def index_into(x: Any, index: Any) -> Any:
    """x[index], as Tensor.__getitem__: with errors that name index, axis and size."""
    try:
        return getitem(x, index=plain(index))
    except IndexError as error:
        raise IndexError(f"{error} (index {index!r} into a tensor of shape {x.shape})") from None


def narrow(x: Any, dim: int, start: int, length: int) -> Any:
    """The `length` elements from `start` along axis `dim`."""
    at = axis_of(x, dim)
    if not 0 <= start <= start + length <= x.shape[at]:
        raise ValueError(f"narrow: {length} elements from {start} on axis {dim} of shape "
                         f"{x.shape}, which has {x.shape[at]} there")
    return getitem(x, index=(slice(None),) * at + (slice(start, start + length),))


def split(x: Any, split_size: int | list[int], dim: int = 0) -> tuple:
    """Pieces along `dim`: of one size (the last may be shorter), or of the given sizes."""
    total = x.shape[axis_of(x, dim)]
    if isinstance(split_size, int):
        if split_size < 1:
            raise ValueError(f"split_size must be at least 1, got {split_size}")
        sizes = [min(split_size, total - k) for k in range(0, total, split_size)]
    else:
        sizes = list(split_size)
    if sum(sizes) != total or min(sizes, default=0) < 0:
        raise ShapeError(f"split sizes {sizes} add up to {sum(sizes)}, but axis {dim} of shape "
                         f"{x.shape} has {total}")
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    return tuple(narrow(x, dim, start, size) for start, size in zip(starts, sizes))


def chunk(x: Any, chunks: int, dim: int = 0) -> tuple:
    """At most `chunks` pieces along `dim`, all of one size but perhaps the last."""
    if chunks < 1:
        raise ValueError(f"chunks must be at least 1, got {chunks}")
    return split(x, max(1, -(-x.shape[axis_of(x, dim)] // chunks)), dim)


@structural
class join:
    """Pieces one after the other along an axis; `cat` is its public form.

    Equation: y = [x_0; x_1; ...]
    Shapes: equal but along `dim`.
    Example:
        >>> import tinyseq as ts
        >>> ts.cat([ts.tensor([1.0]), ts.tensor([2.0, 3.0])])
        tensor([1., 2., 3.])
    """

    name = "cat"
    latex = "[{xs}]"
    samples = real(-1, 1, (2, 3), (2, 4), dim=1)

    def forward(*xs, dim=0): return np.concatenate(xs, axis=dim)

    def backward(gy, place, shapes, dim):
        return narrow(gy, dim, sum([shape[dim] for shape in shapes[:place]]), shapes[place][dim])


def cat(tensors: Any, dim: int = 0) -> Any:
    """Pieces one after the other along axis `dim`.

    Errors: ValueError for no pieces, or naming the first piece whose shape does not fit.
    Example:
        >>> import tinyseq as ts
        >>> ts.cat([ts.zeros(2, 1), ts.ones(2, 2)], dim=1)
        tensor([[0., 1., 1.],
                [0., 1., 1.]])
    """
    pieces = listed("cat", tensors)
    try:
        return join(*pieces, dim=dim)
    except ValueError as error:
        raise ShapeError(unfit("cat", pieces, dim)) from error


def stack(tensors: Any, dim: int = 0) -> Any:
    """Tensors of one shape along a new axis `dim`.

    Errors: ValueError for no tensors, or naming the first whose shape differs.
    Example:
        >>> import tinyseq as ts
        >>> ts.stack([ts.tensor([1.0, 2.0]), ts.tensor([3.0, 4.0])])
        tensor([[1., 2.],
                [3., 4.]])
    """
    pieces = listed("stack", tensors)
    if any(piece.shape != pieces[0].shape for piece in pieces):
        raise ShapeError(unfit("stack", pieces, None))
    return cat([unsqueeze(piece, dim) for piece in pieces], dim)


def listed(name: str, tensors: Any) -> list:
    """The pieces as a list, refused if there are none or one is not a tensor."""
    pieces = list(tensors)
    if not pieces:
        raise ValueError(f"{name} expects at least one tensor, got an empty list")
    for k, piece in enumerate(pieces):
        if not isinstance(piece, (Tensor, np.ndarray)):
            raise TypeError(f"{name}: piece {k} is a {type(piece).__name__}, expected a Tensor")
    return pieces


def unfit(name: str, pieces: list, dim: int | None) -> str:
    """Which piece does not fit the first, with both shapes."""
    def rest(shape: tuple) -> tuple:
        return shape if dim is None else shape[:dim % len(shape)] + shape[dim % len(shape) + 1:]
    for k, piece in enumerate(pieces):
        if piece.ndim != pieces[0].ndim or rest(piece.shape) != rest(pieces[0].shape):
            return (f"{name}: tensor {k} has shape {piece.shape}, which does not fit tensor 0's "
                    f"{pieces[0].shape}" + ("" if dim is None else f" along axis {dim}"))
    return f"{name}: axis {dim} does not exist in shape {pieces[0].shape}"


@structural
class embedding_rows:
    """Rows of a table, one for each index; `embedding` is its public form.

    Equation: y_k = weight[index_k]
    Shapes: index (...), weight (V, D), y (..., D).
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.embedding(ts.tensor([1, 0]), ts.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([[3., 4.],
                [1., 2.]])
    """

    name = "embedding"
    latex = "{weight}[{index}]"
    samples = real(-1, 1, (5, 3), index=np.array([[1, 1], [4, 0]]))
    inputs = "weight"

    def forward(weight, index): return weight[index]
    def backward(gy, weight_shape, index): return put(gy, index=(index,), shape=weight_shape)


def embedding(input: Any, weight: Any) -> Any:
    """Rows of `weight`, one for each index in `input`.

    Shapes: input (...) of integers, weight (V, D), result (..., D).
    Errors: TypeError for indices that are not integers, IndexError naming the one out of range.
    """
    index = input.array if isinstance(input, Tensor) else np.asarray(input)
    if index.dtype.kind not in "iu":
        raise TypeError(f"embedding expects integer indices, got {index.dtype}")
    rows = weight.shape[0]
    if index.size and (index.min() < 0 or index.max() >= rows):
        bad = int(index.min() if index.min() < 0 else index.max())
        raise IndexError(f"embedding: index {bad} is out of range for a table of {rows} rows")
    return embedding_rows(weight, index=index.copy())
