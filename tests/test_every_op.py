"""Every declared operation on its own samples: value, both directions, both orders, manners.

The check of a rule is then turned on itself: every mutant of every rule (mutants.py) must fail it.
A new operation is tested without a line here: its declaration's samples are all that is read.
"""
from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinyseq as ts
from mutants import EQUIVALENT, Mutant, excuse, mutants, planted
from tinyseq.gradcheck import check
from tinyseq.op import OPS
from tinyseq.samples import Sample, extreme, real
from tinyseq.tensor import Tensor, wrap
from tinyseq.walk import differentiate

# Samples that reach what the declarations' own do not: one more branch or layout of a rule.
BESIDES: dict[str, tuple[Sample, ...]] = {
    "linear": real(-1, 1, (3,), (4, 3), (4,)),
    "matmul": real(-1, 1, (2, 3, 4), (4, 2)) + real(-1, 1, (3, 4), (2, 4, 2)),
    "permute": real(-1, 1, (2, 3, 4), dims=(-1, 0, -2)),
    "transpose": real(-1, 1, (2, 3, 4), dim0=-1, dim1=0),
    "amax": real(-1, 1, (2, 3, 4), dim=(0, -1)), "sum": real(-1, 1, (2, 3, 4), dim=(0, -1)),
    "logsumexp": real(-2, 2, (2, 3, 4), dim=(0, -1)),
    "norm": real(-2, 2, (3, 4), p=2.5, dim=1),
    "layer_norm": real(-2, 2, (3, 4), (4,), axes=1, eps=1e-5),
    "softplus": real(30, 40, (3,)),
    "cat": real(-1, 1, (2, 3), (2, 4), dim=1, starts=(0, 3)),
    "recurrence": real(-1, 1, (3, 1), (3, 1), dim=1) + real(-1, 1, (3, 0), (3, 0), dim=1),
    "cumprod": real(0.5, 1.5, (3, 1), dim=1) + real(-1, 1, (3, 0), dim=1),
    "prod": real(0.5, 1.5, (3, 1), dim=1) + real(-1, 1, (3, 0), dim=1),
}

NAMES = [name for name, op in OPS.items() if op.block.__module__.startswith("tinyseq.ops.")]
SAMPLES = {name: (*OPS[name].samples, *BESIDES.get(name, ())) for name in NAMES}
EACH = [(name, k) for name in NAMES for k in range(len(SAMPLES[name]))]
each_sample = pytest.mark.parametrize("name,k", EACH, ids=[f"{name}-{k}" for name, k in EACH])
each_operation = pytest.mark.parametrize("name", NAMES)

RTOL, NOISE = 3e-8, 1e-10  # of |n|, and of sum |g||J|: four points leave 1e-9 and 1e-11
FLAT = 1e-2                # a sample whose derivatives are all below tests nothing


class Wrong(AssertionError):
    """A failed check, which says the operation, the input and the check; and on what."""

    def __init__(self, said: str, case: Case) -> None:
        super().__init__(said)
        self.case = case


# -- one operation on one set of inputs -----------------------------------------------------
class Case(NamedTuple):
    """An operation, its inputs and attributes: from a sample, or made by a test."""

    name: str
    values: list[np.ndarray]
    attrs: dict[str, Any]

    def call(self, *operands: Any) -> Any:
        return OPS[self.name].call(*operands, **self.attrs)

    def value(self, *arrays: np.ndarray) -> np.ndarray:
        return np.asarray(OPS[self.name].forward(*arrays, **self.attrs))

    def smooth(self) -> list[int]:
        """The inputs that have a derivative."""
        rules = OPS[self.name].rules * (len(self.values) if OPS[self.name].variadic else 1)
        return [k for k, v in enumerate(self.values)
                if v.dtype.kind == "f" and rules[k] is not None]

    def moved(self, k: int, x: np.ndarray) -> list[np.ndarray]:
        return [x if i == k else v for i, v in enumerate(self.values)]

    def fail(self, k: int, said: str) -> None:
        op = OPS[self.name]
        raise Wrong(f"{self.name}, input {op.inputs[0 if op.variadic else k]!r} of shapes "
                    f"{[v.shape for v in self.values]}, {self.attrs or 'no attributes'}: {said}",
                    self)


