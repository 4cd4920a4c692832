"""Where the time grid puts things: its description, which steps are shown, columns and rows."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tinyseq.draw.colours import Scale
from tinyseq.draw.text import Runs, bold, clip, plain, short, sub, text_width, words

Norms = list["float | None"]

MARGIN = 20.0
CELL_W, STATE_W, SMALL_W = 98.0, 46.0, 56.0
LANE = 34.0                  # between two lanes of one row
ELIDE_ABOVE, ENDS = 12, 3    # longer sequences show their first and last 3 steps
MODES = ("forward", "backward", "both")


@dataclass(frozen=True)
class TimeGrid:
    """What the cell-level picture shows. All numbers are norms of gradients, None for none.

    Shapes: lanes hold T+1 norms, entry 0 of the initial state and entry t+1 of the state that
    leaves step t; inputs (dL/dx_t), outputs (dL/dy_t) and losses (dL/dL_t) hold T. A step whose
    loss is None has neither y_t nor L_t. A cut at t lies between the steps t-1 and t.
    Errors: ValueError for a wrong length, mode or cut.
    """
    title: str
    cell: str
    steps: int
    lanes: dict[str, Norms]
    inputs: Norms
    outputs: Norms | None = None
    losses: Norms | None = None
    cuts: frozenset[int] = frozenset()
    mode: str = "forward"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"time grid of {self.steps} steps: expected at least 1")
        if self.mode not in MODES:
            raise ValueError(f"time grid mode {self.mode!r}: expected one of {', '.join(MODES)}")
        rows = [(f"lane {name!r}", norms, self.steps + 1) for name, norms in self.lanes.items()]
        rows += [(name, norms, self.steps) for name, norms in (
            ("inputs", self.inputs), ("outputs", self.outputs), ("losses", self.losses))
            if norms is not None]
        for name, norms, expected in rows:
            if len(norms) != expected:
                raise ValueError(f"time grid of {self.steps} steps: {name} has {len(norms)} "
                                 f"norms, expected {expected}")
        if any(not 0 <= cut < self.steps for cut in self.cuts):
            raise ValueError(f"time grid cuts {sorted(self.cuts)}: expected steps from 0 to "
                             f"{self.steps - 1}; a cut at t lies between t-1 and t")

    def has_loss(self, t: int) -> bool:
        """Return whether step t has a loss of its own."""
        return self.losses is not None and self.losses[t] is not None

    def has_output(self, t: int) -> bool:
        """Return whether step t shows an output: every step, or those with a loss."""
        return self.outputs is not None and (self.losses is None or self.has_loss(t))

    def norms(self) -> Iterable[float | None]:
        """Yield the norm of every line there is, cut ones aside, for the scale and the legend."""
        for lane in self.lanes.values():
            yield from (norm for t, norm in enumerate(lane) if t not in self.cuts)
        yield from self.inputs
        yield from (norm for t, norm in enumerate(self.outputs or ()) if self.has_output(t))
        yield from (norm for norm in self.losses or () if norm is not None)


def shown_steps(steps: int, shown: str | Iterable[int] | None) -> list[int]:
    """Return which steps are drawn: all up to 12, else the first and last 3, or the given ones.

    Example:
    >>> shown_steps(100, None), shown_steps(100, [50, 1])
    ([0, 1, 2, 97, 98, 99], [1, 50])
    """
    if shown is None and steps > ELIDE_ABOVE:
        return [*range(ENDS), *range(steps - ENDS, steps)]
    if shown is None or shown == "all":
        return list(range(steps))
    chosen = [] if isinstance(shown, str) else sorted(set(shown))
    if not chosen or chosen[0] < 0 or chosen[-1] >= steps:
        raise ValueError(f"shown={shown!r}: expected None, 'all' or steps from 0 to {steps - 1}")
    return chosen


def lane_label(lane: str, t: int, norm: float | None) -> Runs:
    """Return the label of the state that enters step t, such as h₂ 0.071; t = 0 is h_init."""
    name = words(clip(lane, 60, 12))
    number = short(norm)
    tail: Runs = ((f" {number}", ""),) if number else ()
    return sub(name, t - 1 if t else "init") + tail


def _hidden(shown: list[int], steps: int) -> dict[int, tuple[str, float]]:
    """Return each run of steps that are not drawn: its first step -> how many, room for that."""
    runs, expected = {}, 0
    for t in [*shown, steps]:
        if t > expected:
            count = f"… {t - expected:,} more …"
            runs[expected] = count, text_width(count, 15) + 20
        expected = t + 1
    return runs


class Plan:
    """Where everything stands: the x of each shown step, the y of each row."""

    def __init__(self, grid: TimeGrid, shown: list[int], width: float | None) -> None:
        self.grid, self.shown = grid, shown
        self.scale = Scale.of(grid.norms())
        last = str(shown[-1])
        self.small_w = max(SMALL_W, text_width(sub("x", last), 16) + 18)
        self.cell_w = max(CELL_W, self.small_w, min(170.0, text_width(bold(grid.cell), 16) + 24))
        self.hidden = _hidden(shown, grid.steps)
        self.gap = self._label_room(width)
        self.left = MARGIN + STATE_W + self.gap  # of the first cell
        self.x: dict[int, float] = {}            # centre of each step
        self.gaps: dict[int, tuple[float, Runs]] = {}  # first hidden step -> centre, words
        self.gap_starts: dict[int, float] = {}   # first hidden step -> where its lanes begin
        self._place_columns()
        self._place_rows()

    def _label_room(self, width: float | None) -> float:
        """Return how wide the columns between cells are: for the widest label, or for `width`."""
        boundaries = {0, *self.shown, *(t + 1 for t in self.shown)}
        widest = max((text_width(lane_label(lane, t, norms[t]), 12)
                      for lane, norms in self.grid.lanes.items() for t in boundaries), default=0)
        needed = max(78.0, widest + 16)
        if width is None:
            return needed
        fixed = 2 * MARGIN + STATE_W + len(self.shown) * self.cell_w + sum(
            room for _, room in self.hidden.values())
        return max(needed, (width - fixed) / (len(self.shown) + len(self.hidden)))

    def _place_columns(self) -> None:
        x = self.left
        for t in sorted([*self.shown, *self.hidden]):
            if t in self.hidden:
                count, room = self.hidden[t]
                # The lane leaves the last cell (or the initial state) before it stops.
                self.gap_starts[t] = x - self.gap
                self.gaps[t] = (x + room / 2, plain(count))
                x += room + self.gap
            else:
                self.x[t] = x + self.cell_w / 2
                x += self.cell_w + self.gap
        self.right = self.x[self.shown[-1]] + self.cell_w / 2
        self.width = max(x - self.gap + MARGIN, 420.0)

    def _place_rows(self) -> None:
        grid = self.grid
        lanes = len(grid.lanes)
        self.cell_h = max(81.0, LANE * (lanes - 1) + 47)
        y = 62.0
        self.bar_y = self.loss_y = self.output_y = 0.0
        if any(grid.has_loss(t) for t in self.shown):
            self.bar_y, self.loss_y = 70.0, 125.0
            y = 164.0
        if any(grid.has_output(t) for t in self.shown):
            self.output_y = y + 22
            y = self.output_y + 36
        self.cell_y = y + 14 + self.cell_h / 2
        self.input_y = self.cell_y + self.cell_h / 2 + 62
        self.axis_y = self.input_y + 36

    def lane_ys(self, row_y: float) -> list[float]:
        """Return the height of each lane of the row at `row_y`, top to bottom."""
        count = len(self.grid.lanes)
        return [row_y + LANE * (i - (count - 1) / 2) for i in range(count)]
