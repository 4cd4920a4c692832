"""Parts of a trial measured and compared: one row of the report for each."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyseq.errors import GradcheckError, NondifferentiableError
from tinyseq.gradcheck.methods import Ask, Slopes, powers
from tinyseq.gradcheck.parts import Part
from tinyseq.gradcheck.outcome import Row
from tinyseq.gradcheck.trial import Trial

SHRINK = (1.0, 2.0 ** -4, 2.0 ** -8)  # steps, relative to two points' own, to look for a kink with


class Found:
    """What was measured of one part, beside what backward says."""

    def __init__(self, trial: Trial, part: Part, ask: Ask, slopes: Slopes) -> None:
        self.part, self.ask, self.slopes = part, ask, slopes
        self.analytic = ask.along(part.gradient)
        self.numeric = slopes.slope
        self.allowed = trial.allowed(slopes.slope, slopes.size, slopes.rounding)
        self.floor = trial.rule.atol + trial.noise * slopes.size + slopes.rounding

    def wrong(self) -> np.ndarray:
        """Which directions fail."""
        return ~(np.abs(self.analytic - self.numeric) <= self.allowed)

    def odd(self) -> np.ndarray:
        """Which directions a closer look may change: those that bend, and the wrong ones, unless
        by more than what the bend and the gap of two estimates leave room for."""
        slopes, gap = self.slopes, np.abs(self.analytic - self.numeric)
        seen = 100 * (slopes.bend + slopes.spread + slopes.rounding) + 1e-3 * slopes.size
        return (self.wrong() & ~(gap > seen)) | (
            slopes.bend > 1e-2 * slopes.size + slopes.rounding)


def compare(trial: Trial, parts: Sequence[Part]) -> None:
    """Measure the parts and note a row of the report for each; errors as `measured`."""
    for one in measured(trial, parts):
        note(trial, one)


def measured(trial: Trial, parts: Sequence[Part]) -> list[Found]:
    """What is measured along every element of the parts (or some directions of them).

    Errors: GradcheckError where a derivative is not finite; NondifferentiableError at a kink.
    """
    for part in parts:
        if not np.isfinite(part.gradient if part.at is None else part.gradient[part.at]).all():
            flat = int(np.argmax(~np.isfinite(part.gradient)))
            at = part._replace(at=None, directions=0).called(trial, flat)
            raise GradcheckError(f"{part.name} at {at}: the analytic gradient is not finite")
    asks = [part.ask(trial) for part in parts]
    found = [Found(trial, *three) for three in zip(parts, asks, trial.meter.measure(asks))]
    if len(trial.meter.method.offsets) > 1:
        settle(trial, found)
    for one in found:
        if not np.isfinite(one.numeric).all():
            k = int(np.argmax(~np.isfinite(one.numeric)))
            raise GradcheckError(f"{one.part.name} at {one.part.called(trial, k)}: the numeric "
                                 f"derivative is not finite (h = {one.ask.steps[k]:.1e})")
    return found


def settle(trial: Trial, found: Sequence[Found]) -> None:
    """Look closer where a difference disagrees or a curve bends, with three shorter steps.

    At a kink the slopes on its two sides stay apart by as much however short the step: refused.
    Where a kink or an edge lies beside the point, or the curve is steep, a shorter step knows
    better; where rounding is large, a longer one. Each estimate says how far it can be off.
    """
    odd = [(one, rows) for one in found if (rows := np.flatnonzero(one.odd())).size]
    asks = [[closer(trial, one, rows, share) for one, rows in odd] for share in SHRINK]
    around = trial.meter.around([ask for level in asks for ask in level])
    for k, (one, rows) in enumerate(odd):
        levels = around[k::len(odd)]
        slopes = np.array([slopes for slopes, _ in levels])            # (levels, rows, 4)
        steps = np.array([level[k].steps for level in asks])           # (levels, rows)
        kinks = kinked(slopes)
        if kinks.any():
            at, losses = int(np.argmax(kinks)), levels[0][1]
            raise NondifferentiableError(
                f"{one.part.name} at {one.part.called(trial, int(rows[at]))}: the function has a "
                "kink there, so its derivative is only a convention; the five values around it "
                f"are {[f'{v:.9g}' for v in losses[at]]}")
        replace(trial, one, rows, slopes, steps)


def closer(trial: Trial, one: Found, rows: np.ndarray, share: float) -> Ask:
    """Some directions again, with a step that is that share of two points' usual one."""
    steps = one.ask.steps[rows]
    usual = powers(1e-5 * np.maximum(1.0, steps / trial.meter.method.eps))
    return one.ask.some(rows)._replace(steps=share * np.minimum(steps, usual))