def drawn(name: str, k: int, dtype: Any = np.float64) -> Case:
    """The case of one sample: its first draw at which the operation is smooth."""
    op, sample = OPS[name], SAMPLES[name][k]
    rng = np.random.default_rng([first_smooth(name, k), k])
    attrs = {key: v.astype(dtype) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v
             for key, v in sample.attrs.items()}
    return Case(name, sample.operands(op.rules, rng, dtype), attrs)


@lru_cache(maxsize=None)
def first_smooth(name: str, k: int) -> int:
    """The first seed whose draw has neither a kink nor a jump nearby."""
    for seed in range(100):
        rng = np.random.default_rng([seed, k])
        sample = SAMPLES[name][k]
        if smooth_at(Case(name, sample.operands(OPS[name].rules, rng), sample.attrs)):
            return seed
    raise AssertionError(f"{name}, sample {k}: 100 draws, and each lies on a kink: choose others")


def smooth_at(case: Case) -> bool:
    """Whether the differences over half the distance are the same."""
    return all(np.all(np.abs(n - half) <= 1e-6 * size) for (n, size), (half, _)
               in zip(measured(case), measured(case, 5e-4)))


def signed(shape: tuple, seed: int = 99) -> np.ndarray:
    """Numbers of size about one, none small, of both signs: cotangents and directions."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape))


def gradients(case: Case, g: np.ndarray, *values: np.ndarray) -> list[Any]:
    """dL/d(input) for every smooth input, for the cotangent g."""
    leaves = list(map(wrap, values or case.values))
    wanted = [leaves[k].requires_grad_() for k in case.smooth()]
    found = differentiate([case.call(*leaves)], [g], None, False)
    return [array(found.get(leaf)) for leaf in wanted]


def array(g: Any) -> Any:
    """A 0-d gradient may come as numpy's own number."""
    return np.asarray(g) if isinstance(g, np.generic) else g


# -- differences ----------------------------------------------------------------------------
def differences(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, g: np.ndarray,
                h: float = 1e-3) -> tuple[np.ndarray, np.ndarray]:
    """(n, S): dL/dx by four points, and sum |g||J|, how much could have cancelled."""
    n, size = np.zeros(x.shape), np.zeros(x.shape)
    for at in np.ndindex(*x.shape):
        side = []
        for step in (h, -h, 2 * h, -2 * h):
            moved = x.copy()
            moved[at] += step
            side.append(f(moved))
        slope = (8 * (side[0] - side[1]) - (side[2] - side[3])) / (12 * h)
        n[at], size[at] = np.sum(g * slope), np.sum(np.abs(g * slope))
    return n, size


