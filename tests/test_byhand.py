"""BPTT by hand: right against two kinds of differences, and planted mistakes do not pass."""
from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tinyseq import byhand

SOURCE = Path(byhand.__file__)
T, N, I, H, V = 5, 3, 3, 4, 6
GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def fixture(cell: str, seed: int = 3):
    """Everything random and of different sizes: weights, x, state, gy, g_state."""
    rng = np.random.default_rng(seed)
    K, S = GATES[cell], 2 if cell == "lstm" else 1
    shapes = {"weight_ih_l0": (K * H, I), "weight_hh_l0": (K * H, H),
              "bias_ih_l0": (K * H,), "bias_hh_l0": (K * H,)}
    weights = {name: rng.uniform(-1, 1, shape) / np.sqrt(H) for name, shape in shapes.items()}
    x, gy = rng.normal(size=(T, N, I)), rng.normal(size=(T, N, H))
    state, g_state = (tuple(rng.normal(size=(S, N, H))) for _ in range(2))
    return weights, x, state, gy, g_state


def leaves(weights, x, state):
    """The arrays that have a gradient, by name."""
    return {**weights, "x": x, **{f"state {k}": part for k, part in enumerate(state)}}


def loss(cell: str, arrays, gy, g_state):
    """The sum of every output and final state, each times its cotangent."""
    weights = {name: array for name, array in arrays.items() if name.startswith(("we", "bi"))}
    state = tuple(arrays[name] for name in sorted(arrays) if name.startswith("state"))
    h, *rest = byhand.FORWARD[cell](weights, arrays["x"], state)
    final = (h[-1], rest[0][-1]) if cell == "lstm" else (h[-1],)
    return (np.stack(h[1:]) * gy).sum() + sum((a * b).sum() for a, b in zip(final, g_state))


def differences(f, array: np.ndarray, step: float = 1e-3) -> np.ndarray:
    """Four-point central differences of f() for every element of an array, changed in place."""
    found = np.empty_like(array)
    for k in np.ndindex(array.shape):
        kept, values = array[k], []
        for shift in (-2, -1, 1, 2):
            array[k] = kept + shift * step
            values.append(f())
        array[k] = kept
        found[k] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
    return found


def worst(got: np.ndarray, wanted: np.ndarray) -> float:
    """The largest error relative to |wanted| + 1e-3 of the largest wanted."""
    return float((abs(got - wanted) / (abs(wanted) + 1e-3 * abs(wanted).max())).max())


@pytest.fixture(scope="module")
def numeric():
    """The gradients by differences, by cell; the planted mistakes are all in the backward pass."""
    found = {}
    for cell in GATES:
        weights, x, state, gy, g_state = fixture(cell)
        arrays = leaves(weights, x, state)
        found[cell] = {name: differences(lambda: loss(cell, arrays, gy, g_state), array)
                       for name, array in arrays.items()}
    return found


def errors(module: ModuleType, cell: str, numeric) -> dict[str, float]:
    weights, x, state, gy, g_state = fixture(cell)
    got = module.BPTT[cell](weights, x, state, gy, g_state)
    analytic = leaves(got.weights, got.gx, got.state)
    assert analytic.keys() == numeric[cell].keys()
    return {name: worst(analytic[name], wanted) for name, wanted in numeric[cell].items()}


@pytest.mark.parametrize("cell", GATES)
def test_gradients_equal_differences(cell, numeric):
    assert max(errors(byhand, cell, numeric).values()) <= 5e-8


@pytest.mark.parametrize("cell", GATES)
def test_gradients_equal_the_complex_step(cell):
    weights, x, state, gy, g_state = fixture(cell)
    got = byhand.BPTT[cell](weights, x, state, gy, g_state)
    for name, gradient in leaves(got.weights, got.gx, got.state).items():
        for k in np.ndindex(gradient.shape):
            arrays = {key: array.astype(complex) for key, array in
                      leaves(weights, x, state).items()}
            arrays[name][k] += 1e-30j
            exact = loss(cell, arrays, gy, g_state).imag / 1e-30
            assert abs(gradient[k] - exact) <= 1e-13 * abs(gradient).max(), (name, k)


