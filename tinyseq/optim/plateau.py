"""`ReduceLROnPlateau`: a learning rate that is lowered when a metric gets no better."""
from __future__ import annotations

import math
from typing import Any

from tinyseq.optim.optimizer import Optimizer, number
from tinyseq.optim.schedule import LRScheduler, check_optimizer


class ReduceLROnPlateau(LRScheduler):
    """lr times `factor` when a metric has not got better for more than `patience` steps.

    Example:
        >>> import tinyseq as ts
        >>> optimizer = ts.optim.SGD([ts.nn.Parameter([1.0])], lr=1.0)
        >>> schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
        >>> for loss in (3.0, 2.0, 2.0):
        ...     schedule.step(loss)
        >>> schedule.get_last_lr()
        [0.5]
        >>> schedule = ReduceLROnPlateau(optimizer, mode="max", threshold=0.1, cooldown=1,
        ...                              threshold_mode="abs", min_lr=0.1, eps=0.0)
    """

    kept = ("best", "num_bad_epochs", "cooldown_counter")

    def __init__(self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1,
                 patience: int = 10, threshold: float = 1e-4, threshold_mode: str = "rel",
                 cooldown: int = 0, min_lr: float = 0, eps: float = 1e-8) -> None:
        check_optimizer(optimizer, "ReduceLROnPlateau")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError("expected mode 'min' or 'max' and threshold_mode 'rel' or 'abs', "
                             f"got {mode!r} and {threshold_mode!r}")
        number("factor", factor, below=1.0)
        for name, value in (("patience", patience), ("threshold", threshold), ("eps", eps),
                            ("cooldown", cooldown), ("min_lr", min_lr)):
            number(name, value)
        self.sign = 1.0 if mode == "min" else -1.0
        self.factor, self.patience, self.cooldown = factor, patience, cooldown
        self.threshold, self.relative, self.min_lr, self.eps = \
            threshold, threshold_mode == "rel", min_lr, eps
        self.best, self.num_bad_epochs, self.cooldown_counter = self.sign * math.inf, 0, 0
        self.optimizer, self.last_epoch = optimizer, 0
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]
        self._last_lr = list(self.base_lrs)

    def _better(self, value: float) -> bool:
        margin = self.threshold * (self.best if self.relative else self.sign)
        if self.relative and self.sign < 0:
            margin = -margin
        return self.sign * value < self.sign * (self.best - margin)

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Look at the metric, a number or a tensor of one, and lower the rates if it is time."""
        value = float(metrics)
        self.last_epoch += 1
        better = math.isinf(self.best) and self.sign * value < self.sign * self.best \
            or self._better(value)
        self.best = value if better else self.best
        self.num_bad_epochs = 0 if better else self.num_bad_epochs + 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            lower = [max(lr * self.factor, self.min_lr) for lr in rates]
            rates = [b if a - b > self.eps else a for a, b in zip(rates, lower)]
        self._set(rates)
