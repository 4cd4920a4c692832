"""Weights from and to other frameworks: their committed numbers, round trips, refusals, proofs."""
from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import convert, nn
from tinyseq.convert import references
from tinyseq.convert.layout import flat
from tinyseq.errors import ConversionError

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("golden_convert",
                                               ROOT / "tools/make_golden_convert.py")
assert _spec is not None and _spec.loader is not None
tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tool)
with np.load(tool.GOLDEN) as _file:
    INDEX = json.loads(str(_file["index"]))
    GOLDEN = {name: _file[name] for name in _file.files if name != "index"}
FRAMEWORKS = list(tool.HAS)
each_framework = pytest.mark.parametrize("framework", FRAMEWORKS)


def made(case, dtype=ts.float64, **more):
    """The case's layer in tinyseq, with weights from the seed."""
    name, options = tool.KINDS[case.kind]
    return getattr(nn, name)(tool.I, tool.H, case.layers, bias=case.bias, dtype=dtype,
                             bidirectional=case.directions == 2, **options, **more)


def results(layer, x):
    """Output and final states of a layer, as arrays."""
    with ts.no_grad():
        y, last = layer(ts.tensor(x, dtype=layer.weight_ih_l0.dtype))
    return [t.numpy() for t in (y, *(last if isinstance(last, tuple) else (last,)))]


def worst(ours, theirs):
    """The largest difference, as a part of a result's largest entry (or of 1)."""
    assert [a.shape for a in ours] == [b.shape for b in theirs]
    return max(np.abs(a - b).max() / max(1.0, np.abs(b).max()) for a, b in zip(ours, theirs))


def cases(framework):
    return [case for case in tool.CASES if case.framework == framework]


def state(layer):
    """All that a failed conversion must leave alone: values, versions, gradients, mode."""
    return [(name, p, p.array.tobytes(), p.version[0], p.grad)
            for name, p in layer.named_parameters()], layer.training


def arrays(weights):
    """All arrays of exported weights by layer and name."""
    layers = weights if isinstance(weights, list) else [weights]
    return {(k, name): value for k, w in enumerate(layers)
            for name, value in tree_flat(w).items() if isinstance(value, np.ndarray)}


def tree_flat(tree, prefix=""):
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {name: value for key, part in tree.items()
            for name, value in tree_flat(part, f"{prefix}/{key}").items()}


def keras_lstm(**changes):
    """Keras's weights of LSTM(3, 2), with changes; None takes one away."""
    random = np.random.default_rng(1)
    w = {"kernel": random.normal(size=(3, 8)), "recurrent_kernel": random.normal(size=(2, 8)),
         "bias": random.normal(size=8)}
    return {name: value for name, value in (w | changes).items() if value is not None}


def keras_gru(**changes):
    """Keras's weights of GRU(3, 2), reset_after, with changes."""
    random = np.random.default_rng(1)
    return {"kernel": random.normal(size=(3, 6)), "recurrent_kernel": random.normal(size=(2, 6)),
            "bias": random.normal(size=(2, 6))} | changes


# -- the frameworks' own numbers ----------------------------------------------------------
def test_there_is_something_to_compare():
    assert set(GOLDEN) == {case.name for case in tool.CASES} and len(GOLDEN) == 102
    assert set(INDEX["versions"]) >= {"torch", "keras", "flax", "equinox", "onnxruntime"}
    for case in tool.CASES:
        _, (x, *found) = tool.unpacked(case, INDEX[case.name], GOLDEN[case.name])
        assert np.mean(np.abs(found[0]) > 1e-3) > 0.2, case  # (a rectifier has zeros)
        assert all(a.any() and np.isfinite(a).all() for a in found), case
        assert tool.HAS[case.framework][2] <= 2e-6


@each_framework
def test_layers_filled_with_a_frameworks_weights_compute_its_numbers(framework):
    far = {}
    for case in cases(framework):
        weights, (x, *theirs) = tool.unpacked(case, INDEX[case.name], GOLDEN[case.name])
        layer = made(case)
        assert convert.load(layer, weights, framework) < 1e-12
        far[case.name] = worst(results(layer, x), theirs)
    assert {name: d for name, d in far.items() if not d < tool.HAS[framework][2]} == {}


