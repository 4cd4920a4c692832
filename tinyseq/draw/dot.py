"""Scene -> DOT with every position fixed (`layout=nop2`), so that `dot` only converts.

All user text is escaped here. Edges are drawn after nodes, so curves lie over bars as in SVG.
"""
from __future__ import annotations

from xml.sax.saxutils import escape

from tinyseq.draw.scene import Box, Edge, Group, Item, Point, Scene, Swatch, Text
from tinyseq.draw.svg import arrow_head
from tinyseq.draw.text import SMALL, clean, text_width

# Graphviz programs differ in how they set <sub>; these glyphs they all have.
_SUB = str.maketrans("0123456789\u2212-t", "₀₁₂₃₄₅₆₇₈₉₋₋ₜ")
_SUP = str.maketrans("0123456789\u2212-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻")


def quoted(text: str) -> str:
    """Return `text` as a DOT string that shows exactly these characters.

    Two readers undo it: the file's grammar (`\\"`), then the label's own escapes (`\\\\`, `\\n`,
    and `&amp;`). Example:
    >>> print(quoted('a"b' + chr(92)))
    "a\\"b\\\\"
    """
    text = clean(text).replace("\r", " ").replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("&", "&amp;").replace("\n", "\\n") + '"'


def marked(text: str) -> str:
    """Return `text` escaped for an HTML-like label: markup in it appears, it does not act."""
    text = escape(clean(text), {'"': "&quot;", "\r": " ", "\n": " "})
    return text.replace("\\", "\\\\")


def dot_text(scene: Scene) -> str:
    """Return the scene as a DOT digraph that any Graphviz program draws at our positions."""
    out = ["digraph {",
           f'graph [layout=nop2, bb="0,0,{scene.width:.1f},{scene.height:.1f}", '
           'outputorder=nodesfirst, bgcolor="#ffffff"];',
           'node [shape=box, fixedsize=true, margin=0, label="", fontname="Arial"];',
           "edge [arrowhead=none];",
           # The background keeps the picture's margins: `dot` crops to what it draws.
           _swatch(Swatch("page", 0, 0, scene.width, scene.height, "#ffffff"), scene.height)]
    waiting: list[Item | str] = list(reversed(scene.items))
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            out.append(item)
        elif isinstance(item, Group):
            if item.frame is not None:
                out.append(_cluster(item, scene.height))
                waiting.append("}")
            waiting.extend(reversed(item.items))
        elif isinstance(item, Text):
            out.append(_text(item, scene.height))
        elif isinstance(item, Box):
            out.append(_box(item, scene.height))
        elif isinstance(item, Edge):
            out.extend(_edge(item, scene.height))
        else:
            out.append(_swatch(item, scene.height))
    return "\n".join(out) + "\n}\n"


def _place(x: float, y: float, height: float) -> str:
    return f"{x:.1f},{height - y:.1f}"  # DOT's y grows upwards


def _size(w: float, h: float) -> str:
    return f"width={w / 72:.4f}, height={h / 72:.4f}"  # inches


def _tip(title: str) -> str:
    # A tooltip's escapes are undone twice, a label's once (Graphviz 2.42 to 16).
    title = title.replace("\\", "\\\\")
    return f", tooltip={quoted(title)}" if title else ""


def _line(text: Text) -> str:
    """Return one line of words as the inside of an HTML-like label."""
    parts = []
    for words, style in text.runs:
        if not words:
            continue
        if style == "b":
            parts.append(f"<b>{marked(words)}</b>")
        elif style in ("sub", "sup"):
            glyphs = _SUB if style == "sub" else _SUP
            if all(ord(char) in glyphs for char in words):
                parts.append(words.translate(glyphs))
            else:  # a word such as "init"
                parts.append(f'<font point-size="{SMALL * text.size:.1f}"> '
                             f"{marked(words)}</font>")
        else:
            parts.append(marked(words))
    body = "".join(parts)
    return f'<font point-size="{text.size:.1f}" color="{text.fill}">{body}</font>' if body else ""


