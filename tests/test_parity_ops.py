"""Every operation against PyTorch's committed numbers, and against a live PyTorch."""
from __future__ import annotations

import functools
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from mutants import Mutant, planted
from tinyseq.op import OPS

sys.path.append(str(Path(__file__).resolve().parent.parent / "tools"))
import make_golden  # noqa: E402
import make_golden_ops as tool  # noqa: E402
from ops_cases import CASES, FAMILIES, Case, given  # noqa: E402

GOLDEN = tool.stored()
NAMES = [name for name, op in OPS.items() if op.block.__module__.startswith("tinyseq.ops.")]
BY_NAME = {case.name: case for case in CASES}
each_family = pytest.mark.parametrize("family", FAMILIES)
CLOSE = 1e-10


def cases_of(family: str) -> list[Case]:
    return [case for case in CASES if case.family == family]


@functools.lru_cache(maxsize=None)
def taped(name: str) -> tuple[dict, frozenset, frozenset]:
    """A case's results; the operations that its values are of, and those with its gradients'."""
    found, tensors = tool.run(ts, BY_NAME[name], create_graph=True)
    reached: dict[str, set[str]] = {"y": set(), "x": set()}
    for name, t in zip(found, tensors):
        if t.node is not None:
            reached[name[0]] |= {node.op.name for node in ts.graph(t).nodes}
    return found, frozenset(reached["y"]), frozenset(reached["y"] | reached["x"])


def far(case: Case, found: dict[str, np.ndarray]) -> float:
    return max(tool.distance(found, *GOLDEN[case.name]))


# -- against the committed numbers -----------------------------------------------------------
def test_there_is_something_to_compare():
    assert len(CASES) >= 1500 and len(GOLDEN) == len(CASES)
    assert set(GOLDEN) == set(BY_NAME)
    with np.load(tool.GOLDEN) as file:
        assert str(file["torch"]) == "2.13.0" and tool.GOLDEN.stat().st_size < 1_000_000
    smooth = [said for said, _ in GOLDEN.values() if "x0" in said]
    assert len(smooth) > 1200
    for family in FAMILIES:
        assert len(cases_of(family)) >= 15, family


@pytest.mark.filterwarnings("error")
@each_family
def test_values_and_gradients_are_torchs(family):
    """To 1e-10, with torch's shapes and dtypes, and no warning."""
    found = {case.name: far(case, tool.run(ts, case)[0]) for case in cases_of(family)}
    assert {name: d for name, d in found.items() if not d < CLOSE} == {}


@each_family
def test_gradients_that_can_be_differentiated_again_are_the_same(family):
    found = {case.name: far(case, taped(case.name)[0]) for case in cases_of(family)}
    assert {name: d for name, d in found.items() if not d < CLOSE} == {}


def test_every_declared_operation_is_reached():
    reached = frozenset().union(*[taped(case.name)[2] for case in CASES])
    assert sorted(set(NAMES) - reached) == []


def test_results_of_mixed_dtypes_are_torchs():
    """What torch refuses may be given here; what it gives is the same."""
    with np.load(tool.GOLDEN) as file:
        stored = dict(str(line).split(": ") for line in file["dtypes"])
    found, count = tool.dtypes(ts), 0
    assert set(found) == set(stored) and len(stored) == 3 * len(tool.MIXED) + len(tool.ALONE)
    for name, words in stored.items():
        for k, (ours, theirs) in enumerate(zip(found[name], words)):
            assert theirs in (ours, "-"), (name, words, found[name], k)
            count += theirs in "bifd"
    assert count > 500