@each_framework
def test_what_was_loaded_is_exported_to_the_bit(framework):
    for case in cases(framework):
        weights, _ = tool.unpacked(case, INDEX[case.name], GOLDEN[case.name])
        layer = made(case)
        convert.load(layer, weights, framework)
        back = convert.export(layer, framework)
        assert tool.shapes(back) == INDEX[case.name], case  # names, nesting, shapes, settings
        before, after = arrays(weights), arrays(back)
        assert before.keys() == after.keys() and len(before) >= 2
        for name, a in before.items():
            assert np.array_equal(a, after[name]) and after[name].dtype == np.float64, case


@each_framework
def test_the_references_alone_compute_a_frameworks_numbers(framework):
    """The witnesses of every proof, with nothing of tinyseq's layers in between."""
    layout = convert.LAYOUTS[framework]
    for case in cases(framework):
        weights, (x, *theirs) = tool.unpacked(case, INDEX[case.name], GOLDEN[case.name])
        layer = made(case)
        form = convert.own.form_of(layer)
        lanes = [w for w, _ in convert.converting.taken(layer, form, layout, weights)]
        ours = references.run(references.STEPS[framework][case.word], lanes, x,
                              [np.zeros(s.shape) for s in theirs[1:]], case.directions)
        assert worst(ours, theirs) < tool.HAS[framework][2], case


def test_the_comparison_can_fail():
    case = tool.Case("keras", "gru", 1, 1, True)
    weights, (x, *theirs) = tool.unpacked(case, INDEX[case.name], GOLDEN[case.name])
    z, r, h = np.split(weights["kernel"], 3, axis=1)
    layer = made(case)
    convert.load(layer, weights | {"kernel": np.concatenate([r, z, h], axis=1)}, "keras")
    assert worst(results(layer, x), theirs) > 1e-3


# -- round trips --------------------------------------------------------------------------
@pytest.mark.parametrize("dtype, limit", [(ts.float64, 1e-14), (ts.float32, 2e-6)])
@each_framework
def test_export_and_load_give_the_same_layer(framework, dtype, limit):
    x = np.random.default_rng(0).normal(size=(5, 2, tool.I))
    for case in cases(framework):
        here, there = made(case, dtype), made(case, dtype)
        assert worst(results(here, x), results(there, x)) > 1e-3
        weights = convert.export(here, framework)
        proof = convert.load(there, weights, framework)
        assert proof <= 1e-12, case  # (in float64; float32 weights have lost nothing)
        assert worst(results(here, x), results(there, x)) < limit, case
        for value in arrays(weights).values():
            assert value.dtype == dtype and value.flags.c_contiguous
            assert not any(np.shares_memory(value, p.array) for p in here.parameters())


def test_through_all_frameworks_and_back():
    first = last = nn.LSTM(3, 4, num_layers=2, dtype=ts.float64)
    for framework in FRAMEWORKS:
        weights = convert.export(last, framework)
        last = nn.LSTM(3, 4, num_layers=2, dtype=ts.float64)
        convert.load(last, weights, framework)
    x = np.random.default_rng(0).normal(size=(5, 2, 3))
    assert 0 <= worst(results(first, x), results(last, x)) < 1e-14
    for k in range(2):  # two biases became one, on one side or the other
        (a, b), (c, d) = [(getattr(m, f"bias_ih_l{k}").array, getattr(m, f"bias_hh_l{k}").array)
                          for m in (first, last)]
        assert b.any() and np.allclose(a + b, c + d, rtol=1e-14)


