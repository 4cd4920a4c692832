"""torch's oldest names, which course notebooks use: `LongTensor`, `Variable`, `Tensor.new`."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.ops.create import zeros
from tinyseq.tensor import Tensor, wrap


def typed(name: str, dtype: str) -> Any:
    """A maker of tensors of one dtype: from values, or of given sizes, then zeros."""
    def make(*given: Any) -> Tensor:
        return of(given, np.dtype(dtype), name)
    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"A {dtype} tensor of values, or from sizes one of zeros: `tensor` is better."
    return make


def of(given: tuple, dtype: np.dtype, word: str) -> Tensor:
    """Values in a sequence, an array or a tensor; whole numbers are sizes."""
    if len(given) == 1 and not isinstance(given[0], (int, np.integer)):
        if np.ndim(given[0]) == 0:
            raise TypeError(f"{word}: data must be a sequence, got {type(given[0]).__name__}: "
                            "type ts.tensor(...) for a number")
        return wrap(Tensor(given[0]).array.astype(dtype))
    return zeros(*given or (0,), dtype=dtype)


FloatTensor, DoubleTensor = typed("FloatTensor", "float32"), typed("DoubleTensor", "float64")
LongTensor, IntTensor = typed("LongTensor", "int64"), typed("IntTensor", "int32")
ByteTensor, BoolTensor = typed("ByteTensor", "uint8"), typed("BoolTensor", "bool")


def new(self: Tensor, *given: Any) -> Tensor:
    """A tensor of this one's dtype: of values, or from sizes one of zeros; see `new_zeros`.

    Example:
        >>> import tinyseq as ts
        >>> ts.ones(1, dtype=ts.float64).new(1, 2), ts.tensor([1]).new([3.0, 4.0])
        (tensor([[0., 0.]], dtype=float64), tensor([3, 4]))
    """
    return of(given, self.dtype, "new")


def Variable(data: Any, requires_grad: bool = False) -> Tensor:
    """A tensor on the same storage without its history; what torch's users once had to write.

    Example:
        >>> import tinyseq as ts
        >>> ts.autograd.Variable(ts.ones(2), requires_grad=True).requires_grad
        True
    """
    if not isinstance(data, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
    return wrap(data.array, version=data.version).requires_grad_(requires_grad)
