"""Recurrent modules: torch's weights, numbers, shapes and messages; our own keywords."""
from __future__ import annotations

import ast
import copy
import itertools

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn

LAYERS, CELLS = ("RNN", "LSTM", "GRU"), ("RNNCell", "LSTMCell", "GRUCell")
OPTIONS: tuple[dict, ...] = {}, {"num_layers": 2, "bidirectional": True}

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


def listed(last):
    return list(last) if isinstance(last, tuple) else [last]


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


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_batch_first_is_the_transposed_input(name, options):
    layer = getattr(nn, name)(3, 4, **options)
    turned = getattr(nn, name)(3, 4, batch_first=True, **options)
    turned.load_state_dict(layer.state_dict())
    x, lanes = ts.randn(5, 2, 3), len(layer.lanes())
    hx = (ts.randn(lanes, 2, 4),) * 2 if name == "LSTM" else ts.randn(lanes, 2, 4)
    (y, h), (z, k) = layer(x, hx), turned(x.transpose(0, 1), hx)
    assert y.array.tobytes() == z.transpose(0, 1).array.tobytes()
    for a, b in zip(listed(h), listed(k)):
        assert a.shape == (lanes, 2, 4) and a.array.tobytes() == b.array.tobytes()


@pytest.mark.parametrize("detail", ["gates", "steps", "layers"])
@pytest.mark.parametrize("name", LAYERS)
def test_final_states_stand_by_layer_and_direction(name, detail):
    layer = getattr(nn, name)(3, 4, 2, bidirectional=True)
    with ts.detail(detail):
        y, last = layer(ts.randn(5, 2, 3))
    h = listed(last)[0]
    assert y.shape == (5, 2, 8) and h.shape == (4, 2, 4)
    assert h[-2].array.tobytes() == y[-1, :, :4].array.tobytes()
    assert h[-1].array.tobytes() == y[0, :, 4:].array.tobytes()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_each_result_alone_has_its_share_of_the_gradients(name, options):
    """A loss on the output, on h_n or on c_n only: their gradients add up to that of all three."""
    layer = getattr(nn, name)(3, 4, dtype=ts.float64, **options)
    x = ts.randn(5, 2, 3, dtype=ts.float64, requires_grad=True)
    given = [x, *layer.parameters()]

    def gradients(*which):
        y, last = layer(x)
        outs = [y, *listed(last)]
        sum(((k + 1) * outs[k] * outs[k]).sum() for k in which).backward()
        found = [t.grad.array for t in given]
        for t in given:
            t.grad = None
        return found

    every = range(3 if name == "LSTM" else 2)
    alone = [gradients(k) for k in every]
    assert all(max(np.abs(g).max() for g in found) > 1e-3 for found in alone)
    for whole, *parts in zip(gradients(*every), *alone):
        np.testing.assert_allclose(sum(parts), whole, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", LAYERS)
def test_the_graph_has_no_leaf_for_states_that_were_not_given(name):
    layer = getattr(nn, name)(3, 4, 2, bidirectional=True)
    nodes = ts.graph(layer(ts.ones(5, 2, 3))[0]).nodes
    leaves = {t for node in nodes for t in node.inputs if isinstance(t, ts.Tensor)}
    assert leaves == set(layer.parameters())


@pytest.mark.parametrize("detail", ["gates", "layers"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_nan_spreads_in_the_direction_of_time_only(name, detail):
    layer = getattr(nn, name)(3, 4, bidirectional=True)
    clean = np.random.normal(size=(7, 2, 3)).astype(np.float32)
    dirty = clean.copy()
    dirty[3] = np.nan
    with ts.detail(detail):
        a, b = [layer(ts.tensor(v))[0].array for v in (clean, dirty)]
    assert a[:3, :, :4].tobytes() == b[:3, :, :4].tobytes() and np.isnan(b[3:, :, :4]).all()
    assert a[4:, :, 4:].tobytes() == b[4:, :, 4:].tobytes() and np.isnan(b[:4, :, 4:]).all()


@pytest.mark.parametrize("detail", ["gates", "steps", "layers"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_an_empty_batch_has_empty_outputs_and_zero_gradients(name, options, detail):
    layer = getattr(nn, name)(3, 4, **options)
    lanes = len(layer.lanes())
    with ts.detail(detail):
        y, last = layer(ts.zeros(5, 0, 3))
    assert y.shape == (5, 0, 4 * lanes // layer.num_layers)
    assert [s.shape for s in listed(last)] == [(lanes, 0, 4)] * len(listed(last))
    y.sum().backward()
    assert all(p.grad.shape == p.shape and not p.grad.array.any() for p in layer.parameters())


# -- our own keywords --------------------------------------------------------------------
@pytest.mark.parametrize("make, options", [(nn.LSTM, {}), (nn.LSTM, OPTIONS[1]),
                                           (nn.LSTMCell, {})])
def test_forget_bias_is_the_total_bias_and_leaves_the_other_draws(make, options):
    ts.manual_seed(1)
    plain = make(3, 4, **options)
    ts.manual_seed(1)
    layer = make(3, 4, forget_bias=1.5, **options)
    for (name, p), other in zip(layer.named_parameters(), plain.parameters()):
        ours, theirs = p.array, other.array
        if name.startswith("bias"):
            assert (ours[4:8] == (1.5 if name.startswith("bias_ih") else 0.0)).all()
            ours, theirs = np.delete(ours, range(4, 8)), np.delete(theirs, range(4, 8))
        assert (ours == theirs).all()
    with pytest.raises(ValueError, match="bias=True"):
        make(3, 4, bias=False, forget_bias=1.0)


def test_the_textbook_gru_resets_before_the_product():
    layer = nn.GRU(2, 3, reset_after=False, dtype=np.float64)
    cell = nn.GRUCell(2, 3, reset_after=False, dtype=np.float64)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    x, h = ts.randn(1, 1, 2, dtype=np.float64), ts.randn(1, 1, 3, dtype=np.float64)
    assert cell(x[0], h[0]).array.tobytes() == layer(x, h)[1][0].array.tobytes()
    w, u, b, c = [p.array for p in layer.parameters()]
    a, s = x.array[0, 0], h.array[0, 0]
    def gate(k, v): return w[3 * k:3 * k + 3] @ a + b[3 * k:3 * k + 3] + (
        u[3 * k:3 * k + 3] @ v + c[3 * k:3 * k + 3])
    r, z = [1 / (1 + np.exp(-gate(k, s))) for k in (0, 1)]
    n = np.tanh(gate(2, r * s))
    np.testing.assert_allclose(layer(x, h)[1].array[0, 0], (1 - z) * n + z * s, rtol=1e-13)


REPRS = (
    "RNN(3, 4, num_layers=2)", "RNN(3, 4, nonlinearity=relu)", "GRU(3, 4, reset_after=False)",
    "LSTM(3, 4, bias=False, batch_first=True)", "LSTM(3, 4, forget_bias=1.0)",
    "LSTM(3, 4, proj_size=2, num_layers=2, bias=False, batch_first=True, dropout=0.2, "
    "bidirectional=True)", "GRUCell(3, 4, bias=False)", "GRUCell(3, 4, reset_after=False)",
    "RNNCell(3, 4, bias=False, nonlinearity=relu)", "LSTMCell(3, 4, forget_bias=0.5)")


def built(text):
    """The module whose repr this should be."""
    call = ast.parse(text, mode="eval").body
    options = {k.arg: "relu" if k.arg == "nonlinearity" else ast.literal_eval(k.value)
               for k in call.keywords}
    return getattr(nn, call.func.id)(*map(ast.literal_eval, call.args), **options)


def test_equations_repr_and_copies():
    assert nn.GRU(2, 3, reset_after=False).equations() != nn.GRU(2, 3).equations()
    assert "c = f * c_prev" in nn.LSTM(2, 3).equations()
    assert nn.LSTMCell(2, 3).equations("latex").startswith(r"\begin{aligned}")
    for text in REPRS:  # a module is what its repr says
        assert repr(built(text)) == text
    layer = nn.GRU(3, 4)
    twin = copy.deepcopy(layer)
    x = ts.randn(5, 2, 3)
    assert twin.cell is layer.cell
    assert twin(x)[0].array.tobytes() == layer(x)[0].array.tobytes()


@pytest.mark.parametrize("lengths", [None, [2, 3]], ids=["whole", "lengths"])
@pytest.mark.parametrize("detail", ["gates", "steps"])
@pytest.mark.parametrize("name", LAYERS)
def test_steps_of_a_layer_know_their_place(name, detail, lengths):
    """In both directions a step is called by the time of its input."""
    model = nn.Module()
    model.encoder = getattr(nn, name)(3, 4, 2, bidirectional=True)
    x = ts.ones(3, 2, 3, requires_grad=True)
    hx = ts.zeros(4, 2, 4, requires_grad=True)
    with ts.detail(detail):
        y, last = model.encoder(x, (hx, hx) if name == "LSTM" else hx, lengths=lengths)
    graph = ts.graph([y, *listed(last)])
    for lane, times in (("l0.fwd", [0, 1, 2]), ("l1.fwd", [0, 1, 2]), ("l0.rev", [2, 1, 0])):
        found = graph.select(f"encoder/{lane}/t=*/h_next")
        assert list(dict.fromkeys(node.scope.time for node in found)) == times
        assert len(found) == 3, [str(node.scope) for node in found]
        assert len(graph.select(f"encoder/{lane}/init/h")) == 1


# -- dropout between layers --------------------------------------------------------------
@pytest.mark.parametrize("name", LAYERS)
def test_dropout_acts_between_layers_in_training_only(name):
    layer = getattr(nn, name)(3, 4, 2, dropout=1.0, bidirectional=True)
    plain = getattr(nn, name)(3, 4, 2, bidirectional=True)
    plain.load_state_dict(layer.state_dict())
    x = ts.randn(5, 2, 3)
    assert layer.eval()(x)[0].array.tobytes() == plain(x)[0].array.tobytes()
    y, last = layer.train()(x)
    second = getattr(nn, name)(8, 4, bidirectional=True)  # p=1: the second layer sees zeros
    second.load_state_dict({k.replace("_l1", "_l0"): v for k, v in layer.state_dict().items()
                            if "_l1" in k})
    assert y.array.tobytes() == second(ts.zeros(5, 2, 8))[0].array.tobytes()
    h, without = listed(last)[0], listed(plain(x)[1])[0]
    assert h[:2].array.tobytes() == without[:2].array.tobytes()  # h_n is not dropped


@pytest.mark.parametrize("form", ["batched", "packed"])
def test_dropout_draws_a_mask_of_its_own_for_every_step(form):
    layer = nn.GRU(3, 50, 3, dropout=0.3, bidirectional=True)
    x = ts.ones(20, 4, 3)
    given = x if form == "batched" else nn.utils.rnn.pack_padded_sequence(x, [20, 20, 9, 1])

    def masks():
        y = layer(given)[0]
        found = ts.graph(y if form == "batched" else y.data).select(op="dropout")
        assert {str(node.scope) for node in found} == {"dropout"}
        return [node.attrs["mask"] for node in found]

    ts.manual_seed(4)
    first = masks()
    assert len(first) == (2 if form == "batched" else 6)  # after two of the three layers
    for mask in first:
        assert mask.shape[-1] == 100
        assert set(np.unique(mask)) <= {0.0, np.float32(1 / 0.7)}
        assert len(mask) == 1 or (mask[0] != mask[1]).any()
    share = np.mean(np.concatenate([mask.ravel() for mask in first]) == 0)
    assert abs(share - 0.3) < 0.02
    ts.manual_seed(4)
    assert all((a == b).all() for a, b in zip(first, masks()))


@pytest.mark.parametrize("name", LAYERS)
def test_with_a_given_mask_dropout_is_two_layers_and_a_product(name):
    layer = getattr(nn, name)(3, 4, 2, dropout=0.5, dtype=ts.float64)
    one, two = [getattr(nn, name)(width, 4, dtype=ts.float64) for width in (3, 4)]
    for k, part in enumerate((one, two)):
        part.load_state_dict({n.replace(f"_l{k}", "_l0"): v
                              for n, v in layer.state_dict().items() if f"_l{k}" in n})
    x = ts.randn(5, 2, 3, dtype=ts.float64)
    y, _ = layer(x)
    mask = ts.graph(y).select(op="dropout")[0].attrs["mask"]
    z, _ = two(one(x)[0] * ts.tensor(mask))
    y.sum().backward()
    z.sum().backward()
    assert y.array.tobytes() == z.array.tobytes() and (mask == 0).any()
    for a, b in zip(layer.parameters(), (*one.parameters(), *two.parameters())):
        np.testing.assert_allclose(a.grad.array, b.grad.array, rtol=1e-12, atol=1e-15)


def test_the_weights_by_layer_and_direction():
    """What torch's users loop over to set, say, the forget gate's bias."""
    lstm = nn.LSTM(2, 3, 2, bidirectional=True)
    assert lstm._all_weights[3] == [f"{name}_l1_reverse" for name in (
        "weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    for names in lstm._all_weights:
        for name in filter(lambda n: "bias" in n, names):
            getattr(lstm, name).data[3:6].fill_(1.0)
    assert all((p.array[3:6] == 1.0).all() for lane in lstm.all_weights for p in lane[2:])
    assert [len(lane) for lane in nn.LSTM(2, 3, proj_size=2, bias=False).all_weights] == [3]
