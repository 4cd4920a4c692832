"""The cells: three details of one definition agree, to second order; errors name the line."""
from __future__ import annotations

import numpy as np
import pytest
from notation import NOTATION

import tinyseq as ts
from tinyseq import kernels
from tinyseq.cells import CELLS
from tinyseq.equations import Cell, cell
from tinyseq.errors import CellError
from tinyseq.walk import differentiate

ALL = {**CELLS, **NOTATION}


def case(cell: Cell, T: int, bias: bool, dtype=np.float64):
    """Random inputs and cotangents for a cell: (values, cotangents)."""
    rng = np.random.default_rng(7)
    N, I, H = 3, 4, 5
    K, S, V = len(cell.gates), len(cell.states), len(cell.vectors)
    P = 2 if cell.projected else H
    shapes = [(T, N, I), (N, P), *[(N, H)] * (S - 1), (K * H, I), (K * H, P)]
    shapes += [(K * H,), (K * H,)] if bias else [None, None]
    shapes += [(H,)] * V + [(P, H) if cell.projected else None]
    values = [None if s is None else rng.normal(0, 0.5, s).astype(dtype) for s in shapes]
    cotangents = [rng.normal(size=s).astype(dtype) for s in
                  ((T, N, P), (N, P), *[(N, H)] * (S - 1))]
    return values, cotangents


def outputs(cell: Cell, tensors: list, detail: str) -> list:
    S, V = len(cell.states), len(cell.vectors)
    weights = ts.Weights(*tensors[1 + S:5 + S], vectors=tuple(tensors[5 + S:5 + S + V]),
                         hr=tensors[-1])
    with ts.detail(detail):
        y, finals = ts.unroll(cell, tensors[0], tuple(tensors[1:1 + S]), weights)
    return [y, *finals]


def gradients(cell: Cell, values: list, cotangents: list, detail: str) -> list:
    tensors = [None if v is None else ts.tensor(v, requires_grad=True) for v in values]
    outs = outputs(cell, tensors, detail)
    loss = sum((out * g).sum() for out, g in zip(outs, map(ts.tensor, cotangents)))
    loss.backward()
    return [out.array for out in outs] + [t.grad.array for t in tensors if t is not None]


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
@pytest.mark.parametrize("T", [1, 2, 6, 50])
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype,tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)],
                         ids=["f64", "f32"])
def test_details_agree(name, T, bias, dtype, tolerance):
    values, cotangents = case(ALL[name], T, bias, dtype)
    wanted = gradients(ALL[name], values, cotangents, "gates")
    for detail in ("steps", "layers"):
        got = gradients(ALL[name], values, cotangents, detail)
        assert len(got) == len(wanted)
        for a, b in zip(wanted, got):
            assert a.shape == b.shape and a.dtype == b.dtype == dtype
            assert np.abs(a - b).max() <= tolerance * max(np.abs(a).max(), 1e-30)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("detail", ["steps", "layers"])
def test_second_derivatives_of_fused_nodes(name, detail):
    """A fused node under create_graph re-runs its equations, and is differentiated again."""
    def second(detail):
        values, cotangents = case(ALL[name], 3, True)
        tensors = [None if v is None else ts.tensor(v, requires_grad=True) for v in values]
        outs = outputs(ALL[name], tensors, detail)
        loss = sum((out * g).sum() for out, g in zip(outs, map(ts.tensor, cotangents)))
        first = differentiate([loss], [None], None, True)
        penalty = sum((g * g).sum() for t, g in first.items())
        found = differentiate([penalty], [None], None, False)
        return [found[t] for t in tensors if t is not None]

    for a, b in zip(second("gates"), second(detail)):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-12 * np.abs(a).max())


def test_layers_is_one_node_a_layer_and_steps_one_a_step():
    values, _ = case(CELLS["lstm"], 6, True)

    def count(detail, op):
        tensors = [None if v is None else ts.tensor(v, requires_grad=True) for v in values]
        return len(ts.graph(outputs(CELLS["lstm"], tensors, detail)).select(op=op))
    if kernels.available():
        assert count("layers", "lstm") == 1
        assert count("steps", "lstm") == 6
    assert count("gates", "lstm") == 0
    assert count("gates", "sigmoid") == 18 and count("gates", "tanh") == 12


def test_every_named_line_is_a_node_at_every_step():
    values, _ = case(CELLS["gru"], 4, True)
    tensors = [None if v is None else ts.tensor(v, requires_grad=True) for v in values]
    graph = ts.graph(outputs(CELLS["gru"], tensors, "gates"))
    for line in ("r", "z", "n", "h_next"):
        nodes = graph.select(f"t=*/{line}")
        assert [node.scope.time for node in nodes] == [0, 1, 2, 3]
        assert {node.scope.gate for node in nodes} == {line}


@pytest.mark.parametrize("name", ALL)
def test_equations_print(name):
    text = ALL[name].equations()
    assert all(f"{n} = " in text for n, _, _ in ALL[name].written)
    assert ALL[name].equations("latex").count(r"\\") == len(ALL[name].written) - 1
    with pytest.raises(ValueError, match="text.*latex"):
        ALL[name].equations("html")


def broken(gates="a", vectors=""):
    return cell(gates, vectors=vectors)


def test_errors_name_the_cell_the_line_and_the_cure():
    with pytest.raises(CellError, match="bad_gate.*h_next.*'q' is not one of the gates a"):
        @broken()
        def bad_gate(x, h):
            h_next = ts.tanh(x.q)  # `ts.tanh` and `tanh` are the same word
            return h_next
    with pytest.raises(CellError, match="unknown.*'w' is not known here"):
        @broken()
        def unknown(x, h):
            h_next = x.a * w  # noqa: F821
            return h_next
    with pytest.raises(CellError, match="not_elementwise.*softmax"):
        @broken()
        def not_elementwise(x, h):
            h_next = softmax(x.a)  # noqa: F821
            return h_next
    with pytest.raises(CellError, match="no_return.*return"):
        @broken()
        def no_return(x, h):
            h_next = x.a + h.a  # noqa: F841
    with pytest.raises(CellError, match="twice.*already"):
        @broken()
        def twice(x, h):
            a = x.a + h.a
            b_line = a.a * a
            return b_line
    with pytest.raises(CellError, match="reserved.*g_i.*take another"):
        @broken()
        def reserved(x, h):
            g_i = x.a + h.a
            return g_i
    with pytest.raises(CellError, match="wrong_count.*return 2"):
        @broken()
        def wrong_count(x, h, c):
            h_next = x.a + h.a
            return h_next


def test_sizes_that_do_not_fit_are_refused():
    values, _ = case(CELLS["lstm"], 2, True)
    x, h, c, ih, hh, b1, b2, _ = [None if v is None else ts.tensor(v) for v in values]
    with pytest.raises(ts.errors.ShapeError, match=r"state 'c_prev' must be \(3, 5\)"):
        ts.unroll(CELLS["lstm"], x, (h, c[:2]), ts.Weights(ih, hh, b1, b2))
    with pytest.raises(ts.errors.ShapeError, match=r"x must be \(T, N, 4\)"):
        ts.unroll(CELLS["lstm"], x[:, :, :3], (h, c), ts.Weights(ih, hh, b1, b2))
    with pytest.raises(RuntimeError, match="larger than 0"):
        ts.unroll(CELLS["lstm"], x[:0], (h, c), ts.Weights(ih, hh, b1, b2))
    with pytest.raises(ValueError, match="gates, steps, layers"):
        with ts.detail("cells"):
            pass
