"""Every declared operation over its own samples: values, derivatives of both orders, manners."""
from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import tinyseq as ts
from tinyseq.errors import DeclarationError
from tinyseq.op import OPS, Op, elementwise, structural
from tinyseq.samples import Sample, real
from tinyseq.tensor import wrap
from tinyseq.walk import differentiate

NAMES = [name for name, op in OPS.items() if op.block.__module__.startswith("tinyseq.ops.")]
CASES = [(name, k) for name in NAMES for k in range(len(OPS[name].samples))]
IDS = [f"{name}-{k}" for name, k in CASES]
each_sample = pytest.mark.parametrize("name,k", CASES, ids=IDS)


def callers() -> dict[str, Callable]:
    """The recorded caller of every operation, looked up in the modules that declare them."""
    found = {}
    for module in pkgutil.iter_modules(importlib.import_module("tinyseq.ops").__path__):
        for value in vars(importlib.import_module(f"tinyseq.ops.{module.name}")).values():
            if isinstance(getattr(value, "op", None), Op):
                found[value.op.name] = value
    return found


CALL = callers()


def test_every_operation_has_a_caller_that_carries_its_text():
    assert set(CALL) >= set(NAMES)
    for name in NAMES:
        assert CALL[name].__doc__ == OPS[name].doc and CALL[name].__name__ == name


# -- drawing a sample ---------------------------------------------------------------------
def drawn(name: str, k: int, dtype: Any = np.float64) -> tuple[list[np.ndarray], dict[str, Any]]:
    """One set of inputs and attributes; an input without a rule is a condition."""
    op, sample = OPS[name], OPS[name].samples[k]
    values = [v.astype(dtype) for v in map(np.asarray, sample.draw(np.random.default_rng(k)))]
    if not op.variadic:
        values = [v if rule is not None else v > 0 for v, rule in zip(values, op.rules)]
    attrs = {key: v.astype(dtype) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v
             for key, v in sample.attrs.items()}
    return values, attrs


def run(call: Callable, values: list[np.ndarray], attrs: dict, g: np.ndarray
        ) -> tuple[np.ndarray, list[np.ndarray | None]]:
    """The value and dL/d(input) for every input, for the cotangent g."""
    leaves = [wrap(v).requires_grad_(v.dtype.kind == "f") for v in values]
    y = call(*leaves, **attrs)
    grads = differentiate([y], [g], None, False)
    return y.array, [grads.get(leaf) for leaf in leaves]


def cotangent(shape: tuple, dtype: Any = np.float64) -> np.ndarray:
    """Signed, of size about one, none of them small."""
    rng = np.random.default_rng(99)
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape), dtype)


def result_of(name: str, values: list[np.ndarray], attrs: dict) -> np.ndarray:
    return np.array(OPS[name].forward(*values, **attrs))


# -- the rule of the gradient check -------------------------------------------------------
def compare(gradient: np.ndarray, f: Callable[[np.ndarray], np.ndarray], x: np.ndarray,
            g: np.ndarray) -> None:
    """|a - n| <= 1e-6 |n| + 1e-8 S, element by element, S = sum |g| |J|: no absolute floor."""
    assert gradient.shape == x.shape and gradient.dtype == x.dtype
    assert x.size
    steepest = 0.0
    for at in np.ndindex(*x.shape):
        h = 1e-5 * max(1.0, abs(x[at]))
        up, down = x.copy(), x.copy()
        up[at] += h
        down[at] -= h
        slope = (f(up) - f(down)) / (up[at] - down[at])
        numeric, scale = np.sum(g * slope), np.sum(np.abs(g) * np.abs(slope))
        steepest = max(steepest, scale)
        assert abs(gradient[at] - numeric) <= 1e-6 * abs(numeric) + 1e-8 * scale, \
            f"element {at}: {gradient[at]} by the rule, {numeric} by differences"
    assert steepest > 1e-2, "the derivative is too small everywhere to test anything"


