"""Inside a fused node: the values of its cell's lines, and their cotangents where asked for.

The kernels keep the value of every line that is a row of numbers; what they do not keep, a line
that is one number a row and all cotangents, comes from the equations run again, op by op.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinyseq.equations import Cell, Product
from tinyseq.graph import FREED, Node, collect
from tinyseq.layer import Weights
from tinyseq.mode import enable_grad
from tinyseq.ops import reshape
from tinyseq.refusals import intact
from tinyseq.scope import Scope, pattern, state
from tinyseq.tensor import Tensor
from tinyseq.walk import differentiate


class Seen(NamedTuple):
    """What is there to see of a line at a step; None for what has been released."""

    path: str
    value: np.ndarray | None
    cotangent: np.ndarray | None


class Inside:
    """What `Fused` knows of the lines inside."""

    cell: Cell
    emitter: Any
    op_by_op: Callable

    def places(self, node: Node) -> Iterator[tuple[str, int, str]]:
        """(path, which step, line) of all lines of all steps, in the order of the work."""
        names = [self.cell.returns[0] if isinstance(item, Product) else item.name
                 for item in self.cell.schedule if not (isinstance(item, Product) and item.gates)]
        above = f"{node.scope}/" if node.scope.parent is not None else ""
        for k, t in enumerate([None] if node.attrs is None else node.attrs):
            step = above if t is None else f"{above}t={t}/"
            yield from ((step + name, k, name) for name in names)

    def again(self, node: Node) -> tuple[list[Any], list[Tensor]]:
        """The equations run again, recorded op by op: twins of the operands, and the outputs."""
        operands, S = node.saved[:len(node.inputs)], len(self.cell.states)
        twins: list[Any] = [None if t is None
                            else reshape(t, t.shape) if parent is not None else t.detach()
                            for t, parent in zip(operands, node.inputs)]
        y, finals = self.op_by_op(self.cell, twins[0], tuple(twins[1:1 + S]),
                                  Weights.of(twins[1 + S:], self.cell), node.attrs)
        return twins, [y, *finals]

    def apart(self, node: Node) -> tuple[list[Any], list[Tensor]]:
        """`again`, in the node's own scope and whatever the modes are.

        Errors: GraphError for a node that was released, or whose operands were changed since.
        """
        intact(node)
        before = state.scope, state.tape
        state.scope, state.tape = node.scope, None
        try:
            with enable_grad():
                return self.again(node)
        finally:
            state.scope, state.tape = before

    def keep(self, node: Node, glob: str) -> dict[str, Seen] | None:
        """The lines that `backward(keep=glob)` names, before backward passes; None for none."""
        wanted = pattern(glob).fullmatch
        places = [place for place in self.places(node) if wanted(place[0])]
        if not places:
            return None
        twins, outputs = self.apart(node)
        run, ends = node.saved[-1], begun(twins)
        asked = [(out, gy) for out, gy in zip(outputs, node.gy)
                 if gy is not None and out.requires_grad]
        differentiate([out for out, _ in asked], [gy for _, gy in asked], True, False, glob,
                      stop=ends)
        found = seen(outputs, ends)
        return {path: found.get(path) or Seen(path, self.row(run, name, k), None)
                for path, k, name in places}

    def lines(self, node: Node, wanted: Callable[[str], bool]) -> Iterator[Seen]:
        """What there is to see of the lines whose path is wanted."""
        kept: dict[str, Seen] = getattr(node, "inside", None) or {}
        once_more = None
        run = None if node.saved is FREED else node.saved[-1]
        for path, k, name in self.places(node):
            if not wanted(path):
                continue
            if run is None:
                yield kept.get(path) or Seen(path, None, None)
                continue
            value = self.row(run, name, k)
            if value is None:
                if once_more is None:
                    twins, outputs = self.apart(node)
                    once_more = seen(outputs, begun(twins))
                value = once_more[path].value
            yield Seen(path, value, kept[path].cotangent if path in kept else None)

    def row(self, run: Any, name: str, k: int) -> np.ndarray | None:
        """A copy of a line at the k-th step, or None if the kernels do not keep it."""
        cell = self.cell
        if name in cell.returns:
            return run.states[cell.returns.index(name)][k + 1].copy()
        if name in self.emitter.kept:
            return run.lines[k, self.emitter.kept.index(name)].copy()
        return None


def named(line: Tensor) -> Tensor:
    """A line's value, which its node saves last of all, for those who probe."""
    if line.node is not None:
        whole: Any = line
        while hasattr(whole, "base"):  # one sample of a batch, inside vmap
            whole = whole.base
        line.node.saved += (whole.array,)
    return line


def is_line(scope: Scope) -> bool:
    """Whether a scope is that of a cell's named line, which lies right below a step."""
    return scope.gate is not None and scope.parent is not None and scope.parent.gate is None


def begun(twins: list[Any]) -> list[Node]:
    """The nodes of the twins that have one: where the equations began again."""
    return [t.node for t in twins if t is not None and t.node is not None]


def seen(outputs: list[Tensor], ends: list[Node]) -> dict[str, Seen]:
    """The lines that some outputs were made from, recorded op by op, by path."""
    nodes = collect([t.node for t in outputs if t.node is not None], frozenset(ends))
    return {line.path: line for line in map(look, reversed(nodes)) if line is not None}


def look(node: Node) -> Seen | None:
    """What a node recorded op by op has of its line."""
    if not is_line(node.scope) or node.op.slot:
        return None
    there = node.saved and node.saved is not FREED
    return Seen(str(node.scope), node.saved[-1] if there else None, node.gy)
