"""Backward: accumulation, release, changes in place, modes, threads, numbers at the edge."""
from __future__ import annotations

import copy
import threading
import warnings

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import GraphError, ShapeError
from tinyseq.ops import cross_entropy, dropout
from tinyseq.walk import differentiate


def leaf(*values, dtype="float64"):
    return ts.tensor(np.array(values, dtype), requires_grad=True)


def one(value):
    return ts.tensor(np.float64(value), requires_grad=True)


# -- accumulation and aliasing ------------------------------------------------------------
def test_gradients_accumulate_until_they_are_set_to_none():
    x = leaf(1.0, 2.0)
    for k in (1, 2, 3):
        (x * x).sum().backward()
        assert x.grad.tolist() == [2.0 * k, 4.0 * k]
    x.grad = None
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_a_leaf_copies_its_first_contribution():
    x, y, g = leaf(1.0, 2.0), leaf(3.0, 4.0), ts.tensor(np.ones(2))
    z = x + y
    z.backward(g)
    with ts.no_grad():
        x.grad[...] *= 5
    assert x.grad.tolist() == [5, 5] and y.grad.tolist() == [1, 1] and g.tolist() == [1, 1]
    z = x + y
    z.backward(g)
    assert x.grad.tolist() == [6, 6] and y.grad.tolist() == [2, 2] and g.tolist() == [1, 1]


def test_a_shared_subexpression_gets_the_sum_of_its_uses():
    x = leaf(0.5, -1.0)
    h = ts.tanh(x)
    total = h * 2 + h * h + ts.exp(h) + h
    total.sum().backward()
    t = np.tanh(x.array)
    np.testing.assert_allclose(x.grad.array, (3 + 2 * t + np.exp(t)) * (1 - t * t), rtol=1e-14)


def test_the_given_gradient_is_not_changed_however_often_it_arrives():
    x, g = leaf(1.0, 2.0), ts.tensor(np.array([1.0, -1.0]))
    h = x + 0.0
    (h + h + h).backward(g)
    assert g.tolist() == [1, -1] and x.grad.tolist() == [3, -3]


def test_inputs_restricts_what_is_committed():
    x, y = leaf(1.0), leaf(2.0)
    (x * y).sum().backward(inputs=[x])
    assert x.grad.tolist() == [2] and y.grad is None


def test_a_leaf_is_its_own_root():
    x = one(3.0)
    x.backward()
    assert x.grad.item() == 1.0


# -- what backward starts from ------------------------------------------------------------
def test_only_a_scalar_needs_no_gradient():
    x = leaf(1.0, 2.0, 3.0)
    with pytest.raises(RuntimeError, match=r"only for scalar outputs.*\(3,\)"):
        (x * 2).backward()
    with pytest.raises(ShapeError, match=r"\(3,\).*\(1, 3\)"):
        (x * 2).backward(ts.tensor(np.ones((1, 3))))
    with pytest.raises(ShapeError, match="float64.*float32"):
        (x * 2).backward(ts.ones(3))
    for wrong in ([1.0, 1.0, 1.0], 1.0):
        with pytest.raises(ShapeError, match=rf"\(3,\).*{type(wrong).__name__}"):
            (x * 2).backward(wrong)
    assert x.grad is None


def test_without_history_there_is_nothing_to_differentiate():
    for t in (ts.tensor(1.0), leaf(1.0).detach().sum()):
        with pytest.raises(RuntimeError, match=r"does not require grad and does not have a grad_fn"
                                               r".*\(\)"):
            t.backward()


# -- the freed graph ----------------------------------------------------------------------
def test_a_second_backward_is_refused_and_changes_nothing():
    x = leaf(2.0, 3.0)
    with ts.scope("twice"):
        loss = (x * x * x).sum()
    loss.backward()
    before = x.grad.array.copy()
    for _ in range(2):
        with pytest.raises(GraphError, match="second time.*sum at twice.*retain_graph=True"
                                             ".*detach the hidden state"):
            loss.backward()
        np.testing.assert_array_equal(x.grad.array, before)


