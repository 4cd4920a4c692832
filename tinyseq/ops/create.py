"""Making tensors: of data, of one value, of a range."""
from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq.array import checked_dtype, default_dtype
from tinyseq.device import on_cpu
from tinyseq.tensor import Tensor, wrap


def placed(make: Callable) -> Callable:
    """Let a function that makes tensors take torch's `device`, and the sizes as `size=` as well.

    Example:
        >>> zeros(size=(2, 3), device="cpu").shape
        (2, 3)
    """
    own = inspect.signature(make)
    first = next(iter(own.parameters.values()))
    sized = first.name == "size" and first.kind is first.VAR_POSITIONAL

    @functools.wraps(make)
    def made(*args: Any, device: Any = None, **more: Any) -> Tensor:
        on_cpu(device)
        if sized and "size" in more:
            if args:
                raise TypeError(f"{make.__name__}() got multiple values for argument 'size'")
            args = (more.pop("size"),)
        return make(*args, **more)

    last = inspect.Parameter("device", inspect.Parameter.KEYWORD_ONLY, default=None)
    made.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[*own.parameters.values(), last])
    return made


def sizes(shape: tuple) -> tuple[int, ...]:
    """zeros(2, 3) and zeros((2, 3)) alike.

    Errors: TypeError for a size that is not a whole number, ValueError for a negative one.
    """
    found = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    for n in found:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
            raise TypeError(f"sizes must be ints, got {n!r} ({type(n).__name__}): "
                            "type (2, 3) or 2, 3")
        if n < 0:
            raise ValueError(f"a size cannot be negative, got {found}")
    return tuple(int(n) for n in found)


def finished(array: np.ndarray, requires_grad: Any) -> Tensor:
    """A leaf around a fresh array."""
    return wrap(array).requires_grad_(requires_grad)


@placed
def tensor(data: Any, dtype: Any = None, requires_grad: Any = False) -> Tensor:
    """A leaf tensor with a copy of the data; Python floats become the default dtype.

    Errors: TypeError or ValueError for what is not numbers; RuntimeError for an integer tensor
        that should require a gradient.
    Example:
        >>> tensor([[1.0, 2.0], [3.0, 4.0]]).shape
        (2, 2)
    """
    return Tensor(data, requires_grad=requires_grad, dtype=dtype)


@placed
def as_tensor(data: Any, dtype: Any = None) -> Tensor:
    """The data as a tensor: a Tensor of that dtype is itself, an array shares its memory.

    Example:
        >>> t = tensor([1.0])
        >>> as_tensor(t) is t, as_tensor([1, 2])
        (True, tensor([1, 2]))
    """
    if isinstance(data, Tensor):
        return data if dtype is None or checked_dtype(dtype) == data.dtype else data.to(dtype)
    if isinstance(data, np.ndarray) and (dtype is None or checked_dtype(dtype) == data.dtype):
        return from_numpy(data)
    return Tensor(data, dtype=dtype)


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor on the array's own memory: changing one changes the other."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy takes a numpy array, got {type(array).__name__}")
    checked_dtype(array.dtype)
    return wrap(array)


@placed
def full(size: Any, fill_value: Any, *, dtype: Any = None, requires_grad: Any = False) -> Tensor:
    """A tensor full of one value, in that value's dtype: float, int or bool.

    Example:
        >>> full((2,), 7), full((2,), 7.0)
        (tensor([7, 7]), tensor([7., 7.]))
    """
    value = np.asarray(fill_value)
    if value.ndim:
        raise TypeError(f"full takes one number, got {type(fill_value).__name__}")
    found = default_dtype() if value.dtype.kind == "f" else value.dtype
    wanted = checked_dtype(found if dtype is None else dtype)
    return finished(np.full(sizes((size,)), value, wanted), requires_grad)


@placed
def zeros(*size: Any, dtype: Any = None, requires_grad: Any = False) -> Tensor:
    """Zeros: `ts.zeros(2, 3)` or `ts.zeros((2, 3))`."""
    return full(sizes(size), 0, dtype=dtype or default_dtype(), requires_grad=requires_grad)


@placed
def ones(*size: Any, dtype: Any = None, requires_grad: Any = False) -> Tensor:
    """Ones: `ts.ones(2, 3)` or `ts.ones((2, 3))`."""
    return full(sizes(size), 1, dtype=dtype or default_dtype(), requires_grad=requires_grad)


