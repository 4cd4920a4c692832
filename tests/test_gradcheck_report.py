"""The report on a whole model: all is counted, and what is not tested is said to be so."""
from __future__ import annotations

import os
import xml.etree.ElementTree as ET

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings

import tinyseq as ts
from tinyseq import kernels, nn
from tinyseq.cells import CELLS
from tinyseq.errors import NondifferentiableError
from tinyseq.fused import Fused
from tinyseq.gradcheck import sweep
from tinyseq.ops import generator, sigmoid, tanh  # noqa: F401
from tinyseq.scope import state
from tinyseq.unroll import unroll_gates

T, N, IN, H = 5, 3, 3, 4
KINDS = {"rnn": (nn.RNN, {}, 1), "lstm": (nn.LSTM, {}, 6), "gru": (nn.GRU, {}, 4),
         "peephole": (nn.LSTM, {"peephole": True}, 6),
         "textbook": (nn.GRU, {"reset_after": False}, 5)}


def lines_of(module: nn.Module) -> list[str]:
    """The lines of a layer's equations, by name."""
    return [name for name, _, _ in module.cell.written]


@ts.cell(gates="u c")
def minimal(x, h):
    u = sigmoid(x.u + h.u)
    a = u * h
    c = tanh(x.c + a.c)
    h_next = (1 - u) * h + u * c
    return h_next


# -- everything is counted -------------------------------------------------------------------
@pytest.mark.parametrize("name", KINDS)
def test_every_gate_of_every_layer_direction_and_step_has_its_row(name):
    kind, options, lines = KINDS[name]
    module = kind(IN, H, 2, bidirectional=True, **options)
    report = ts.gradcheck_report(module, steps=6)
    assert report.ok and report.method == "complex" and report.worst <= 1e-13
    K, P = len(module.cell.gates), dict(module.named_parameters())
    names = lines_of(module)
    assert lines == len(names) and len(report.lines) == 2 * 2 * 6 * lines
    assert {(row.place, row.time, row.gate) for row in report.lines} == {
        (f"l{k}.{d}", t, line) for k in range(2) for d in ("fwd", "rev") for t in range(6)
        for line in names}
    assert all(row.count == N * H for row in report.lines)
    rows = report.of("tensor")
    states = len(module.cell.states)
    assert sum(row.count for row in rows) == sum(p.numel() for p in P.values()) \
        + 6 * N * IN + states * 4 * N * H
    gated = [name for name in P if name.startswith(("weight_ih", "weight_hh", "bias"))]
    expected = [f"{name}[{g}]" if K > 1 else name for name in gated
                for g in (module.cell.gates if K > 1 else [""])]
    assert set(expected) <= {row.name for row in rows}
    shares = {(row.place, row.part, row.time) for row in report.of("share")}
    assert shares >= {(name, g if K > 1 else "", t) for name in gated
                      for g in module.cell.gates for t in range(6)}
    assert report.untested == {} and report.weak == 0


def test_two_layers_two_directions_ten_steps():
    report = ts.gradcheck_report(nn.LSTM(3, 8, 2, bidirectional=True), steps=10, method="central",
                                 fast=True)
    assert report.ok and len(report.lines) == 2 * 2 * 10 * 6
    assert len(report.of("share")) == 16 * 4 * 10


@pytest.mark.parametrize("module,names", [
    (lambda: nn.LSTMCell(IN, H), {"x", "h_0", "c_0", "weight_hh[f]"}),
    (lambda: nn.RNNCell(IN, H, nonlinearity="relu"), {"x", "h_0", "bias_ih"}),
    (lambda: nn.Linear(IN, H), {"input", "weight", "bias"}),
    (lambda: nn.LayerNorm((IN, H)), {"input", "weight", "bias"}),
    (lambda: nn.Embedding(7, H), {"weight"}),
    (lambda: nn.Sequential(nn.Linear(IN, H), nn.Tanh(), nn.Linear(H, 2)), {"input", "2.weight"}),
    (lambda: nn.Recurrent(minimal, IN, (H, 5)), {"x", "weight_hh_l1[c]"}),
    (lambda: nn.LSTM(IN, H, proj_size=2, bias=False), {"h_0", "c_0", "weight_hr_l0"}),
    (lambda: nn.GRU(IN, H, learn_init=True, layer_norm=True), {"x", "h_0", "ln_hh_bias_l0[n]"})])
