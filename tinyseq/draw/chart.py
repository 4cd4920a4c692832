"""Small honest charts: lines over linear or log axes, shares with their running sum, heat strips.

What cannot be drawn (a nan, a zero on a log axis) leaves a gap or says so; it never moves.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tinyseq.draw.axes import APART, Axes, Span, keep_apart, leader, tick_room
from tinyseq.draw.colours import BLANK, GREY, INK, SERIES, STRIPS, ramp
from tinyseq.draw.heat import LAP
from tinyseq.draw.scene import Edge, Group, Item, Point, Scene, Swatch, Text
from tinyseq.draw.text import bold, clip, plain, short, text_width

MARGIN = 20.0
TITLE_MOST = 900.0   # a heat strip is as wide as its title, up to here
LABELS_MOST = 230.0  # the label column is never wider
STRIP_WIDTH = 80     # columns of a heat strip; more go on to a next block
CELL_H = 20.0
DOT = 4.4            # side of the mark of a single point
MARKS_BELOW = 26     # shorter series show their points


@dataclass(frozen=True)
class Series:
    """One curve of a line chart; colour "" takes the next of the palette.

    Shapes: xs and ys of one length; a ys that is None, nan, inf (or <= 0 on a log axis) is a gap.
    """
    name: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    colour: str = ""
    dashed: bool = False

    def __post_init__(self) -> None:
        if len(self.xs) != len(self.ys):
            raise ValueError(f"series {self.name!r}: {len(self.xs)} xs and {len(self.ys)} ys, "
                             "expected as many of one as of the other")


@dataclass(frozen=True)
class _Label:
    """What stands in the column at the right, and the point of the plot it belongs to."""
    text: str
    at: Point
    colour: str


def line_chart(title: str, series: Sequence[Series], x_label: str, y_label: str,
               log_y: bool = False, references: Sequence[tuple[str, float]] = (), *,
               width: float = 660.0, height: float = 380.0) -> Scene:
    """Return a chart of some curves, each named at its end, over horizontal reference lines.

    Example:
    >>> chart = line_chart("loss", [Series("LSTM", [0, 1], [2.0, 1.0])], "step", "nats")
    >>> chart.title, chart.width
    ('loss', 660.0)
    """
    log = Span(0, 1, 1, log_y)
    points = [(x, y) for s in series for x, y in zip(s.xs, s.ys)
              if y is not None and log.shows(y) and math.isfinite(x)]
    y_span = Span.of([y for _, y in points] + [v for _, v in references if log.shows(v)], log_y)
    x_span = Span.tight([x for x, _ in points])
    colours = [s.colour or SERIES[i % len(SERIES)] for i, s in enumerate(series)]
    names = [_series_label(s, log) for s in series] + [
        _reference_label(name, value, log) for name, value in references]
    axes = _axes(names, x_span, y_span, width, height)
    items = [_title(title, width), *axes.frame(x_label, y_label)]
    labels = []
    for i, (name, value) in enumerate(references):
        line, label = _reference(axes, i, name, value)
        items += line
        labels.append(label)
    for i, (one, colour) in enumerate(zip(series, colours)):
        group, label = _curve(axes, i, one, colour)
        items.append(group)
        labels.append(label)
    items += _label_column(axes, labels)
    if not points:
        items.append(Text("empty", *axes.place(_middle(x_span), _middle(y_span)),
                          plain("nothing to draw"), 13, GREY))
    return Scene(width, axes.bottom + 58, tuple(items), title,
                 f"{y_label} over {x_label}: " + ", ".join(names))


def _series_label(series: Series, span: Span) -> str:
    drawn = any(y is not None and span.shows(y) for y in series.ys)
    return series.name if drawn else f"{series.name}: nothing to draw"


def _reference_label(name: str, value: float, span: Span) -> str:
    return name if span.shows(value) else f"{name}: {short(value)}, off this axis"


def _middle(span: Span) -> float:
    middle = (span.low + span.high) / 2
    return 10.0 ** middle if span.log else middle


def _title(title: str, width: float) -> Text:
    return Text("title", MARGIN, 28, clip(title, width - 2 * MARGIN, 17, "b"), 17,
                anchor="start", title=title)


def _axes(names: Sequence[str], x: Span, y: Span, width: float, height: float) -> Axes:
    room = min(LABELS_MOST, max((text_width(name, 12) for name in names), default=0))
    left = MARGIN + tick_room(y) + 10
    # Tall enough that every label has a place of its own.
    tall = max(height - 82 - 58, APART * len(names))
    return Axes(left, 82, width - left - room - 18 - MARGIN, tall, x, y)


def _curve(axes: Axes, index: int, series: Series, colour: str) -> tuple[Group, _Label]:
    """Return a series as pieces between its gaps, and its label at the last point."""
    pieces: list[list[Point]] = [[]]
    marks: list[Item] = []
    few = len(series.xs) < MARKS_BELOW
    for k, (x, y) in enumerate(zip(series.xs, series.ys)):
        if y is None or not axes.y.shows(y) or not math.isfinite(x):
            pieces.append([])
            continue
        place = axes.place(x, y)
        pieces[-1].append(place)
        if few:
            marks.append(_mark(f"series{index}.point{k}", place, colour,
                               f"{series.name}: x = {x:g}, y = {y:.6g}", (x, y)))
    items: list[Item] = []
    drawn = [piece for piece in pieces if piece]
    for k, piece in enumerate(drawn):
        if len(piece) > 1:
            items.append(Edge(f"series{index}.piece{k}", tuple(piece), colour, 2.0, arrow=False,
                              dashed=series.dashed, title=series.name))
        elif not few:
            items.append(_mark(f"series{index}.single{k}", piece[0], colour, series.name))
    end = drawn[-1][-1] if drawn else (axes.left + axes.width, axes.bottom)
    label = _Label(_series_label(series, axes.y), end, colour)
    return Group(f"series{index}", (*items, *marks), title=series.name), label


def _mark(name: str, at: Point, colour: str, title: str,
          value: tuple[float, float] | None = None) -> Swatch:
    data = () if value is None else tuple((axis, repr(float(v))) for axis, v in zip("xy", value))
    return Swatch(name, at[0] - DOT / 2, at[1] - DOT / 2, DOT, DOT, colour, title, data)


def _reference(axes: Axes, index: int, name: str, value: float) -> tuple[list[Item], _Label]:
    """Return a dashed line across the plot and its label."""
    end, label = axes.left + axes.width, _reference_label(name, value, axes.y)
    if not axes.y.shows(value):
        return [], _Label(label, (end, axes.bottom), GREY)
    y = axes.bottom - axes.height * axes.y.share(value)
    return [Edge(f"reference{index}", ((axes.left, y), (end, y)), "#777777", 1.1, arrow=False,
                 dashed=True, title=f"{name}: {value:.6g}",
                 data=(("y", repr(float(value))),))], _Label(label, (end, y), "#555555")


def _label_column(axes: Axes, labels: Sequence[_Label]) -> list[Item]:
    heights = keep_apart([label.at[1] for label in labels], axes.top, axes.bottom)
    x = axes.left + axes.width + 14
    items: list[Item] = []
    for i, (label, y) in enumerate(zip(labels, heights)):
        items += leader(f"label{i}.leader", label.at, (x - 4, y), label.colour)
        items.append(Text(f"label{i}", x, y, clip(label.text, LABELS_MOST, 12), 12, label.colour,
                          "start", halo=True, title=label.text))
    return items


def share_chart(title: str, shares: Sequence[float], cumulative: Sequence[float],
                x_label: str, *, width: float = 660.0, height: float = 340.0) -> Scene:
    """Return bars of shares (0 to 1) and the line of their running sum, over positions 0, 1 ...

    Errors: ValueError when the two differ in length.
    """
    if len(shares) != len(cumulative):
        raise ValueError(f"share chart: {len(shares)} shares and {len(cumulative)} cumulative "
                         "values, expected as many of one as of the other")
    count = max(len(shares), 1)
    finite = [v for v in (*shares, *cumulative) if math.isfinite(v)]
    y_span = Span.of([0.0, 1.0, *finite])
    x_span = Span(-0.5, count - 0.5, max(1.0, Span.tight([0, count]).step))
    names = ["running sum", "each share"]
    axes = _axes(names, x_span, y_span, width, height)
    items = [_title(title, width), *axes.frame(x_label, "share")]
    bar = axes.width / count * (0.8 if count < 200 else 1.0)
    for k, share in enumerate(shares):
        if math.isfinite(share):
            (x, y), zero = axes.place(k, share), axes.place(k, 0.0)[1]
            items.append(Swatch(f"bar{k}", x - bar / 2, min(y, zero), bar, abs(zero - y),
                                "#7fb3d9", f"{k}: {share:.4g}", (("share", repr(float(share))),)))
    line = Series(names[0], range(len(cumulative)), cumulative, SERIES[1])
    group, label = _curve(axes, 0, line, SERIES[1])
    last = next((s for s in reversed(shares) if math.isfinite(s)), 0.0)
    items += [group, *_label_column(axes, [label, _Label(
        names[1], (axes.left + axes.width, axes.place(0, last)[1]), SERIES[0])])]
    return Scene(width, axes.bottom + 58, tuple(items), title,
                 f"shares over {x_label}, with their running sum")


def heat_strip(title: str, rows: dict[str, Sequence[float | None]], columns: Sequence[str],
               lo: float, hi: float, colours: str = "gate", *, labels: float = 120.0) -> Scene:
    """Return a row of coloured cells per name, over columns such as the characters of a text.

    `colours` is "gate" (light to dark), "signed" (blue, white, red) or "gradient". A value that
    is None or not finite leaves its cell blank; one beyond lo or hi takes the colour of that end.
    `labels` is the most room that the rows' names get.
    Errors: ValueError for a row of another length, other colours, or lo not below hi.
    """
    if colours not in STRIPS:
        raise ValueError(f"heat strip colours {colours!r}: expected one of {', '.join(STRIPS)}")
    if not lo < hi:
        raise ValueError(f"heat strip from lo={lo} to hi={hi}: expected lo below hi")
    for name, values in rows.items():
        if len(values) != len(columns):
            raise ValueError(f"heat strip row {name!r} has {len(values)} values, expected "
                             f"{len(columns)}, one per column")
    left = MARGIN + min(labels, max((text_width(name, 12) for name in rows), default=0)) + 10
    widest = max((text_width(_visible(c), 11) for c in columns), default=0)
    cell = min(46.0, max(11.5, widest + 5))
    width = max(left + cell * min(len(columns), STRIP_WIDTH) + MARGIN, 420.0,
                min(TITLE_MOST, text_width(bold(title), 17) + 2 * MARGIN))
    items: list[Item] = [_title(title, width)]
    y = 58.0
    for first in range(0, len(columns), STRIP_WIDTH):
        items.append(_strip_block(rows, columns, first, (left, y, cell), (lo, hi), colours))
        y += len(rows) * (CELL_H + 2) + 36
    items += _strip_key(left, y + 4, (lo, hi), colours)
    return Scene(width, y + 44, tuple(items), title,
                 f"{len(rows)} rows of {len(columns)} cells: " + ", ".join(rows))


def _strip_block(rows: dict[str, Sequence[float | None]], columns: Sequence[str], first: int,
                 place: tuple[float, float, float], span: tuple[float, float],
                 colours: str) -> Group:
    """Return up to 80 columns of every row, the columns' names under them."""
    (left, y, cell), (lo, hi) = place, span
    here = range(first, min(first + STRIP_WIDTH, len(columns)))
    items: list[Item] = []
    for r, (name, values) in enumerate(rows.items()):
        items.append(Text(f"row{r}.from{first}", left - 8, y + CELL_H / 2,
                          clip(name, left - MARGIN - 10, 12), 12, INK, "end", title=name))
        for k in here:
            value = values[k]
            colour = BLANK if value is None or not math.isfinite(value) else ramp(
                (value - lo) / (hi - lo), STRIPS[colours])
            items.append(Swatch(f"row{r}.k{k}", left + (k - first) * cell, y,
                                cell + (LAP if k + 1 < here.stop else 0), CELL_H, colour,
                                f"{name}, {k} {_visible(columns[k])}: {short(value) or 'none'}",
                                () if value is None else (("value", repr(float(value))),)))
        y += CELL_H + 2
    items += [Text(f"column{k}", left + (k - first + 0.5) * cell, y + 9,
                   clip(_visible(columns[k]), cell + 2, 11), 11, INK) for k in here]
    return Group(f"block{first}", tuple(items))


def _visible(column: str) -> str:
    """Return a column's name with white space made visible: · for a blank, ¶ for a new line."""
    shown = column.translate({32: "·", 10: "¶", 9: "→", 13: "¶"})
    return "".join(char if char.isprintable() else "?" for char in shown)


def _strip_key(left: float, y: float, span: tuple[float, float], colours: str) -> list[Item]:
    parts, wide = 40, 160.0
    items: list[Item] = [
        Swatch(f"key.k{k}", left + 40 + wide * k / parts, y,
               wide / parts + (LAP if k + 1 < parts else 0), 10,
               ramp((k + 0.5) / parts, STRIPS[colours])) for k in range(parts)]
    low, high = plain(short(span[0])), plain(short(span[1]))
    return [*items, Text("key.low", left + 32, y + 5, low, 11.5, GREY, "end"),
            Text("key.high", left + 48 + wide, y + 5, high, 11.5, GREY, "start")]