def test_retain_graph_doubles_exactly():
    x = leaf(0.3, -0.7, 1.9)
    loss = (ts.tanh(x) * ts.exp(x) / (x * x + 1.0)).sum()
    loss.backward(retain_graph=True)
    first = x.grad.array.copy()
    loss.backward(retain_graph=True)
    assert x.grad.array.tobytes() == (first + first).tobytes()
    x.grad = None
    loss.backward()
    assert x.grad.array.tobytes() == first.tobytes()
    with pytest.raises(GraphError, match="second time"):
        loss.backward()


def test_two_losses_share_a_subgraph():
    x = leaf(1.0, 2.0)
    h = ts.tanh(x)
    l1, l2 = (h * h).sum(), ts.exp(h).sum()
    l1.backward()
    before = x.grad.array.copy()
    with pytest.raises(GraphError, match="tanh"):
        l2.backward()
    assert x.grad.array.tobytes() == before.tobytes()


def test_hidden_state_carried_over_without_detach():
    w, h = leaf(0.5), ts.tensor(np.ones(1))
    for window in range(3):
        h = ts.tanh(h * w)
        if window:
            with pytest.raises(GraphError, match="detach the hidden state"):
                h.sum().backward()
            break
        h.sum().backward()
    assert window == 1
    h = ts.tensor(np.ones(1))
    for _ in range(3):
        h = ts.tanh(h.detach() * w)
        h.sum().backward()


# -- changed in place ---------------------------------------------------------------------
CHANGES = {
    "copy_": lambda t: t.copy_(np.full(2, 10.0)),
    "index assignment": lambda t: t.__setitem__(0, 10.0),
    "fill_": lambda t: t.fill_(10.0), "add_": lambda t: t.add_(1.0),
    "+=": lambda t: t.__iadd__(9.0),
    "mul_": lambda t: t.data.mul_(2.0), "-=": lambda t: setattr(t, "data", t.data.__isub__(1.0)),
    "zero_": lambda t: t.detach().zero_()}


@pytest.mark.parametrize("by", CHANGES)
def test_a_saved_value_that_was_changed_is_named(by):
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    w.label = "cell.weight"
    with ts.scope("here"):
        loss = (x * w).sum()
    with ts.no_grad():
        CHANGES[by](w)
    word = "fill_" if by == "zero_" else by
    with pytest.raises(GraphError) as caught:
        loss.backward()
    said = str(caught.value)
    assert "mul at here" in said and "cell.weight" in said and word in said
    assert "version 1" in said and " 0 when it was recorded" in said
    assert x.grad is None and w.grad is None


def test_p_data_minus_equals_works():
    p = leaf(1.0, 2.0)
    (p * p).sum().backward()
    array = p.array
    p.data -= 0.5 * p.grad
    assert p.tolist() == [0, 0] and p.array is array and p.requires_grad and p.node is None
    p.data = ts.tensor(np.array([7.0, 8.0]))
    assert p.tolist() == [7, 8] and p.array is array
    with pytest.raises(ShapeError):
        p.data = ts.ones(3)


def test_a_changed_output_is_noticed_where_the_output_was_saved():
    x = leaf(1.0, 2.0)
    y = ts.tanh(x)
    loss = y.sum()
    with ts.no_grad():
        y += 1.0
    with pytest.raises(GraphError, match="tanh.*changed in place"):
        loss.backward()


def test_changing_what_nobody_saved_is_no_error():
    x, b = leaf(1.0, 2.0), ts.tensor(np.ones(2))
    loss = (x + b).sum()
    b.fill_(3.0)
    loss.backward()
    assert x.grad.tolist() == [1, 1]
    b += 1  # before recording is no error either
    (x * b).sum().backward()
    assert x.grad.tolist() == [5, 5]


# -- detach, no_grad, requires_grad -------------------------------------------------------
def test_detach_cuts_one_branch():
    x = leaf(2.0)
    (x * x.detach() + ts.exp(x.detach()) + 3 * x).sum().backward()
    assert x.grad.tolist() == [5]
    y = ts.tanh(x).detach()
    assert not y.requires_grad and y.node is None and y.is_leaf