def check(name: str, call: Callable, values: list[np.ndarray], attrs: dict) -> int:
    """Compare every input's gradient with differences; how many were compared."""
    g = cotangent(call(*map(wrap, values), **attrs).shape)
    _, gradients = run(call, values, attrs, g)
    checked = 0
    for k, (x, gradient) in enumerate(zip(values, gradients)):
        if x.dtype.kind != "f":
            assert gradient is None
            continue
        assert gradient is not None, f"{name}: input {k} got no gradient"

        def f(moved: np.ndarray, k: int = k) -> np.ndarray:
            return call(*map(wrap, (*values[:k], moved, *values[k + 1:])), **attrs).array

        compare(gradient, f, x, g)
        checked += 1
    return checked


@each_sample
def test_reverse_rule_against_differences(name, k):
    values, attrs = drawn(name, k)
    for kink in OPS[name].kinks:
        assert min(np.abs(v - kink).min() for v in values) > 1e-3
    assert check(name, CALL[name], values, attrs) > 0


@pytest.mark.parametrize("name", [n for n in NAMES if OPS[n].elementwise
                                  and len(OPS[n].inputs) == 2
                                  and not getattr(OPS[n].block, "sparse", False)])
def test_each_operand_is_broadcast_in_turn(name):
    sample = OPS[name].samples[0]
    rng = np.random.default_rng(0)
    for shapes in (((3, 4), (4,)), ((4,), (3, 4)), ((), (3,)), ((3,), ()), ((3, 1), (1, 4)),
                   ((2, 1, 3), (4, 1)), ((1,), (1, 1)), ((2, 3), (1, 1))):
        values = Sample(shapes, sample.low, sample.high, {}).draw(rng)
        assert check(name, CALL[name], list(map(np.asarray, values)), {}) == 2


def test_the_check_notices_a_slightly_wrong_rule_and_a_flat_sample():
    right, (values, attrs) = OPS["tanh"].rules, drawn("tanh", 0)
    try:
        for wrong in (lambda gy, y: gy * (1.0 - y * y) * 1.00001,
                      lambda gy, y: gy.mean() * (1.0 - y * y),
                      lambda gy, y: np.clip(gy, -1, 1) * (1.0 - y * y)):
            OPS["tanh"].rules = [wrong]
            OPS["tanh"].plans.clear()
            with pytest.raises(AssertionError, match="by differences"):
                check("tanh", CALL["tanh"], values, attrs)
    finally:
        OPS["tanh"].rules = right
        OPS["tanh"].plans.clear()
    with pytest.raises(AssertionError, match="too small"):
        check("tanh", CALL["tanh"], [np.full((2, 2), 40.0)], attrs)
    assert check("tanh", CALL["tanh"], values, attrs) == 1


@each_sample
def test_second_order_against_differences_of_the_first(name, k):
    """The gradient, as a function of inputs and cotangent, is itself differentiated."""
    values, attrs = drawn(name, k)
    g = cotangent(result_of(name, values, attrs).shape)
    leaves = [wrap(v).requires_grad_(v.dtype.kind == "f") for v in values]
    seed = wrap(g).requires_grad_()
    y = CALL[name](*leaves, **attrs)
    first = differentiate([y], [seed], None, True)
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    along = [np.asarray(cotangent(leaf.shape) * (1 + n)) for n, leaf in enumerate(wanted)]
    second = differentiate([first[leaf] for leaf in wanted], along, None, False)

    def total(changed: int, moved: np.ndarray) -> np.ndarray:
        """The terms of along . gradient, with one of (inputs, cotangent) moved."""
        moving = [*values, g]
        moving[changed] = moved
        gradients = run(CALL[name], moving[:-1], attrs, moving[-1])[1]
        return np.concatenate([(a * b).ravel() for a, b in
                               zip(along, [v for v in gradients if v is not None])])

    ones = np.ones(sum(a.size for a in along))
    compare(second[seed], lambda m: total(len(values), m), g, ones)
    for n, leaf in enumerate(leaves):
        if leaf in second:
            differences = [total(n, leaf.array + d) for d in (1e-3, -1e-3)]
            if np.any(second[leaf]) or not np.allclose(*differences, rtol=1e-9, atol=1e-12):
                compare(second[leaf], lambda m, n=n: total(n, m), leaf.array, ones)
        elif leaf.requires_grad:  # no rule reads it: the first gradient cannot depend on it
            moved = leaf.array * 1.001
            np.testing.assert_array_equal(total(n, moved), total(n, leaf.array))


