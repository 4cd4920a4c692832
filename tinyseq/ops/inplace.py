"""Operations in place: on the tensor's own storage, counted, refused on recorded tensors."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import ShapeError
from tinyseq.tensor import Tensor


def in_place(name: str, ufunc: np.ufunc) -> Any:
    """add_, mul_ ...: on the tensor's own storage, counted, refused on recorded tensors."""
    def change(self: Tensor, other: Any) -> Tensor:
        value = other.array if isinstance(other, Tensor) else other
        return self.change(name, lambda a: ufunc(a, value, out=a, casting="same_kind"), other)
    return change


def copy_(self: Tensor, other: Any) -> Tensor:
    """Take over the values of a tensor or array of the same shape.

    Errors: ShapeError for another shape; GraphError where a history would be lost.
    """
    source = other.array if isinstance(other, Tensor) else np.asarray(other)
    if source.shape != self.shape:
        raise ShapeError(f"copy_ into {self.shape} from {source.shape}: shapes must be equal")
    return self.change("copy_", lambda a: np.copyto(a, source, casting="same_kind"), other)


def fill_(self: Tensor, value: float) -> Tensor:
    """Set every element to one number."""
    return self.change("fill_", lambda a: a.fill(value))


def zero_(self: Tensor) -> Tensor:
    """Set every element to 0."""
    return fill_(self, 0)


def set_item(self: Tensor, index: Any, value: Any) -> None:
    """t[index] = value."""
    source = value.array if isinstance(value, Tensor) else value
    at = index.array if isinstance(index, Tensor) else index
    self.change("index assignment", lambda a: a.__setitem__(at, source), value)