LAST_ONLY = ("share(ga, ", "share(ga * (t + 1 == len(x)), ")
MISTAKES = {
    "rnn": {
        "W_hh transposed": ("ga @ W_hh ", "ga @ W_hh.T "),
        "h_t for h_{t-1}": ("x[t], h[t])", "x[t], h[t + 1])"),
        "tanh' dropped": ("gh * activation.slope(h[t + 1])", "gh"),
        "tanh' of an activation": ("slope(h[t + 1])", "slope(np.tanh(h[t + 1]))"),
        "last step only": LAST_ONLY,
        "cut every second step": ("gy[t] + later ", "gy[t] + later * (t % 2) "),
        "output's own part ignored": ("gy[t] + later ", "gy[t] * (t + 1 == len(x)) + later "),
        "final state ignored": ("later = g_state[0]", "later = 0 * g_state[0]"),
        "first state's gradient zero": ("gx, (later,)", "gx, (0 * later,)"),
        "x's gradient one step late": ("gx[t] =", "gx[t - 1] ="),
    },
    "lstm": {
        "W_hh transposed": ("ga @ W_hh ", "ga.reshape(-1, 4, len(W_hh.T)).sum(1) @ W_hh[:4].T "),
        "h_t for h_{t-1}": ("x[t], h[t])", "x[t], h[t + 1])"),
        "tanh' dropped": ("gh * o * TANH.slope(tanh_c)", "gh * o"),
        "last step only": LAST_ONLY,
        "forget gate reads c_t": ("gc * c[t] *", "gc * c[t + 1] *"),
        "forget gate a little off": ("gc * c[t] *", "gc * 1.00001 * c[t] *"),
        "c's own path cut": ("later_c = gc * f", "later_c = 0 * gc"),
        "factors of i and g swapped": ("gc * g * SIGMOID", "gc * i * SIGMOID"),
        "final c ignored": ("= g_state ", "= g_state[0], 0 * g_state[1] "),
    },
    "gru": {
        "h_t for h_{t-1}": ("x[t], h[t], ", "x[t], h[t + 1], "),
        "last step only": LAST_ONLY,
        "straight path cut": ("+ gh * z ", "+ 0 * gh "),
        "reset gate forgotten": ("ga_n * r]", "ga_n]"),
        "z and 1 - z confused": ("gh * (1 - z) * TANH", "gh * z * TANH"),
    },
}


