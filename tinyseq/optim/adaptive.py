"""`RMSprop`, `Adagrad`, `Adadelta`: steps divided by a running size of the gradients."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy import where

from tinyseq.optim.one_pass import one_pass, quotient, slot
from tinyseq.optim.optimizer import Group, Optimizer, flag, number


def rmsprop_rule(g: Any, p: Any, square: Any, mean: Any, v: Any, lr: Any, alpha: Any, share: Any,
                 eps: Any, momentum: Any, centered: Any) -> Any:
    """What becomes of one element: p, the two means and the velocity, where there are some."""
    square = square * alpha + g * g * share
    mean = mean * alpha + g * share
    spread = where(centered > 0, square - mean * mean, square)
    spread = where(spread < 0, spread * 0, spread)  # a variance; rounding can take it below 0
    v = where(momentum > 0, v * momentum, spread * 0) + quotient(g, np.sqrt(spread) + eps)
    return p - lr * v, square, mean, v


def adagrad_rule(g: Any, p: Any, total: Any, rate: Any, eps: Any) -> Any:
    """What becomes of one element: p, and the sum of all squares."""
    total = total + g * g
    return p - rate * quotient(g, np.sqrt(total) + eps), total


def adadelta_rule(g: Any, p: Any, square: Any, steps: Any, lr: Any, rho: Any, share: Any,
                  eps: Any) -> Any:
    """What becomes of one element: p, and the mean squares of gradients and of steps."""
    square = square * rho + g * g * share
    step = quotient(g * np.sqrt(steps + eps), np.sqrt(square + eps))
    return p - lr * step, square, steps * rho + step * step * share


class RMSprop(Optimizer):
    """The gradient divided by the root of its running mean square.

    Equation: s <- alpha s + (1 - alpha) g^2, p <- p - lr g / (sqrt(s) + eps); centered: s less the
        square of g's running mean; momentum mu: v <- mu v + that quotient, p <- p - lr v
    Source: Hinton 2012, lecture 6; centered: Graves 2013.
    Example:
        >>> import tinyseq as ts
        >>> w = ts.nn.Parameter([1.0, -2.0])
        >>> (w * w).sum().backward()
        >>> RMSprop([w], lr=0.05, alpha=0.75).step()
        >>> [round(value, 5) for value in w.tolist()]
        [0.9, -1.9]
        >>> RMSprop([w], eps=1e-6, weight_decay=0.1, momentum=0.9, centered=True).step()
        >>> RMSprop([w], maximize=True, allow_nonfinite=True).step()
    """

    slots = ("square_avg",)

    def __init__(self, params: Any, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
                 weight_decay: float = 0, momentum: float = 0, centered: bool = False, *,
                 maximize: bool = False, allow_nonfinite: bool = False, **ways: Any) -> None:
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps, "momentum": momentum,
                                  "weight_decay": weight_decay, "centered": centered,
                                  "maximize": maximize}, allow_nonfinite, **ways)

    def check(self, group: Group) -> None:
        for name in ("eps", "momentum", "weight_decay", "alpha"):
            number(f"{name} value", group[name])
        number("learning rate lr", group["lr"])
        flag("centered", group["centered"])
        flag("maximize", group["maximize"])

    def update(self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: Group) -> None:
        unused, decay = self.scratch(p)
        g, alpha = self.decayed(p, g, group, decay), group["alpha"]
        mean = slot(state, "grad_avg", p) if group["centered"] else unused
        v = slot(state, "momentum_buffer", p) if group["momentum"] > 0 else unused
        one_pass(rmsprop_rule, g, [p, slot(state, "square_avg", p), mean, v], group["lr"], alpha,
                 1 - alpha, group["eps"], group["momentum"], group["centered"])


class Adagrad(Optimizer):
    """The gradient divided by the root of the sum of all its squares so far.

    Equation: s <- s + g^2, p <- p - lr / (1 + (k - 1) lr_decay) g / (sqrt(s) + eps) at step k
    Source: Duchi, Hazan and Singer 2011.
    Example:
        >>> import tinyseq as ts
        >>> w = ts.nn.Parameter([1.0, -2.0])
        >>> (w * w).sum().backward()
        >>> Adagrad([w], lr=0.5).step()
        >>> w.tolist()
        [0.5, -1.5]
        >>> Adagrad([w], lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.5).step()
        >>> Adagrad([w], eps=1e-8, maximize=True, allow_nonfinite=True).step()
    """

    slots = ("step", "sum")

    def __init__(self, params: Any, lr: float = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
                 initial_accumulator_value: float = 0, eps: float = 1e-10, *,
                 maximize: bool = False, allow_nonfinite: bool = False, **ways: Any) -> None:
        super().__init__(params, {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "maximize": maximize},
            allow_nonfinite, **ways)

    def check(self, group: Group) -> None:
        for name in ("lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            number(f"{name} value", group[name])
        number("learning rate lr", group["lr"])
        flag("maximize", group["maximize"])

    def update(self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: Group) -> None:
        total = slot(state, "sum", p, group["initial_accumulator_value"])
        state["step"] = state.get("step", 0) + 1
        g = self.decayed(p, g, group, self.scratch(p)[0])
        rate = group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
        one_pass(adagrad_rule, g, [p, total], rate, group["eps"])


class Adadelta(Optimizer):
    """Steps as large as recent steps were, for gradients as large as recent ones.

    Equation: s <- rho s + (1 - rho) g^2, d = g sqrt(u + eps) / sqrt(s + eps),
        u <- rho u + (1 - rho) d^2, p <- p - lr d
    Source: Zeiler 2012.
    Example:
        >>> import tinyseq as ts
        >>> w = ts.nn.Parameter([1.0, -2.0])
        >>> (w * w).sum().backward()
        >>> Adadelta([w], lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.1).step()
        >>> [round(value, 4) for value in w.tolist()]
        [0.9968, -1.9968]
        >>> Adadelta([w], maximize=True, allow_nonfinite=True).step()
    """

    slots = ("square_avg", "acc_delta")

    def __init__(self, params: Any, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6,
                 weight_decay: float = 0, *, maximize: bool = False,
                 allow_nonfinite: bool = False, **ways: Any) -> None:
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay,
                                  "maximize": maximize}, allow_nonfinite, **ways)

    def check(self, group: Group) -> None:
        number("learning rate lr", group["lr"])
        number("eps value", group["eps"])
        number("weight_decay value", group["weight_decay"])
        number("rho value", group["rho"], below=np.nextafter(1.0, 2.0))
        flag("maximize", group["maximize"])

    def update(self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: Group) -> None:
        square, steps = slot(state, "square_avg", p), slot(state, "acc_delta", p)
        g, rho = self.decayed(p, g, group, self.scratch(p)[0]), group["rho"]
        one_pass(adadelta_rule, g, [p, square, steps], group["lr"], rho, 1 - rho, group["eps"])
