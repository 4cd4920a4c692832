"""Scopes: interned paths that know time, layer, direction and gate; globs; threads."""
from __future__ import annotations

import threading

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.cells import CELLS
from tinyseq.scope import ROOT, Scope, births, state
from tinyseq.walk import differentiate


def path(*names: str) -> Scope:
    scope = ROOT
    for name in names:
        scope = scope.child(name)
    return scope


def leaf(*values):
    return ts.tensor(np.array(values, "float64"), requires_grad=True)


# -- paths --------------------------------------------------------------------------------
def test_one_path_is_one_object():
    assert path("a", "b") is path("a", "b") and path("a", "b") is not path("b", "a")
    assert str(path("a", "b", "c")) == "a/b/c" and str(ROOT) == ""
    assert repr(path("a")) == "Scope('a')"
    assert path("a").child("b").parent is path("a")


def test_a_slash_in_a_name_is_no_level():
    scope = ROOT.child("x/y")
    assert scope.name == "x|y" and scope.parent is ROOT and ROOT.child("x/y") is scope
    assert str(scope) == "x|y"


def test_time_layer_direction_and_gate_are_read_off_the_names():
    step = path("encoder", "l2.rev", "t=17")
    assert (step.layer, step.direction, step.time, step.gate) == (2, "rev", 17, None)
    gate = step.child("f", gate=True)
    inside = gate.child("mul")
    for scope in (gate, inside):
        assert (scope.layer, scope.direction, scope.time, scope.gate) == (2, "rev", 17, "f")
    assert (ROOT.layer, ROOT.direction, ROOT.time, ROOT.gate) == (None,) * 4
    for name in ("t=x", "t=", "tt=3", "t=3b", "l.fwd", "l2", "l2.up", "xl2.fwd"):
        plain = ROOT.child(name)
        assert (plain.layer, plain.direction, plain.time) == (None,) * 3
    inner = path("l0.fwd", "t=1", "l3.rev", "t=9")  # the innermost counts
    assert (inner.layer, inner.direction, inner.time) == (3, "rev", 9)


# -- globs --------------------------------------------------------------------------------
@pytest.mark.parametrize("glob,yes,no", [
    ("**/t=*/f", ["t=0/f", "l0.fwd/t=3/f", "a/b/t=12/f"], ["f", "t=0/g", "t=0/f/mul", "xt=0/f"]),
    ("l0.fwd/t=*/f", ["l0.fwd/t=3/f"], ["a/l0.fwd/t=3/f", "l0xfwd/t=3/f", "l0.fwd/t=3/a/f"]),
    ("**", ["", "a", "a/b/c"], []), ("*", ["", "a", "a.b"], ["a/b"]),
    ("a/**", ["a/b", "a/b/c"], ["a", "b/a"]), ("**/c", ["c", "a/c", "a/b/c"], ["ac", "c/a"]),
    ("a/**/c", ["a/c", "a/b/c", "a/b/b/c"], ["a/bc", "ac"]),
    ("t=?", ["t=3", "t=x"], ["t=12", "t=", "t=/"]), ("l?.fwd", ["l0.fwd"], ["l10.fwd", "l/.fwd"]),
    ("a+b(c)", ["a+b(c)"], ["aab(c)", "a+bc"]), ("", [""], ["a"]), ("[a]", ["[a]"], ["a"])])
def test_globs(glob, yes, no):
    for text in yes:
        assert path(*text.split("/")).matches(glob) if text else ROOT.matches(glob), text
    for text in no:
        assert not path(*text.split("/")).matches(glob), text


# -- entering and leaving -----------------------------------------------------------------
def test_nesting_names_what_is_recorded_inside():
    x = leaf(1.0)
    with ts.scope("outer") as outer:
        a = x * 2
        with ts.scope("inner") as inner:
            b = a * 3
        c = b * 4
    d = c * 5
    assert [str(t.node.scope) for t in (a, b, c, d)] == ["outer", "outer/inner", "outer", ""]
    assert inner.parent is outer and b.node.scope is inner
    assert [str(node.scope) for node in ts.graph(d).select("outer/**")] == ["outer/inner"]
    assert len(ts.graph(d).select("outer*")) == 2 and len(ts.graph(d).select("**")) == 4


def test_scopes_are_restored_after_exceptions():
    for _ in range(100):
        with pytest.raises(ZeroDivisionError), ts.scope("a"), ts.scope("b"):
            1 / 0
        assert state.scope is ROOT
    with pytest.raises(RuntimeError):
        with ts.scope("a"):
            leaf(1.0, 2.0).backward()
    assert state.scope is ROOT


