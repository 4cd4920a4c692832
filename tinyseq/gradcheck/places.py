"""Where things stand in a recorded run: lines and weights at steps, what is held constant."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinyseq.culprit import step_of
from tinyseq.equations import Cell
from tinyseq.graph import Node
from tinyseq.replay import Step, Use
from tinyseq.scope import Scope
from tinyseq.tensor import Tensor

GATED = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "ln_ih", "ln_hh")  # a block a gate


def lane_of(scope: Scope) -> str:
    """The layer and direction of a line: its path before the time step or the line."""
    at, _ = step_of(scope)
    if at is None:
        at = scope
        while at.parent is not None and at.parent.gate is not None:
            at = at.parent
    return str(at.parent) if at.parent is not None else ""


def is_line(source: Any) -> bool:
    """Whether a source is a named line of a cell at a step: its scope ends in the line's name."""
    return (isinstance(source, Node) and source.scope.gate is not None
            and source.scope.name == source.scope.gate and source.shape != ())


def named_lines(steps: Sequence[Step]) -> Iterator[tuple[str, Node, int | None]]:
    """(name, node, time) of every named line; where no scope says the time, the call counts."""
    seen: dict[str, int] = {}
    for step in steps:
        for node in step.made():
            if is_line(node):
                name, time = str(node.scope), node.scope.time
                count = seen[name] = seen.get(name, 0) + 1
                if time is None:
                    yield f"{name}, call {count - 1}", node, count - 1
                else:
                    yield name if count == 1 else f"{name}, call {count}", node, time


def missing_lines(steps: Sequence[Step]) -> list[str]:
    """The lines that a cell's text names and that were recorded at some steps, but not at this."""
    here: dict[Scope, Cell] = {}
    found: set[Scope] = set()
    for step in steps:
        at, cell = step_of(step.node.scope)
        if at is not None and cell is not None:
            here.setdefault(at, cell)
        found.update(node.scope for node in step.made() if is_line(node))
    return [f"{at}/{name}" for at, cell in here.items() for name, _, _ in cell.written
            if at.child(name, gate=True) not in found]


def uses(steps: Sequence[Step], names: Mapping[Tensor, str]
         ) -> Iterator[tuple[str, Use, np.ndarray, int]]:
    """(name, its use, which of its rows, time) for every use of some leaves at a time step."""
    blocks: dict[Any, tuple[Tensor, np.ndarray]] = {}  # rows cut out of a weight before the loop
    for step in steps:
        time, cut = step.node.scope.time, step.node.op.name == "getitem"
        for place, source in enumerate(step.sources):
            leaf, rows = blocks.get(source, (source, None))
            if not isinstance(leaf, Tensor) or leaf not in names or not leaf.ndim:
                continue
            rows = np.arange(leaf.shape[0]) if rows is None else rows
            if cut and time is None:
                blocks[step.node] = leaf, np.atleast_1d(rows[(step.node.attrs or {})["index"]])
            elif time is not None and not cut:
                yield names[leaf], Use(step, place), rows, time


def held(steps: Sequence[Step]) -> dict[str, list[str]]:
    """What a replay keeps constant that a naive difference would not: by kind, where it is."""
    kept: dict[int, str] = {}  # by version cell: a detached tensor shares its source's
    found: dict[str, dict[str, None]] = {"dropout mask": {}, "given constant": {},
                                         "detached value": {}}
    for step in steps:
        if step.node.op.name == "dropout":
            found["dropout mask"][step.node.where()] = None
        for t in step.operands:
            if isinstance(t, Tensor) and not t.requires_grad and id(t.version) in kept:
                found["detached value"][kept[id(t.version)]] = None
            elif isinstance(t, Tensor) and t.requires_grad and t.node is None:
                kept.setdefault(id(t.version), t.label or f"an input of shape {t.shape}")
        for t in step.outputs:
            if t.node is not None:
                kept.setdefault(id(t.version), t.node.where())
        at, cell = step_of(step.node.scope)
        for name in cell.given if cell is not None else ():
            found["given constant"][f"{at}/{name}"] = None
    return {kind: list(places) for kind, places in found.items() if places}
