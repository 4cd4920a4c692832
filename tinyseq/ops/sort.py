"""Order along an axis: sort, argsort, topk. The elements' gradients go back where they stood."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.ops.extreme import Found
from tinyseq.ops.index import along, getitem
from tinyseq.ops.shape import axis_of, reshape
from tinyseq.tensor import Tensor, wrap


def ordered(x: Any, dim: int, descending: bool) -> np.ndarray:
    """Where the elements stand in order: equal ones stay in turn, NaN counts as the largest."""
    array, at = x.array if isinstance(x, Tensor) else x, axis_of(x, dim)
    if x.ndim == 0:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(array, axis=at, kind="stable")
    backwards = np.argsort(np.flip(array, at), axis=at, kind="stable")
    return array.shape[at] - 1 - np.flip(backwards, at)


def at_places(x: Any, places: np.ndarray, dim: int) -> Found:
    """The elements at the places along an axis, and these places."""
    if x.ndim == 0:
        return Found(reshape(x, ()), wrap(places))
    return Found(getitem(x, index=along(places, axis_of(x, dim))), wrap(places))


def sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Found:
    """The elements in order along `dim`, and where they stood; equal ones always stay in turn.

    Example:
        >>> import tinyseq as ts
        >>> values, indices = ts.sort(ts.tensor([3, 1, 2]), descending=True)
        >>> values.tolist(), indices.tolist()
        ([3, 2, 1], [0, 2, 1])
    """
    return at_places(x, ordered(x, dim, descending), dim)


def argsort(x: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Where the elements stand in order along `dim`.

    Example:
        >>> import tinyseq as ts
        >>> ts.argsort(ts.tensor([3, 1, 2]))
        tensor([1, 2, 0])
    """
    return wrap(ordered(x, dim, descending))


def topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Found:
    """The k largest (or smallest) along `dim`, in order, and where they stood; the first of ties.

    Errors: IndexError for a k that the axis has not.
    Example:
        >>> import tinyseq as ts
        >>> ts.topk(ts.tensor([3.0, 1.0, 2.0]), 2).values
        tensor([3., 2.])
    """
    at = axis_of(x, dim)
    if not 0 <= k <= (x.shape[at] if x.ndim else 1):
        raise IndexError(f"topk: selected index k out of range: {k} of axis {dim} of shape "
                         f"{x.shape}")
    places = ordered(x, dim, largest)
    return at_places(x, np.take(places, range(k), axis=at) if x.ndim else places, dim)
