"""`Node`, one application of one operation, and `Graph`, what was recorded, in order of birth.

A node points backwards only, at the nodes and leaves it was made from. `birth` is a running
number, so inputs are older than outputs and "newest first" is a topological order: one stack to
collect, one sort, no recursion. When the last tensor lets go, reference counting frees it all.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tinyseq.errors import GraphError
from tinyseq.scope import Scope

FREED = ("freed",)  # what `saved` becomes once backward has passed and nobody asked to retain it


class Node:
    """One application of one operation: what it was, from what, and what its derivative needs.

    `inputs` holds, for each differentiable input, the Node that made it, the leaf Tensor itself,
    or None where no gradient is wanted. `gy` is the pending gradient with respect to the output; a
    node with several outputs (a fused layer) has a list there, one entry for each.
    """

    __slots__ = ("op", "inputs", "plan", "saved", "stamp", "attrs", "shape", "dtype", "birth",
                 "scope", "gy", "owned", "keep", "hooks", "inside", "__weakref__")

    def __init__(self, op: Any, inputs: tuple, plan: Any, saved: tuple, stamp: int, attrs: Any,
                 shape: tuple, dtype: np.dtype, birth: int, scope: Scope) -> None:
        self.op = op
        self.inputs = inputs
        self.plan = plan
        self.saved = saved
        self.stamp = stamp
        self.attrs = attrs
        self.shape = shape
        self.dtype = dtype
        self.birth = birth
        self.scope = scope
        self.gy: Any = None
        self.owned = False
        self.keep = False
        self.hooks: tuple = ()
        self.inside: Any  # what `keep=` kept of a fused node's lines; there after a backward

    def __repr__(self) -> str:
        return f"<{self.where()} {self.shape}>"

    def where(self) -> str:
        """`op at scope`, as errors and tables name a node."""
        scope = str(self.scope)
        return f"{self.op.name} at {scope}" if scope else self.op.name

    @property
    def grad(self) -> Any:
        """dL/dy of this node as an array; only what `backward(keep=...)` kept is still there."""
        if self.gy is None:
            raise GraphError(
                f"the gradient of <{self.where()}> was not kept: backward releases it as it "
                f"passes. Type loss.backward(keep={str(self.scope) or '**'!r}) to keep it")
        return self.gy


def collect(roots: Iterable[Node], stop: frozenset[Node] = frozenset()) -> list[Node]:
    """Every node the roots were made from, newest first (which is a topological order).

    The nodes in `stop` are found, but not what they were made from.
    """
    stack = list(roots)
    seen = set(stack)
    found = list(seen)
    while stack:
        node = stack.pop()
        for parent in node.inputs if node not in stop else ():
            if type(parent) is Node and parent not in seen:
                seen.add(parent)
                found.append(parent)
                stack.append(parent)
    found.sort(key=_birth, reverse=True)
    return found


def _birth(node: Node) -> int:
    return node.birth


class Graph:
    """A recorded graph as an object: its nodes by birth, for looking at, selecting and drawing.

    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([1.0, 2.0], requires_grad=True)
        >>> with ts.scope("square"):
        ...     y = (x * x).sum()
        >>> [str(node.scope) + ":" + node.op.name for node in ts.graph(y)]
        ['square:mul', 'square:sum']
    """

    def __init__(self, roots: Iterable[Node]) -> None:
        self.roots = tuple(roots)
        self.nodes = collect(self.roots)[::-1]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"<Graph of {len(self.nodes)} nodes>"

    @property
    def edges(self) -> list[tuple[Node, Node]]:
        """(from, to) for every pair of nodes where one was made from the other."""
        return [(parent, node) for node in self.nodes
                for parent in node.inputs if type(parent) is Node]

    def select(self, glob: str = "**", *, op: str | None = None, time: int | None = None,
               layer: int | None = None, gate: str | None = None) -> list[Node]:
        """The nodes, by birth, whose scope matches `glob` and whose parts are as asked."""
        return [node for node in self.nodes
                if (op is None or node.op.name == op)
                and (time is None or node.scope.time == time)
                and (layer is None or node.scope.layer == layer)
                and (gate is None or node.scope.gate == gate)
                and node.scope.matches(glob)]
