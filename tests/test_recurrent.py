"""Recurrent modules: torch's weights, numbers, shapes and messages; our own keywords."""
from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn

LAYERS, CELLS = ("RNN", "LSTM", "GRU"), ("RNNCell", "LSTMCell", "GRUCell")

# What torch 2.13.0 gives after torch.manual_seed(0), to nine digits (enough for every bit).
GOLDEN = {
    "RNN(2, 2)": [-0.00529398117, 0.379322886, -0.581980765, -0.520387471, -0.272345245,
                  0.18961589, -0.0140100336, 0.560657501, -0.0627515167, 0.187109336,
                  -0.213696912, -0.138992712],
    "LSTM(2, 1)": [-0.00748682022, 0.536443591, -0.823045135, -0.735939026, -0.385154366,
                   0.268157363, -0.01981318, 0.792889476, -0.0887440443, 0.264612556,
                   -0.302213073, -0.19656539, -0.955348492, -0.662282109, -0.412223101,
                   0.0370435715, 0.395335197, 0.600022793, -0.677941084, -0.435462832],
    "GRUCell(1, 1)": [-0.00748682022, 0.536443591, -0.823045135, -0.735939026, -0.385154366,
                      0.268157363, -0.01981318, 0.792889476, -0.0887440443, 0.264612556,
                      -0.302213073, -0.19656539],
    "Linear(3, 2)": [-0.00432251766, 0.309715837, -0.475185335, -0.424894601, -0.222368971,
                     0.154820725, -0.0114391446, 0.457774937]}


def made(lib, text, **more):
    name, _, sizes = text.partition("(")
    return getattr(lib, name)(*map(int, sizes[:-1].split(", ")), **more)


def flat(module):
    return np.concatenate([np.asarray(t).ravel() for t in module.state_dict().values()])


@pytest.mark.parametrize("text", GOLDEN)
def test_same_seed_same_weights_as_torch(text):
    ts.manual_seed(0)
    assert flat(made(nn, text)).tobytes() == np.array(GOLDEN[text], np.float32).tobytes()


@pytest.mark.needs_torch
@pytest.mark.parametrize("seed", [0, 1, 2 ** 31 + 7])
@pytest.mark.parametrize("text", ["RNN(7, 9)", "LSTM(5, 33)", "GRU(3, 100)", "RNNCell(3, 4)",
                                  "LSTMCell(30, 40)", "GRUCell(4, 3)", "Linear(37, 11)"])
@pytest.mark.parametrize("bias", [True, False])
def test_same_seed_same_weights_as_live_torch(text, seed, bias):
    import torch
    ts.manual_seed(seed)
    torch.manual_seed(seed)
    ours, theirs = made(nn, text, bias=bias), made(torch.nn, text, bias=bias)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert flat(ours).tobytes() == flat(theirs).tobytes()


@pytest.mark.needs_torch
@pytest.mark.parametrize("name", ["uniform_", "kaiming_uniform_", "xavier_uniform_", "constant_"])
def test_initial_values_are_torchs(name):
    import torch
    more = {"constant_": (0.5,), "uniform_": (-0.3, 0.7)}.get(name, ())
    ts.manual_seed(5)
    torch.manual_seed(5)
    ours = getattr(nn.init, name)(ts.zeros(13, 29), *more).array
    assert ours.tobytes() == getattr(torch.nn.init, name)(torch.zeros(13, 29), *more).numpy(
    ).tobytes()


def test_initial_values_have_the_moments_they_should():
    t = ts.zeros(300, 200, dtype=np.float64)
    assert abs(nn.init.normal_(t, 2.0, 3.0).array.mean() - 2) < 0.05
    assert abs(t.array.std() - 3) < 0.05
    for shape in ((5, 5), (3, 7), (7, 3)):
        q = nn.init.orthogonal_(ts.zeros(*shape, dtype=np.float64), gain=2.0).array
        q = q if shape[0] <= shape[1] else q.T
        np.testing.assert_allclose(q @ q.T, 4 * np.eye(min(shape)), atol=1e-12)
    for call in (lambda: nn.init.kaiming_uniform_(t, mode="fan"), lambda: nn.init.zeros_(t) and
                 nn.init.xavier_uniform_(ts.zeros(3)), lambda: nn.init.uniform_(t, 1.0, 0.0),
                 lambda: nn.init.kaiming_uniform_(t, nonlinearity="cos"),
                 lambda: nn.init.normal_(t, std=-1.0)):
        with pytest.raises(ValueError):
            call()


