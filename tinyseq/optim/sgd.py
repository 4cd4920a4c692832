"""`SGD`: down the gradient, with momentum if wanted."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.optim.optimizer import Group, Optimizer, number
from tinyseq.tensor import wrap


class SGD(Optimizer):
    """Stochastic gradient descent.

    Equation: v <- mu v + (1 - tau) g, p <- p - lr v (nesterov: p <- p - lr (g + mu v)); the first
        v is g; g includes weight_decay p
    Units: lr is per update.
    Example:
        >>> import tinyseq as ts
        >>> w = ts.nn.Parameter([1.0, -2.0])
        >>> (w * w).sum().backward()
        >>> SGD([w], lr=0.25).step()
        >>> w.detach()
        tensor([ 0.5, -1. ])
    """

    def __init__(self, params: Any, lr: float = 1e-3, momentum: float = 0, dampening: float = 0,
                 weight_decay: float = 0, nesterov: bool = False, *,
                 allow_nonfinite: bool = False) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening,
                                  "weight_decay": weight_decay, "nesterov": nesterov},
                         allow_nonfinite)

    def check(self, group: Group) -> None:
        for name, word in (("lr", "learning rate lr"), ("momentum", "momentum value"),
                           ("weight_decay", "weight_decay value")):
            number(word, group[name])
        number("dampening value", group["dampening"], low=-np.inf)
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening, got "
                             f"momentum={group['momentum']}, dampening={group['dampening']}")

    def update(self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: Group) -> None:
        a, decay = self.scratch(p)
        g = self.decayed(p, g, group["weight_decay"], decay)
        momentum = group["momentum"]
        if momentum != 0:
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = wrap(g.copy())
                v = state["momentum_buffer"].array
            else:
                v = state["momentum_buffer"].array
                v *= momentum
                np.multiply(g, 1 - group["dampening"], out=a)
                v += a
            if group["nesterov"]:
                np.multiply(v, momentum, out=a)
                a += g
                g = a
            else:
                g = v
        np.multiply(g, group["lr"], out=a)
        p -= a