def test_second_derivatives_are_not_all_zero():
    curved = []
    for name, k in CASES:
        values, attrs = drawn(name, k)
        leaves = [wrap(v).requires_grad_(v.dtype.kind == "f") for v in values]
        y = CALL[name](*leaves, **attrs)
        first = differentiate([y], [cotangent(y.shape)], None, True)
        roots = [g for g in first.values() if g.requires_grad]
        if roots:
            second = differentiate(roots, [cotangent(g.shape) for g in roots], None, False)
            if any(np.abs(g).max() > 1e-3 for g in second.values()):
                curved.append(name)
    assert set(curved) >= {"mul", "div", "pow", "sqrt", "exp", "log", "tanh", "sigmoid", "matmul",
                           "linear", "logsumexp", "log_softmax"}


@each_sample
def test_backward_is_linear_in_the_cotangent_and_zero_for_zero(name, k):
    values, attrs = drawn(name, k)
    shape = result_of(name, values, attrs).shape
    g1, g2 = cotangent(shape), np.random.default_rng(5).normal(size=shape) * 10
    one, two, both, none = [[v for v in run(CALL[name], values, attrs, np.asarray(g))[1]
                             if v is not None] for g in (g1, g2, g1 + 2 * g2, 0 * g1)]
    for a, b, c, zero in zip(one, two, both, none):
        np.testing.assert_allclose(c, a + 2 * b, rtol=0, atol=1e-12 * np.abs(c).max())
        assert not np.any(zero)


# -- values -------------------------------------------------------------------------------
def joined(*xs, dim):
    y = np.empty([sum(x.shape[d] for x in xs) if d == dim else n
                  for d, n in enumerate(xs[0].shape)])
    start = 0
    for x in xs:
        y[(slice(None),) * dim + (slice(start, start + x.shape[dim]),)] = x
        start += x.shape[dim]
    return y


def scattered(x, index, shape):
    y = np.zeros(shape)
    for n, at in enumerate(index[0]):
        y[at] += x[n]
    return y


REFERENCE: dict[str, Callable] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide,
    "neg": np.negative, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "tanh": np.tanh,
    "pow": lambda x, exponent: np.exp(exponent * np.log(x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: x * (x > 0),
    "where": lambda condition, a, b: condition * a + ~condition * b,
    "matmul": lambda a, b: np.einsum("...ij,...jk->...ik", a, b),
    "linear": lambda x, w, b=0.0: np.einsum("...i,oi->...o", x, w) + b,
    "reshape": lambda x, shape: np.fromiter(x.flat, float).reshape(shape),
    "transpose": lambda x, dim0, dim1: np.einsum("ijk->kji", x),
    "permute": lambda x, dims: np.einsum("ijk->kij", x),
    "expand": lambda x, shape: x + np.zeros(shape),
    "astype": lambda x, dtype: x,
    "getitem": lambda x, index: x[0:2, 1] if isinstance(index[0], slice)
    else np.stack([x[0], x[0], x[2]]),
    "put": scattered,
    "cat": joined,
    "embedding": lambda w, index: np.stack([np.stack([w[k] for k in row]) for row in index]),
    "sum": lambda x, dim=None, keepdim=False: np.add.reduce(
        x, tuple(range(x.ndim)) if dim is None else dim, keepdims=keepdim),
    "max": lambda x, dim=None: np.sort(x, None)[-1] if dim is None else np.sort(x, dim)[:, -1],
    "amax": lambda x, dim=None: np.sort(x, None)[-1] if dim is None else np.sort(x, dim)[:, -1],
    "logsumexp": lambda x, dim, keepdim=False: np.log(np.exp(x).sum(dim, keepdims=keepdim)),
    "log_softmax": lambda x, dim: np.log(np.exp(x) / np.exp(x).sum(dim, keepdims=True)),
    "pick": lambda x, target: np.array([-x[n, t] for n, t in enumerate(target)]),
    "dropout": lambda x, mask: x * mask,
}


@pytest.mark.parametrize("name,k", [case for case in CASES if case[0] in REFERENCE],
                         ids=[i for case, i in zip(CASES, IDS) if case[0] in REFERENCE])
def test_value_against_numpy(name, k):
    values, attrs = drawn(name, k)
    y = CALL[name](*map(wrap, values), **attrs)
    wanted = REFERENCE[name](*values, **attrs)
    assert y.shape == wanted.shape
    np.testing.assert_allclose(y.array, wanted, rtol=1e-13, atol=1e-15)
    arrays = CALL[name](*values, **attrs)  # on plain arrays it computes, and records nothing
    assert not isinstance(arrays, ts.Tensor)
    np.testing.assert_array_equal(arrays, y.array)


# -- manners ------------------------------------------------------------------------------
@each_sample
def test_float32_stays_float32(name, k):
    values, attrs = drawn(name, k, np.float32)
    wide, wide_attrs = drawn(name, k)
    g = cotangent(result_of(name, values, attrs).shape)
    dtype = np.dtype(attrs.get("dtype", np.float32))
    y, gradients = run(CALL[name], values, attrs, g.astype(dtype))
    exact, exact_gradients = run(CALL[name], wide, wide_attrs, g)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-6)
    for gradient, wanted in zip(gradients, exact_gradients):
        if gradient is not None:
            assert gradient.dtype == np.float32
            np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-5)


