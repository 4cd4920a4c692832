"""Strips of coloured cells over time, their ticks, and the legend of the gradient scale."""
from __future__ import annotations

import math
from collections.abc import Sequence

from tinyseq.draw.colours import (CUT, GREY, INK, NOTHING, PALE, STRANGE, THICK, THIN, Scale,
                                  ramp, swatch_colour)
from tinyseq.draw.scene import Edge, Group, Item, Swatch, Text, norm_data
from tinyseq.draw.text import Runs, plain, power_of_ten, short, text_width

MOST_CELLS = 1_000  # of one strip; a longer sequence is binned by its maximum
STRIP_H = 18.0
LAP = 1.0           # a cell reaches this far under the next one, so that no seam shows between
LEGEND_W = 210.0
CAPTION = "line colour and width: gradient norm ‖∂L/∂·‖ (log scale)"
CAPTION_W = text_width(CAPTION, 12)


def nice_step(span: float, most: int) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that cuts `span` into <= `most` parts.

    Example:
    >>> nice_step(100, 10), nice_step(99, 5), nice_step(0.3, 4)
    (10.0, 20.0, 0.1)
    """
    size = 10.0 ** math.floor(math.log10(span / most))
    for factor in (1, 2, 5, 10):
        if span / (factor * size) <= most * (1 + 1e-9):
            break
    return float(f"{factor * size:.12g}")


def largest(values: Sequence[float | None]) -> float | None:
    """Return the largest norm of a bin: anything not finite wins, None loses."""
    present = [float(v) for v in values if v is not None]
    strange = [v for v in present if not math.isfinite(v)]
    return strange[0] if strange else max(present, default=None)


def norm_strip(name: str, label: Runs, norms: Sequence[float | None], left: float, top: float,
               width: float, scale: Scale | None) -> list[Item]:
    """Return one row of cells, a cell per norm, or per bin when there are more than 1,000."""
    total = len(norms)
    count = min(total, MOST_CELLS)
    items: list[Item] = [Text(f"{name}.label", left - 10, top + STRIP_H / 2, label, 11.5, GREY,
                              "end")]
    for k in range(count):
        first, end = k * total // count, (k + 1) * total // count
        norm = largest(norms[first:end])
        when = f"t = {first}" if end == first + 1 else f"t = {first} to {end - 1}, largest"
        items.append(Swatch(f"{name}.k{k}", left + width * k / count, top,
                            width / count + (LAP if k + 1 < count else 0), STRIP_H,
                            swatch_colour(norm, scale), f"{when}: {short(norm) or 'none'}",
                            norm_data(norm)))
    return items


def step_ticks(name: str, total: int, left: float, y: float, width: float) -> list[Item]:
    """Return the numbers of the steps under a strip: nice ones, and always the last."""
    step = max(1, int(nice_step(total, max(2, int(width // 90)))))
    room = 26 + 7 * len(str(total))
    ticks = [t for t in range(0, total - 1, step)
             if t == 0 or (total - 1 - t) * width / total > room] + [total - 1]
    return [Text(f"{name}.{i}", left + width * (t + 0.5) / total, y,
                 plain(f"t = {t}" if t == 0 else str(t)), 11.5, GREY)
            for i, t in enumerate(ticks)]


def strips(lanes: dict[str, list[float | None]], cuts: frozenset[int], left: float, top: float,
           width: float, scale: Scale | None) -> tuple[Group, float]:
    """Return a strip per lane with all steps' norms, the cuts as red ticks, and where it ends."""
    items: list[Item] = []
    y, total = top, 0
    for i, (lane, norms) in enumerate(lanes.items()):
        label = (("‖∂L/∂" + lane, ""), ("t", "sub"), ("‖", ""))
        items += norm_strip(f"strip{i}", label, norms[1:], left, y, width, scale)
        y, total = y + STRIP_H + 4, len(norms) - 1
    # Cuts closer than the strip's own cells cannot be told apart: one tick each cell.
    for k in sorted({cut * min(total, MOST_CELLS) // total for cut in cuts}):
        x = left + width * k / min(total, MOST_CELLS)
        items.append(Swatch(f"strip.cut{k}", x - 0.6, top - 4, 1.2, y - top + 4, CUT, "cut"))
    items += step_ticks("strip.tick", total, left, y + 8, width)
    y += 26
    if total > MOST_CELLS:
        most = math.ceil(total / MOST_CELLS)
        items.append(Text("strip.note", left, y + 4, plain(
            f"each cell of the strip: the largest norm of {most} steps"
            if total % MOST_CELLS == 0 else
            f"each cell of the strip: the largest norm of {most - 1} or {most} steps"),
            11.5, GREY, "start"))
        y += 18
    return Group("strips", tuple(items), title="gradient norm of every step"), y


def legend(left: float, top: float, scale: Scale | None, keys: Sequence[str],
           room: float) -> tuple[Group, float]:
    """Return the legend of colour and width, with a sample line per key, and where it ends.

    `keys` are of "none", "strange", "dead", "forward"; they stand beside the bar when `room`
    (the width left of the picture) allows, else below it.
    """
    items: list[Item] = []
    y = top
    if scale is None:
        items.append(Text("legend.caption", left, y, plain(
            "no gradient above zero: backward has not run, or did not get here"), 12, GREY,
            "start"))
        y += 20
    else:
        items += _bar(left, y, scale)
    wide = scale is not None and room > CAPTION_W + 280
    x, line = (left + CAPTION_W + 40, top) if wide else (left, y + (60 if scale else 0))
    for key in keys:
        items += _key(key, x, line)
        line += 19
    bottom = max(line, y + (48 if scale else 0))
    return Group("legend", tuple(items), title="legend"), bottom


def _bar(left: float, y: float, scale: Scale) -> list[Item]:
    items: list[Item] = [Text("legend.caption", left, y, plain(CAPTION), 12, GREY, "start")]
    parts = 42
    for k in range(parts):
        share = (k + 0.5) / parts
        high = 1.2 + (THIN + (THICK - THIN) * share) * 1.4
        items.append(Swatch(f"legend.k{k}", left + LEGEND_W * k / parts, y + 18 - high / 2,
                            LEGEND_W / parts + (LAP if k + 1 < parts else 0), high, ramp(share)))
    decades = scale.high - scale.low
    step = next(s for s in (1, 2, 5, 10, 20, 25, 50, 100, 200, 400) if decades / s <= 5)
    for i, exponent in enumerate(range(scale.high, scale.low - 1, -step)):
        x = left + LEGEND_W * (exponent - scale.low) / decades
        items.append(Text(f"legend.tick{i}", x, y + 38, power_of_ten(exponent), 12, INK))
    return items


_KEYS = {"none": "no gradient, or exactly zero", "strange": "not finite: nan or inf",
         "dead": "cut: the gradient stops here", "forward": "forward: values, no gradient"}


def _key(key: str, x: float, y: float) -> list[Item]:
    colour, width = {"none": (NOTHING, THIN), "strange": (STRANGE, 3.0), "dead": (PALE, 1.3),
                     "forward": (PALE, 1.3)}[key]
    items: list[Item] = [Edge(f"legend.{key}", ((x, y), (x + 34, y)), colour, width,
                              dashed=key == "dead")]
    if key == "dead":
        items.append(Edge("legend.cut", ((x + 15, y - 8), (x + 15, y + 8)), CUT, 1.8,
                          arrow=False, dashed=True))
    items.append(Text(f"legend.{key}.words", x + 44, y, plain(_KEYS[key]), 12, GREY, "start"))
    return items
