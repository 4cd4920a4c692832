"""The culprit: the first wrong rule, sum or edge on the way back is named, and no right one."""
from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from test_gradcheck import planted
from tinyseq import kernels, walk
from tinyseq.culprit import INNOCENT
from tinyseq.errors import NondifferentiableError
from tinyseq.fused import Fused
from tinyseq.gradcheck import check, cotangents
from tinyseq.op import OPS
from tinyseq.ops import cat, relu, sigmoid, tanh
from tinyseq.scope import state


def only(place: str, right, wrong):
    """A rule that is wrong at one scope and right everywhere else."""
    def rule(gy, y):
        return wrong(gy, y) if str(state.scope) == place else right(gy, y)
    return rule


def leaf(*shape: int, seed: int = 0) -> ts.Tensor:
    return ts.tensor(np.random.default_rng(seed).uniform(-1, 1, shape), requires_grad=True)


def lstm(T: int = 5):
    """(function, inputs) of a two-layer bidirectional LSTM with a random state, all outputs."""
    ts.manual_seed(1)
    layer = ts.nn.LSTM(3, 4, 2, bidirectional=True, dtype=ts.float64)
    x, h, c = leaf(T, 2, 3), leaf(4, 2, 4, seed=1), leaf(4, 2, 4, seed=2)
    return (lambda *_: layer(x, (h, c))), {"x": x, "h_0": h, "c_0": c,
                                           **dict(layer.named_parameters())}


# -- rules -----------------------------------------------------------------------------------
def test_a_wrong_rule_at_one_gate_of_one_step_is_named_with_all_there_is_to_say():
    func, inputs = lstm()
    right = OPS["sigmoid"].rules[0]
    rule = only("l1.rev/t=3/f", right, lambda gy, y: 4.02 * gy * y * (1 - y))
    with planted("sigmoid", 0, rule):
        report = check(func, inputs)
    assert not report.ok
    first, *rest = report.culprit.splitlines()
    assert first.startswith("guilty: l1.rev/t=3/f  sigmoid.backward w.r.t. x at (")
    assert ": ratio analytic/numeric 4.02 everywhere (" in first
    assert rest[0] == (r"  in the line f = sigmoid(x.f + h.f), f_t = \sigma\left(W_{xf} x_t + "
                       r"b_{xf} + W_{hf} h_{t-1} + b_{hf}\right)")
    assert rest[1].startswith("  equation: y = 1 / (1 + e^-x)")
    assert rest[2] == r"  LaTeX: y = \sigma(x)"
    assert rest[3].startswith("  derivative:") and "wrong(gy, y)" in "\n".join(rest)
    right, all_ = report.cotangents
    assert 0 < right < all_   # steps that backward passes before t=3 of l1.rev are right
    assert f"{right} of {all_} recorded values have the right cotangent" in str(report)
    assert check(func, inputs).ok


@pytest.mark.parametrize("method", ["central", "four-point", "complex", "auto"])
def test_one_part_in_a_million_at_one_gate_is_caught_and_named(method):
    func, inputs = lstm(3)
    right = OPS["tanh"].rules[0]
    rule = only("l0.fwd/t=1/g", right, lambda gy, y: (1 + 1e-5) * gy * (1 - y * y))
    if method != "central":
        rule = only("l0.fwd/t=1/g", right, lambda gy, y: (1 + 1e-6) * gy * (1 - y * y))
    with planted("tanh", 0, rule):
        report = check(func, inputs, method=method)
    assert not report.ok
    assert report.culprit.startswith("guilty: l0.fwd/t=1/g  tanh.backward w.r.t. x at ")


def test_the_gate_whose_rows_of_a_weight_are_wrong():
    func, inputs = lstm(3)
    right = OPS["linear"].rules[1]

    def rule(gy, x):
        g = right(gy, x)
        if str(state.scope).endswith("l0.rev/t=2/Wh"):
            g[4:8] *= 2
        return g
    with planted("linear", 1, rule):
        report = check(func, inputs)
    assert report.culprit.startswith("guilty: l0.rev/t=2/Wh  linear.backward w.r.t. weight[f] at ")
    assert {row.name for row in report.failed} == {"weight_hh_l0_reverse"}


def test_an_operation_of_many_inputs():
    a, b, c = leaf(2, 3), leaf(1, 3, seed=1), leaf(2, 3, seed=2)

    def rule(gy, place, shapes):
        start = sum([shape[0] for shape in shapes[:place]])
        g = gy[start:start + shapes[place][0]]
        return -g if place == 1 else g
    with planted("cat", 0, rule):
        report = check(lambda a, b, c: tanh(cat([a * 2, b * 2, c * 2])), {"a": a, "b": b, "c": c})
    assert "  cat.backward w.r.t. " in report.culprit and "[1] at (" in report.culprit
    assert "ratio analytic/numeric -1 everywhere" in report.culprit


