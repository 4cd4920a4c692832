"""tinyseq's recurrent layers against PyTorch's committed numbers: outputs, states, gradients."""
from __future__ import annotations

import importlib.util
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import byhand

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("make_golden", ROOT / "tools/make_golden.py")
assert _spec is not None and _spec.loader is not None
tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tool)
with np.load(tool.GOLDEN) as _file:
    GOLDEN = {name: _file[name] for name in _file.files}


def test_there_is_something_to_compare():
    assert len(tool.CASES) == 360 and str(GOLDEN["torch"]) == "2.13.0"
    assert set(GOLDEN) == {"torch", *[f"initial.{kind}" for kind in tool.KINDS],
                           *[case.name for case in tool.CASES]}
    for case in tool.CASES:
        assert GOLDEN[case.name].size >= 60 and np.isfinite(GOLDEN[case.name]).all()
        assert np.mean(np.abs(GOLDEN[case.name]) > 1e-4) > 0.4, case  # (a rectifier has zeros)


@pytest.mark.parametrize("detail", tool.DETAILS)
@pytest.mark.parametrize("form", tool.FORMS)
@pytest.mark.parametrize("kind", tool.KINDS)
def test_layers_equal_torch(kind, form, detail):
    """Every depth, one and two directions, with and without bias and initial states."""
    cases = [c for c in tool.CASES if c.kind == kind and c.batch == tool.FORMS[form]]
    with ts.detail(detail):
        far = {c.name: tool.worst(tool.run(ts, c, form), GOLDEN[c.name]) for c in cases}
    assert len(far) == 24 and {name: f for name, f in far.items() if not f < 1e-12} == {}


@pytest.mark.parametrize("result", ["y", "h_n", "x.grad", "h_0.grad", "weight_ih_l0.grad",
                                    "weight_hh_l1_reverse.grad", "bias_hh_l0_reverse.grad"])
def test_the_comparison_can_fail(result):
    case = tool.Case("gru", 2, 2, True, True, "packed")
    found = tool.run(ts, case, "packed")
    found[result].flat[0] += 1e-9
    assert tool.worst(found, GOLDEN[case.name]) > 1e-11


@pytest.mark.parametrize("kind", tool.KINDS)
def test_the_first_weights_are_torchs_to_the_bit(kind):
    assert tool.initial(ts, kind).tobytes() == GOLDEN[f"initial.{kind}"].tobytes()


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru"])
def test_the_witness_by_hand_equals_torch_too(kind):
    case = tool.Case(kind, 1, 1, True, True, "batched")
    layer, stream = tool.made(ts, case)
    x, states, (gy, *finals) = tool.drawn(case, stream)
    weights = {name: p.array for name, p in layer.named_parameters()}
    way = {"rnn_tanh": byhand.rnn_bptt, "lstm": byhand.lstm_bptt, "gru": byhand.gru_bptt}[kind]
    hand = way(weights, x, tuple(s[0] for s in states), gy, tuple(g[0] for g in finals))
    found = tool.run(ts, case, "batched")
    ends = {"y": hand.y, "x.grad": hand.gx,
            **{f"{name}.grad": hand.weights[name] for name in weights}}
    assert tool.worst({**found, **ends}, GOLDEN[case.name]) < 1e-12


def test_the_table_in_the_docs_is_what_the_tool_writes():
    begin, end = tool.MARKS
    shown = tool.PAGE.read_text(encoding="utf-8").split(begin)[1].split(end)[0].strip()
    number = re.compile(r"\d+e[-+]\d+")
    entries = itertools.product(tool.KINDS, tool.FORMS, (1, 2, 3), (1, 2))
    assert number.sub("#", shown) == number.sub("#", tool.table(dict.fromkeys(entries, 1e-16)))
    found = [float(text) for text in number.findall(shown)]
    assert len(found) == 5 * 6 * 6 and max(found) < 1e-12
