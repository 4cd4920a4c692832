"""Batched tensors, which `func.vmap` hands to a function of one sample; and the batching rules.

A `Batched` tensor looks like one sample and holds all: its `base` has the batch in front. The
operations' callers ask a tensor for its array; a Batched one answers with `Lift`, and the
operation is applied to the bases by its batching rule: elementwise ones with aligned axes, those
in RULES with their axes moved by one, any other sample by sample.
"""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinyseq.calling import Lift
from tinyseq.ops import astype, expand, reshape, stack, transpose
from tinyseq.ops.about import destination
from tinyseq.ops.arithmetic import COMPARISONS
from tinyseq.tensor import Tensor


class Levels(threading.local):
    """The batch sizes of the vmaps that are running, outermost first."""

    def __init__(self) -> None:
        self.sizes: list[int] = []


LEVELS = Levels()


class Batched(Tensor):
    """One sample to look at; `base` holds all, with the batch as its first axis."""

    __slots__ = ("base", "level")

    def __init__(self, base: Tensor, level: int) -> None:
        self.base, self.level, self.label, self._grad = base, level, None, None

    array = property(lambda self: lift(self))  # type: ignore[assignment]
    shape = property(lambda self: self.base.shape[1:])  # type: ignore[assignment]
    dtype = property(lambda self: self.base.dtype)  # type: ignore[assignment]
    ndim = property(lambda self: self.base.ndim - 1)  # type: ignore[assignment]
    node = property(lambda self: self.base.node)  # type: ignore[assignment]
    version = property(lambda self: self.base.version)  # type: ignore[assignment]
    requires_grad = property(lambda self: self.base.requires_grad)  # type: ignore[assignment]

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> int:
        return int(np.prod(self.shape))

    def dim(self) -> int:
        return self.ndim

    def detach(self) -> Tensor:
        return Batched(self.base.detach(), self.level)

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """The same values in another floating point dtype."""
        wanted, _ = destination(args, **kwargs)
        return self if wanted is None or wanted == self.dtype else astype(self, dtype=wanted)

    def __repr__(self) -> str:
        return f"<a batch of {self.base.shape[0]} tensors of shape {self.shape}>"


def lift(t: Batched) -> Any:
    """Ask the operation's caller to apply it to the bases."""
    raise Lift(applied)


def applied(op: Any, operands: tuple, attrs: dict[str, Any]) -> Tensor:
    """One operation on operands of which some are Batched, at the innermost vmap among them."""
    level = max(t.level for t in operands if isinstance(t, Batched))
    bases = [t.base if isinstance(t, Batched) and t.level == level else t for t in operands]
    held = [isinstance(t, Batched) and t.level == level for t in operands]
    if op.elementwise or op.name in ALIGNED:
        y = op.call(*aligned(bases, held))
    elif op.name in RULES and (op.variadic or held[0]):
        y = RULES[op.name](op, bases, held, attrs)
    else:
        y = one_by_one(op, bases, held, attrs)
    return Batched(y, level)


def aligned(bases: list, held: list[bool]) -> list:
    """The operands with axes of size 1 behind the batch, so that samples broadcast as before."""
    rank = max(np.ndim(t) if not isinstance(t, Tensor) else t.ndim - is_held
               for t, is_held in zip(bases, held))
    return [reshape(t, (t.shape[0], *[1] * (rank + 1 - t.ndim), *t.shape[1:]))
            if is_held and t.ndim <= rank else t for t, is_held in zip(bases, held)]


def one_by_one(op: Any, bases: list, held: list[bool], attrs: dict[str, Any]) -> Tensor:
    """The rule that every operation has: each sample by itself, and the results stacked."""
    count = next(t.shape[0] for t, is_held in zip(bases, held) if is_held)
    return stack([op.call(*[t[n] if is_held else t for t, is_held in zip(bases, held)], **attrs)
                  for n in range(count)])


# -- batching rules ----------------------------------------------------------------------
def moved(name: str) -> Callable:
    """The rule of an operation along axes: each axis is one further on."""
    def rule(op: Any, bases: list, held: list[bool], attrs: dict[str, Any]) -> Tensor:
        rank, given = bases[0].ndim - 1, attrs.get(name)
        dims = tuple(range(rank)) if given is None else given
        if isinstance(dims, (tuple, list)):
            shifted: Any = tuple([d % rank + 1 if rank else 1 for d in dims])
        else:
            shifted = dims % max(rank, 1) + 1
        return op.call(bases[0], **{**attrs, name: shifted})
    return rule


def reshaped(op: Any, bases: list, held: list[bool], attrs: dict[str, Any]) -> Tensor:
    """reshape, expand: the batch stays in front."""
    base, shape = bases[0], tuple(attrs["shape"])
    if op.name == "expand":
        base = aligned([base, np.empty(shape)], [True, False])[0]
    return op.call(base, shape=(base.shape[0], *shape))


