"""A recorded forward pass as a program: run again with values changed here and there.

Dropout masks are attributes and detached values are constants of the recording, so a truncated or
dropped-out pass is differenced as what it is. A batch of samples runs at once, each with another
value of one source: a leaf, a recorded value (which is injected where it was made), or one use of
a value. Only what lies between the sources and the outputs is computed.
"""
from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tinyseq.batching import RULES, Batched, applied
from tinyseq.fused import Fused
from tinyseq.graph import Node
from tinyseq.layer import Weights
from tinyseq.op import Op
from tinyseq.scope import state
from tinyseq.tensor import Tensor, wrap


class Step:
    """One recorded application: its operation, its operands, and where its outputs stand."""

    __slots__ = ("node", "operands", "sources", "outputs", "outs")

    def __init__(self, out: Any, operands: tuple) -> None:
        self.outputs: list[Tensor] = out if isinstance(out, list) else [out]
        self.outs = [t.node for t in self.outputs]
        first = next(node for node in self.outs if node is not None)
        self.node: Node = first.inputs[0] if isinstance(out, list) else first
        self.operands = operands
        self.sources = [source_of(t) if isinstance(t, Tensor) else None for t in operands]

    def made(self) -> list[Node]:
        """Its outputs that have a history (an output of integers has none)."""
        return [node for node in self.outs if node is not None]


class Use(NamedTuple):
    """One operand of one step: a weight, say, as it is used at one time step and nowhere else."""

    step: Step
    place: int


Source = Node | Tensor | Use  # what can be changed
Rows = dict[Source, list[tuple[slice, np.ndarray]]]  # which samples have which values of a source


def source_of(t: Tensor) -> Node | Tensor:
    """What a tensor's value comes from: its node, or itself."""
    return t if t.node is None else t.node


