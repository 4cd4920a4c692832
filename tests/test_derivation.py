"""The backward that equations print: run as it is written, it gives the gradients of autograd."""
from __future__ import annotations

import re

import numpy as np
import pytest
from notation import NOTATION
from test_cells import case
from test_variants import MADE, masks, run

import tinyseq as ts
from tinyseq import derivation, nn, variants
from tinyseq.cells import CELLS
from tinyseq.equations import cell
from tinyseq.op import OPS
from tinyseq.ops import sigmoid, tanh  # noqa: F401


@cell(gates="a b")
def corners(x, h, c_prev):
    """A line no one reads, a state that stands still, and functions of more than one variable."""
    unread = sigmoid(x.a + h.a)  # noqa: F841
    gate = 1.0 / (1.0 + exp(-x.b - h.b * h.b))  # noqa: F821
    h_next = maximum(gate, h) - 0.5 * h * log(1.0 + exp(c_prev))  # noqa: F821
    return h_next, c_prev


EVERY = {**CELLS, **NOTATION, **MADE, "corners": corners,
         "kept": variants.resettable(CELLS["gru"]), "both": variants.zoneout(
             variants.recurrent_dropout(CELLS["gru_textbook"]))}


WORDS = {"np": np, "sigmoid": lambda v: 1 / (1 + np.exp(-v)), "tanh": np.tanh, "sqrt": np.sqrt,
         "maximum": np.maximum, "log": np.log,
         "relu": lambda v: np.maximum(v, 0), "where": np.where, "exp": np.exp,
         "mean": lambda v: v.mean(-1, keepdims=True), "sum": lambda v: v.sum(-1, keepdims=True)}


def norm(v, gain, shift):
    mean = WORDS["mean"]
    return (v - mean(v)) / np.sqrt(mean((v - mean(v)) ** 2) + 1e-5) * gain + shift


def statements(text, gates):
    """The lines as Python: x.i as x__i, and a line with v once for each gate v stands for."""
    for line in filter(None, text.split("\n")):
        code, _, note = line.partition("  # ")
        over = note.removeprefix("v: ").split() if note.startswith("v: ") else ["v"]
        if not code.startswith("#"):
            for gate in over:
                one = re.sub(r"\.v\b", f".{gate}", code)
                yield re.sub(rf"\b([a-z]\w*)\.({'|'.join(gates)})\b", r"\1__\2", one)


def by_text(made, values, cotangents, given):
    """Outputs, final states and all gradients, by running what `equations` prints."""
    S, gates = len(made.states), made.gates
    x, states = values[0], values[1:1 + S]
    held = dict(zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh", *made.vectors, "weight_hr"),
                    values[1 + S:]))
    parts = {f"{name}__{gate}": rows for name in list(held)[:4] if held[name] is not None
             for gate, rows in zip(gates, np.split(held[name], len(gates)))}
    parts |= {name: held[name] for name in (*made.vectors, "weight_hr")}
    base = {**WORDS, **parts, "H": len(held["weight_ih"]) // len(gates), "norm": norm,
            "project": lambda v: v @ held["weight_hr"].T}
    forward, backward = made.equations(
        backward=True, bias=held["bias_ih"] is not None).split("\n# backward")
    steps, outputs, g_x = [], [], []
    for t in range(len(x)):
        here = {**base, "x": x[t], **dict(zip(made.states, states)),
                **dict(zip(made.given, [m.array[t] for m in given]))}
        exec("\n".join(statements(forward, gates)), here)
        states = [here[name] for name in made.returns]
        steps.append(here)
        outputs.append(states[0])
    sums = {f"g_{name}": 0.0 for name in parts}
    carried = dict(zip([f"g_{s}" for s in made.states], cotangents[1:]))
    for t in reversed(range(len(x))):
        here = steps[t] | carried | {"gy": cotangents[0][t]}
        for line in statements("# backward" + backward, gates):
            target, adds, value = line.partition(" += ")
            exec(f"added = {value}" if adds else line, here)
            if adds:
                sums[target] += here["added"] if "@" in value else here["added"].sum(0)
        carried = {name: here[name] for name in carried}
        g_x.insert(0, here["g_x"])
    whole = [np.concatenate([sums[f"g_{name}__{gate}"] + np.zeros_like(parts[f"{name}__{gate}"])
                             for gate in gates])
             for name in list(held)[:4] if held[name] is not None]
    return [np.stack(outputs), *states, np.stack(g_x), *carried.values(), *whole,
            *[sums[f"g_{name}"] for name in (*made.vectors, "weight_hr")
              if held[name] is not None]]


