"""How the gradient flows back through time: its norm at every step, and every step's share.

Read off a graph recorded op by op (`ts.detail("gates")`); nothing is committed to
`.grad`.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq.errors import GraphError
from tinyseq.graph import Graph, Node
from tinyseq.op import OPS
from tinyseq.scope import Scope
from tinyseq.tensor import Tensor
from tinyseq.walk import differentiate, undo_broadcast

Norms = list[float | None]


@dataclass
class Flow:
    """The norms of dL/d(state), dL/dx, dL/dy by time step; None where no gradient was recorded.

    `lanes[name][0]` belongs to the initial state, `lanes[name][t + 1]` to the state leaving step
    t.
    """

    cell: Any
    layer: str
    steps: int
    lanes: dict[str, Norms]
    inputs: Norms
    outputs: Norms | None = None
    losses: Norms | None = None


def flow(loss: Tensor, layer: str | None = None) -> Flow:
    """The norm of dL/d(state) at every step of one recurrent layer (by default the first one).

    Errors: GraphError when no recurrent layer was recorded op by op.
    Example:
        >>> import tinyseq as ts
        >>> rnn, x = ts.nn.RNN(2, 3), ts.ones(5, 1, 2)
        >>> with ts.detail("gates"):
        ...     y, h = rnn(x)
        >>> norms = ts.bptt.flow(h.sum()).lanes["h"]
        >>> len(norms), norms[0] is None, norms[5] > norms[1] > 0
        (6, True, True)
    """
    graph = Graph([loss.node] if loss.node is not None else [])
    here = unrolled(graph, layer)
    before = {node: node.keep for node in graph}
    try:
        differentiate([loss], [None], True, False, keep="**")
        return read(graph, here)
    finally:
        for node, keep in before.items():
            node.keep = keep
            if not keep:
                node.gy = None


def unrolled(graph: Graph, layer: str | None) -> Scope:
    """The scope of the recurrent layer asked for."""
    found: dict[str, Scope] = {}
    for node in graph:
        scope: Scope | None = node.scope
        while scope is not None:
            if scope.cell is not None and node.scope.time is not None and op_by_op(node):
                found.setdefault(str(scope), scope)
            scope = scope.parent
    if not found or (layer is not None and layer not in found):
        raise GraphError(
            f"no recurrent layer{'' if layer is None else f' {layer!r}'} was recorded op by op"
            f" (there are: {', '.join(found) or 'none'}): run the forward pass inside "
            "`with ts.detail('gates'):`")
    return found[layer] if layer is not None else next(iter(found.values()))


def op_by_op(node: Node) -> bool:
    """Whether a node is a line of a step, not the port of a fused one, which hides its lines."""
    return node.scope.gate is not None and node.op.name != "output"


def read(graph: Graph, here: Scope) -> Flow:
    """The norms of one layer, from the gradients that the walk has kept on the nodes."""
    cell, path = here.cell, str(here)
    prefix = f"{path}/" if path else ""
    by_scope: dict[str, Node] = {str(node.scope): node for node in graph}  # the last one of each
    T = 1 + max(node.scope.time for node in graph
                if node.scope.time is not None and inside(node.scope, here))
    lanes = {}
    for state, line in reversed(list(zip(cell.states, cell.returns))):
        name = state.split("_")[0]
        places = [f"{prefix}init/{state}"] + [f"{prefix}t={t}/{line}" for t in range(T)]
        lanes[name] = [norm(by_scope.get(place)) for place in places]
    inputs = {node.scope.time: norm(node) for node in graph
              if node.op.name == "getitem" and str(node.scope).startswith(f"{prefix}t=")
              and str(node.scope).count("/") == prefix.count("/")}
    return Flow(cell, path, T, lanes, [inputs.get(t) for t in range(T)],
                named(by_scope, "y", T), named(by_scope, "L", T))


def inside(scope: Scope, here: Scope) -> bool:
    """Whether a scope lies below another."""
    at: Scope | None = scope
    while at is not None and at is not here:
        at = at.parent
    return at is here


def named(by_scope: dict[str, Node], name: str, T: int) -> Norms | None:
    """The norms at `t=0/name`, `t=1/name` ..., where a training loop has named them so."""
    nodes = [by_scope.get(f"t={t}/{name}") for t in range(T)]
    return [norm(node) for node in nodes] if any(nodes) else None


def norm(node: Node | None) -> float | None:
    """The Euclidean norm of the gradient kept on a node."""
    if node is None or node.gy is None:
        return None
    return float(np.sqrt(np.sum(np.square(node.gy, dtype=np.float64))))


def shares(loss: Tensor, weight: Tensor) -> np.ndarray:
    """Every step's own share of dL/dW: the terms of the BPTT sum, which add up to `.grad`.

    Equation: dL/dW = sum_t (dL/dW)_t, where (dL/dW)_t holds the weight's other uses fixed
    Shapes: (T, *weight.shape).
    Errors: GraphError when the weight was not used step by step.
    Example:
        >>> import tinyseq as ts
        >>> rnn = ts.nn.RNN(2, 3)
        >>> with ts.detail("gates"):
        ...     y, h = rnn(ts.ones(5, 1, 2))
        >>> ts.bptt.shares(h.sum(), rnn.weight_hh_l0).shape
        (5, 3, 3)
    """
    terms: dict[int, np.ndarray] = {}

    def watch(node: Node, k: int, g: Any) -> None:
        target, time = node.inputs[k], node.scope.time
        if time is None:
            return
        if target is not weight:
            if not (type(target) is Node and target.op.name == "getitem"
                    and target.inputs[0] is weight and target.scope.time is None):
                return  # (rows of the weight may have been cut out before the loop)
            g = OPS["put"].forward(undo_broadcast(g, target.shape), target.attrs["index"],
                                   weight.shape)
        g = undo_broadcast(g, weight.shape)
        terms[time] = terms[time] + g if time in terms else g

    differentiate([loss], [None], True, False, watch=watch)
    if not terms:
        raise GraphError(f"this weight {weight.shape} was not used step by step in the graph: run "
                         "the forward pass inside `with ts.detail('gates'):`")
    T = max(terms) + 1
    none = np.zeros(weight.shape, weight.dtype)
    return np.array([terms.get(t, none) for t in range(T)])


def kept_by_truncation(terms: np.ndarray) -> list[float]:
    """The norm of the last k shares' sum over that of all, k = 1..T: what truncation keeps."""
    total = np.linalg.norm(terms.sum(axis=0))
    sums = np.cumsum(terms[::-1], axis=0)
    return [float(np.linalg.norm(s) / total) if total else 0.0 for s in sums]


def last(values: Iterable[float | None]) -> list[float]:
    """The known values, newest first: norms by lag."""
    return [v for v in reversed(list(values)) if v is not None]
