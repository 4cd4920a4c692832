"""Schedules: how an optimizer's learning rates change from step to step, under torch's names."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinyseq.optim.cycle import OneCycleLR
from tinyseq.optim.optimizer import Optimizer, number
from tinyseq.optim.plateau import ReduceLROnPlateau
from tinyseq.optim.schedule import LRScheduler, between, check_optimizer, rates

__all__ = ["CosineAnnealingLR", "ExponentialLR", "LRScheduler", "LambdaLR", "LinearLR",
           "MultiStepLR", "OneCycleLR", "ReduceLROnPlateau", "StepLR", "rates"]


class LambdaLR(LRScheduler):
    """lr = first lr times a function of the count; one function, or one for each group.

    Example:
        >>> import tinyseq as ts
        >>> optimizer = ts.optim.SGD([ts.nn.Parameter([1.0])], lr=1.0)
        >>> rates(LambdaLR(optimizer, lr_lambda=lambda epoch: 0.5 ** epoch), 3)
        [1.0, 0.5, 0.25, 0.125]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        check_optimizer(optimizer, "LambdaLR")
        groups = len(optimizer.param_groups)
        self.lr_lambdas: list[Callable[[int], float]] = (
            list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups)
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"Expected {groups} lr_lambdas, but got {len(self.lr_lambdas)}")
        for one in self.lr_lambdas:
            if not callable(one):
                raise TypeError(f"lr_lambda must be a function of the count, got {one!r}")
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, k: int, epoch: int) -> float:
        return base * self.lr_lambdas[k](epoch)

    def moved(self, base: float, last: float, lr: float) -> float:
        return base  # the function says it all, as in torch


class StepLR(LRScheduler):
    """lr times gamma every `step_size` steps.

    Example:
        >>> import tinyseq as ts
        >>> optimizer = ts.optim.SGD([ts.nn.Parameter([1.0])], lr=1.0)
        >>> rates(StepLR(optimizer, step_size=2, gamma=0.5), 4)
        [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1,
                 last_epoch: int = -1) -> None:
        number("step_size", step_size, low=1)
        number("gamma", gamma)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, k: int, epoch: int) -> float:
        return base * self.gamma ** (epoch // self.step_size)


class MultiStepLR(LRScheduler):
    """lr times gamma at each milestone.

    Example:
        >>> import tinyseq as ts
        >>> optimizer = ts.optim.SGD([ts.nn.Parameter([1.0])], lr=1.0)
        >>> rates(MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5), 4)
        [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1,
                 last_epoch: int = -1) -> None:
        number("gamma", gamma)
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, k: int, epoch: int) -> float:
        return base * self.gamma ** sum(m <= epoch for m in self.milestones)


class ExponentialLR(LRScheduler):
    """lr times gamma at every step.

    Example:
        >>> import tinyseq as ts
        >>> optimizer = ts.optim.SGD([ts.nn.Parameter([1.0])], lr=1.0)
        >>> rates(ExponentialLR(optimizer, gamma=0.5), 3)
        [1.0, 0.5, 0.25, 0.125]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        number("gamma", gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, k: int, epoch: int) -> float:
        return base * self.gamma ** epoch


class LinearLR(LRScheduler):
    """lr times a factor that goes evenly from start_factor to end_factor in total_iters steps.

    Example:
        >>> import tinyseq as ts
        >>> optimizer = ts.optim.SGD([ts.nn.Parameter([1.0])], lr=1.0)
        >>> rates(LinearLR(optimizer, start_factor=0.5, end_factor=1.0, total_iters=2), 3)
        [0.5, 0.75, 1.0, 1.0]
    """

    def __init__(self, optimizer: Optimizer, start_factor: float = 1.0 / 3,
                 end_factor: float = 1.0, total_iters: int = 5, last_epoch: int = -1) -> None:
        for name, value in (("start_factor", start_factor), ("end_factor", end_factor)):
            number(name, value)
            if value > 1 or (value == 0 and name == "start_factor"):
                raise ValueError(f"Invalid {name}: {value!r}, expected a number above 0, up to 1")
        number("total_iters", total_iters, low=1)
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, k: int, epoch: int) -> float:
        share = min(epoch, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * share)


class CosineAnnealingLR(LRScheduler):
    """lr along a cosine from the first one to eta_min in T_max steps (and back).

    Equation: lr = eta_min + (first - eta_min) (1 + cos(pi k / T_max)) / 2
    Source: Loshchilov and Hutter 2017.
    Example:
        >>> import tinyseq as ts
        >>> optimizer = ts.optim.SGD([ts.nn.Parameter([1.0])], lr=1.0)
        >>> [round(lr, 3) for lr in rates(CosineAnnealingLR(optimizer, T_max=4, eta_min=0.5), 4)]
        [1.0, 0.927, 0.75, 0.573, 0.5]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0,
                 last_epoch: int = -1) -> None:
        number("T_max", T_max, low=1)
        number("eta_min", eta_min)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, k: int, epoch: int) -> float:
        return between(base, self.eta_min, epoch / self.T_max)

    def moved(self, base: float, last: float, lr: float) -> float:
        eta = self.eta_min
        return super().moved(base - eta, last - eta, lr - eta) + eta
