"""Cutting along an axis and joining: narrow, select, split, chunk, unbind, cat, stack."""
from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np

from tinyseq.errors import ShapeError
from tinyseq.op import structural
from tinyseq.ops.index import getitem
from tinyseq.ops.shape import astype, axis_of, reshape, unsqueeze
from tinyseq.samples import real
from tinyseq.tensor import Tensor


def narrow(x: Any, dim: int, start: int, length: int) -> Any:
    """The `length` elements from `start` along axis `dim`.

    Example:
        >>> import tinyseq as ts
        >>> ts.narrow(ts.arange(6), 0, 2, 3)
        tensor([2, 3, 4])
    """
    at = axis_of(x, dim)
    size = x.shape[at] if x.ndim else 0
    first = start + size if start < 0 else start
    if x.ndim == 0 or not 0 <= first <= first + length <= size:
        raise ShapeError(f"narrow: start ({start}) + length ({length}) does not fit axis {dim} of "
                         f"shape {x.shape}, which has {size} there")
    return getitem(x, index=(slice(None),) * at + (slice(first, first + length),))


def select(x: Any, dim: int, index: int) -> Any:
    """The elements at one place of axis `dim`, which the result has no more.

    Errors: IndexError naming index, axis and size.
    Example:
        >>> import tinyseq as ts
        >>> ts.select(ts.tensor([[1, 2], [3, 4]]), 1, -1)
        tensor([2, 4])
    """
    at = axis_of(x, dim)
    size = x.shape[at] if x.ndim else 0
    if not -size <= index < size:
        raise IndexError(f"select(): index {index} out of range for tensor of size "
                         f"{list(x.shape)} at dimension {dim}: it has size {size} there")
    return getitem(x, index=(slice(None),) * at + (int(index),))


def unbind(x: Any, dim: int = 0) -> tuple:
    """The tensors along an axis, one by one.

    Example:
        >>> import tinyseq as ts
        >>> [row.tolist() for row in ts.tensor([[1, 2], [3, 4]]).unbind()]
        [[1, 2], [3, 4]]
    """
    return tuple([select(x, dim, k) for k in range(x.shape[axis_of(x, dim)])])


def split(x: Any, split_size: int | list[int], dim: int = 0) -> tuple:
    """Pieces along `dim`: of one size (the last may be shorter), or of the given sizes.

    Example:
        >>> import tinyseq as ts
        >>> [piece.tolist() for piece in ts.split(ts.arange(5), 2)]
        [[0, 1], [2, 3], [4]]
    """
    total = x.shape[axis_of(x, dim)]
    if isinstance(split_size, int):
        if split_size < 1 and not (split_size == 0 == total):
            raise ValueError(f"split_size must be at least 1, got {split_size}")
        sizes = [min(split_size, total - k) for k in range(0, total, split_size or 1)] or [0]
    else:
        sizes = list(split_size)
    if sum(sizes) != total or min(sizes, default=0) < 0:
        raise ShapeError(f"split sizes {sizes} add up to {sum(sizes)}, but axis {dim} of shape "
                         f"{x.shape} has {total}")
    return tuple([narrow(x, dim, end - size, size) for end, size in zip(accumulate(sizes), sizes)])


def chunk(x: Any, chunks: int, dim: int = 0) -> tuple:
    """At most `chunks` pieces along `dim`, all of one size but perhaps the last."""
    if chunks < 1:
        raise ValueError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    return split(x, max(1, -(-x.shape[axis_of(x, dim)] // chunks)), dim)


@structural
class join:
    """Pieces one after the other along an axis; `cat` is its public form, and says the starts.

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

    def forward(*xs, dim=0, starts=None): return np.concatenate(xs, axis=dim)

    def backward(gy, place, shapes, dim, starts):
        start = starts[place] if starts else sum([shape[dim] for shape in shapes[:place]])
        return narrow(gy, dim, start, shapes[place][dim])


def cat(tensors: Any, dim: int = 0) -> Any:
    """Pieces one after the other along axis `dim`. As in torch, a piece of shape (0,) fits all.

    Errors: ValueError for no pieces, or naming the first piece whose shape does not fit.
    Example:
        >>> import tinyseq as ts
        >>> ts.cat([ts.zeros(2, 1), ts.ones(2, 2)], dim=1)
        tensor([[0., 1., 1.],
                [0., 1., 1.]])
    """
    given = listed("cat", tensors)
    first = next((piece for piece in given if piece.shape != (0,)), given[0])
    if first.ndim == 0:
        raise ShapeError("cat: zero-dimensional tensor (at position 0) cannot be concatenated: "
                         "type stack")
    at = axis_of(first, dim)
    none = first.shape[:at] + (0,) + first.shape[at + 1:]
    pieces = of_one_dtype([reshape(p, none) if p.shape == (0,) != none else p for p in given])
    try:
        return join(*pieces, dim=at, starts=(0, *accumulate([p.shape[at] for p in pieces])))
    except (ValueError, IndexError) as error:
        raise ShapeError(unfit("cat", given, dim)) from error


def of_one_dtype(pieces: list) -> list:
    """The pieces in the dtype that torch gives them together: floating point before integers."""
    known = {piece.dtype for piece in pieces}
    if len(known) == 1:
        return pieces
    floats = [dtype for dtype in known if dtype.kind == "f"]
    wanted = np.result_type(*(floats or known))
    return [piece if piece.dtype == wanted else astype(piece, dtype=wanted) for piece in pieces]


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
    return cat([unsqueeze(piece, dim) for piece in pieces], axis_of(pieces[0], dim, 1))


def listed(name: str, tensors: Any) -> list:
    """The pieces as a list, refused if there are none or one is not a tensor."""
    pieces = list(tensors)
    if not pieces:
        raise ValueError(f"{name} expects a non-empty list of Tensors, got an empty list")
    for k, piece in enumerate(pieces):
        if not isinstance(piece, (Tensor, np.ndarray)):
            raise TypeError(f"{name}: piece {k} is a {type(piece).__name__}, expected a Tensor")
    return pieces


def unfit(name: str, pieces: list, dim: int | None) -> str:
    """Which piece does not fit the first, with both shapes."""
    k, first = next((k, p) for k, p in enumerate(pieces) if dim is None or p.shape != (0,))

    def rest(shape: tuple) -> tuple:
        at = None if dim is None else dim % first.ndim
        return tuple([n for axis, n in enumerate(shape) if axis != at])
    wrong = next((j for j, piece in enumerate(pieces) if (dim is None or piece.shape != (0,))
                  and (piece.ndim != first.ndim or rest(piece.shape) != rest(first.shape))), k)
    return (f"{name}: tensor {wrong} has shape {pieces[wrong].shape}, which does not fit tensor "
            f"{k}'s {first.shape}" + ("" if dim is None else f" along axis {dim}"))
