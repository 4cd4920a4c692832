"""Operations in place: on the tensor's own storage, counted, recorded where there is a history."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq.calling import broadcast_error, operand
from tinyseq.errors import ShapeError
from tinyseq.op import OPS
from tinyseq.ops.arithmetic import add, div, mul, sub, where
from tinyseq.ops.bounds import clamp
from tinyseq.ops.generator import Generator, generator
from tinyseq.ops.noise import bernoulli_array, normal_array
from tinyseq.ops.overwrite import changed
from tinyseq.ops.rounding import ceil, floor, floor_divide, rounded, sign, trunc
from tinyseq.tensor import Tensor


def arrayed(value: Any) -> Any:
    """A Tensor's array; a number as it is."""
    return value.array if isinstance(value, Tensor) else value


def write(name: str, a: np.ndarray, compute: Callable, *others: Any) -> None:
    """Write compute(a, *others) over a, in a's own dtype and shape; or change nothing."""
    try:
        with np.errstate(all="ignore"):
            if isinstance(compute, np.ufunc):
                compute(a, *others, out=a, casting="same_kind")
                return
            y = compute(a, *others)
    except ValueError as error:
        shapes = [np.shape(v) for v in others]
        raise ShapeError(f"{name}: a tensor of shape {a.shape} cannot hold the result with "
                         f"{' and '.join(map(str, shapes))}: {error}") from error
    if np.shape(y) != a.shape:
        raise ShapeError(f"{name}: the result's shape {np.shape(y)} is not the tensor's "
                         f"{a.shape}: write t = ... to make a new one")
    if not np.can_cast(y.dtype, a.dtype, "same_kind"):
        raise TypeError(f"{name}: a result of dtype {y.dtype} cannot be kept in a tensor of "
                        f"{a.dtype}: write t = ... to make a new one")
    a[...] = y


def in_place(name: str, compute: Callable, recorded: Callable) -> Any:
    """add_, neg_ ... as methods: what `compute` makes of the array is written over it.

    `recorded` is the operation itself, for tensors with a history.
    """
    def change(self: Tensor, *other: Any) -> Tensor:
        values = [v.array if isinstance(v, Tensor) else operand(v, self) for v in other]
        return changed(self, name, lambda a: write(name, a, compute, *values),
                       lambda old: recorded(old, *other), *other)

    change.__name__ = change.__qualname__ = name
    change.__doc__ = f"{name.rstrip('_')}, written over the tensor itself."
    return change


def scaled(name: str, ufunc: np.ufunc, recorded: Callable) -> Any:
    """add_ and sub_, with torch's `alpha`, which multiplies the other operand first."""
    plain = in_place(name, ufunc, recorded)

    def change(self: Tensor, other: Any, *, alpha: float = 1) -> Tensor:
        return plain(self, other if alpha == 1 else other * alpha)

    change.__name__ = change.__qualname__ = name
    change.__doc__ = f"{name.rstrip('_')} of alpha times another, written over the tensor itself."
    return change


