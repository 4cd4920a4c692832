"""Depth and memory: long chains under a low recursion limit, no cycles, release while walking."""
from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import weakref

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.cells import CELLS
from tinyseq.graph import Graph, Node
from tinyseq.walk import differentiate


def run(text: str) -> str:
    """What a fresh interpreter prints; its own text on failure."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(text)], capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def leaf(*values):
    return ts.tensor(np.array(values, "float64"), requires_grad=True)


@pytest.fixture
def uncollected():
    """With the collector off and nothing of it pending; on again afterwards."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def of_tinyseq(objects):
    return [x for x in objects if type(x).__module__.startswith("tinyseq")]


def test_a_chain_of_300000_under_a_recursion_limit_of_200():
    """Forward, backward, selection and destruction; memory returns with the collector off."""
    said = run("""
        import gc, sys, tracemalloc
        import numpy as np
        import tinyseq as ts
        x = ts.tensor(np.float64(2.0), requires_grad=True)

        def chain(n):
            y = x
            for _ in range(n):
                y = y * 1.0
            return y

        tracemalloc.start()
        gc.collect(); gc.disable(); sys.setrecursionlimit(200)
        chain(5_000).backward()  # Python keeps some 2,000 freed tuples of each length for later
        x.grad = None
        before = tracemalloc.get_traced_memory()[0]
        y = chain(300_000)
        graph = ts.graph(y)
        assert len(graph) == 300_000 and len(graph.select(op="mul")) == 300_000
        del graph
        held = tracemalloc.get_traced_memory()[0] - before
        y.backward()
        assert x.grad.item() == 1.0
        del y
        after = tracemalloc.get_traced_memory()[0] - before
        assert held > 300_000 * 100, held
        assert after < held / 1000, (held, after)
        found = [o for o in gc.get_objects() if type(o).__name__ in ("Node", "Tensor")]
        assert len(found) < 10, len(found)
        print(held // 300_000, after)
    """)
    held, after = map(int, said.split())
    assert held <= 1100  # bytes a node, its array and its tensor's


def test_a_chain_that_is_dropped_without_backward_and_one_that_is_retained():
    run("""
        import gc, sys, weakref
        import numpy as np
        import tinyseq as ts
        x = ts.tensor(np.float64(1.0), requires_grad=True)
        gc.collect(); gc.disable(); sys.setrecursionlimit(200)
        for retain in (None, False, True):
            y = x
            for k in range(100_000):
                y = y + x
                if k == 50_000:
                    middle = weakref.ref(y.node)
            if retain is not None:
                y.backward(retain_graph=retain)
            assert middle() is not None
            del y
            assert middle() is None
        assert x.grad.item() == 2 * 100_001
    """)


def test_second_derivatives_of_a_deep_chain():
    run("""
        import sys
        import numpy as np
        import tinyseq as ts
        x = ts.tensor(np.float64(1.0), requires_grad=True)
        sys.setrecursionlimit(200)
        y = x
        for _ in range(3_000):
            y = y * x
        y.backward(create_graph=True)
        g, x.grad = x.grad, None
        g.backward()
        assert g.item() == 3_001 and x.grad.item() == 3_001 * 3_000
    """)


# -- no cycles ----------------------------------------------------------------------------
def losses():
    """Graphs of every kind: plain, indexed, reduced, joined, unrolled at each detail."""
    x = leaf(0.3, 0.2, 0.1)
    yield "plain", [x], lambda: (ts.tanh(x) * ts.exp(x) / (x * x + 1)).sum()
    yield "joined", [x], lambda: (ts.cat([x[1:], ts.stack([x, x])[0], x[[0, 0]]]) ** 2).mean()
    yield "reduced", [x], lambda: ts.logsumexp(x, 0) + x.amax() + ts.softmax(x, 0)[0]
    rng = np.random.default_rng(0)
    for detail in ("gates", "steps", "layers"):
        v = ts.tensor(rng.normal(size=(3, 2, 4)), requires_grad=True)
        w = [ts.tensor(rng.normal(size=s), requires_grad=True)
             for s in ((5, 4), (5, 5), (5,), (5,))]

        def unrolled(detail=detail, v=v, w=w):
            with ts.detail(detail):
                y, (h,) = ts.unroll(CELLS["rnn_tanh"], v, (ts.zeros(2, 5, dtype="float64"),),
                                    ts.Weights(*w))
            return (y * y).sum() + h.sum()

        yield detail, [v, *w], unrolled


