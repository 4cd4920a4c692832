"""Named lines of a module's last run: their values and cotangents, at every detail alike."""
from __future__ import annotations

import copy
import gc
import pickle

import numpy as np
import pytest
from notation import NOTATION

import tinyseq as ts
from tinyseq import kernels, nn
from tinyseq.cells import CELLS
from tinyseq.errors import GraphError

F8 = {"dtype": ts.float64}
DETAILS = ("gates", "steps", "layers")


def lstm(**options) -> nn.LSTM:
    ts.manual_seed(0)
    return nn.LSTM(3, 4, **options, **F8)


MODULES = {
    "rnn": lambda: nn.RNN(3, 4, **F8), "lstm": lstm, "gru": lambda: nn.GRU(3, 4, **F8),
    "gru-textbook": lambda: nn.GRU(3, 4, reset_after=False, **F8),
    "two ways, two layers": lambda: lstm(num_layers=2, bidirectional=True),
    "projected": lambda: lstm(proj_size=2), "peephole": lambda: lstm(peephole=True),
    "normed": lambda: lstm(layer_norm=True), "zoneout": lambda: lstm(zoneout=0.2),
    "dropped": lambda: lstm(recurrent_dropout=0.3),
    "own cell": lambda: nn.Recurrent(NOTATION["normed"], 3, 4, bidirectional=True, **F8)}


def run(module: nn.Module, detail: str, keep: str | None = None, **more):
    """The module's output, recorded at a detail; its loss went back if there is a `keep`."""
    ts.manual_seed(1)
    x = ts.randn(5, 2, 3, **F8)
    with ts.detail(detail):
        y, last = module(x, **more)
    states = last if isinstance(last, tuple) else (last,)
    loss = (y * y).sum() + sum(((k + 2.0) * s).sum() for k, s in enumerate(states))
    if keep is not None:
        loss.backward(keep=keep)
    return loss, y


def arrays(found: dict, what: str) -> dict[str, np.ndarray]:
    return {path: getattr(line, what).array.copy() for path, line in found.items()}