def test_no_grad_nests_decorates_and_survives_exceptions():
    x = leaf(1.0)

    @ts.no_grad()
    def silent(v):
        assert not ts.is_grad_enabled()
        return v * 2

    assert not silent(x).requires_grad and ts.is_grad_enabled()
    with ts.no_grad():
        assert not (x * 2).requires_grad
        with ts.enable_grad():
            assert (x * 2).requires_grad
            with ts.no_grad():
                assert not silent(x).requires_grad and not (x * 2).requires_grad
            assert ts.is_grad_enabled()
        assert not ts.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), ts.no_grad():
        1 / 0
    assert ts.is_grad_enabled()
    with pytest.raises(ZeroDivisionError):
        ts.no_grad()(lambda: 1 / 0)()
    assert ts.is_grad_enabled()
    again = ts.no_grad()
    with again, again:
        assert not ts.is_grad_enabled()
    assert ts.is_grad_enabled()


def test_a_decorated_function_may_run_in_many_threads():
    inside, after = threading.Barrier(2, timeout=10), []

    @ts.no_grad()
    def meet():
        inside.wait()
        inside.wait()

    def work(mode):
        with ts.set_grad_enabled(mode):
            meet()
            after.append((mode, ts.is_grad_enabled()))

    threads = [threading.Thread(target=work, args=(mode,)) for mode in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(after) == [(False, False), (True, True)]


def test_set_grad_enabled_is_a_call_and_a_context():
    for mode in (False, True):
        with ts.set_grad_enabled(mode):
            assert ts.is_grad_enabled() is mode
        assert ts.is_grad_enabled()
    ts.set_grad_enabled(False)
    try:
        assert not ts.is_grad_enabled()
    finally:
        ts.set_grad_enabled(True)
    assert ts.is_grad_enabled()

    @ts.set_grad_enabled(False)
    def silent():
        return ts.is_grad_enabled()

    assert ts.is_grad_enabled()  # decorating changes nothing, calling restores
    assert [silent(), silent()] == [False, False] and ts.is_grad_enabled()


def test_the_grad_mode_belongs_to_the_thread():
    inside, seen = threading.Barrier(2), []

    def other():
        inside.wait(10)
        seen.append(ts.is_grad_enabled())
        with ts.no_grad():
            inside.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    with ts.no_grad():
        inside.wait(10)
        inside.wait(10)
    assert ts.is_grad_enabled()
    thread.join(10)
    assert seen == [True]


def test_requires_grad_between_forward_and_backward():
    """What was recorded is differentiated as it was recorded."""
    x = leaf(2.0)
    loss = (x * x).sum()
    x.requires_grad_(False)
    loss.backward()
    assert x.grad.tolist() == [4]
    with pytest.raises(RuntimeError, match="leaf tensors only.*detach"):
        (leaf(1.0) * 2).requires_grad_(False)


def test_the_grad_of_an_inner_tensor():
    x = leaf(1.0, 2.0)
    h = x * 3
    with pytest.warns(UserWarning, match="retain_grad"):
        assert h.grad is None
    h.retain_grad()
    (h * h).sum().backward()
    assert h.grad.tolist() == [6, 12] and x.grad.tolist() == [18, 36]


def test_deepcopy():
    with pytest.raises(RuntimeError, match=r"detach\(\)\.clone\(\)"):
        copy.deepcopy(leaf(1.0) * 2)
    x = leaf(1.0, 2.0)
    (x * 2).sum().backward()
    twin = copy.deepcopy(x)
    with ts.no_grad():
        twin += 1
        twin.grad[...] = 0
    assert x.tolist() == [1, 2] and x.grad.tolist() == [2, 2] and twin.requires_grad
    pair = copy.deepcopy([x, x])
    assert pair[0] is pair[1] and pair[0] is not x
    y = x.detach().clone()
    y += 1
    assert x.tolist() == [1, 2]
    z = x.clone()
    z.sum().backward()
    assert x.grad.tolist() == [3, 3] and z.array is not x.array


def test_a_failing_forward_leaves_nothing_behind():
    x = leaf(1.0, 2.0)
    for _ in range(1000):
        with pytest.raises(ShapeError), ts.scope("broken"):
            x + ts.ones(3)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 4] and str(ts.graph(x * 1).nodes[0].scope) == ""