def _text(text: Text, height: float) -> str:
    w = 1.06 * text_width(text.runs, text.size) + 4  # room for another machine's Arial
    x, line = text.x, _line(text)
    if line and text.anchor != "middle":
        side, align = (1, "left") if text.anchor == "start" else (-1, "right")
        x += side * w / 2
        line = (f'<table border="0" cellborder="0" cellspacing="0" cellpadding="0" '
                f'width="{w:.0f}"><tr><td align="{align}">{line}</td></tr></table>')
    label = f"<{line}>" if line else '""'
    return (f'"{text.id}" [shape=none, label={label}, pos="{_place(x, text.y, height)}", '
            f"{_size(w, 1.3 * text.size)}{_tip(text.title)}];")


def _box(box: Box, height: float) -> str:
    lines = [line for line in map(_line, box.lines) if line]
    label = f"<{'<br/>'.join(lines)}>" if lines else '""'
    return (f'"{box.id}" [label={label}, style="rounded,filled", fillcolor="{box.fill}", '
            f'color="{box.stroke}", penwidth=1.3, pos="{_place(box.x, box.y, height)}", '
            f"{_size(box.w, box.h)}, class={quoted(box.role)}{_tip(box.title)}];")


def _swatch(item: Swatch, height: float) -> str:
    place = _place(item.x + item.w / 2, item.y + item.h / 2, height)
    return (f'"{item.id}" [style=filled, fillcolor="{item.fill}", penwidth=0, pos="{place}", '
            f"{_size(item.w, item.h)}{_tip(item.title)}];")


def _cluster(group: Group, height: float) -> str:
    assert group.frame is not None
    x, y, w, h = group.frame
    return (f'subgraph "cluster.{group.id}" {{\n'
            f'graph [bb="{_place(x, y + h, height)},{_place(x + w, y, height)}", '
            f'style="rounded,filled", fillcolor="{group.fill}", color="{group.stroke}"'
            f"{_tip(group.title)}];")


def _edge(edge: Edge, height: float) -> list[str]:
    """Return the edge, after invisible nodes for the ends that are in the open."""
    out, ends = [], []
    for name, end, place in ((edge.tail, "tail", edge.points[0]),
                             (edge.head, "head", edge.points[-1])):
        ends.append(name or f"{edge.id}.{end}")
        if not name:
            out.append(f'"{ends[-1]}" [shape=point, style=invis, '
                       f'pos="{_place(*place, height)}", {_size(0.7, 0.7)}];')
    points, join = list(edge.points), f'"{ends[0]}" -> "{ends[1]}"'
    if edge.arrow:
        # An edge of its own for the head: on a thick line `dot` outlines the arrowhead with the
        # line's pen, which makes it larger still, and where the tip lands depends on the version.
        base, tip, *_ = arrow_head(edge.points, edge.width)
        points[-1] = base
        size = ((tip[0] - base[0])**2 + (tip[1] - base[1])**2) ** 0.5 / 10
        pos = f"e,{_place(*tip, height)} " + " ".join([_place(*base, height)] * 4)
        out.append(f'{join} [class=head, pos="{pos}", color="{edge.colour}", penwidth=0, '
                   f"arrowhead=normal, arrowsize={size:.2f}];")
    path = points if edge.curved else _bezier(points)
    pos = " ".join(_place(x, y, height) for x, y in path)
    dash = ", style=dashed" if edge.dashed else ""
    out.append(f'{join} [pos="{pos}", color="{edge.colour}", penwidth={edge.width:.1f}'
               f"{dash}{_tip(edge.title)}];")
    return out


def _bezier(points: list[Point]) -> list[Point]:
    """Return straight pieces as cubic Beziers, the only curves DOT knows."""
    path = points[:1]
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        path += [(x0 + (x1 - x0) / 3, y0 + (y1 - y0) / 3),
                 (x1 - (x1 - x0) / 3, y1 - (y1 - y0) / 3), (x1, y1)]
    return path
