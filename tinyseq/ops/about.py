"""What a tensor says of itself, and what it becomes: dtypes, devices, memory, fresh ones like it.

The names are torch's. A tensor lies on the CPU; a change of dtype is recorded between floats.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.array import DTYPES, checked_dtype
from tinyseq.device import CPU, device, on_cpu
from tinyseq.ops.arithmetic import mul
from tinyseq.ops.create import empty, full, ones, tensor, zeros
from tinyseq.ops.shape import astype, axis_of, reshape
from tinyseq.tensor import Tensor, wrap

KINDS = {"float32": "torch.FloatTensor", "float64": "torch.DoubleTensor",
         "int64": "torch.LongTensor", "int32": "torch.IntTensor", "uint8": "torch.ByteTensor",
         "bool": "torch.BoolTensor"}


def clone(x: Tensor) -> Tensor:
    """A copy with a history of its own."""
    return reshape(wrap(x.array.copy()), x.shape) if not x.requires_grad else mul(x, 1.0)


# -- another dtype ---------------------------------------------------------------------------
def destination(args: tuple, device: Any = None, dtype: Any = None, non_blocking: bool = False,
                copy: bool = False) -> tuple[np.dtype | None, bool]:
    """(dtype or None, copy) from the arguments of torch's `to`.

    They are a dtype, a device, a device and a dtype, or a tensor to be like; then the flags.
    """
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        dtype = rest.pop(0).dtype
    else:
        if rest and names_device(rest[0]):
            device = rest.pop(0)
        if rest and not isinstance(rest[0], bool):
            dtype = rest.pop(0)
    on_cpu(device)
    if len(rest) > 2 or any([not isinstance(flag, bool) for flag in rest]):
        raise TypeError(f"to() takes a dtype, a device, both, or a tensor, and then non_blocking "
                        f"and copy; got {args}")
    return None if dtype is None else checked_dtype(dtype), bool([copy, *rest[1:]][-1])


def names_device(value: Any) -> bool:
    """Whether an argument of `to` says where, not what: a device, None, or a word for one."""
    return value is None or isinstance(value, device) or (
        isinstance(value, str) and value not in DTYPES)


def to(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The same values in another dtype: `x.to(ts.float64)`, `x.to("cpu")`, `x.to(other)`.

    Recorded between floating point dtypes; where nothing changes it is x itself, unless
    `copy=True`.
    Errors: RuntimeError for a device that is not the CPU; TypeError naming a wrong dtype.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([1.0, 2.0])
        >>> x.to("cpu") is x, x.to(ts.device("cpu"), ts.int64)
        (True, tensor([1, 2]))
    """
    wanted, copy = destination(args, **kwargs)
    if wanted is None or wanted == x.dtype:
        return clone(x) if copy else x
    if wanted.kind == "f":
        return astype(x, dtype=wanted)
    with np.errstate(all="ignore"):
        return wrap(x.array.astype(wanted))


def type_(x: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """torch's name of this kind of tensor; given a dtype, or such a name, the values in it.

    Errors: ValueError for a name that there is not.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([1.0])
        >>> x.type(), x.type(ts.int64), x.type("torch.DoubleTensor").dtype.name
        ('torch.FloatTensor', tensor([1]), 'float64')
    """
    if dtype is None:
        return KINDS[x.dtype.name]
    if isinstance(dtype, str) and dtype not in KINDS:
        names = {kind: name for name, kind in KINDS.items()}
        if dtype not in names:
            raise ValueError(f"invalid type: {dtype!r}: one of {', '.join(names)}")
        dtype = names[dtype]
    return to(x, dtype=dtype)


def cpu(x: Tensor) -> Tensor:
    """The tensor itself: it is on the CPU."""
    return x


# -- what it is ------------------------------------------------------------------------------
def is_tensor(obj: Any) -> bool:
    """Whether something is a Tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the numbers are real ones: float32 or float64."""
    return input.dtype.kind == "f"


def numel(input: Tensor) -> int:
    """How many elements there are."""
    if not isinstance(input, Tensor):
        raise TypeError("numel(): argument 'input' (position 1) must be Tensor, not "
                        f"{type(input).__name__}")
    return input.numel()


def element_size(x: Tensor) -> int:
    """How many bytes one element takes."""
    return x.dtype.itemsize


def stride(x: Tensor, dim: int | None = None) -> Any:
    """How many elements apart neighbours along each axis lie in memory, or along one.

    Errors: IndexError for an axis that x has not.
    Example:
        >>> import tinyseq as ts
        >>> ts.zeros(2, 3).stride(), ts.zeros(2, 3).T.stride(-1)
        ((3, 1), 3)
    """
    steps = tuple([step // x.dtype.itemsize for step in x.array.strides])
    return steps if dim is None else steps[axis_of(x, dim)]


def detach_(self: Tensor) -> Tensor:
    """Forget the history, in place: the tensor becomes a leaf that requires no gradient.

    Example:
        >>> import tinyseq as ts
        >>> h = ts.ones(2, requires_grad=True) * 2
        >>> h.detach_()
        tensor([2., 2.])
    """
    self.node, self.requires_grad = None, False
    return self


# -- fresh ones like it ----------------------------------------------------------------------
def new(make: Any) -> Any:
    """new_zeros, new_full ...: what `make` makes, by default in the tensor's own dtype."""
    def fresh(self: Tensor, *args: Any, dtype: Any = None, **more: Any) -> Tensor:
        return make(*args, dtype=dtype or self.dtype, **more)

    fresh.__name__ = fresh.__qualname__ = f"new_{make.__name__}"
    fresh.__doc__ = f"`ts.{make.__name__}`, by default in the dtype of this tensor."
    return fresh


ABOUT: dict[str, Any] = {
    "to": to, "type": type_, "cpu": cpu, "clone": clone, "detach_": detach_,
    **{name: lambda x, dtype=np.dtype(dtype): to(x, dtype) for name, dtype in (
        ("float", "float32"), ("double", "float64"), ("long", "int64"), ("int", "int32"),
        ("bool", "bool"))},
    "type_as": lambda x, other: to(x, other.dtype),
    "device": property(lambda x: CPU), "is_cuda": property(lambda x: False),
    "is_floating_point": is_floating_point, "nelement": lambda x: x.numel(),
    "dim": lambda x: x.ndim, "tolist": lambda x: x.array.tolist(),
    "element_size": element_size, "stride": stride,
    **{f"new_{make.__name__}": new(make) for make in (zeros, ones, full, empty, tensor)}}