def test_a_rule_that_fails_changes_nothing():
    x, w = leaf(1.0, 2.0), leaf(1.0, 1.0)
    loss = (ts.tanh(x * w) * w).sum()
    rules, plans = ts.OPS["tanh"].rules, ts.OPS["tanh"].plans
    for wrong, said in ((lambda gy, y: 1 / 0, "division"),
                        (lambda gy, y: np.ones((1, 1, 5)), r"tanh.*\(2,\).*\(1, 1, 5\)"),
                        (lambda gy, y: np.ones(3), r"tanh.*\(2,\).*\(3,\)"),
                        (lambda gy, y: None, "tanh.*None")):
        ts.OPS["tanh"].rules, ts.OPS["tanh"].plans = [wrong], {}
        try:
            broken = (ts.tanh(x * w) * w).sum()
            with pytest.raises((ZeroDivisionError, GraphError), match=said):
                broken.backward()
        finally:
            ts.OPS["tanh"].rules, ts.OPS["tanh"].plans = rules, plans
        assert x.grad is None and w.grad is None and ts.is_grad_enabled()
        assert all(node.gy is None for node in ts.graph(broken))
    loss.backward()
    assert x.grad is not None


# -- keep ---------------------------------------------------------------------------------
def test_keep_keeps_what_matches_and_nothing_else():
    x = leaf(1.0, 2.0)
    with ts.scope("a"):
        h = x * 3
        with ts.scope("b"):
            k = ts.exp(h)
    loss = k.sum()
    loss.backward(keep="a/*")
    graph = ts.graph(loss)
    (exp_node,) = graph.select("a/b")
    np.testing.assert_array_equal(exp_node.grad, np.ones(2))
    (mul_node,) = graph.select("a")
    with pytest.raises(GraphError, match=r"mul at a.*not kept.*keep='a'"):
        mul_node.grad
    assert [node for node in graph if node.gy is not None] == [exp_node]


def test_keep_is_asked_for_anew_each_time():
    x = leaf(1.0, 2.0)
    with ts.scope("h"):
        h = ts.exp(x)
    loss = (h * h).sum()
    loss.backward(keep="h", retain_graph=True)
    (node,) = ts.graph(loss).select("h")
    np.testing.assert_allclose(node.grad, 2 * np.exp(x.array))
    loss.backward(retain_graph=True)
    with pytest.raises(GraphError, match="not kept"):
        node.grad


# -- gradients of gradients ---------------------------------------------------------------
def slope(y, x):
    """dy/dx as a tensor with a history."""
    return differentiate([y], [ts.ones_like(y)], None, True)[x]


@pytest.mark.parametrize("power,wanted", [
    (lambda x: x ** 4, [16.0, 32.0, 48.0, 48.0, 24.0, 0.0]),
    (lambda x: x * x * x * x, [16.0, 32.0, 48.0, 48.0, 24.0]),
    (lambda x: ts.exp(x), [np.exp(2.0)] * 5),
    (lambda x: ts.log(x), [np.log(2), 1 / 2, -1 / 4, 1 / 4, -3 / 8, 3 / 4]),
    (lambda x: 1 / x, [1 / 2, -1 / 4, 1 / 4, -3 / 8, 3 / 4]),
    (lambda x: ts.sqrt(x), [2 ** .5, 1 / 2 / 2 ** .5, -2 ** -1.5 / 4, 3 / 8 * 2 ** -2.5]),
    (lambda x: ts.tanh(x - 2), [0.0, 1.0, 0.0, -2.0, 0.0, 16.0]),
    (lambda x: ts.sigmoid(x - 2), [0.5, 0.25, 0.0, -0.125, 0.0, 0.25])],
    ids="x**4 xxxx exp log 1/x sqrt tanh sigmoid".split())
def test_derivatives_of_every_order(power, wanted):
    x = one(2.0)
    y = power(x)
    for value in wanted[:-1]:
        assert y.item() == pytest.approx(value, rel=1e-13, abs=1e-13)
        y = slope(y, x)
    assert y.item() == pytest.approx(wanted[-1], rel=1e-13, abs=1e-13)