@lru_cache(maxsize=None)
def numeric(name: str, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The differences of one sample, which no wrong rule can change."""
    return measured(drawn(name, k))


def measured(case: Case, h: float = 1e-3) -> list[tuple[np.ndarray, np.ndarray]]:
    g = signed(case.value(*case.values).shape)
    return [differences(lambda x, k=k: case.value(*case.moved(k, x)), case.values[k], g, h)
            for k in case.smooth()]


def agree(case: Case, k: int, what: str, a: Any, n: np.ndarray, size: np.ndarray) -> None:
    """|a - n| <= RTOL |n| + NOISE S, element by element: no absolute floor."""
    if not isinstance(a, np.ndarray) or a.shape != n.shape:
        case.fail(k, f"{what} is a {type(a).__name__} of shape {getattr(a, 'shape', None)}, "
                     f"expected an array of shape {n.shape}")
    gap = np.abs(a - n) - RTOL * np.abs(n) - NOISE * size
    if n.size and not (gap <= 0).all():
        at = tuple(int(i) for i in np.unravel_index(np.argmax(np.where(gap == gap, gap, np.inf)),
                                                    gap.shape))
        case.fail(k, f"{what} is {a[at]!r} at {at}, {n[at]!r} by differences")


# -- the check of a rule --------------------------------------------------------------------
def check_reverse(case: Case, wanted: list[tuple[np.ndarray, np.ndarray]],
                  flat: float = FLAT) -> int:
    """Reverse mode against differences; linear in its cotangent; how many were compared."""
    g = signed(case.value(*case.values).shape)
    try:
        found, large = gradients(case, g), gradients(case, np.asarray(1024 * g))
    except Exception as error:
        return case.fail(0, f"backward raised {type(error).__name__}: {error}")
    count = 0
    for k, a, more, (n, size) in zip(case.smooth(), found, large, wanted):
        if n.size and size.max() < flat:
            case.fail(k, f"its derivatives are at most {size.max():.1e}, which tests nothing: "
                         "choose other samples")
        agree(case, k, "the gradient", a, n, size)
        if not np.array_equal(more, 1024 * a):
            case.fail(k, "backward is not linear in its cotangent")
        count += n.size
    return count


# Where a derivative is a convention: inputs, the gradients torch gives (see below), attributes.
NAN = float("nan")
POINTS: dict[str, list[tuple[tuple, tuple, dict[str, Any]]]] = {
    "relu": [(([0.0],), ([0.0],), {})], "abs": [(([0.0, -0.0],), ([0.0, 0.0],), {})],
    "hardtanh": [(([1.0, -1.0],), ([0.0, 0.0],), {})],
    "hardsigmoid": [(([3.0, -3.0],), ([0.0, 0.0],), {})],
    "leaky_relu": [(([0.0, 5e-7], [0.25]), ([0.25, 1.0], [0.0]), {})],
    "elu": [(([0.0, 5e-7], [0.25]), ([0.25, 1.0], [0.0]), {})],
    "maximum": [(([1.25], [1.25]), ([0.5], [0.5]), {})],
    "minimum": [(([1.25], [1.25]), ([0.5], [0.5]), {})],
    "clamp_min": [(([1.25], [1.25]), ([1.0], [0.0]), {})],
    "clamp_max": [(([1.25], [1.25]), ([1.0], [0.0]), {})],
    "amax": [(([2.0, 2.0, 1.0],), ([0.5, 0.5, 0.0],), {"dim": 0}),
             (([NAN, 2.0],), ([1.0, 0.0],), {"dim": 0})],
    "amin": [(([2.0, 2.0, 3.0],), ([0.5, 0.5, 0.0],), {"dim": 0}),
             (([NAN, 2.0],), ([1.0, 0.0],), {"dim": 0})],
    "norm": [(([0.0, 0.0],), ([0.0, 0.0],), {"p": p}) for p in (1.0, 2.0, 3.0)]
    + [(([0.0, 2.0, -2.0],), ([0.0, 1.0, -1.0],), {"p": 1.0}),
       (([0.0, 4.0],), ([0.0, 1.0],), {"p": 0.5})],
    "binary_cross_entropy": [(([0.0, 1.0, 0.0], [1.0, 0.0, 0.0]),
                              ([-1e12, 1e12, 0.0], [100.0, -100.0, 100.0]), {})],
    "pow": [(([0.0], [0.0]), ([0.0], [0.0]), {}), (([0.0], [2.0]), ([0.0], [0.0]), {}),
            (([0.0], [1.0]), ([1.0], [0.0]), {}), (([0.0], [-1.0]), ([-np.inf], [-np.inf]), {}),
            (([2.0], [0.0]), ([0.0], [np.log(2.0)]), {})],
}


def check_points(name: str) -> None:
    """Torch's gradients where there is a choice, times a cotangent."""
    for inputs, wanted, attrs in POINTS.get(name, []):
        case = Case(name, [np.array(x) for x in inputs], attrs)
        with np.errstate(divide="ignore"):  # ln 0 is held
            g = np.full(case.value(*case.values).shape, 3.0)
            found = gradients(case, g)
        for k, (a, n) in enumerate(zip(found, wanted)):
            if not np.allclose(a, np.multiply(3.0, n), rtol=1e-12, atol=0.0):
                case.fail(k, f"at the point {inputs} the gradient is {a / 3.0}, expected {n}")


def check_kinks(name: str) -> None:
    """Beside a kink of an operation of one input the slope of that side; at it one between."""
    for kink in OPS[name].kinks if len(OPS[name].inputs) == 1 and OPS[name].elementwise else ():
        def slope(x: float) -> float:
            return float(gradients(Case(name, [np.full(1, x)], {}), np.ones(1))[0][0])

        case = Case(name, [np.full(1, kink)], {})
        sides = []
        for side in (-1, 1):
            at = np.array([kink + side * k * 1e-7 for k in (1, 3)])
            run = case.value(at)
            sides.append((run[1] - run[0]) / (at[1] - at[0]))
            for x in at:
                if abs(slope(x) - sides[-1]) > 1e-5:
                    case.fail(0, f"beside its kink at {kink} the gradient is {slope(x)}, "
                                 f"{sides[-1]} by differences")
        low, high = min(sides) - 1e-5, max(sides) + 1e-5
        if not low <= slope(kink) <= high:
            case.fail(0, f"at its kink {kink} the gradient is {slope(kink)}, expected one from "
                         f"{low:g} to {high:g}")


def check_rule(name: str) -> int:
    """All that a wrong rule must not survive."""
    own = len(OPS[name].samples)
    count = sum(check_reverse(drawn(name, k), numeric(name, k), FLAT if k < own else 0.0)
                for k in range(len(SAMPLES[name])))
    check_kinks(name)
    check_points(name)
    return count


@each_operation
def test_reverse_rule_against_four_point_differences(name):
    if any(rule is not None for rule in OPS[name].rules):
        assert check_rule(name) > 0
    else:
        leaves = [wrap(v) for v in drawn(name, 0).values]
        assert not drawn(name, 0).call(*leaves).requires_grad


@pytest.mark.needs_torch
@pytest.mark.parametrize("name", POINTS)
def test_the_conventions_are_torchs(name):
    import torch
    F = torch.nn.functional
    ours = {"leaky_relu": F.prelu, "elu": lambda x, alpha: F.elu(x, alpha.item()),
            # (its target's gradient is infinite there, ours that of the held logarithms)
            "binary_cross_entropy": lambda p, t: F.binary_cross_entropy(p, t.detach(),
                                                                        reduction="none")}
    call = ours.get(name) or getattr(torch, name, None) or getattr(F, name)
    for inputs, wanted, attrs in POINTS[name]:
        leaves = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in inputs]
        call(*leaves, **attrs).sum().backward()
        for leaf, n in zip(leaves, wanted):
            if name in ("amax", "amin") and np.isnan(inputs[0]).any():
                n = np.full(len(n), NAN)  # theirs; here the NaN has all of it, as with max
            if leaf.grad is not None:  # (its alpha is a number)
                np.testing.assert_allclose(leaf.grad.numpy(), n, rtol=1e-8)  # (a float32 eps)


