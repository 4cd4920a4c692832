"""What stood in a run: lines' values and cotangents, and where the first NaN was made."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinyseq.errors import GraphError
from tinyseq.graph import Graph, Node, collect
from tinyseq.inside import Inside, Seen, look
from tinyseq.scope import Scope, pattern, state
from tinyseq.tensor import Tensor, wrap
from tinyseq.walk import differentiate


class Probed:
    """A named line at one step of a run: its `scope`, `value` and `grad`, the loss's derivative.

    Errors: GraphError for what has been released, with what to type to keep it.
    """

    def __init__(self, line: Seen) -> None:
        self.scope, self._line = line.path, line

    @property
    def value(self) -> Tensor:
        """What the line was, as a Tensor (N, H) without history."""
        if self._line.value is None:
            raise GraphError(f"the value of {self.scope!r} is gone: backward releases what was "
                             f"saved as it passes. Probe before it, or type loss.backward(keep="
                             f"{self.scope!r}) or retain_graph=True")
        return wrap(self._line.value)

    @property
    def grad(self) -> Tensor:
        """The loss's derivative with respect to the line; only what `backward(keep=)` kept."""
        if self._line.cotangent is None:
            raise GraphError(f"the gradient of {self.scope!r} was not kept, or none reached it: "
                             f"type loss.backward(keep={self.scope!r}), then probe")
        found = self._line.cotangent
        return found if isinstance(found, Tensor) else wrap(found)

    def __repr__(self) -> str:
        there = [name for name, array in zip(("value", "grad"), self._line[1:])
                 if array is not None]
        return f"<{self.scope}: {' and '.join(there) or 'released'}>"


def probe(module: Any, glob: str = "**") -> dict[str, Probed]:
    """The named lines of a module's last run whose scope matches `glob`, in the order of the work.

    The glob is matched with the path below the module and with the whole one, as the graph has it.
    Values are there until backward has passed, then what `backward(keep=glob)` or
    `retain_graph=True` kept; gradients are what `keep=` kept. All this is the same at every
    `ts.detail`, on the fastest path too, into which `keep=` looks by running it op by op.
    Errors: GraphError where the module has not run, its run was not recorded, its graph is gone,
        or no line matches.
    Example:
        >>> import tinyseq as ts
        >>> lstm, x = ts.nn.LSTM(2, 3), ts.ones(4, 1, 2)
        >>> y, _ = lstm(x)
        >>> list(ts.probe(lstm, "l0.fwd/t=*/f"))[:2]
        ['l0.fwd/t=0/f', 'l0.fwd/t=1/f']
        >>> ts.stack([c.value for c in ts.probe(lstm, "**/c").values()]).shape     # all c_t
        (4, 1, 3)
        >>> y.sum().backward(keep="**/t=3/c")
        >>> ts.probe(lstm, "**/t=3/c")["l0.fwd/t=3/c"].grad.shape
        (1, 3)
    """
    roots, place = ends_of(module)
    wanted = pattern(glob).fullmatch
    below = f"{place}/" if place.parent is not None else ""

    def matches(path: str) -> bool:
        return path.startswith(below) and bool(
            wanted(path) or (below and wanted(path[len(below):])))
    born = module._ran.birth
    nodes = [node for node in reversed(collect(roots)) if node.birth > born]
    found = {line.path: Probed(line) for node in nodes for line in lines(node, matches)}
    if not found:
        there = [line.path for node in nodes for line in lines(node, lambda path: True)]
        raise GraphError(f"no named line matches {glob!r} in the last run of this "
                         f"{type(module).__name__}: there are "
                         + (", ".join(there[:12]) + (" ..." if there[12:] else "") or "none"))
    return found


def lines(node: Node, wanted: Callable[[str], Any]) -> Iterator[Seen]:
    """What a node holds of the lines whose path is wanted."""
    if isinstance(node.op, Inside):
        yield from node.op.lines(node, wanted)
    elif (line := look(node)) is not None and wanted(line.path):
        yield line


def ends_of(module: Any) -> tuple[list[Node], Scope]:
    """The nodes that the recurrent parts of a module gave last, and where the module ran."""
    name, ran = type(module).__name__, getattr(module, "_ran", None)
    if ran is None:
        raise TypeError(f"probe takes a module and a glob, got a {name} first")
    if ran.scope is None:
        raise GraphError(f"this {name} has not run yet: call it, then probe")
    gave = [part._ran.outputs for part in module.modules() if part._ran.outputs is not None]
    if not gave:
        raise GraphError(f"no recurrent layer or cell has run in this {name}, and named lines are "
                         "theirs")
    if not any(gave):
        raise GraphError(f"the last run of this {name} was not recorded: run it outside no_grad, "
                         "with parameters or an input that require grad")
    nodes = [node for refs in gave for node in [ref() for ref in refs] if node is not None]
    if not nodes:
        raise GraphError(f"the graph of the last run of this {name} is gone: keep its output, or "
                         "the loss, for as long as you want to probe")
    return nodes, ran.scope


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
