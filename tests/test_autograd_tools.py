"""One's own operations, hooks, anomalies, recomputing, cutting, and tensors among other things."""
from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import func, nn
from tinyseq.autograd import Function, detect_anomaly, grad, inference_mode, once_differentiable
from tinyseq.errors import GraphError, NonFiniteError
from tinyseq.recompute import checkpoint


def leaf(*values: float) -> ts.Tensor:
    return ts.tensor(list(values), dtype=ts.float64, requires_grad=True)


# -- Function ----------------------------------------------------------------------------
class Cube(Function):
    """x^3, keeping its input."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, gy):
        x, = ctx.saved_tensors
        return gy * 3.0 * x * x


class Exp(Function):
    """e^x, keeping its output."""

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, gy):
        y, = ctx.saved_tensors
        return gy * y


class Polar(Function):
    """Two inputs, a number, two outputs; in torch's newer form."""

    @staticmethod
    def forward(r, scale, a):
        return r * a * scale, r + a

    @staticmethod
    def setup_context(ctx, inputs, output):
        r, ctx.scale, a = inputs
        ctx.save_for_backward(r, a)

    @staticmethod
    def backward(ctx, g, s):
        r, a = ctx.saved_tensors
        return g * a * ctx.scale + s, None, g * r * ctx.scale + s


@pytest.mark.parametrize("own, same", ((Cube, lambda x: x * x * x), (Exp, lambda x: x.exp())))
def test_a_function_is_differentiated_as_often_as_its_backward_can_be(own, same):
    x = leaf(0.5, -1.5)
    for order in range(3):
        f, g = own.apply, same
        for _ in range(order + 1):
            f, g = (func.grad(lambda x, f=f: f(x).sum()), func.grad(lambda x, g=g: g(x).sum()))
        np.testing.assert_allclose(f(x).array, g(x).array, rtol=1e-13)
    assert ts.autograd.gradcheck(own.apply, x)
    moved = func.jvp(own.apply, (x.detach(),), (ts.tensor([1.0, 2.0], dtype=ts.float64),))[1]
    np.testing.assert_allclose(moved.array, func.grad(lambda x: own.apply(x).sum())(x).array
                               * [1.0, 2.0])


def test_several_inputs_and_outputs():
    r, a = leaf(2.0, 3.0), leaf(5.0, 7.0)
    y, s = Polar.apply(r, 10.0, a)
    (y.sum() + (s * s).sum()).backward()
    assert r.grad.tolist() == [50 + 14.0, 70 + 20.0] and a.grad.tolist() == [20 + 14.0, 30 + 20.0]
    r.grad = None
    Polar.apply(r, 10.0, a)[0].sum().backward()       # the other output got no gradient: zeros
    assert r.grad.tolist() == [50.0, 70.0]
    g = grad(Polar.apply(r, 1.0, a)[0].sum(), [r, a], create_graph=True)
    assert grad(g[0].sum(), a)[0].tolist() == [1.0, 1.0]
    with ts.no_grad():
        assert not any(t.requires_grad for t in Polar.apply(r, 1.0, a))


def broken(returned):
    class Broken(Function):
        @staticmethod
        def forward(ctx, x, n):
            return x * 2.0

        @staticmethod
        def backward(ctx, gy):
            return returned(gy)
    return Broken


@pytest.mark.parametrize("returned, words", (
    (lambda gy: gy, "expected 2.*got 1"), (lambda gy: (gy, None, None), "expected 2.*got 3"),
    (lambda gy: (gy[:1], None), r"input 0 a gradient of shape \(2,\)"),
    (lambda gy: (gy.float(), None), "float64, got .*float32"), (lambda gy: (None, None), "None"),
    (lambda gy: (gy.array, None), "ndarray")))
def test_a_wrong_backward_is_named(returned, words):
    x = leaf(1.0, 2.0)
    with ts.scope("mine"), pytest.raises(GraphError, match=words) as error:
        broken(returned).apply(x, 3).sum().backward()
    assert "Broken at mine" in str(error.value) and x.grad is None


def test_refusals_of_functions():
    class Once(Cube):
        backward = staticmethod(once_differentiable(Cube.backward))
    x = leaf(2.0)
    Once.apply(x).backward(ts.ones(1, dtype=ts.float64))
    assert x.grad.item() == 12.0
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad(Once.apply(x).sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="forward"):
        Function.apply(x)
    y = Cube.apply(x)
    with ts.no_grad():
        x.mul_(2.0)
    with pytest.raises(GraphError, match="Cube.*changed in place"):
        y.backward(ts.ones(1, dtype=ts.float64))


