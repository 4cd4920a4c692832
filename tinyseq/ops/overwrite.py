"""Changes in place where there is a history: the new value is recorded, then written over."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq.errors import GraphError, ShapeError
from tinyseq.op import OPS
from tinyseq.scope import state
from tinyseq.tensor import Tensor, wrap


def changed(self: Tensor, by: str, write: Callable[[np.ndarray], Any],
            recorded: Callable[[Tensor], Tensor] | None = None, *sources: Any) -> Tensor:
    """Change a tensor in place by `write`; with a history, to `recorded` of its old value.

    A history is its own or that of one of `sources`. As in torch the tensor then continues from
    the new value's node, and whatever had saved the old value raises in backward.
    Errors: GraphError for a leaf that requires grad; for a view, or where a view of this tensor is
        still in use, because the other's history would be wrong.
    """
    wanted = self.requires_grad or any([isinstance(s, Tensor) and s.requires_grad
                                        for s in sources])
    if not (state.grad and wanted):
        return self.change(by, write)
    refuse(self, by, recorded is not None)
    assert recorded is not None
    old = wrap(self.array.copy(), self.node)
    new = recorded(old)
    if new.shape != self.shape:
        raise ShapeError(f"{by}: the result's shape {new.shape} is not the tensor's {self.shape}: "
                         "write t = ... to make a new one")
    if not np.can_cast(new.dtype, self.dtype, "same_kind"):
        raise TypeError(f"{by}: a result of dtype {new.dtype} cannot be kept in a tensor of "
                        f"{self.dtype}: write t = ... to make a new one")
    if new.dtype != self.dtype:
        new = OPS["astype"].call(new, dtype=self.dtype)
    self.change(by, lambda a: np.copyto(a, new.array))
    if isinstance(state.tape, list):  # what was taped under this name was the old value
        state.tape[:] = [swapped(entry, self, old) for entry in state.tape]
    self.node, self.requires_grad = new.node, new.requires_grad
    return self


def refuse(self: Tensor, by: str, recordable: bool) -> None:
    """The changes that no history can describe."""
    what = f"({by} on {self.label or 'a tensor'} {self.shape})"
    if self.node is None and self.requires_grad:
        raise GraphError("a leaf Variable that requires grad is being used in an in-place "
                         f"operation. {what}: do it under `with ts.no_grad():`, or make a new "
                         "tensor")
    if not recordable:
        raise GraphError(f"a recorded tensor cannot be changed by {by} {what}, which has no "
                         "derivative: do it under `with ts.no_grad():`, or make a new tensor")
    views = [view for views in self.version[2:] for view in [one() for one in views]
             if view is not None]
    if any(view is self for view in views):
        raise GraphError(f"this is a view of another tensor, and a history is at stake {what}: "
                         "changing the view would make the other's history wrong. Change the "
                         "whole (t[index] = value), or a clone()")
    if views:
        raise GraphError(f"a view of this tensor, of shape {views[0].shape}, is still in use "
                         f"{what}: its values would change and its history would not. Take the "
                         "view's clone(), or make a new tensor (t = t + u)")


def swapped(entry: tuple[Any, tuple], self: Tensor, old: Tensor) -> tuple[Any, tuple]:
    """One entry of the tape with `old` in the place of the tensor that is about to change."""
    out, operands = entry
    outs = [old if t is self else t for t in out] if isinstance(out, list) else \
        old if out is self else out
    return outs, tuple([old if t is self else t for t in operands])
