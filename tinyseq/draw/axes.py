"""The frame of a chart: two ranges, nice ticks, faint grid lines, labels that keep apart."""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tinyseq.draw.colours import GREY, INK, PALE, RULE
from tinyseq.draw.heat import nice_step
from tinyseq.draw.scene import Edge, Item, Swatch, Text
from tinyseq.draw.text import MINUS, Runs, clip, plain, power_of_ten, short, text_width

APART = 15.0       # between two labels in one column
HUGE = 4e307       # ranges are clamped here, so that no difference overflows
MOST_TICKS = 6


@dataclass(frozen=True)
class Span:
    """A range of data and its ticks; with `log`, low and high are exponents of ten."""
    low: float
    high: float
    step: float
    log: bool = False

    @classmethod
    def of(cls, values: Iterable[float], log: bool = False) -> Span:
        """Return the smallest span of whole steps (or whole decades) that holds `values`."""
        held = [math.log10(v) if log else min(max(float(v), -HUGE), HUGE) for v in values]
        low, high = min(held, default=0.0), max(held, default=1.0)
        if high - low <= 1e-9 * max(abs(low), abs(high), 1e-300):
            pad = 1.0 if log else abs(low) / 10 or 1.0
            low, high = low - pad, high + pad
        if log:
            low, high = math.floor(low), max(math.ceil(high), math.floor(low) + 1)
            step = float(max(1, math.ceil(nice_step(high - low, MOST_TICKS))))
            return cls(low, high, step, True)
        step = nice_step(high - low, MOST_TICKS)
        return cls(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step,
                   step)

    @classmethod
    def tight(cls, values: Iterable[float]) -> Span:
        """Return a span that ends where the values end, for the horizontal axis."""
        held = [min(max(float(v), -HUGE), HUGE) for v in values]
        low, high = min(held, default=0.0), max(held, default=1.0)
        if high <= low:
            low, high = low - 0.5, high + 0.5
        return cls(low, high, nice_step(high - low, MOST_TICKS))

    def shows(self, value: float | None) -> bool:
        """Return whether a value can stand on this axis: finite, and above zero on a log one."""
        return value is not None and math.isfinite(value) and (not self.log or value > 0)

    def share(self, value: float) -> float:
        """Return where `value` lies, 0 at the low end and 1 at the high end."""
        held = math.log10(value) if self.log else min(max(float(value), -HUGE), HUGE)
        return (held - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, Runs]]:
        """Return the ticks as (share, label), low to high."""
        first = math.ceil(self.low / self.step - 1e-9)
        last = math.floor(self.high / self.step + 1e-9)
        places = [k * self.step for k in range(first, last + 1)]
        return [((p - self.low) / (self.high - self.low),
                 power_of_ten(round(p)) if self.log else plain(tick_label(p, self.step)))
                for p in places]


def tick_label(value: float, step: float) -> str:
    """Return a tick's number with the decimals that its step needs.

    Example:
    >>> tick_label(0.30000000000000004, 0.1), tick_label(20.0, 10.0), tick_label(3e-9, 1e-9)
    ('0.3', '20', '3e−9')
    """
    if not 1e-5 < step < 1e6:
        return short(value)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value + 0.0:,.{decimals}f}".replace("-", MINUS)


@dataclass(frozen=True)
class Axes:
    """A plot's rectangle and its two spans."""
    left: float
    top: float
    width: float
    height: float
    x: Span
    y: Span

    @property
    def bottom(self) -> float:
        """Return the y of the horizontal axis."""
        return self.top + self.height

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a data point stands on the page."""
        return (self.left + self.width * self.x.share(x),
                self.bottom - self.height * self.y.share(y))

    def frame(self, x_label: str, y_label: str) -> list[Item]:
        """Return grid lines, ticks and the names of the axes."""
        items: list[Item] = []
        for i, (share, words) in enumerate(self.y.ticks()):
            y = self.bottom - self.height * share
            items += [Swatch(f"grid.y{i}", self.left, y - 0.4, self.width, 0.8, RULE),
                      Text(f"tick.y{i}", self.left - 8, y, words, 11.5, GREY, "end")]
        for i, (share, words) in enumerate(self.x.ticks()):
            x = self.left + self.width * share
            items += [Swatch(f"mark.x{i}", x - 0.4, self.bottom, 0.8, 5, PALE),
                      Text(f"tick.x{i}", x, self.bottom + 15, words, 11.5, GREY)]
        items += [Swatch("axis.x", self.left, self.bottom - 0.5, self.width, 1.0, PALE),
                  Text("label.x", self.left + self.width / 2, self.bottom + 36,
                       clip(x_label, self.width, 12.5), 12.5, INK, title=x_label),
                  Text("label.y", 20, self.top - 18, clip(y_label, self.width, 12.5), 12.5, INK,
                       "start", title=y_label)]
        return items


def tick_room(span: Span) -> float:
    """Return how wide the column of a vertical axis' numbers is."""
    return max((text_width(words, 11.5) for _, words in span.ticks()), default=0.0)


def keep_apart(wanted: Sequence[float], low: float, high: float) -> list[float]:
    """Return heights at least 15 points apart, as near as may be to those wanted.

    Example:
    >>> keep_apart([50.0, 52.0, 10.0], 0.0, 100.0)
    [43.5, 58.5, 10.0]
    """
    blocks: list[list[int]] = []
    centres: list[float] = []
    for i in sorted(range(len(wanted)), key=lambda i: (wanted[i], i)):
        blocks.append([i])
        centres.append(_held(wanted[i], low, high, 1))
        # Blocks that touch become one, around the mean of what its members wanted.
        while len(blocks) > 1 and (centres[-1] - centres[-2]
                                   < APART * (len(blocks[-1]) + len(blocks[-2])) / 2 - 1e-9):
            last = blocks.pop()
            blocks[-1] += last
            centres.pop()
            mean = sum(wanted[j] for j in blocks[-1]) / len(blocks[-1])
            centres[-1] = _held(mean, low, high, len(blocks[-1]))
    placed = [0.0] * len(wanted)
    for block, centre in zip(blocks, centres):
        for k, i in enumerate(block):
            placed[i] = centre + APART * (k - (len(block) - 1) / 2)
    return placed


def _held(centre: float, low: float, high: float, count: int) -> float:
    half = APART * (count - 1) / 2
    return max(min(centre, high - half), low + half)


def leader(name: str, start: tuple[float, float], end: tuple[float, float],
           colour: str) -> list[Item]:
    """Return a thin line from a curve's end to its label, when the two stand apart."""
    if abs(start[0] - end[0]) < 14 and abs(start[1] - end[1]) < 4:
        return []
    return [Edge(name, (start, end), colour, 0.7, arrow=False)]
