"""Gradient checks in float64 over inputs, parameters and every named line at every time step.

A derivative is compared element by element with a two-point central difference, for random signed
cotangents on all outputs, by the rule |a - n| <= rtol |n| + noise S, where S = sum |g||J| is how
much could have cancelled; there is no absolute floor, so a small derivative is checked like a
large one. A failing check names the first operation, going backwards, whose own rule is wrong.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyseq.culprit import find_culprit
from tinyseq.errors import GradcheckError, NondifferentiableError
from tinyseq.graph import Node
from tinyseq.ops.noise import generator
from tinyseq.probe import taped
from tinyseq.replay import Replay, Source
from tinyseq.tensor import Tensor
from tinyseq.walk import differentiate

EPS, RTOL, NOISE = 1e-5, 1e-6, 1e-8


@dataclass
class Row:
    """What was checked of one tensor, gate or line: `error` is max|a - n| / max|a|."""

    name: str
    count: int
    error: float
    ratio: float                      # the largest |a - n| over what is allowed: above 1 fails
    index: tuple[int, ...]
    analytic: float
    numeric: float
    time: int | None = None
    gate: str | None = None


@dataclass
class Report:
    """The outcome of a check. `culprit` names the guilty operation of a failed one."""

    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    culprit: str | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.problems and all(row.ratio <= 1 for row in self.rows)

    @property
    def count(self) -> int:
        return sum(row.count for row in self.rows)

    @property
    def worst(self) -> float:
        return max((row.error for row in self.rows), default=float("nan"))

    def __str__(self) -> str:
        lines = [f"{self.count:,} derivatives of {len(self.rows)} tensors and lines, worst error "
                 f"{self.worst:.1e}, {self.seconds:.1f} s: {'ok' if self.ok else 'FAILED'}"]
        for row in sorted(self.rows, key=lambda r: -r.ratio)[:None if self.ok else 5]:
            mark = "" if row.ratio <= 1 else f"   analytic {row.analytic:.9g}, numeric " \
                f"{row.numeric:.9g} at {row.index}"
            lines.append(f"  {row.name:<28}{row.count:>6}  {row.error:.1e}{mark}")
        return "\n".join(lines + self.problems + ([self.culprit] if self.culprit else []))


def gradcheck(func: Callable[..., Any], inputs: Tensor | Sequence[Tensor], eps: float = EPS,
              rtol: float = RTOL, noise: float = NOISE, raise_exception: bool = True) -> bool:
    """Check the gradients of `func` at `inputs`; torch's name, a stricter rule.

    Errors: GradcheckError naming the operation, the element and both numbers (with
        raise_exception=False: returns False); ValueError for inputs that cannot be checked.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([0.5, -2.0], dtype=ts.float64, requires_grad=True)
        >>> gradcheck(lambda x: (x * x).sum(), x)
        True
    """
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    named = {f"input {k}" + (f", {t.label}" if t.label else ""): t for k, t in enumerate(tensors)}
    try:
        report = check(func, named, eps=eps, rtol=rtol, noise=noise)
        if not report.ok:
            raise GradcheckError(str(report))
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def check(func: Callable[..., Any], inputs: Mapping[str, Tensor], *,
          gates: Mapping[str, Sequence[str]] | None = None, wrt: Iterable[str] | None = None,
          eps: float = EPS, rtol: float = RTOL, noise: float = NOISE, seed: int = 0) -> Report:
    """Check `func(*inputs)` at every input that requires grad and at every named line it records.

    `gates` splits the rows of a weight ({"weight_hh_l0": "ifgo"}); `wrt` checks some inputs only.
    Errors: as `gradcheck`; a gradient that is merely wrong is in the report, not raised.
    """
    began = time.perf_counter()
    refuse(inputs)
    wanted = set(inputs if wrt is None else wrt)
    before = {name: t.array.copy() for name, t in inputs.items()}
    words = generator.get_state()
    try:
        trial = Trial(func, inputs, np.random.default_rng(seed), (eps, rtol, noise))
        for name, t in inputs.items():
            if t.requires_grad and name in wanted:
                trial.compare(name, t, (gates or {}).get(name))
        if wrt is None:
            for node in trial.named_lines():
                trial.compare(str(node.scope), node)
        report = trial.report
        if not report.count:
            raise GradcheckError("0 of 0 derivatives checked: nothing here depends on an input "
                                 "that requires grad, so this would be no check")
        if not report.ok:
            report.culprit = find_culprit(trial.tape, trial.outputs, trial.cotangents, rtol, noise)
        report.seconds = time.perf_counter() - began
        return report
    finally:
        generator.set_state(words)
        for name, t in inputs.items():
            if not np.array_equal(t.array, before[name], equal_nan=True):
                t.array[...] = before[name]
                raise GradcheckError(f"the function changed its input {name!r} in place; it is "
                                     "restored: let it work on a clone()")


def refuse(inputs: Mapping[str, Tensor]) -> None:
    """Inputs at which a check could not see anything."""
    if not any(t.requires_grad for t in inputs.values()):
        raise ValueError("no input requires grad: nothing to check. Type x.requires_grad_()")
    for name, t in inputs.items():
        if t.requires_grad and t.dtype != np.float64:
            raise ValueError(f"input {name!r} is {t.dtype}, whose differences drown in rounding: "
                             "use float64, x.double()")
        if t.requires_grad and 0 in t.array.strides and t.array.size > 1:
            raise ValueError(f"input {name!r} overlaps itself in memory (an expanded tensor): "
                             "check a clone()")


class Trial:
    """One recorded run with its analytic gradients, ready to be compared."""

    def __init__(self, func: Callable, inputs: Mapping[str, Tensor], rng: np.random.Generator,
                 rule: tuple[float, float, float]) -> None:
        self.eps, self.rtol, self.noise = rule
        self.report = Report()
        words = generator.get_state()
        self.tape, self.outputs = run(func, inputs)
        generator.set_state(words)
        again = run(func, inputs)[1]
        for k, (a, b) in enumerate(zip(self.outputs, again)):
            if not np.array_equal(a.array, b.array, equal_nan=True):
                raise GradcheckError(f"output {k} is not deterministic: two runs at the same "
                                     "point differ. Only tinyseq's own randomness is held")
        self.outputs = [t for t in self.outputs if t.dtype.kind == "f"]
        self.cotangents = [rng.uniform(0.5, 1.5, t.shape) * rng.choice([-1.0, 1.0], t.shape)
                           for t in self.outputs]
        self.replay = Replay(self.tape, self.outputs)
        self.grads = self.analytic(self.cotangents)
        self.kept = {out.node: out.node.gy for out, _ in self.tape}
        self.properties(rng)

    def analytic(self, cotangents: list[np.ndarray]) -> dict[Any, np.ndarray]:
        """The gradients for some cotangents, every node's kept."""
        asked = [(t, g) for t, g in zip(self.outputs, cotangents) if t.requires_grad]
        if not asked:
            return {}
        return differentiate([t for t, _ in asked], [np.asarray(g) for _, g in asked], True,
                             False, keep="**")

    def properties(self, rng: np.random.Generator) -> None:
        """What holds for every right backward, without any difference: repeatable and linear."""
        again = self.analytic(self.cotangents)
        other = [rng.normal(size=g.shape) for g in self.cotangents]
        seconds = self.analytic(other)
        both = self.analytic([g + 2 * h for g, h in zip(self.cotangents, other)])
        nothing = self.analytic([0 * g for g in self.cotangents])
        for leaf, g in self.grads.items():
            name = leaf.label or f"an input of shape {leaf.shape}"
            if not np.array_equal(g, again[leaf], equal_nan=True):
                self.report.problems.append(f"backward run twice differs at {name}")
            scale = np.abs(g).max(initial=0) + 2 * np.abs(seconds[leaf]).max(initial=0)
            gap = np.abs(g + 2 * seconds[leaf] - both[leaf]).max(initial=0)
            if gap > 1e-12 * scale:
                self.report.problems.append(f"backward is not linear in its cotangent at {name}")
            if np.any(nothing[leaf] != 0):
                self.report.problems.append(f"a zero cotangent gives a gradient at {name}")

    def named_lines(self) -> list[Node]:
        """The node of every named line at every step: its scope ends in the line's name."""
        return [out.node for out, _ in self.tape if out.node.scope.gate is not None
                and out.node.scope.name == out.node.scope.gate and out.node.shape != ()]

    def compare(self, name: str, source: Source, gates: Sequence[str] | None = None) -> None:
        """Compare one tensor's gradient, as one row or one row for each gate."""
        found = self.grads.get(source) if isinstance(source, Tensor) else self.kept.get(source)
        x = self.replay.value.get(source)
        if x is None:  # nothing recorded reads it
            return
        a = np.zeros(x.shape) if found is None else np.asarray(found)
        n, size = np.zeros(x.shape), np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            n[index], size[index] = self.difference(source, x, index)
        parts = [(name, slice(None))]
        if gates is not None:
            H = x.shape[0] // len(gates)
            parts = [(f"{name}[{g}]", slice(k * H, (k + 1) * H)) for k, g in enumerate(gates)]
        for part, rows in parts:
            cut = (rows,) if x.ndim else ()
            self.row(part, source, a[cut], n[cut], size[cut], rows.start or 0)

    def difference(self, source: Source, x: np.ndarray,
                   index: tuple[int, ...]) -> tuple[float, float]:
        """(the numeric derivative, sum |g||J|) for one element."""
        h = self.eps * max(1.0, abs(float(x[index])))
        sides = []
        for sign in (1, -1):
            moved = x.copy()
            moved[index] += sign * h
            sides.append((moved[index], self.replay.outputs(source, moved)))
        (up, above), (down, below) = sides
        with np.errstate(invalid="ignore"):
            slopes = [(p - q) / (up - down) * g
                      for p, q, g in zip(above, below, self.cotangents)]
        return (float(sum(s.sum() for s in slopes)), float(sum(np.abs(s).sum() for s in slopes)))

    def row(self, name: str, source: Source, a: np.ndarray, n: np.ndarray, size: np.ndarray,
            first: int) -> None:
        if a.size == 0:
            return
        if not (np.isfinite(a).all() and np.isfinite(n).all()):
            bad = tuple(int(i) for i in np.argwhere(~(np.isfinite(a) & np.isfinite(n)))[0])
            raise GradcheckError(f"{name}: the derivative at {bad} is not finite (analytic "
                                 f"{a[bad]}, numeric {n[bad]})")
        allowed = self.rtol * np.abs(n) + self.noise * size
        gap = np.abs(a - n)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(gap > 0, gap / allowed, 0.0)
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(ratio)), a.shape))
        full = (index[0] + first, *index[1:]) if index else index
        if ratio[index] > 1:
            self.refuse_kink(name, source, full)
        scope = source.scope if isinstance(source, Node) else None
        top = float(np.abs(a).max()) or float(np.abs(n).max())
        self.report.rows.append(Row(
            name, a.size, float(gap.max()) / top if top else 0.0, float(ratio[index]), full,
            float(a[index]), float(n[index]), scope.time if scope else None,
            scope.gate if scope else None))

    def refuse_kink(self, name: str, source: Source, index: tuple[int, ...]) -> None:
        """A failing element whose two one-sided slopes differ lies on a kink: say so instead."""
        x = self.replay.value[source]
        h = self.eps * max(1.0, abs(float(x[index])))
        samples = []
        for k in (-2, -1, 0, 1, 2):
            moved = x.copy()
            moved[index] += k * h
            samples.append(float(sum((y * g).sum() for y, g in zip(
                self.replay.outputs(source, moved), self.cotangents))))
        slopes = np.diff(samples) / h
        bend, ends = abs(slopes[2] - slopes[1]), abs(slopes[1] - slopes[0]) + \
            abs(slopes[3] - slopes[2])
        if bend > 1e-3 * np.abs(slopes).max() and bend > 50 * ends:
            raise NondifferentiableError(
                f"{name} at {index}: the function has a kink there, so its derivative is only a "
                f"convention; the five values around it are {[f'{s:.9g}' for s in samples]}")


def run(func: Callable, inputs: Mapping[str, Tensor]) -> tuple[list, list[Tensor]]:
    """(tape, outputs) of one run, op by op."""
    with taped() as tape:
        found = func(*inputs.values())
        outputs = [found] if isinstance(found, Tensor) else list(found)
        return list(tape), outputs
