"""Workspaces: used again, never shared by live graphs, bounded, given back on demand."""
from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import kernels, workspace

needs_jit = pytest.mark.skipif(not kernels.available(), reason="NUMBA_DISABLE_JIT=1: no layers")


@pytest.fixture(autouse=True)
def empty():
    ts.release_workspaces()
    yield
    ts.release_workspaces()


def layer_and_input(T: int = 5):
    ts.manual_seed(0)
    return ts.nn.RNN(3, 4), ts.randn(T, 2, 3)


@needs_jit
def test_a_second_pass_uses_the_first_one_s_memory():
    rnn, x = layer_and_input()
    y, _ = rnn(x)
    y.sum().backward()
    del y, _
    waiting = {id(a) for arrays in workspace._pool.values() for a in arrays}
    assert waiting and workspace._held[0] > 0
    y, _ = rnn(x)
    assert {id(a) for arrays in workspace._pool.values() for a in arrays} < waiting
    del y, _
    ts.release_workspaces()
    assert workspace._pool == {} and workspace._held == [0]


@needs_jit
def test_live_graphs_do_not_share():
    rnn, x = layer_and_input()
    first, _ = rnn(x)
    second, _ = rnn(x * 2.0)
    second.sum().backward()
    rnn.zero_grad()
    first.sum().backward()
    got = rnn.weight_hh_l0.grad.array.copy()
    rnn.zero_grad()
    ts.release_workspaces()
    alone, _ = rnn(x)
    alone.sum().backward()
    np.testing.assert_array_equal(got, rnn.weight_hh_l0.grad.array)


@needs_jit
def test_many_lengths_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(workspace, "MOST", 2_000)
    rnn, _ = layer_and_input()
    for T in range(1, 30):
        y, _ = rnn(ts.randn(T, 2, 3))
        del y, _
        assert workspace._held[0] <= 2_000
        assert workspace._held[0] == sum(a.nbytes for arrays in workspace._pool.values()
                                         for a in arrays)