def test_gate_rows_written_out():
    """The orders once more, by hand: each gate's bias is its own number."""
    lstm = nn.LSTM(1, 1, dtype=ts.float64)  # i f g o: 1 2 3 4 and 10 20 30 40
    gru = nn.GRU(1, 1, dtype=ts.float64)    # r z n: 1 2 3 and 10 20 30
    with ts.no_grad():
        lstm.bias_ih_l0.copy_(ts.tensor([1.0, 2, 3, 4], dtype=ts.float64))
        lstm.bias_hh_l0.copy_(ts.tensor([10.0, 20, 30, 40], dtype=ts.float64))
        gru.bias_ih_l0.copy_(ts.tensor([1.0, 2, 3], dtype=ts.float64))
        gru.bias_hh_l0.copy_(ts.tensor([10.0, 20, 30], dtype=ts.float64))
    assert convert.export(lstm, "keras")["bias"].tolist() == [11, 22, 33, 44]        # i f c o
    assert convert.export(lstm, "onnx")["B"].tolist() == [[1, 4, 2, 3, 10, 40, 20, 30]]  # i o f c
    assert convert.export(lstm, "equinox")["bias"].tolist() == [11, 22, 33, 44]
    flax = convert.export(lstm, "flax")
    assert [flax[f"h{gate}"]["bias"].item() for gate in "ifgo"] == [11, 22, 33, 44]
    assert convert.export(gru, "keras")["bias"].tolist() == [[2, 1, 3], [20, 10, 30]]    # z r h
    assert convert.export(gru, "onnx")["B"].tolist() == [[2, 1, 3, 20, 10, 30]]          # z r h
    equinox = convert.export(gru, "equinox")
    assert equinox["bias"].tolist() == [11, 22, 3] and equinox["bias_n"].tolist() == [30]
    flax = convert.export(gru, "flax")
    assert [flax[name]["bias"].item() for name in ("ir", "iz", "in", "hn")] == [11, 22, 3, 30]


def test_float64_weights_are_rounded_into_a_float32_layer():
    lstm = nn.LSTM(3, 2)
    proof = convert.load(lstm, keras_lstm(), "keras")
    assert 1e-12 < proof < 1e-6 and lstm.weight_ih_l0.dtype == ts.float32
    assert np.array_equal(lstm.weight_ih_l0.array, keras_lstm()["kernel"].T.astype(np.float32))


def test_a_layer_without_bias():
    lstm = nn.LSTM(3, 2, dtype=ts.float64)
    convert.load(lstm, keras_lstm(bias=None), "keras")
    assert not lstm.bias_ih_l0.array.any() and not lstm.bias_hh_l0.array.any()
    bare = nn.LSTM(3, 2, bias=False)
    assert set(convert.export(bare, "keras")) == {"kernel", "recurrent_kernel"}
    assert set(convert.export(bare, "onnx")) == {"W", "R"}
    flax = convert.export(bare, "flax")  # whose cells always have one
    assert not flax["hi"]["bias"].any()
    assert convert.load(bare, flax, "flax") < 1e-12
    with pytest.raises(ConversionError, match="have a bias: make the layer with bias=True"):
        convert.load(bare, keras_lstm(), "keras")


def test_peepholes_go_to_onnx_in_the_order_i_o_f():
    lstm = nn.LSTM(3, 2, peephole=True, dtype=ts.float64)
    node = convert.export(lstm, "onnx")
    assert node["P"].tolist() == [[*lstm.weight_ci_l0.tolist(), *lstm.weight_co_l0.tolist(),
                                   *lstm.weight_cf_l0.tolist()]]
    plain = nn.LSTM(3, 2, dtype=ts.float64)
    with pytest.raises(ConversionError, match="make the layer with peephole=True"):
        convert.load(plain, node, "onnx")
    convert.load(lstm, convert.export(plain, "onnx"), "onnx")  # no P: zeros
    assert not lstm.weight_ci_l0.array.any()
    assert set(convert.export(lstm, "keras")) == {"kernel", "recurrent_kernel", "bias"}


# -- both forms of the GRU ----------------------------------------------------------------
def test_keras_tells_the_form_of_a_gru_by_its_bias_or_in_words():
    after, before = keras_gru(), keras_gru(bias=keras_gru()["bias"][0])
    bare = {name: w for name, w in after.items() if name != "bias"}
    for weights, form in ((after, True), (before, False), (bare, True),
                          (bare | {"reset_after": False}, False)):
        convert.load(nn.GRU(3, 2, reset_after=form), weights, "keras")
        with pytest.raises(ConversionError, match=f"make the layer with reset_after={form}"):
            convert.load(nn.GRU(3, 2, reset_after=not form), weights, "keras")
    with pytest.raises(ConversionError, match=r"bias has shape \(6,\), expected \(2, 6\)"):
        convert.load(nn.GRU(3, 2), before | {"reset_after": True}, "keras")


