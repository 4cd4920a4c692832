"""The textbook's forms: plain numpy written from its equations, with bare matrices and loops."""
from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.gradcheck import gradcheck_report

F8 = {"dtype": ts.float64}
T, N, D, H, K = 6, 2, 3, 4, 5
OUTPUT = {
    "identity": (lambda a: a, lambda a: a),
    "sigmoid": (ts.sigmoid, lambda a: 1 / (1 + np.exp(-a))),
    "tanh": (ts.tanh, np.tanh),
    "softmax": (lambda a: ts.softmax(a, -1),
                lambda a: np.exp(a) / np.exp(a).sum(-1, keepdims=True))}


class Net(nn.Module):
    """A recurrent layer, and on it the output layer y_t = f(W_y h_t + b)."""

    def __init__(self, layer, f):
        super().__init__()
        self.layer, self.output, self.f = layer, nn.Linear(H, K, **F8), f

    def forward(self, x):
        return self.f(self.output(self.layer(x)[0]))


def sigma(a):
    return 1 / (1 + np.exp(-a))


def matrices(layer, gates):
    """W_x, W_h and b, the sum of the two biases, of each gate."""
    p = {name.removesuffix("_l0"): t.array for name, t in layer.named_parameters()}
    parts = [np.split(p[name], len(gates)) for name in ("weight_ih", "weight_hh")]
    b = np.split(p["bias_ih"] + p["bias_hh"], len(gates))
    return {g: (wx, wh, bias) for g, wx, wh, bias in zip(gates, *parts, b)}


def rnn(layer, x):
    """h_t = tanh(W_x x_t + W_h h_{t-1} + b)."""
    (W_x, W_h, b), = matrices(layer, "h").values()
    h, found = np.zeros(H), []
    for x_t in x:
        h = np.tanh(W_x @ x_t + W_h @ h + b)
        found.append(h)
    return found


def lstm(layer, x):
    """i, g, f, C_t = f C_{t-1} + i g, o, h_t = o tanh(C_t)."""
    W = matrices(layer, "ifgo")
    h, C, found = np.zeros(H), np.zeros(H), []
    for x_t in x:
        a = {gate: W_x @ x_t + W_h @ h + b for gate, (W_x, W_h, b) in W.items()}
        i, g, f, o = sigma(a["i"]), np.tanh(a["g"]), sigma(a["f"]), sigma(a["o"])
        C = f * C + i * g
        h = o * np.tanh(C)
        found.append(h)
    return found


def gru(layer, x):
    """g_t = tanh(W_hg (r_t h_{t-1}) + W_xg x_t + b_g), h_t = (1 - z) g + z h."""
    W = matrices(layer, "rzn")
    h, found = np.zeros(H), []
    for x_t in x:
        r, z = [sigma(W[k][0] @ x_t + W[k][1] @ h + W[k][2]) for k in "rz"]
        W_xg, W_hg, b_g = W["n"]
        g = np.tanh(W_hg @ (r * h) + W_xg @ x_t + b_g)
        h = (1 - z) * g + z * h
        found.append(h)
    return found


FORMS = {"RNN": (lambda: nn.RNN(D, H, **F8), rnn), "LSTM": (lambda: nn.LSTM(D, H, **F8), lstm),
         "GRU": (lambda: nn.GRU(D, H, reset_after=False, **F8), gru)}


@pytest.mark.parametrize("detail", ("gates", "steps", "layers"))
@pytest.mark.parametrize("f", OUTPUT)
@pytest.mark.parametrize("name", FORMS)
def test_outputs_are_those_of_the_equations(name, f, detail):
    make, by_hand = FORMS[name]
    ts.manual_seed(3)
    net = Net(make(), OUTPUT[f][0])
    x = ts.randn(T, N, D, **F8)
    with ts.detail(detail):
        y = net(x)
    W_y, b = net.output.weight.array, net.output.bias.array
    for n in range(N):
        wanted = [OUTPUT[f][1](W_y @ h + b) for h in by_hand(net.layer, x.array[:, n])]
        np.testing.assert_allclose(y.array[:, n], wanted, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", FORMS)
def test_gradients_are_checked_at_every_gate(name):
    ts.manual_seed(4)
    net = Net(FORMS[name][0](), ts.sigmoid)
    report = gradcheck_report(net, ts.randn(3, N, D, **F8))
    assert report.ok and report.worst < 1e-12, str(report)
    lines = {line.name for line in net.layer.cell.lines}
    assert {row.gate for row in report.lines} >= lines
    assert {row.time for row in report.lines if row.gate in lines} == {0, 1, 2}
    rows = {row.part for row in report.of("tensor") if row.part}
    assert rows == set(net.layer.cell.gates) or name == "RNN"


def test_torchs_gru_is_another_one():
    ts.manual_seed(5)
    layer = nn.GRU(D, H, **F8)
    x = ts.randn(T, N, D, **F8)
    difference = np.abs(layer(x)[0].array[:, 0] - gru(layer, x.array[:, 0])).max()
    assert difference > 1e-3
    with ts.no_grad():           # the two are one where W_hn is diagonal and r b_hn = b_hn
        layer.weight_hh_l0[2 * H:] = ts.eye(H, **F8) * 0.7
        layer.bias_hh_l0[2 * H:] = 0.0
    assert np.abs(layer(x)[0].array[:, 0] - gru(layer, x.array[:, 0])).max() < 1e-15
