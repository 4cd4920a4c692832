"""Calling an operation: numbers and arrays become operands, dtypes are promoted, results recorded.

One caller per arity, closed over its operation, because this is what every recorded op costs.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

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

    def call(x: Any) -> Any:
        if not isinstance(x, tensor):
            if isinstance(x, (np.ndarray, np.generic)):
                return forward(x)
            x = wrap(operand(x, None))
        try:
            a = x.array
        except Lift as lift:
            return lift.args[0](op, (x,), {})
        y = forward(a) if op.fast is None or a.size < 16384 else op.fast(a, forward)
        if x.requires_grad and state.grad:
            return record((x,), y)
        return wrap(y if a.dtype.kind == "f" else settled(y))

    return call


def binary(op: Any) -> Callable:
    """The caller of an elementwise operation of two inputs."""
    forward, record, tensor = op.forward, op.record, Tensor

    def call(a: Any, b: Any) -> Any:
        if not isinstance(a, tensor):
            if not isinstance(b, tensor):
                return forward(a, b)
            a = operand(a, b)
        elif not isinstance(b, tensor):
            b = operand(b, a)
        try:
            xa = a.array if isinstance(a, tensor) else a
            xb = b.array if isinstance(b, tensor) else b
        except Lift as lift:
            return lift.args[0](op, (a, b), {})
        if xa.dtype is not xb.dtype and xa.dtype != xb.dtype:
            dtype = promoted(xa, xb)
            xa, xb = xa.astype(dtype), xb.astype(dtype)
        try:
            y = forward(xa, xb)
        except ValueError as error:
            raise broadcast_error(op.name, xa.shape, xb.shape) from error
        if state.grad and ((isinstance(a, tensor) and a.requires_grad)
                           or (isinstance(b, tensor) and b.requires_grad)):
            return record((a, b), y)
        return wrap(y if xa.dtype.kind == "f" else settled(y))

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
            return op.record(operands, y, {**op.attributes, **attrs}, version)
        return wrap(y, None, version)

    return call


def viewed(y: np.ndarray, x: Any) -> list | None:
    """The version of x if y is a view of x's storage: what changes one changes the other."""
    shares = isinstance(x, Tensor) and (y.base is x.array or y.base is x.array.base)
    return x.version if shares else None


def shape_of(operand: Any) -> tuple[int, ...]:
    """The shape of a tensor or array; of a plain number, ()."""
    return operand.shape if hasattr(operand, "shape") else ()
