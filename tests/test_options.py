"""What recurrent layers offer beyond torch: options, any cell, resets, masks, sizes by layer."""
from __future__ import annotations

import inspect

import numpy as np
import pytest
from notation import NOTATION
from test_variants import by_hand

import tinyseq as ts
from tinyseq import nn
from tinyseq.cells import CELLS
from tinyseq.errors import ShapeError

F8 = {"dtype": ts.float64}
OPTIONS = {"peephole": {"peephole": True}, "layer_norm": {"layer_norm": True},
           "recurrent_dropout": {"recurrent_dropout": 0.3}, "zoneout": {"zoneout": 0.2},
           "learn_init": {"learn_init": True}, "forget_bias": {"forget_bias": 1.0},
           "all": {"peephole": True, "layer_norm": True, "recurrent_dropout": 0.3,
                   "zoneout": 0.2, "learn_init": True, "forget_bias": 1.0}}


def run(module: nn.Module, x: ts.Tensor, detail: str, *more, **named) -> list[np.ndarray]:
    """Outputs, final states, every gradient; the same random numbers each time."""
    ts.manual_seed(11)
    for p in module.parameters():
        p.grad = None
    x = x.detach().requires_grad_()
    with ts.detail(detail):
        y, last = module(x, *more, **named)
    last = last if isinstance(last, tuple) else (last,)
    loss = (y * y).sum() + sum(((k + 2.0) * s * s).sum() for k, s in enumerate(last))
    loss.backward()
    return [t.array for t in (y, *last, x.grad)] + [p.grad.array for p in module.parameters()]


@pytest.mark.parametrize("training", (True, False), ids=("train", "eval"))
@pytest.mark.parametrize("name", OPTIONS)
def test_options_agree_at_every_detail(name, training):
    ts.manual_seed(1)
    lstm = nn.LSTM(3, 5, num_layers=2, bidirectional=True, **OPTIONS[name], **F8).train(training)
    x = ts.randn(4, 2, 3, **F8)
    wanted = run(lstm, x, "gates")
    for detail in ("steps", "layers"):
        for a, b in zip(wanted, run(lstm, x, detail)):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("norm", (False, True))
@pytest.mark.parametrize("peephole", (False, True))
def test_against_numpy_written_from_the_papers(peephole, norm):
    ts.manual_seed(2)
    lstm = nn.LSTM(3, 5, peephole=peephole, layer_norm=norm, zoneout=0.25, recurrent_dropout=0.5,
                   **F8).eval()
    for p in lstm.parameters():
        nn.init.uniform_(p, -0.7, 0.7)
    x = ts.randn(4, 2, 3, **F8)
    p = {name: t.array for name, t in lstm.named_parameters()}
    vectors = [p[f"weight_c{g}_l0"] for g in "ifo"] if peephole else []
    if norm:
        for kind in ("ln_ih_weight", "ln_ih_bias", "ln_hh_weight", "ln_hh_bias"):
            vectors += np.split(p[f"{kind}_l0"], 4)
        vectors += [p["ln_c_weight_l0"], p["ln_c_bias_l0"]]
    zero = np.zeros((2, 5))
    values = [x.array, zero, zero, p["weight_ih_l0"], p["weight_hh_l0"], p["bias_ih_l0"],
              p["bias_hh_l0"], *vectors, None]
    kept = np.full((4, 2, 5), 0.25)
    y, h, c = by_hand(values, {"z_h": kept, "z_c": kept}, norm, peephole)
    found, (h_n, c_n) = lstm(x)
    for a, b in ((y, found), (h[None], h_n), (c[None], c_n)):
        np.testing.assert_allclose(a, b.array, rtol=1e-12)


def test_names_of_parameters_and_repr():
    lstm = nn.LSTM(3, 4, peephole=True, layer_norm=True, learn_init=True)
    shapes = {name: p.shape for name, p in lstm.named_parameters()}
    assert shapes == {
        "weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,),
        "bias_hh_l0": (16,), "weight_ci_l0": (4,), "weight_cf_l0": (4,), "weight_co_l0": (4,),
        "ln_ih_weight_l0": (16,), "ln_ih_bias_l0": (16,), "ln_hh_weight_l0": (16,),
        "ln_hh_bias_l0": (16,), "ln_c_weight_l0": (4,), "ln_c_bias_l0": (4,), "h_0": (1, 4),
        "c_0": (1, 4)}
    assert repr(lstm) == "LSTM(3, 4, peephole=True, layer_norm=True, learn_init=True)"
    assert (lstm.ln_c_weight_l0.array == 1).all() and not lstm.ln_hh_bias_l0.array.any()
    assert repr(nn.GRU(3, 4, zoneout=0.1)) == "GRU(3, 4, zoneout=0.1)"
    assert not lstm.h_0.array.any() and "norm" in lstm.equations()


