"""Where a node was born: interned paths such as `encoder/l0.fwd/t=3/f`, and globs over them.

A scope is one small object per distinct path. A node stores a pointer to one; the string is built
only when someone looks. Entering a scope is two stores: next to nothing when nobody asks.
"""
from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any


class Scope:
    """One interned path. `child` gives the same object for the same name, always.

    `time`, `layer`, `direction` and `gate` are read off the names once, when a scope is made.

    Example:
        >>> s = ROOT.child("l0.fwd").child("t=3").child("f", gate=True)
        >>> str(s), s.layer, s.direction, s.time, s.gate
        ('l0.fwd/t=3/f', 0, 'fwd', 3, 'f')
    """

    __slots__ = ("name", "parent", "time", "layer", "direction", "gate", "cell", "_children")

    def __init__(self, name: str, parent: Scope | None, gate: bool = False) -> None:
        self.name = name
        self.parent = parent
        self.time: int | None = parent.time if parent else None
        self.layer: int | None = parent.layer if parent else None
        self.direction: str | None = parent.direction if parent else None
        self.gate: str | None = name if gate else (parent.gate if parent else None)
        self.cell: Any = None  # the Cell that is unrolled here, for those who read graphs
        self._children: dict[Any, Scope] = {}  # by name, gates apart; by cell: see `unrolling`
        if match := re.fullmatch(r"t=(\d+)", name):
            self.time = int(match[1])
        elif match := re.fullmatch(r"l(\d+)\.(fwd|rev)", name):
            self.layer, self.direction = int(match[1]), match[2]

    def child(self, name: str, gate: bool = False) -> Scope:
        """The scope `self/name`; a slash in a name would read as two levels, so it becomes `|`."""
        key = (name, gate) if gate else name
        found = self._children.get(key)
        if found is None:
            found = self._children.setdefault(key, Scope(name.replace("/", "|"), self, gate))
        return found

    def unrolling(self, cell: Any) -> Scope:
        """The same path as the place where one cell is unrolled: its `cell` never changes."""
        if self.cell is cell:
            return self
        found = self._children.get(cell)
        if found is None:
            made = Scope(self.name, self.parent)
            made.cell = cell
            found = self._children.setdefault(cell, made)
        return found

    def __str__(self) -> str:
        names = []
        scope: Scope | None = self
        while scope is not None and scope.parent is not None:
            names.append(scope.name)
            scope = scope.parent
        return "/".join(reversed(names))

    def __repr__(self) -> str:
        return f"Scope({str(self)!r})"

    def matches(self, glob: str) -> bool:
        """Whether the whole path matches: `*` within one name, `**` over any number of names."""
        return pattern(glob).fullmatch(str(self)) is not None


@lru_cache(maxsize=256)
def pattern(glob: str) -> re.Pattern[str]:
    """What matches the paths that a glob means."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))


ROOT = Scope("", None)
births = itertools.count()  # one running number for all nodes: inputs are older than outputs


class State(threading.local):
    """What recording depends on, one per thread: the grad mode, the scope, the detail, the tape.

    `tape`, when it is a list, collects every node with its values (gradcheck asks for it);
    `watch`, when it is a function, sees every gradient on its way (anomaly mode asks for it).
    """

    grad: bool = True
    scope: Scope = ROOT
    detail: str = "layers"
    tape: Any = None
    watch: Any = None


state = State()


@contextmanager
def scope(name: str) -> Iterator[Scope]:
    """Name every operation recorded inside: `with ts.scope("encoder"): ...`."""
    before = state.scope
    state.scope = before.child(name)
    try:
        yield state.scope
    finally:
        state.scope = before
