"""`Adam`: each element's step scaled by the size that its gradients usually have."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinyseq.optim.optimizer import Group, Optimizer, number
from tinyseq.tensor import wrap


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
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0, *,
                 allow_nonfinite: bool = False) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps,
                                  "weight_decay": weight_decay}, allow_nonfinite)

    def check(self, group: Group) -> None:
        number("learning rate lr", group["lr"])
        number("epsilon value eps", group["eps"])
        number("weight_decay value", group["weight_decay"])
        betas = group["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ValueError(f"Invalid betas: {betas!r}, expected two numbers")
        for k, beta in enumerate(betas):
            number(f"beta parameter at index {k} of betas", beta, below=1.0)

    def update(self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: Group) -> None:
        if not state:
            state.update(step=0, exp_avg=wrap(np.zeros_like(p)), exp_avg_sq=wrap(np.zeros_like(p)))
        state["step"] += 1
        beta1, beta2 = group["betas"]
        m, v = state["exp_avg"].array, state["exp_avg_sq"].array
        a, decay = self.scratch(p)
        g = self.decayed(p, g, group["weight_decay"], decay)
        np.subtract(g, m, out=a)
        a *= 1 - beta1
        m += a
        np.multiply(g, g, out=a)
        a *= 1 - beta2
        v *= beta2
        v += a
        np.sqrt(v, out=a)
        a /= math.sqrt(1 - beta2 ** state["step"])
        a += group["eps"]
        if group["eps"] < 1e-30:  # an element that never had a gradient stays: no 0/0
            a[a == 0] = np.inf
        np.divide(m, a, out=a)
        a *= group["lr"] / (1 - beta1 ** state["step"])
        p -= a