def test_plain_layers_are_torchs_still():
    ts.manual_seed(0)
    plain = nn.LSTM(3, 4)
    ts.manual_seed(0)
    normed = nn.LSTM(3, 4, layer_norm=True, learn_init=True)
    for name, p in plain.named_parameters():
        assert np.array_equal(p.array, dict(normed.named_parameters())[name].array)


def test_masks_are_drawn_once_a_sequence_or_once_a_step():
    ts.manual_seed(3)
    rnn = nn.RNN(2, 50, recurrent_dropout=0.5, **F8)
    x, h = ts.zeros(6, 1, 2, **F8), ts.ones(1, 1, 50, **F8)
    with ts.no_grad():
        rnn.weight_hh_l0.copy_(np.eye(50))
        for p in (rnn.bias_ih_l0, rnn.bias_hh_l0):
            p.zero_()
    y, _ = rnn(x, h)
    gone = y.array[:, 0] == 0
    assert (gone == gone[0]).all() and 10 < gone[0].sum() < 40        # the same units at each step
    assert y.array[0, 0, ~gone[0]] == pytest.approx(np.tanh(2.0))     # scaled by 1 / (1 - p)
    zoned = nn.RNN(2, 50, zoneout=0.5, **F8)
    y, _ = zoned(ts.randn(6, 1, 2, **F8), h)
    kept = np.concatenate([h.array[0], y.array[:, 0]])
    same = kept[1:] == kept[:-1]
    assert 0.3 < same.mean() < 0.7 and not (same == same[0]).all()    # other units at each step
    first, second = zoned(x, h)[0], zoned(x, h)[0]
    assert (first.array != second.array).any()
    zoned.eval()
    assert (zoned(x, h)[0].array == zoned(x, h)[0].array).all()


def test_a_learned_initial_state():
    ts.manual_seed(4)
    gru = nn.GRU(3, 4, num_layers=2, learn_init=True, **F8)
    with ts.no_grad():
        nn.init.uniform_(gru.h_0, -1, 1)
    x = ts.randn(5, 3, 3, **F8)
    hx = ts.tensor(np.repeat(gru.h_0.array[:, None], 3, 1))
    assert np.array_equal(gru(x)[0].array, gru(x, hx)[0].array)
    gru(x)[0].sum().backward()
    assert gru.h_0.grad.shape == (2, 4) and gru.h_0.grad.array.all()
    gru.h_0.grad = None
    gru(x, hx)[0].sum().backward()
    assert gru.h_0.grad is None
    assert gru(x[:, 0])[0].shape == (5, 4)


@pytest.mark.parametrize("kind", ("RNN", "LSTM", "GRU"))
@pytest.mark.parametrize("bidirectional", (False, True))
def test_a_reset_starts_a_row_anew(kind, bidirectional):
    ts.manual_seed(5)
    module = getattr(nn, kind)(3, 4, bidirectional=bidirectional, zoneout=0.2, **F8).eval()
    x = ts.randn(6, 2, 3, **F8)
    reset = np.zeros((6, 2), bool)
    reset[2, 0] = reset[5, 1] = True
    for detail in ("gates", "layers"):
        with ts.detail(detail):
            y, _ = module(x, reset=reset)
            parts = [(0, slice(0, 2)), (0, slice(2, 6)), (1, slice(0, 5)), (1, slice(5, 6))]
            for n, steps in parts:
                alone, _ = module(x[steps, n])
                H = 4  # the reverse direction is reset as the forward one reads the same steps
                np.testing.assert_allclose(y.array[steps, n, :H], alone.array[:, :H], rtol=1e-12)
                if bidirectional:
                    np.testing.assert_allclose(y.array[steps, n, H:], alone.array[:, H:],
                                               rtol=1e-12)