def strided(x: np.ndarray) -> np.ndarray:
    """The same values with gaps between the rows, and the axes in Fortran's order."""
    room = np.full(tuple(2 * n for n in reversed(x.shape)), 7).astype(x.dtype)
    view = room[(..., *[slice(None, None, 2) for _ in x.shape])].T
    view[...] = x
    return view


@each_sample
def test_strided_inputs_give_the_same_and_nothing_is_changed(name, k):
    values, attrs = drawn(name, k)
    g = cotangent(result_of(name, values, attrs).shape)
    y, gradients = run(CALL[name], values, attrs, g)
    views, copies, g_view = list(map(strided, values)), [v.copy() for v in values], strided(g)
    y_strided, again = run(CALL[name], views, attrs, g_view)
    np.testing.assert_allclose(y_strided, y, rtol=1e-13)
    for a, b in zip(again, gradients):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)
    for before, after, view in zip(copies, values, views):
        np.testing.assert_array_equal(after, before)
        np.testing.assert_array_equal(view, before)
    np.testing.assert_array_equal(g, cotangent(g.shape))
    np.testing.assert_array_equal(g_view, g)


@each_sample
def test_backward_twice_is_bit_identical(name, k):
    values, attrs = drawn(name, k)
    leaves = [wrap(v).requires_grad_(v.dtype.kind == "f") for v in values]
    y = CALL[name](*leaves, **attrs)
    one, two = [differentiate([y], [cotangent(y.shape)], True, False) for _ in range(2)]
    assert one and all(one[leaf].tobytes() == two[leaf].tobytes() for leaf in one)


@given(mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=3, max_dims=4))
@settings(max_examples=60)
def test_broadcasting_is_undone(shapes):
    rng = np.random.default_rng(0)
    a, b = [np.asarray(rng.normal(size=s)) for s in shapes.input_shapes]
    g = np.asarray(rng.normal(size=shapes.result_shape))
    _, gradients = run(ts.mul, [a, b], {}, g)
    for x, other, gradient in zip((a, b), (b, a), gradients):
        places = np.broadcast_to(np.arange(x.size).reshape(x.shape), g.shape)
        wanted = np.bincount(places.ravel(), (g * other).ravel(), x.size).reshape(x.shape)
        assert gradient.shape == x.shape
        np.testing.assert_allclose(gradient, wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2)], ids=str)
@pytest.mark.parametrize("name", [n for n in NAMES if OPS[n].elementwise])
def test_elementwise_on_empty_shapes(name, shape):
    values = [np.zeros(shape)] * len(OPS[name].inputs)
    y, gradients = run(CALL[name], values, {}, np.zeros(shape))
    assert y.shape == shape and all(g.shape == shape for g in gradients)


