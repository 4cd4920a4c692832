"""A finished picture: it shows itself in notebooks and saves itself as .svg, .dot, .png, .pdf."""
from __future__ import annotations

import os
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyseq.draw.dot import dot_text
from tinyseq.draw.program import LIMIT, run_dot
from tinyseq.draw.scene import Scene
from tinyseq.draw.svg import svg_text
from tinyseq.errors import RenderError

if TYPE_CHECKING:
    import graphviz

SUFFIXES = (".svg", ".dot", ".png", ".pdf")
FINE, COARSE = 144, 72   # dots per inch of a .png
MOST_PIXELS = 32_000     # beyond it cairo shrinks the picture until no one can read it


@dataclass(frozen=True, repr=False)
class Picture:
    """A scene with a name, and the writers to look at it.

    Example:
    >>> Picture(Scene(20, 10, (), "nothing"), "empty picture")
    <Picture empty picture, 0 boxes>
    """
    scene: Scene
    name: str

    def __repr__(self) -> str:
        name = "".join(char if char.isprintable() else " " for char in self.name)
        name = name if len(name) <= 80 else name[:79] + "…"
        count = len(self.scene.boxes())
        return f"<Picture {name}, {count} box{'' if count == 1 else 'es'}>"

    def svg(self) -> str:
        """Return the picture as SVG text; needs no program."""
        return svg_text(self.scene)

    def dot(self) -> str:
        """Return the picture as DOT text with fixed positions; needs no program."""
        return dot_text(self.scene)

    def to_graphviz(self) -> graphviz.Source:
        """Return the picture as a `graphviz.Source`, for users of that package."""
        import graphviz
        return graphviz.Source(self.dot())

    def save(self, path: str | os.PathLike[str], *, limit: float = LIMIT) -> Path:
        """Write the picture to `path` and return it; the suffix says how.

        .svg and .dot need no program; .png and .pdf run `dot`, for at most `limit` seconds.
        A file that is already there survives a failure.
        Errors: ValueError for another suffix; OSError for a folder that is missing or may not be
        written, or a folder in the file's place; RenderError when `dot` fails.
        """
        target = Path(path)
        kind = target.suffix.lower()
        if kind not in SUFFIXES:
            raise ValueError(f"cannot save a picture as {os.fspath(path)!r}: expected a name that "
                             f"ends in {', '.join(SUFFIXES)}")
        if target.is_dir():
            raise IsADirectoryError(21, "expected a file name, found a folder", str(target))
        if not target.parent.is_dir():
            raise FileNotFoundError(2, "no such folder to save a picture in", str(target))
        _replace(target, self._rendered(kind, limit))
        return target

    def _rendered(self, kind: str, limit: float) -> bytes:
        if kind == ".svg":
            return self.svg().encode("utf-8")
        if kind == ".dot":
            return self.dot().encode("utf-8")
        options: tuple[str, ...] = ()
        if kind == ".png":
            largest = max(self.scene.width, self.scene.height)
            fineness = min(FINE, int(MOST_PIXELS * 72 / largest))
            if fineness < COARSE:
                raise RenderError(f"a .png of this picture would be {largest:.0f} pixels long, "
                                  f"more than {MOST_PIXELS}: draw fewer steps or save .svg")
            options = (f"-Gdpi={fineness}",)
        return run_dot(self.dot(), kind[1:], options=options, limit=limit,
                       boxes=len(self.scene.boxes()))

    def _repr_mimebundle_(self, include: Collection[str] | None = None,
                          exclude: Collection[str] | None = None) -> dict[str, Any]:
        """Return what a notebook shows. Never raises: at worst the words without the picture."""
        shown: dict[str, Any] = {"text/plain": "<Picture>"}
        try:
            shown["text/plain"] = repr(self)
            svg = self.svg()
            shown["image/svg+xml"] = svg
            # A wide picture scrolls; left alone, many viewers shrink it until it is unreadable.
            shown["text/html"] = ('<div style="overflow-x:auto"><div style="width:max-content">'
                                  f"{svg}</div></div>")
        except Exception as error:
            shown["text/plain"] += f" could not be drawn: {error!r}"
        return {kind: value for kind, value in shown.items()
                if (include is None or kind in include) and kind not in (exclude or ())}


def _replace(target: Path, content: bytes) -> None:
    """Write `content` beside `target`, then put it in its place in one move."""
    target = Path(os.path.realpath(target))  # a link stays a link
    beside = target.with_name(f".{secrets.token_hex(6)}.part")
    try:
        try:
            beside.write_bytes(content)
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise type(error)(error.errno, f"cannot save a picture: {error.strerror}",
                          str(target)) from error