def test_a_sample_that_tests_nothing_is_refused():
    flat = Case("tanh", [np.full((2, 2), 40.0)], {})
    with pytest.raises(Wrong, match="tanh, input 'x'.*tests nothing"):
        check_reverse(flat, measured(flat))


@pytest.mark.parametrize("name", [n for n in NAMES if OPS[n].elementwise
                                  and len(OPS[n].inputs) == 2])
def test_each_operand_is_broadcast_in_turn(name):
    sample = OPS[name].samples[0]
    for shapes in (((3, 4), (4,)), ((4,), (3, 4)), ((), (3,)), ((3,), ()), ((3, 1), (1, 4)),
                   ((2, 1, 3), (4, 1)), ((1,), (1, 1)), ((2, 3), (1, 1))):
        cases = [Case(name, Sample(shapes, sample.low, sample.high, {}).draw(
            np.random.default_rng(seed)), sample.attrs) for seed in range(20)]
        case = next(filter(smooth_at, cases))
        wanted = measured(case)
        assert max(size.max() for _, size in wanted) > FLAT
        assert check_reverse(case, wanted, 0.0) == sum(v.size for v in case.values)


# -- forward mode and second order ----------------------------------------------------------
def directional(case: Case, chosen: list[int]) -> tuple[Any, list[np.ndarray]]:
    """(J u, u) with u on the chosen inputs alone."""
    ways = [signed(case.values[k].shape, k) for k in chosen]

    def f(*moving: Tensor) -> Tensor:
        given = dict(zip(chosen, moving))
        return case.call(*[given.get(k, wrap(v)) for k, v in enumerate(case.values)])

    return ts.func.jvp(f, tuple(wrap(case.values[k]) for k in chosen),
                       tuple(map(wrap, ways)))[1].array, ways