def kinked(slopes: np.ndarray) -> np.ndarray:
    """Which rows have a bend in the middle, and nowhere else, that is the same at every step."""
    first, bend, last = np.moveaxis(np.abs(np.diff(slopes, axis=2)), 2, 0)
    inside = bend > 1e-3 * np.abs(slopes[0]).max(1)
    alone = first + last <= 0.2 * bend
    with np.errstate(all="ignore"):
        same = bend[1:] / bend[:-1]
    return inside.all(0) & alone[:2].all(0) & ((same > 0.45) & (same < 2.2)).all(0)


def replace(trial: Trial, one: Found, rows: np.ndarray, slopes: np.ndarray,
            steps: np.ndarray) -> None:
    """Take the estimate of the step that can be off least, where the long step's disagrees."""
    noise = np.ptp(slopes[-1], axis=1) * steps[-1] / steps             # (levels, rows)
    noise += one.slopes.rounding[rows] * one.ask.steps[rows] / steps
    middle = slopes[..., 1:3].mean(2)
    change = np.abs(np.diff(middle, axis=0))  # a step 16 times shorter: truncation is 256th
    bend = np.abs(slopes[..., 2] - slopes[..., 1])
    stays = bend > 0.4 * np.concatenate([bend[:1], bend[:-1]])  # a kink within reach of both sides
    stays[0] = bend[1] > 0.4 * bend[0]
    off = 2 * noise + np.concatenate([change[:1], change / 100]) + bend * stays
    off = np.where(np.isfinite(off), off, np.inf)
    level = np.argmin(off, axis=0)
    at = np.flatnonzero(one.wrong()[rows] & np.isfinite(off.min(0)))
    rows, level = rows[at], level[at]
    n, off = middle[level, at], off[level, at]
    size = one.slopes.size[rows]
    size = np.where(np.isfinite(size), size, np.abs(n))
    one.numeric[rows], one.ask.steps[rows] = n, steps[level, at]
    one.floor[rows] = trial.loosened(0 * n, size, np.array(SHRINK)[level]) + off
    one.allowed[rows] = trial.loosened(n, size, np.array(SHRINK)[level]) + off


def note(trial: Trial, one: Found) -> None:
    """One row of the report, unless a zero gradient would have passed as well."""
    a, n, part = one.analytic, one.numeric, one.part
    gap = np.abs(a - n)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(gap > 0, gap / one.allowed, 0.0)
    k = int(np.argmax(ratio))
    weak = (np.abs(n) <= one.floor) & (ratio <= 1)
    if weak.all():
        trial.report.untested[part.name] = (
            "its derivative is zero everywhere" if not n.any() and not a.any()
            else "its derivative drowns in rounding")
        return
    large = np.abs(part.gradient if part.at is None else part.gradient[part.at])
    top = float(large.sum() if part.directions else large.max()) or float(np.abs(n).max())
    trial.report.rows.append(Row(
        part.name, len(a), float(gap.max()) / top, float(ratio[k]), part.called(trial, k),
        float(a[k]), float(n[k]), float(one.allowed[k]), float(one.ask.steps[k]),
        int(np.sum(weak & ((n != 0) | (a != 0)))), random=bool(part.directions), **part.row))