def test_unrolling_restores_the_scope_when_it_fails():
    w = ts.Weights(ts.ones(3, 2), ts.ones(3, 3))
    for detail in ("gates", "steps", "layers"):
        with pytest.raises(ValueError), ts.detail(detail), ts.scope("net"):
            ts.unroll(CELLS["rnn_tanh"], ts.ones(4, 1, 5), (ts.zeros(1, 3),), w)
        assert state.scope is ROOT and state.detail == "layers"
    with pytest.raises(ZeroDivisionError), ts.detail("gates"):
        1 / 0
    assert state.detail == "layers"


def test_scopes_belong_to_the_thread():
    inside, seen = threading.Barrier(2, timeout=10), []

    def other():
        inside.wait()
        seen.append((str(state.scope), state.detail))
        with ts.scope("theirs"):
            inside.wait()
            seen.append(str((leaf(1.0) * 2).node.scope))
            inside.wait()

    thread = threading.Thread(target=other)
    thread.start()
    with ts.scope("mine"), ts.detail("gates"):
        inside.wait()
        inside.wait()
        assert str((leaf(1.0) * 2).node.scope) == "mine"
        inside.wait()
    thread.join(10)
    assert seen == [("", "layers"), "theirs"] and state.scope is ROOT


def test_threads_intern_one_object():
    start, found = threading.Barrier(8, timeout=10), []

    def work():
        start.wait()
        found.append([ROOT.child("race").child(f"t={k}") for k in range(200)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 8
    for k in range(200):
        assert len({id(row[k]) for row in found}) == 1


# -- backward -----------------------------------------------------------------------------
def test_backward_inherits_the_scope_of_the_forward_node():
    x = leaf(0.5)
    with ts.scope("a"):
        h = ts.tanh(x)
        with ts.scope("b"):
            y = h * h
    with ts.scope("elsewhere"):
        before = next(births)
        g = differentiate([y.sum()], [None], None, True)[x]
        assert str(state.scope) == "elsewhere"
    made = [node for node in ts.graph(g) if node.birth > before]
    assert {str(node.scope) for node in made} == {"a", "a/b"}
    assert {node.op.name for node in made if str(node.scope) == "a"} == {"mul", "sub"}


def test_a_failed_backward_restores_the_scope():
    x = leaf(0.5)
    with ts.scope("a"):
        loss = (x * x).sum()
    loss.backward()
    with ts.scope("b"), pytest.raises(RuntimeError):
        loss.backward()
    assert state.scope is ROOT


# -- steps and gates ----------------------------------------------------------------------
def test_every_step_and_gate_of_a_cell_has_a_scope():
    T, N, I, H = 3, 2, 4, 5
    x, h = ts.tensor(np.ones((T, N, I))), ts.zeros(N, H, dtype="float64")
    w = ts.Weights(*[ts.tensor(np.full(s, 0.1), requires_grad=True)
                     for s in ((4 * H, I), (4 * H, H))])
    with ts.detail("gates"), ts.scope("encoder"), ts.scope("l1.rev"):
        y, _ = ts.unroll(CELLS["lstm"], x, (h, h), w)
    graph = ts.graph(y)
    for t in range(T):
        for line in ("i", "f", "g", "o", "c", "h_next"):
            (node,) = graph.select(f"encoder/l1.rev/t={t}/{line}")
            assert (node.scope.time, node.scope.layer, node.scope.gate) == (t, 1, line)
            assert node in graph.select(time=t, layer=1, gate=line)
    assert {n.op.name for n in graph.select("**/t=*/f")} == {"sigmoid"}
    assert graph.select(time=T) == [] and graph.select("**/t=1/f", op="tanh") == []


def test_selection_keeps_the_order_of_birth():
    x = leaf(1.0)
    y = x
    for k in range(20):
        with ts.scope(f"t={k % 3}"):
            y = y * 2
    graph = ts.graph(y)
    assert [n.birth for n in graph] == sorted(n.birth for n in graph) and len(graph) == 20
    assert all(a.birth < b.birth for a, b in graph.edges) and len(graph.edges) == 19
    assert [len(graph.select(time=t)) for t in range(3)] == [7, 7, 6]
    with pytest.raises(ts.errors.GraphError, match="no history"):
        ts.graph(x)
