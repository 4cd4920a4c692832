"""`Ran`: where a module last ran and what it gave, by which `ts.probe` finds the lines inside."""
from __future__ import annotations

import weakref
from collections.abc import Iterable

from tinyseq.graph import Node
from tinyseq.scope import Scope
from tinyseq.tensor import Tensor


class Ran:
    """The last run of one module; it keeps no graph alive, and copies of a module begin anew."""

    __slots__ = ("scope", "birth", "outputs")

    def __init__(self) -> None:
        self.scope: Scope | None = None  # where it ran
        self.birth = 0                   # what was recorded then is younger
        self.outputs: list[weakref.ref[Node]] | None = None

    def gave(self, outputs: Iterable[Tensor]) -> None:
        """Note the nodes of what a layer or cell gave; none where nothing was recorded."""
        self.outputs = [weakref.ref(t.node) for t in outputs if t.node is not None]

    def __deepcopy__(self, memo: dict) -> Ran:
        return Ran()

    def __reduce__(self) -> tuple:
        return Ran, ()
