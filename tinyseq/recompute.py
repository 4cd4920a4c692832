"""`checkpoint`: forget what a part of the graph saved; compute it again for backward."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tinyseq import tree
from tinyseq.errors import GraphError
from tinyseq.graph import Node
from tinyseq.layer import PORT
from tinyseq.mode import detail, enable_grad
from tinyseq.op import Plan
from tinyseq.ops.noise import generator
from tinyseq.refusals import stamp
from tinyseq.scope import births, state
from tinyseq.tensor import Tensor, wrap
from tinyseq.walk import differentiate

NO_PLAN = Plan((), (), -1)


class Segment:
    """The operation "this part of the graph", which keeps its inputs only."""

    slot = elementwise = linear = variadic = False
    name = "checkpoint"

    def __init__(self, function: Callable, args: tuple, kwargs: dict, stream: Any) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.stream, self.detail = stream, state.detail

    def record(self, sources: list[Any], outputs: list[Tensor]) -> Node:
        """The one node: it keeps the function's arguments, and watches the leaves it used."""
        kept = (*[t for t in tree.leaves((self.args, self.kwargs)) if isinstance(t, Tensor)],
                *[t for t in sources if isinstance(t, Tensor)])
        return Node(self, tuple(sources), NO_PLAN, kept, stamp(kept), None,
                    tuple([t.shape for t in outputs]), outputs[0].dtype, next(births),
                    state.scope)

    def pull(self, node: Node, gys: list, graph: bool) -> Iterator[tuple[int, Any]]:
        """(source, gradient): the part runs again, recorded, and is differentiated."""
        older = [source for source in node.inputs if type(source) is Node]
        pending = [(source, source.gy, source.owned) for source in older]
        try:
            outputs = self.again(node)
            asked = [(y, gy) for y, gy in zip(outputs, gys) if gy is not None]
            found = differentiate([y for y, _ in asked], [gy for _, gy in asked], None, graph,
                                  stop=older)
        finally:  # the walk outside has gradients waiting on the same nodes
            for source, gy, owned in pending:
                source.gy, source.owned = gy, owned
        for k, source in enumerate(node.inputs):
            if source in found:
                yield k, found[source]

    def again(self, node: Node) -> list[Tensor]:
        """The outputs that require grad, computed anew from the same random numbers."""
        here = generator.get_state()
        if self.stream is not None:
            generator.set_state(self.stream)
        try:
            with enable_grad(), detail(self.detail):
                y = self.function(*self.args, **self.kwargs)
        finally:
            generator.set_state(here)
        outputs = [t for t in tree.leaves(y) if isinstance(t, Tensor) and t.node is not None]
        shapes = tuple([t.shape for t in outputs])
        if shapes != node.shape:
            raise GraphError(
                f"<{node.where()}>: the function gave outputs of shapes {shapes} when it ran "
                f"again, and {node.shape} the first time: it must do the same each time")
        return outputs


def checkpoint(function: Callable, *args: Any, use_reentrant: bool | None = None,
               preserve_rng_state: bool = True, **kwargs: Any) -> Any:
    """`function(*args, **kwargs)`, recorded as one node that keeps no intermediate values.

    Backward runs the function again. It draws the same random numbers as the first time (dropout's
    masks), unless `preserve_rng_state` is False. `use_reentrant` is torch's and changes nothing.
    Cost: one more forward pass; memory for one part at a time.
    Errors: GraphError when the function gives other shapes the second time.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([1.0, 2.0], requires_grad=True)
        >>> y = checkpoint(lambda x: x * x * x, x)
        >>> ts.graph(y).nodes[0].op.name
        'checkpoint'
        >>> y.sum().backward()
        >>> x.grad
        tensor([ 3., 12.])
    """
    if not state.grad or state.tape is not None:  # who reads a tape wants every operation
        return function(*args, **kwargs)
    segment = Segment(function, args, kwargs,
                      generator.get_state() if preserve_rng_state else None)
    start = next(births)  # what is older was there before
    y = function(*args, **kwargs)
    made = [t for t in tree.leaves(y) if isinstance(t, Tensor) and t.node is not None]
    if not made or any(t.node.birth < start for t in made if t.node is not None):
        return y
    node = segment.record(older_than(start, made), made)
    light = iter([wrap(t.array, Node(PORT, (node,), NO_PLAN, (), 0, k, t.shape, t.dtype,
                                     next(births), state.scope), t.version)
                  for k, t in enumerate(made)])
    return tree.mapped(lambda t: next(light) if isinstance(t, Tensor) and t.node is not None
                       else t, y)


def older_than(start: int, outputs: list[Tensor]) -> list[Node | Tensor]:
    """The leaves, and the nodes born before `start`, that the outputs were made from."""
    stack = [t.node for t in outputs if t.node is not None]
    seen: set[Any] = set(stack)
    found: list[Any] = []
    while stack:
        for source in stack.pop().inputs:
            if source is None or source in seen:
                continue
            seen.add(source)
            if type(source) is Node and source.birth > start:
                stack.append(source)
            else:
                found.append(source)
    return found
