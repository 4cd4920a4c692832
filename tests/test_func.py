"""Functions of functions: both directions, nested as one likes, and batches of samples."""
from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import func, nn
from tinyseq.autograd import functional
from tinyseq.errors import ShapeError

KINDS = ("RNN", "LSTM", "GRU")


def numbers(*shape: int, seed: int = 0) -> ts.Tensor:
    return ts.tensor(np.random.default_rng(seed).normal(size=shape))


W, V = numbers(3, 3, seed=1), numbers(3, seed=2)
FUNCTIONS = {"elementwise": lambda x: x.tanh() * x, "product": lambda x: (W @ x).sigmoid(),
             "softmax": lambda x: (x * V).softmax(0), "one number": lambda x: (x * x * V).sum(),
             "index": lambda x: x[[0, 0, 2]] * x[1], "max": lambda x: ts.amax(x * V, 0),
             "shape": lambda x: ts.stack([x, x * x]).transpose(0, 1).reshape(2, 3)}
each_function = pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)


def layer(kind: str, **more) -> tuple[nn.Module, dict, ts.Tensor]:
    ts.manual_seed(3)
    module = getattr(nn, kind)(3, 4, dtype=ts.float64, **more)
    parameters = {name: p.detach() for name, p in module.named_parameters()}
    return module, parameters, numbers(5, 6, 3, seed=4)


def differences(f, x: ts.Tensor, h: float = 1e-5) -> np.ndarray:
    """The Jacobian by central differences, (*output, *input)."""
    columns = []
    for k in range(x.numel()):
        e = np.zeros(x.numel())
        e[k] = h
        e = e.reshape(x.shape)
        up, down = f(ts.tensor(x.array + e)).array, f(ts.tensor(x.array - e)).array
        columns.append((up - down) / (2 * h))
    return np.stack(columns, -1).reshape(*columns[0].shape, *x.shape)


