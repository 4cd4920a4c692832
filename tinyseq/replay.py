"""A recorded forward pass as a program: run again with one value changed, all else held.

Dropout masks are attributes and detached values are constants of the recording, so a truncated or
dropped-out pass is differenced as what it is.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyseq.graph import Node
from tinyseq.tensor import Tensor

Source = Node | Tensor  # what can be changed: a recorded value, or a leaf


def source_of(t: Tensor) -> Source:
    """What a tensor's value comes from: its node, or itself."""
    return t if t.node is None else t.node


class Replay:
    """The program behind some outputs, from a tape of (output, operands) pairs in order of birth.

    Example:
        >>> import tinyseq as ts
        >>> from tinyseq.probe import taped
        >>> x = ts.tensor([3.0], requires_grad=True)
        >>> with taped() as tape:
        ...     y = x * x
        >>> Replay(tape, [y]).outputs(x, x.array + 1)
        [array([16.], dtype=float32)]
    """

    def __init__(self, tape: Sequence[tuple[Tensor, tuple]], outputs: Sequence[Tensor]) -> None:
        self.results = list(outputs)
        self.work: list[tuple[Any, tuple]] = [(out.node, operands) for out, operands in tape]
        self.value: dict[Any, np.ndarray] = {out.node: out.array for out, _ in tape}
        for t in (t for _, operands in tape for t in operands if isinstance(t, Tensor)):
            self.value.setdefault(source_of(t), t.array)
        self.paths: dict[Source, list[tuple[Node, tuple]]] = {}

    def downstream(self, source: Source) -> list[tuple[Node, tuple]]:
        """The part of the program that a change of `source` reaches, in order."""
        if source not in self.paths:
            reached: set[Source] = {source}
            found = []
            for node, operands in self.work:
                if any(isinstance(t, Tensor) and source_of(t) in reached for t in operands):
                    if node is not source:
                        reached.add(node)
                        found.append((node, operands))
            self.paths[source] = found
        return self.paths[source]

    def outputs(self, source: Source, value: np.ndarray) -> list[np.ndarray]:
        """The outputs with the value of one source replaced."""
        changed: dict[Any, np.ndarray] = {source: value}
        for node, operands in self.downstream(source):
            arrays = [self.now(t, changed) for t in operands]
            changed[node] = np.asarray(node.op.forward(*arrays, **(node.attrs or {})))
        return [self.now(t, changed) for t in self.results]

    def now(self, t: Any, changed: dict[Any, np.ndarray]) -> Any:
        """The present value of an operand."""
        if not isinstance(t, Tensor):
            return t
        source = source_of(t)
        found = changed.get(source)
        return self.value.get(source, t.array) if found is None else found
