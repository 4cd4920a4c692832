r"""Backpropagation through time by hand, in plain numpy, with nothing of tinyseq in it.

It is the witness that the engine is compared with, and the page to learn BPTT from. A recurrent
network uses the same weights at every step t, so the loss depends on h_t in two ways:

    directly, through its output y_t = h_t         the *direct* derivative      gy[t]
    through h_{t+1}, h_{t+2}, ... as well          the *total* derivative       flow["h"][t]

    total at t = direct at t + (total at t+1) * (h_{t+1} with respect to h_t)

That line is the backward loop, and it runs from the last step to the first because the total
derivative at t needs the one at t + 1. Given the total derivative, step t adds its own *share* to
the gradient of each weight, as if the weight of that step were a weight of its own:

    dL/dW = share_0 + share_1 + ... + share_{T-1}

Weights have PyTorch's names and layout; `gx` is dL/dx and has the shape of x, and `ga` is dL/da,
where a is the pre-activation: the sum inside a tanh or a sigmoid. Sizes: T steps, N sequences,
I inputs, H hidden units, K gates, V symbols. In all the functions

    x (T, N, I)   gy (T, N, H)   state and g_state: a tuple of (N, H), (h,) or for an LSTM (h, c)

g_state is the direct derivative of the loss for the state after the last step. In the loops, h[t]
is the state *before* step t, which the equations call h_{t-1}, and h[t + 1] the state after it.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

Array = np.ndarray
Weights = dict[str, Array]
States = tuple[Array, ...]


class Activation(NamedTuple):
    """A function and its slope, the slope as a function of the *output*."""
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def sigmoid(a: Array) -> Array:
    """1 / (1 + e^-a), without an overflow."""
    return 0.5 * np.tanh(0.5 * a) + 0.5


TANH = Activation(np.tanh, lambda h: 1 - h * h)
SIGMOID = Activation(sigmoid, lambda s: s * (1 - s))
IDENTITY = Activation(lambda a: a, np.ones_like)


@dataclass
class Gradients:
    """What one pass forward and one pass back over a sequence give.

    Shapes: y and each of flow (T, N, H); gx (T, N, I); final and state tuples of (N, H); the
        gradient of a weight, and each share of it, as the weight.
    """
    y: Array                   # the outputs, h_0 ... h_{T-1}
    final: States              # the state after the last step
    gx: Array                  # dL/dx
    state: States              # dL/d(state before the first step)
    flow: dict[str, Array]     # "h" (and "c"): the total derivative for every t
    shares: list[Weights]      # what step t adds to the gradient of each weight
    weights: Weights = field(init=False)

    def __post_init__(self) -> None:
        """dL/dW is the sum of the shares."""
        self.weights = {name: np.sum([share[name] for share in self.shares], axis=0)
                        for name in self.shares[0]}


def share(ga: Array, x: Array, h: Array, ga_hidden: Array | None = None) -> Weights:
    """What one step adds to each gradient: ga times what multiplies the weight, over N sequences.

    a = W_ih x + b_ih + W_hh h + b_hh; where the two halves do not meet in a plain sum, as in a
    GRU, `ga_hidden` is for the half with h. Shapes: ga (N, K H), x (N, I), h (N, H).
    """
    ga_hidden = ga if ga_hidden is None else ga_hidden
    return {"weight_ih_l0": ga.T @ x, "bias_ih_l0": ga.sum(axis=0),
            "weight_hh_l0": ga_hidden.T @ h, "bias_hh_l0": ga_hidden.sum(axis=0)}


def rnn_forward(weights: Weights, x: Array, state: States,
                activation: Activation = TANH) -> tuple[list[Array]]:
    """The states before and after every step of the simple (Elman) network.

    Equation: a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh,   h_t = tanh(a_t)
    Source: Elman 1990.
    """
    W_ih, W_hh = weights["weight_ih_l0"], weights["weight_hh_l0"]  # (H, I), (H, H)
    bias = weights["bias_ih_l0"] + weights["bias_hh_l0"]
    h = [state[0]]
    for t in range(len(x)):
        h.append(activation.value(x[t] @ W_ih.T + h[t] @ W_hh.T + bias))
    return (h,)


def rnn_bptt(weights: Weights, x: Array, state: States, gy: Array, g_state: States,
             activation: Activation = TANH) -> Gradients:
    """Forward and BPTT of the simple network.

    Source: Werbos 1990.
    Example: h_t = w h_{t-1} from 0.9 with w = 0.2, three steps; the loss is the last h
        >>> one = lambda value: np.full((1, 1), value)
        >>> w = {"weight_ih_l0": one(0.), "weight_hh_l0": one(.2),
        ...      "bias_ih_l0": np.zeros(1), "bias_hh_l0": np.zeros(1)}
        >>> nothing = np.zeros((3, 1, 1))
        >>> g = rnn_bptt(w, nothing, (one(.9),), nothing, (one(1.),), activation=IDENTITY)
        >>> [round(share["weight_hh_l0"].item(), 6) for share in g.shares]
        [0.036, 0.036, 0.036]
        >>> round(g.weights["weight_hh_l0"].item(), 6)   # d(w^3 h)/dw = 3 w^2 h
        0.108
    """
    W_ih, W_hh = weights["weight_ih_l0"], weights["weight_hh_l0"]
    h, = rnn_forward(weights, x, state, activation)
    gx, flow_h = np.empty_like(x), np.empty_like(gy)
    shares: list[Weights] = [{} for _ in x]
    later = g_state[0]  # what reaches h_t by way of everything after step t
    for t in reversed(range(len(x))):
        gh = gy[t] + later                            # total = direct + by way of h_{t+1}
        ga = gh * activation.slope(h[t + 1])          # (N, H)
        later = ga @ W_hh                             # h_{t-1} enters a_t through W_hh
        gx[t] = ga @ W_ih
        flow_h[t] = gh
        shares[t] = share(ga, x[t], h[t])
    return Gradients(np.stack(h[1:]), (h[-1],), gx, (later,), {"h": flow_h}, shares)


def lstm_forward(weights: Weights, x: Array, state: States
                 ) -> tuple[list[Array], list[Array], list[States]]:
    r"""The states h and c before and after every step of an LSTM, and every step's gates.

    Equation: a = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh, rows in the order i f g o
        i = \sigma(a_i)   f = \sigma(a_f)   g = tanh(a_g)   o = \sigma(a_o)
        c_t = f c_{t-1} + i g,   h_t = o tanh(c_t)
    Source: Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000.
    """
    W_ih, W_hh = weights["weight_ih_l0"], weights["weight_hh_l0"]  # (4H, I), (4H, H)
    bias = weights["bias_ih_l0"] + weights["bias_hh_l0"]
    h, c = [state[0]], [state[1]]
    gates: list[States] = []
    for t in range(len(x)):
        a_i, a_f, a_g, a_o = np.split(x[t] @ W_ih.T + h[t] @ W_hh.T + bias, 4, axis=1)
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
        gates.append((i, f, g, o))
        c.append(f * c[t] + i * g)
        h.append(o * np.tanh(c[t + 1]))
    return h, c, gates


def lstm_bptt(weights: Weights, x: Array, state: States, gy: Array,
              g_state: States) -> Gradients:
    """Forward and BPTT of the LSTM: two paths lead back, and c's has no weight matrix on it."""
    W_ih, W_hh = weights["weight_ih_l0"], weights["weight_hh_l0"]
    h, c, gates = lstm_forward(weights, x, state)
    gx, flow_h, flow_c = np.empty_like(x), np.empty_like(gy), np.empty_like(gy)
    shares: list[Weights] = [{} for _ in x]
    later_h, later_c = g_state  # what reaches h_t and c_t by way of everything after step t
    for t in reversed(range(len(x))):
        i, f, g, o = gates[t]
        tanh_c = np.tanh(c[t + 1])
        gh = gy[t] + later_h                          # total = direct + by way of the gates of t+1
        gc = gh * o * TANH.slope(tanh_c) + later_c    # by way of h_t, and by way of c_{t+1}
        ga = np.concatenate([gc * g * SIGMOID.slope(i),
                             gc * c[t] * SIGMOID.slope(f),
                             gc * i * TANH.slope(g),
                             gh * tanh_c * SIGMOID.slope(o)], axis=1)  # (N, 4H)
        later_h = ga @ W_hh                           # h_{t-1} enters all four gates
        later_c = gc * f                              # c_{t-1} enters c_t, times f
        gx[t] = ga @ W_ih
        flow_h[t], flow_c[t] = gh, gc
        shares[t] = share(ga, x[t], h[t])
    return Gradients(np.stack(h[1:]), (h[-1], c[-1]), gx, (later_h, later_c),
                     {"h": flow_h, "c": flow_c}, shares)