@each_function
def test_jacobians_both_ways_and_by_differences(f):
    x = numbers(3, seed=5)
    rev, fwd = func.jacrev(f)(x), func.jacfwd(f)(x)
    np.testing.assert_allclose(rev.array, fwd.array, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(rev.array, differences(f, x), atol=1e-8)
    assert not rev.requires_grad and not fwd.requires_grad and x.grad is None


@each_function
def test_vjp_and_jvp_are_products_with_the_jacobian(f):
    x, u = numbers(3, seed=5), numbers(3, seed=6)
    J = func.jacrev(f)(x).array.reshape(-1, 3)
    y, moved = func.jvp(f, (x,), (u,))
    v = numbers(*y.shape, seed=7)
    same, pull = func.vjp(f, x)
    np.testing.assert_allclose(moved.array.ravel(), J @ u.array, rtol=1e-12)
    np.testing.assert_allclose(pull(v)[0].array, v.array.ravel() @ J, rtol=1e-12)
    np.testing.assert_allclose(float((v * moved).sum()), float((pull(v)[0] * u).sum()), rtol=1e-12)
    assert y.tolist() == same.tolist() == f(x).tolist()


NESTED = {"rev of rev": lambda f: func.jacrev(func.jacrev(f)),
          "fwd of fwd": lambda f: func.jacfwd(func.jacfwd(f)),
          "rev of fwd": lambda f: func.jacrev(func.jacfwd(f)),
          "fwd of rev": func.hessian, "functional": lambda f: lambda x: functional.hessian(f, x)}


@pytest.mark.parametrize("twice", NESTED.values(), ids=NESTED)
@pytest.mark.parametrize("kind", ("plain", *KINDS))
def test_second_derivatives_in_every_nesting(kind, twice):
    if kind == "plain":
        f, x = (lambda x: (W @ x).tanh().sum()), numbers(3, seed=5)
    else:
        module, _, xs = layer(kind)
        x, f = xs[:3, 0], lambda x: (module(x)[0] ** 2).sum()
    np.testing.assert_allclose(twice(f)(x).array, differences(func.grad(f), x), atol=1e-8)


def test_third_derivatives():
    cube = func.grad(func.grad(func.grad(lambda x: x ** 5.0)))
    assert cube(ts.tensor(2.0, dtype=ts.float64)).item() == pytest.approx(60 * 4.0)


@pytest.mark.parametrize("detail", ("gates", "steps", "layers"))
@pytest.mark.parametrize("kind", KINDS)
def test_forward_mode_through_layers_at_every_detail(kind, detail):
    module, parameters, x = layer(kind)
    u, v = numbers(*x.shape, seed=8), numbers(5, 6, 4, seed=9)
    f = lambda x: module(x)[0]  # noqa: E731
    with ts.detail(detail):
        _, moved = func.jvp(f, (x,), (u,))
        _, pull = func.vjp(f, x)
    assert float((moved * v).sum()) == pytest.approx(float((pull(v)[0] * u).sum()), rel=1e-12)


def test_arguments_by_number_and_in_structures():
    f = lambda p, s: (p["a"] * p["b"][0]).sum() * s  # noqa: E731
    p = {"a": numbers(3), "b": [numbers(3, seed=1)]}
    s = ts.tensor(2.0, dtype=ts.float64)
    value, (gp, gs) = func.value_and_grad(f, (0, 1))(p, s)
    assert list(gp) == ["a", "b"] and gp["a"].tolist() == (p["b"][0] * 2.0).tolist()
    assert gs.item() * 2 == pytest.approx(value.item())
    (g, aux) = func.grad(lambda x: ((x * x).sum(), "aux"), has_aux=True)(numbers(3))
    assert aux == "aux" and g.shape == (3,)
    assert func.grad_and_value(lambda x: x * x)(s)[1].item() == 4.0


def test_results_have_a_history_exactly_when_something_outside_requires_grad():
    x = numbers(3).requires_grad_()
    w = numbers(3, seed=1).requires_grad_()
    g = func.grad(lambda x: (x ** 3.0).sum())(x)
    (second,) = ts.autograd.grad(g.sum(), x)
    np.testing.assert_allclose(second.array, 6 * x.array)
    g = func.grad(lambda x: (x * w).sum())(x.detach())
    assert g.requires_grad and ts.autograd.grad(g.sum(), w)[0].tolist() == [1.0, 1.0, 1.0]
    with ts.no_grad():
        assert not func.grad(lambda x: (x * w).sum())(x).requires_grad
    assert x.grad is None and w.grad is None


def test_functional_has_torchs_shapes():
    x, y = numbers(2), numbers(3, seed=1)
    f = lambda x, y: (x.sum() * y, x * x)  # noqa: E731
    J = functional.jacobian(f, (x, y))
    assert [[b.shape for b in row] for row in J] == [[(3, 2), (3, 3)], [(2, 2), (2, 3)]]
    F = functional.jacobian(f, (x, y), strategy="forward-mode")
    assert all(np.allclose(a.array, b.array) for r, s in zip(J, F) for a, b in zip(r, s))
    g = lambda x, y: (x.sum() * y * y).sum()  # noqa: E731
    H = functional.hessian(g, (x, y))
    assert [[b.shape for b in row] for row in H] == [[(2, 2), (2, 3)], [(3, 2), (3, 3)]]
    v = (numbers(2, seed=3), numbers(3, seed=4))
    value, product = functional.hvp(g, (x, y), v)
    for k in range(2):
        want = sum(H[k][j].array @ v[j].array for j in range(2))
        np.testing.assert_allclose(product[k].array, want, rtol=1e-12)
    assert value.item() == g(x, y).item()
    with pytest.raises(RuntimeError, match="does not depend on input 1"):
        functional.jacobian(lambda x, y: x * 2.0, (x, y), strict=True)


@pytest.mark.parametrize("kind", KINDS)
def test_per_sample_gradients_of_recurrent_layers(kind):
    module, parameters, x = layer(kind)

    def loss(p, x):
        return (func.functional_call(module, p, (x,))[0] ** 2).sum()
    per_sample = func.vmap(func.grad(loss), (None, 1))(parameters, x)
    for n in range(x.shape[1]):
        one = func.grad(loss)(parameters, x[:, n])
        for name in parameters:
            np.testing.assert_allclose(per_sample[name].array[n], one[name].array, atol=1e-13)


@pytest.mark.parametrize("transform", (func.grad, func.jacrev, func.jacfwd, func.hessian),
                         ids=lambda t: t.__name__)
def test_derivatives_inside_vmap(transform):
    module, _, _ = layer("RNN")
    xs = ts.tensor(numbers(3, 4, 3).array.swapaxes(0, 1))  # not contiguous
    f = transform(lambda x: (module(x)[0] ** 2).sum())
    want = np.stack([f(xs[n]).array for n in range(4)])
    np.testing.assert_allclose(func.vmap(f)(xs).array, want, atol=1e-12)


BATCHED = {"broadcast": lambda x: x * V + x[:, :1], "sum": lambda x: x.sum(-1),
           "mean of all": lambda x: x.mean(), "softmax": lambda x: x.softmax(0),
           "matmul": lambda x: x @ W, "matmul left": lambda x: W[:2] @ x.transpose(0, 1),
           "vector": lambda x: x @ V, "cat": lambda x: ts.cat([x, W], 0),
           "stack": lambda x: ts.stack([x, x * 2.0], -1), "rows": lambda x: x[[1, 0, 1]],
           "permute": lambda x: x.permute(1, 0), "flat": lambda x: x.reshape(-1),
           "expand": lambda x: x[0].expand(4, 3),
           "linear": lambda x: nn.functional.linear(x, W, V),
           "where": lambda x: ts.where(x > 0, x, 0.0), "logsumexp": lambda x: x.logsumexp(1),
           "constant": lambda x: V * 2.0}


@pytest.mark.parametrize("f", BATCHED.values(), ids=BATCHED)
def test_vmap_is_the_loop_over_samples(f):
    xs = numbers(4, 2, 3)
    want = np.stack([f(x).array for x in xs])
    np.testing.assert_allclose(func.vmap(f)(xs).array, want, rtol=1e-13)
    np.testing.assert_allclose(func.vmap(f, in_dims=2, out_dims=-1)(xs.permute(1, 2, 0)).array,
                               np.moveaxis(want, 0, -1), rtol=1e-13)


def test_vmaps_nest():
    x, y = numbers(3, 4), numbers(2, 4, seed=1)
    outer = func.vmap(lambda a: func.vmap(lambda b: (a * b).sum())(y))(x)
    np.testing.assert_allclose(outer.array, x.array @ y.array.T)
    both = func.vmap(func.vmap(func.grad(lambda a: (a ** 3.0).sum())))(numbers(2, 3, 4))
    np.testing.assert_allclose(both.array, 3 * numbers(2, 3, 4).array ** 2)


def test_the_history_goes_through_vmap():
    x = numbers(4, 3).requires_grad_()
    func.vmap(lambda x: (x * x * V).sum())(x).sum().backward()
    np.testing.assert_allclose(x.grad.array, 2 * x.array * V.array)


REFUSED = {
    "several numbers": (lambda: func.grad(lambda x: x)(V), RuntimeError, "one element"),
    "no tensor": (lambda: func.grad(lambda x: x)(3.0), TypeError, "float"),
    "no tensor returned": (lambda: func.vjp(lambda x: 3.0, V), TypeError, "float as output 0"),
    "shape": (lambda: func.jvp(lambda x: x, (V,), (W,)), ShapeError, r"\(3, 3\)"),
    "count": (lambda: func.jvp(lambda x: x, (V,), ()), ShapeError, "expected 1 tangent"),
    "not a tuple": (lambda: func.jvp(lambda x: x, V, V), TypeError, r"\(x,\)"),
    "unequal": (lambda: func.vmap(lambda a, b: a)(V, numbers(4)), ValueError, r"\[3, 4\]"),
    "no batch": (lambda: func.vmap(lambda a: a, None)(V), ValueError, "in_dims"),
    "a value": (lambda: func.vmap(lambda a: a if a > 0 else -a)(V), NotImplementedError, "bool"),
    "an item": (lambda: func.vmap(lambda a: a.item())(V), NotImplementedError, "'item'"),
    "strategy": (lambda: functional.jacobian(lambda x: x, V, strategy="up"), ValueError, "up")}


@pytest.mark.parametrize("call, error, words", REFUSED.values(), ids=REFUSED)
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call()
    assert func.vmap(lambda x: x * 2.0)(V).tolist() == (V * 2.0).tolist()  # nothing is left behind


def test_functional_call_puts_everything_back():
    module = nn.Linear(3, 2)
    before = [p for p in module.parameters()]
    with pytest.raises(ShapeError):
        func.functional_call(module, {"weight": ts.zeros(2, 7)}, (ts.zeros(3),))
    with pytest.raises(KeyError, match="gain"):
        func.functional_call(module, {"bias": ts.zeros(2), "gain": ts.zeros(2)}, (ts.zeros(3),))
    assert all(a is b for a, b in zip(before, module.parameters()))
