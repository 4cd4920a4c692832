"""What backward refuses to do, and in which words."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import GraphError, ShapeError
from tinyseq.graph import FREED, Node
from tinyseq.tensor import Tensor, wrap


def stamp(saved: tuple) -> int:
    """How often the saved tensors had been changed in place, all together."""
    count = 0
    for s in saved:
        if isinstance(s, Tensor):
            count += s.version[0]
    return count


def intact(node: Node) -> None:
    """Refuse a node whose saved values are gone, or were changed in place since."""
    if node.saved is FREED:
        raise GraphError(
            "Trying to backward through the graph a second time: what <" + node.where() + "> had "
            "saved is freed. Type backward(retain_graph=True) the first time; if the tensor is a "
            "hidden state carried over from an earlier window, detach the hidden state")
    if node.stamp != stamp(node.saved):
        raise stale(node)


def seed(root: Tensor, gy: Any, graph: bool) -> Any:
    """The gradient to start from, checked: ones for a scalar, else what the caller gave."""
    if not root.requires_grad:
        raise RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn"
                           f": nothing to differentiate in this tensor of shape {root.shape}")
    if gy is None:
        if root.array.size != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs; this one "
                               f"has shape {root.shape}: reduce it, or give backward(gradient)")
        gy = np.ones(root.shape, root.dtype)
    given = gy.array if isinstance(gy, Tensor) else gy
    if not isinstance(given, np.ndarray):
        raise ShapeError(f"the gradient must be a tensor of the output's shape {root.shape}, "
                         f"got a {type(given).__name__}")
    if given.shape != root.shape:
        raise ShapeError(f"the gradient must have the output's shape {root.shape}, got shape "
                         f"{given.shape}")
    if given.dtype != root.dtype:
        raise ShapeError(f"the gradient must have the output's dtype {root.dtype}, "
                         f"got {given.dtype}")
    if graph:
        return gy if isinstance(gy, Tensor) else wrap(given)
    return given


def stale(node: Node) -> GraphError:
    """The error for a value that was changed after it was saved: names both operations."""
    changed = [s for s in node.saved if isinstance(s, Tensor) and s.version[0]]
    names = ", ".join(f"{s.label or 'a tensor'} {s.shape} (changed by {s.version[1]}, version "
                      f"{s.version[0]})" for s in changed)
    return GraphError(
        f"<{node.where()}> saved values for its derivative that were changed in place since: "
        f"{names}; the versions added up to {node.stamp} when it was recorded. Call backward() "
        "before changing them, or change a clone()")