# -- the comparison itself -------------------------------------------------------------------
def test_a_change_of_any_result_of_any_case_is_noticed():
    count = 0
    for case in CASES:
        found = taped(case.name)[0]
        for name in [name for name, a in found.items() if a.size]:
            wrong = found[name].copy()
            at = np.unravel_index(wrong.size // 2, wrong.shape)
            move: Any = True if wrong.dtype == bool else 3e-10 * max(1.0, np.abs(
                np.nan_to_num(wrong, posinf=0.0, neginf=0.0)).max()) if wrong.dtype.kind == "f" \
                else 1
            moved = 0.0 if not np.isfinite(wrong[at]) else wrong[at] + move
            wrong[at] = not wrong[at] if wrong.dtype == bool else moved
            if wrong.dtype != np.float32:
                assert far(case, {**found, name: wrong}) > CLOSE, (case.name, name)
                count += 1
        for name in found:
            assert far(case, {**found, name: found[name][None]}) == np.inf, (case.name, name)
    assert count > 3000


UNSEEN = {  # rules that torch says nothing of (test_every_op.py has their mutants), and why
    ("leaky_relu", "slope"): "a number in torch", ("elu", "alpha"): "a number in torch",
    ("hardsigmoid", "x"): "torch's derivative is 1/6 as a float32 has it, and 0",
    ("recurrence", "a"): "it makes gradients only, cumprod's", ("recurrence", "b"): "the same"}


def test_a_wrong_sign_in_any_rule_is_noticed():
    """Of each operation and input, by the cases whose values it makes."""
    reaching: dict[str, list[Case]] = {name: [] for name in NAMES}
    for case in CASES:
        for name in taped(case.name)[1] & set(NAMES):
            reaching[name].append(case)
    unseen = []
    for name in NAMES:
        for k, rule in enumerate(OPS[name].rules):
            if rule is not None and not any(map(wrong_with(name, k), reaching[name])):
                unseen.append((name, OPS[name].inputs[k]))
    assert unseen == list(UNSEEN)


def wrong_with(name: str, k: int) -> Any:
    """Whether a case differs from torch when the rule of an operation's input k is negated."""
    right = OPS[name].rules[k]

    @functools.wraps(right)
    def negated(*saved: Any) -> Any:
        return -right(*saved)
    mutant = Mutant(name, OPS[name].inputs[k], "sign flipped", "-(...)", negated)

    def differs(case: Case) -> bool:
        with planted(OPS[name], mutant):
            return not far(case, tool.run(ts, case)[0]) < CLOSE
    return differs


@pytest.mark.parametrize("ours,theirs,distance", [
    ([1.0, 2.0], [1.0, 2.0], 0.0), ([1.0, 101.0], [1.0, 100.0], 0.01), ([0.5], [0.0], 0.5),
    ([np.nan, 1.0], [np.nan, 1.0], 0.0), ([1.0], [np.nan], np.inf), ([np.nan], [1.0], np.inf),
    ([np.inf, 1.0], [np.inf, 2.0], 0.5), ([np.inf], [-np.inf], np.inf), ([np.inf], [1.0], np.inf),
    ([], [], 0.0)])
def test_what_the_distance_is(ours, theirs, distance):
    assert tool.apart(np.array(ours), np.array(theirs)) == distance


def test_a_missing_gradient_or_another_dtype_is_noticed():
    case = BY_NAME["sub(2x3, 3)"]
    found = taped(case.name)[0]
    assert far(case, found) < CLOSE
    assert far(case, {name: a for name, a in found.items() if name != "x1"}) == np.inf
    assert far(case, {**found, "x1": found["x1"].astype(np.float32)}) == np.inf


def test_cases_are_drawn_from_their_names_alone():
    one, other = [case._replace(family=family) for case in CASES[:1] for family in "ab"]
    assert np.any(tool.run(ts, one)[0]["x0"] != tool.run(ts, other)[0]["x0"])
    np.testing.assert_array_equal(tool.run(ts, one)[0]["x0"], tool.run(ts, one)[0]["x0"])
    assert given(1.0, 2.0).array(np.random.RandomState(0)).tolist() == [1, 2]


def test_the_table_in_the_docs_is_what_the_tool_writes():
    begin, end = tool.MARKS
    shown = make_golden.PAGE.read_text(encoding="utf-8").split(begin)[1].split(end)[0].strip()
    number = re.compile(r"\d+e[-+]\d+")
    sizes = {family: (len(cases_of(family)), 1e-16, 1e-16) for family in FAMILIES}
    assert number.sub("#", shown) == number.sub("#", tool.table(sizes))
    found = [float(text) for text in number.findall(shown)]
    assert len(found) == 2 * len(FAMILIES) and max(found) < CLOSE


# -- against a live torch --------------------------------------------------------------------
@pytest.mark.needs_torch
@pytest.mark.filterwarnings("ignore")  # (torch warns of what kl_div's mean is, and of var of one)
@each_family
def test_live_torch_agrees_on_these_numbers_and_on_others(family):
    import torch
    for case in cases_of(family):
        assert far(case, tool.run(torch, case)[0]) < 1e-12, case.name
        theirs = tool.run(torch, case, seed=" again")[0]
        ours = tool.run(ts, case, seed=" again")[0]
        apart = max(tool.distance(ours, tool.described(theirs), tool.flat(theirs)))
        assert apart < CLOSE, (case.name, apart)


@pytest.mark.needs_torch
def test_live_torch_has_the_committed_dtypes_and_cases():
    import torch
    with np.load(tool.GOLDEN) as file:
        assert [str(line) for line in file["dtypes"]] == \
            [f"{name}: {words}" for name, words in tool.dtypes(torch).items()]
        assert file["names"].tolist() == [case.name for case in CASES]