def test_create_graph_leaves_a_gradient_with_a_history():
    x = leaf(2.0, 3.0)
    (x * x * x).sum().backward(create_graph=True)
    assert x.grad.requires_grad and x.grad.tolist() == [12, 27]
    penalty = (x.grad * x.grad).sum()
    x.grad = None
    penalty.backward()
    np.testing.assert_allclose(x.grad.array, [2 * 12 * 12, 2 * 27 * 18])
    plain = leaf(2.0)
    (plain * plain).sum().backward()
    assert not plain.grad.requires_grad


def test_create_graph_in_float32_stays_float32():
    x = leaf(0.5, 2.0, dtype="float32")
    for f in (ts.tanh, ts.sigmoid, ts.relu, ts.exp, ts.log, ts.sqrt, lambda v: v ** 3,
              lambda v: 1 / v, lambda v: ts.logsumexp(v, 0),
              lambda v: ts.log_softmax(v, 0), lambda v: v.amax(0)):
        y = f(x)
        g = differentiate([y], [ts.ones_like(y)], None, True)[x]
        assert g.dtype == np.float32


def test_create_graph_under_no_grad_still_records():
    x = one(3.0)
    y = x * x * x
    with ts.no_grad():
        g = slope(y, x)
    assert g.item() == 27 and slope(g, x).item() == 18


# -- threads ------------------------------------------------------------------------------
def test_four_threads_share_a_leaf():
    x, failures = leaf(1.0, -2.0), []

    def work():
        try:
            for _ in range(200):
                (x * 1.0).sum().backward()
        except BaseException as error:  # noqa: B902  whatever it is, the test must see it
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures and x.grad.tolist() == [800, 800]


