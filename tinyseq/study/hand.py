"""BPTT by hand against the recorded graph: two independent ways to the same numbers."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyseq import byhand
from tinyseq.cells import CELLS
from tinyseq.flow import shares
from tinyseq.layer import Weights
from tinyseq.mode import detail
from tinyseq.tensor import Tensor, wrap
from tinyseq.unroll import unroll
from tinyseq.walk import differentiate

NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
T, N, I, H = 25, 3, 4, 5


@dataclass
class Agreement:
    """The largest differences, relative to the largest value of each tensor."""

    cell: str
    gradients: float      # the graph's gradients against those by hand
    shares: float         # every step's share, the graph's against those by hand
    total: float          # the sum of the graph's shares against the graph's gradient

    @property
    def worst(self) -> float:
        return max(self.gradients, self.shares, self.total)


def compare(name: str, seed: int) -> Agreement:
    """The vanilla RNN ("rnn_tanh") or the LSTM ("lstm") both ways, in float64."""
    cell, rng = CELLS[name], np.random.default_rng(seed)
    K, S = len(cell.gates), len(cell.states)
    shapes = [(T, N, I), *[(N, H)] * S, (K * H, I), (K * H, H), (K * H,), (K * H,)]
    x, *rest = [rng.normal(0, 0.5, shape) for shape in shapes]
    states, weights = tuple(rest[:S]), dict(zip(NAMES, rest[S:]))
    gy, g_states = rng.normal(size=(T, N, H)), tuple(rng.normal(size=(S, N, H)))
    way = byhand.rnn_bptt if name == "rnn_tanh" else byhand.lstm_bptt
    hand = way(weights, x, states, gy, g_states)

    leaves = [wrap(a).requires_grad_() for a in (x, *states, *weights.values())]
    with detail("gates"):
        y, finals = unroll(cell, leaves[0], tuple(leaves[1:1 + S]),
                           Weights.of([*leaves[1 + S:], None], cell))
    loss: Tensor = (y * wrap(gy)).sum()
    for s, g in zip(finals, g_states):
        loss = loss + (s * wrap(g)).sum()
    graph = differentiate([loss], [None], True, False)
    found = [graph[leaf] for leaf in leaves]
    by_hand = [hand.gx, *hand.state, *[hand.weights[n] for n in NAMES]]
    terms = {n: shares(loss, leaf) for n, leaf in zip(NAMES, leaves[1 + S:])}
    return Agreement(
        name, max(map(apart, found, by_hand)),
        max(apart(terms[n], np.array([share[n] for share in hand.shares])) for n in NAMES),
        max(apart(terms[n].sum(axis=0), graph[leaf])
            for n, leaf in zip(NAMES, leaves[1 + S:])))


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference, relative to the largest value."""
    return float(np.abs(a - b).max() / np.abs(b).max())