def test_an_onnx_node_resets_before_unless_it_says_otherwise():
    gru = nn.GRU(3, 2, dtype=ts.float64)
    node = convert.export(gru, "onnx")
    assert node.pop("linear_before_reset") == 1
    with pytest.raises(ConversionError, match="resets before the product with W_hn, not after it, "
                       "and W_hn is not diagonal: .* linear_before_reset, 0 by default"):
        convert.load(gru, node, "onnx")
    assert convert.load(nn.GRU(3, 2, reset_after=False), node, "onnx") < 1e-5
    said = {"linear_before_reset": np.int64(1), "direction": b"forward", "hidden_size": 2}
    assert convert.load(gru, node | said, "onnx") < 1e-12  # (attributes as the onnx package reads)
    assert "linear_before_reset" not in convert.export(nn.GRU(3, 2, reset_after=False), "onnx")


@pytest.mark.parametrize("target", ["keras", "onnx"])
def test_a_gru_changes_its_form_where_that_is_possible(target):
    gru = nn.GRU(3, 2, num_layers=2, dtype=ts.float64)
    with pytest.raises(ConversionError, match="and W_hn is not diagonal and b_hn is not zero: no "
                                              "weights make the two the same; leave reset_after"):
        convert.export(gru, target, reset_after=False)
    with ts.no_grad():
        for k in range(2):
            gru.get_parameter(f"weight_hh_l{k}")[4:].copy_(ts.eye(2, dtype=ts.float64) * 0.7)
    with pytest.raises(ConversionError, match="not before it, and b_hn is not zero: no weights"):
        convert.export(gru, target, reset_after=False)
    with ts.no_grad():
        for k in range(2):
            gru.get_parameter(f"bias_hh_l{k}")[4:].zero_()
    before = nn.GRU(3, 2, num_layers=2, reset_after=False, dtype=ts.float64)
    convert.load(before, convert.export(gru, target, reset_after=False), target)
    x = np.random.default_rng(0).normal(size=(5, 2, 3))
    assert worst(results(gru, x), results(before, x)) < 1e-14
    back = nn.GRU(3, 2, num_layers=2, dtype=ts.float64)
    convert.load(back, convert.export(before, "torch"), "torch")
    assert worst(results(gru, x), results(back, x)) < 1e-14


# -- what is refused ----------------------------------------------------------------------
IMPOSSIBLE = [
    (lambda: nn.RNN(3, 2), "equinox", "Equinox has only LSTMCell and GRUCell"),
    (lambda: nn.LSTM(3, 2, bidirectional=True), "equinox", "LSTMCell goes in one direction"),
    *[(lambda: nn.LSTM(3, 4, proj_size=2), name, "no projection, and this layer has proj_size=2")
      for name in ("keras", "flax", "equinox", "onnx")],
    *[(lambda: nn.LSTM(3, 2, peephole=True), name, "has no peepholes, and this one's are not zero")
      for name in ("torch", "keras", "flax", "equinox")],
    *[(lambda: nn.GRU(3, 2, reset_after=False), name, "resets before the product with W_hn, not "
       "after it, and W_hn is not diagonal.*'s GRU resets after the product")
      for name in ("torch", "flax", "equinox")],
    *[(lambda: nn.LSTM(3, 2, layer_norm=True), name, "normalises nothing inside a step")
      for name in FRAMEWORKS],
    *[(lambda: nn.GRU(3, 2, zoneout=0.1), name, r"has no zoneout.*zoneout=0\.1")
      for name in FRAMEWORKS]]


@pytest.mark.parametrize("make, framework, why", IMPOSSIBLE)
def test_an_impossible_conversion_is_refused_with_the_reason(make, framework, why):
    layer = make()
    with pytest.raises(ConversionError, match=re.escape(repr(layer)) + " cannot be exported to "
                       + convert.LAYOUTS[framework].title + "(?s:.*)" + why):
        convert.export(layer, framework)


