"""How the gradient flows: norms by step, shares that add up, probes, and where a NaN was made."""
from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import byhand, kernels
from tinyseq.errors import GraphError
from tinyseq.flow import flow, kept_by_truncation
from tinyseq.probe import first_nonfinite, values
from tinyseq.walk import differentiate

NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
LAYERS = {"rnn": lambda: ts.nn.RNN(3, 4, dtype=ts.float64),
          "lstm": lambda: ts.nn.LSTM(3, 4, dtype=ts.float64),
          "gru": lambda: ts.nn.GRU(3, 4, dtype=ts.float64),
          "gru-textbook": lambda: ts.nn.GRU(3, 4, dtype=ts.float64, reset_after=False)}


def recorded(kind: str, T: int = 6, detail: str = "gates"):
    ts.manual_seed(3)
    layer, x = LAYERS[kind](), ts.randn(T, 2, 3, dtype=ts.float64, requires_grad=True)
    h = [ts.randn(1, 2, 4, dtype=ts.float64, requires_grad=True) for _ in range(2)]
    with ts.detail(detail):
        y, state = layer(x, tuple(h) if kind == "lstm" else h[0])
    return layer, x, h, (y * y).sum()


@pytest.mark.parametrize("kind", LAYERS)
def test_shares_add_up_to_the_gradient(kind):
    layer, _, _, loss = recorded(kind)
    grads = differentiate([loss], [None], True, False)
    for name in NAMES:
        weight = getattr(layer, name)
        terms = ts.bptt.shares(loss, weight)
        assert terms.shape == (6, *weight.shape)
        np.testing.assert_allclose(terms.sum(0), grads[weight], rtol=1e-12, atol=1e-13)
        assert len({term.tobytes() for term in terms}) == 6
    assert all(p.grad is None for p in layer.parameters())


@pytest.mark.parametrize("kind,way", [("rnn", byhand.rnn_bptt), ("lstm", byhand.lstm_bptt)])
def test_flow_equals_bptt_by_hand(kind, way):
    layer, x, h, loss = recorded(kind)
    weights = {n: getattr(layer, n).array for n in NAMES}
    states = tuple(t.array[0] for t in h[:2 if kind == "lstm" else 1])
    zero = tuple(np.zeros_like(s) for s in states)
    y = way(weights, x.array, states, np.zeros((6, 2, 4)), zero).y
    hand = way(weights, x.array, states, 2 * y, zero)
    found = ts.bptt.flow(loss)
    assert found.steps == 6
    for name, total in hand.flow.items():
        wanted = [np.linalg.norm(g) for g in total]
        np.testing.assert_allclose(found.lanes[name][1:], wanted, rtol=1e-12)
    for name, g in zip("hc", hand.state):
        np.testing.assert_allclose(found.lanes[name][0], np.linalg.norm(g), rtol=1e-12)
    np.testing.assert_allclose(found.inputs, [np.linalg.norm(g) for g in hand.gx], rtol=1e-12)


def test_flow_leaves_nothing_behind():
    _, _, _, loss = recorded("gru")
    ts.bptt.flow(loss)
    assert all(node.gy is None and not node.keep for node in ts.graph(loss))


@pytest.mark.skipif(not kernels.available(), reason="NUMBA_DISABLE_JIT=1: all is op by op")
def test_a_fused_layer_has_no_steps_to_read():
    for detail in ("layers", "steps"):  # what reaches c_t through h_t stays inside a fused step
        with pytest.raises(GraphError, match="op by op.*ts.detail"):
            ts.bptt.flow(recorded("lstm", detail=detail)[3])


def test_what_is_not_there_is_said():
    _, _, _, loss = recorded("gru")
    with pytest.raises(GraphError, match="'l7'.*l0.fwd"):
        ts.bptt.flow(loss, "l7")
    with pytest.raises(GraphError, match="step by step"):
        ts.bptt.shares(loss, ts.ones(2, requires_grad=True))


def test_what_truncation_keeps():
    terms = np.array([[1.0], [2.0], [4.0]])
    np.testing.assert_allclose(kept_by_truncation(terms), [4 / 7, 6 / 7, 1])


def test_values_of_named_lines():
    layer, x, _, _ = recorded("lstm")
    found = values(lambda: layer(x), "l0.fwd/t=*/f")
    assert list(found) == [f"l0.fwd/t={t}/f" for t in range(6)]
    assert all(v.shape == (2, 4) and (0 < v).all() and (v < 1).all() for v in found.values())


def test_the_first_nan_is_named():
    x = ts.tensor([4.0, 1.0], requires_grad=True)

    def forward():
        with ts.scope("a"):
            y = x - 4.0
        with ts.scope("b"):
            y = ts.log(y)
        return (y * y).sum()
    assert "<log at b>" in first_nonfinite(forward)

    def backward():
        with ts.scope("root"):
            return ts.sqrt(x * 0.0).sum()
    assert "<mul at root>" in first_nonfinite(backward)
    assert first_nonfinite(lambda: (x * x).sum()) is None


def test_drawing_does_not_touch_gradients(tmp_path):
    layer, _, _, loss = recorded("lstm")
    before = {n: g.tobytes() for n, g in enumerate(differentiate([loss], [None], True,
                                                                 False).values())}
    picture = ts.draw(loss, mode="both", title="<b>mine</b>")
    picture.save(tmp_path / "a.svg")
    after = {n: g.tobytes() for n, g in enumerate(differentiate([loss], [None], True,
                                                                False).values())}
    assert before == after
    norms = ts.bptt.flow(loss)
    assert norms.lanes["h"][3] is not None and f"{norms.lanes['h'][3]:.2g}" in picture.svg()
    with pytest.raises(ValueError, match="cell"):
        ts.draw(loss, level="atom")


def test_two_cells_in_one_place_are_not_mixed_up():
    """The same path, another cell: each graph keeps its own, whatever ran there since."""
    x = ts.ones(4, 1, 2)
    losses = {}
    with ts.detail("gates"):
        for kind in ("RNN", "LSTM"):
            losses[kind] = getattr(ts.nn, kind)(2, 3)(x)[0].sum()
    assert [flow(losses[kind]).cell.name for kind in ("RNN", "LSTM")] == ["rnn_tanh", "lstm"]
    with ts.detail("steps"):  # derivatives of a step's own graph run the cell inside the step
        y = ts.nn.GRU(2, 3)(x)[0].sum()
        y.backward(create_graph=True)
    assert flow(losses["RNN"]).steps == 4