def test_mark_non_differentiable_and_handing_through():
    class Both(Function):
        @staticmethod
        def forward(ctx, x):
            at = (x > 0.0)
            ctx.mark_non_differentiable(at)
            return x, at

        @staticmethod
        def backward(ctx, gx, gat):
            return gx * 5.0
    x = leaf(1.0, -1.0)
    y, at = Both.apply(x)
    assert y is not x and not at.requires_grad and at.tolist() == [True, False]
    y.sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


# -- hooks -------------------------------------------------------------------------------
def test_hooks_see_whole_gradients_and_may_replace_them():
    x = leaf(1.0, 2.0)
    y = x * x
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = y.register_hook(lambda g: g * 10.0)
    (y.sum() + (y * y).sum()).backward(retain_graph=True)
    assert seen == [[3.0, 9.0]] and x.grad.tolist() == [60.0, 360.0]
    handle.remove()
    handle.remove()
    x.grad = None
    x.register_hook(lambda g: g + 1.0)
    (y.sum() + (y * y).sum()).backward()
    assert x.grad.tolist() == [7.0, 37.0]


def test_a_bad_hook_changes_nothing():
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g[:1])
    with pytest.raises(GraphError, match=r"shape \(2,\), got \(1,\)"):
        (x * x).sum().backward()
    assert x.grad is None
    for t, error in ((x.detach(), RuntimeError), (x, TypeError)):
        with pytest.raises(error):
            t.register_hook(3 if error is TypeError else print)


# -- anomalies ---------------------------------------------------------------------------
def test_an_anomaly_is_named_by_operation_place_and_line():
    x = leaf(0.0, 1.0)
    with detect_anomaly(), pytest.raises(NonFiniteError) as error, ts.scope("loss"):
        y = ts.where(x > 0, x.log(), 0.0).sum()  # this line
        y.backward()
    line = next(n for n, text in enumerate(open(__file__, encoding="utf-8"), 1)
                if "# this line" in text)
    said = str(error.value)
    assert "<log at loss> gave a gradient of nan at (0,)" in said and f":{line}, in test_" in said
    assert x.grad is None
    ts.where(x > 0, x.log(), 0.0).sum().backward()
    assert np.isnan(x.grad.array[0]) and ts.scope  # outside, as IEEE has it


def test_an_anomaly_in_a_layer_names_gate_and_step():
    ts.manual_seed(0)
    rnn, x = nn.RNN(2, 3, nonlinearity="relu"), ts.randn(4, 1, 2)
    rnn.weight_hh_l0.array[0, 1] = np.inf
    with np.errstate(invalid="ignore"), detect_anomaly():
        with pytest.raises(NonFiniteError, match="linear at l0.fwd/t=3/Wh"):
            rnn(x)[0].sum().backward()


# -- recomputing -------------------------------------------------------------------------
@pytest.mark.parametrize("detail", ("gates", "layers"))
def test_checkpoints_give_the_same_gradients_with_dropout_inside(detail):
    ts.manual_seed(1)
    lstm, x = nn.LSTM(3, 4, dtype=ts.float64), ts.randn(6, 2, 3, dtype=ts.float64)
    start = ts.ones(2, 3, dtype=ts.float64, requires_grad=True)

    def window(x, h):
        return lstm(nn.functional.dropout(x, 0.3), h)

    def gradients(again):
        ts.manual_seed(5)
        h, total = None, 0.0
        for k in range(3):
            part = x[2 * k:2 * k + 2] * start
            y, h = checkpoint(window, part, h) if again else window(part, h)
            total = total + (y * y).sum()
        found = grad(total, [start, *lstm.parameters()])
        return [g.array for g in found], len(ts.graph(total)), ts.rand(1).item()

    with ts.detail(detail):
        plain, small = gradients(False), gradients(True)
    for a, b in zip(plain[0], small[0]):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)
    assert plain[2] == small[2]          # the random stream goes on as if nothing had run again
    assert detail == "layers" or small[1] < plain[1] / 5


def test_checkpoints_nest_and_are_differentiated_twice():
    w, x = leaf(2.0), leaf(3.0)
    y = checkpoint(lambda x: checkpoint(lambda x: (x * w) ** 3.0, x) * 1.0, x)
    (g,) = grad(y.sum(), x, create_graph=True)
    assert g.item() == pytest.approx(3 * 2 ** 3 * 9)
    assert ts.graph(y).nodes[0].op.name == "checkpoint"
    g.sum().backward()
    assert w.grad.item() == pytest.approx(9 * 4 * 9) and x.grad.item() == pytest.approx(6 * 8 * 3)