CASES = {name: (leaves, make) for name, leaves, make in losses()}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("how", ["dropped", "backward", "retained", "create_graph", "kept"])
def test_no_cycles(name, how, uncollected):
    leaves, make = CASES[name]
    loss = make()
    nodes = [weakref.ref(node) for node in ts.graph(loss)]
    assert len(nodes) >= 4
    if how == "backward":
        loss.backward()
    elif how == "retained":
        loss.backward(retain_graph=True)
    elif how == "kept":
        loss.backward(keep="**")
    elif how == "create_graph":
        first = differentiate([loss], [None], None, True)
        total = sum((g * g).sum() for g in first.values())
        nodes += [weakref.ref(node) for node in ts.graph(total)]
        differentiate([total], [None], None, False)
        del first, total
    del loss
    assert [ref for ref in nodes if ref() is not None] == []
    for t in leaves:
        t.grad = None
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        assert of_tinyseq(gc.garbage) == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


def test_a_failed_forward_and_a_failed_backward_leave_no_cycle(uncollected):
    x = leaf(1.0, 2.0)
    loss = (x * x).sum()
    nodes = [weakref.ref(node) for node in ts.graph(loss)]
    loss.backward()
    for _ in range(3):
        try:
            loss.backward()
        except ts.errors.GraphError:
            pass
        try:
            loss + ts.ones(2) + ts.ones(3)
        except ts.errors.ShapeError:
            pass
    del loss
    assert [ref for ref in nodes if ref() is not None] == []


# -- release ------------------------------------------------------------------------------
def test_saved_arrays_are_released_while_the_loss_lives(uncollected):
    x = ts.tensor(np.zeros(1000), requires_grad=True)
    held: list[weakref.ref] = []
    y = x
    for _ in range(50):
        y = ts.tanh(y)
        held.append(weakref.ref(y.array))
    loss = y.sum()
    del y
    assert all(ref() is not None for ref in held)
    alive: list[int] = []
    differentiate([loss], [None], None, False,
                  watch=lambda node, k, g: alive.append(sum(r() is not None for r in held)))
    assert alive == sorted(alive, reverse=True) and alive[25] < 30  # as it goes, not at the end
    assert [ref for ref in held if ref() is not None] == []
    assert loss.node is not None and len(ts.graph(loss)) == 51  # the structure stays


def test_pending_gradients_are_released_while_walking(uncollected):
    x = ts.tensor(np.zeros(1000), requires_grad=True)
    y = x
    for _ in range(50):
        y = ts.tanh(y)
    held: list[weakref.ref] = []
    alive: list[int] = []

    def watch(node: Node, k: int, g: np.ndarray) -> None:
        held.append(weakref.ref(g))
        alive.append(sum(ref() is not None for ref in held))

    differentiate([y.sum()], [None], None, False, watch=watch)
    assert max(alive) <= 4


def test_an_operation_that_needs_nothing_keeps_nothing(uncollected):
    x = ts.tensor(np.zeros(1000), requires_grad=True)
    a = x + 1.0
    inner = weakref.ref(a.array)
    loss = (a - 2.0).sum()
    del a
    assert inner() is None and loss.requires_grad


# -- work is linear -----------------------------------------------------------------------
def count(make) -> int:
    """How many contributions the walk hands on."""
    calls = []
    loss = make()
    differentiate([loss], [None], None, False, watch=lambda node, k, g: calls.append(k))
    return len(calls)


def test_one_leaf_used_n_times_is_n_contributions():
    x = leaf(1.0)

    def chain(n):
        y = x
        for _ in range(n):
            y = y * x
        return y.sum()

    def ladder(n):
        y = x
        for _ in range(n):
            y = (y + y) * 0.5
        return y.sum()

    def tree(n):
        level = [x * 1.0 for _ in range(n)]
        while len(level) > 1:
            level = [a + b for a, b in zip(level[::2], level[1::2])]
        return level[0].sum()

    for n in (64, 128, 1024):
        assert count(lambda: chain(n)) == 2 * n + 1
        assert count(lambda: ladder(n)) == 3 * n + 1
        assert count(lambda: tree(n)) == n + 2 * (n - 1) + 1
    ladder(1000).backward()
    assert x.grad.tolist() == [1.0]  # 2^1000 paths, walked once


def test_sums_of_many_contributions_are_taken_in_place():
    """n uses of one tensor need one running sum, not n arrays."""
    x = ts.tensor(np.ones(10), requires_grad=True)
    h = x * 1.0
    total = sum((h * float(k) for k in range(100)), h)
    sums = set()
    (target,) = [n for n in ts.graph(total) if n is h.node]
    differentiate([total.sum()], [None], None, False,
                  watch=lambda node, k, g: target.owned and sums.add(id(target.gy)))
    assert len(sums) == 1


def test_collecting_visits_each_node_once():
    x = leaf(1.0)
    y = x
    for _ in range(200):
        y = y + y
    graph = Graph([y.node, y.node])
    assert len(graph) == 200 == len(set(graph.nodes))
