"""How the error of a difference depends on its step: the choice of h, as a table and a picture."""
from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyseq.draw.chart import Series, line_chart
from tinyseq.draw.picture import Picture
from tinyseq.errors import GradcheckError
from tinyseq.gradcheck.checking import refuse
from tinyseq.gradcheck.methods import METHODS, Ask, Meter
from tinyseq.gradcheck.trial import Rule, Trial
from tinyseq.ops.noise import generator
from tinyseq.tensor import Tensor

STEPS = tuple(2.0 ** -k for k in range(1, 53, 2))  # powers of two: x + h is exact
SWEPT = ("central", "four-point", "complex")
DIRECTIONS = 4


@dataclass(frozen=True)
class Sweep:
    """Errors by step: `errors[method][k]` is that of `steps[k]`, |a - n| over the size of a.

    `refused` says of a method why there are none.
    """

    steps: tuple[float, ...]
    errors: dict[str, list[float]]
    refused: dict[str, str]

    def best(self, method: str) -> float:
        """The step with the smallest error."""
        return self.steps[int(np.argmin(self.errors[method]))]

    def picture(self) -> Picture:
        """The errors over the steps, both as powers of ten."""
        xs = [float(np.log10(h)) for h in self.steps[::-1]]  # (curves are named at their end)
        series = [Series(f"{method}: {min(errors):.0e}", xs,
                         [max(e, 1e-17) if np.isfinite(e) else None for e in errors[::-1]])
                  for method, errors in self.errors.items()]
        return Picture(line_chart("Error of a measured slope, by its step", series, "log10 of h",
                                  "error relative to the gradient", log_y=True), "step sweep")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture; errors as `Picture.save`."""
        self.picture().save(path)

    def _repr_mimebundle_(self, **how: Any) -> dict[str, Any]:
        return self.picture()._repr_mimebundle_(**how)

    def __str__(self) -> str:
        names = list(self.errors)
        lines = [f"{'h':>9}" + "".join(f"{name:>12}" for name in names)]
        lines += [f"{h:9.1e}" + "".join(f"{self.errors[name][k]:12.1e}" for name in names)
                  for k, h in enumerate(self.steps)]
        lines += [f"best h of {name}: {self.best(name):.1e}, error {min(self.errors[name]):.1e}"
                  for name in names]
        return "\n".join([*lines, *[f"{name}: {why}" for name, why in self.refused.items()]])


def sweep(func: Callable[..., Any], inputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor],
          steps: Sequence[float] = STEPS, methods: Sequence[str] = SWEPT,
          seed: int = 0) -> Sweep:
    """Measure the slopes of a function with every step: what truncates, what rounds, what is best.

    Random directions at each input; the error is that of the worst one, relative to the size of
    what the analytic gradient adds up.
    Errors: as `check`; ValueError for a method without a step.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([0.5, -2.0], dtype=ts.float64, requires_grad=True)
        >>> found = sweep(lambda x: ts.tanh(x), x)
        >>> 1e-7 < found.best("central") < 1e-4 < found.best("four-point") < 1e-1
        True
    """
    named = dict(inputs) if isinstance(inputs, Mapping) else {
        f"input {k}": t for k, t in enumerate([inputs] if isinstance(inputs, Tensor) else inputs)}
    if unknown := [name for name in methods if name not in SWEPT]:
        raise ValueError(f"methods {unknown}: expected some of {', '.join(SWEPT)}")
    refuse(named)
    words = generator.get_state()
    try:
        trial = Trial(func, named, Rule(seed=seed))
    finally:
        generator.set_state(words)
    asks, exact, size = directions(trial, named)
    errors: dict[str, list[float]] = {}
    refused: dict[str, str] = {}
    for name in methods:
        try:
            meter = Meter(METHODS[name], trial.tape, trial.outputs, trial.cotangents)
        except GradcheckError as error:
            refused[name] = str(error)
            continue
        errors[name] = worst(meter, asks, exact, size, steps)
    trial.forget()
    return Sweep(tuple(steps), errors, refused)


def directions(trial: Trial, inputs: Mapping[str, Tensor]
               ) -> tuple[list[Ask], np.ndarray, np.ndarray]:
    """(directions at each input, the analytic slopes along them, what those add up)."""
    asks, exact, size = [], [], []
    for t in inputs.values():
        if not t.requires_grad or t not in trial.meter.replay.value:
            continue
        shape = (DIRECTIONS, *t.shape)
        moves = trial.rng.uniform(0.5, 1.5, shape) * trial.rng.choice([-1.0, 1.0], shape)
        g = np.asarray(trial.grads.get(t, np.zeros(t.shape)))
        asks.append(Ask(t, moves, np.ones(DIRECTIONS)))
        exact.append((moves * g).reshape(DIRECTIONS, -1).sum(1))
        size.append(np.abs(moves * g).reshape(DIRECTIONS, -1).sum(1))
    if not asks:
        raise GradcheckError("no output depends on an input that requires grad: no slope to sweep")
    return asks, np.concatenate(exact), np.concatenate(size)


def worst(meter: Meter, asks: list[Ask], exact: np.ndarray, size: np.ndarray,
          steps: Sequence[float]) -> list[float]:
    """The largest error with each step."""
    slopes = meter.measure([ask._replace(steps=np.full(len(ask.steps), h))
                            for h in steps for ask in asks])
    found = np.concatenate([one.slope for one in slopes]).reshape(len(steps), -1)
    with np.errstate(all="ignore"):
        return (np.abs(found - exact) / np.where(size > 0, size, 1.0)).max(1).tolist()
