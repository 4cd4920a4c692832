"""Colours with a meaning, and the scale from gradient norms to colour and line width.

The ramp darkens all the way, so it survives grey print; the chart palette is Okabe and Ito's
order of hues, told apart by colour-blind eyes as well.
"""
from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

# role: (fill, outline)
ROLES = {
    "cell": ("#f3eefc", "#7e57c2"), "input": ("#e7f0fa", "#5b8db8"),
    "output": ("#e8f5e9", "#43a047"), "loss": ("#fde7e7", "#c62828"),
    "state": ("#efefef", "#8c8c8c"),
}
SERIES = ("#0072b2", "#d55e00", "#009e73", "#a64d84", "#b07d00", "#3a3a3a", "#3f9fd8")
INK, GREY, PALE, RULE = "#222222", "#666666", "#9aa0a6", "#e6e6e6"
LABEL, CUT, STRANGE = "#8a3b12", "#d32f2f", "#c2189b"
NOTHING = "#cbc7c2"  # a gradient that is zero or absent
BLANK = "#f4f4f4"    # the same in a strip
THIN, THICK = 0.7, 6.0

_RAMP = ((0.0, "#dcd3c6"), (0.18, "#f3c98b"), (0.38, "#fdaa66"), (0.55, "#f57f50"),
         (0.74, "#d9301f"), (0.88, "#a50f15"), (1.0, "#67000d"))
_COOL_WARM = ((0.0, "#2166ac"), (0.25, "#92c5de"), (0.5, "#f7f7f7"), (0.75, "#f4a582"),
              (1.0, "#b2182b"))
_LIGHT_DARK = ((0.0, "#f7fbff"), (0.35, "#b7d4ea"), (0.65, "#5ba3cf"), (1.0, "#08306b"))
STRIPS = {"gate": _LIGHT_DARK, "signed": _COOL_WARM, "gradient": _RAMP}


def ramp(share: float, stops: tuple[tuple[float, str], ...] = _RAMP) -> str:
    """Return the colour at `share` (0 to 1) of a ramp.

    Example:
    >>> ramp(0.0), ramp(1.0)
    ('#dcd3c6', '#67000d')
    """
    share = min(max(share, 0.0), 1.0)
    for (low, start), (high, end) in zip(stops, stops[1:]):
        if share <= high:
            part = (share - low) / (high - low)
            mixed = (round(int(start[i:i + 2], 16) * (1 - part) + int(end[i:i + 2], 16) * part)
                     for i in (1, 3, 5))
            return "#" + "".join(f"{channel:02x}" for channel in mixed)
    return stops[-1][1]


@dataclass(frozen=True)
class Scale:
    """A log scale of whole decades, from 10**low to 10**high."""
    low: int
    high: int

    @classmethod
    def of(cls, norms: Iterable[float | None]) -> Scale | None:
        """Return the scale of some norms, at least 4 decades; None when none is above zero.

        With the data's own range a spread from 0.08 to 0.6 would look like a vanished gradient.
        """
        logs = [math.log10(n) for n in norms if n is not None and 0 < n < math.inf]
        if not logs:
            return None
        high = math.ceil(max(logs))
        return cls(min(math.floor(min(logs)), high - 4), high)

    def share(self, norm: float) -> float:
        """Return where a positive norm lies, 0 to 1."""
        return (math.log10(norm) - self.low) / (self.high - self.low)


def stroke(norm: float | None, scale: Scale | None) -> tuple[str, float]:
    """Return colour and width of a line that carries a gradient of this norm."""
    if norm is not None and not math.isfinite(norm):
        return STRANGE, 3.0
    if not norm or scale is None:
        return NOTHING, THIN
    share = scale.share(norm)
    return ramp(share), THIN + (THICK - THIN) * min(max(share, 0.0), 1.0)


def swatch_colour(norm: float | None, scale: Scale | None) -> str:
    """Return the colour of a strip's cell for this norm."""
    if norm is None or norm == 0:
        return BLANK
    return stroke(norm, scale)[0]
