"""What a check found, as data: a row for every tensor, gate and line, and all of them together."""
from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Row:
    """What was checked of one tensor, gate or line: `error` is max|a - n| / max|a|.

    `kind` is "tensor" (an input, a parameter or a gate's rows of one), "line" (a named line at a
    step), "share" (a weight as one step uses it) or "node". `weak` counts derivatives that are
    below the noise: they were compared, but a zero in their place would have passed as well.
    """

    name: str
    count: int
    error: float
    ratio: float                      # the largest |a - n| over what is allowed: above 1 fails
    index: tuple[int, ...]            # where that is; in random directions, which one
    analytic: float
    numeric: float
    allowed: float
    step: float                       # h
    weak: int = 0
    time: int | None = None
    gate: str | None = None           # the line, of a line at a step
    place: str = ""                   # its layer and direction, such as "l0.fwd"
    part: str = ""                    # the gate's rows, of a weight
    kind: str = "tensor"
    random: bool = False              # whether random directions stand for single elements

    def where(self) -> str:
        """The name, and the element or the direction."""
        return f"{self.name} {'along random direction' if self.random else 'at'} " + (
            f"{self.index[0]}" if self.random else f"{self.index}")


@dataclass
class Outcome:
    """The outcome of a check. `culprit` names the guilty operation of a failed one.

    `untested` says what no check could have failed at, and why: never counted as ok. `held` says
    what was kept constant while differencing: masks, given constants, detached values.
    """

    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    culprit: str | None = None
    seconds: float = 0.0
    untested: dict[str, str] = field(default_factory=dict)
    method: str = "central"
    why: str = ""
    evaluations: int = 0
    held: dict[str, list[str]] = field(default_factory=dict)
    cotangents: tuple[int, int] | None = None  # of a failed check: how many are right, of how many
    title: str = "gradient check"
    words: tuple[str, str] = ("analytic", "numeric")  # what is compared

    def of(self, kind: str) -> list[Row]:
        """The rows of one kind."""
        return [row for row in self.rows if row.kind == kind]

    @property
    def lines(self) -> list[Row]:
        """The rows of the named lines, one for each line and step."""
        return self.of("line")

    @property
    def ok(self) -> bool:
        return bool(self.rows) and not self.problems and not self.failed

    @property
    def failed(self) -> list[Row]:
        """The rows that are wrong, the worst first."""
        return sorted((row for row in self.rows if not row.ratio <= 1), key=lambda r: -r.ratio)

    @property
    def count(self) -> int:
        return sum(row.count for row in self.rows)

    @property
    def weak(self) -> int:
        return sum(row.weak for row in self.rows)

    @property
    def worst(self) -> float:
        return max((row.error for row in self.rows), default=float("nan"))