def clamp_(self: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """What lies outside of [min, max] becomes the bound, in the tensor itself."""
    bounds = [(ufunc, arrayed(bound)) for ufunc, bound in ((np.maximum, min), (np.minimum, max))
              if bound is not None]
    if not bounds:
        raise ValueError("clamp_: at least one of min and max must be given")

    def clamped(a: np.ndarray) -> np.ndarray:
        for ufunc, bound in bounds:
            a = ufunc(a, bound)
        return a
    return changed(self, "clamp_", lambda a: write("clamp_", a, clamped),
                   lambda old: clamp(old, min, max), min, max)


def copy_(self: Tensor, other: Any) -> Tensor:
    """Take over the values of a tensor or array of the same shape.

    Errors: ShapeError for another shape; GraphError where a history would be lost.
    """
    source = np.asarray(arrayed(other))
    if source.shape != self.shape:
        raise ShapeError(f"copy_ into {self.shape} from {source.shape}: shapes must be equal")
    return changed(self, "copy_", lambda a: np.copyto(a, source, casting="same_kind"),
                   lambda old: where(np.True_, other, old), other)


def fill_(self: Tensor, value: float) -> Tensor:
    """Set every element to one number."""
    return changed(self, "fill_", lambda a: a.fill(arrayed(value)),
                   lambda old: where(np.True_, value, old), value)


def zero_(self: Tensor) -> Tensor:
    """Set every element to 0."""
    return fill_(self, 0)


def masked_fill_(self: Tensor, mask: Any, value: float) -> Tensor:
    """Set the elements where the mask is True to one number."""
    at = np.asarray(arrayed(mask))
    if at.dtype.kind != "b":
        raise TypeError(f"masked_fill_ takes a bool mask, got {at.dtype}: type mask != 0")
    try:
        at = np.broadcast_to(at, self.shape)
    except ValueError as error:
        raise broadcast_error("masked_fill_", self.shape, at.shape) from error
    return changed(self, "masked_fill_", lambda a: a.__setitem__(at, arrayed(value)),
                   lambda old: where(at, value, old), value)


# -- random ------------------------------------------------------------------------------
def uniform_(self: Tensor, from_: float = 0.0, to: float = 1.0, *,
             generator: Generator = generator) -> Tensor:
    """Uniform numbers in [from, to): torch's, from the same seed."""
    if not from_ <= to:
        raise ValueError(f"uniform_ expects from <= to, got [{from_}, {to})")
    return changed(self, "uniform_", lambda a: np.copyto(
        a, generator.uniform(from_, to, a.shape, a.dtype), casting="same_kind"))


def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *,
            generator: Generator = generator) -> Tensor:
    """Normal numbers with a mean and a standard deviation."""
    return changed(self, "normal_", lambda a: np.copyto(
        a, normal_array(mean, std, a.shape, a.dtype, generator), casting="same_kind"))


def bernoulli_(self: Tensor, p: float = 0.5, *, generator: Generator = generator) -> Tensor:
    """1 with probability p, else 0: torch's, from the same seed."""
    chance = p.array if isinstance(p, Tensor) else np.asarray(p, np.float64)
    return changed(self, "bernoulli_", lambda a: np.copyto(
        a, bernoulli_array(chance, a.shape, generator), casting="unsafe"))


# The recorded operations' own forward, written over their first operand.
SAME = ("abs", "neg", "sqrt", "rsqrt", "square", "reciprocal", "exp", "expm1", "log", "log1p",
        "sin", "cos", "tanh", "sigmoid", "relu", "erf", "pow", "clamp_min", "clamp_max",
        "remainder", "fmod")
IN_PLACE: dict[str, Any] = {
    "__iadd__": in_place("+=", np.add, add), "__isub__": in_place("-=", np.subtract, sub),
    "__imul__": in_place("*=", np.multiply, mul),
    "__itruediv__": in_place("/=", np.true_divide, div),
    "__ipow__": in_place("**=", OPS["pow"].forward, OPS["pow"].call),
    "__ifloordiv__": in_place("//=", floor_divide.compute, floor_divide),
    "__imod__": in_place("%=", OPS["remainder"].forward, OPS["remainder"].call),
    **{f"{name}_": in_place(f"{name}_", OPS[name].forward, OPS[name].call) for name in SAME},
    **{f"{call.name}_": in_place(f"{call.name}_", call.compute, call)
       for call in (ceil, floor, floor_divide, rounded, sign, trunc)},
    "mul_": in_place("mul_", np.multiply, mul), "div_": in_place("div_", np.true_divide, div),
    "add_": scaled("add_", np.add, add), "sub_": scaled("sub_", np.subtract, sub),
    "clamp_": clamp_,
    "copy_": copy_, "fill_": fill_, "zero_": zero_, "masked_fill_": masked_fill_,
    "uniform_": uniform_, "normal_": normal_, "bernoulli_": bernoulli_}
