"""`grad` and `backward`: any tensors, leaves or not; nothing is touched but what was asked for."""
from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.autograd import backward, grad
from tinyseq.errors import GraphError


def leaf(*values):
    return ts.tensor(list(values), requires_grad=True)


def test_leaves_and_what_is_between():
    x = leaf(1.0, 2.0)
    y = x * x
    z = y * y
    found = grad(z.sum(), [x, y, z, x])
    assert [g.tolist() for g in found] == [[4.0, 32.0], [2.0, 8.0], [1.0, 1.0], [4.0, 32.0]]
    assert x.grad is None and not any(g.requires_grad for g in found)
    assert not y.node.keep and y.node.gy is None


def test_of_itself_and_with_cotangents():
    x = leaf(1.0, 2.0)
    y = x * 3.0
    assert grad(y, y, ts.tensor([5.0, 7.0]))[0].tolist() == [5.0, 7.0]
    assert grad(x, x, ts.ones(2))[0].tolist() == [1.0, 1.0]
    (g,) = grad([y, x * x], x, [ts.tensor([1.0, 0.0]), ts.ones(2)])
    assert g.tolist() == [5.0, 4.0]


def test_results_share_no_memory():
    x, y = leaf(1.0), leaf(2.0)
    seed = ts.ones(1)
    a, b = grad(x + y, [x, y], seed)
    a.array[...] = 9
    assert b.item() == 1.0 and seed.item() == 1.0


def test_only_what_lies_between_is_walked_and_freed():
    x = leaf(1.0, 2.0)
    w = leaf(3.0, 4.0)
    h = x * x
    loss = (h * w).sum()
    (gh,) = grad(loss, h)
    assert gh.tolist() == [3.0, 4.0]
    h.backward(gh)                                # the part below h was neither walked nor freed
    assert x.grad.tolist() == [6.0, 16.0] and w.grad is None
    with pytest.raises(GraphError, match="second time"):
        grad(loss, w)
    again = (x * w).sum()
    assert grad(again, x, retain_graph=True)[0].tolist() == grad(again, x)[0].tolist()


def test_retained_gradients_survive():
    x = leaf(2.0)
    y = (x * x).retain_grad()
    (y * y).sum().backward()
    kept = y.grad.tolist()
    z = (y * 3.0).sum()
    assert grad(z, y)[0].item() == 3.0 and kept == [8.0]


def test_second_and_third_derivatives():
    x = leaf(2.0)
    (first,) = grad((x ** 4.0).sum(), x, create_graph=True)
    (second,) = grad(first.sum(), x, create_graph=True)
    (third,) = grad(second.sum(), x)
    assert [first.item(), second.item(), third.item()] == [32.0, 48.0, 48.0]
    y = x * x
    gx, gy = grad((y * y).sum(), [x, y], create_graph=True)
    assert grad(gy.sum(), x)[0].item() == pytest.approx(8.0)
    assert gx.item() == 32.0


def test_inputs_that_are_not_used():
    x, other, plain = leaf(1.0), leaf(1.0), ts.ones(1)
    loss = (x * 2.0).sum()
    with pytest.raises(RuntimeError, match="input 1 .*allow_unused=True"):
        grad(loss, [x, other], retain_graph=True)
    found = grad(loss, [x, other], allow_unused=True)
    assert found[0].item() == 2.0 and found[1] is None
    with pytest.raises(RuntimeError, match="input 0 .*requires_grad_"):
        grad(loss, plain)


def test_bad_arguments():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="scalar outputs"):
        grad(x * 2.0, x)
    with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
        grad(ts.ones(1), x)
    with pytest.raises(RuntimeError, match="1 tensors and 2 gradients"):
        grad((x * 2.0).sum(), x, [None, None])
    with pytest.raises(TypeError, match="int"):
        grad((x * 2.0).sum(), [3])
    with pytest.raises(TypeError, match="empty"):
        grad([], x)


@pytest.mark.parametrize("detail", ["gates", "layers"])
def test_states_between_two_layers(detail):
    one, two = nn.GRU(2, 3, dtype=np.float64), nn.LSTM(3, 2, dtype=np.float64)
    x = ts.randn(4, 2, 2, dtype=np.float64)
    with ts.detail(detail):
        h, _ = one(x)
        y, (hn, cn) = two(h)
        loss = (y * y).sum() + cn.sum()
    parameters = list(one.parameters())
    gh, gc, *found = grad(loss, [h, cn, *parameters], retain_graph=True)
    assert gc.tolist() == np.ones((1, 2, 2)).tolist()
    below = grad(h, parameters, gh)
    for a, b in zip(found, below):
        np.testing.assert_allclose(a.array, b.array, rtol=1e-12)
    assert all(p.grad is None for p in (*one.parameters(), *two.parameters()))


def test_backward_of_several():
    x, w = leaf(3.0), leaf(1.0)
    y = x * x
    backward([y.sum(), (y * w).sum()])
    assert x.grad.item() == 12.0 and w.grad.item() == 9.0
    backward(x * 2.0, ts.tensor([5.0]), inputs=x)
    assert x.grad.item() == 22.0
    with pytest.raises(RuntimeError, match="scalar"):
        backward([(x * 2.0).sum(), leaf(1.0, 2.0) * 2.0])
    assert x.grad.item() == 22.0


def test_an_input_of_an_interrupted_walk_is_left_as_it_was():
    x = leaf(1.0)
    y = x * x
    loss = (y * y).sum()
    with ts.no_grad():
        y.array[...] = 2.0
        y.version[0] += 1
    with pytest.raises(GraphError):
        grad(loss, [x, y])
    assert not y.node.keep and y.node.gy is None and x.grad is None