# -- numbers at the edge: the conventions are torch's -------------------------------------
@pytest.fixture
def strict():
    """Any warning is a failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def gradient(f, *values):
    x = leaf(*values)
    y = f(x)
    y.backward(ts.ones_like(y))
    return x.grad.tolist()


def test_kinks(strict):
    assert gradient(ts.sqrt, 0.0) == [np.inf]
    assert gradient(ts.relu, 0.0, -0.0, -1.0, 2.0) == [0, 0, 0, 1]
    assert gradient(ts.log, 0.0) == [np.inf]
    assert gradient(lambda x: x ** 0, 0.0, 2.0) == [0, 0]
    assert gradient(lambda x: x ** 1, 0.0) == [1] and gradient(lambda x: x ** 2, 0.0) == [0]


def test_ties_share_or_pick(strict):
    for f in (lambda x: x.amax(0), lambda x: x.max(), lambda x: ts.max(x), lambda x: x.amax()):
        assert gradient(f, 2.0, 2.0, 1.0) == [0.5, 0.5, 0]
        assert gradient(f, 3.0, 3.0, 3.0, 3.0) == [0.25] * 4
    assert gradient(lambda x: x.max(0).values, 2.0, 2.0, 1.0) == [1, 0, 0]
    assert leaf(2.0, 2.0, 1.0).max(0).indices.item() == 0
    assert gradient(lambda x: x.amax(0) * np.inf, 1.0, 2.0) == [0.0, np.inf]


def test_max_over_an_axis():
    a = np.random.default_rng(0).normal(size=(3, 4))
    for keepdim in (False, True):
        x = ts.tensor(a, requires_grad=True)
        values, indices = x.max(1, keepdim)
        assert values.shape == indices.shape == ((3, 1) if keepdim else (3,))
        values.sum().backward()
        assert (x.grad.array == (a == a.max(1, keepdims=True))).all()


def test_nan_stays_nan_and_takes_the_gradient(strict):
    for f in (lambda x: x.amax(0), lambda x: x.max(), lambda x: x.max(0).values):
        x = leaf(1.0, np.nan, 3.0)
        assert np.isnan(f(x).item())
        assert gradient(f, 1.0, np.nan, 3.0) == [0, 1, 0]
    assert np.isnan(ts.relu(leaf(np.nan)).item()) and gradient(ts.relu, np.nan) == [1]


def test_where_does_not_hide_a_nan_of_the_branch_not_taken(strict):
    """As in torch: 0 * inf is nan; the double where is the cure."""
    (found,) = gradient(lambda x: ts.where(x > 0, ts.log(x), 0.0), 0.0)
    assert np.isnan(found)
    safe = gradient(lambda x: ts.where(x > 0, ts.log(ts.where(x > 0, x, 1.0)), 0.0), 0.0, 2.0)
    assert safe == [0, 0.5]


LIMITS = {"sigmoid": (ts.sigmoid, 0.0, 1.0), "tanh": (ts.tanh, -1.0, 1.0),
          "relu": (ts.relu, 0.0, None), "exp": (ts.exp, 0.0, np.inf)}


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("size", [1e4, np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_limits_are_exact(name, size, dtype, strict):
    f, low, high = LIMITS[name]
    x = leaf(-size, size, dtype=dtype)
    y = f(x)
    assert y.tolist() == [low, size if high is None else high]
    y.backward(ts.ones_like(y))
    wanted = {"relu": [0, 1], "exp": [0, np.inf]}.get(name, [0, 0])
    assert x.grad.tolist() == wanted


def test_softmax_family_at_extremes(strict):
    for big in (1e4, -1e4):
        x = ts.tensor(np.array([[big, 0.0, big / 2]]), requires_grad=True)
        for f in (lambda v: ts.logsumexp(v, 1), lambda v: ts.softmax(v, 1),
                  lambda v: ts.log_softmax(v, 1)):
            x.grad = None
            y = f(x)
            y.backward(ts.ones_like(y))
            assert np.isfinite(y.array).all() and np.isfinite(x.grad.array).all()
        assert ts.softmax(x, 1).sum().item() == 1
        assert ts.logsumexp(x, 1).item() == max(big, 0)
    empty = leaf(-np.inf, -np.inf)
    y = ts.logsumexp(empty, 0)
    y.backward()
    assert y.item() == -np.inf and np.isnan(empty.grad.array).all()
    assert np.isnan(ts.softmax(empty, 0).array).all()


def test_cross_entropy_with_an_impossible_class(strict):
    x = ts.tensor(np.array([[1.0, -np.inf, 2.0]]), requires_grad=True)
    loss = cross_entropy(x, ts.tensor([2]))
    loss.backward()
    assert loss.item() == pytest.approx(np.log1p(np.exp(-1)))
    assert x.grad.array[0, 1] == 0 and np.isfinite(x.grad.array).all()


def test_ieee_and_no_exception(strict):
    assert (leaf(1.0, -1.0) / 0.0).tolist() == [np.inf, -np.inf]
    assert np.isnan([*ts.log(leaf(-1.0)).tolist(), *ts.sqrt(leaf(-1.0)).tolist(),
                     *(leaf(-2.0) ** 0.5).tolist(), (leaf(0.0) / 0.0).tolist()[0]]).all()
    assert ts.exp(leaf(1000.0)).tolist() == [np.inf]


def test_dropout_at_the_edges(strict):
    x = leaf(1.0, np.inf, np.nan, -2.0)
    assert dropout(x, 0.0).array.tobytes() == x.array.tobytes()
    assert dropout(x, 0.5, training=False).array.tobytes() == x.array.tobytes()
    y = dropout(x, 1.0)
    assert y.tolist() == [0, 0, 0, 0]
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 0]
    for p in (-0.1, 1.5, np.nan, True, "0.5", None):
        with pytest.raises(ValueError, match=r"dropout.*range \[0, 1\]"):
            dropout(x, p)
    ts.manual_seed(0)
    ones = ts.tensor(np.ones(10000), requires_grad=True)
    y = dropout(ones, 0.5)
    assert abs(y.array.mean() - 1) < 4 * 0.01 and set(y.tolist()) == {0.0, 2.0}
    y.sum().backward()
    np.testing.assert_array_equal(ones.grad.array, y.array)  # the same mask


def test_random_streams_repeat():
    drawn = []
    for _ in range(2):
        ts.manual_seed(3)
        drawn.append((ts.rand(5).tolist(), ts.randn(5).tolist(), ts.randint(0, 9, (5,)).tolist(),
                      dropout(ts.ones(20)).tolist()))
    assert drawn[0] == drawn[1]
