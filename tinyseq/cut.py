"""`cut_`: a recorded graph cut behind a tensor, after the fact; `detach` must come before."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinyseq.graph import Node
from tinyseq.op import Plan
from tinyseq.tensor import Tensor


class Cut:
    """The operation of a node that has been cut off: it has no inputs any more."""

    slot = elementwise = linear = variadic = False
    name = "cut"

    def pull(self, node: Node, gy: Any, graph: bool) -> Iterator[tuple[int, Any]]:
        """No gradient goes further."""
        return iter(())


CUT = Cut()


def cut_(self: Tensor) -> Tensor:
    """Let no gradient pass behind this tensor any more, in every graph that it is part of.

    What lies behind is freed unless something else holds it; what was computed from the tensor
    keeps its history up to here. On a leaf it does nothing, for there is nothing behind it.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor(3.0, requires_grad=True)
        >>> h = x * x
        >>> loss = h * x
        >>> _ = h.cut_()
        >>> loss.backward()          # as if h had been a constant: d(9 x)/dx
        >>> x.grad
        tensor(9.)
    """
    node = self.node
    if node is not None:
        node.op, node.inputs, node.plan = CUT, (), Plan((), (), -1)
        node.saved, node.stamp, node.attrs = (), 0, None
    return self