def test_a_learned_initial_state_is_refused_where_it_is_not_zero():
    lstm = nn.LSTM(3, 2, learn_init=True, dtype=ts.float64)
    assert convert.load(lstm, convert.export(lstm, "keras"), "keras") < 1e-12
    with ts.no_grad():
        lstm.c_0.fill_(0.5)
    before = state(lstm)
    for call in (lambda: convert.export(lstm, "keras"),
                 lambda: convert.load(lstm, keras_lstm(), "keras")):
        with pytest.raises(ConversionError, match="starts from zeros, and this layer has learned "
                                                  "c_0: pass it as an initial state"):
            call()
    assert state(lstm) == before


WRONG = [
    (lambda: nn.LSTM(3, 2), keras_lstm(kernel=None, gamma=np.ones(2)),
     r"these are not the Keras weights of LSTM\(3, 2\):\n\tl0.fwd: missing kernel\n"
     r"\tl0.fwd: unexpected gamma"),
    (lambda: nn.LSTM(3, 2), keras_lstm(bias=np.ones((2, 8))),
     r"bias has shape \(2, 8\), expected \(8,\)"),
    (lambda: nn.LSTM(3, 2), keras_lstm(kernel=np.ones((8, 3))),
     r"kernel has shape \(8, 3\), expected \(3, 8\)"),
    (lambda: nn.LSTM(3, 2), keras_lstm(bias=np.full(8, np.inf)), "bias is not finite"),
    (lambda: nn.LSTM(3, 2), keras_lstm(bias="glorot"), "bias is a str, expected an array"),
    (lambda: nn.LSTM(3, 2), keras_lstm(bias=list("ifcoifco")), "bias is a list of 8, expected an"),
    (lambda: nn.LSTM(3, 2), keras_lstm(dropout=0.5, units=2),
     "l0.fwd: unexpected dropout\n\tl0.fwd: unexpected units"),
    (lambda: nn.LSTM(3, 2), list(keras_lstm().values()),
     "the Keras weights of 1 layer are a dict of arrays by name; got a list of 3"),
    (lambda: nn.LSTM(3, 2, 2), keras_lstm(),
     "of 2 layers are a list of 2 dicts, the first layer first; got a dict"),
    (lambda: nn.LSTM(3, 2, 2), [keras_lstm()] * 3, "a list of 2 dicts.*; got a list of 3"),
    (lambda: nn.LSTM(3, 2, bidirectional=True), keras_lstm(),
     "a dict with forward_layer and backward_layer; got kernel, recurrent_kernel, bias"),
    (lambda: nn.LSTM(3, 2, bidirectional=True), {"forward_layer": keras_lstm()},
     "\n\tl0.rev: missing kernel\n\tl0.rev: missing recurrent_kernel$"),
    (lambda: nn.RNN(3, 2, nonlinearity="relu"),
     {"kernel": np.ones((3, 2)), "recurrent_kernel": np.ones((2, 2)), "bias": np.ones(2)},
     "activation='tanh', the default, but this layer computes what activation='relu' does"),
    (lambda: nn.RNN(3, 2), {"kernel": np.ones((3, 2)), "recurrent_kernel": np.ones((2, 2)),
                            "activation": np.ones(2)}, r"activation=array\(.*but this layer")]


@pytest.mark.parametrize("make, weights, why", WRONG)
def test_weights_of_another_layer_are_refused_and_nothing_is_changed(make, weights, why):
    layer = make()
    before = state(layer)
    with pytest.raises(ConversionError, match=why):
        convert.load(layer, weights, "keras")
    assert state(layer) == before


