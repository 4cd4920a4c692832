"""The checker: passes what is right, fails what is wrong, names the guilty, changes nothing."""
from __future__ import annotations

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
    assert f"  {blamed}, backward with respect to {OPS[op].inputs[k]}" in report.culprit
    assert "guilty: l0.fwd/t=4/" in report.culprit  # the last step is the first one backwards
    assert "ratio analytic/numeric" in report.culprit and "Equation:" in report.culprit
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


def test_kinks_are_said_to_be_kinks():
    x = ts.tensor([0.0, 1.0], dtype=ts.float64, requires_grad=True)
    with pytest.raises(NondifferentiableError, match=r"\(0,\).*kink.*five values"):
        gradcheck(lambda x: relu(x), x)
    assert gradcheck(lambda x: relu(x), leaf(20))


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(ValueError, match="use float64"):
        gradcheck(lambda x: x * x, ts.tensor([1.0], requires_grad=True))
    with pytest.raises(ValueError, match="no input requires grad"):
        gradcheck(lambda x: x * x, ts.tensor([1.0], dtype=ts.float64))
    with pytest.raises(GradcheckError, match="0 of 0"):
        gradcheck(lambda x: ts.ones(2, dtype="float64"), leaf(2))
    with pytest.raises(ValueError, match="overlaps itself"):
        wide = ts.from_numpy(np.broadcast_to(np.ones(1), (3,)))
        gradcheck(lambda x: x * x, wide.requires_grad_())
    with pytest.raises(GradcheckError, match="not deterministic"):
        noise = np.random.default_rng(0)
        gradcheck(lambda x: x * float(noise.normal()), leaf(2))
    with pytest.raises(GradcheckError, match="not finite"):
        gradcheck(lambda x: ts.log(x * 0.0), leaf(2))
    for bad in (lambda x: ts.log(x * 0.0), lambda x: ts.ones(2, dtype="float64")):
        assert gradcheck(bad, leaf(2), raise_exception=False) is False


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
    assert (words[0][1] == generator.get_state()[0][1]).all()
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