def test_a_mask_is_lengths():
    ts.manual_seed(6)
    lstm = nn.LSTM(3, 4, bidirectional=True, **F8)
    x = ts.randn(5, 3, 3, **F8)
    lengths = np.array([2, 5, 1])
    mask = np.arange(5)[:, None] < lengths
    a, b = lstm(x, mask=mask), lstm(x, lengths=lengths)
    for s, t in zip((a[0], *a[1]), (b[0], *b[1])):
        assert np.array_equal(s.array, t.array)
    turned = nn.LSTM(3, 4, bidirectional=True, batch_first=True, **F8)
    turned.load_state_dict(lstm.state_dict())
    reset = np.arange(5)[:, None] == np.array([1, 3, 9])
    y = turned(x.transpose(0, 1), mask=mask.T, reset=ts.tensor(reset.T))[0]   # laid out as x
    assert np.array_equal(y.transpose(0, 1).array, lstm(x, mask=mask, reset=reset)[0].array)
    mask[0, 1] = False
    with pytest.raises(ValueError, match="sequence 1 has a gap"):
        lstm(x, mask=mask)


@pytest.mark.parametrize("cell", (CELLS["lstm"], NOTATION["inner_product"], NOTATION["peephole"],
                                  NOTATION["normed"]), ids=lambda c: c.name)
def test_recurrent_drives_any_cell(cell):
    ts.manual_seed(7)
    module = nn.Recurrent(cell, 3, 5, num_layers=2, bidirectional=True, batch_first=True, **F8)
    x = ts.randn(2, 4, 3, **F8)
    wanted = run(module, x, "gates")
    assert wanted[0].shape == (2, 4, 10)
    for a, b in zip(wanted, run(module, x, "layers")):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
    packed = nn.utils.rnn.pack_padded_sequence(x, [4, 2], batch_first=True)
    y, _ = module(packed)
    alone, _ = module(x[1:, :2])
    out, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
    np.testing.assert_allclose(out.array[1, :2], alone.array[0], rtol=1e-12)


def test_recurrent_is_the_layer_of_that_cell():
    ts.manual_seed(8)
    lstm = nn.LSTM(3, 4, num_layers=2, layer_norm=True)
    ts.manual_seed(8)
    same = nn.Recurrent(CELLS["lstm"], 3, 4, num_layers=2, layer_norm=True)
    x = ts.randn(5, 2, 3)
    assert np.array_equal(lstm(x)[0].array, same(x)[0].array)
    assert repr(same) == "Recurrent(lstm, 3, 4, num_layers=2, layer_norm=True)"


def test_layers_of_different_sizes():
    ts.manual_seed(9)
    module = nn.Recurrent(CELLS["gru"], 3, (6, 4), bidirectional=True, **F8)
    x = ts.randn(5, 2, 3, **F8)
    y, last = module(x)
    assert y.shape == (5, 2, 8) and [s.shape for s in last] == [(2, 2, 6), (2, 2, 4)]
    first = nn.GRU(3, 6, bidirectional=True, **F8)
    second = nn.GRU(12, 4, bidirectional=True, **F8)
    for k, layer in enumerate((first, second)):
        layer.load_state_dict({name.replace(f"_l{k}", "_l0"): p for name, p
                               in module.state_dict().items() if f"_l{k}" in name})
    np.testing.assert_allclose(second(first(x)[0])[0].array, y.array, rtol=1e-12)
    again, _ = module(x, last)
    np.testing.assert_allclose(again.array, second(first(x, last[0])[0], last[1])[0].array,
                               rtol=1e-12)