def test_the_other_frameworks_refuse_what_is_not_theirs():
    lstm, both = nn.LSTM(3, 2), nn.LSTM(3, 2, bidirectional=True)
    node, torch = convert.export(both, "onnx"), convert.export(both, "torch")
    with pytest.raises(ConversionError, match="direction='forward', and its arrays .* first axis "
                       r"of 1; got direction='bidirectional', W of shape \(2, 8, 3\)"):
        convert.load(lstm, node, "onnx")
    with pytest.raises(ConversionError, match=r"got direction='reverse'$"):
        convert.load(lstm, convert.export(lstm, "onnx") | {"direction": "reverse"}, "onnx")
    with pytest.raises(ConversionError, match="unexpected weight_ih_l0_reverse, weight_hh_l0_rev"):
        convert.load(lstm, torch, "torch")
    with pytest.raises(ConversionError, match=r"are its state_dict\(\); got a list of 1"):
        convert.load(lstm, [torch], "torch")
    with pytest.raises(ConversionError, match="missing ii/kernel(?s:.*)unexpected cell/ii"):
        convert.load(lstm, {"cell": convert.export(lstm, "flax")}, "flax")
    relu = nn.RNN(3, 2, nonlinearity="relu", bidirectional=True)
    assert convert.export(relu, "onnx")["activations"] == ["Relu", "Relu"]
    with pytest.raises(ConversionError, match=r"activations of shape \(1,\)"):
        convert.load(relu, convert.export(relu, "onnx") | {"activations": ["Relu"]}, "onnx")


def test_bad_calls():
    lstm = nn.LSTM(3, 2)
    before = state(lstm)
    with pytest.raises(ValueError, match="of torch, keras, flax, equinox, onnx; got 'Keras'"):
        convert.load(lstm, keras_lstm(), "Keras")
    with pytest.raises(ValueError, match="got None"):
        convert.export(lstm, None)
    for other in (nn.Linear(3, 2), nn.LSTMCell(3, 2), "lstm"):
        with pytest.raises(TypeError, match="is an nn.RNN, nn.LSTM or nn.GRU, got "
                                            f"{type(other).__name__}"):
            convert.export(other, "keras")
    with pytest.raises(TypeError, match="bias has dtype int64: give floats"):
        convert.load(lstm, keras_lstm(bias=np.arange(8)), "keras")
    with pytest.raises(TypeError, match="kernel is a object: give an array"):
        convert.load(lstm, keras_lstm(kernel=object()), "keras")
    with pytest.raises(TypeError, match=r"reset_after=False: it is True or False, and for a GRU; "
                                        r"this is LSTM\(3, 2\)"):
        convert.export(lstm, "keras", reset_after=False)
    with pytest.raises(TypeError, match="reset_after=1: it is True or False"):
        convert.export(nn.GRU(3, 2), "keras", reset_after=1)  # type: ignore[arg-type]
    assert state(lstm) == before


# -- the proof ----------------------------------------------------------------------------
@pytest.mark.parametrize("part", ["weight_ih", "weight_hh", "bias_ih", "bias_hh"])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
@each_framework
def test_a_gate_in_the_wrong_rows_fails_the_proof(framework, kind, part, monkeypatch):
    case = tool.Case(framework, kind, 2, 1, True)
    here, there = made(case), made(case)
    weights, before = convert.export(here, framework), state(there)
    layout = type(convert.LAYOUTS[framework])
    right = layout.read

    def wrong(self, w, form):
        lane = right(self, w, form)
        if not getattr(lane, part).any():  # the side on which a framework has no bias
            return lane._replace(bias_ih=lane.bias_hh, bias_hh=lane.bias_ih)
        return lane._replace(**{part: np.roll(getattr(lane, part), tool.H, axis=0)})
    monkeypatch.setattr(layout, "read", wrong)
    empty = kind == "lstm" and part == {"keras": "bias_hh", "equinox": "bias_hh",
                                        "flax": "bias_ih"}.get(framework)
    if empty:  # one sum of two biases: it does not matter which of the two
        assert convert.load(there, weights, framework) < 1e-12
        return
    with pytest.raises(ConversionError, match=r"the proof failed: over a random sequence "
                       r"(LSTM|GRU)\(3, 4, num_layers=2\) and .* differ by .* nothing was chan"):
        convert.load(there, weights, framework)
    assert state(there) == before


@each_framework
def test_a_layout_that_writes_wrongly_fails_the_proof(framework, monkeypatch):
    layer = nn.LSTM(3, 4, dtype=ts.float64)
    layout = type(convert.LAYOUTS[framework])
    right = layout.write
    monkeypatch.setattr(layout, "write", lambda self, lane, form: right(
        self, lane._replace(weight_hh=np.roll(lane.weight_hh, 4, axis=0)), form))
    with pytest.raises(ConversionError, match="the proof failed"):
        convert.export(layer, framework)


