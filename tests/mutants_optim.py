"""Mistakes in optimizers, clipping and schedules, and checks against the equations as written.

The recurrences here are scalar-for-scalar the textbook's, in plain numpy, out of place.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import tinyseq as ts
from mutants_sequence import Patch, patch, same
from tinyseq import nn, optim
from tinyseq.nn import utils
from tinyseq.optim import adam, adaptive, optimizer, schedule, sgd

OPTIM: tuple[Patch, ...] = (
    patch("Adam's bias correction one step late", adam.Adam, "update",
          'math.sqrt(1 - beta2 ** state["step"])', 'math.sqrt(1 - beta2 ** (state["step"] + 1))',
          says="Adam.*step 1"),
    patch("Adam's eps inside the root", adam, "adam_rule",
          "np.sqrt(largest) / root + eps", "np.sqrt(largest + eps) / root", says="Adam.*step 1"),
    patch("Adam's betas swapped", adam.Adam, "update",
          'beta1, beta2 = group["betas"]', 'beta2, beta1 = group["betas"]', says="Adam.*step 2"),
    patch("AdamW's decay through the gradient", adam.AdamW, "update",
          'p *= 1 - group["lr"] * group["weight_decay"]', "pass",
          'super().update(p, g, state, {**group, "weight_decay": 0})',
          "Adam.update(self, p, g, state, group)", says="AdamW.*step 1"),
    patch("dampening ignored", sgd.SGD, "update",
          '1 - group["dampening"]', "1", says="SGD.*step 2"),
    patch("Nesterov's sign", sgd, "sgd_rule",
          "g + v * momentum", "g - v * momentum", says="SGD.*step 1"),
    patch("RMSprop not centred", adaptive, "rmsprop_rule",
          "square - mean * mean", "square", says="RMSprop.*step 1"),
    patch("Adagrad's sum not added up", adaptive, "adagrad_rule",
          "total + g * g", "g * g",
          says="Adagrad.*step 2"),
    patch("clipped to twice the norm", utils, "clip_grad_norm_",
          "factor = max_norm /", "factor = 2 * max_norm /", says="clip_grad_norm_"),
    patch("each gradient clipped by its own norm", utils, "clip_grad_norm_",
          "np.multiply(a, factor, out=a)",
          "np.multiply(a, max_norm / (norm(a, norm_type) + 1e-6), out=a)",
          says="clip_grad_norm_"),
    patch("schedule one step late", schedule.LRScheduler, "step",
          "self.rate(base, k, self.last_epoch + 1)", "self.rate(base, k, max(self.last_epoch, 0))",
          says="schedule.*step 1"),
    patch("a group's own weight decay ignored", optimizer.Optimizer, "add_param_group",
          'made = {**self.defaults, **group, "params": params}',
          'made = {**group, **self.defaults, "params": params}', says="bias.*group"),
    patch("state shared between parameters", optimizer.Optimizer, "step",
          "self.state.setdefault(p, {})", "self.state.setdefault(work[0][1], {})",
          says="parameter 1"),
    patch("zero_grad writes into the old gradient", optimizer.Optimizer, "zero_grad",
          "p.grad = None if set_to_none or p.grad is None else np.zeros_like(p.array)",
          "p.grad = None if set_to_none or p.grad is None else p.grad.array.__imul__(0)",
          says="zero_grad"),
)


# -- the equations ------------------------------------------------------------------------------
def adam_by_hand(p: Any, g: Any, s: dict, k: int, lr: float, betas: Any, eps: float,
                 weight_decay: float, decoupled: bool = False) -> Any:
    b1, b2 = betas
    if decoupled:
        p = p - lr * weight_decay * p
    else:
        g = g + weight_decay * p
    s["m"] = b1 * s.get("m", 0.0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0.0) + (1 - b2) * g ** 2
    return p - lr * (s["m"] / (1 - b1 ** k)) / (np.sqrt(s["v"] / (1 - b2 ** k)) + eps)


def adamw_by_hand(p: Any, g: Any, s: dict, k: int, **options: Any) -> Any:
    return adam_by_hand(p, g, s, k, decoupled=True, **options)


def sgd_by_hand(p: Any, g: Any, s: dict, k: int, lr: float, momentum: float,
                dampening: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0) -> Any:
    g = g + weight_decay * p
    s["v"] = g if k == 1 else momentum * s["v"] + (1 - dampening) * g
    return p - lr * (g + momentum * s["v"] if nesterov else s["v"])


def rmsprop_by_hand(p: Any, g: Any, s: dict, k: int, lr: float, alpha: float, eps: float) -> Any:
    s["s"] = alpha * s.get("s", 0.0) + (1 - alpha) * g ** 2
    s["a"] = alpha * s.get("a", 0.0) + (1 - alpha) * g
    return p - lr * g / (np.sqrt(s["s"] - s["a"] ** 2) + eps)


def adagrad_by_hand(p: Any, g: Any, s: dict, k: int, lr: float, lr_decay: float,
                    eps: float) -> Any:
    s["s"] = s.get("s", 0.0) + g ** 2
    return p - lr / (1 + (k - 1) * lr_decay) * g / (np.sqrt(s["s"]) + eps)


WAYS: dict[str, tuple[type, Callable, dict[str, Any], dict[str, Any]]] = {
    "Adam": (optim.Adam, adam_by_hand, {"lr": 0.1, "betas": (0.6, 0.9), "eps": 1e-2,
                                        "weight_decay": 0.1}, {}),
    "AdamW": (optim.AdamW, adamw_by_hand, {"lr": 0.1, "betas": (0.6, 0.9), "eps": 1e-2,
                                           "weight_decay": 0.3}, {}),
    "SGD with dampening": (optim.SGD, sgd_by_hand, {"lr": 0.1, "momentum": 0.8, "dampening": 0.4,
                                                    "weight_decay": 0.1}, {}),
    "SGD by Nesterov": (optim.SGD, sgd_by_hand, {"lr": 0.1, "momentum": 0.8, "nesterov": True},
                        {}),
    "RMSprop, centred": (optim.RMSprop, rmsprop_by_hand, {"lr": 0.1, "alpha": 0.7, "eps": 1e-2},
                         {"centered": True}),
    "Adagrad": (optim.Adagrad, adagrad_by_hand, {"lr": 0.1, "lr_decay": 0.2, "eps": 1e-2}, {}),
}


def gradients(steps: int) -> Iterator[list[np.ndarray]]:
    """Gradients of two parameters of one shape, for some steps."""
    rng = np.random.default_rng(0)
    for _ in range(steps):
        yield [rng.normal(size=(2, 3)) for _ in range(2)]


def way_check(name: str) -> Callable[[], None]:
    """Five steps of an optimizer over two parameters of one shape, against its equation."""
    def check() -> None:
        kind, by_hand, options, more = WAYS[name]
        start = np.linspace(-1, 1, 6).reshape(2, 3)
        params = [nn.Parameter(start * (k + 1), dtype=np.float64) for k in range(2)]
        right, states = [p.array.copy() for p in params], [{}, {}]
        steps = kind(params, **options, **more)
        for k, gs in enumerate(gradients(5), 1):
            for n, (p, g) in enumerate(zip(params, gs)):
                p.grad = g.copy()
                right[n] = by_hand(right[n], g, states[n], k, **options)
            steps.step()
            for n, p in enumerate(params):
                same(f"{name}: parameter {n} after step {k}", p.array, right[n])
    return check


def clip_check() -> None:
    """All gradients by one factor, so that their joint norm is the largest allowed."""
    params = [nn.Parameter(np.zeros((2, 3)), dtype=np.float64) for _ in range(2)]
    gs = [np.full((2, 3), 3.0), np.arange(6.0).reshape(2, 3)]
    for p, g in zip(params, gs):
        p.grad = g.copy()
    total = math.sqrt(sum(float((g * g).sum()) for g in gs))
    same("clip_grad_norm_: the norm", utils.clip_grad_norm_(params, 1.5).array, np.array(total))
    for n, (p, g) in enumerate(zip(params, gs)):
        same(f"clip_grad_norm_: gradient {n}", p.grad.array, g * 1.5 / (total + 1e-6))
    params[0].grad = np.full((2, 3), 0.1)
    params[1].grad = None
    utils.clip_grad_norm_(params, 1.5)
    same("clip_grad_norm_: a gradient that is small enough", params[0].grad.array,
         np.full((2, 3), 0.1))


def schedule_check() -> None:
    """lr = first gamma^k after step k."""
    steps = optim.SGD([nn.Parameter([1.0])], lr=0.8)
    schedule = optim.lr_scheduler.ExponentialLR(steps, 0.5)
    for k in range(4):
        same(f"schedule: lr after step {k}", np.array(steps.param_groups[0]["lr"]),
             np.array(0.8 * 0.5 ** k))
        schedule.step()


def groups_check() -> None:
    """Biases in a group of their own, without weight decay, as is usual."""
    weight, bias = [nn.Parameter(np.ones(3), dtype=np.float64) for _ in range(2)]
    steps = optim.SGD([{"params": [weight]}, {"params": [bias], "weight_decay": 0.0}], lr=0.5,
                      weight_decay=0.2)
    weight.grad, bias.grad = np.zeros(3), np.zeros(3)
    steps.step()
    same("the weight's group: with decay", weight.array, np.full(3, 0.9))
    same("the bias's group: without weight decay", bias.array, np.ones(3))


def zero_check() -> None:
    """What someone kept of a gradient stays as it was."""
    p = nn.Parameter(np.ones(3), dtype=np.float64)
    steps = optim.SGD([p], lr=0.5)
    (p * ts.tensor([1.0, 2.0, 3.0], dtype=ts.float64)).sum().backward()
    kept = p.grad
    steps.zero_grad(set_to_none=False)
    same("zero_grad: a gradient that was kept", kept.array, np.array([1.0, 2.0, 3.0]))
    same("zero_grad: the gradient now", p.grad.array, np.zeros(3))


CHECKS: dict[str, Callable[[], None]] = {
    **{name: way_check(name) for name in WAYS}, "clip_grad_norm_": clip_check,
    "schedule": schedule_check, "groups": groups_check, "zero_grad": zero_check}
