"""Scene -> SVG text. Pure Python, needs no program; parses as XML whatever the labels say.

Arrowheads are polygons of our own: SVG markers do not take the colour of the edge everywhere.
"""
from __future__ import annotations

import hashlib
import math
from xml.sax.saxutils import escape, quoteattr

from tinyseq.draw.scene import Box, Data, Edge, Group, Item, Point, Scene, Swatch, Text
from tinyseq.draw.text import SMALL, clean

FONT = "Arial, 'Liberation Sans', Helvetica, sans-serif"


def number(value: float) -> str:
    """Return a coordinate with one decimal, without a trailing `.0` or a negative zero."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def arrow_head(points: tuple[Point, ...], width: float) -> tuple[Point, Point, Point, Point]:
    """Return the head's base, tip and two corners, for an edge `width` wide.

    The head looks back along the last piece of the path; it never eats more than 80 % of it.
    """
    (x0, y0), (x1, y1) = points[-2], points[-1]
    run = math.hypot(x1 - x0, y1 - y0) or 1.0
    ux, uy = (x1 - x0) / run, (y1 - y0) / run
    length = min(6.5 + 1.8 * width, 0.8 * run)
    half = 0.4 * (6.5 + 1.8 * width)
    bx, by = x1 - ux * length, y1 - uy * length
    return (bx, by), (x1, y1), (bx - uy * half, by + ux * half), (bx + uy * half, by - ux * half)


def svg_text(scene: Scene, prefix: str = "") -> str:
    """Return the scene as one SVG element.

    `prefix` starts every id; by default a digest of the scene, so that several pictures can share
    one page. Example:
    >>> svg_text(Scene(20, 10, (), "empty"), prefix="p")[:44]
    '<svg xmlns="http://www.w3.org/2000/svg" id="'
    """
    if not prefix:
        body = repr(scene).encode("utf-8", "replace")
        prefix = "ts" + hashlib.sha256(body).hexdigest()[:8]
    w, h = number(scene.width), number(scene.height)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" id="{prefix}" width="{w}" height="{h}" '
           f'viewBox="0 0 {w} {h}" role="img" aria-label={_quoted(scene.title)} '
           f'font-family="{FONT}">',
           f"<title>{_escaped(scene.title)}</title>"]
    if scene.description:
        out.append(f"<desc>{_escaped(scene.description)}</desc>")
    out.append(f'<rect width="{w}" height="{h}" fill="#ffffff"/>')
    waiting: list[Item | str] = list(reversed(scene.items))
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            out.append(item)
        elif isinstance(item, Group):
            out.append(f'<g id="{prefix}-{item.id}">{_title(item.title)}{_frame(item)}')
            waiting.append("</g>")
            waiting.extend(reversed(item.items))
        else:
            out.append(_leaf(item, prefix))
    return "\n".join(out) + "\n</svg>\n"


def _leaf(item: Item, prefix: str) -> str:
    if isinstance(item, Text):
        return _text(item, f' id="{prefix}-{item.id}"')
    if isinstance(item, Box):
        shape, name = _box(item), item.role
    elif isinstance(item, Edge):
        shape, name = _edge(item), "edge"
    else:
        assert isinstance(item, Swatch)
        return (f'<rect id="{prefix}-{item.id}"{_data(item.data)} {_corner(item)} '
                f'fill="{item.fill}">{_title(item.title)}</rect>')
    return (f'<g id="{prefix}-{item.id}" class="{name}"{_data(item.data)}>'
            f"{_title(item.title)}{shape}</g>")


def _escaped(text: str) -> str:
    return escape(clean(text))


def _quoted(text: str) -> str:
    return quoteattr(clean(text))


def _title(text: str) -> str:
    return f"<title>{_escaped(text)}</title>" if text else ""


def _data(data: Data) -> str:
    return "".join(f" data-{name}={_quoted(value)}" for name, value in data)


def _corner(item: Swatch) -> str:
    # Two decimals: a thousand cells share one strip.
    x, w = f"{item.x:.2f}", f"{item.w:.2f}"
    return f'x="{x}" y="{number(item.y)}" width="{w}" height="{number(item.h)}"'


def _frame(group: Group) -> str:
    if group.frame is None:
        return ""
    x, y, w, h = map(number, group.frame)
    return (f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="10" fill="{group.fill}" '
            f'stroke="{group.stroke}"/>')


def _box(box: Box) -> str:
    rect = (f'<rect x="{number(box.x - box.w / 2)}" y="{number(box.y - box.h / 2)}" '
            f'width="{number(box.w)}" height="{number(box.h)}" rx="{number(box.radius)}" '
            f'fill="{box.fill}" stroke="{box.stroke}" stroke-width="1.3"/>')
    return rect + "".join(_text(line) for line in box.lines)


def _text(text: Text, attributes: str = "") -> str:
    halo = ' stroke="#ffffff" stroke-width="3" paint-order="stroke"' if text.halo else ""
    anchor = f' text-anchor="{text.anchor}"' if text.anchor != "start" else ""
    spans, shift = [], 0.0
    for words, style in text.runs:
        wanted = {"sub": 0.22, "sup": -0.36}.get(style, 0.0) * text.size
        parts = f' dy="{number(wanted - shift)}"' if wanted != shift else ""
        shift = wanted
        if style in ("sub", "sup"):
            parts += f' font-size="{number(SMALL * text.size)}"'
        elif style == "b":
            parts += ' font-weight="bold"'
        spans.append(f"<tspan{parts}>{_escaped(words)}</tspan>" if parts else _escaped(words))
    return (f'<text{attributes}{_data(text.data)} x="{number(text.x)}" '
            f'y="{number(text.y + 0.35 * text.size)}" font-size="{number(text.size)}" '
            f'fill="{text.fill}"{anchor}{halo}>{_title(text.title)}{"".join(spans)}</text>')


def _edge(edge: Edge) -> str:
    points = list(edge.points)
    head = ""
    if edge.arrow:
        points[-1], *corners = arrow_head(edge.points, edge.width)
        shape = " ".join(f"{number(x)},{number(y)}" for x, y in corners)
        head = f'<polygon points="{shape}" fill="{edge.colour}"/>'
    places = [f"{number(x)},{number(y)}" for x, y in points]
    letter = "C" if edge.curved else "L"
    dash = ' stroke-dasharray="5,4"' if edge.dashed else ""
    return (f'<path d="M{places[0]} {letter}{" ".join(places[1:])}" fill="none" '
            f'stroke="{edge.colour}" stroke-width="{number(edge.width)}"{dash} '
            f'stroke-linejoin="round"/>{head}')
