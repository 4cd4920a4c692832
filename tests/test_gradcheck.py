"""The checker: passes what is right, fails what is wrong, names the guilty, changes nothing."""
from __future__ import annotations

import re
from contextlib import contextmanager

import numpy as np
import pytest
from notation import NOTATION

import tinyseq as ts
from tinyseq.cells import CELLS
from tinyseq.errors import GradcheckError, NondifferentiableError
from tinyseq.gradcheck import check, gradcheck
from tinyseq.op import OPS
from tinyseq.scope import state
from tinyseq.ops import dropout, generator, linear, relu, sigmoid, tanh

ALL = {**CELLS, **NOTATION}
T, N, I, H = 5, 3, 3, 4


@contextmanager
def planted(name: str, k: int, rule):
    """A wrong rule for input k of an operation, for as long as the context lasts."""
    op = OPS[name]
    before = op.rules[k]
    op.rules[k] = rule
    op.plans.clear()
    try:
        yield
    finally:
        op.rules[k] = before
        op.plans.clear()


def leaf(*shape: int, seed: int = 0, low: float = -1.0) -> ts.Tensor:
    return ts.tensor(np.random.default_rng(seed).uniform(low, 1, shape), requires_grad=True)


def recurrent(cell, seed: int = 0):
    """(function, tensors) of a cell over T steps: random state, biases differ, all outputs."""
    rng = np.random.default_rng(seed)
    K, S, P = len(cell.gates), len(cell.states), 2 if cell.projected else H
    shapes = {"x": (T, N, I), **{s: (N, H if k else P) for k, s in enumerate(cell.states)},
              "weight_ih": (K * H, I), "weight_hh": (K * H, P), "bias_ih": (K * H,),
              "bias_hh": (K * H,), **{v: (H,) for v in cell.vectors}}
    if cell.projected:
        shapes["weight_hr"] = (P, H)
    tensors = {n: ts.tensor(rng.normal(0, 0.5, s), requires_grad=True)
               for n, s in shapes.items()}

    def run(x, *rest):
        flat = rest[S:] if cell.projected else (*rest[S:], None)
        with ts.scope("l0.fwd"):
            y, finals = ts.unroll(cell, x, rest[:S], ts.Weights.of(flat, cell))
        return (y, *finals)

    return run, tensors


@pytest.mark.parametrize("name", ALL)
def test_every_cell_every_line_every_step(name):
    run, tensors = recurrent(ALL[name])
    report = check(run, tensors)
    assert report.ok and 1e-14 < report.worst <= 1e-7
    lines = [row for row in report.rows if row.gate]
    wide = [n for n, _, _ in ALL[name].written]
    assert {(row.gate, row.time) for row in lines} >= {(n, t) for n in wide for t in range(T)}
    per_line = {n: N * (2 if ALL[name].projected and n == ALL[name].returns[0] else H)
                for n in wide}
    assert all(row.count == per_line[row.gate] for row in lines if row.gate in per_line)
    assert sum(row.count for row in report.rows if row.name in tensors) == sum(
        t.numel() for t in tensors.values())


MISTAKES = {  # operation, input, wrong rule, where the blame must fall
    "sign": ("tanh", 0, lambda gy, y: -gy * (1 - y * y), "tanh"),
    "slope of the input": ("sigmoid", 0, lambda gy, y: gy * y, "sigmoid"),
    "tanh' for sigmoid'": ("sigmoid", 0, lambda gy, y: gy * (1 - y * y), "sigmoid"),
    "operands swapped": ("mul", 0, lambda gy, b: gy * b * b, "mul"),
    "one part in a million, times five": ("tanh", 0, lambda gy, y: gy * (1 - y * y) * (1 + 5e-6),
                                          "tanh"),
    "weight not transposed": ("linear", 0, lambda gy, weight: gy @ np.flipud(weight), "linear"),
    "first row only": ("linear", 1, lambda gy, x: gy[:1].T @ x[:1], "linear"),
    "bias lost": ("linear", 2, lambda gy: gy * 0.0, "linear"),
}


