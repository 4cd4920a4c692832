"""BPTT as a textbook's loop, one statement a line: the right text that mistakes are made in.

Gradients are gathered in the loop (`gW_hh += ...`), as most code written by hand does, because
half of the known mistakes are in just that. In the loops h[t] is the state *before* step t and
h[t + 1] the one after it; a `g` before a name is the loss's derivative by it.

Shapes: x (T, N, I), gy (T, N, H), a state (N, H); weights W_ih (K H, I), W_hh (K H, H), b_ih and
b_hh (K H), for K gates. A trace is what forward keeps for backward: first of all h, then c.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Array = np.ndarray
Weights = tuple[Array, ...]  # W_ih, W_hh, b_ih, b_hh
States = tuple[Array, ...]   # (h,), or an LSTM's (h, c)


def sigmoid(a: Array) -> Array:
    """1 / (1 + e^-a), without an overflow."""
    return 0.5 * np.tanh(0.5 * a) + 0.5


def dsigmoid(s: Array) -> Array:
    """The slope of the sigmoid, from its *value* s."""
    return s * (1 - s)


def dtanh(h: Array) -> Array:
    """The slope of tanh, from its *value* h."""
    return 1 - h * h


def rnn_forward(weights: Weights, x: Array, state: States, relu: bool = False) -> tuple:
    """The trace (h, a) of a vanilla network: the states, and what its activation was given."""
    W_ih, W_hh, b_ih, b_hh = weights
    h, a = [state[0]], []
    for t in range(len(x)):
        a.append(x[t] @ W_ih.T + b_ih + h[t] @ W_hh.T + b_hh)
        h.append(np.maximum(a[t], 0) if relu else np.tanh(a[t]))
    return h, a


def rnn_backward(weights: Weights, x: Array, trace: tuple, gy: Array, g_state: States,
                 relu: bool = False) -> tuple:
    """(gradients of the weights, of x, of the state before the first step)."""
    W_ih, W_hh, b_ih, b_hh = weights
    h, a = trace
    gx = np.zeros_like(x)
    gW_ih, gW_hh, gb_ih, gb_hh = [np.zeros_like(w) for w in weights]
    gh_later = g_state[0]
    for t in reversed(range(len(x))):
        gh = gy[t] + gh_later
        ga = gh * (a[t] > 0 if relu else dtanh(h[t + 1]))
        gW_ih += ga.T @ x[t]
        gW_hh += ga.T @ h[t]
        gb_ih += ga.sum(axis=0)
        gb_hh += ga.sum(axis=0)
        gx[t] = ga @ W_ih
        gh_later = ga @ W_hh
    gh_0 = gh_later
    return (gW_ih, gW_hh, gb_ih, gb_hh), gx, (gh_0,)


def lstm_forward(weights: Weights, x: Array, state: States) -> tuple:
    """The trace (h, c, gates) of an LSTM: both states, and every step's i, f, g, o."""
    W_ih, W_hh, b_ih, b_hh = weights
    h, c, gates = [state[0]], [state[1]], []
    for t in range(len(x)):
        a = x[t] @ W_ih.T + b_ih + h[t] @ W_hh.T + b_hh
        a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
        gates.append((sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)))
        i, f, g, o = gates[-1]
        c.append(f * c[t] + i * g)
        h.append(o * np.tanh(c[t + 1]))
    return h, c, gates


def lstm_backward(weights: Weights, x: Array, trace: tuple, gy: Array, g_state: States) -> tuple:
    """(gradients of the weights, of x, of the states before the first step)."""
    W_ih, W_hh, b_ih, b_hh = weights
    h, c, gates = trace
    gx = np.zeros_like(x)
    gW_ih, gW_hh, gb_ih, gb_hh = [np.zeros_like(w) for w in weights]
    gh_later, gc_later = g_state
    for t in reversed(range(len(x))):
        i, f, g, o = gates[t]
        tanh_c = np.tanh(c[t + 1])
        gh = gy[t] + gh_later
        gc = gh * o * dtanh(tanh_c) + gc_later
        gi = gc * g * dsigmoid(i)
        gf = gc * c[t] * dsigmoid(f)
        gg = gc * i * dtanh(g)
        go = gh * tanh_c * dsigmoid(o)
        ga = np.concatenate([gi, gf, gg, go], axis=1)
        gW_ih += ga.T @ x[t]
        gW_hh += ga.T @ h[t]
        gb_ih += ga.sum(axis=0)
        gb_hh += ga.sum(axis=0)
        gx[t] = ga @ W_ih
        gh_later = ga @ W_hh
        gc_later = gc * f
    gh_0, gc_0 = gh_later, gc_later
    return (gW_ih, gW_hh, gb_ih, gb_hh), gx, (gh_0, gc_0)


def gru_forward(weights: Weights, x: Array, state: States) -> tuple:
    """The trace (h, gates) of a GRU: the states, and every step's r, z, n and W_hn h + b_hn."""
    W_ih, W_hh, b_ih, b_hh = weights
    h, gates = [state[0]], []
    for t in range(len(x)):
        x_r, x_z, x_n = np.split(x[t] @ W_ih.T + b_ih, 3, axis=1)
        h_r, h_z, h_n = np.split(h[t] @ W_hh.T + b_hh, 3, axis=1)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        n = np.tanh(x_n + r * h_n)
        gates.append((r, z, n, h_n))
        h.append((1 - z) * n + z * h[t])
    return h, gates


def gru_backward(weights: Weights, x: Array, trace: tuple, gy: Array, g_state: States) -> tuple:
    """(gradients of the weights, of x, of the state before the first step)."""
    W_ih, W_hh, b_ih, b_hh = weights
    h, gates = trace
    gx = np.zeros_like(x)
    gW_ih, gW_hh, gb_ih, gb_hh = [np.zeros_like(w) for w in weights]
    gh_later = g_state[0]
    for t in reversed(range(len(x))):
        r, z, n, h_n = gates[t]
        gh = gy[t] + gh_later
        gn = gh * (1 - z) * dtanh(n)
        gz = gh * (h[t] - n) * dsigmoid(z)
        gr = gn * h_n * dsigmoid(r)
        ga_x = np.concatenate([gr, gz, gn], axis=1)
        ga_h = np.concatenate([gr, gz, gn * r], axis=1)
        gW_ih += ga_x.T @ x[t]
        gW_hh += ga_h.T @ h[t]
        gb_ih += ga_x.sum(axis=0)
        gb_hh += ga_h.sum(axis=0)
        gx[t] = ga_x @ W_ih
        gh_later = ga_h @ W_hh + gh * z
    gh_0 = gh_later
    return (gW_ih, gW_hh, gb_ih, gb_hh), gx, (gh_0,)


class Hand(NamedTuple):
    """One cell by hand: its states and gates as torch orders them, and its two functions."""

    states: tuple[str, ...]
    gates: str
    forward: Callable[..., tuple]
    backward: Callable[..., tuple]
    options: dict[str, bool] = {}


HANDS = {"rnn": Hand(("h_0",), "h", rnn_forward, rnn_backward),
         "rnn_relu": Hand(("h_0",), "h", rnn_forward, rnn_backward, {"relu": True}),
         "lstm": Hand(("h_0", "c_0"), "ifgo", lstm_forward, lstm_backward),
         "gru": Hand(("h_0",), "rzn", gru_forward, gru_backward)}
