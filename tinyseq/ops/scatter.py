"""Reading and writing at indices: gather, scatter, index_select, masks, and index_put."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import ShapeError
from tinyseq.ops.arithmetic import add, where
from tinyseq.ops.overwrite import changed
from tinyseq.ops.index import along, getitem, not_there, plain, put, stages
from tinyseq.ops.shape import astype, axis_of, broadcast_to, count_of, reshape
from tinyseq.tensor import Tensor, wrap


def integers(name: str, index: Any, size: int, dim: int) -> np.ndarray:
    """A copy of an index array, refused unless it holds integers in range."""
    array = np.array(index.array if isinstance(index, Tensor) else index)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name}(): Expected dtype int64 for index, got {array.dtype}")
    wrong = array[(array < 0) | (array >= size)]
    if wrong.size:
        raise IndexError(f"{name}: index {int(wrong[0])} is out of bounds for dimension {dim} "
                         f"with size {size}")
    return array.astype(np.int64)


def index_along(name: str, x: Any, dim: int, index: Any) -> tuple[np.ndarray, ...]:
    """The index of gather and scatter: along `dim` by `index`, in place on the other axes."""
    at = axis_of(x, dim)
    array = integers(name, index, x.shape[at] if x.ndim else 1, at)
    if array.ndim != x.ndim:
        raise ShapeError(f"{name}: Index tensor must have the same number of dimensions as input "
                         f"tensor, got {array.shape} for {x.shape}")
    if any(k != at and n > m for k, (n, m) in enumerate(zip(array.shape, x.shape))):
        raise ShapeError(f"{name}: Size does not match: index {array.shape} must not be larger "
                         f"than {x.shape} apart from dimension {dim}")
    return along(array, at)


def gather(x: Any, dim: int, index: Any) -> Any:
    """The elements of x along `dim` at an index for each place of the result.

    Equation: y[i][j] = x[index[i][j]][j] for dim = 0
    Shapes: y as index, which is not larger than x but along `dim`.
    Errors: IndexError naming index, axis and size; TypeError for indices that are no integers.
    Example:
        >>> import tinyseq as ts
        >>> ts.gather(ts.tensor([[1, 2], [3, 4]]), 1, ts.tensor([[1], [0]]))
        tensor([[2],
                [3]])
    """
    at = index_along("gather", x, dim, index)
    return getitem(x, index=at) if x.ndim else reshape(x, ())


def take_along_dim(x: Any, indices: Any, dim: int | None = None) -> Any:
    """As gather, but x and indices broadcast; without `dim` both are read flat.

    Example:
        >>> import tinyseq as ts
        >>> ts.take_along_dim(ts.tensor([[5, 6], [8, 7]]), ts.tensor([[1]]), 1).tolist()
        [[6], [7]]
    """
    array = indices.array if isinstance(indices, Tensor) else np.asarray(indices)
    if dim is None:
        return gather(reshape(x, (count_of(x.shape),)), 0, array.reshape(-1))
    at = axis_of(x, dim)
    if array.ndim != x.ndim:
        raise ShapeError(f"take_along_dim: indices {array.shape} and input {x.shape} must have "
                         "the same number of dimensions")

    def with_size(shape: tuple, n: int) -> tuple:
        return shape[:at] + (n,) + shape[at + 1:]
    try:
        rest = np.broadcast_shapes(with_size(array.shape, 1), with_size(x.shape, 1))
    except ValueError as error:
        raise ShapeError(f"take_along_dim: indices {array.shape} and input {x.shape} do not "
                         f"broadcast apart from dimension {dim}") from error
    return gather(broadcast_to(x, with_size(rest, x.shape[at])), at,
                  np.broadcast_to(array, with_size(rest, array.shape[at])))


def index_select(x: Any, dim: int, index: Any) -> Any:
    """The slices of x along `dim` at a line of indices.

    Example:
        >>> import tinyseq as ts
        >>> ts.index_select(ts.tensor([[1, 2], [3, 4]]), 1, ts.tensor([1, 1])).tolist()
        [[2, 2], [4, 4]]
    """
    at = axis_of(x, dim)
    array = integers("index_select", index, x.shape[at] if x.ndim else 1, at)
    if array.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector, got shape "
                         f"{array.shape}")
    return getitem(x, index=(slice(None),) * at + (array.reshape(-1),)) if x.ndim \
        else reshape(x, ())


def source_of(name: str, x: Any, src: Any, shape: tuple[int, ...]) -> Any:
    """What scatter writes: src's part that has an index, in x's dtype."""
    if not isinstance(src, (Tensor, np.ndarray)):
        return np.full(shape, src, x.dtype)
    if src.ndim != len(shape) or any(n > m for n, m in zip(shape, src.shape)):
        raise ShapeError(f"{name}: Expected index {shape} to be no larger than src {src.shape}")
    part: Any = src if src.shape == shape else getitem(src, index=tuple([slice(n) for n in shape]))
    return part if part.dtype == x.dtype else astype(part, dtype=x.dtype)


def scatter(x: Any, dim: int, index: Any, src: Any = None, *, value: Any = None) -> Any:
    """x with elements of src, or one value, written along `dim`; of repeated ones the last stays.

    Equation: y[index[i][j]][j] = src[i][j] for dim = 0
    Shapes: y as x; index is not larger than src, nor than x but along `dim`.
    Example:
        >>> import tinyseq as ts
        >>> ts.scatter(ts.zeros(2, 2), 1, ts.tensor([[1], [0]]), 5.0).tolist()
        [[0.0, 5.0], [5.0, 0.0]]
    """
    if (src is None) == (value is None):
        raise TypeError("scatter takes a tensor src or a number value, and not both")
    at = index_along("scatter", x, dim, index)
    shape = np.broadcast_shapes(*[i.shape for i in at])
    return written(x, places_of(x.shape, at),
                   source_of("scatter", x, value if src is None else src, shape))


def scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    """x with elements of src added along `dim`; repeated indices add up.

    Equation: y = x; y[index[i][j]][j] += src[i][j] for dim = 0
    Shapes: y as x; index is not larger than src, nor than x but along `dim`.
    Example:
        >>> import tinyseq as ts
        >>> ts.scatter_add(ts.zeros(3), 0, ts.tensor([0, 0, 2]), ts.ones(3))
        tensor([2., 0., 1.])
    """
    at = index_along("scatter_add", x, dim, index)
    shape = np.broadcast_shapes(*[i.shape for i in at])
    part = source_of("scatter_add", x, src, shape)
    return add(x, put(part, index=at if x.ndim else (...,), shape=x.shape))


def places_of(shape: tuple[int, ...], index: Any) -> np.ndarray:
    """The flat places that an index reaches in a tensor of this shape."""
    places = np.arange(count_of(shape)).reshape(shape)
    for stage in stages(index):
        places = places[stage]
    return np.asarray(places)


def written(x: Any, places: np.ndarray, values: Any) -> Any:
    """x with values, of the places' shape, at flat places: a choice, so no history is lost."""
    if places.size == 0:
        return add(x, np.zeros((), x.dtype))
    source = np.full(count_of(x.shape), -1)
    source[places.reshape(-1)] = np.arange(places.size)  # of repeated places the last stays
    source = source.reshape(x.shape)
    line = reshape(values, (places.size,))
    return where(source < 0, x, getitem(line, index=(np.maximum(source, 0),)))