@pytest.mark.parametrize("name", ["lstm", "gru"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_planted_mistakes_are_caught_and_named(mistake, name):
    op, k, rule, blamed = MISTAKES[mistake]
    run, tensors = recurrent(CELLS[name])
    with planted(op, k, rule):
        report = check(run, tensors)
    assert not report.ok
    assert f"  {blamed}.backward w.r.t. {OPS[op].inputs[k]}" in report.culprit
    assert "guilty: l0.fwd/t=4/" in report.culprit  # the last step is the first one backwards
    assert "ratio analytic/numeric" in report.culprit and "equation:" in report.culprit
    assert check(run, tensors).ok  # and the same without the mistake passes


def test_a_mistake_at_one_gate_is_found_at_that_gate():
    calls = []

    def once(gy, y):
        calls.append(0)
        return gy * y * (1 - y) * (1.001 if gy.shape == (N, H) and len(calls) % 7 == 3 else 1)

    run, tensors = recurrent(CELLS["lstm"])
    with planted("sigmoid", 0, once), pytest.raises((GradcheckError, AssertionError)):
        report = check(run, tensors)  # a rule that depends on how often it was called
        assert report.ok, report


def test_small_derivatives_are_checked_like_large_ones():
    x = leaf(3)
    assert gradcheck(lambda x: (x * x * 1e-6).sum(), x)
    assert gradcheck(lambda x: (x * x * 1e8).sum(), x)
    with planted("mul", 0, lambda gy, b: 2 * gy * b):
        assert not gradcheck(lambda x: (x * x * 1e-6).sum(), x, raise_exception=False)


def test_one_wrong_element_among_many():
    def rule(gy, y):
        g = gy * (1 - y * y)
        g.reshape(-1)[777 % g.size] *= 1.5
        return g
    with planted("tanh", 0, rule), pytest.raises(GradcheckError, match="tanh"):
        gradcheck(lambda x: tanh(x).sum(), leaf(30, 40))


def test_truncation_and_dropout_check_as_what_they_are():
    def truncated(w):
        h = ts.ones(1, 2, dtype="float64")
        for t in range(6):
            h = tanh(linear(h.detach() if t == 3 else h, w))
        return h
    assert gradcheck(truncated, leaf(2, 2))
    assert gradcheck(lambda x: dropout(sigmoid(x), 0.5), leaf(6, 6))


KINKS = {  # function, where its kink is, the index that must be named
    "relu": (lambda x: relu(x), [0.7, 0.0], "(1,)"), "abs": (lambda x: abs(x), [0.0, 2.0], "(0,)"),
    "max tie": (lambda x: ts.amax(x, 0), [0.5, -1.0, 0.5], "(0,)"),
    "maximum": (lambda x: ts.maximum(x, x.detach().flip(0)), [0.5, 0.5], "(0,)"),
    "clip bound": (lambda x: ts.clamp(x, -1.0, 1.0), [0.3, -1.0], "(1,)"),
    "deep inside": (lambda x: tanh(relu(x * 2.0 - 1.0)) * 3.0, [0.1, 0.2, 0.5], "(2,)"),
    "large": (lambda x: relu(x - 1e4), [2e4, 1e4], "(1,)"),
    "beside much else": (lambda x: (abs(x) + (100 * x).cos()).sum(), [0.3, 0.0], "(1,)")}


@pytest.mark.parametrize("method", ["central", "four-point", "auto"])
@pytest.mark.parametrize("name", KINKS)
def test_kinks_are_said_to_be_kinks(name, method):
    function, values, index = KINKS[name]
    x = ts.tensor(values, dtype=ts.float64, requires_grad=True)
    with pytest.raises(NondifferentiableError) as caught:
        gradcheck(function, x, method=method)
    said = str(caught.value)
    assert said.startswith(f"input 0 at {index}: the function has a kink there")
    assert said.partition("around it are ")[2].count("'") == 10   # five numbers
    assert gradcheck(function, x, method=method, raise_exception=False) is False


def test_a_kink_beside_the_point_is_no_kink_at_it():
    assert gradcheck(lambda x: relu(x), leaf(20))
    for method in ("central", "four-point"):
        for near in (1e-7, 3e-6, 9.9e-6, 5e-4, 1.9e-3):
            x = ts.tensor([near, -near, 1.0 + near], dtype=ts.float64, requires_grad=True)
            assert gradcheck(lambda x: relu(x) + 2 * abs(x - 1.0), x, method=method)
            with planted("mul", 1, lambda gy, a: gy * a * (1 + 1e-4)):
                assert not gradcheck(lambda x: (relu(x) + abs(x - 1.0)) * x, x, method=method,
                                     raise_exception=False)


def test_steep_and_flat_functions_are_measured_as_well_as_can_be():
    x = ts.tensor([1e-3, 0.0, -2e-3], dtype=ts.float64, requires_grad=True)
    for method in ("central", "four-point"):
        assert gradcheck(lambda x: 1.0 / (x * x + 1e-5).sqrt(), x, method=method)
        assert gradcheck(lambda x: tanh(1e3 * x) * 1e-3, x, method=method)
        assert gradcheck(lambda x: (x * x).sum() + 1e3, x, method=method)
        edge = ts.tensor([2e-6, 0.5], dtype=ts.float64, requires_grad=True)
        assert gradcheck(lambda x: ts.log(x), edge, method=method)  # x - h lies beyond the edge


FAILURES = {  # function, what is said
    "an integer output": (lambda x: (x > 0).long(), "0 of 3 derivatives checked"),
    "a constant output": (lambda x: ts.ones(2, dtype="float64"), "0 of 3 derivatives checked"),
    "a zero derivative": (lambda x: x * 0.0, "input 0: its derivative is zero everywhere"),
    "a detached output": (lambda x: tanh(x).detach(), r"output 0: it has no history: constant"),
    "an output made in no_grad": (lambda x: quiet(x), "it has no history"),
    "a value that is not finite": (lambda x: ts.log(x - x), r"output 0 at \(0,\) is -inf"),
    "one NaN": (lambda x: x / (x - x[1]).detach(), r"output 0 at \(1,\) is"),
    "an infinite derivative": (lambda x: ts.sqrt(x * x - x * x),
                               r"input 0 at \(0,\): the analytic gradient is not finite"),
    "numpy's randomness": (lambda x: x * float(np.random.normal()), "output 0 is not determin"),
    "a changed input": (lambda x: careless(x), "changed its input 'input 0' in place"),
    "a wrong rule": (lambda x: Wrong.apply(x), "Wrong.backward w.r.t. number 0"),
    "a kink": (lambda x: relu(x - x.detach()), "kink there")}


def quiet(x):
    with ts.no_grad():
        return tanh(x)


def careless(x):
    x.array[0] = 7.0
    return x * x


class Wrong(ts.autograd.Function):
    """A derivative that is half of the right one."""

    @staticmethod
    def forward(ctx, x):
        return 2.0 * x

    @staticmethod
    def backward(ctx, gy):
        return gy


@pytest.mark.parametrize("name", FAILURES)
def test_no_failure_passes_and_every_one_can_be_asked_for_quietly(name):
    function, said = FAILURES[name]
    x = leaf(3)
    before = x.array.copy()
    with pytest.raises(GradcheckError, match=said):
        gradcheck(function, x)
    assert gradcheck(function, x, raise_exception=False) is False
    np.testing.assert_array_equal(x.array, before)


def test_inputs_that_cannot_be_checked_are_refused():
    with pytest.raises(ValueError, match="use float64"):
        gradcheck(lambda x: x * x, ts.tensor([1.0], requires_grad=True))
    with pytest.raises(ValueError, match="no input requires grad"):
        gradcheck(lambda x: x * x, ts.tensor([1.0], dtype=ts.float64))
    with pytest.raises(ValueError, match="overlaps itself"):
        wide = ts.from_numpy(np.broadcast_to(np.ones(1), (3,)))
        gradcheck(lambda x: x * x, wide.requires_grad_())
    with pytest.raises(GradcheckError, match="0 of 0 derivatives checked.*it is empty"):
        gradcheck(lambda x: x * x, leaf(0))
    with pytest.raises(ValueError, match="expected one of auto, central, four-point"):
        gradcheck(lambda x: x * x, leaf(2), method="guess")
    with pytest.raises(ValueError, match="nothing to check"):
        gradcheck(lambda x: x * x, leaf(2), check_backward_ad=False)
    with pytest.raises(TypeError, match="must return a Tensor or several, got float"):
        gradcheck(lambda x: 1.0, leaf(2))


def test_float32_is_compared_to_four_digits_if_told():
    x = ts.tensor(np.random.default_rng(0).normal(size=5).astype(np.float32), requires_grad=True)
    assert gradcheck(lambda x: tanh(x * x), x, allow_float32=True)
    with planted("tanh", 0, lambda gy, y: gy * (1 - y * y) * 1.01):
        with pytest.raises(GradcheckError, match="guilty: top level  tanh.backward"):
            gradcheck(lambda x: tanh(x * x), x, allow_float32=True)


def test_the_message_has_names_numbers_step_and_tolerance():
    run, tensors = recurrent(CELLS["lstm"])
    with planted("sigmoid", 0, lambda gy, y: gy * y):
        report = check(run, tensors, gates={"weight_hh": "ifgo"})
        with pytest.raises(GradcheckError) as caught:
            gradcheck(run, list(tensors.values()))
    said = str(report)
    assert re.search(r"wrong: weight_hh\[[ifo]\] at \(\d+, \d\): analytic -?[\d.e-]+, numeric "
                     r"-?[\d.e-]+, apart by [\d.e+]+ times the tolerance [\d.e-]+ \(h = 7.6e-06\)",
                     said)
    assert re.search(r"l0.fwd/t=\d/[ifo] at \(\d, \d\)", said) or "more tensors" in said
    assert "guilty: l0.fwd/t=4/o" in said and "guilty: l0.fwd/t=4/o" in str(caught.value)


def test_an_input_with_a_history_is_checked_as_a_leaf():
    a = leaf(3)
    h = tanh(a)
    assert gradcheck(lambda h: h * h, h)
    assert a.grad is None and h.node is not None and h.node.gy is None


def test_a_tensor_that_was_recorded_outside_keeps_no_gradient():
    a, x = leaf(3), leaf(3, seed=1)
    h = tanh(a)
    assert gradcheck(lambda x: h * x, x)
    assert h.node.gy is None and a.grad is None and x.grad is None


def test_an_input_changed_in_place_is_restored_and_said():
    x = leaf(2)
    before = x.array.copy()

    def careless(x):
        x.array[0] = 7.0
        return x * x
    with pytest.raises(GradcheckError, match="changed its input"):
        gradcheck(careless, x)
    np.testing.assert_array_equal(x.array, before)


def test_nothing_is_left_changed():
    run, tensors = recurrent(CELLS["gru"])
    values = {n: t.array.tobytes() for n, t in tensors.items()}
    words, detail = generator.get_state(), state.detail
    check(run, tensors)
    with planted("tanh", 0, lambda gy, y: gy):
        assert not check(run, tensors).ok
    assert {n: t.array.tobytes() for n, t in tensors.items()} == values
    assert all(t.grad is None for t in tensors.values())
    assert words.tolist() == generator.get_state().tolist()
    assert state.detail == detail and ts.is_grad_enabled()


def test_wrt_and_gates():
    run, tensors = recurrent(CELLS["lstm"])
    report = check(run, tensors, wrt=["weight_hh"], gates={"weight_hh": "ifgo"})
    assert [row.name for row in report.rows] == [f"weight_hh[{g}]" for g in "ifgo"]
    assert report.count == tensors["weight_hh"].numel() and report.ok
    assert "ok" in str(report)


def test_inputs_of_one_name_are_all_checked():
    a, b = leaf(2, seed=1), leaf(2, seed=2)
    a.label = b.label = "weight"
    assert gradcheck(lambda a, b: a * b, [a, b])
    with planted("mul", 1, lambda gy, a: gy), pytest.raises(GradcheckError, match="input 1, w"):
        gradcheck(lambda a, b: a * b, [a, b])


def test_no_false_alarm_on_many_right_functions():
    for seed in range(60):
        a, b = leaf(2, 3, seed=seed), leaf(3, 2, seed=seed + 1000)

        def run(a, b, seed=seed):
            y = tanh(a @ b) if seed % 2 else sigmoid(a @ b)
            return (y * y).sum(0) / (1.5 + y[0]) if seed % 3 else ts.log_softmax(y, dim=1)
        assert gradcheck(run, [a, b])
