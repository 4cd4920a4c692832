"""`SGD`: down the gradient, with momentum if wanted."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy import where

from tinyseq.optim.one_pass import one_pass, slot
from tinyseq.optim.optimizer import Group, Optimizer, flag, number


def sgd_rule(g: Any, p: Any, v: Any, lr: Any, momentum: Any, share: Any, nesterov: Any) -> Any:
    """What becomes of one element with momentum: p, and the velocity."""
    v = v * momentum + g * share
    return p - lr * where(nesterov > 0, g + v * momentum, v), v


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
        >>> SGD([w], lr=0.25, momentum=0.9, nesterov=True, weight_decay=0.1).step()
        >>> SGD([w], lr=0.25, momentum=0.9, dampening=0.1, maximize=True).step()
        >>> w.grad = ts.tensor([float("inf"), 0.0])   # refused, unless
        >>> SGD([w], lr=0.25, allow_nonfinite=True).step()
    """

    def __init__(self, params: Any, lr: float = 1e-3, momentum: float = 0, dampening: float = 0,
                 weight_decay: float = 0, nesterov: bool = False, *, maximize: bool = False,
                 allow_nonfinite: bool = False, **ways: Any) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening,
                                  "weight_decay": weight_decay, "nesterov": nesterov,
                                  "maximize": maximize}, allow_nonfinite, **ways)

    def check(self, group: Group) -> None:
        for name, word in (("lr", "learning rate lr"), ("momentum", "momentum value"),
                           ("weight_decay", "weight_decay value")):
            number(word, group[name])
        number("dampening value", group["dampening"], low=-np.inf)
        flag("nesterov", group["nesterov"])
        flag("maximize", group["maximize"])
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening, got "
                             f"momentum={group['momentum']}, dampening={group['dampening']}")

    def update(self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: Group) -> None:
        a, decay = self.scratch(p)
        g = self.decayed(p, g, group, decay)
        momentum, first = group["momentum"], "momentum_buffer" not in state
        if momentum == 0:
            np.multiply(g, group["lr"], out=a)
            p -= a
            return
        v = slot(state, "momentum_buffer", p)
        one_pass(sgd_rule, g, [p, v], group["lr"], momentum,
                 1 if first else 1 - group["dampening"], group["nesterov"])