@pytest.mark.parametrize("framework, kind, order", [
    ("keras", "gru", "r z n"), ("keras", "lstm", "i o f g"), ("onnx", "gru", "r z n"),
    ("onnx", "lstm", "i f g o"), ("onnx", "lstm", "i o g f")])
def test_a_wrong_order_fails_the_proof_though_it_would_go_round(framework, kind, order,
                                                                monkeypatch):
    layer = made(tool.Case(framework, kind, 1, 1, True))
    layout = convert.LAYOUTS[framework]
    monkeypatch.setattr(type(layout), "order", {**layout.order, kind: order})
    with pytest.raises(ConversionError, match="the proof failed"):
        convert.export(layer, framework)


def test_a_proof_that_is_not_a_number_fails(monkeypatch):
    lstm = nn.LSTM(3, 2)
    monkeypatch.setitem(references.STEPS["keras"], "lstm",
                        lambda w, x, h, c: (h * np.nan, c))
    with pytest.raises(ConversionError, match="differ by nan"):
        convert.export(lstm, "keras")


def test_a_proof_leaves_no_trace():
    lstm = nn.LSTM(3, 2, 2, batch_first=True, dropout=0.5, recurrent_dropout=0.5)
    called = []
    lstm.register_forward_hook(lambda *given: called.append(given))
    lstm(ts.ones(1, 4, 3))[0].sum().backward()
    assert len(called) == 1 and lstm.training
    parameters, gradients = list(lstm.parameters()), [p.grad for p in lstm.parameters()]
    ts.manual_seed(3)
    expected = ts.rand(4).tolist()
    ts.manual_seed(3)
    numpy_state = np.random.get_state()[1].copy()
    weights = convert.export(lstm, "keras")
    assert convert.load(lstm, weights, "keras") < 1e-12
    assert ts.rand(4).tolist() == expected
    assert np.array_equal(np.random.get_state()[1], numpy_state)
    assert len(called) == 1 and lstm.training and ts.is_grad_enabled()
    assert all(a is b for a, b in zip(lstm.parameters(), parameters))
    assert all(a.grad is b for a, b in zip(parameters, gradients))
    assert lstm.weight_ih_l0.label == "weight_ih_l0" and lstm.weight_ih_l0.requires_grad


def test_names_within_names():
    assert flat({"a": {"b": {"c": np.ones(1)}}, "bias": None, "said": "tanh"}).keys() \
        == {"a/b/c", "said"}
    assert flat({"w": ts.ones(2, requires_grad=True)})["w"].dtype == np.float64


# -- the frameworks themselves, where they are installed ----------------------------------
def absent(framework):
    return [name for name in tool.HAS[framework][1].split()
            if importlib.util.find_spec(name) is None]


@pytest.mark.parametrize("framework", [
    pytest.param(name, marks=pytest.mark.skipif(
        bool(absent(name)), reason=f"{' and '.join(absent(name))} not installed"))
    for name in FRAMEWORKS])
def test_a_framework_computes_what_was_exported_to_it(framework):
    x = np.random.default_rng(0).normal(size=(tool.T, tool.N, tool.I))
    far = {}
    for case in cases(framework):
        layer = made(case)
        weights = convert.export(layer, framework)
        blank, run = tool.FRAMEWORKS[framework](case)
        assert tool.shapes(weights) == tool.shapes(blank), case
        far[case.name] = worst(results(layer, x), run(weights, x))
    assert {name: d for name, d in far.items() if not d < tool.HAS[framework][2]} == {}


@pytest.mark.needs_torch
def test_torchs_own_state_dict():
    import torch
    theirs = torch.nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)
    ours = nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)
    assert convert.load(ours, theirs.state_dict(), "torch") < 1e-12
    assert np.array_equal(ours.weight_hr_l1_reverse.array,
                          theirs.weight_hr_l1_reverse.detach().numpy())


def test_arrays_of_jax_are_taken_as_they_are():
    jax = pytest.importorskip("jax", reason="jax is not installed")
    lstm = nn.LSTM(3, 2)
    weights = {name: jax.numpy.asarray(value, "float32") for name, value in keras_lstm().items()}
    assert convert.load(lstm, weights, "keras") < 1e-12