@pytest.mark.parametrize("kind", (nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell))
def test_each_gate_is_initialised_alone(kind):
    more = {} if kind.__name__.endswith("Cell") else {"num_layers": 2, "bidirectional": True}
    ts.manual_seed(10)
    module = kind(3, 4, **more, **F8)
    others = {n: p.array.copy() for n, p in module.named_parameters() if "weight_hh" not in n}
    version = module.parameters().__next__().version[0]
    assert nn.init.each_gate_(module, nn.init.orthogonal_) is module
    hidden = [p for n, p in module.named_parameters() if "weight_hh" in n]
    assert len(hidden) == (4 if more else 1)
    for p in hidden:
        gates = p.array.reshape(-1, 4, 4)
        assert len(gates) == len(module.cell.gates) and p.version[0] > version
        for gate in gates:
            np.testing.assert_allclose(gate @ gate.T, np.eye(4), atol=1e-12)
        assert len({gate.tobytes() for gate in gates}) == len(gates)
    for n, array in others.items():
        assert np.array_equal(dict(module.named_parameters())[n].array, array)
    nn.init.each_gate_(module, lambda t: nn.init.constant_(t, 7.0), "bias_ih")
    assert all((p.array == 7).all() == ("bias_ih" in n) for n, p in module.named_parameters())


@pytest.mark.parametrize("make, signs", [
    (lambda: nn.LSTM(3, 500, num_layers=2, bidirectional=True), {"f": 1, "i": -1}),
    (lambda: nn.LSTMCell(3, 2000), {"f": 1, "i": -1}),
    (lambda: nn.GRU(3, 500, num_layers=4), {"z": 1}), (lambda: nn.GRUCell(3, 2000), {"z": 1}),
    (lambda: nn.Recurrent(CELLS["lstm_peephole"], 3, (1500, 500)), {"f": 1, "i": -1})],
    ids=("lstm", "lstm cell", "gru", "gru cell", "recurrent"))
def test_chrono(make, signs):
    """The forget times exp(b) are spread evenly from 1 to longest - 1, in every layer."""
    ts.manual_seed(12)
    module = nn.init.chrono_(make(), 101)
    gates, drawn = module.cell.gates, {gate: [] for gate in signs}
    fresh = dict(make().named_parameters())
    named = dict(module.named_parameters())
    for name in [n for n in named if n.startswith("bias_ih")]:
        own = named[name].array.reshape(len(gates), -1)
        other = named[name.replace("ih", "hh")].array.reshape(len(gates), -1)
        for gate, a, b in zip(gates, own, other):
            if gate in signs:
                drawn[gate].append(a)
                assert not b.any()
            else:
                bound = 1 / np.sqrt(a.size)
                assert a.any() and b.any() and np.abs(a).max() <= bound >= np.abs(b).max()
    for gate, found in drawn.items():
        times = np.exp(np.concatenate(found) * signs[gate])
        assert times.size == 2000 and times.min() >= 1 and times.max() <= 100.001
        assert abs(times.mean() - 50.5) < 3 and abs(np.median(times) - 50.5) < 4
    if "i" in drawn:
        assert all(np.array_equal(a, -b) for a, b in zip(drawn["i"], drawn["f"]))
    assert all(named[n].shape == p.shape for n, p in fresh.items())


def test_a_carried_state_is_cut_off_on_purpose():
    ts.manual_seed(13)
    lstm, x = nn.LSTM(3, 4, **F8), ts.randn(6, 2, 3, **F8)
    y, state = lstm(x[:3])
    kept = nn.detached(state)
    assert isinstance(kept, tuple) and not any(s.requires_grad for s in kept)
    assert all(np.array_equal(a.array, b.array) for a, b in zip(kept, state))
    with pytest.raises(RuntimeError, match="detach the hidden state"):
        y.sum().backward()
        lstm(x[3:], state)[0].sum().backward()
    lstm.zero_grad()
    lstm(x[3:], kept)[0].sum().backward()
    alone = [p.grad.array.copy() for p in lstm.parameters()]
    lstm.zero_grad()
    lstm(x[3:], tuple(ts.tensor(s.array) for s in state))[0].sum().backward()
    assert all(np.array_equal(a, p.grad.array) for a, p in zip(alone, lstm.parameters()))
    assert nn.detached(None) is None and nn.detached([state[0]])[0].is_leaf


