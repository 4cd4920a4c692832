"""Making tensors: torch's values, dtypes and random streams from the same seed; the refusals."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts

# -- without randomness ---------------------------------------------------------------------
MADE: dict[str, Any] = {
    "tensor ints": lambda m: m.tensor([[1, 2], [3, 4]]),
    "tensor floats": lambda m: m.tensor([1.5]),
    "tensor bools": lambda m: m.tensor([True]), "tensor f64": lambda m: m.tensor(np.ones(2)),
    "tensor number": lambda m: m.tensor(2.5), "as_tensor": lambda m: m.as_tensor([1, 2.5]),
    "zeros": lambda m: m.zeros(2, 3), "zeros tuple": lambda m: m.zeros((2, 3)),
    "zeros 0-d": lambda m: m.zeros(()), "ones int": lambda m: m.ones(2, dtype=m.int64),
    "full": lambda m: m.full((2, 2), 7), "full float": lambda m: m.full((2,), 1.5),
    "full bool": lambda m: m.full((2,), True), "eye": lambda m: m.eye(3),
    "eye 2 3": lambda m: m.eye(2, 3, dtype=m.float64), "arange": lambda m: m.arange(5),
    "arange 2": lambda m: m.arange(2, 9, 3), "arange down": lambda m: m.arange(5, 0, -2),
    "arange float": lambda m: m.arange(0.0, 1.0, 0.1), "arange end": lambda m: m.arange(1, 2.5),
    "arange none": lambda m: m.arange(3, 3), "arange f64": lambda m: m.arange(3, dtype=m.float64),
    "linspace": lambda m: m.linspace(-1, 1, 7), "linspace 1": lambda m: m.linspace(2, 3, 1),
    "linspace 0": lambda m: m.linspace(2, 3, 0),
    "zeros_like": lambda m: m.zeros_like(m.tensor([1, 2])),
    "ones_like": lambda m: m.ones_like(m.zeros(2), dtype=m.float64),
    "full_like": lambda m: m.full_like(m.zeros(2), 3),
    "one_hot": lambda m: m.nn.functional.one_hot(m.tensor([[0, 2], [1, 1]])),
    "one_hot 5": lambda m: m.nn.functional.one_hot(m.tensor([0, 2]), 5)}


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_is_torchs(name):
    torch = pytest.importorskip("torch")
    ours, theirs = MADE[name](ts), MADE[name](torch)
    assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("call", [
    lambda **k: ts.zeros(2, **k), lambda **k: ts.ones((2,), **k), lambda **k: ts.empty(2, **k),
    lambda **k: ts.full((2,), 1.0, **k), lambda **k: ts.eye(2, **k), lambda **k: ts.rand(2, **k),
    lambda **k: ts.arange(2, **k), lambda **k: ts.linspace(0, 1, 2, **k),
    lambda **k: ts.randn(2, **k), lambda **k: ts.tensor([1.0], **k),
    lambda **k: ts.zeros_like(ts.ones(2), **k), lambda **k: ts.empty_like(ts.ones(2), **k),
    lambda **k: ts.rand_like(ts.ones(2), **k), lambda **k: ts.randn_like(ts.ones(2), **k)])
def test_dtype_and_requires_grad_are_taken_and_checked(call):
    made = call(dtype="float64", requires_grad=True)
    assert made.dtype == np.float64 and made.requires_grad and made.is_leaf
    for wrong in ("float", "complex64", np.float16, 3, "int16"):
        with pytest.raises(TypeError, match="dtype must be one of float32.*got"):
            call(dtype=wrong)
    for wrong in (1, "False", None):
        with pytest.raises(TypeError, match="requires_grad must be True or False"):
            call(requires_grad=wrong)
    with pytest.raises((RuntimeError, TypeError), match="float"):
        call(dtype=int, requires_grad=True)


def test_the_default_dtype_is_followed():
    ts.set_default_dtype("float64")
    try:
        made = (ts.zeros(1), ts.rand(1), ts.randn(1), ts.eye(1), ts.linspace(0, 1, 2),
                ts.full((1,), 0.5), ts.tensor(0.5), ts.normal(0.0, 1.0, (1,)))
        assert {t.dtype.name for t in made} == {"float64"}
    finally:
        ts.set_default_dtype("float32")


def test_memory_is_copied_unless_it_is_asked_for():
    a = np.ones(3)
    copied, shared, same = ts.tensor(a), ts.from_numpy(a), ts.as_tensor(a)
    a[0] = 9
    assert copied[0].item() == 1 and shared[0].item() == same[0].item() == 9
    assert ts.as_tensor(copied) is copied and ts.as_tensor(a, dtype="float32").dtype == np.float32


@pytest.mark.parametrize("data,error,text", [
    ([[1, 2], [3]], ValueError, r"\[1\] has length 1, expected length 2"),
    ([[1], 2], ValueError, r"\[1\]"), ([[[1], [1]], [[1], [1, 2]]], ValueError, r"\[1\]\[1\]"),
    (np.array([1, None], object), TypeError, "object"), ("abc", TypeError, "str"),
    (None, TypeError, "NoneType"), ({}, TypeError, "dict"), ((k for k in [1]), TypeError, "gen"),
    (1j, TypeError, "complex128.*float32"), (np.float16([1]), TypeError, "float16.*float32"),
    (np.longdouble([1]), TypeError, "float(128|96)|longdouble"),
    (np.array(["2020-01-01"], "M8[D]"), TypeError, "datetime64"),
    (np.zeros(1, "i4,f4"), TypeError, "f0.*supported")])
def test_what_no_tensor_is_made_of(data, error, text):
    for make in (ts.Tensor, ts.tensor, ts.as_tensor):
        with pytest.raises(error, match=text if not (make is ts.as_tensor and hasattr(
                data, "dtype")) else "float32"):
            make(data)


@pytest.mark.parametrize("values", [[1, 2], [True], np.uint8([3])], ids=str)
def test_only_floats_require_gradients(values):
    name = np.asarray(values).dtype.name
    with pytest.raises(RuntimeError, match=f"only Tensors of floating point dtype.*{name}"):
        ts.Tensor(values, requires_grad=True)


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0, 2)], ids=str)
def test_any_shape_has_a_gradient_of_its_own_shape(shape):
    x = ts.ones(shape, requires_grad=True)
    assert x.shape == x.size() == shape
    x.sum().backward()
    assert x.grad.shape == shape


def test_values_are_kept_bit_for_bit_and_shown():
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    t = ts.tensor(values)
    assert t.array.tobytes() == values.tobytes()
    assert all(word in repr(t) for word in ("nan", "-inf", "-0", "5.e-324"))
    assert len(repr(ts.zeros(1000, 1000))) <= 2000


@pytest.mark.parametrize("call,error,text", [
    (lambda: ts.zeros(-1), ValueError, "negative"), (lambda: ts.zeros(2.0), TypeError, "2.0"),
    (lambda: ts.rand("a"), TypeError, "'a'"), (lambda: ts.ones(True), TypeError, "True"),
    (lambda: ts.eye(-1), ValueError, "negative"),
    (lambda: ts.linspace(0, 1, -1), ValueError, "-1"),
    (lambda: ts.arange(0, 1, 0), ValueError, "steps of 0"), (lambda: ts.arange(), TypeError, "0"),
    (lambda: ts.arange(0, 5, -1), ValueError, "no way"),
    (lambda: ts.full((2,), [1]), TypeError, "list"),
    (lambda: ts.from_numpy([1]), TypeError, "list"),
    (lambda: ts.from_numpy(np.zeros(2, complex)), TypeError, "complex128"),
    (lambda: ts.one_hot(ts.tensor([3]), 3), IndexError, "3.*3 classes"),
    (lambda: ts.one_hot(ts.tensor([-1])), IndexError, "-1"),
    (lambda: ts.one_hot(ts.tensor([0.5])), TypeError, "float32"),
    (lambda: ts.one_hot(ts.zeros(0, dtype=int)), ValueError, "num_classes"),
    (lambda: ts.randint(3, 3, (2,)), ValueError, "low 3 and high 3"),
    (lambda: ts.randint(3), TypeError, "size"), (lambda: ts.randperm(-1), ValueError, "-1"),
    (lambda: ts.rand(2, dtype=int), TypeError, "int64"),
    (lambda: ts.normal(0.0, 1.0), TypeError, "size"),
    (lambda: ts.normal(ts.zeros(2), 1.0, (2,)), TypeError, "size"),
    (lambda: ts.normal(0.0, -1.0, (2,)), ValueError, "std"),
    (lambda: ts.bernoulli(ts.tensor([1.5])), ValueError, "1.5"),
    (lambda: ts.bernoulli(ts.tensor([1])), TypeError, "int64"),
    (lambda: ts.multinomial(ts.tensor([-1.0, 1]), 1), ValueError, "negative"),
    (lambda: ts.multinomial(ts.zeros(2), 1), ValueError, "all"),
    (lambda: ts.multinomial(ts.tensor([1.0, 0.0]), 2), ValueError, "2 samples"),
    (lambda: ts.multinomial(ts.ones(1, 1, 1), 1), ValueError, r"\(1, 1, 1\)"),
    (lambda: ts.manual_seed("1"), TypeError, "str")])
def test_refusals_draw_nothing(call, error, text):
    before = ts.Generator.get_state(ts.manual_seed(0))
    with pytest.raises(error, match=text):
        call()
    drawn = ts.rand(2).tolist()
    ts.manual_seed(0).set_state(before)
    assert ts.rand(2).tolist() == drawn


# -- the random stream --------------------------------------------------------------------
EXACT: dict[str, Any] = {
    "rand": lambda m: m.rand(3, 7), "rand f64": lambda m: m.rand(5, dtype=m.float64),
    "randint": lambda m: m.randint(10, (50,)), "randint low": lambda m: m.randint(-5, 5, (4, 5)),
    "randint wide": lambda m: m.randint(0, 2 ** 40, (20,)),
    "randint 32": lambda m: m.randint(0, 2 ** 32, (20,)),
    "randint int32": lambda m: m.randint(9, (20,), dtype=m.int32),
    "randperm": lambda m: m.randperm(1000), "randperm 1": lambda m: m.randperm(1),
    "randperm 0": lambda m: m.randperm(0), "rand_like": lambda m: m.rand_like(m.zeros(2, 3)),
    "bernoulli": lambda m: m.bernoulli(m.full((50,), 0.3)),
    "bernoulli f64": lambda m: m.bernoulli(m.full((50,), 0.3, dtype=m.float64)),
    "bernoulli_": lambda m: m.zeros(50).bernoulli_(0.3),
    "bernoulli_ tensor": lambda m: m.zeros(50).bernoulli_(m.full((50,), 0.3)),
    "uniform_": lambda m: m.zeros(50).uniform_(-2, 3),
    "dropout": lambda m: m.nn.functional.dropout(m.ones(50), 0.3),
    "dropout f64": lambda m: m.nn.functional.dropout(m.ones(50, dtype=m.float64), 0.7),
    "multinomial": lambda m: m.multinomial(m.tensor([0.1, 0.2, 0.7]), 50, replacement=True),
    "multinomial rows": lambda m: m.multinomial(m.ones(3, 5), 4, replacement=True),
    "multinomial 1": lambda m: m.multinomial(m.ones(6, 5), 1, replacement=True),
    "multinomial without": lambda m: m.multinomial(m.arange(1.0, 21.0), 15)}
CLOSE: dict[str, Any] = {
    "randn": lambda m: m.randn(40), "randn few": lambda m: m.randn(5),
    "randn rest": lambda m: m.randn(3, 7), "randn_like": lambda m: m.randn_like(m.zeros(20)),
    "normal": lambda m: m.normal(2.0, 3.0, (40,)), "normal_": lambda m: m.zeros(40).normal_(2, 3),
    "normal tensors": lambda m: m.normal(m.arange(20.0), m.ones(20)),
    "normal mean": lambda m: m.normal(m.arange(20.0), 2.0),
    "normal std": lambda m: m.normal(1.0, m.arange(1.0, 21.0))}


@pytest.mark.parametrize("name", [*EXACT, *CLOSE])
@pytest.mark.parametrize("number", [0, 1, 20240229])
def test_one_seed_gives_torchs_numbers(name, number):
    torch = pytest.importorskip("torch")
    found = []
    for m in (ts, torch):
        m.manual_seed(number)
        first, after = {**EXACT, **CLOSE}[name](m), m.rand(3)  # the stream goes on as torch's
        found.append((str(first.dtype).removeprefix("torch."), first.numpy(), after.numpy()))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][2], found[1][2])
    if name in EXACT:
        np.testing.assert_array_equal(found[0][1], found[1][1])
    else:
        np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("call", [
    lambda g: ts.rand(5, generator=g), lambda g: ts.randn(5, generator=g),
    lambda g: ts.randint(9, (5,), generator=g), lambda g: ts.randperm(9, generator=g),
    lambda g: ts.bernoulli(ts.full((9,), 0.5), generator=g),
    lambda g: ts.normal(0.0, 1.0, (5,), generator=g),
    lambda g: ts.multinomial(ts.ones(9), 5, generator=g),
    lambda g: ts.zeros(5).uniform_(generator=g), lambda g: ts.zeros(5).normal_(generator=g),
    lambda g: ts.zeros(9).bernoulli_(generator=g)])
def test_a_generator_of_ones_own_leaves_the_common_stream_alone(call):
    ts.manual_seed(1)
    wanted = ts.rand(2).tolist()
    ts.manual_seed(1)
    g = ts.Generator().manual_seed(7)
    first = call(g).tolist()
    assert call(g.manual_seed(7)).tolist() == first and call(g).tolist() != first
    assert ts.rand(2).tolist() == wanted


def test_probabilities_are_kept_on_average():
    ts.manual_seed(0)
    n, p = 20_000, 0.3
    for drawn in (ts.bernoulli(ts.full((n,), p)), ts.zeros(n).bernoulli_(p),
                  ts.multinomial(ts.tensor([1 - p, p]), n, replacement=True).float()):
        assert abs(drawn.mean().item() - p) < 4 * np.sqrt(p * (1 - p) / n)


# -- where the stream stands --------------------------------------------------------------
@pytest.mark.parametrize("draws", [0, 1, 623, 624, 2000])
@pytest.mark.parametrize("spare", [False, True])
def test_a_stream_goes_on_from_its_state(draws, spare):
    ts.manual_seed(2 ** 40 + 3)
    ts.rand(draws)
    if spare:
        ts.randn(1)  # of a pair of normal numbers the second one is kept
    state = ts.get_rng_state()
    assert state.dtype == ts.uint8 and state.shape == (5056,)
    wanted = ts.randn(3).tolist(), ts.rand(700).tolist()
    ts.manual_seed(0)
    ts.set_rng_state(state.numpy())
    assert ts.initial_seed() == 2 ** 40 + 3
    assert (ts.randn(3).tolist(), ts.rand(700).tolist()) == wanted


@pytest.mark.parametrize("state", [3, None, np.zeros(5056), np.zeros(10, np.uint8),
                                   np.zeros(5056, np.uint8), np.full(5056, 255, np.uint8)])
def test_what_is_no_state_of_a_stream_is_refused(state):
    before = ts.get_rng_state().tolist()
    with pytest.raises(TypeError, match="set_state"):
        ts.set_rng_state(state)
    assert ts.get_rng_state().tolist() == before


@pytest.mark.parametrize("draws", [0, 1, 7, 623, 625, 2000])
def test_a_state_travels_to_torch_and_back(draws):
    torch = pytest.importorskip("torch")
    for m in (ts, torch):
        m.manual_seed(11)
        m.rand(draws)
        m.randn(3)
    assert ts.get_rng_state().tolist() == torch.get_rng_state().tolist()
    ts.manual_seed(0)
    ts.set_rng_state(torch.get_rng_state())
    np.testing.assert_array_equal(ts.rand(9).numpy(), torch.rand(9).numpy())
    torch.manual_seed(0)
    torch.set_rng_state(torch.tensor(ts.get_rng_state().numpy()))
    np.testing.assert_array_equal(ts.rand(9).numpy(), torch.rand(9).numpy())