def check_forward(case: Case) -> None:
    """Forward mode against differences, and against reverse mode to the last digits."""
    smooth = case.smooth()
    v = signed(case.value(*case.values).shape)
    back = dict(zip(smooth, gradients(case, v)))
    for chosen in [smooth, *[[i] for i in smooth if len(smooth) > 1]]:
        if not chosen:
            continue
        push, ways = directional(case, chosen)
        if push.shape != v.shape:
            case.fail(chosen[0], f"its tangent has shape {push.shape}, expected {v.shape}")
        terms = [back[i] * u for i, u in zip(chosen, ways)]
        size = np.abs(v * push).sum() + sum(np.abs(t).sum() for t in terms)
        if abs((v * push).sum() - sum(t.sum() for t in terms)) > 1e-12 * size:
            case.fail(chosen[0], "v (J u) by forward mode is not (v J) u by reverse mode")

        def along(s: np.ndarray) -> np.ndarray:
            given = {i: case.values[i] + s * u for i, u in zip(chosen, ways)}
            return case.value(*[given.get(i, x) for i, x in enumerate(case.values)])

        for at in np.ndindex(*v.shape):
            n, size_at = differences(lambda s: along(s)[at], np.zeros(()), np.ones(()))
            agree(case, chosen[0], f"the tangent at {at}", np.asarray(push[at]), n,
                  size_at + sum(np.abs(u).max(initial=0.0) for u in ways))


def check_second(case: Case) -> None:
    """The gradient, as a function of inputs and cotangent, is itself differentiated."""
    smooth = case.smooth()
    g = signed(case.value(*case.values).shape)
    leaves, seed = list(map(wrap, case.values)), wrap(g).requires_grad_()
    wanted = [leaves[i].requires_grad_() for i in smooth]
    if not wanted:
        return
    first = differentiate([case.call(*leaves)], [seed], None, True)
    along = [signed(leaf.shape, 7 + i) for i, leaf in enumerate(wanted)]
    second = differentiate([first[leaf] for leaf in wanted], along, None, False)
    moving = [*case.values, g]
    for i in [*smooth, len(case.values)]:
        def terms(x: np.ndarray) -> np.ndarray:
            at = [x if j == i else v for j, v in enumerate(moving)]
            return np.concatenate([(w * d).ravel() for w, d in
                                   zip(along, gradients(case, at[-1], *at[:-1]))])
        n, size = differences(terms, moving[i], np.ones(1))
        leaf = seed if i == len(case.values) else leaves[i]
        scale = max(1.0, size.max(initial=0.0))  # rounding where second derivatives are 0
        agree(case, min(i, len(case.values) - 1), "the second derivative",
              array(second.get(leaf, np.zeros(n.shape))), n, size + scale)


@each_sample
def test_forward_mode_against_reverse_mode_and_differences(name, k):
    case = drawn(name, k)
    assert case.smooth() or all(rule is None for rule in OPS[name].rules)
    check_forward(case)


@each_sample
def test_second_order_against_differences_of_the_gradient(name, k):
    case = drawn(name, k)
    assert case.smooth() or all(rule is None for rule in OPS[name].rules)
    check_second(case)


# -- values ---------------------------------------------------------------------------------
RENAMED = {"dim": "axis", "keepdim": "keepdims"}
NUMPY: dict[str, Callable] = {
    "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "relu": lambda x: np.clip(x, 0, None),
    "pow": lambda x, exponent: np.float_power(x, exponent),
    "transpose": lambda x, dim0, dim1: np.swapaxes(x, dim0, dim1),
    "permute": lambda x, dims: np.transpose(x, dims), "astype": lambda x, dtype: x.astype(dtype),
    "expand": lambda x, shape: np.broadcast_to(x, shape), "reshape": np.reshape,
    "linear": lambda x, w, b=0.0: np.tensordot(x, w, (-1, -1)) + b,
    "getitem": lambda x, index: x[index],
    "embedding": lambda w, index: np.take(w, index, 0),
    "cat": lambda *xs, dim=0, **_: np.concatenate(xs, dim),
    "put": lambda x, index, shape: np.bincount(np.ravel_multi_index(index, shape), x,
                                               np.prod(shape)).reshape(shape),
    "logsumexp": lambda x, dim, keepdim=False: np.logaddexp.reduce(x, dim, keepdims=keepdim),
    "log_softmax": lambda x, dim: x - np.logaddexp.reduce(x, dim, keepdims=True),
    "pick": lambda x, target: -np.take_along_axis(x, target[:, None], 1)[:, 0],
    "dropout": lambda x, mask: x * mask,
}


