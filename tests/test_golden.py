"""tinyseq's recurrent layers against PyTorch's committed numbers: outputs, states, gradients."""
from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import byhand

ROOT = Path(__file__).resolve().parent.parent
with np.load(ROOT / "tests" / "goldens" / "recurrent.npz") as _file:
    GOLDEN = {name: _file[name] for name in _file.files}
CASES = sorted({name.rsplit(".", 1)[0] if "grad." not in name else name.split(".grad.")[0]
                for name in GOLDEN if name != "torch"})
LAYERS = {"rnn_tanh": (ts.nn.RNN, {}), "rnn_relu": (ts.nn.RNN, {"nonlinearity": "relu"}),
          "lstm": (ts.nn.LSTM, {}), "gru": (ts.nn.GRU, {})}


def values(case: str) -> dict[str, np.ndarray]:
    return {name[len(case) + 1:]: v for name, v in GOLDEN.items() if name.startswith(case + ".")}


def near(a, b, limit=1e-12):
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= limit * np.abs(b).max()


def test_there_is_something_to_compare():
    assert len(CASES) == 8 and str(GOLDEN["torch"]) == "2.13.0"
    assert all(len(values(case)) >= 8 for case in CASES)


@pytest.mark.parametrize("detail", ["gates", "steps", "layers"])
@pytest.mark.parametrize("case", CASES)
def test_layers_equal_torch(case, detail):
    kind, bias = case.split(".")
    v = values(case)
    make, more = LAYERS[kind]
    layer = make(4, 5, bias=bias == "bias", dtype=ts.float64, **more)
    names = [name for name, _ in layer.named_parameters()]
    assert set(names) == {name for name in v if name.startswith(("weight", "bias"))}
    layer.load_state_dict({name: v[name] for name in names})
    x = ts.tensor(v["x"], requires_grad=True)
    states = [ts.tensor(v[f"state{k}"], requires_grad=True) for k in range(2) if f"state{k}" in v]
    with ts.detail(detail):
        y, finals = layer(x, tuple(states) if len(states) > 1 else states[0])
    finals = finals if isinstance(finals, tuple) else (finals,)
    loss = (y * ts.tensor(v["gy"])).sum()
    for k, final in enumerate(finals):
        near(final.array, v[f"final{k}"])
        loss = loss + (final * ts.tensor(v[f"gfinal{k}"])).sum()
    near(y.array, v["y"])
    loss.backward()
    near(x.grad.array, v["grad.x"])
    for k, state in enumerate(states):
        near(state.grad.array, v[f"grad.state{k}"])
    for name, p in layer.named_parameters():
        near(p.grad.array, v[f"grad.{name}"])


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru"])
def test_the_witness_by_hand_equals_torch_too(kind):
    v = values(f"{kind}.bias")
    weights = {name: v[name] for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0",
                                          "bias_hh_l0")}
    count = 2 if kind == "lstm" else 1
    way = {"rnn_tanh": byhand.rnn_bptt, "lstm": byhand.lstm_bptt, "gru": byhand.gru_bptt}[kind]
    hand = way(weights, v["x"], tuple(v[f"state{k}"][0] for k in range(count)), v["gy"],
               tuple(v[f"gfinal{k}"][0] for k in range(count)))
    near(hand.y, v["y"])
    near(hand.gx, v["grad.x"])
    for name in weights:
        near(hand.weights[name], v[f"grad.{name}"])


@pytest.mark.needs_torch
def test_goldens_regenerate():
    spec = importlib.util.spec_from_file_location("make_golden", ROOT / "tools/make_golden.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    again = tool.golden()
    assert set(again) == set(GOLDEN)
    for name, value in again.items():
        if name != "torch":
            np.testing.assert_allclose(value, GOLDEN[name], rtol=1e-12, atol=1e-14)