@pytest.mark.parametrize("kind", (nn.RNN, nn.LSTM, nn.GRU))
def test_every_option_stands_in_an_example(kind):
    """Its own docstring's, or RNN's for what all layers share."""
    def examples(cls: type) -> str:
        return "\n".join(line for line in (cls.__doc__ or "").splitlines() if ">>>" in line
                         or line.lstrip().startswith("..."))
    own, shared = examples(kind), examples(nn.RNN)
    options = [p.name for p in inspect.signature(kind).parameters.values()][2:]
    calls = [p.name for p in inspect.signature(kind.forward).parameters.values()][2:]
    assert {"bias", "dropout", "layer_norm"} <= set(options) and "lengths" in calls
    torchs = {"num_layers", "bias", "batch_first", "dropout", "bidirectional", "device", "dtype",
              *calls}
    for name in [*options, *calls]:
        if name == "proj_size" and kind is not nn.LSTM:
            continue                                       # refused there, as in torch
        assert f"{name}=" in (own + shared if name in torchs else own), name
    assert "forget_bias=" in examples(nn.LSTM) and "chrono_(" in examples(nn.LSTM)


REFUSED = {
    "chrono of an rnn": (lambda: nn.init.chrono_(nn.RNN(3, 4), 9), ValueError,
                         r"i and f \(LSTM\) or z \(GRU\), but this RNN has the gates h"),
    "chrono of a short time": (lambda: nn.init.chrono_(nn.GRU(3, 4), 2), ValueError,
                               "at least 3 steps, got 2"),
    "chrono without bias": (lambda: nn.init.chrono_(nn.LSTM(3, 4, bias=False), 9), ValueError,
                            "LSTM has no bias_ih, only weight_ih_l0, weight_hh_l0"),
    "gates of a linear": (lambda: nn.init.each_gate_(nn.Linear(3, 4), nn.init.zeros_), TypeError,
                          "a recurrent layer or cell, which has gates, got Linear"),
    "zoneout": (lambda: nn.LSTM(3, 4, zoneout=1.5), ValueError, "zoneout=1.5"),
    "dropout": (lambda: nn.GRU(3, 4, recurrent_dropout=True), ValueError, "recurrent_dropout"),
    "flag": (lambda: nn.RNN(3, 4, layer_norm=1), TypeError, "layer_norm should be of type bool"),
    "peephole": (lambda: nn.LSTM(3, 4, peephole="yes"), TypeError, "peephole"),
    "projected": (lambda: nn.LSTM(3, 4, proj_size=2, recurrent_dropout=0.5), ValueError,
                  "proj_size=0"),
    "projected zoneout": (lambda: nn.LSTM(3, 4, proj_size=2, zoneout=0.5), ValueError,
                          "proj_size=0"),
    "no cell": (lambda: nn.Recurrent("lstm", 3, 4), TypeError, "@ts.cell"),
    "sizes": (lambda: nn.Recurrent(CELLS["gru"], 3, (6, 4), num_layers=3), ValueError,
              "num_layers=3 .* 2 sizes"),
    "reset": (lambda: nn.RNN(3, 4)(ts.ones(5, 2, 3), reset=np.zeros((2, 5), bool)), ShapeError,
              r"\(5, 2\)"),
    "reset, batch first": (lambda: nn.RNN(3, 4, batch_first=True)(
        ts.ones(2, 5, 3), reset=np.zeros((5, 2), bool)), ShapeError, r"sequences and.*\(2, 5\)"),
    "mask": (lambda: nn.RNN(3, 4)(ts.ones(5, 2, 3), mask=np.ones((5, 2))), ShapeError, "float64"),
    "reset, lengths": (lambda: nn.RNN(3, 4)(ts.ones(5, 2, 3), lengths=[3, 2],
                                            reset=np.zeros((6, 2), bool)), ShapeError, "reset"),
    "forget_bias": (lambda: nn.LSTM(3, 4, forget_bias="1"), ValueError, "forget_bias='1'"),
    "hx of other sizes": (lambda: nn.Recurrent(CELLS["gru"], 3, (6, 4))(
        ts.ones(5, 2, 3), ts.zeros(2, 2, 6)), TypeError, "a tuple of 2 tensors, one for each"),
    "hx, two states": (lambda: nn.Recurrent(CELLS["lstm"], 3, (6, 4))(
        ts.ones(5, 2, 3), 3), TypeError, "a tuple of 2, each a tuple of 2 tensors"),
    "both": (lambda: nn.RNN(3, 4)(ts.ones(5, 2, 3), lengths=[5, 5], mask=np.ones((5, 2), bool)),
             TypeError, "lengths or mask")}


@pytest.mark.parametrize("call, error, words", REFUSED.values(), ids=REFUSED)
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call()