def test_a_checkpoint_sees_changed_weights_and_changed_minds():
    w, x = leaf(2.0), leaf(3.0)
    y = checkpoint(lambda x: x * w, x)
    with ts.no_grad():
        w.mul_(2.0)
    with pytest.raises(GraphError, match="checkpoint.*changed in place"):
        y.sum().backward()
    calls = []
    y = checkpoint(lambda x: (calls.append(1), x[:1] * w if len(calls) > 1 else x * x)[1], x)
    z = checkpoint(lambda x: x * w, x)
    assert z.sum().item() == 12.0
    calls.append(1)
    y2 = checkpoint(lambda x: x if len(calls) > 9 else x * w, x)
    calls.extend([1] * 9)
    with pytest.raises(GraphError, match="the same each time"):
        y2.sum().backward()
    assert x.grad is None
    assert checkpoint(lambda x: x, x) is x
    with ts.no_grad():
        assert checkpoint(lambda x: x * w, x).node is None


# -- cutting -----------------------------------------------------------------------------
@pytest.mark.parametrize("detail", ("gates", "steps", "layers"))
def test_a_graph_is_cut_after_the_fact(detail):
    ts.manual_seed(2)
    rnn, x = nn.RNN(2, 3, dtype=ts.float64), ts.randn(6, 1, 2, dtype=ts.float64)
    with ts.detail(detail):
        _, h = rnn(x[:3])
        y, _ = rnn(x[3:], h)
        _, constant = rnn(x[:3])
        want = grad((rnn(x[3:], constant.detach())[0] ** 2).sum(), list(rnn.parameters()))
    assert h.cut_() is h
    found = grad((y ** 2).sum(), list(rnn.parameters()))
    for a, b in zip(found, want):
        np.testing.assert_allclose(a.array, b.array, rtol=1e-13)
    assert [node.op.name for node in ts.graph(h)] == ["cut"] and h.requires_grad
    assert leaf(1.0).cut_().is_leaf


# -- modes, copies, other libraries ------------------------------------------------------
def test_inference_mode():
    w = leaf(1.0)
    with inference_mode():
        y = w * 2.0
        with inference_mode(False):
            assert (w * 2.0).requires_grad
    assert not y.requires_grad and (y * w).requires_grad and ts.is_grad_enabled()

    @inference_mode()
    def f():
        return w * 2.0
    assert not f().requires_grad


def test_numpy_on_the_left_is_recorded():
    t = leaf(1.0, 2.0)
    a = np.array([3.0, 4.0])
    cases = ((a + t, t + a), (a - t, -(t - a)), (a * t, t * a), (np.float64(2) * t, t * 2.0),
             (a @ t, t @ ts.tensor(a)))
    for left, right in cases:
        assert left.requires_grad and left.tolist() == right.tolist()
    assert (a > t).tolist() == [True, True] and (a == t).dtype == np.bool_


@pytest.mark.parametrize("function", (np.exp, np.sum, np.asarray, np.concatenate, np.linalg.norm))
def test_numpys_functions_never_drop_a_history_in_silence(function):
    with pytest.raises(TypeError, match="history"):
        function(leaf(1.0))
    assert np.asarray(leaf(1.0).detach()).tolist() == [1.0]


def test_pickles_and_copies():
    lstm = nn.LSTM(2, 3)
    twin = pickle.loads(pickle.dumps(lstm))
    x = ts.ones(4, 1, 2)
    assert np.array_equal(twin(x)[0].array, lstm(x)[0].array)
    assert [p.label for p in twin.parameters()] == [p.label for p in lstm.parameters()]
    assert all(type(p) is nn.Parameter and p.requires_grad for p in twin.parameters())
    t = leaf(1.0)
    both = pickle.loads(pickle.dumps((t, t)))
    assert both[0] is both[1] and both[0].requires_grad
    for way in (pickle.dumps, copy.deepcopy):
        with pytest.raises(RuntimeError, match="only leaf tensors"):
            way(t * 2.0)
    shallow = copy.copy(t * 2.0)
    shallow.sum().backward()
    assert t.grad.item() == 2.0 and copy.copy(t).array is t.array


def test_dlpack():
    t = ts.tensor([1.0, 2.0])
    assert np.from_dlpack(t).tolist() == [1.0, 2.0] and ts.from_dlpack(np.arange(3)).shape == (3,)
    with pytest.raises(BufferError, match="detach"):
        np.from_dlpack(leaf(1.0))


def test_reprs_are_deterministic_and_short():
    t = leaf(1.0, 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert repr(t * 2.0) == repr(t * 2.0) == "tensor([2., 4.], dtype=float64, grad_fn=mul)"
        assert len(repr(ts.zeros(1000, 1000))) < 2000