EMPTY = {
    "sum all": (lambda x: ts.sum(x), (0, 3), ()),
    "sum axis": (lambda x: ts.sum(x, 0), (0, 3), (3,)),
    "sum other": (lambda x: ts.sum(x, 1), (0, 3), (0,)),
    "amax": (lambda x: x.amax(1), (0, 3), (0,)),
    "logsumexp": (lambda x: ts.logsumexp(x, 1), (0, 3), (0,)),
    "log_softmax": (lambda x: ts.log_softmax(x, 1), (0, 3), (0, 3)),
    "rows": (lambda x: x @ ts.ones(3, 2, dtype="float64"), (0, 3), (0, 2)),
    "inner": (lambda x: x @ ts.ones(0, 2, dtype="float64"), (3, 0), (3, 2)),
    "reshape": (lambda x: x.reshape(3, 0), (0, 2), (3, 0)),
    "transpose": (lambda x: x.transpose(0, 1), (0, 2), (2, 0)),
    "expand": (lambda x: x.expand((0, 3)), (1, 3), (0, 3)),
    "slice": (lambda x: x[1:1], (3, 2), (0, 2)), "list": (lambda x: x[[]], (3, 2), (0, 2)),
    "mask": (lambda x: x[np.zeros(3, bool)], (3, 2), (0, 2)),
    "cat": (lambda x: ts.cat([x, ts.ones(2, 3, dtype="float64")]), (0, 3), (2, 3)),
    "stack": (lambda x: ts.stack([x, x]), (0, 3), (2, 0, 3)),
    "where": (lambda x: ts.where(x > 0, x, 0.0), (0, 3), (0, 3)),
}


@pytest.mark.parametrize("case", EMPTY)
def test_structural_on_empty_shapes(case):
    call, shape, wanted = EMPTY[case]
    x = wrap(np.ones(shape)).requires_grad_()
    y = call(x)
    assert y.shape == wanted
    (gradient,) = differentiate([y], [np.ones(wanted)], None, False).values()
    assert gradient.shape == shape and not np.any(gradient[:0])
    if case in ("slice", "list", "mask", "expand"):
        assert not gradient.any()


# -- declarations -------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
def test_docstring_says_equation_shapes_example(name):
    doc = OPS[name].doc
    assert all(f"{part}:" in doc for part in ("Equation", "Shapes", "Example"))
    assert doc.split("\n")[0].endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_docstring_example_runs(name):
    """doctest passes over callers made in another module, so the examples are run here."""
    found = doctest.DocTestParser().get_doctest(OPS[name].doc, {}, name, None, None)
    assert found.examples
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(found, out=said.append)
    assert runner.failures == 0, "".join(said)


def test_a_malformed_block_is_refused_and_not_registered():
    before = dict(OPS)

    def block(**parts: Any) -> type:
        whole: dict[str, Any] = {"__doc__": "Doubles.", "latex": "2{x}", "samples": real(-1, 1),
                                 "forward": lambda x: x + x, "backward": lambda gy: gy + gy}
        return type("twice", (), {k: v for k, v in {**whole, **parts}.items() if v != ""})

    for missing in ("__doc__", "latex", "samples"):
        said = "docstring" if missing == "__doc__" else missing
        for declare in (elementwise, structural):
            with pytest.raises(DeclarationError, match=f"'twice'.*without.*{said}"):
                declare(block(**{missing: ""}))
    with pytest.raises(DeclarationError, match="twice.*'z'.*neither"):
        elementwise(block(backward=lambda gy, z: gy * z))
    with pytest.raises(DeclarationError, match="twice.*'z'.*neither"):
        structural(block(backward=lambda gy, z: gy))
    with pytest.raises(DeclarationError, match="twice.*'z'.*neither"):
        structural(block(forward=lambda *xs: xs[0], backward=lambda gy, z: gy))
    with pytest.raises(DeclarationError, match="twice.*rule.*'x'.*backward_x"):
        elementwise(block(backward=""))
    with pytest.raises(DeclarationError, match="twice.*backward_b.*no input"):
        elementwise(block(backward_b=lambda gy: gy))
    with pytest.raises(DeclarationError, match="twice.*forward"):
        elementwise(block(forward=""))
    with pytest.raises(DeclarationError, match="twice.*one or two"):
        elementwise(block(forward=lambda a, b, c: a))
    assert OPS == before


def test_the_signature_of_a_rule_is_the_save_list():
    x = ts.tensor([1.0, 2.0], requires_grad=True)
    assert ts.tanh(x).node.saved[0].array is not x.array and len(ts.tanh(x).node.saved) == 1
    assert ts.log(x).node.saved == (x,)
    assert ts.add(x, x).node.saved == ()
    assert ts.mul(x, 2.0).node.saved[0].tolist() == 2.0  # x itself is needed by nobody
    assert len(ts.mul(x, 2.0).node.saved) == 1
    assert ts.sum(x, 0).node.saved == ((2,), 0)