def references(name: str) -> Iterator[Callable]:
    """Who else computes it: the table, numpy under that name, torch where it is installed."""
    if name in NUMPY:
        yield NUMPY[name]
    elif hasattr(np, name):
        yield lambda *xs, **attrs: getattr(np, name)(
            *xs, **{RENAMED.get(key, key): v for key, v in attrs.items()})


@pytest.mark.parametrize("name,k", [(n, k) for n, k in EACH if any(references(n))],
                         ids=lambda part: str(part))
def test_value_against_numpy(name, k):
    case = drawn(name, k)
    y = case.call(*map(wrap, case.values)).array
    for other in references(name):
        wanted = np.asarray(other(*case.values, **case.attrs))
        assert y.shape == wanted.shape, f"{name}: shape {y.shape}, numpy's {wanted.shape}"
        np.testing.assert_allclose(y, wanted, rtol=1e-13, atol=1e-14, err_msg=name)
    arrays = case.call(*case.values)  # on plain arrays it computes, and records nothing
    assert not isinstance(arrays, Tensor)
    np.testing.assert_array_equal(arrays, y)


# -- manners --------------------------------------------------------------------------------
@each_sample
def test_float32_stays_float32_and_is_close(name, k):
    case, wide = drawn(name, k, np.float32), drawn(name, k)
    g = signed(wide.value(*wide.values).shape)
    y, exact = case.call(*map(wrap, case.values)).array, wide.call(*map(wrap, wide.values)).array
    kind = np.dtype(case.attrs.get("dtype") or (np.float32 if exact.dtype == np.float64
                                                else exact.dtype))
    assert y.dtype == kind, f"{name}: {y.dtype} from float32"
    np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-6, err_msg=name)
    for a, n in zip(gradients(case, g.astype(y.dtype)), gradients(wide, g)):
        assert a.dtype == np.float32, f"{name}: a gradient of dtype {a.dtype} for float32"
        np.testing.assert_allclose(a, n, rtol=1e-5, atol=1e-5, err_msg=name)


def reversed_axes(x: np.ndarray) -> np.ndarray:
    """The same values in Fortran's order."""
    return np.asarray(x.T.copy().T)


def every_second(x: np.ndarray) -> np.ndarray:
    """The same values with gaps between them."""
    room = np.full(tuple(2 * n for n in x.shape), 7).astype(x.dtype)
    view = room[(..., *[slice(None, None, 2)] * x.ndim)]
    view[...] = x
    return view


@pytest.mark.parametrize("layout", [reversed_axes, every_second], ids=lambda f: f.__name__)
@each_sample
def test_strided_inputs_give_the_same_and_nothing_is_changed(name, k, layout):
    case = drawn(name, k)
    g = signed(case.value(*case.values).shape)
    other = case._replace(values=list(map(layout, case.values)))
    before = [v.tobytes() for v in (*case.values, *other.values, g)]
    np.testing.assert_allclose(other.call(*map(wrap, other.values)).array,
                               case.call(*map(wrap, case.values)).array, rtol=1e-13, atol=1e-15)
    for a, b in zip(gradients(other, layout(g)), gradients(case, g)):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14, err_msg=name)
    after = [v.tobytes() for v in (*case.values, *other.values, g)]
    assert after == before, f"{name} changes an input or its cotangent"


@each_sample
def test_what_shares_memory_shares_its_version(name, k):
    """A result is a view that knows so, or its own; a gradient is always its own."""
    case = drawn(name, k)
    leaves = list(map(wrap, case.values))
    wanted = [leaves[i].requires_grad_() for i in case.smooth()]
    y = case.call(*leaves)
    for leaf in leaves:
        if np.shares_memory(y.array, leaf.array):
            assert y.version is leaf.version, f"{name}: a view that does not know it"
    if not wanted:
        return
    g = signed(y.shape)
    y.backward(wrap(g))
    kept = [leaf.grad.array for leaf in wanted]
    for i, a in enumerate(kept):
        others = [g, y.array, *case.values, *kept[:i]]
        assert not any(np.shares_memory(a, b) for b in others), f"{name}: a gradient shared"


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2)], ids=str)
@pytest.mark.parametrize("name", [n for n in NAMES if OPS[n].elementwise])
def test_elementwise_on_empty_shapes(name, shape):
    case = Case(name, [np.zeros(shape)] * len(OPS[name].inputs), OPS[name].samples[0].attrs)
    assert case.call(*map(wrap, case.values)).shape == shape
    assert [a.shape for a in gradients(case, np.zeros(shape))] == [shape] * len(case.smooth())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", [n for n in NAMES if OPS[n].elementwise
                                  and len(OPS[n].inputs) == 1])