@pytest.mark.parametrize("bias", (True, False))
@pytest.mark.parametrize("name", EVERY)
def test_what_is_printed_gives_the_gradients(name, bias):
    made = EVERY[name]
    values, cotangents = case(made, 4, bias)
    given = masks(made, 4)
    wanted = run(made, values, cotangents, given, "gates")
    found = by_text(made, values, cotangents, given)
    assert len(found) == len(wanted)
    for a, b in zip(wanted, found):
        np.testing.assert_allclose(np.asarray(b, float), a, rtol=1e-10, atol=1e-12)


def test_a_wrong_line_would_be_noticed(monkeypatch):
    made = CELLS["lstm"]
    values, cotangents = case(made, 4, True)
    wanted = run(made, values, cotangents, (), "gates")
    printed = derivation.text
    monkeypatch.setattr(derivation, "text", lambda cell, bias: printed(cell, bias).replace(
        "g_f * f * (1.0 - f)", "g_f * f"))
    found = by_text(made, values, cotangents, ())
    assert max(np.abs(a - b).max() for a, b in zip(wanted, found)) > 1e-3


LSTM = r"""\begin{aligned}
\bar{h}_t &= \bar{y}_t + \bar{h}^{+}_t \\
\bar{c}_t &= \bar{c}^{+}_t + \bar{h}_t \odot o_t \odot \left(1 - \tanh\left(c_t\right) \odot """ \
    r"""\tanh\left(c_t\right)\right) \\
\bar{o}_t &= \bar{h}_t \odot \tanh\left(c_t\right) \\
\delta^{xo}_t = \delta^{ho}_t &= \bar{o}_t \odot o_t \odot \left(1 - o_t\right) \\
"""


def test_the_page_says_the_same():
    forward, backward = CELLS["lstm"].equations("latex", backward=True).split("\n\\begin", 1)
    assert forward == CELLS["lstm"].equations("latex") and f"\\begin{backward}".startswith(LSTM)
    assert r"\bar{W}_{hv} &= \sum_t \delta^{hv}_t {h_{t-1}}^\top,\quad v \in \{i, f, g, o\}" \
        in backward
    assert backward.splitlines()[-2] == r"\bar{c}^{+}_{t-1} &= \bar{c}_t \odot f_t"
    plain = nn.GRU(2, 3, bias=False).equations("latex")
    assert "b_" not in plain and r"\bar{b}" not in plain and "W_{xr} x_t" in plain
    relu = nn.RNN(2, 3, nonlinearity="relu").equations("latex")
    assert r"\begin{cases} 0 & h_t \le 0 \\ \bar{h}_t & \text{otherwise} \end{cases}" in relu


@pytest.mark.parametrize("format", ("text", "latex"))
@pytest.mark.parametrize("name", EVERY)
def test_every_bracket_is_closed_and_no_line_is_lost(name, format):
    made = EVERY[name]
    found = made.equations(format, backward=True)
    for pair in ("()", "{}", "[]"):
        assert found.count(pair[0]) == found.count(pair[1])
    assert found.count(r"\left(") == found.count(r"\right)")
    assert "add(" not in found and "mul(" not in found and "later_" not in found
    if format == "text" and name != "corners":
        assert all(re.search(rf"(^|= )g_{line.name} =", found, re.M) for line in made.lines)


@pytest.mark.parametrize("name", [name for name, op in OPS.items()
                                  if op.elementwise and len(op.inputs) == 1])
def test_every_function_of_one_variable_has_a_backward(name):
    lines = [("h_next", ts.rule.from_text(f"{name}(x.a + h.a)"), "")]
    made = variants.rewritten(plain, name, lines)
    for format in ("text", "latex"):
        assert made.equations(format, backward=True)


@cell(gates="a")
def plain(x, h):
    """One line."""
    h_next = tanh(x.a + h.a)
    return h_next


def test_layers_say_where_their_names_live():
    text = nn.LSTM(3, 4, peephole=True, layer_norm=True, zoneout=0.1,
                   recurrent_dropout=0.2).equations()
    for note in ("p_i is the parameter weight_ci\n", "gain_c is the parameter ln_c_weight\n",
                 "gain_xv is the parameter ln_ih_weight.v, v: i f g o\n",
                 "m_h in training is 0 with probability 0.2, else 1 / (1 - 0.2), drawn once",
                 "z_c in training is 1 with probability 0.1, else 0, drawn at every step; in"):
        assert f"# {note}" in text
    assert "bias" not in nn.LSTMCell(2, 3, bias=False).equations()
    assert nn.LSTM(2, 3).equations() == nn.LSTMCell(2, 3).equations()
    projected = nn.LSTM(3, 4, proj_size=2).equations()
    assert "g_weight_hr += g_h_next.T @ h_next_in" in projected
    with pytest.raises(ValueError, match="'text' or 'latex'"):
        nn.LSTM(3, 4).equations("html")