class Replay:
    """The program behind some outputs, from a tape of (output, operands) pairs in order of birth.

    `dtype` runs it on other numbers than were recorded: float64, or complex128.
    Example:
        >>> import tinyseq as ts
        >>> from tinyseq.probe import taped
        >>> x = ts.tensor([3.0], requires_grad=True)
        >>> with taped() as tape:
        ...     y = x * x
        >>> Replay(tape, [y]).samples([(x, np.array([[4.0], [5.0]], np.float32))])
        [array([[16.],
               [25.]], dtype=float32)]
    """

    def __init__(self, tape: Sequence[tuple[Any, tuple]], outputs: Sequence[Tensor],
                 dtype: Any = None) -> None:
        self.dtype = dtype
        self.results = [source_of(t) for t in outputs]
        self.work = needed([Step(out, operands) for out, operands in tape], self.results)
        self.value: dict[Any, np.ndarray] = {}
        for step in self.work:
            self.value.update((t.node, t.array) for t in step.outputs)
            for t in step.operands:
                if isinstance(t, Tensor):
                    self.value.setdefault(source_of(t), t.array)
        for t in outputs:
            self.value.setdefault(source_of(t), t.array)
        self.ended = self.endings()
        self.evaluations = 0  # operations applied so far, a batch counted once

    def endings(self) -> dict[Step, list[Any]]:
        """By step, the sources that no later one reads: their values can be forgotten."""
        read: set[Any] = set(self.results)
        found: dict[Step, list[Any]] = {}
        for step in reversed(self.work):
            found[step] = [s for s in dict.fromkeys(step.sources) if s not in read]
            read.update(found[step])
        return found

    def downstream(self, sources: Collection[Source]) -> list[Step]:
        """The part of the program that a change of some of the sources reaches, in order."""
        reached: set[Any] = {s for s in sources if not isinstance(s, Use)}
        used = {s.step for s in sources if isinstance(s, Use)}
        found = []
        for step in self.work:
            if step in used or not reached.isdisjoint(step.sources):
                reached.update(step.made())
                found.append(step)
        return found

    def samples(self, moves: Sequence[tuple[Source, np.ndarray]]) -> list[np.ndarray | None]:
        """The outputs for a batch of samples; None for an output that changes in none of them.

        `moves` gives, for some of the samples each, other values of one source.
        Shapes: values (k, ...) as the source; each output (K, ...), K all the k together.
        """
        rows: Rows = {}
        count = 0
        for source, values in moves:
            here = slice(count, count + len(values))
            rows.setdefault(source, []).append((here, values))
            count = here.stop
        path = self.downstream(rows)
        made = {node for step in path for node in step.outs}
        changed = {source: self.put(self.value[source], rows[source], count, False)
                   for source in rows if not isinstance(source, Use) and source not in made}
        with unrecorded():
            for step in path:
                found = self.batch(step, changed, rows, count)
                for node, y in zip(step.outs, found):
                    if node is not None:
                        changed[node] = self.put(y, rows[node], count, True) if node in rows else y
                for source in self.ended[step]:
                    changed.pop(source, None)
        return [changed.get(end) for end in self.results]

    def put(self, base: np.ndarray, rows: list[tuple[slice, np.ndarray]], count: int,
            batched: bool) -> np.ndarray:
        """A value for every sample: the base's, except in the given rows."""
        base = self.cast(base)
        shape = base.shape[1:] if batched else base.shape
        made = np.empty((count, *shape), base.dtype)
        made[...] = base
        for here, values in rows:
            made[here] = values
        return made

    def batch(self, step: Step, changed: dict[Any, Any], rows: Rows, count: int) -> list[Any]:
        """One step on a batch of each operand that has changed."""
        arrays = [self.now(t, source, changed) for t, source in zip(step.operands, step.sources)]
        moved = [source in changed for source in step.sources]
        for place in range(len(arrays)):
            if Use(step, place) in rows:
                arrays[place] = self.put(arrays[place], rows[Use(step, place)], count,
                                         moved[place])
                moved[place] = True
        return self.apply(step, arrays, moved, count)

    def apply(self, step: Step, arrays: list[Any], moved: list[bool], count: int) -> list[Any]:
        """One step on arrays of which those that `moved` have a batch in front; its outputs."""
        self.evaluations += 1
        op, attrs = step.node.op, step.node.attrs or {}
        if not isinstance(op, Op):  # a fused layer, or an operation written by hand
            runs = [forward(op, [a[k] if m else a for a, m in zip(arrays, moved)], attrs)
                    for k in range(count)]
            return [np.stack(run) for run in zip(*runs)]
        if len(arrays) == 1 and op.elementwise:
            return [op.forward(arrays[0])]
        if op.name in RULES and not moved[0]:  # its rule wants the first operand batched
            arrays[0], moved[0] = np.broadcast_to(arrays[0], (count, *arrays[0].shape)), True
        operands = [Batched(wrap(a), 0) if m else wrap(a) if isinstance(a, np.ndarray) else a
                    for a, m in zip(arrays, moved)]
        found: Any = applied(op, tuple(operands), attrs)
        return [found.base.array]

    def now(self, t: Any, source: Any, changed: dict[Any, Any]) -> Any:
        """The present value of an operand."""
        if source is None:
            return self.cast(t) if isinstance(t, np.ndarray) else t
        found = changed.get(source)
        return self.cast(self.value.get(source, t.array)) if found is None else found

    def cast(self, array: np.ndarray) -> np.ndarray:
        """An array in the dtype of this replay; what is not floating point stays as it is."""
        if self.dtype is None or array.dtype.kind != "f":
            return array
        return array.astype(self.dtype, copy=False)


def forward(op: Any, arrays: list[Any], attrs: dict[str, Any]) -> list[np.ndarray]:
    """The outputs of any operation on plain arrays; a fused layer's from its equations."""
    if isinstance(op, Fused):
        S = len(op.cell.states)
        x, *rest = [a if a is None else wrap(a) for a in arrays]
        assert x is not None
        before, state.scope = state.scope, state.scope.child("replay")
        try:
            y, finals = op.op_by_op(op.cell, x, tuple(rest[:S]), Weights.of(rest[S:], op.cell),
                                    range(x.shape[0]))
        finally:
            state.scope = before
        return [t.array for t in (y, *finals)]
    found = op.forward(*arrays, **attrs)
    return found if isinstance(found, list) else [found]


@contextmanager
def unrecorded() -> Iterator[None]:
    """Inside, nothing is recorded and numpy does not warn."""
    before = state.grad, state.tape
    state.grad, state.tape = False, None
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        state.grad, state.tape = before


def needed(work: list[Step], ends: Sequence[Any]) -> list[Step]:
    """The steps that some of the outputs depend on, in order."""
    wanted: set[Any] = set(ends)
    kept = []
    for step in reversed(work):
        if not wanted.isdisjoint(step.made()):
            kept.append(step)
            wanted.update(step.sources)
    return kept[::-1]
