"""Indexing and its transpose: getitem, put, and embedding, the rows of a table."""
from __future__ import annotations

import copy
from numbers import Integral
from typing import Any

import numpy as np

from tinyseq.op import structural
from tinyseq.ops.arithmetic import where
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
            add_at(y, index, x)
        else:
            y[index] = x
        return y

    def backward(gy, index): return getitem(gy, index=index)


def add_at(y: np.ndarray, index: Any, x: np.ndarray) -> None:
    """y[index] += x for fresh zeros y, with repeated indices; far faster than add.at alone.

    Masks repeat nothing; rows of a matrix are sorted; anything else goes by flat places.
    """
    one = as_tuple(index)
    arrays = [np.asarray(i) for i in one if isinstance(i, (list, np.ndarray))]
    if all(i.dtype == np.bool_ for i in arrays):
        y[index] = x
    elif len(one) == 1 and y.ndim == 2 and arrays[0].size:
        flat = arrays[0].reshape(-1) % y.shape[0]
        order = np.argsort(flat, kind="stable")
        found, first = np.unique(flat[order], return_index=True)
        y[found] += np.add.reduceat(x.reshape(flat.size, -1)[order], first, axis=0)
    else:
        places = np.arange(y.size).reshape(y.shape)[index]
        np.add.at(y.reshape(-1), places.reshape(-1), x.reshape(-1))


def as_tuple(index: Any) -> tuple:
    """x[k] and x[k,] alike."""
    return index if isinstance(index, tuple) else (index,)


def plain(index: Any) -> Any:
    """An index with Tensors turned into arrays; copied, so that backward finds it as it was."""
    if isinstance(index, tuple):
        return tuple([plain(i) for i in index])
    if isinstance(index, Tensor):
        index = index.array
    if isinstance(index, np.ndarray) and index.ndim == 0 and index.dtype.kind in "iu":
        return int(index)
    return copy.deepcopy(index) if isinstance(index, (list, np.ndarray)) else index


def stages(index: Any) -> tuple:
    """An index as one or two to be used in turn: integers beside arrays select first, as in torch.

    (NumPy would broadcast the integer with the arrays, and move their axis to the front.)

    Example:
        >>> stages((0, slice(None), [1, 2]))
        ((0, slice(None, None, None), slice(None, None, None)), (slice(None, None, None), [1, 2]))
    """
    one = as_tuple(index)
    whole = [isinstance(i, Integral) and not isinstance(i, bool) for i in one]
    if not any(whole) or not any(isinstance(i, (list, np.ndarray)) for i in one):
        return (index,)
    first: list[Any] = []
    then: list[Any] = []
    for i, is_int in zip(one, whole):
        if isinstance(i, (list, np.ndarray)):
            axes = np.ndim(i) if np.asarray(i).dtype == np.bool_ else 1
            first += [slice(None)] * axes
            then.append(i)
        else:
            first.append(i)
            if not is_int:
                then.append(i if i is Ellipsis else slice(None))
    return tuple(first), tuple(then)


def index_into(x: Any, index: Any) -> Any:
    """x[index], as Tensor.__getitem__: with errors that name index, axis and size.

    Forms and shapes are torch's; a nested list is an integer array, as in numpy.
    """
    at = plain(index)
    y = x
    try:
        for stage in stages(at):
            y = getitem(y, index=stage)
        return y
    except IndexError as error:
        raise not_there(x, index, at, error) from None


def not_there(x: Any, index: Any, at: Any, error: IndexError) -> IndexError:
    """The error for an index that x has not: it counts x's own axes, though read in two stages."""
    try:
        np.broadcast_to(0, x.shape)[at]
    except IndexError as whole:
        error = whole
    return IndexError(f"{error} (index {index!r} into a tensor of shape {x.shape})")


def along(index: np.ndarray, dim: int) -> tuple[np.ndarray, ...]:
    """The index that goes along `dim` by `index`, and along every other axis in order.

    Example:
        >>> x = np.array([[5, 6], [7, 8]])
        >>> x[along(np.array([[1], [0]]), 1)]
        array([[6],
               [7]])
    """
    rank = index.ndim
    return tuple([index if k == dim else
                  np.arange(n).reshape((1,) * k + (-1,) + (1,) * (rank - k - 1))
                  for k, n in enumerate(index.shape)])


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


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """Rows of `weight`, one for each index in `input`; that at `padding_idx` gets no gradient.

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
    y = embedding_rows(weight, index=index.copy())
    if padding_idx is None or not isinstance(y, Tensor):
        return y
    if not -rows <= padding_idx < rows:
        raise IndexError(f"embedding: padding_idx {padding_idx} is out of range for a table of "
                         f"{rows} rows")
    return where(index[..., None] == padding_idx % rows, y.detach(), y)
