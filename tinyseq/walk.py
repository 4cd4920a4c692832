"""Backward: the walk over a recorded graph, newest node first, that differentiates it.

The walk owns all bookkeeping: order, accumulation, undoing of broadcasting, release, committing.
An operation only ever says what its derivative is.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinyseq.errors import GraphError, ShapeError
from tinyseq.graph import FREED, Node, collect
from tinyseq.hooks import hooked, named
from tinyseq.refusals import intact, seed
from tinyseq.scope import state
from tinyseq.tensor import Tensor, wrap

_commit = threading.Lock()  # gradients of one leaf may arrive from several threads
Grads = dict[Any, Any]  # by leaf Tensor, or by Node where the walk was stopped
Watch = Callable[[Node, int, Any], None]


def differentiate(roots: list[Tensor], gys: list, retain: bool | None, graph: bool,
                  keep: str | None = None, watch: Watch | None = None,
                  stop: Iterable[Node] = ()) -> Grads:
    """dL/d(leaf) for every leaf, as arrays (as Tensors with a history of their own if `graph`).

    The walk does not pass the nodes in `stop`: their gradients are returned beside the leaves'.
    Nothing is committed here: an exception on the way leaves every `.grad` as it was.
    """
    ends = frozenset(stop)
    retain, watch = graph if retain is None else retain, watch or state.watch
    leaves: dict[Tensor, Pending] = {}
    before = state.grad, state.scope
    state.grad = graph
    order: list[Node] = []
    try:
        seeds = [seed(root, gy, graph) for root, gy in zip(roots, gys)]
        order = collect((root.node for root in roots if root.node is not None), ends)
        for node in order:
            node.gy = node.inside = None
        for root, gy in zip(roots, seeds):
            receive(root.node or leaves.setdefault(root, Pending(root)), gy)
        with np.errstate(all="ignore"):
            for node in order:
                if node.gy is not None and node not in ends:
                    kept = keep is not None and named(node, keep)
                    pull(node, leaves, retain or kept, graph, watch)
                    if not (node.keep or kept):
                        node.gy = None
    except BaseException:
        for node in order:
            node.gy = None
        raise
    finally:
        state.grad, state.scope = before
    found: Grads = {leaf: hooked(getattr(leaf, "hooks", ()), pending.gy, graph)
                    for leaf, pending in leaves.items()}
    for node in ends:
        if node.gy is not None:
            found[node], node.gy = node.gy, None
    return found


def pull(node: Node, leaves: dict, retain: bool, graph: bool, watch: Watch | None) -> None:
    """Ask one node for its inputs' gradients and hand them on; then release what it saved."""
    intact(node)
    state.scope = node.scope
    if node.hooks:
        node.gy = hooked(node.hooks, node.gy, graph)
    for k, g in node.op.pull(node, node.gy, graph):
        target = node.inputs[k]
        if watch is not None:
            watch(node, k, g)
        if node.op.slot:  # one of several outputs: its gradient has a place of its own
            target.gy = target.gy or [None] * len(target.shape)
            target.gy[node.attrs] = g
            continue
        if type(target) is not Node:
            target = leaves.get(target) or leaves.setdefault(target, Pending(target))
        try:
            receive(target, g)
        except ShapeError as error:
            raise GraphError(f"the derivative rule of <{node.where()}> for its input {k} must "
                             f"give a gradient of shape {target.shape}, {error}") from error
    if not retain:
        node.saved = FREED
        node.stamp = 0


class Pending:
    """Where a leaf's gradient gathers during one walk, as a node's does on the node itself."""

    __slots__ = ("gy", "owned", "shape", "dtype")

    def __init__(self, leaf: Tensor) -> None:
        self.gy: Any = None
        self.owned = False
        self.shape = leaf.array.shape
        self.dtype = leaf.array.dtype


def receive(target: Node | Pending, g: Any) -> None:
    """Accumulate one contribution: the first is borrowed, sums are owned, shapes are undone."""
    if g is None or g.shape != target.shape:
        g = undo_broadcast(g, target.shape)
    if g.dtype != target.dtype:
        g = g.to(target.dtype) if isinstance(g, Tensor) else g.astype(target.dtype)
    if target.gy is None:
        target.gy = g
        target.owned = False
    elif target.owned:
        target.gy += g
    else:
        target.gy = target.gy + g
        target.owned = type(target.gy) is np.ndarray


def undo_broadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum `g` over the axes that broadcasting had added or stretched; works on both kinds."""
    if g is None:
        raise ShapeError("got None")
    extra = g.ndim - len(shape)
    if extra < 0 or any(n not in (1, m) for n, m in zip(shape, g.shape[extra:])):
        raise ShapeError(f"got {g.shape}")
    if extra:
        g = g.sum(axis=tuple(range(extra)))
    stretched = tuple(k for k, n in enumerate(shape) if n == 1 and g.shape[k] != 1)
    return g.sum(axis=stretched, keepdims=True) if stretched else g


def add_grad(leaf: Tensor, g: Any) -> None:
    """Commit one leaf gradient: the first one is copied, so that nobody else's array is shared."""
    if isinstance(g, Tensor):
        leaf._grad = g if leaf._grad is None else leaf._grad + g
    elif leaf._grad is None:
        leaf._grad = wrap(np.array(g, copy=True))
    elif leaf._grad.requires_grad:
        leaf._grad = wrap(leaf._grad.array + g)
    else:
        leaf._grad.array += g


def commit(grads: Grads, inputs: Iterable[Tensor] | None) -> None:
    """Add what a walk has found to the leaves' `.grad`, or only to those of `inputs`."""
    only = None if inputs is None else set(inputs)
    with _commit, np.errstate(all="ignore"):
        for leaf, g in grads.items():
            if only is None or leaf in only:
                add_grad(leaf, g)


def backward(self: Tensor, gradient: Any = None, retain_graph: bool | None = None,
             create_graph: bool = False, inputs: Iterable[Tensor] | None = None,
             keep: str | None = None) -> None:
    """Add dL/d(leaf) to the `.grad` of every leaf that this tensor was made from.

    `keep` is a glob over scopes (`"**/t=*/f"`) whose gradients stay readable on their nodes.
    """
    commit(differentiate([self], [gradient], retain_graph, create_graph, keep), inputs)
