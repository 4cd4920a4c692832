"""`Adam`, `AdamW`: each element's step scaled by the size its gradients usually have."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import where

from tinyseq.optim.one_pass import one_pass, quotient, slot
from tinyseq.optim.optimizer import Group, Optimizer, flag, number


def adam_rule(g: Any, p: Any, m: Any, v: Any, largest: Any, share1: Any, beta2: Any, share2: Any,
              rate: Any, root: Any, eps: Any, amsgrad: Any) -> Any:
    """What becomes of one element: p, the two means, and what the step is divided by."""
    m = m + (g - m) * share1
    v = v * beta2 + g * g * share2
    largest = where(largest * amsgrad > v, largest, v)
    return p - rate * quotient(m, np.sqrt(largest) / root + eps), m, v, largest


class Adam(Optimizer):
    """Adaptive moment estimation.

    Equation: m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2,
        p <- p - lr (m / (1 - b1^k)) / (sqrt(v / (1 - b2^k)) + eps) at step k, counted from 1
    Units: lr is per update.
    Source: Kingma and Ba 2015.
    Example:
        >>> import tinyseq as ts
        >>> w = ts.nn.Parameter([1.0, -2.0])
        >>> (w * w).sum().backward()
        >>> Adam([w], lr=0.5).step()
        >>> [round(value, 5) for value in w.tolist()]
        [0.5, -1.5]
        >>> Adam([w], betas=(0.5, 0.9), eps=1e-6, weight_decay=0.1, amsgrad=True).step()
        >>> Adam([w], maximize=True, allow_nonfinite=True).step()
    """

    slots = ("step", "exp_avg", "exp_avg_sq")

    def __init__(self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False, *,
                 maximize: bool = False, allow_nonfinite: bool = False, **ways: Any) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps,
                                  "weight_decay": weight_decay, "amsgrad": amsgrad,
                                  "maximize": maximize}, allow_nonfinite, **ways)

    def check(self, group: Group) -> None:
        number("learning rate lr", group["lr"])
        number("epsilon value eps", group["eps"])
        number("weight_decay value", group["weight_decay"])
        flag("amsgrad", group["amsgrad"])
        flag("maximize", group["maximize"])
        betas = group["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ValueError(f"Invalid betas: {betas!r}, expected two numbers")
        for k, beta in enumerate(betas):
            number(f"beta parameter at index {k} of betas", beta, below=1.0)

    def update(self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: Group) -> None:
        state["step"] = state.get("step", 0) + 1
        beta1, beta2 = group["betas"]
        m, v = slot(state, "exp_avg", p), slot(state, "exp_avg_sq", p)
        largest, decay = self.scratch(p)
        g = self.decayed(p, g, group, decay)
        if group["amsgrad"]:
            largest = slot(state, "max_exp_avg_sq", p)
        one_pass(adam_rule, g, [p, m, v, largest], 1 - beta1, beta2, 1 - beta2,
                 group["lr"] / (1 - beta1 ** state["step"]),
                 math.sqrt(1 - beta2 ** state["step"]), group["eps"], group["amsgrad"])


class AdamW(Adam):
    """Adam whose weight decay acts on the parameter itself, not through the gradient.

    Equation: p <- p (1 - lr weight_decay), then Adam's step without decay
    Source: Loshchilov and Hutter 2019.
    Example:
        >>> import tinyseq as ts
        >>> w = ts.nn.Parameter([1.0])
        >>> w.grad = ts.zeros(1)
        >>> AdamW([w], lr=0.5, weight_decay=0.5).step()
        >>> w.item()
        0.75
        >>> AdamW([w], betas=(0.5, 0.9), eps=1e-6, amsgrad=True).step()
        >>> AdamW([w], maximize=True, allow_nonfinite=True).step()
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 1e-2, amsgrad: bool = False, *,
                 maximize: bool = False, allow_nonfinite: bool = False, **ways: Any) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize,
                         allow_nonfinite=allow_nonfinite, **ways)

    def update(self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: Group) -> None:
        p *= 1 - group["lr"] * group["weight_decay"]
        super().update(p, g, state, {**group, "weight_decay": 0})