def gru_forward(weights: Weights, x: Array, state: States) -> tuple[list[Array], list[States]]:
    r"""The states before and after every step of a GRU, and every step's r, z, n and hidden half.

    Equation: r = \sigma(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr), z likewise
        n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn)),   h_t = (1 - z) n + z h_{t-1}
    Source: Cho et al. 2014, with the reset gate after the product, as PyTorch has it.
    """
    h = [state[0]]
    gates: list[States] = []
    for t in range(len(x)):
        x_r, x_z, x_n = np.split(x[t] @ weights["weight_ih_l0"].T + weights["bias_ih_l0"], 3, 1)
        h_r, h_z, h_n = np.split(h[t] @ weights["weight_hh_l0"].T + weights["bias_hh_l0"], 3, 1)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        n = np.tanh(x_n + r * h_n)
        gates.append((r, z, n, h_n))
        h.append((1 - z) * n + z * h[t])
    return h, gates


def gru_bptt(weights: Weights, x: Array, state: States, gy: Array,
             g_state: States) -> Gradients:
    """Forward and BPTT of the GRU."""
    W_ih, W_hh = weights["weight_ih_l0"], weights["weight_hh_l0"]  # (3H, I), (3H, H)
    h, gates = gru_forward(weights, x, state)
    gx, flow_h = np.empty_like(x), np.empty_like(gy)
    shares: list[Weights] = [{} for _ in x]
    later = g_state[0]  # what reaches h_t by way of everything after step t
    for t in reversed(range(len(x))):
        r, z, n, h_n = gates[t]
        gh = gy[t] + later                            # total = direct + by way of step t+1
        ga_n = gh * (1 - z) * TANH.slope(n)
        ga_z = gh * (h[t] - n) * SIGMOID.slope(z)
        ga_r = ga_n * h_n * SIGMOID.slope(r)
        ga = np.concatenate([ga_r, ga_z, ga_n], axis=1)             # (N, 3H)
        ga_hidden = np.concatenate([ga_r, ga_z, ga_n * r], axis=1)  # r stands before W_hn h
        later = ga_hidden @ W_hh + gh * z             # through the gates, and straight through z
        gx[t] = ga @ W_ih
        flow_h[t] = gh
        shares[t] = share(ga, x[t], h[t], ga_hidden)
    return Gradients(np.stack(h[1:]), (h[-1],), gx, (later,), {"h": flow_h}, shares)


