"""`OneCycleLR`: a run's learning rate up and down once, its momentum down and up."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinyseq.optim.optimizer import Group, Optimizer, flag, number
from tinyseq.optim.schedule import LRScheduler, between, check_optimizer


class OneCycleLR(LRScheduler):
    """lr up to max_lr and down far below the first one, while momentum goes down and up.

    Source: Smith and Topin 2017.
    Example:
        >>> import tinyseq as ts
        >>> from tinyseq.optim.lr_scheduler import rates
        >>> optimizer = ts.optim.SGD([ts.nn.Parameter([1.0])], lr=0.1, momentum=0.9)
        >>> schedule = OneCycleLR(optimizer, max_lr=1.0, total_steps=5, pct_start=0.4,
        ...                       div_factor=10.0, final_div_factor=100.0)
        >>> [round(lr, 3) for lr in rates(schedule, 4)]
        [0.1, 1.0, 0.75, 0.251, 0.001]
        >>> schedule = OneCycleLR(optimizer, 1.0, epochs=2, steps_per_epoch=4, three_phase=True,
        ...                       anneal_strategy="linear", base_momentum=0.8, max_momentum=0.9)
        >>> optimizer.param_groups[0]["momentum"]
        0.9
        >>> adagrad = ts.optim.Adagrad([ts.nn.Parameter([1.0])])
        >>> rates(OneCycleLR(adagrad, 1.0, 4, div_factor=4.0, cycle_momentum=False), 0)
        [0.25]
    """

    def __init__(self, optimizer: Optimizer, max_lr: Any, total_steps: int | None = None,
                 epochs: int | None = None, steps_per_epoch: int | None = None,
                 pct_start: float = 0.3, anneal_strategy: str = "cos",
                 cycle_momentum: bool = True, base_momentum: float = 0.85,
                 max_momentum: float = 0.95, div_factor: float = 25.0,
                 final_div_factor: float = 1e4, three_phase: bool = False,
                 last_epoch: int = -1) -> None:
        check_optimizer(optimizer, "OneCycleLR")
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ValueError("OneCycleLR needs total_steps, or epochs and steps_per_epoch")
        self.total_steps = total_steps if total_steps is not None \
            else (epochs or 0) * (steps_per_epoch or 0)
        number("total_steps", self.total_steps, low=1)
        number("pct_start", pct_start, below=math.nextafter(1.0, 2.0))
        flag("three_phase", three_phase)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError("anneal_strategy must be 'cos' or 'linear', got "
                             f"{anneal_strategy!r}")
        groups = optimizer.param_groups
        peaks = list(max_lr) if isinstance(max_lr, (list, tuple)) else [max_lr] * len(groups)
        if len(peaks) != len(groups):
            raise ValueError(f"expected {len(groups)} values for max_lr, got {len(peaks)}")
        momenta = ("momentum" in optimizer.defaults, "betas" in optimizer.defaults)
        if cycle_momentum and not any(momenta):
            raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum`: "
                             "pass cycle_momentum=False")
        self.max_lrs, self.anneal, self.cycle_momentum = peaks, anneal_strategy, cycle_momentum
        self.final_div_factor = final_div_factor
        self.phases = phases(self.total_steps, pct_start, three_phase, base_momentum, max_momentum)
        if last_epoch < 0:
            for group, peak in zip(groups, peaks):
                group["initial_lr"] = peak / div_factor
        super().__init__(optimizer, last_epoch)

    def _at(self, epoch: int) -> tuple[Any, float]:
        """The phase that a step lies in, and the share of it that is over."""
        if epoch >= self.total_steps + (self.total_steps == 0):
            raise ValueError(f"Tried to step {epoch + 1} times. The specified number of total "
                             f"steps is {self.total_steps}")
        start = 0.0
        for phase in self.phases:
            if epoch <= phase[0] or phase is self.phases[-1]:
                break
            start = phase[0]
        return phase, (epoch - start) / (phase[0] - start) if phase[0] != start else 1.0

    def rate(self, base: float, k: int, epoch: int) -> float:
        (_, a, b, _, _), share = self._at(epoch)
        lrs = {"first": base, "max": self.max_lrs[k], "last": base / self.final_div_factor}
        return between(lrs[a], lrs[b], share, self.anneal)

    def moved(self, base: float, last: float, lr: float) -> float:
        return base  # the cycle says it all, as in torch

    def _set(self, rates: Sequence[float]) -> None:
        super()._set(rates)
        if self.cycle_momentum:
            (_, _, _, a, b), share = self._at(self.last_epoch)
            for group in self.optimizer.param_groups:
                momentum(group, between(a, b, share, self.anneal))


def phases(steps: int, pct: float, three: bool, low: float, high: float) -> list[Any]:
    """OneCycleLR's phases: where each ends, its lr from and to, its momentum from and to."""
    up = (pct * steps - 1, "first", "max", high, low)
    if three:
        return [up, (2 * pct * steps - 2, "max", "first", low, high),
                (steps - 1, "first", "last", high, high)]
    return [up, (steps - 1, "max", "last", low, high)]


def momentum(group: Group, value: float) -> None:
    """Set a group's momentum, or Adam's first beta."""
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value