def index_put(x: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """x with `values` written at an index, as `x[index] = values`, but recorded: a new tensor.

    Every form of index goes; values broadcast. With `accumulate` they are added.
    Errors: IndexError as indexing; ShapeError where the values do not broadcast.
    Example:
        >>> import tinyseq as ts
        >>> ts.index_put(ts.zeros(3), [0, 2], ts.tensor([1.0, 2.0]))
        tensor([1., 0., 2.])
    """
    of_tensors = isinstance(indices, list) and any(isinstance(i, Tensor) for i in indices)
    at = plain(tuple(indices) if of_tensors else indices)
    try:
        places = places_of(x.shape, at)
    except IndexError as error:
        raise not_there(x, indices, at, error) from None
    values = values if isinstance(values, (Tensor, np.ndarray)) else np.asarray(values)
    values = values if values.dtype == x.dtype else astype(values, dtype=x.dtype)
    try:
        spread = broadcast_to(values, places.shape)
    except ShapeError as error:
        raise unfit(values.shape, places.shape) from error
    if not accumulate:
        return written(x, places, spread)
    added = put(reshape(spread, (places.size,)), index=(places.reshape(-1),),
                shape=(count_of(x.shape),))
    return add(x, reshape(added, x.shape))


def unfit(values: tuple[int, ...], place: tuple[int, ...]) -> ShapeError:
    """The error for values that do not fit where they are to go."""
    return ShapeError(f"shape mismatch: value tensor of shape {list(values)} cannot be broadcast "
                      f"to indexing result of shape {list(place)}")


def set_item(self: Tensor, index: Any, value: Any) -> None:
    """t[index] = value, in place: every form of index; of repeated ones the last value stays.

    Recorded where there is a history, as `index_put`.
    Errors: GraphError as every change in place; IndexError and ShapeError as index_put.
    """
    source, at = value.array if isinstance(value, Tensor) else value, plain(index)
    *ahead, last = stages(at)

    def write(array: np.ndarray) -> None:
        try:
            target = array[ahead[0]] if ahead else array  # a view: no arrays are in it
            target[last] = source
        except IndexError as error:
            raise not_there(self, index, at, error) from None
        except ValueError as error:
            raise unfit(np.shape(source), target[last].shape) from error
    changed(self, "index assignment", write, lambda old: index_put(old, index, value), value)


def masked_fill(x: Any, mask: Any, value: Any) -> Any:
    """x with one value (a number or a 0-d tensor) where a bool mask is true.

    Shapes: x and mask broadcast.
    Errors: TypeError for a mask that is not bool.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([1.0, -2.0])
        >>> ts.masked_fill(x, x < 0, 0.0)
        tensor([1., 0.])
    """
    if np.ndim(value) if not isinstance(value, Tensor) else value.ndim:
        raise ShapeError("masked_fill only supports a 0-dimensional value tensor, got shape "
                         f"{np.shape(value) if not isinstance(value, Tensor) else value.shape}: "
                         "type ts.where(mask, value, x)")
    if x.dtype.kind != "f" and np.asarray(values_of(value)).astype(x.dtype) != values_of(value):
        raise TypeError(f"masked_fill: {value!r} is no value of a tensor of {x.dtype}")
    fitting = np.asarray(value, x.dtype) if not isinstance(value, Tensor) else \
        value if value.dtype == x.dtype else astype(value, dtype=x.dtype)
    return where(boolean("masked_fill", mask), fitting, x)


def values_of(t: Any) -> Any:
    """A Tensor's array; a number as it is."""
    return t.array if isinstance(t, Tensor) else t


def masked_select(x: Any, mask: Any) -> Any:
    """The elements where a bool mask is true, as a line.

    Shapes: x and mask broadcast.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([1.0, -2.0, 3.0])
        >>> ts.masked_select(x, x > 0)
        tensor([1., 3.])
    """
    mask = boolean("masked_select", mask)
    array = mask.array if isinstance(mask, Tensor) else mask
    try:
        shape = np.broadcast_shapes(x.shape, array.shape)
    except ValueError as error:
        raise ShapeError(f"masked_select of shapes {x.shape} and {array.shape}: they do not "
                         "broadcast") from error
    return getitem(broadcast_to(x, shape), index=np.array(np.broadcast_to(array, shape)))


def boolean(name: str, mask: Any) -> Any:
    """A mask as it is; refused unless it is bool."""
    mask = mask if isinstance(mask, (Tensor, np.ndarray)) else wrap(np.asarray(mask))
    if mask.dtype != np.bool_:
        raise TypeError(f"{name} only supports boolean masks, but got mask with dtype "
                        f"{mask.dtype}: type mask != 0")
    return mask