def test_inputs_are_drawn_for_what_has_sizes(module, names):
    made = module()
    report = ts.gradcheck_report(made, fused=False)
    assert report.rows and not report.failed and not report.problems
    assert names <= {row.name for row in report.of("tensor")} | set(report.untested)


def test_a_cell_of_one_step_has_its_lines():
    report = ts.gradcheck_report(nn.LSTMCell(IN, H))
    assert [row.gate for row in report.lines] == ["i", "f", "g", "o", "c", "h_next"]
    assert report.ok and all(row.time == 0 for row in report.lines)


class Model(nn.Module):
    """An embedding, a recurrent layer under a name, a readout, and a weight that nobody uses."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(6, IN)
        self.encoder = nn.GRU(IN, H)
        self.readout = nn.Linear(H, 6)
        self.unused = nn.Parameter(ts.ones(3))

    def forward(self, codes, mask):
        y, h = self.encoder(self.embedding(codes))
        return {"logits": self.readout(y) * mask, "last": (h,)}


def test_a_module_of_ones_own_with_its_inputs():
    model = Model()
    model.readout.bias.requires_grad_(False)
    before = {name: p.array.copy() for name, p in model.named_parameters()}
    codes = ts.tensor(np.random.default_rng(0).integers(0, 6, (T, N)))
    report = ts.gradcheck_report(model, codes, ts.rand(T, N, 1))
    assert report.ok and report.worst < 1e-13
    zero = {name for name, why in report.untested.items() if why.endswith("zero everywhere")}
    assert zero == {f"encoder.weight_hh_l0[{g}] at encoder/l0.fwd/t=0/Wh" for g in "rzn"}  # h_0
    assert {n: why for n, why in report.untested.items() if n not in zero} == {
        "readout.bias": "requires_grad is False", "unused": "no output depends on it"}
    names = {row.name for row in report.of("tensor")}
    assert {"mask", "encoder.weight_hh_l0[z]", "embedding.weight", "readout.weight"} <= names
    assert {row.place for row in report.lines} == {"encoder/l0.fwd"}
    for name, p in model.named_parameters():  # the model itself stays float32 and as it was
        np.testing.assert_array_equal(p.array, before[name])
        assert p.dtype == np.float32 and p.grad is None
    with pytest.raises(ValueError, match=r"give its inputs, gradcheck_report\(model, x"):
        ts.gradcheck_report(model)


def test_a_loss_that_knows_its_tensors():
    layer = nn.LSTM(IN, H, dtype=ts.float64)
    layer.bias_hh_l0.requires_grad_(False)
    x, w = ts.randn(T, N, IN, dtype=ts.float64), ts.randn(H, dtype=ts.float64, requires_grad=True)

    def loss():
        y, _ = layer(x)
        return (y * w).sum()
    report = ts.gradcheck_report(loss)
    assert report.ok and report.title == "loss"
    assert report.untested["bias_hh_l0"] == "requires_grad is False"
    assert report.untested["l0.fwd/t=0/f"] == "its derivative is zero everywhere"   # c_0 is zero
    assert {row.name for row in report.of("tensor")} == {
        *[f"{name}_l0[{g}]" for name in ("weight_ih", "weight_hh", "bias_ih") for g in "ifgo"],
        next(row.name for row in report.rows if row.name.startswith("leaf"))}
    assert len(report.lines) == 6 * T - 1


def test_a_function_and_its_inputs():
    def energy(a, b):
        return (tanh(a) @ b).sum()
    a, b = ts.randn(2, 3, dtype=ts.float64, requires_grad=True), \
        ts.randn(3, dtype=ts.float64, requires_grad=True)
    assert {row.name for row in ts.gradcheck_report(energy, a, b).rows} == {"a", "b"}
    assert {row.name for row in ts.gradcheck_report(energy, {"left": a, "right": b}).rows} == {
        "left", "right"}


@pytest.mark.parametrize("what,inputs,error,said", [
    (3, (), TypeError, "takes a module or a function, got a int"),
    (lambda: 3.0, (), TypeError, "must return a Tensor"),
    (lambda x: x, (2.0,), TypeError, "input 'x' must be a Tensor"),
    (nn.Identity(), (), ValueError, "give its inputs")])
def test_what_cannot_be_checked_is_refused(what, inputs, error, said):
    with pytest.raises(error, match=said):
        ts.gradcheck_report(what, *inputs)


def test_float32_in_a_loss_is_refused_with_the_cure():
    layer = nn.GRU(IN, H)
    with pytest.raises(ValueError, match="weight_ih_l0.*use float64"):
        ts.gradcheck_report(lambda: layer(ts.ones(T, N, IN))[0].sum())


# -- nothing passes that was not tested ------------------------------------------------------
def test_a_model_of_zeros_is_not_ok():
    layer = nn.LSTM(IN, H)
    for p in layer.parameters():
        p.array[...] = 0.0
    report = ts.gradcheck_report(layer, ts.zeros(T, N, IN))
    zero = {name for name, why in report.untested.items() if "zero everywhere" in why}
    assert {"weight_ih_l0[i]", "weight_hh_l0[g]", "x"} <= zero
    assert not zero & {row.name for row in report.rows}


@pytest.mark.parametrize("loss", [
    lambda w: lambda: (w * 0.0).sum(), lambda w: lambda: ts.ones(2, dtype="float64"),
    lambda w: lambda: (w > 0).sum(), lambda w: lambda: tanh(w).detach()])
def test_a_constant_model_is_not_tested_and_not_ok(loss):
    w = ts.randn(3, dtype=ts.float64, requires_grad=True)
    w.label = "w"
    try:
        report = ts.gradcheck_report(loss(w))
    except ValueError as error:  # no leaf with a gradient was used at all
        assert "no input requires grad" in str(error)
        return
    assert not report.ok and report.rows == []
    assert "NOT TESTED" in str(report) and "w" in report.untested


def test_an_all_frozen_model_is_refused():
    layer = nn.RNN(IN, H).requires_grad_(False)
    report = ts.gradcheck_report(layer)   # the inputs are left
    assert set(report.untested) >= {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"}
    assert {row.name for row in report.of("tensor")} == {"x", "h_0"}


def test_what_drowns_in_rounding_is_not_ok():
    w = ts.tensor([0.3, 0.4], dtype=ts.float64, requires_grad=True)
    report = ts.gradcheck_report(lambda w: w * 1e-9 + 1e9, {"w": w}, method="central")
    assert not report.ok and report.untested == {"w": "its derivative drowns in rounding"}
    mixed = ts.gradcheck_report(lambda w: w * ts.tensor([1.0, 1e-9], dtype="float64") + 1e9,
                                {"w": w}, method="central")
    assert mixed.ok and mixed.weak == 1 and "1 of them below the noise" in str(mixed)


def test_a_line_that_nobody_reads_is_said_to_be_untested():
    layer = nn.LSTM(IN, H, dtype=ts.float64)
    x = ts.randn(T, N, IN, dtype=ts.float64)
    report = ts.gradcheck_report(lambda: layer(x)[0][1].sum())   # the output of the second step
    assert report.ok and len(report.lines) < 6 * T
    assert len(report.lines) + sum(1 for name in report.untested if "/t=" in name
                                   and " at " not in name) == 6 * T
    assert report.untested["l0.fwd/t=4/f"] == "its derivative is zero everywhere"
    assert report.untested["l0.fwd/t=0/f"] == "its derivative is zero everywhere"  # c_0 is zero
    alone = ts.gradcheck_report(lambda: (layer(x[:2])[0], layer(x[2:])[0].detach()))
    assert len(alone.untested) > 6 and alone.untested["l0.fwd/t=0/f, call 2"] == \
        "no output depends on it"


# -- fused layers ----------------------------------------------------------------------------
needs_jit = pytest.mark.skipif(not kernels.available(), reason="NUMBA_DISABLE_JIT is set")


@needs_jit
def test_a_wrong_fused_kernel_is_caught_and_named(monkeypatch):
    layer = nn.LSTM(IN, H, 2, bidirectional=True)
    right = Fused.hidden_weight

    def wrong(self, p, run, flat, H):
        g = right(self, p, run, flat, H)
        if state.scope.direction == "rev" and state.scope.layer == 1:
            g[H:2 * H] *= 1 + 1e-9
        return g
    monkeypatch.setattr(Fused, "hidden_weight", wrong)
    report = ts.gradcheck_report(layer, shares=False)
    assert not report.ok and report.failed == []   # op by op all is right
    (said,) = report.problems
    assert said.startswith("the fused kernel of lstm differs from its equations at "
                           "weight_hh_l1_reverse[f], element (")
    assert ", l1.rev: kernel " in said and said in str(report)
    assert ts.gradcheck_report(layer, shares=False, fused=False).ok
    with ts.detail("gates"):
        assert ts.gradcheck_report(layer, shares=False).ok


@needs_jit
def test_kernels_are_not_compiled_for_a_check_unless_asked_for():
    @ts.cell(gates="u")
    def leaky(x, h):
        h_next = 0.75 * h + 0.25 * tanh(x.u + h.u)
        return h_next

    layer = nn.Recurrent(leaky, 2, 3)
    report = ts.gradcheck_report(layer, shares=False, steps=2)
    assert report.ok and report.untested == {
        "the fused kernels of leaky": "they are not compiled; fused=True compiles them"}
    assert not ts.gradcheck_report(layer, shares=False, steps=2, fused=True).untested
    assert not ts.gradcheck_report(layer, shares=False, steps=2).untested  # now they are


@needs_jit
def test_a_wrong_compiled_kernel_is_caught_and_named(monkeypatch):
    made = Fused.of(CELLS["lstm"], unroll_gates).compiled(np.dtype(np.float64))
    right = made["lstm_backward"]

    def wrong(*args):
        right(*args)
        *_, g_Wx, _, _, _, _, _ = args
        g_Wx[2, :, H:2 * H] *= 1 + 1e-9   # the forget gate at one step
    monkeypatch.setitem(made, "lstm_backward", wrong)
    report = ts.gradcheck_report(nn.LSTM(IN, H), shares=False)
    head = "the fused kernel of lstm differs from its equations at "
    named = [said.removeprefix(head).partition(", element")[0] for said in report.problems]
    assert named == ["x", "weight_ih_l0[f]", "weight_hh_l0[f]", "bias_ih_l0[f]", "bias_hh_l0[f]"]


@needs_jit
def test_a_wrong_forward_kernel_is_caught_and_named(monkeypatch):
    right = Fused.forward

    def wrong(self, p):
        run = right(self, p)
        run.states[0][2] += 1e-9
        return run
    monkeypatch.setattr(Fused, "forward", wrong)
    report = ts.gradcheck_report(nn.GRU(IN, H), shares=False)
    assert report.problems[0].startswith("the fused kernel of gru differs from its equations "
                                         "going forward: y at (1, ")


@needs_jit
def test_single_steps_are_compared_as_well(monkeypatch):
    right = Fused.hidden_weight
    monkeypatch.setattr(Fused, "hidden_weight", lambda *args: right(*args) * (1 + 1e-9))
    with ts.detail("steps"):
        report = ts.gradcheck_report(nn.RNN(IN, H), shares=False)
    assert len(report.problems) == T and "l0.fwd/t=4: kernel" in report.problems[0]


# -- what is held ----------------------------------------------------------------------------
def test_masks_and_detached_values_are_held_and_counted():
    ts.manual_seed(0)
    layer = nn.LSTM(IN, H, 2, dropout=0.5, recurrent_dropout=0.3, zoneout=0.2)
    report = ts.gradcheck_report(layer, fused=False)
    assert report.ok and report.worst < 1e-13
    assert {kind: len(places) for kind, places in report.held.items()} == {
        "dropout mask": 1, "given constant": 2 * T * 3}
    assert "held while differencing: 30 given constants (l0.fwd/t=0/m_h ...)" in str(report)
    layer = nn.RNN(IN, H, dtype=ts.float64)
    x = ts.randn(4, N, IN, dtype=ts.float64)

    def truncated():
        y, h = layer(x[:2])
        return layer(x[2:], h.detach())[0]
    report = ts.gradcheck_report(truncated)
    assert report.ok and list(report.held) == ["detached value"]
    assert len(report.lines) == 2   # of the first window no output depends on
    assert len(report.untested) == 2


def test_a_module_that_is_called_twice_has_the_lines_of_both_calls():
    layer = nn.GRU(IN, H, dtype=ts.float64)
    x = ts.randn(6, IN, N, dtype=ts.float64).permute(0, 2, 1)   # not contiguous

    def func(x, *_):
        y, h = layer(x[:3])
        z, h = layer(x[3:], h)
        return y, z, h
    report = ts.gradcheck_report(func, {"x": x.requires_grad_(),
                                        **dict(layer.named_parameters())})
    assert report.ok and report.worst < 1e-13 and len(report.lines) == 6 * 4
    assert {row.name for row in report.lines if row.gate == "z"} == {
        f"l0.fwd/t={t}/z{call}" for t in range(3) for call in ("", ", call 2")}


def test_the_generator_and_everything_else_is_left_alone():
    ts.manual_seed(3)
    layer = nn.LSTM(IN, H, 2, dropout=0.4, dtype=ts.float64)
    layer.weight_hh_l0.grad = np.ones((4 * H, H))
    before = {name: p.array.tobytes() for name, p in layer.named_parameters()}
    words, detail = generator.get_state().tolist(), state.detail
    for method in ("auto", "central", "forward"):
        ts.gradcheck_report(layer, method=method, steps=3, fast=True)
    assert {name: p.array.tobytes() for name, p in layer.named_parameters()} == before
    assert (layer.weight_hh_l0.grad.array == 1).all() and layer.bias_hh_l0.grad is None
    assert generator.get_state().tolist() == words
    assert layer.training and ts.is_grad_enabled() and state.detail == detail
    assert state.tape is None and str(state.scope) == ""


# -- methods ---------------------------------------------------------------------------------
def test_the_report_says_which_method_was_used_and_why():
    smooth = ts.gradcheck_report(nn.RNN(IN, H), steps=3, shares=False)
    assert smooth.why.startswith("complex: a complex step")
    kinked = ts.gradcheck_report(nn.RNN(IN, H, nonlinearity="relu"), steps=3, shares=False)
    assert kinked.method == "four-point" and kinked.worst <= 1e-9
    assert kinked.why == ("four-point, because a complex step cannot pass "
                          "<relu at l0.fwd/t=0/h_next>: it calls maximum, which is not analytic")
    quick = ts.gradcheck_report(nn.RNN(IN, 150), steps=3, shares=False, fused=False)
    assert "23,727 elements, so in random directions" in quick.why
    assert all(row.random for row in quick.rows) and quick.ok


@pytest.mark.parametrize("method", ["central", "four-point", "complex", "forward"])
def test_second_derivatives(method):
    report = ts.gradcheck_report(nn.GRU(2, 3), order=2, steps=2, batch=2, method=method,
                                 shares=False, fused=False, fast=method == "forward")
    assert report.ok and report.title.endswith("second derivatives")
    assert {"cotangent 0", "weight_hh_l0[n]"} <= {row.name for row in report.of("tensor")}


def test_a_step_sweep_shows_where_each_method_is_best(tmp_path):
    layer = nn.LSTM(2, 3, dtype=ts.float64)
    x = ts.randn(4, 2, 2, dtype=ts.float64)
    found = sweep(lambda *_: layer(x), dict(layer.named_parameters()))
    assert 1e-7 < found.best("central") < 1e-4 < found.best("four-point") < 1e-1
    assert min(found.errors["central"]) < 1e-9 and min(found.errors["four-point"]) < 1e-11
    assert max(found.errors["complex"][-5:]) < 1e-14   # however small the step
    ratio = found.errors["central"][3] / found.errors["central"][4]   # a step four times smaller
    assert 12 < ratio < 20
    assert found.errors["central"][-1] > 1e-3   # rounding
    found.save(tmp_path / "sweep.svg")
    texts = "".join(ET.parse(tmp_path / "sweep.svg").getroot().itertext())
    assert "central: " in texts and "four-point: " in texts and "complex: " in texts
    kinked = sweep(lambda x: ts.relu(x), ts.tensor([1.0, -2.0], dtype=ts.float64,
                                                   requires_grad=True))
    assert list(kinked.errors) == ["central", "four-point"]
    assert "not analytic" in kinked.refused["complex"] and "not analytic" in str(kinked)
    with pytest.raises(ValueError, match="expected some of central"):
        sweep(lambda x: x, ts.ones(2, dtype="float64", requires_grad=True), methods=["forward"])


# -- forms -----------------------------------------------------------------------------------
def test_text_page_and_picture(tmp_path):
    report = ts.gradcheck_report(nn.LSTM(IN, H, bidirectional=True), steps=4)
    text = str(report)
    assert text.startswith("LSTM(3, 4, bidirectional=True): ok, worst error ")
    for part in ("weight_hh_l0_reverse", "l0.rev h_next", "t=3", "48 lines at steps"):
        assert part in text
    for suffix in ("txt", "html", "svg"):
        report.save(tmp_path / f"r.{suffix}")
    assert (tmp_path / "r.txt").read_text() == text + "\n"
    page = (tmp_path / "r.html").read_text()
    assert page.count("<svg") == 1 and page.count("<table>") == 3 and "<script" not in page
    assert page.count("background:#") >= len(report.lines)
    svg = ET.parse(tmp_path / "r.svg").getroot()
    cells = [e for e in svg.iter() if e.get("data-value")]
    assert len(cells) == 3 + 2 * 4 * (6 + 16) + 2 * 16
    assert "weight_hh_l0_reverse[f]" in "".join(svg.itertext())
    with pytest.raises(ValueError, match="ends in .html, .svg or .txt"):
        report.save(tmp_path / "r.pdf")


def test_a_wrong_rule_is_dark_in_the_picture_and_named_on_the_page():
    from tinyseq.gradcheck.table import html
    from tinyseq.op import OPS
    op, before = OPS["sigmoid"], OPS["sigmoid"].rules[0]
    op.rules[0] = lambda gy, y: gy * y
    op.plans.clear()
    try:
        report = ts.gradcheck_report(nn.GRU(IN, H))
    finally:
        op.rules[0] = before
        op.plans.clear()
    page = html(report)
    assert "guilty: l0.fwd/t=4/" in page and "FAILED" in page
    assert "color:#ffffff" in page   # on a dark cell


# -- the layers' grid: every cell, option and configuration ----------------------------------
OPTIONS = {"plain": {}, "layer norm": {"layer_norm": True}, "zoneout": {"zoneout": 0.3},
           "dropout": {"recurrent_dropout": 0.3, "dropout": 0.3}, "no bias": {"bias": False},
           "learnt": {"learn_init": True}, "batch first": {"batch_first": True},
           "all": {"layer_norm": True, "zoneout": 0.2, "recurrent_dropout": 0.2}}


def drawn_parameters(module: nn.Module, seed: int) -> nn.Module:
    """Parameters that hide nothing: random, of about the usual size, gains near one."""
    rng = np.random.default_rng(seed)
    for name, p in module.named_parameters():
        p.array[...] = rng.uniform(-1, 1, p.shape) / np.sqrt(H) + (
            name.startswith("ln_") and "weight" in name)
    return module


@pytest.mark.parametrize("layers,both", [(1, False), (2, True)], ids=["single", "stacked"])
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", KINDS)
def test_the_grid_by_complex_steps(name, option, layers, both):
    kind, own, _ = KINDS[name]
    more = {k: v for k, v in OPTIONS[option].items() if k != "dropout" or layers > 1}
    module = drawn_parameters(kind(IN, H, layers, bidirectional=both, dtype=ts.float64,
                                   **own, **more), 1)
    steps = 3 if layers > 1 else 6
    report = ts.gradcheck_report(module, steps=steps, batch=2, fused=False, shares=False)
    assert report.method == "complex" and report.ok, str(report)
    assert report.worst <= 1e-13
    lines = steps * layers * (1 + both) * len(lines_of(module))
    untested = [n for n, why in report.untested.items() if "/t=" in n]
    assert len(report.lines) + len(untested) >= lines
    assert set(report.untested.values()) <= {"its derivative is zero everywhere"}


@pytest.mark.parametrize("name", [*KINDS, "relu"])
def test_twenty_steps_by_complex_steps_and_by_four_points(name):
    kind, own, _ = KINDS.get(name, (nn.RNN, {"nonlinearity": "relu"}, 1))
    module = drawn_parameters(kind(2, 3, dtype=ts.float64, **own), 2)
    four = ts.gradcheck_report(module, steps=20, batch=2, method="four-point", shares=False)
    assert four.ok and four.worst <= 1e-9
    if name != "relu":
        exact = ts.gradcheck_report(module, steps=20, batch=2, method="complex", shares=False)
        assert exact.ok and exact.worst <= 1e-13


@pytest.mark.parametrize("lengths", [[2, 5, 1, 5, 3]])
def test_packed_sequences_with_nan_in_the_padding(lengths):
    layer = nn.LSTM(IN, H, 2, bidirectional=True, dtype=ts.float64)
    x = ts.randn(5, 5, IN, dtype=ts.float64).requires_grad_()
    hole = np.arange(5)[:, None] >= np.array(lengths)

    def func(x, *_):
        y, (h, c) = layer(ts.where(ts.tensor(hole[..., None]), float("nan"), x), lengths=lengths)
        return y, h, c
    report = ts.gradcheck_report(func, {"x": x, **dict(layer.named_parameters())})
    assert report.ok and report.worst <= 1e-9
    zero = {name for name in report.untested if "/t=" in name and " at " not in name}
    assert len(report.lines) + len(zero) == 5 * 4 * 6
    assert {name.rpartition("/")[2] for name in zero} == {"f"}   # where no c has come in yet


# -- no false alarms -------------------------------------------------------------------------
EXAMPLES = int(os.environ.get("TINYSEQ_EXAMPLES", "100"))  # 1000 for the claim in full


@settings(max_examples=EXAMPLES)
@example("lstm", 1, 1, 1, 1, 1, 1, False, {"plain"}, 0, "auto", 0)
@given(st.sampled_from([*KINDS, "relu", "user"]), st.integers(1, 4), st.integers(1, 3),
       st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 10),
       st.booleans(), st.sets(st.sampled_from(["layer_norm", "zoneout", "recurrent_dropout",
                                               "no bias", "dropout", "learn_init"])),
       st.integers(0, 3), st.sampled_from(["auto", "central", "four-point"]),
       st.integers(0, 2 ** 31))
def test_no_false_alarm_on_a_right_configuration(name, steps, batch, inputs, units, layers, scale,
                                                 both, options, cut, method, seed):
    ts.manual_seed(seed)
    kind, own, _ = KINDS.get(name, (nn.RNN, {"nonlinearity": "relu"}, 1))
    more = {k: {"layer_norm": True, "learn_init": True}.get(k, 0.3)
            for k in options - {"no bias", "plain"}}
    if layers == 1:
        more.pop("dropout", None)
    if name == "user":
        module = nn.Recurrent(minimal, inputs, units, layers, bidirectional=both,
                              bias="no bias" not in options, dtype=ts.float64, **more)
    else:
        module = kind(inputs, units, layers, bidirectional=both, bias="no bias" not in options,
                      dtype=ts.float64, **own, **more)
    rng = np.random.default_rng(seed)
    for p in module.parameters():
        p.array[...] = rng.normal(0, scale / 5, p.shape)
    x = ts.tensor(rng.normal(size=(steps, batch, inputs)), requires_grad=True)
    loss = ts.tensor(rng.normal(size=(steps, batch, units * (1 + both))))

    def truncated(x, *_):
        y, last = module(x[:cut]) if 0 < cut < steps else (None, None)
        if y is None:
            y, last = module(x)
            return y * loss, last
        fixed = last.detach() if isinstance(last, ts.Tensor) else tuple(s.detach() for s in last)
        rest, last = module(x[cut:], fixed)
        return y * loss[:cut], rest * loss[cut:], last
    try:
        report = ts.gradcheck_report(truncated, {"x": x, **dict(module.named_parameters())},
                                     method=method, shares=False, fused=False)
    except NondifferentiableError:  # units that are off all the way through stand at the kink
        assert name == "relu"
        return
    assert not report.failed and not report.problems, str(report)


def test_the_cells_that_are_shipped_are_all_in_the_grid():
    assert {kind(2, 2, **own).cell.name for kind, own, _ in KINDS.values()} | {"rnn_relu"} \
        == set(CELLS)
