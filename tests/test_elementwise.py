"""Elementwise operations against torch: values, both derivatives, kinks, ties, NaN, dtypes."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.cells import lstm
from tinyseq.emit import source
from tinyseq.equations import cell
from tinyseq.errors import GraphError, ShapeError
from tinyseq.layer import Weights
from tinyseq.op import OPS

F = nn.functional
INF, NAN = float("inf"), float("nan")
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, 3.0, -3.0, 20.0, 20.5, -30.0, 1e4, -1e4, INF,
         -INF, NAN]

# name: (how ts and torch are called, where both give the same at EDGES, NaN included)
UNARY: dict[str, Any] = {
    **{name: lambda m, x, name=name: getattr(m, name)(x) for name in (
        "abs sign log1p expm1 rsqrt square reciprocal sin cos erf floor ceil trunc round exp log "
        "sqrt tanh sigmoid relu").split()},
    **{name: lambda m, x, name=name: getattr(m.nn.functional, name)(x) for name in (
        "leaky_relu elu gelu silu softplus softsign hardtanh hardsigmoid logsigmoid").split()},
    "gelu tanh": lambda m, x: m.nn.functional.gelu(x, approximate="tanh"),
    "leaky_relu 0.3": lambda m, x: m.nn.functional.leaky_relu(x, 0.3),
    "elu 2": lambda m, x: m.nn.functional.elu(x, 2.0),
    "softplus beta": lambda m, x: m.nn.functional.softplus(x, 0.5, 8),
    "hardtanh 2": lambda m, x: m.nn.functional.hardtanh(x, -2.0, 1.5),
    "round decimals": lambda m, x: m.round(x, decimals=1),
    "x ** 0": lambda m, x: x ** 0, "x ** 2": lambda m, x: x ** 2, "x ** 0.3": lambda m, x: x ** .3,
    "x ** -1": lambda m, x: x ** -1, "2 ** x": lambda m, x: 2 ** x, "0 ** x": lambda m, x: 0 ** x,
    "(-2) ** x": lambda m, x: m.pow(-2.0, x), "x % 0.75": lambda m, x: x % 0.75,
    "clamp_min": lambda m, x: m.clamp(x, min=0.5), "clamp_max": lambda m, x: x.clamp(max=-1),
    "clamp": lambda m, x: m.clamp(x, -1, 1), "clamp crossed": lambda m, x: m.clamp(x, 1, -1),
    "x // 0.7": lambda m, x: m.floor(x / 0.7), "abs()": lambda m, x: abs(x)}
# Ours on purpose, where torch's vectorised and plain code disagree or its limit is not finite:
# a NaN takes the gradient (in torch 0, 1 or NaN), and softsign levels off.
GRADIENT_DIFFERS = {
    **{name: {NAN: 1.0} for name in ("clamp", "clamp_min", "clamp_max", "elu", "elu 2", "hardtanh",
                                     "hardtanh 2", "clamp crossed")},
    "softsign": {INF: 0.0, -INF: 0.0}}
BINARY: dict[str, Any] = {
    **{name: lambda m, a, b, name=name: getattr(m, name)(a, b) for name in (
        "maximum minimum fmod remainder pow add sub mul div").split()},
    "lerp": lambda m, a, b: m.lerp(a, b, 0.25), "clamp bounds": lambda m, a, b: m.clamp(a, min=b)}
SAFE = {"pow": (0.1, 3.0)}


def torch_of() -> Any:
    return pytest.importorskip("torch")


def both(call: Any, *arrays: np.ndarray) -> tuple[list, list]:
    """[y, gradients ...] by tinyseq and by torch."""
    torch = torch_of()
    found = []
    for module, leaf in ((ts, lambda a: ts.tensor(a, requires_grad=True)),
                         (torch, lambda a: torch.tensor(a, requires_grad=True))):
        leaves = [leaf(a) for a in arrays]
        y = call(module, *leaves)
        y.sum().backward()
        found.append([y.detach().numpy(), *[x.grad.numpy() for x in leaves]])
    return found[0], found[1]


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.filterwarnings("error")
def test_one_operand_at_the_edges_is_torchs(name, dtype):
    x = np.array(EDGES + list(np.random.default_rng(0).normal(size=20) * 3), np.float32)
    wanted, g_wanted = both(UNARY[name], x.astype("float64"))[1]
    leaf = ts.tensor(x.astype(dtype), requires_grad=True)
    y = UNARY[name](ts, leaf)
    y.sum().backward()
    assert y.dtype == leaf.grad.dtype == np.dtype(dtype)
    close = {"rtol": 1e-12, "atol": 1e-15} if dtype == "float64" else {"rtol": 2e-5, "atol": 1e-6}
    for at, own in GRADIENT_DIFFERS.get(name, {}).items():
        g_wanted[(x == at) | np.isnan(x) & (at != at)] = own
    if name == "hardsigmoid":  # torch's 1/6 has the precision of float32
        close = {"rtol": 1e-6, "atol": 1e-15}
    np.testing.assert_allclose(y.detach().numpy(), wanted, **close)
    np.testing.assert_allclose(leaf.grad.numpy(), g_wanted, **close)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.filterwarnings("error")
def test_two_operands_are_torchs_broadcasting_and_at_the_edges(name):
    rng = np.random.default_rng(1)
    low, high = SAFE.get(name, (-3.0, 3.0))
    edges = np.array([0.0, 1.0, -1.0, 2.0, 5.0, -5.0, INF, NAN])
    if name in ("add", "sub", "mul", "lerp"):
        edges = edges[:-2]  # numpy warns of inf - inf and 0 inf
    for a, b in ((rng.uniform(low, high, (3, 4)), rng.uniform(low, high, 4)),
                 (rng.uniform(low, high, (3, 1)), rng.uniform(low, high, (1, 4))),
                 (rng.uniform(low, high, ()), rng.uniform(low, high, 3)),
                 (edges.repeat(len(edges)), np.tile(edges, len(edges)))):
        ours, wanted = both(BINARY[name], a, b)
        if name == "clamp bounds":  # the gradient at a NaN is x's; torch hands it to nobody
            fine = ~np.isnan(a + b)
            ours, wanted = [[v[fine] if v.shape == fine.shape else v for v in found]
                            for found in (ours, wanted)]
        for y, w in zip(ours, wanted):
            np.testing.assert_allclose(y, w, rtol=1e-12, atol=1e-15)


def test_ties_share_evenly_and_a_bound_is_no_tie():
    for call in (ts.maximum, ts.minimum):
        a, b = (ts.tensor([2.0], requires_grad=True) for _ in range(2))
        call(a, b).backward()
        assert a.grad.tolist() == b.grad.tolist() == [0.5]
    x = ts.tensor([-1.0, 1.0, NAN], requires_grad=True)
    x.clamp(-1, 1).sum().backward()
    assert x.grad.tolist() == [1, 1, 1]


def test_where_with_an_unused_infinity_is_nan_and_twice_written_it_is_not():
    for call, wanted in ((lambda x: ts.where(x > 0, x.log(), 0.0), NAN),
                         (lambda x: ts.where(x > 0, ts.where(x > 0, x, 1.0).log(), 0.0), 0.0)):
        x = ts.tensor([0.0], requires_grad=True)
        call(x).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), [np.float32(wanted)])


def test_a_slope_and_a_bound_can_be_trained():
    x, slope = ts.tensor([-2.0, 3.0]), ts.tensor(0.5, requires_grad=True)
    F.leaky_relu(x, slope).sum().backward()
    assert slope.grad.item() == -2
    low = ts.tensor(0.0, requires_grad=True)
    ts.clamp(x, min=low).sum().backward()
    assert low.grad.item() == 1


# -- dtypes -------------------------------------------------------------------------------
KINDS = ("bool", "int64", "float32", "float64")


@pytest.mark.parametrize("name", ["add", "mul", "maximum", "fmod", "div", "pow", "where", "lt"])
@pytest.mark.parametrize("form", ["tensor", "0-d", "python", "numpy"])
def test_promotion_is_torchs(name, form):
    torch = torch_of()
    for a in KINDS:
        for b in KINDS:
            if name in ("fmod", "pow", "maximum") and a == b == "bool":
                continue  # refused by torch, or a power of truths
            results = []
            for m, make in ((ts, ts.tensor), (torch, torch.tensor)):
                left = make(np.ones(2, a))
                one = np.ones(2 if form == "tensor" else (), b)
                right: Any = one.item() if form in ("python", "numpy") else make(one)
                if form == "numpy" and m is ts:
                    right = np.dtype(b).type(1)
                if name in ("maximum", "fmod") and m is torch:
                    right = torch.as_tensor(right)
                y = m.where(m.tensor([True, False]), left, right) if name == "where" \
                    else getattr(m, name)(left, right)
                results.append(str(y.dtype).removeprefix("torch."))
            assert results[0] == results[1], (a, b)


@pytest.mark.parametrize("call", [lambda m: m.where(m.tensor([True]), 1.0, 0.0),
                                  lambda m: m.where(m.tensor([True]), 1, 0),
                                  lambda m: m.sin(m.tensor([1])), lambda m: m.erf(m.tensor([1])),
                                  lambda m: m.floor(m.tensor([1])), lambda m: m.tensor([7]) // 2,
                                  lambda m: m.tensor([7]) % 4, lambda m: m.tensor([-7]) % 4,
                                  lambda m: m.tensor([-7]) // 2, lambda m: 7 % m.tensor([4]),
                                  lambda m: 2 ** m.tensor([3]), lambda m: m.tensor([2]) ** 3,
                                  lambda m: m.abs(m.tensor([-2])),
                                  lambda m: m.sign(m.tensor([-2])),
                                  lambda m: m.rsqrt(m.tensor([4])),
                                  lambda m: m.square(m.tensor([3])),
                                  lambda m: m.tensor([3]).clamp(max=2)])
def test_numbers_and_integers_give_torchs_values_and_dtypes(call):
    ours, theirs = call(ts), call(torch_of())
    assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


# -- comparisons, logic -------------------------------------------------------------------
@pytest.mark.parametrize("name", "eq ne lt le gt ge logical_and logical_or logical_xor".split())
def test_comparisons_and_logic_are_torchs(name):
    torch = torch_of()
    a, b = np.array([[0.0, 1.0, NAN, INF]]), np.array([[0.0], [NAN], [1.0]])
    ours = getattr(ts, name)(ts.tensor(a), ts.tensor(b))
    assert ours.dtype == bool and not ours.requires_grad
    np.testing.assert_array_equal(
        ours.numpy(), getattr(torch, name)(torch.tensor(a), torch.tensor(b)).numpy())


@pytest.mark.parametrize("name", "isnan isinf isfinite logical_not".split())
def test_tests_of_an_element_are_torchs(name):
    torch = torch_of()
    x = np.array([0.0, 2.0, NAN, INF, -INF])
    np.testing.assert_array_equal(getattr(ts.tensor(x), name)().numpy(),
                                  getattr(torch, name)(torch.tensor(x)).numpy())


def test_equal_and_close():
    a, b = ts.tensor([1.0, NAN]), ts.tensor([1.0 + 1e-6, NAN])
    assert not ts.equal(a, a) and ts.equal(a[:1], a[:1]) and not ts.equal(a, a[:1])
    assert ts.isclose(a, b).tolist() == [True, False]
    assert ts.allclose(a, b, equal_nan=True) and not ts.allclose(a, b)
    assert not ts.allclose(a[:1], b[:1], rtol=0)
    with pytest.raises(TypeError, match="Tensors, got list"):
        ts.equal(a, [1.0])
    assert (a == None) is False and (a != "x") is True  # noqa: E711


@pytest.mark.parametrize("call", [
    lambda m, a, b: ~a, lambda m, a, b: a & b, lambda m, a, b: a | b, lambda m, a, b: a ^ b])
@pytest.mark.parametrize("values", [([True, False], [True, True]), ([5, 2], [3, 2])], ids=str)
def test_operators_of_truth_are_torchs(call, values):
    torch = torch_of()
    ours, theirs = [call(m, *map(m.tensor, values)) for m in (ts, torch)]
    assert ours.tolist() == theirs.tolist()
    with pytest.raises(TypeError, match="bitwise|invert"):
        call(ts, ts.ones(2), ts.ones(2))


def test_arrays_on_the_left_of_any_operator():
    a, t = np.array([5.0, -5.0]), ts.tensor(np.array([3.0, 3.0]), requires_grad=True)
    assert (a % t).tolist() == [2, 1] and (a // t).tolist() == [1, -2]
    assert (a ** t).tolist() == [125, -125] and (a % t).requires_grad


@pytest.mark.parametrize("name", ["erf", "erfc"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_compiled_error_function_is_the_plain_one(name, dtype):
    x = np.linspace(-6, 6, 5001).astype(dtype)
    many = getattr(ts, name)(ts.tensor(x)).numpy()
    few = np.concatenate([getattr(ts, name)(ts.tensor(part)).numpy()
                          for part in np.array_split(x, 5)])
    np.testing.assert_allclose(many, few, rtol=4e-7 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize("name", ["x ** 3", *[n for n in UNARY if n != "(-2) ** x"]])
def test_vmap_and_forward_mode_of_one_operand(name):
    call = {"x ** 3": lambda m, x: x ** 3, **UNARY}[name]
    x = ts.tensor(np.random.default_rng(3).uniform(0.1, 0.9, (2, 3)))
    many = ts.vmap(lambda row: call(ts, row))(x)
    np.testing.assert_allclose(many.numpy(), call(ts, x).numpy(), rtol=1e-14)
    v = ts.tensor(np.random.default_rng(4).normal(size=(2, 3)))
    _, tangent = ts.func.jvp(lambda x: call(ts, x), (x,), (v,))
    leaf = ts.tensor(x, requires_grad=True)
    call(ts, leaf).sum().backward()
    np.testing.assert_allclose(tangent.numpy(), (leaf.grad * v).numpy(), rtol=1e-12, atol=1e-15)


# -- errors -------------------------------------------------------------------------------
PAIRS = [n for n, op in OPS.items() if op.elementwise and len(op.inputs) == 2
         and op.block.__module__.startswith("tinyseq.ops.")]


@pytest.mark.parametrize("name", [*PAIRS, "eq", "logical_and", "floor_divide"])
def test_shapes_that_do_not_fit_are_named(name):
    call = OPS[name].call if name in OPS else getattr(ts, name)
    with pytest.raises(ShapeError, match=rf"size of tensor a \(3\).*b \(4\).*dimension 0: {name} "
                       r"of shapes \(3,\) and \(4,\)"):
        call(ts.ones(3), ts.ones(4))


@pytest.mark.parametrize("call,error,text", [
    (lambda x: x.clamp(), ValueError, "at least one"),
    (lambda x: F.gelu(x, "erf"), ValueError, "'none' or 'tanh'"),
    (lambda x: F.hardtanh(x, 1, 1), ValueError, "below"),
    (lambda x: ts.where(x, x, x), TypeError, "bool condition, got float32"),
    (lambda x: ts.tensor([1]) // ts.tensor([0]), ZeroDivisionError, "integer"),
    (lambda x: ts.tensor([1]) % 0, ZeroDivisionError, "integer"),
    (lambda x: (x > 0) % (x > 0), RuntimeError, "not implemented for bool"),
    (lambda x: x.div(x, rounding_mode="up"), ValueError, "'floor' but found 'up'"),
    (lambda x: x ** "2", TypeError, "str"), (lambda x: ts.maximum(x, None), TypeError, "NoneType"),
    (lambda x: ts.isclose(x, x, rtol=-1), ValueError, "negative")])
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call(ts.ones(2))


# -- in place -----------------------------------------------------------------------------
IN_PLACE = {
    **{name: lambda t, name=name: getattr(t, name)() for name in (
        "neg_ sqrt_ exp_ abs_ floor_ round_ sigmoid_ tanh_ relu_ square_ reciprocal_ rsqrt_ erf_ "
        "zero_ log_ sin_ cos_ log1p_ expm1_ ceil_ trunc_ sign_").split()},
    "add_": lambda t: t.add_(t, alpha=2), "sub_": lambda t: t.sub_(1.5),
    "mul_": lambda t: t.mul_(t),
    "div_": lambda t: t.div_(4), "pow_": lambda t: t.pow_(2), "clamp_": lambda t: t.clamp_(0.5, 2),
    "clamp_min_": lambda t: t.clamp_min_(1), "clamp_max_": lambda t: t.clamp_max_(1),
    "fill_": lambda t: t.fill_(7), "remainder_": lambda t: t.remainder_(0.7),
    "floor_divide_": lambda t: t.floor_divide_(0.7), "fmod_": lambda t: t.fmod_(0.7),
    "masked_fill_": lambda t: t.masked_fill_(t > 1, -1.0),
    "**=": lambda t: t.__ipow__(2), "%=": lambda t: t.__imod__(2),
    "//=": lambda t: t.__ifloordiv__(2)}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_is_torchs_counted_and_on_the_same_storage(name):
    torch, values = torch_of(), np.array([0.25, 1.0, 2.5, 3.0])
    t, wanted = ts.tensor(values), torch.tensor(values)
    storage = t.array
    assert IN_PLACE[name](t) is t
    assert t.array is storage and t.version[0] == 1
    np.testing.assert_allclose(t.numpy(), IN_PLACE[name](wanted).numpy(), rtol=1e-12)
    leaf = ts.tensor(values, requires_grad=True)
    with pytest.raises(GraphError, match="leaf Variable that requires grad"):
        IN_PLACE[name](leaf)
    assert leaf.tolist() == values.tolist() and leaf.version[0] == 0
    recorded = IN_PLACE[name](leaf * 1.0)
    assert recorded.tolist() == t.tolist() and recorded.requires_grad
    with ts.no_grad():
        IN_PLACE[name](leaf)
    assert leaf.tolist() == t.tolist() and leaf.version[0] == 1


@pytest.mark.parametrize("call,error", [
    (lambda t: t.add_(ts.ones(2, 3)), ShapeError),
    (lambda t: t.clamp_(ts.ones(2, 3), 1), ShapeError),
    (lambda t: t.pow_(ts.ones(2, 3)), ShapeError), (lambda t: t.clamp_(), ValueError),
    (lambda t: t.mul_("2"), TypeError), (lambda t: t.masked_fill_(t, 1.0), TypeError),
    (lambda t: t.masked_fill_(ts.ones(2, 3) > 0, 1.0), ShapeError),
    (lambda t: t.uniform_(2, 1), ValueError), (lambda t: t.normal_(0, -1), ValueError),
    (lambda t: t.bernoulli_(1.5), ValueError),
    (lambda t: t.add_(ts.ones(2, 3, requires_grad=True)), ShapeError)])
def test_what_fails_in_place_changes_nothing(call, error):
    t, state = ts.tensor([1.0, 2.0, 3.0]), ts.manual_seed(3).get_state()
    with pytest.raises(error):
        call(t)
    assert t.tolist() == [1, 2, 3] and t.version[0] == 0
    drawn = ts.rand(3).tolist()
    ts.manual_seed(3).set_state(state)
    assert ts.rand(3).tolist() == drawn


@pytest.mark.parametrize("call", [lambda t: t.add_(0.5), lambda t: t.div_(2), lambda t: t.exp_(),
                                  lambda t: t.pow_(0.5)])
def test_integers_cannot_hold_fractions(call):
    t = ts.tensor([1, 2])
    with pytest.raises(TypeError, match="cast|cannot be kept"):
        call(t)
    assert t.tolist() == [1, 2]


# -- inside a cell ------------------------------------------------------------------------
@cell(gates="a b")
def pieces(x, h):
    u = softplus(x.a + h.a) * softsign(x.b)              # noqa: F821
    v = elu(u, 1.0) + leaky_relu(x.b + h.b, 0.25)        # noqa: F821
    w = maximum(v, hardsigmoid(x.a)) - minimum(u, 0.5)   # noqa: F821
    h_next = clamp_max(clamp_min(w, -1.0), 2.0) * silu(h)  # noqa: F821
    return h_next


@cell(gates="a b")
def smooth(x, h):
    u = gelu(x.a + h.a) + gelu_tanh(x.b)                 # noqa: F821
    v = sin(u) * cos(h) + erf(x.b + h.b)                 # noqa: F821
    w = log1p(square(v)) + abs(u) - expm1(-square(u))    # noqa: F821
    h_next = hardtanh(w) * logsigmoid(u) ** 2 + rsqrt(square(h) + 1.0)  # noqa: F821
    return h_next


@cell(gates="a b")
def divided(x, h):
    u = remainder(x.a + h.a, 0.75) + fmod(x.b + h.b, 0.75)  # noqa: F821
    h_next = u * reciprocal(2.0 + abs(h))                # noqa: F821
    return h_next


@pytest.mark.parametrize("one", [pieces, smooth, divided], ids=lambda c: c.name)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_cells_of_these_operations_agree_at_all_details(one, dtype):
    rng = np.random.default_rng(2)
    T, N, I, H, K = 3, 2, 3, 4, 2
    shapes = (K * H, I), (K * H, H), (K * H,), (K * H,), (T, N, I), (N, H)
    values = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    found = []
    for level in ("gates", "steps", "layers"):
        *weights, x, h = [ts.tensor(v, requires_grad=True) for v in values]
        with ts.detail(level):
            y, _ = ts.unroll(one, x, (h,), Weights(*weights))
        (y * y).sum().backward()
        found.append([y.detach().numpy(), *[t.grad.numpy() for t in (*weights, x, h)]])
    for other in found[1:]:
        for a, b in zip(found[0], other):
            scale = np.abs(a).max()
            np.testing.assert_allclose(b, a, rtol=0, atol=scale * (1e-12 if dtype == "float64"
                                                                   else 3e-5))
    assert "import" not in source(lstm, OPS)  # erf is fetched only where a cell asks for it
