"""What stood in a run: the values of named lines, and where the first NaN or infinity was made."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinyseq.graph import Graph, Node
from tinyseq.scope import state
from tinyseq.tensor import Tensor
from tinyseq.walk import differentiate


@contextmanager
def taped() -> Iterator[list[tuple[Any, tuple]]]:
    """Inside, recurrent layers run op by op and every recorded node is kept with its values."""
    before = state.tape, state.detail
    state.tape, state.detail = [], "gates"
    try:
        yield state.tape
    finally:
        state.tape, state.detail = before


def values(run: Callable[[], Any], glob: str) -> dict[str, np.ndarray]:
    """The value of every node whose scope matches `glob`, by scope, in the order of the run.

    Example:
        >>> import tinyseq as ts
        >>> lstm, x = ts.nn.LSTM(2, 3), ts.ones(4, 1, 2)
        >>> list(values(lambda: lstm(x), "l0.fwd/t=*/f"))[:2]
        ['l0.fwd/t=0/f', 'l0.fwd/t=1/f']
    """
    with taped() as tape:
        run()
    return {str(out.node.scope): out.array for out, _ in tape if out.node.scope.matches(glob)}


def first_nonfinite(run: Callable[[], Tensor]) -> str | None:
    """Where a loss first leaves the finite numbers: the first node forward, else backward.

    `run` computes the loss anew. Returns a sentence naming the scope, or None if all is finite.
    """
    with taped() as tape, np.errstate(all="ignore"):
        loss = run()
        for out, _ in tape:
            if not np.isfinite(out.array).all():
                return f"the first value that is not finite was made by <{out.node.where()}>"
    if loss.node is None:
        return None
    differentiate([loss], [None], True, False, keep="**")
    for node in reversed(Graph([loss.node]).nodes):
        if node.gy is not None and not finite(node):
            return f"the first gradient that is not finite reached <{node.where()}>"
    return None


def finite(node: Node) -> bool:
    """Whether the gradient kept on a node is finite."""
    return bool(np.isfinite(node.gy).all())