def with_mistake(cell: str, right: str, wrong: str, folder: Path) -> ModuleType:
    """byhand with one expression of one backward pass replaced."""
    text = SOURCE.read_text("utf-8")
    start = text.index(f"def {cell}_bptt")
    end = text.index("return Gradients", start) + 100
    body = text[start:end]
    assert body.count(right) == 1, f"{right!r} stands {body.count(right)} times in {cell}_bptt"
    path = folder / "mistaken.py"
    path.write_text(text[:start] + body.replace(right, wrong) + text[end:], "utf-8")
    spec = importlib.util.spec_from_file_location("tinyseq.byhand", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("cell, name", [(cell, name) for cell in MISTAKES
                                        for name in MISTAKES[cell]])
def test_a_mistake_is_caught(cell, name, numeric, tmp_path):
    module = with_mistake(cell, *MISTAKES[cell][name], tmp_path)
    assert max(errors(module, cell, numeric).values()) > 1e-6


@pytest.mark.parametrize("cell", GATES)
def test_shares_sum_to_the_gradient(cell):
    got = byhand.BPTT[cell](*fixture(cell))
    assert len(got.shares) == T
    for name, total in got.weights.items():
        parts = [part[name] for part in got.shares]
        assert abs(np.sum(parts[::-1], axis=0) - total).max() <= 1e-13 * abs(total).max()
        assert all(abs(part).max() > 0 for part in parts)


@pytest.mark.parametrize("cell", GATES)
def test_flow_is_the_total_derivative(cell):
    """Running on from the state before step t, that state's gradient and flow[t - 1] agree."""
    weights, x, state, gy, g_state = fixture(cell)
    whole = byhand.BPTT[cell](weights, x, state, gy, g_state)
    for t in range(1, T):
        before = byhand.BPTT[cell](weights, x[:t], state, gy[:t],
                                   tuple(np.zeros_like(part) for part in state)).final
        rest = byhand.BPTT[cell](weights, x[t:], before, gy[t:], g_state)
        np.testing.assert_allclose(whole.flow["h"][t - 1], gy[t - 1] + rest.state[0], rtol=1e-12)


def test_inputs_are_left_alone():
    weights, x, state, gy, g_state = fixture("lstm")
    copies = [array.copy() for array in (*weights.values(), x, *state, gy, *g_state)]
    byhand.lstm_bptt(weights, x, state, gy, g_state)
    for array, copy in zip((*weights.values(), x, *state, gy, *g_state), copies):
        np.testing.assert_array_equal(array, copy)


def test_scalar_case_whole_and_truncated():
    """h_t = w h_{t-1}: dh_3/dw = 3 w^2 h; cut off after k steps it is k w^2 h."""
    weights = {"weight_ih_l0": np.zeros((1, 1)), "weight_hh_l0": np.full((1, 1), .2),
               "bias_ih_l0": np.zeros(1), "bias_hh_l0": np.zeros(1)}
    nothing, one = np.zeros((3, 1, 1)), np.ones((1, 1))
    got = byhand.rnn_bptt(weights, nothing, (.9 * one,), nothing, (one,), byhand.IDENTITY)
    np.testing.assert_allclose(got.y.ravel(), [.18, .036, .0072], rtol=1e-15)
    shares = [part["weight_hh_l0"].item() for part in got.shares]
    for steps, expected in ((1, .036), (2, .072), (3, .108)):
        assert sum(shares[-steps:]) == pytest.approx(expected, rel=1e-14)
    assert got.weights["weight_hh_l0"].item() == pytest.approx(.108, rel=1e-14)
    np.testing.assert_allclose(got.flow["h"].ravel(), [.04, .2, 1], rtol=1e-14)


def test_cross_entropy():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(0, 3, (2, 3, V)), rng.integers(0, V, (2, 3))
    got, gz = byhand.softmax_cross_entropy(logits, targets)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    assert got == pytest.approx(-np.log(np.take_along_axis(p, targets[..., None], -1)).mean())
    wanted = differences(lambda: byhand.softmax_cross_entropy(logits, targets)[0], logits)
    assert worst(gz, wanted) <= 5e-8
    shifted, gz_shifted = byhand.softmax_cross_entropy(logits + 1000, targets)
    assert shifted == pytest.approx(got) and np.isfinite(gz_shifted).all()
    assert byhand.softmax_cross_entropy(np.zeros((4, V)), np.zeros(4, int))[0] == \
        pytest.approx(np.log(V))


@pytest.mark.parametrize("cell", GATES)
def test_language_model(cell):
    """The whole chain, symbols to loss, against differences; a blind decoder's loss is ln V."""
    rng = np.random.default_rng(5)
    weights, x, state, *_ = fixture(cell)
    weights |= {"decoder.weight": rng.normal(size=(V, H)), "decoder.bias": rng.normal(size=V)}
    targets = rng.integers(0, V, (T, N))
    _, got = byhand.language_model(cell, weights, x, targets, state)
    assert set(got.weights) == set(weights)
    for name, array in {**weights, "x": x}.items():
        wanted = differences(lambda: byhand.language_model(cell, weights, x, targets, state)[0],
                             array)
        assert worst(got.gx if name == "x" else got.weights[name], wanted) <= 5e-8, name
    weights |= {"decoder.weight": np.zeros((V, H)), "decoder.bias": np.zeros(V)}
    blind, _ = byhand.language_model(cell, weights, x, targets, state)
    assert blind == pytest.approx(np.log(V), rel=1e-14)


def test_it_stands_alone():
    """A witness that used the engine would repeat the engine's mistakes."""
    lines = [line.split() for line in SOURCE.read_text("utf-8").splitlines()
             if line.startswith(("import ", "from "))]
    assert {line[1].split(".")[0] for line in lines} == {
        "__future__", "collections", "dataclasses", "typing", "numpy"}
