"""The geometry of a picture: boxes, edges, texts, swatches, groups. One geometry, several writers.

Units are points (1/72 inch); x grows to the right, y grows downwards. Ids are made of positions
(`t3.cell`), never of a user's text, so no name can collide with, or break, another.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tinyseq.draw.text import Runs

INK = "#222222"
Point = tuple[float, float]
Data = tuple[tuple[str, str], ...]

_ID = re.compile(r"[a-z][a-z0-9.]*")
_DATA_NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True)
class Text:
    """One line of words; (x, y) is its left end, middle or right end, at half its height."""
    id: str
    x: float
    y: float
    runs: Runs
    size: float = 12.0
    fill: str = INK
    anchor: str = "middle"  # or "start", "end"
    halo: bool = False      # a white outline, for words that may come near a line
    title: str = ""
    data: Data = ()


@dataclass(frozen=True)
class Box:
    """A rounded rectangle around the centre (x, y), with its lines of text."""
    id: str
    x: float
    y: float
    w: float
    h: float
    role: str               # what it stands for: "cell", "input", "loss" ...
    lines: tuple[Text, ...] = ()
    fill: str = "#ffffff"
    stroke: str = INK
    radius: float = 8.0
    title: str = ""
    data: Data = ()


@dataclass(frozen=True)
class Edge:
    """A line through `points`: straight pieces, or cubic Beziers when `curved` (1 + 3n points).

    `tail` and `head` name the boxes it joins, "" where it ends in the open.
    """
    id: str
    points: tuple[Point, ...]
    colour: str = INK
    width: float = 1.0
    arrow: bool = True
    curved: bool = False
    dashed: bool = False
    tail: str = ""
    head: str = ""
    title: str = ""
    data: Data = ()


@dataclass(frozen=True)
class Swatch:
    """A plain coloured rectangle with its top left corner at (x, y): strip cells, bars."""
    id: str
    x: float
    y: float
    w: float
    h: float
    fill: str
    title: str = ""
    data: Data = ()


@dataclass(frozen=True)
class Group:
    """Items that belong together, such as one time step; `frame` is (left, top, width, height)."""
    id: str
    items: tuple[Item, ...]
    frame: tuple[float, float, float, float] | None = None
    fill: str = "#fafafc"
    stroke: str = "#d8d8e0"
    title: str = ""


Item = Text | Box | Edge | Swatch | Group


@dataclass(frozen=True)
class Scene:
    """A whole picture: its size, its items in drawing order, and a sentence that describes it.

    Errors: ValueError for an id that repeats or holds other than a-z, 0-9 and dots.
    """
    width: float
    height: float
    items: tuple[Item, ...]
    title: str
    description: str = ""

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for item in self.walk():
            if item.id in seen or not _ID.fullmatch(item.id):
                raise ValueError(f"scene item {item.id!r}: expected an id of a-z, 0-9 and dots "
                                 "that no other item has; make it of the item's position")
            seen.add(item.id)
            for name, _ in () if isinstance(item, Group) else item.data:
                if not _DATA_NAME.fullmatch(name):
                    raise ValueError(f"scene item {item.id!r}: data name {name!r}, "
                                     "expected a-z, 0-9 and hyphens (it becomes an attribute)")

    def walk(self) -> Iterator[Item]:
        """Yield every item, a group before what it holds."""
        waiting = list(reversed(self.items))
        while waiting:
            item = waiting.pop()
            yield item
            if isinstance(item, Group):
                waiting.extend(reversed(item.items))

    def boxes(self) -> list[Box]:
        """Return every box, in drawing order."""
        return [item for item in self.walk() if isinstance(item, Box)]


def norm_data(value: float | None) -> Data:
    """Return the data attribute that carries a drawn number in full (none for None)."""
    return () if value is None else (("norm", repr(float(value))),)
