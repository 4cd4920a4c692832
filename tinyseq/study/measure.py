"""How far back the gradient reaches: ||dL/dh|| against lag, for four nets beside theory."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyseq.flow import Flow, flow, kept_by_truncation, last, shares
from tinyseq.mode import detail
from tinyseq.nn.module import Module
from tinyseq.ops import manual_seed
from tinyseq.study.model import recurrent
from tinyseq.tensor import Tensor, wrap

INPUTS = 16   # the width of the random input
LAGS = (1, 10, 25, 100)
NETS = (("rnn", "rnn", None), ("lstm b_f=0", "lstm", 0.0), ("lstm b_f=1", "lstm", 1.0),
        ("gru", "gru", None))


@dataclass
class Measurement:
    """The norms of dL/dh by lag (lag 0 first), each divided by the one at lag 0, for every net."""

    steps: int
    hidden: int
    curves: dict[str, list[float]]
    theory: list[float]                # sigma(1)^lag: a forget gate that only sees its bias
    radius: float                      # the spectral radius of the rnn's W_hh
    shares: list[float]                # the norm of each step's share of dL/dW_hh, by lag,
    kept: list[float]                  # and of the first k shares' sum, over that of all
    grid: Flow                         # the study's own cell, for the picture

    def at(self, lag: int) -> dict[str, float]:
        return {name: curve[lag] for name, curve in self.curves.items() if lag < len(curve)}


def measure(cell: str, hidden: int, seed: int, lags: int = 100) -> Measurement:
    """Unroll untrained nets over random input and let the loss look at the last step only."""
    curves, radius = {}, 0.0
    for name, kind, bias in NETS:
        layer, loss = last_step_loss(kind, hidden, seed, lags, bias)
        curves[name] = relative(flow(loss).lanes["h"][1:])
        if kind == "rnn":
            weight = np.asarray(layer.weight_hh_l0.detach().numpy(), np.float64)
            radius = float(np.abs(np.linalg.eigvals(weight)).max())
    layer, loss = last_step_loss(cell, hidden, seed, lags, 1.0 if cell == "lstm" else None)
    terms = shares(loss, layer.weight_hh_l0)
    total = float(np.linalg.norm(terms.sum(axis=0)))
    gate = 1.0 / (1.0 + np.exp(-1.0))
    return Measurement(lags, hidden, curves, [gate ** lag for lag in range(lags + 1)], radius,
                       [float(np.linalg.norm(term)) / total for term in terms[::-1]],
                       kept_by_truncation(terms), flow(loss))


def last_step_loss(kind: str, hidden: int, seed: int, lags: int,
                   bias: float | None) -> tuple[Module, Tensor]:
    """A fresh net in float64, and a random linear loss of its last state."""
    manual_seed(seed)
    rng = np.random.default_rng(seed)
    layer = recurrent(kind, INPUTS, hidden, np.float64, bias)
    x = wrap(rng.normal(size=(lags + 1, 1, INPUTS)))
    states = [wrap(np.zeros((1, 1, hidden))).requires_grad_() for _ in range(2)]
    with detail("gates"):
        y, _ = layer(x, tuple(states) if kind == "lstm" else states[0])
    return layer, (y[-1] * wrap(rng.normal(size=(1, hidden)))).sum()


def relative(norms: list[float | None]) -> list[float]:
    """Norms by lag, the newest first, divided by the newest."""
    newest, *older = last(norms)
    return [1.0] + [value / newest for value in older]