# -- the numbers are torch's -------------------------------------------------------------
def run(module, tensor, values, cotangents):
    """Outputs and all gradients; `tensor` makes a leaf of one of the two libraries."""
    x, *h = [tensor(v) for v in values]
    out = module(x, None if not h else tuple(h) if len(h) == 2 else h[0])
    outs = [out] if not isinstance(out, tuple) else \
        [out[0], *(out[1] if isinstance(out[1], tuple) else [out[1]])]
    loss = sum((o * tensor(g).detach()).sum() for o, g in zip(outs, cotangents))
    loss.backward()
    return [np.asarray(t.detach()) for t in (
        *outs, *(leaf.grad for leaf in (x, *h, *module.parameters())))]


def against_torch(name, options, x, states, outputs):
    """Worst difference between ours and torch's, in float64, over outputs and gradients."""
    import torch
    theirs = getattr(torch.nn, name)(3, 4, dtype=torch.float64, **options)
    ours = getattr(nn, name)(3, 4, dtype=np.float64, **options)
    ours.load_state_dict(theirs.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    rng = np.random.default_rng(3)
    values = [rng.normal(size=s) for s in (x, *states)]
    cotangents = [rng.normal(size=s) for s in outputs]
    a = run(ours, lambda v: ts.tensor(v, requires_grad=True), values, cotangents)
    b = run(theirs, lambda v: torch.tensor(v, requires_grad=True), values, cotangents)
    assert [u.shape for u in a] == [v.shape for v in b] and len(a) >= 4
    return max(np.abs(u - v).max() for u, v in zip(a, b))


@pytest.mark.needs_torch
@pytest.mark.parametrize("form", ["unbatched", "batched", "batch_first"])
@pytest.mark.parametrize("options", [{}, {"bias": False}], ids=["bias", "nobias"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_equal_torch(name, options, form):
    batch = {"unbatched": (), "batched": (2,), "batch_first": (2,)}[form]
    x, y = (6, *batch, 3), (6, *batch, 4)
    if form == "batch_first":
        options, x, y = {**options, "batch_first": True}, (2, 6, 3), (2, 6, 4)
    states = [(1, *batch, 4)] * (2 if name == "LSTM" else 1)
    extra = [{"nonlinearity": n} for n in ("tanh", "relu")] if name == "RNN" else [{}]
    for more, given in itertools.product(extra, (states, [])):
        assert against_torch(name, {**options, **more}, x, given, [y, *states]) < 1e-12


@pytest.mark.needs_torch
@pytest.mark.parametrize("batch", [(), (2,)], ids=["unbatched", "batched"])
@pytest.mark.parametrize("options", [{}, {"bias": False}], ids=["bias", "nobias"])
@pytest.mark.parametrize("name", CELLS)
def test_cells_equal_torch(name, options, batch):
    states = [(*batch, 4)] * (2 if name == "LSTMCell" else 1)
    extra = [{"nonlinearity": n} for n in ("tanh", "relu")] if name == "RNNCell" else [{}]
    for more, given in itertools.product(extra, (states, [])):
        assert against_torch(name, {**options, **more}, (*batch, 3), given, states) < 1e-12


@pytest.mark.parametrize("name", LAYERS)
def test_one_step_is_the_cell(name):
    layer = getattr(nn, name)(3, 4)
    cell = getattr(nn, name + "Cell")(3, 4)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    x = ts.randn(1, 2, 3)
    y, new = cell(x[0]), layer(x)[0]
    assert (y[0] if name == "LSTM" else y).array.tobytes() == new[0].array.tobytes()


@pytest.mark.parametrize("name", LAYERS)
def test_batch_first_is_the_transposed_input(name):
    layer = getattr(nn, name)(3, 4)
    turned = getattr(nn, name)(3, 4, batch_first=True)
    turned.load_state_dict(layer.state_dict())
    x = ts.randn(5, 2, 3)
    (y, h), (z, k) = layer(x), turned(x.transpose(0, 1))
    assert y.array.tobytes() == z.transpose(0, 1).array.tobytes()
    for a, b in zip((h, k), (k, h)) if name != "LSTM" else zip(h, k):
        assert a.shape == (1, 2, 4) and a.array.tobytes() == b.array.tobytes()


@pytest.mark.parametrize("name", LAYERS)
def test_an_empty_batch_has_empty_outputs_and_zero_gradients(name):
    layer = getattr(nn, name)(3, 4)
    y, _ = layer(ts.zeros(5, 0, 3))
    assert y.shape == (5, 0, 4)
    y.sum().backward()
    assert all(p.grad.shape == p.shape and not p.grad.array.any() for p in layer.parameters())


# -- our own keywords --------------------------------------------------------------------
def test_forget_bias_is_the_total_bias_and_leaves_the_other_draws():
    ts.manual_seed(1)
    plain = nn.LSTM(3, 4)
    ts.manual_seed(1)
    layer = nn.LSTM(3, 4, forget_bias=1.5)
    for name, value in (("bias_ih_l0", 1.5), ("bias_hh_l0", 0.0)):
        ours, theirs = getattr(layer, name).array, getattr(plain, name).array
        assert (ours[4:8] == value).all()
        assert (np.delete(ours, range(4, 8)) == np.delete(theirs, range(4, 8))).all()
    with pytest.raises(ValueError, match="bias=True"):
        nn.LSTM(3, 4, bias=False, forget_bias=1.0)


def test_the_textbook_gru_resets_before_the_product():
    layer = nn.GRU(2, 3, reset_after=False, dtype=np.float64)
    x, h = ts.randn(1, 1, 2, dtype=np.float64), ts.randn(1, 1, 3, dtype=np.float64)
    w, u, b, c = [p.array for p in layer.parameters()]
    a, s = x.array[0, 0], h.array[0, 0]
    def gate(k, v): return w[3 * k:3 * k + 3] @ a + b[3 * k:3 * k + 3] + (
        u[3 * k:3 * k + 3] @ v + c[3 * k:3 * k + 3])
    r, z = [1 / (1 + np.exp(-gate(k, s))) for k in (0, 1)]
    n = np.tanh(gate(2, r * s))
    np.testing.assert_allclose(layer(x, h)[1].array[0, 0], (1 - z) * n + z * s, rtol=1e-13)


def test_equations_repr_and_copies():
    assert nn.GRU(2, 3, reset_after=False).equations() != nn.GRU(2, 3).equations()
    assert "c = f * c_prev" in nn.LSTM(2, 3).equations()
    assert nn.LSTMCell(2, 3).equations("latex").startswith(r"\begin{aligned}")
    assert [repr(module) for module in (
        nn.RNN(3, 4), nn.RNN(3, 4, nonlinearity="relu"), nn.GRU(3, 4, reset_after=False),
        nn.LSTM(3, 4, bias=False, batch_first=True, forget_bias=None), nn.GRUCell(3, 4, False),
        nn.RNNCell(3, 4, False, "relu"))] == [
        "RNN(3, 4)", "RNN(3, 4, nonlinearity=relu)", "GRU(3, 4, reset_after=False)",
        "LSTM(3, 4, bias=False, batch_first=True)", "GRUCell(3, 4, bias=False)",
        "RNNCell(3, 4, bias=False, nonlinearity=relu)"]  # torch hides the first nonlinearity
    layer = nn.GRU(3, 4)
    twin = copy.deepcopy(layer)
    x = ts.randn(5, 2, 3)
    assert twin.cell is layer.cell
    assert twin(x)[0].array.tobytes() == layer(x)[0].array.tobytes()


@pytest.mark.parametrize("name", LAYERS)
def test_steps_of_a_layer_know_their_place(name):
    model = nn.Module()
    model.encoder = getattr(nn, name)(3, 4)
    with ts.detail("gates"):
        y, _ = model.encoder(ts.ones(3, 1, 3))
    found = ts.graph(y).select("encoder/l0.fwd/t=*/h_next")
    assert [node.scope.time for node in found] == [0, 1, 2]