class Pair(ts.autograd.Function):
    """Product and sum, with one derivative wrong: that of the second output by the first input."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return a * b, a + b

    @staticmethod
    def backward(ctx, g, h):
        a, b = ctx.saved_tensors
        return g * b + 3 * h, g * a + h


def test_a_function_of_ones_own_with_two_outputs():
    with ts.scope("mine"):
        report = check(lambda a, b: [y * 2 for y in Pair.apply(a, b)],
                       {"a": leaf(2, 3), "b": leaf(2, 3, seed=1)})
    assert report.culprit.startswith("guilty: mine  Pair.backward w.r.t. number 0 at (")
    assert "def backward(ctx, g, h):" in report.culprit and "g * b + 3 * h" in report.culprit
    assert {row.name for row in report.failed} == {"a"}


@pytest.mark.skipif(not kernels.available(), reason="NUMBA_DISABLE_JIT is set")
def test_a_fused_layer_that_was_recorded_as_one_node(monkeypatch):
    layer = ts.nn.LSTM(3, 4, dtype=ts.float64)

    def func(*_):
        with ts.detail("layers"):
            return layer(x)
    x, right = leaf(4, 2, 3), Fused.hidden_weight

    def wrong(self, p, run, flat, H):
        g = right(self, p, run, flat, H)
        g[5] += 0.5
        return g
    inputs = {"x": x, **dict(layer.named_parameters())}
    assert check(func, inputs).ok
    monkeypatch.setattr(Fused, "hidden_weight", wrong)
    report = check(func, inputs)
    assert report.culprit.startswith("guilty: l0.fwd  lstm.backward w.r.t. weight_hh at (5, ")
    assert "f = sigmoid(x.f + h.f)" in report.culprit


def test_one_wrong_element_among_a_million():
    place = 765_432

    def rule(gy, b):
        g = gy * b
        g.reshape(-1)[place] += 0.5
        return g
    x, c = leaf(1000, 1000), ts.tensor(0.7, dtype=ts.float64)
    with planted("mul", 0, rule):
        report = check(lambda x: x * c, {"x": x}, fast=True)
    assert not report.ok
    assert report.culprit.startswith("guilty: top level  mul.backward w.r.t. a at (765, 432): ")
    assert check(lambda x: x * c, {"x": x}, fast=True).ok


def test_a_kink_beside_the_point_is_nobodys_fault():
    x = ts.tensor([5e-4, -3e-6, 0.7, -0.2], dtype=ts.float64, requires_grad=True)
    for method in ("central", "four-point"):
        report = check(lambda x: sigmoid(relu(x) * 3), {"x": x}, method=method)
        assert report.ok and report.count == 4
    with planted("sigmoid", 0, lambda gy, y: gy * y):
        report = check(lambda x: sigmoid(relu(x) * 3), {"x": x}, method="four-point")
    assert "  sigmoid.backward" in report.culprit


def test_a_kink_at_the_point_is_nobodys_fault():
    """Where nothing after it asks for the derivative at the kink, all else can be checked."""
    x = ts.tensor([0.0, 0.7, -0.2], dtype=ts.float64, requires_grad=True)
    mask = ts.tensor([0.0, 1.0, 1.0], dtype=ts.float64)

    def func(x):
        with ts.scope("first"):
            y = tanh(x)
        with ts.scope("second"):
            return relu(y) * mask
    assert check(func, {"x": x}, method="four-point").ok
    with planted("tanh", 0, lambda gy, y: gy * y):
        report = check(func, {"x": x}, method="four-point")
    assert report.culprit.startswith("guilty: first  tanh.backward w.r.t. x at (")
    with planted("mul", 0, lambda gy, b: gy):   # (with it the kink gets a cotangent)
        with pytest.raises(NondifferentiableError):
            check(lambda x: relu(x) * (mask + 1.0), {"x": x})
    with planted("relu", 0, lambda gy, y: gy):
        report = check(func, {"x": x}, method="four-point")
    assert report.culprit.startswith("guilty: second  relu.backward w.r.t. x at (2,): analytic ")


def test_a_steep_function_is_nobodys_fault():
    x = ts.tensor([0.0021, 0.8], dtype=ts.float64, requires_grad=True)
    with planted("tanh", 0, lambda gy, y: gy * (1 - y)):
        report = check(lambda x: tanh(ts.log(x)), {"x": x}, method="central")
    assert "  tanh.backward" in report.culprit


# -- sums and edges --------------------------------------------------------------------------
@pytest.mark.parametrize("mistake,said", [
    (lambda target, g: setattr(target, "gy", g), "what <mul at t=1/a> sent is left out"),
    (lambda target, g: setattr(target, "gy", target.gy + g + g),
     "what <mul at t=1/b> sent is counted twice"),
    (lambda target, g: None, "what <mul at t=1/b> sent is left out")])
def test_a_sum_that_does_not_add_up(monkeypatch, mistake, said):
    right = walk.receive

    def receive(target, g):
        if target.gy is not None and getattr(target, "scope", None) is not None \
                and str(target.scope) == "t=0/h":
            mistake(target, g)
        else:
            right(target, g)

    def func(x, w):
        with ts.scope("t=0"), ts.scope("h"):
            h = tanh(x)
        with ts.scope("t=1"):
            with ts.scope("b"):
                b = h * 0.5
            with ts.scope("a"):
                a = h * w   # (younger, so its share arrives first)
        return a + b
    inputs = {"x": leaf(3), "w": leaf(3, seed=1)}
    assert check(func, inputs).ok
    monkeypatch.setattr(walk, "receive", receive)
    report = check(func, inputs)
    assert not report.ok
    assert report.culprit.startswith("guilty: t=0/h  the gradient of tanh at t=0/h at (")
    assert "what its 2 uses sent adds up to" in report.culprit and said in report.culprit


def test_a_leaf_whose_second_use_is_lost(monkeypatch):
    right = walk.receive

    def receive(target, g):
        if isinstance(target, walk.Pending) and target.gy is not None:
            return
        right(target, g)
    x = leaf(3)
    x.label = "w"
    monkeypatch.setattr(walk, "receive", receive)
    report = check(lambda x: tanh(x) + sigmoid(x), {"w": x})
    assert report.culprit.startswith("guilty: top level  the gradient of w at (")
    assert "what <tanh> sent is left out" in report.culprit


def test_a_value_of_many_uses_of_which_one_arrives(monkeypatch):
    right = walk.receive

    def receive(target, g):
        if getattr(target, "scope", None) is None or str(target.scope) != "h" or \
                str(state.scope) == "two":
            right(target, g)

    def func(x):
        with ts.scope("h"):
            h = tanh(x)
        parts = []
        for name in ("one", "two", "three"):
            with ts.scope(name):
                parts.append(h * (1.0 + len(parts)))
        return parts
    monkeypatch.setattr(walk, "receive", receive)
    report = check(func, {"x": leaf(3)})
    assert "only what <mul at two> sent is there" in report.culprit


def test_a_hook_that_changes_a_gradient_is_named():
    def func(x):
        with ts.scope("h"):
            h = tanh(x)
        h.register_hook(lambda g: g * 2)
        return h * h
    report = check(func, {"x": leaf(3)})
    assert report.culprit.startswith("guilty: h  the gradient of tanh at h at (")
    assert "a hook makes it" in report.culprit


def test_a_gradient_that_passes_a_detached_value():
    def func(x):
        h = tanh(x)
        with ts.scope("here"):
            y, twice = h * h.detach(), h * h
        y.node.inputs, y.node.plan, y.node.saved = \
            twice.node.inputs, twice.node.plan, twice.node.saved
        y.node.stamp = twice.node.stamp
        return y * 2
    report = check(func, {"x": leaf(3)})
    assert report.culprit == ("guilty: here  mul sends a gradient to its input b, which is a "
                              "constant here (detached, or requires_grad is False)")


# -- who is innocent -------------------------------------------------------------------------
def test_a_rule_that_depends_on_how_often_it_is_called_is_not_blamed_on_another():
    calls = []

    def rule(gy, y):
        calls.append(0)
        return gy * (1 - y * y) * (2 if len(calls) == 1 else 1)
    with planted("tanh", 0, rule):
        report = check(lambda x: tanh(x), {"x": leaf(3)})
    assert not report.ok and "backward run twice differs" in "\n".join(report.problems)
    assert "tanh" in report.culprit or report.culprit == INNOCENT


def test_all_cotangents_of_a_network_in_one_go():
    func, inputs = lstm(10)
    report = cotangents(func, inputs)
    assert report.ok and report.method == "complex" and report.worst < 1e-13
    assert len(report.rows) > 900 and not report.untested
    assert {row.time for row in report.rows if row.gate} == set(range(10))
    rule = only("l0.fwd/t=4/o", OPS["sigmoid"].rules[0], lambda gy, y: gy * y)
    with planted("sigmoid", 0, rule):
        wrong = cotangents(func, inputs)
    assert wrong.culprit.startswith("guilty: l0.fwd/t=4/o  sigmoid.backward w.r.t. x")
    later = [row for row in wrong.failed if row.time is not None and row.time > 4
             and row.name.split(" at ")[1].startswith("l0.fwd")]
    assert wrong.failed and later == []  # backward has passed those before the mistake