@placed
def empty(*size: Any, dtype: Any = None, requires_grad: Any = False) -> Tensor:
    """A tensor to be filled; here it holds zeros, so that one seed means one result."""
    return zeros(*size, dtype=dtype, requires_grad=requires_grad)


@placed
def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None,
              requires_grad: Any = False) -> Tensor:
    """One value in a tensor's shape and dtype."""
    return full(input.shape, fill_value, dtype=dtype or input.dtype, requires_grad=requires_grad)


@placed
def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: Any = False) -> Tensor:
    """Zeros of a tensor's shape and dtype."""
    return full_like(input, 0, dtype=dtype, requires_grad=requires_grad)


@placed
def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: Any = False) -> Tensor:
    """Ones of a tensor's shape and dtype."""
    return full_like(input, 1, dtype=dtype, requires_grad=requires_grad)


@placed
def empty_like(input: Tensor, *, dtype: Any = None, requires_grad: Any = False) -> Tensor:
    """A tensor to be filled, of another's shape and dtype; it holds zeros."""
    return zeros_like(input, dtype=dtype, requires_grad=requires_grad)


@placed
def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: Any = False) -> Tensor:
    """Ones on the diagonal of an (n, m) matrix, m being n if it is not given; zeros elsewhere.

    Example:
        >>> eye(2, 3)
        tensor([[1., 0., 0.],
                [0., 1., 0.]])
    """
    rows, columns = sizes((n, n if m is None else m))
    made = np.eye(rows, columns, dtype=checked_dtype(dtype or default_dtype()))
    return finished(made, requires_grad)


@placed
def arange(*limits: Any, start: Any = None, end: Any = None, step: Any = None, dtype: Any = None,
           requires_grad: Any = False) -> Tensor:
    """Evenly spaced numbers: arange(stop), arange(start, stop) or arange(start, stop, step).

    Errors: ValueError for a step of 0, or one that leads away from the stop.
    Example:
        >>> arange(1, 2, 0.5)
        tensor([1. , 1.5])
    """
    by_name = [[v] if v is not None else [] for v in (start, end, step)]
    limits = (*by_name[0], *limits, *by_name[1], *by_name[2])
    if not 1 <= len(limits) <= 3 or (by_name[2] and len(limits) < 3):
        raise TypeError(f"arange takes stop, or start, stop and perhaps step, got {len(limits)} "
                        "numbers")
    start, stop, step = {1: (0, *limits, 1), 2: (*limits, 1), 3: limits}[len(limits)]
    if step == 0 or (stop - start) / step < 0 or not math.isfinite(stop - start):
        raise ValueError(f"arange: no way from {start} to {stop} in steps of {step}")
    whole = all(isinstance(v, (int, np.integer)) for v in (start, stop, step))
    wanted = checked_dtype(dtype or ("int64" if whole else default_dtype()))
    count = math.ceil((stop - start) / step)
    return finished((start + step * np.arange(count)).astype(wanted), requires_grad)


@placed
def linspace(start: float, end: float, steps: int, *, dtype: Any = None,
             requires_grad: Any = False) -> Tensor:
    """`steps` evenly spaced numbers, the first `start` and the last `end`.

    Example:
        >>> linspace(0, 1, 5)
        tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    (count,) = sizes((steps,))
    wanted = checked_dtype(dtype or default_dtype())
    return finished(np.linspace(start, end, count).astype(wanted), requires_grad)


def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """A row for each index, 1 at the index and 0 elsewhere, int64.

    Shapes: input (...) of integers, result (..., num_classes), by default the largest index + 1.
    Errors: TypeError for indices that are not integers; IndexError naming one out of range.
    Example:
        >>> one_hot(tensor([0, 2]))
        tensor([[1, 0, 0],
                [0, 0, 1]])
    """
    index = input.array
    if index.dtype.kind not in "iu":
        raise TypeError(f"one_hot expects integer indices, got {index.dtype}")
    if index.size == 0 and num_classes < 1:
        raise ValueError("one_hot of no indices: give num_classes")
    classes = int(index.max()) + 1 if num_classes == -1 else num_classes
    wrong = index[(index < 0) | (index >= classes)]
    if wrong.size:
        raise IndexError(f"one_hot: index {wrong[0]} is out of range for {classes} classes")
    return wrap((index[..., None] == np.arange(classes)).astype(np.int64))
