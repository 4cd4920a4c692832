"""What each framework computes in one step, in plain numpy, in its own layout and gate order.

These are the witnesses of a conversion: they know nothing of tinyseq, and each is written from
its framework's own definition, so that a gate in the wrong rows or a misplaced bias shows.
`w` holds one layer's weights in one direction under the framework's names, nested names joined
with "/", and the settings that its equation depends on.

Shapes: x (N, I), h (N, H), c (N, H); each returns the new h, an LSTM the new (h, c).
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray
Held = Mapping[str, Any]
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"tanh": np.tanh,
                                                    "relu": lambda a: np.maximum(a, 0.0)}


def sigmoid(a: Array) -> Array:
    """1 / (1 + e^-a), without an overflow."""
    return 0.5 * np.tanh(0.5 * a) + 0.5


# -- PyTorch: torch.nn.RNN, LSTM, GRU -------------------------------------------------------
def torch_rnn(w: Held, x: Array, h: Array) -> Array:
    """One layer's step of torch.nn.RNN."""
    act = ACTIVATIONS[w["nonlinearity"]]
    return act(x @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"])


def torch_lstm(w: Held, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    """One layer's step of torch.nn.LSTM, with or without a projection."""
    a = x @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"]
    i, f, g, o = np.split(a, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h @ w["weight_hr"].T if "weight_hr" in w else h, c


def torch_gru(w: Held, x: Array, h: Array) -> Array:
    """One layer's step of torch.nn.GRU."""
    x_r, x_z, x_n = np.split(x @ w["weight_ih"].T + w["bias_ih"], 3, axis=1)
    h_r, h_z, h_n = np.split(h @ w["weight_hh"].T + w["bias_hh"], 3, axis=1)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = np.tanh(x_n + r * h_n)
    return (1 - z) * n + z * h


# -- Keras 3: keras.layers.SimpleRNN, LSTM, GRU ---------------------------------------------
def keras_rnn(w: Held, x: Array, h: Array) -> Array:
    """One step of keras.layers.SimpleRNN."""
    return ACTIVATIONS[w["activation"]](x @ w["kernel"] + w["bias"] + h @ w["recurrent_kernel"])


def keras_lstm(w: Held, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    """One step of keras.layers.LSTM."""
    a = x @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"]
    i, f, candidate, o = np.split(a, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(candidate)
    return sigmoid(o) * np.tanh(c), c


def keras_gru(w: Held, x: Array, h: Array) -> Array:
    """One step of keras.layers.GRU in either of its forms."""
    u, recurrent = h.shape[1], w["recurrent_kernel"]
    bias_x, bias_h = w["bias"] if w["reset_after"] else (w["bias"], np.zeros(3 * u))
    x_z, x_r, x_h = np.split(x @ w["kernel"] + bias_x, 3, axis=1)
    z = sigmoid(x_z + h @ recurrent[:, :u] + bias_h[:u])
    r = sigmoid(x_r + h @ recurrent[:, u:2 * u] + bias_h[u:2 * u])
    if w["reset_after"]:
        candidate = np.tanh(x_h + r * (h @ recurrent[:, 2 * u:] + bias_h[2 * u:]))
    else:
        candidate = np.tanh(x_h + (r * h) @ recurrent[:, 2 * u:])
    return z * h + (1 - z) * candidate


# -- Flax: flax.linen.SimpleCell, LSTMCell and OptimizedLSTMCell, GRUCell -------------------
def dense(w: Held, name: str, value: Array) -> Array:
    """flax.linen.Dense: some of a cell's have a bias."""
    return value @ w[f"{name}/kernel"] + w.get(f"{name}/bias", 0.0)


def flax_rnn(w: Held, x: Array, h: Array) -> Array:
    """One step of flax.linen.SimpleCell."""
    return ACTIVATIONS[w["activation_fn"]](dense(w, "i", x) + dense(w, "h", h))


def flax_lstm(w: Held, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    """One step of flax.linen.LSTMCell, whose carry is (c, h)."""
    i = sigmoid(dense(w, "ii", x) + dense(w, "hi", h))
    f = sigmoid(dense(w, "if", x) + dense(w, "hf", h))
    g = np.tanh(dense(w, "ig", x) + dense(w, "hg", h))
    o = sigmoid(dense(w, "io", x) + dense(w, "ho", h))
    c = f * c + i * g
    return o * np.tanh(c), c


def flax_gru(w: Held, x: Array, h: Array) -> Array:
    """One step of flax.linen.GRUCell."""
    r = sigmoid(dense(w, "ir", x) + dense(w, "hr", h))
    z = sigmoid(dense(w, "iz", x) + dense(w, "hz", h))
    n = np.tanh(dense(w, "in", x) + r * dense(w, "hn", h))
    return (1 - z) * n + z * h


# -- Equinox: equinox.nn.LSTMCell, GRUCell --------------------------------------------------
def equinox_lstm(w: Held, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    """One step of equinox.nn.LSTMCell."""
    a = x @ w["weight_ih"].T + h @ w["weight_hh"].T + w["bias"]
    i, f, g, o = np.split(a, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def equinox_gru(w: Held, x: Array, h: Array) -> Array:
    """One step of equinox.nn.GRUCell."""
    x_r, x_z, x_n = np.split(x @ w["weight_ih"].T + w["bias"], 3, axis=1)
    h_r, h_z, h_n = np.split(h @ w["weight_hh"].T, 3, axis=1)
    new = np.tanh(x_n + sigmoid(x_r + h_r) * (h_n + w["bias_n"]))
    return new + sigmoid(x_z + h_z) * (h - new)


# -- ONNX: the operators RNN, LSTM, GRU, one direction of them ------------------------------
def onnx_rnn(w: Held, x: Array, h: Array) -> Array:
    """One step of ONNX's RNN."""
    bias_w, bias_r = np.split(w["B"], 2)
    return ACTIVATIONS[w["activations"].lower()](x @ w["W"].T + h @ w["R"].T + bias_w + bias_r)


def onnx_lstm(w: Held, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    """One step of ONNX's LSTM, whose output gate looks at the new cell state."""
    bias_w, bias_r = np.split(w["B"], 2)
    p_i, p_o, p_f = np.split(w["P"], 3)
    i, o, f, candidate = np.split(x @ w["W"].T + h @ w["R"].T + bias_w + bias_r, 4, axis=1)
    c_next = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * np.tanh(candidate)
    return sigmoid(o + p_o * c_next) * np.tanh(c_next), c_next


def onnx_gru(w: Held, x: Array, h: Array) -> Array:
    """One step of ONNX's GRU in either of its forms."""
    W_z, W_r, W_h = np.split(w["W"], 3)
    R_z, R_r, R_h = np.split(w["R"], 3)
    Wb_z, Wb_r, Wb_h, Rb_z, Rb_r, Rb_h = np.split(w["B"], 6)
    z = sigmoid(x @ W_z.T + h @ R_z.T + Wb_z + Rb_z)
    r = sigmoid(x @ W_r.T + h @ R_r.T + Wb_r + Rb_r)
    if w["linear_before_reset"]:
        candidate = np.tanh(x @ W_h.T + r * (h @ R_h.T + Rb_h) + Wb_h)
    else:
        candidate = np.tanh(x @ W_h.T + (r * h) @ R_h.T + Rb_h + Wb_h)
    return (1 - z) * candidate + z * h


STEPS: dict[str, dict[str, Callable]] = {
    "torch": {"rnn": torch_rnn, "lstm": torch_lstm, "gru": torch_gru},
    "keras": {"rnn": keras_rnn, "lstm": keras_lstm, "gru": keras_gru},
    "flax": {"rnn": flax_rnn, "lstm": flax_lstm, "gru": flax_gru},
    "equinox": {"lstm": equinox_lstm, "gru": equinox_gru},
    "onnx": {"rnn": onnx_rnn, "lstm": onnx_lstm, "gru": onnx_gru}}


def run(step: Callable, lanes: Sequence[Held], x: Array, states: Sequence[Array],
        directions: int) -> list[Array]:
    """A stack of layers over a sequence: the output, and the last value of each state.

    Shapes: x (T, N, I); each of `states` (L*D, N, H), as each last value; output (T, N, D*H).
    """
    last: list[tuple[Array, ...]] = []
    for k, w in enumerate(lanes):
        reverse = k % directions == 1
        if not reverse:
            below, sides = x, []
        state, outputs = tuple([s[k] for s in states]), []
        for x_t in below[::-1] if reverse else below:
            new = step(w, x_t, *state)
            state = new if isinstance(new, tuple) else (new,)
            outputs.append(state[0])
        sides.append(np.array(outputs[::-1] if reverse else outputs))
        last.append(state)
        x = np.concatenate(sides, axis=-1)
    return [x, *[np.array(kind) for kind in zip(*last)]]
