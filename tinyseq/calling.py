"""Calling an operation: numbers and arrays become operands, dtypes are promoted, results recorded.

One caller per arity, closed over its operation, because this is what every recorded op costs.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

import numpy as np

from tinyseq.array import default_dtype
from tinyseq.errors import ShapeError
from tinyseq.scope import state
from tinyseq.tensor import Tensor, wrap


class Lift(NotImplementedError):
    """Raised by a tensor that has no one array: it says how an operation is applied to it."""


def operand(value: Any, other: Any) -> Any:
    """A plain number beside a tensor, as an array: numbers never promote within their kind."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, np.generic):
        value = value.item()  # as in torch, numpy's numbers count as Python's
    if not isinstance(value, (bool, int, float)):
        raise TypeError(f"an operand must be a Tensor, a number or a numpy array, "
                        f"got {type(value).__name__}")
    kind = other.dtype.kind if isinstance(other, (Tensor, np.ndarray)) else "b"
    if isinstance(value, float):
        return np.asarray(value, other.dtype if kind == "f" else default_dtype())
    if isinstance(value, bool) or kind in "fiu":
        return np.asarray(value, other.dtype if kind in "fiu" else np.bool_)
    return np.asarray(value, np.int64)


def promoted(a: np.ndarray, b: np.ndarray) -> np.dtype:
    """torch's result type: the higher kind wins; within a kind, arrays outrank 0-d ones."""
    order = "b?uif"
    ka, kb = order.index(a.dtype.kind), order.index(b.dtype.kind)
    if "f" in (a.dtype.kind, b.dtype.kind) and ka != kb:
        return a.dtype if ka > kb else b.dtype
    if (a.ndim == 0) != (b.ndim == 0) and (ka == kb or ka < 2 or kb < 2):
        winner, loser = (a, b) if a.ndim else (b, a)
        if order.index(winner.dtype.kind) >= order.index(loser.dtype.kind):
            return winner.dtype
    return np.promote_types(a.dtype, b.dtype)


# -- the callers, one per arity ----------------------------------------------------------
def unary(op: Any) -> Callable:
    """The caller of an elementwise operation of one input."""
    forward, record, tensor = op.forward, op.record, Tensor

    def call(input: Any) -> Any:
        if not isinstance(input, tensor):
            if isinstance(input, (np.ndarray, np.generic)):
                return forward(input)
            input = wrap(operand(input, None))
        try:
            a = input.array
        except Lift as lift:
            return lift.args[0](op, (input,), {})
        y = forward(a) if op.fast is None or a.size < 16384 else op.fast(a, forward)
        if input.requires_grad and state.grad:
            return record((input,), y)
        return wrap(y if a.dtype.kind == "f" else settled(y))

    return call


def binary(op: Any) -> Callable:
    """The caller of an elementwise operation of two inputs."""
    forward, record, tensor = op.forward, op.record, Tensor

    def call(input: Any, other: Any) -> Any:
        if not isinstance(input, tensor):
            if not isinstance(other, tensor):
                return forward(input, other)
            input = operand(input, other)
        elif not isinstance(other, tensor):
            other = operand(other, input)
        try:
            a = input.array if isinstance(input, tensor) else input
            b = other.array if isinstance(other, tensor) else other
        except Lift as lift:
            return lift.args[0](op, (input, other), {})
        if a.dtype is not b.dtype and a.dtype != b.dtype:
            dtype = promoted(a, b)
            a, b = a.astype(dtype), b.astype(dtype)
        try:
            y = forward(a, b)
        except ValueError as error:
            raise broadcast_error(op.name, a.shape, b.shape) from error
        if state.grad and ((isinstance(input, tensor) and input.requires_grad)
                           or (isinstance(other, tensor) and other.requires_grad)):
            return record((input, other), y)
        return wrap(y if a.dtype.kind == "f" else settled(y))

    return call


def settled(y: Any) -> Any:
    """A result computed from integers: if it became floating point, in the default dtype."""
    return y.astype(default_dtype()) if y.dtype.kind == "f" else y


def broadcast_error(name: str, a: tuple, b: tuple) -> Exception:
    """The error for two shapes that do not broadcast: torch's text, and the operation."""
    for axis in range(1, min(len(a), len(b)) + 1):
        if a[-axis] != b[-axis] and 1 not in (a[-axis], b[-axis]):
            at = max(len(a), len(b)) - axis
            return ShapeError(
                f"The size of tensor a ({a[-axis]}) must match the size of tensor b ({b[-axis]}) "
                f"at non-singleton dimension {at}: {name} of shapes {a} and {b}")
    return ShapeError(f"{name} of shapes {a} and {b}: they do not broadcast")


def general(op: Any) -> Callable:
    """The caller of structural operations: tensors first, then attributes, as `forward` has it."""
    count = len(op.inputs)
    names = list(op.attributes)

    def call(*args: Any, **attrs: Any) -> Any:
        if op.variadic:
            operands = tuple(args)
        else:
            operands = tuple([attrs.pop(op.inputs[k], None) if k >= len(args) else args[k]
                              for k in range(count)])
            attrs.update(zip(names, args[count:]))
        try:
            arrays = [t.array if isinstance(t, Tensor) else t for t in operands]
            y = op.forward(*arrays, **attrs)
        except Lift as lift:
            return lift.args[0](op, operands, {**op.attributes, **attrs})
        except np.exceptions.AxisError as error:
            raise IndexError(f"{op.name}: axis {error.axis} is out of range for a tensor of shape "
                             f"{arrays[0].shape}") from error
        if not any([isinstance(t, Tensor) for t in operands]):
            return y
        version = None if y.base is None else viewed(y, operands[0])
        if state.grad and any([isinstance(t, Tensor) and t.requires_grad for t in operands]):
            out = op.record(operands, y, {**op.attributes, **attrs}, version)
        else:
            out = wrap(y, None, version)
        return out if version is None else noted(out)

    return call


def viewed(y: np.ndarray, x: Any) -> list | None:
    """The version of x if y is a view of x's storage: what changes one changes the other."""
    shares = isinstance(x, Tensor) and (y.base is x.array or y.base is x.array.base)
    return x.version if shares else None


def noted(view: Tensor) -> Tensor:
    """Remember a view in its storage's version cell, weakly: see `changed` in ops/inplace.py."""
    version = view.version
    if len(version) == 2:
        version.append([])
    views = version[2]
    views.append(ref(view))
    if len(views) > 8 and len(views).bit_count() == 1:  # the dead ones, now and then
        views[:] = [one for one in views if one() is not None]
    return view


def shape_of(operand: Any) -> tuple[int, ...]:
    """The shape of a tensor or array; of a plain number, ()."""
    return operand.shape if hasattr(operand, "shape") else ()