def test_extreme_values_give_no_warning_and_nan_stays(name, dtype):
    for sample in getattr(OPS[name].block, "extremes", extreme(-1e4, 1e4)):
        (x,) = sample.operands(OPS[name].rules, np.random.default_rng(0), dtype)
        case = Case(name, [x], sample.attrs)
        y = case.call(wrap(x)).array
        assert np.isnan(y[np.isnan(x)]).all(), f"{name} loses a NaN"
        alone = [case.call(wrap(x[i:i + 1])).array[0] for i in range(x.size)]
        np.testing.assert_array_equal(y, np.array(alone, y.dtype), err_msg=name)
        (gradient,) = gradients(case, np.ones(x.shape, dtype))
        assert gradient.dtype == dtype and gradient.shape == x.shape


# -- mutants --------------------------------------------------------------------------------
def found(mutant: Mutant) -> Wrong | None:
    """What the check of the rule says of a mutant in its place."""
    with planted(OPS[mutant.op], mutant), np.errstate(all="ignore"):
        try:
            check_rule(mutant.op)
        except Wrong as error:
            return error
        for case in [drawn(mutant.op, k) for k in range(len(SAMPLES[mutant.op]))]:
            try:
                check_forward(case)
                check_second(case)
            except Exception as error:
                return Wrong(f"{mutant.op}, input {mutant.input!r}: recorded, {error}", case)
    return None


def blamed(mutant: Mutant, case: Case) -> str:
    """Whom the gradient check of a chain of operations blames, with the mutant in its middle."""
    leaves = [wrap(v).requires_grad_(k in case.smooth()) for k, v in enumerate(case.values)]
    named = {f"operand {k}": leaf for k, leaf in enumerate(leaves)}

    def chain(*operands: Tensor) -> Tensor:
        before = [t / 1.0 if mutant.op == "mul" else t * 1.0 for t in operands]
        y = case.call(*[b if t.requires_grad else t for b, t in zip(before, operands)])
        return y / 0.125 if mutant.op == "neg" else -y  # (a clip of -y is felt above 1 only)

    with planted(OPS[mutant.op], mutant), np.errstate(all="ignore"), \
            warnings.catch_warnings():
        warnings.simplefilter("ignore")  # (of complex numbers that a cast makes real)
        said = []
        for seed in range(4):  # some mistakes depend on the signs of the cotangents
            how = {"method": "auto"} if seed == 3 else {"rtol": 3e-7, "noise": 1e-9}
            report = check(chain, named, seed=seed, **how)
            said.append("too small for it" if report.ok else str(report.culprit))
            if f"  {mutant.op}.backward" in said[-1]:
                return said[-1]
    return said[0]


@each_operation
def test_every_mutant_of_every_rule_is_found_and_the_operation_named(name):
    assert all(rule is None for rule in OPS[name].rules) or check_rule(name) > 0
    living, unnamed = [], []
    for mutant in mutants(OPS[name]):
        error = found(mutant)
        if error is None:
            living.append(mutant)
        elif not str(error).startswith(f"{name}, input"):
            unnamed.append(f"{mutant}\n  {error}")
        elif "by differences" in str(error) and not re.search("kink|nan|inf", str(error)):
            said = blamed(mutant, error.case)
            small = said.startswith(("too small for it", "nobody is guilty")) \
                and mutant.family in ("constant off", "scale off")  # one part in a million
            if f"  {name}.backward" not in said and not small:
                unnamed.append(f"{mutant}\n  {said}")
    assert [str(mutant) for mutant in living if excuse(mutant) is None] == []
    assert unnamed == []


def test_no_mutant_is_excused_in_vain():
    """Every entry of the table of equivalent mutants is needed, and none is found after all."""
    living = {excuse(m) for name in NAMES for m in mutants(OPS[name])
              if excuse(m) is not None and found(m) is None}
    assert set(EQUIVALENT) - living == set()
