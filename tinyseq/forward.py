"""Forward mode: tangents pushed through a recorded graph, oldest node first.

An elementwise operation's tangent is its own backward rule with the tangent in the cotangent's
place; an operation that is linear is applied to the tangents; any other's reverse rule is
transposed: the rule is linear in its cotangent v, so its derivative with respect to v, taken in
the direction of the inputs' tangents, is the output's tangent.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyseq.autograd.gradient import walk_to
from tinyseq.graph import Node, collect
from tinyseq.op import Op
from tinyseq.ops import expand
from tinyseq.refusals import intact
from tinyseq.scope import state
from tinyseq.tensor import Tensor, wrap

Source = Node | Tensor  # where a tangent can sit: on a recorded value, or on a leaf


def push(outputs: Sequence[Tensor], tangents: dict[Source, Tensor]) -> list[Tensor]:
    """The outputs' tangents, given those of some leaves or nodes; zeros where none arrives.

    Nothing is released. The results have a history of their own if gradients are being recorded.
    Shapes: each tangent has the shape of what it is a tangent of.
    Errors: GraphError where backward has already released what the rules need.
    """
    found: dict[Any, Any] = dict(tangents)
    graph, scope = state.grad, state.scope
    try:
        for node in reversed(collect(t.node for t in outputs if t.node is not None)):
            moving = {k: found[p] for k, p in enumerate(node.inputs) if p in found}
            if moving and node not in found:
                intact(node)
                state.scope = node.scope
                found[node] = pushed(node, moving, graph)
    finally:
        state.scope = scope
    ends = [t if t.node is None else t.node for t in outputs]
    return [found[end] if end in found else wrap(np.zeros(t.shape, t.dtype))
            for end, t in zip(ends, outputs)]


def pushed(node: Node, moving: dict[int, Any], graph: bool) -> Any:
    """One node's tangent (a list of them, if it has several outputs)."""
    if node.op.slot:
        return moving[0][node.attrs]
    if isinstance(node.op, Op):
        if node.op.elementwise:
            return fitted(by_rule(node, moving, graph), node)
        if node.op.linear and None not in node.inputs and len(moving) == len(node.inputs):
            return node.op.call(*[moving[k] for k in range(len(moving))], **(node.attrs or {}))
    return transposed(node, moving, graph)


def by_rule(node: Node, moving: dict[int, Tensor], graph: bool) -> Tensor:
    """An elementwise tangent: the sum of each input's rule on its tangent."""
    saved = node.op.saved(node, graph)
    total: Any = None
    for k, rule, at in node.plan.calls:
        if k in moving:
            tangent = moving[k] if graph else moving[k].array
            with np.errstate(all="ignore"):
                term = rule(tangent, *[saved[p] for p in at])
                total = term if total is None else total + term
    return total if isinstance(total, Tensor) else wrap(total)


def fitted(tangent: Tensor, node: Node) -> Tensor:
    """The tangent in the node's own shape and dtype: one operand alone may have been smaller."""
    if tangent.dtype != node.dtype:
        tangent = tangent.to(node.dtype)
    return tangent if tangent.shape == node.shape else expand(tangent, shape=node.shape)


def transposed(node: Node, moving: dict[int, Any], graph: bool) -> Any:
    """The tangent of any node whose reverse rule can be recorded."""
    several = type(node.shape[0]) is tuple if node.shape else False
    shapes = node.shape if several else (node.shape,)
    slots = [wrap(np.zeros(shape, node.dtype)).requires_grad_() for shape in shapes]
    grad, state.grad = state.grad, True
    try:
        v = slots if several else slots[0]
        pairs = [(g, k) for k, g in node.op.pull(node, v, True)
                 if k in moving and isinstance(g, Tensor) and g.requires_grad]
        ways = [moving[k] if moving[k].shape == g.shape else expand(moving[k], shape=g.shape)
                for g, k in pairs]
        ways = [way.to(g.dtype) for way, (g, _) in zip(ways, pairs)]
    finally:
        state.grad = grad
    found = walk_to(set(slots), [g for g, _ in pairs], ways, True, graph) if pairs else {}
    made = [wrap(np.zeros(v.shape, v.dtype)) if v not in found
            else found[v] if isinstance(found[v], Tensor) else wrap(found[v]) for v in slots]
    return made if several else made[0]