def same(wanted: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> None:
    assert set(wanted) == set(found)
    for path, array in wanted.items():
        np.testing.assert_allclose(found[path], array, rtol=1e-10, atol=1e-13, err_msg=path)


@pytest.mark.parametrize("how", ({}, {"lengths": [3, 5]}), ids=("plain", "lengths"))
@pytest.mark.parametrize("name", MODULES)
def test_values_and_gradients_are_the_same_at_every_detail(name, how):
    """Before backward, and what was kept: of every line at every step that has a gradient."""
    module = MODULES[name]()
    wanted: tuple = ()
    for detail in DETAILS:
        loss, _ = run(module, detail, **how)
        before = arrays(ts.probe(module), "value")
        loss.backward(keep="**/t=*/*")
        found = ts.probe(module)
        same(before, arrays(found, "value"))
        found = {path: line for path, line in found.items() if "grad" in repr(line)}
        wanted = wanted or (arrays(found, "value"), arrays(found, "grad"))
        same(wanted[0], arrays(found, "value"))
        same(wanted[1], arrays(found, "grad"))
    names = {path.rpartition("/")[2] for path in wanted[1]}
    assert names >= {line.name for line in module.cell.lines}
    assert max(np.abs(g).max() for g in wanted[1].values()) > 0.1


def test_the_names_are_those_of_the_graph_and_in_its_order():
    module = lstm()
    loss, _ = run(module, "gates")
    graph = ts.graph(loss)
    names = [f"l0.fwd/t={t}/{line}" for t in range(5) for line in "i f g o c h_next".split()]
    assert list(ts.probe(module)) == names
    assert [str(node.scope) for node in graph.select("l0.fwd/t=*/*")
            if node.scope.name in "i f g o c h_next".split()] == names
    for detail in DETAILS:
        _, y = run(module, detail)
        found = ts.probe(module, "**/t=3/*")
        assert list(found) == [name for name in names if "t=3/" in name]
        assert repr(found["l0.fwd/t=3/f"]) == "<l0.fwd/t=3/f: value>"
        assert np.array_equal(found["l0.fwd/t=3/h_next"].value.array, y.array[3])


def test_values_are_what_the_equations_say():
    module = lstm()
    _, y = run(module, "layers")
    found = arrays(ts.probe(module), "value")
    for t in range(5):
        line = {name: found[f"l0.fwd/t={t}/{name}"] for name in "i f g o c h_next".split()}
        c_prev = found[f"l0.fwd/t={t - 1}/c"] if t else 0.0
        np.testing.assert_allclose(line["c"], line["f"] * c_prev + line["i"] * line["g"],
                                   rtol=1e-14)
        np.testing.assert_allclose(line["h_next"], line["o"] * np.tanh(line["c"]), rtol=1e-14)
        assert np.array_equal(line["h_next"], y.array[t])


def test_a_gradient_is_the_differences_quotient():
    """dL/dc_t on the fastest path, against the loss of the rest of the sequence with c_t moved."""
    module = lstm()
    kept = run(module, "layers", keep="**/t=1/*")
    found = ts.probe(module)
    ts.manual_seed(1)
    x = ts.randn(5, 2, 3, **F8)
    h, c = found["l0.fwd/t=1/h_next"].value, found["l0.fwd/t=1/c"].value

    def rest(h: np.ndarray, c: np.ndarray) -> float:
        y, (h_n, c_n) = module(x[2:], (ts.tensor(h[None]), ts.tensor(c[None])))
        return float(((y * y).sum() + 2 * h_n.sum() + 3 * c_n.sum()).item()) + (h * h).sum()

    assert kept

    o = found["l0.fwd/t=1/o"].value.array
    for n, j in np.ndindex(2, 4):
        move = np.zeros((2, 4))
        move[n, j] = 1e-6
        by_h = (rest(h.array + move, c.array) - rest(h.array - move, c.array)) / 2e-6
        by_c = (rest(h.array, c.array + move) - rest(h.array, c.array - move)) / 2e-6
        through_h = o[n, j] * (1 - np.tanh(c.array[n, j]) ** 2)       # h_t = o tanh(c_t)
        assert found["l0.fwd/t=1/h_next"].grad.array[n, j] == pytest.approx(by_h, rel=1e-6)
        assert found["l0.fwd/t=1/c"].grad.array[n, j] == pytest.approx(by_c + by_h * through_h,
                                                                       rel=1e-6)


@pytest.mark.parametrize("detail", DETAILS)
def test_backward_releases_what_is_not_kept(detail):
    module = lstm()
    loss, y = run(module, detail)
    f = ts.probe(module, "l0.fwd/t=*/f")
    assert f["l0.fwd/t=2/f"].value.shape == (2, 4)
    with pytest.raises(GraphError, match=r"gradient of 'l0.fwd/t=2/f' was not kept.*keep="):
        f["l0.fwd/t=2/f"].grad
    loss.backward(keep="l0.fwd/t=*/c")
    assert f["l0.fwd/t=2/f"].value.shape == (2, 4)          # it had been looked at in time
    assert repr(ts.probe(module, "**/t=2/c")["l0.fwd/t=2/c"]) == "<l0.fwd/t=2/c: value and grad>"
    again = ts.probe(module, "**/t=2/f")["l0.fwd/t=2/f"]
    assert repr(again) == "<l0.fwd/t=2/f: released>"
    with pytest.raises(GraphError, match=r"value of 'l0.fwd/t=2/f' is gone.*keep="):
        again.value
    with pytest.raises(GraphError, match="was not kept"):
        again.grad
    loss, y = run(module, detail)
    loss.backward(retain_graph=True, keep="**/f")
    assert ts.probe(module, "**/t=0/f")["l0.fwd/t=0/f"].grad.shape == (2, 4)
    loss.backward(retain_graph=True)                        # what is kept is asked for each time
    again = ts.probe(module, "**/t=0/f")["l0.fwd/t=0/f"]
    assert again.value.shape == (2, 4)
    with pytest.raises(GraphError, match="not kept"):
        again.grad


@pytest.mark.parametrize("detail", DETAILS)
def test_what_was_kept_outlives_a_step_of_the_optimizer(detail):
    module = lstm(layer_norm=True)
    _, y = run(module, detail, keep="**/t=*/*")
    before = ts.probe(module)
    wanted = arrays(before, "value"), arrays(before, "grad")
    ts.optim.SGD(module.parameters(), lr=0.5).step()
    for k, what in enumerate(("value", "grad")):
        for path, array in arrays(ts.probe(module), what).items():
            assert np.array_equal(wanted[k][path], array)


def test_values_are_copies_that_the_next_run_does_not_reach():
    module = lstm()
    loss, y = run(module, "layers")
    f = arrays(ts.probe(module, "**/f"), "value")
    kept = ts.probe(module, "**/f")
    del loss, y
    run(module, "layers")
    with ts.no_grad():
        module.weight_hh_l0.mul_(3.0)
    run(module, "layers")                                   # on the first one's workspaces
    same(f, arrays(kept, "value"))


class Net(nn.Module):
    """Two recurrent parts, and a cell that the user's own loop drives."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.GRU(3, 4)
        self.decoders = nn.ModuleList([nn.RNN(4, 2)])
        self.cell = nn.LSTMCell(2, 5)

    def forward(self, x):
        y = self.decoders[0](self.encoder(x)[0])[0]
        state = None
        for t in range(len(y)):
            with ts.scope(f"t={t}"):
                state = self.cell(y[t], state)
        return state[0]


@pytest.mark.parametrize("detail", DETAILS)
def test_a_model_is_probed_as_a_whole_and_by_its_parts(detail):
    ts.manual_seed(0)
    net, x = Net(), ts.randn(3, 2, 3)
    for _ in range(2):
        with ts.scope("window=7"), ts.detail(detail):
            h = net(x[:2])
    wanted = {*(f"window=7/encoder/l0.fwd/t={t}/{line}" for t in range(2)
                for line in ("r", "z", "n", "h_next")),
              *(f"window=7/0/l0.fwd/t={t}/h_next" for t in range(2)),
              *(f"window=7/t={t}/cell/{line}" for t in range(2)
                for line in ("i", "f", "g", "o", "c", "h_next"))}
    assert set(ts.probe(net)) == wanted
    assert set(ts.probe(net, "encoder/**")) == {p for p in wanted if "encoder" in p}
    assert list(ts.probe(net.encoder, "l0.fwd/t=1/z")) == ["window=7/encoder/l0.fwd/t=1/z"]
    assert list(ts.probe(net.encoder, "window=7/encoder/**/t=1/z"))
    assert list(ts.probe(net, "t=*/cell/c")) == [f"window=7/t={t}/cell/c" for t in range(2)]
    last = ts.probe(net, "t=1/cell/h_next")["window=7/t=1/cell/h_next"]
    assert np.array_equal(last.value.array, h.array)
    h.sum().backward(keep="**/cell/c")
    first, last = [line.grad.array for line in ts.probe(net, "t=*/cell/c").values()]
    assert first.any() and not np.array_equal(first, last)
    with ts.detail(detail):
        short = net(x[:1])
    assert short.shape and len(ts.probe(net)) == len(wanted) // 2


def test_each_run_of_a_module_is_its_own():
    ts.manual_seed(0)
    module, x = lstm(), ts.randn(4, 1, 3, **F8)
    y, state = module(x)
    z, _ = module(x[:2], state)                    # goes on: the first run is in the same graph
    found = ts.probe(module, "**/h_next")
    assert list(found) == ["l0.fwd/t=0/h_next", "l0.fwd/t=1/h_next"]
    assert np.array_equal(found["l0.fwd/t=1/h_next"].value.array, z.array[1])


def test_user_cells_and_lines_of_one_number_a_row():
    cell = NOTATION["normed"]
    module = nn.Recurrent(cell, 3, 4, **F8)
    scalars = [line.name for line in cell.lines if line.scalar]
    assert scalars
    kept = run(module, "layers", keep="**")
    assert kept
    for name in scalars:
        line = ts.probe(module, f"**/t=2/{name}")[f"l0.fwd/t=2/{name}"]
        assert line.value.shape == (2, 1) == line.grad.shape


@pytest.mark.parametrize("detail", DETAILS)
def test_a_second_backward_is_refused_as_ever(detail):
    module = lstm()
    loss, _ = run(module, detail)
    loss.backward(keep="**/c")
    with pytest.raises(GraphError, match="Trying to backward through the graph a second time"):
        loss.backward(keep="**/f")


@pytest.mark.skipif(not kernels.available(), reason="nothing is fused without the JIT")
def test_what_must_be_computed_again_is_not_computed_from_changed_weights():
    module = nn.Recurrent(NOTATION["normed"], 3, 4, **F8)
    (name, *_) = [line.name for line in module.cell.lines if line.scalar]
    loss, _ = run(module, "layers")
    assert ts.probe(module, f"**/t=1/{name}")
    loss.backward(retain_graph=True)
    ts.optim.SGD(module.parameters(), lr=0.5).step()
    with pytest.raises(GraphError, match="changed in place since"):
        ts.probe(module, f"**/t=1/{name}")
    assert ts.probe(module, "**/t=1/h_next")                # this the kernels have kept


def test_a_graph_of_graphs():
    """With create_graph the lines are kept as well."""
    module = lstm()
    loss, _ = run(module, "layers")
    loss.backward(create_graph=True, keep="**/t=0/f")
    second = ts.probe(module, "**/t=0/f")["l0.fwd/t=0/f"].grad.array
    loss, _ = run(module, "gates", keep="**/t=0/f")
    np.testing.assert_allclose(ts.probe(module, "**/t=0/f")["l0.fwd/t=0/f"].grad.array, second,
                               rtol=1e-12)


def test_refusals_say_what_to_do():
    module = lstm()
    with pytest.raises(GraphError, match="this LSTM has not run yet"):
        ts.probe(module)
    with ts.no_grad():
        run(module, "layers")
    with pytest.raises(GraphError, match="was not recorded.*outside no_grad"):
        ts.probe(module)
    loss, y = run(module, "layers")
    with pytest.raises(GraphError, match=r"no named line matches 'q'.*l0.fwd/t=0/i, .* \.\.\."):
        ts.probe(module, "q")
    del loss, y
    with pytest.raises(GraphError, match="is gone: keep its output, or the loss"):
        ts.probe(module)
    linear = nn.Linear(2, 2)
    linear(ts.ones(1, 2))
    with pytest.raises(GraphError, match="no recurrent layer or cell has run in this Linear"):
        ts.probe(linear)
    with pytest.raises(TypeError, match="a module and a glob, got a function"):
        ts.probe(lambda: None, "**")


def test_probing_keeps_nothing_alive_and_modules_are_copied_without_it():
    module = lstm()
    loss, y = run(module, "layers")
    node = ts.graph(loss).nodes[0]
    assert ts.probe(module)
    twin, back = copy.deepcopy(module), pickle.loads(pickle.dumps(module))
    for other in (twin, back):
        with pytest.raises(GraphError, match="has not run yet"):
            ts.probe(other)
    gc.collect()
    gc.disable()
    try:
        import weakref
        ref = weakref.ref(node)
        del loss, y, node
        assert ref() is None
    finally:
        gc.enable()
    assert CELLS["lstm"] is module.cell