FORWARD: dict[str, Callable[..., tuple]] = {
    "rnn": rnn_forward, "lstm": lstm_forward, "gru": gru_forward}
BPTT: dict[str, Callable[..., Gradients]] = {
    "rnn": rnn_bptt, "lstm": lstm_bptt, "gru": gru_bptt}


def softmax_cross_entropy(logits: Array, targets: Array) -> tuple[float, Array]:
    r"""The mean of -ln p(target), and its derivative with respect to the logits.

    Equation: p = softmax(z),   L = -mean ln p_{target},   dL/dz = (p - onehot(target)) / count
    Shapes: logits (..., V); targets (...), integers.
    Units: nats.
    Example:
        >>> loss, gz = softmax_cross_entropy(np.zeros((1, 2)), np.array([0]))
        >>> round(loss, 4), gz.tolist()   # ln 2
        (0.6931, [[-0.5, 0.5]])
    """
    z = logits - logits.max(axis=-1, keepdims=True)  # so that no exponential overflows
    ln_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    onehot = np.arange(logits.shape[-1]) == np.asarray(targets)[..., None]
    count = targets.size
    return -ln_p[onehot].sum().item() / count, (np.exp(ln_p) - onehot) / count


def language_model(cell: str, weights: Weights, x: Array, targets: Array,
                   state: States) -> tuple[float, Gradients]:
    """Loss and gradients of a cell ("rnn", "lstm", "gru") that predicts the next symbol.

    Beside the cell's weights there are those of the decoder: decoder.weight (V, H) and
    decoder.bias (V,). Step t's output is read at step t only, so gy is the direct derivative.

    Equation: z_t = W h_t + b,   L = the mean over t and sequences of -ln softmax(z_t)_{target}
    Shapes: targets (T, N), integers.
    Units: nats.
    """
    y = np.stack(FORWARD[cell](weights, x, state)[0][1:])
    W = weights["decoder.weight"]
    loss, gz = softmax_cross_entropy(y @ W.T + weights["decoder.bias"], targets)  # (T, N, V)
    g_state = tuple(np.zeros_like(part) for part in state)  # no loss reads the final state
    gradients = BPTT[cell](weights, x, state, gz @ W, g_state)
    for t, step in enumerate(gradients.shares):
        step |= {"decoder.weight": gz[t].T @ y[t], "decoder.bias": gz[t].sum(axis=0)}
    return loss, replace(gradients)  # which sums the shares anew
