"""`LRScheduler`: what schedules share; the schedules themselves are in lr_scheduler.py."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinyseq.optim.optimizer import Optimizer


class LRScheduler:
    """What schedules share: `step()` counts `last_epoch` on and sets every group's lr.

    A rate is computed from the group's first one and the count, not from the rate before, so that
    a long run gathers no rounding errors. Where another schedule or the user changes an lr in
    between, it goes on from there in proportion: schedules of one optimizer multiply, as in torch.
    """

    kept: tuple[str, ...] = ()  # what state_dict holds beside the count and the first rates

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer, type(self).__name__)
        self.optimizer, self.last_epoch = optimizer, last_epoch
        for k, group in enumerate(optimizer.param_groups):
            if last_epoch >= 0 and "initial_lr" not in group:
                raise KeyError(f"param 'initial_lr' is not specified in param_groups[{k}]: needed "
                               f"to go on from last_epoch={last_epoch}")
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs: list[float] = [g["initial_lr"] for g in optimizer.param_groups]
        self._last_lr = list(self.base_lrs) if last_epoch < 0 else [
            self.rate(base, k, last_epoch + 1) for k, base in enumerate(self.base_lrs)]
        self.step()

    def rate(self, base: float, k: int, epoch: int) -> float:
        """The lr of group `k`, whose first one was `base`, at a count of steps."""
        raise NotImplementedError(f"{type(self).__name__} has no rate")

    def moved(self, base: float, last: float, lr: float) -> float:
        """The first rate that leads to `lr` where `base` has led to `last`."""
        return lr if base == last else base * lr / last if last else base

    def step(self) -> None:
        """Go on to the next rates."""
        self.base_lrs = [base if group["lr"] == last else self.moved(base, last, group["lr"])
                         for base, last, group in zip(self.base_lrs, self._last_lr,
                                                      self.optimizer.param_groups)]
        rates = [self.rate(base, k, self.last_epoch + 1) for k, base in enumerate(self.base_lrs)]
        self.last_epoch += 1
        self._set(rates)

    def _set(self, rates: Sequence[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates):
            group["lr"] = lr
        self._last_lr = list(rates)

    def get_last_lr(self) -> list[float]:
        """The rate of every group, as last set."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` of a schedule made with the same settings needs to go on."""
        names = ("last_epoch", "base_lrs", "_last_lr", *self.kept)
        return {name: list(v) if isinstance(v := getattr(self, name), list) else v
                for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken. Errors: ValueError naming what does not fit."""
        names = self.state_dict()
        wrong = sorted(names.keys() ^ state_dict.keys())
        if wrong:
            raise ValueError(f"{type(self).__name__}.load_state_dict: missing or unexpected "
                             f"{', '.join(wrong)}; expected {', '.join(names)}")
        if len(state_dict["base_lrs"]) != len(self.base_lrs):
            raise ValueError(f"loaded schedule has {len(state_dict['base_lrs'])} param groups, "
                             f"this one has {len(self.base_lrs)}")
        for name, value in state_dict.items():
            setattr(self, name, list(value) if isinstance(value, list) else value)
        self._set(self._last_lr)


def check_optimizer(optimizer: Any, word: str) -> None:
    """Refuse what is no optimizer; `word` names who asks."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{word} expects an optimizer, got {type(optimizer).__name__}")


def rates(schedule: LRScheduler, steps: int) -> list[float]:
    """The first group's lr, now and after each of some steps: to look at a schedule beforehand."""
    found = schedule.get_last_lr()[:1]
    for _ in range(steps):
        schedule.optimizer.step()
        schedule.step()
        found += schedule.get_last_lr()[:1]
    return found


def between(a: float, b: float, share: float, strategy: str = "cos") -> float:
    """From a to b, by a share of the way, along a cosine or a line."""
    if strategy == "linear":
        return a + (b - a) * share
    return b + (a - b) / 2.0 * (1 + math.cos(math.pi * share))