def indexed(op: Any, bases: list, held: list[bool], attrs: dict[str, Any]) -> Tensor:
    """getitem: all of the batch, then the index."""
    index = attrs["index"] if isinstance(attrs["index"], tuple) else (attrs["index"],)
    if any(isinstance(i, (list, np.ndarray)) for i in index):
        return one_by_one(op, bases, held, attrs)
    return op.call(bases[0], index=(slice(None), *index))


def put_back(op: Any, bases: list, held: list[bool], attrs: dict[str, Any]) -> Tensor:
    """put: each sample into zeros of its own."""
    index = attrs["index"] if isinstance(attrs["index"], tuple) else (attrs["index"],)
    if any(isinstance(i, (list, np.ndarray)) for i in index):
        return one_by_one(op, bases, held, attrs)
    return op.call(bases[0], index=(slice(None), *index),
                   shape=(bases[0].shape[0], *attrs["shape"]))


def joined(op: Any, bases: list, held: list[bool], attrs: dict[str, Any]) -> Tensor:
    """cat: operands without a batch are repeated over it."""
    count = next(t.shape[0] for t, is_held in zip(bases, held) if is_held)
    parts = [t if is_held else expand(t, shape=(count, *t.shape))
             for t, is_held in zip(bases, held)]
    dim = attrs.get("dim", 0)
    return op.call(*parts, **{**attrs, "dim": dim % (parts[0].ndim - 1) + 1})


def affine(op: Any, bases: list, held: list[bool], attrs: dict[str, Any]) -> Tensor:
    """linear: one product for the batch; a weight for each sample makes a batch of products."""
    (x, weight, bias), per = bases, held
    if not per[1] and not per[2]:
        return op.call(x, weight, bias)
    rows = reshape(x, (x.shape[0], 1, x.shape[1])) if x.ndim == 2 else x
    if per[1] and rows.ndim > 3:
        weight = reshape(weight, (weight.shape[0], *[1] * (rows.ndim - 3), *weight.shape[1:]))
    y = rows @ transpose(weight, -1, -2)
    y = reshape(y, (*x.shape[:-1], y.shape[-1]))
    if bias is None:
        return y
    flat = aligned([bias, y[0]], [per[2], False])[0]
    return y + flat


RULES: dict[str, Callable] = {
    **{name: moved("dim") for name in ("sum", "mean", "amax", "amin", "logsumexp", "log_softmax",
                                       "softmax", "cumsum", "prod")},
    "transpose": lambda op, bases, held, attrs: op.call(bases[0], **{
        key: d % (bases[0].ndim - 1) + 1 for key, d in attrs.items()}),
    "permute": lambda op, bases, held, attrs: op.call(bases[0], **{
        key: (0, *[d % (bases[0].ndim - 1) + 1 for d in dims]) for key, dims in attrs.items()}),
    "reshape": reshaped, "expand": reshaped, "getitem": indexed, "put": put_back, "cat": joined,
    "linear": affine}
ALIGNED = ("where", "lerp", "matmul")  # broadcast over leading axes, as elementwise ones do


class Compared(NamedTuple):
    """A comparison has no derivative, so it is no operation; here it is lifted like one."""

    call: Callable
    name: str = "comparison"
    elementwise: bool = True


def comparing(call: Callable) -> Callable:
    """A comparison of samples."""
    return lambda a, b: applied(Compared(call), (a, b), {})


for _name, _call in COMPARISONS.items():
    setattr(Batched, _name, comparing(_call))


# -- the transform -----------------------------------------------------------------------
def lifted(t: Any) -> Any:
    """A tensor with a batch of its own copies for every running vmap that it has none for."""
    has = set()
    inner = t
    while isinstance(inner, Batched):
        has.add(inner.level)
        inner = inner.base
    if not isinstance(t, Tensor) or len(has) == len(LEVELS.sizes):
        return t
    if has:
        raise NotImplementedError(
            "a derivative inside nested vmaps with respect to a tensor that is batched in some of "
            "them only: pass it through in_dims of all")
    for level, size in enumerate(LEVELS.sizes):
        t = Batched(expand(t, shape=(size, *t.shape)), level)
    return t


def ground(t: Any) -> Any:
    """The plain tensor below all batches."""
    while isinstance(t, Batched):
        t = t.base
    return t


def regrounded(t: Tensor, like: Any) -> Tensor:
    """A plain tensor under the same batches as `like`."""
    levels = []
    while isinstance(like, Batched):
        levels.append(like.level)
        like = like.base
    for level in reversed(levels):
        t = Batched(t, level)
    return t
