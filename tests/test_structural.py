"""Structural operations beside torch: values, gradients and second gradients, on every layout."""
from __future__ import annotations

import doctest
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import ShapeError
from tinyseq.op import OPS

INF = float("inf")
I, J = [[0, 2, 1], [1, 1, 0]], [2, 0, 0]


def ints(m: Any, values: Any) -> Any:
    """Integers as a tensor of the library m."""
    return m.tensor(values, dtype=m.int64)


def pair(found: Any) -> Any:
    return found.values


# What is called, on tensors of which shapes; `m` is tinyseq or torch.
CASES: dict[str, tuple] = {
    "matmul 1 1": (lambda m, a, b: a @ b, (3,), (3,)),
    "matmul 1 2": (lambda m, a, b: a @ b, (3,), (3, 2)),
    "matmul 2 1": (lambda m, a, b: m.matmul(a, b), (4, 3), (3,)),
    "matmul 2 2": (lambda m, a, b: m.matmul(a, b), (4, 3), (3, 2)),
    "matmul 3 2": (lambda m, a, b: a @ b, (2, 4, 3), (3, 2)),
    "matmul 2 3": (lambda m, a, b: a @ b, (4, 3), (2, 3, 2)),
    "matmul 3 1": (lambda m, a, b: a @ b, (2, 4, 3), (3,)),
    "matmul 1 3": (lambda m, a, b: a @ b, (3,), (2, 3, 2)),
    "matmul 4 3": (lambda m, a, b: a @ b, (2, 1, 3, 4), (5, 4, 6)),
    "matmul inner 0": (lambda m, a, b: a @ b, (2, 3, 0), (0, 2)),
    "matmul no rows": (lambda m, a, b: a @ b, (0, 3), (3, 2)),
    "matmul no batch": (lambda m, a, b: a @ b, (0, 4, 3), (3, 2)),
    "matmul itself": (lambda m, a: a @ a, (3, 3)),
    "mm": (lambda m, a, b: m.mm(a, b), (4, 3), (3, 2)),
    "bmm": (lambda m, a, b: a.bmm(b), (2, 4, 3), (2, 3, 2)),
    "mv": (lambda m, a, b: m.mv(a, b), (4, 3), (3,)),
    "dot": (lambda m, a, b: m.dot(a, b), (3,), (3,)),
    "dot empty": (lambda m, a, b: a.dot(b), (0,), (0,)),
    "outer": (lambda m, a, b: m.outer(a, b), (3,), (2,)),
    "addmm": (lambda m, c, a, b: m.addmm(c, a, b, beta=0.5, alpha=2), (2,), (4, 3), (3, 2)),
    "addmm plain": (lambda m, c, a, b: c.addmm(a, b), (4, 2), (4, 3), (3, 2)),
    "einsum matmul": (lambda m, a, b: m.einsum("ij,jk->ik", a, b), (4, 3), (3, 2)),
    "einsum implicit": (lambda m, a, b: m.einsum("bj,ja", a, b), (4, 3), (3, 2)),
    "einsum trace": (lambda m, a: m.einsum("ii", a), (3, 3)),
    "einsum diagonal": (lambda m, a: m.einsum("iji->ji", a), (3, 2, 3)),
    "einsum sum": (lambda m, a: m.einsum("ij->", a), (3, 2)),
    "einsum permute": (lambda m, a: m.einsum("i j k -> kij", a), (3, 2, 4)),
    "einsum batch": (lambda m, a, b: m.einsum("bik,bkj->bij", a, b), (2, 4, 3), (2, 3, 5)),
    "einsum inner": (lambda m, a, b: m.einsum("i,i->", a, b), (3,), (3,)),
    "einsum outer": (lambda m, a, b: m.einsum("i,j->ji", a, b), (3,), (2,)),
    "einsum hadamard": (lambda m, a, b: m.einsum("ij,ji->ij", a, b), (3, 2), (2, 3)),
    "einsum alone": (lambda m, a, b: m.einsum("ij,k->i", a, b), (3, 2), (4,)),
    "einsum dots": (lambda m, a, b: m.einsum("...ij,...jk->...ik", a, b), (2, 1, 4, 3), (5, 3, 2)),
    "einsum dots middle": (lambda m, a: m.einsum("i...j->j...i", a), (2, 3, 4, 5)),
    "einsum dots implicit": (lambda m, a, b: m.einsum("i...,i", a, b), (2, 3, 4), (2,)),
    "einsum dots summed": (lambda m, a, b: m.einsum("i...,i->i", a, b), (2, 3, 4), (2,)),
    "einsum broadcast": (lambda m, a, b: m.einsum("ij,ij->j", a, b), (1, 3), (4, 3)),
    "einsum three": (lambda m, a, b, c: m.einsum("ij,jk,kl->il", a, b, c), (2, 3), (3, 4), (4, 2)),
    "einsum bilinear": (lambda m, a, b, c: m.einsum("bi,oij,bj->bo", a, b, c),
                        (2, 3), (4, 3, 5), (2, 5)),
    "einsum list": (lambda m, a, b: m.einsum("i,i->i", [a, b]), (3,), (3,)),
    "einsum empty": (lambda m, a, b: m.einsum("ij,jk->ik", a, b), (2, 0), (0, 3)),
    "einsum twice": (lambda m, a: m.einsum("ij,ij->i", a, a), (2, 3)),
    "sum": (lambda m, x: m.sum(x), (2, 3, 4)),
    "sum dim": (lambda m, x: x.sum(-1), (2, 3, 4)),
    "sum dims": (lambda m, x: x.sum((0, -1), keepdim=True), (2, 3, 4)),
    "sum ()": (lambda m, x: x.sum(()), (2, 3)),
    "mean": (lambda m, x: m.mean(x), (2, 3, 4)),
    "mean dims": (lambda m, x: x.mean((0, 2)), (2, 3, 4)),
    "mean 0-d": (lambda m, x: x.mean(0), ()),
    "var": (lambda m, x: m.var(x), (3, 4)),
    "var dim": (lambda m, x: x.var(1, keepdim=True), (3, 4)),
    "var biased": (lambda m, x: x.var((0, 1), unbiased=False), (3, 4)),
    "var biased all": (lambda m, x: x.var(False), (3, 4)),
    "var correction": (lambda m, x: x.var(dim=0, correction=2), (3, 4)),
    "std": (lambda m, x: m.std(x), (3, 4)),
    "std dim": (lambda m, x: x.std(-1, correction=0), (3, 4)),
    "prod": (lambda m, x: m.prod(x), (3, 2)),
    "prod dim": (lambda m, x: x.prod(1), (3, 4)),
    "prod keepdim": (lambda m, x: x.prod(-2, keepdim=True), (3, 4)),
    "prod 0-d": (lambda m, x: x.prod(0), ()),
    "prod empty": (lambda m, x: x.prod(0), (0, 3)),
    "cumsum": (lambda m, x: m.cumsum(x, 0), (3, 4)),
    "cumsum last": (lambda m, x: x.cumsum(-1), (2, 3, 4)),
    "cumsum 0-d": (lambda m, x: x.cumsum(0), ()),
    "cumsum empty": (lambda m, x: x.cumsum(0), (0, 3)),
    "cumprod": (lambda m, x: m.cumprod(x, 0), (3, 4)),
    "cumprod last": (lambda m, x: x.cumprod(-1), (2, 3, 4)),
    "cumprod 0-d": (lambda m, x: x.cumprod(0), ()),
    "logsumexp": (lambda m, x: m.logsumexp(x, 1), (3, 4)),
    "logsumexp dims": (lambda m, x: x.logsumexp((0, -1), keepdim=True), (2, 3, 4)),
    "logsumexp 0-d": (lambda m, x: x.logsumexp(0), ()),
    "logsumexp empty": (lambda m, x: x.logsumexp(0), (0, 3)),
    "softmax": (lambda m, x: m.softmax(x, -1), (3, 4)),
    "softmax 0-d": (lambda m, x: x.softmax(0), ()),
    "softmax empty": (lambda m, x: x.softmax(1), (3, 0)),
    "log_softmax": (lambda m, x: x.log_softmax(0), (3, 4)),
    "norm": (lambda m, x: m.norm(x), (3, 4)),
    "norm 1": (lambda m, x: x.norm(1, 0), (3, 4)),
    "norm 2 dims": (lambda m, x: x.norm(2, (0, 2), keepdim=True), (2, 3, 4)),
    "norm 3": (lambda m, x: x.norm(p=3, dim=-1), (3, 4)),
    "norm 1.5": (lambda m, x: x.norm(1.5), (3, 4)),
    "norm 0.5": (lambda m, x: x.norm(0.5, 1), (3, 4)),
    "norm inf": (lambda m, x: x.norm(INF, 1), (3, 4)),
    "norm -inf": (lambda m, x: x.norm(-INF), (3, 4)),
    "max": (lambda m, x: m.max(x), (3, 4)),
    "min": (lambda m, x: x.min(), (3, 4)),
    "max dim": (lambda m, x: pair(m.max(x, 1)), (3, 4)),
    "max keepdim": (lambda m, x: pair(x.max(-2, keepdim=True)), (2, 3, 4)),
    "min dim": (lambda m, x: pair(x.min(0)), (3, 4)),
    "max 0-d": (lambda m, x: pair(x.max(0)), ()),
    "max of two": (lambda m, a, b: m.max(a, b), (3, 4), (4,)),
    "min of two": (lambda m, a, b: a.min(b), (3, 4), (3, 4)),
    "amax": (lambda m, x: m.amax(x, (0, 2)), (2, 3, 4)),
    "amin": (lambda m, x: x.amin(1, keepdim=True), (3, 4)),
    "amax empty": (lambda m, x: x.amax(1), (0, 3)),
    "reshape": (lambda m, x: m.reshape(x, (4, -1)), (2, 3, 4)),
    "view": (lambda m, x: x.contiguous().view(6, 4), (2, 3, 4)),
    "view_as": (lambda m, x, y: x.contiguous().view_as(y) * y, (2, 6), (3, 4)),
    "flatten": (lambda m, x: m.flatten(x, 1), (2, 3, 4)),
    "flatten 0-d": (lambda m, x: x.flatten(), ()),
    "flatten empty": (lambda m, x: x.flatten(1), (0, 3, 4)),
    "transpose": (lambda m, x: m.transpose(x, 0, -1), (2, 3, 4)),
    "transpose 0-d": (lambda m, x: x.transpose(0, -1), ()),
    "T": (lambda m, x: x.T, (2, 3)),
    "t": (lambda m, x: x.t(), (2, 3)),
    "t of a line": (lambda m, x: x.t(), (3,)),
    "mT": (lambda m, x: x.mT, (2, 3, 4)),
    "permute": (lambda m, x: m.permute(x, (2, 0, 1)), (2, 3, 4)),
    "permute negative": (lambda m, x: x.permute(-1, 0, 1), (2, 3, 4)),
    "squeeze": (lambda m, x: m.squeeze(x), (1, 3, 1)),
    "squeeze dims": (lambda m, x: x.squeeze((0, 1)), (1, 3, 1)),
    "unsqueeze": (lambda m, x: m.unsqueeze(x, -1), (2, 3)),
    "expand": (lambda m, x: x.expand(2, -1, 4), (3, 1)),
    "expand 0-d": (lambda m, x: x.expand(2, 3), ()),
    "expand to none": (lambda m, x: x.expand(0, 3), (1, 3)),
    "broadcast_to": (lambda m, x: m.broadcast_to(x, (2, 3, 4)), (3, 1)),
    "expand_as": (lambda m, x, y: x.expand_as(y) * y, (3, 1), (2, 3, 4)),
    "repeat": (lambda m, x: x.repeat(2, 1, 3), (2, 3)),
    "repeat none": (lambda m, x: x.repeat(0, 2), (2, 3)),
    "tile": (lambda m, x: m.tile(x, (2,)), (2, 3)),
    "tile more": (lambda m, x: x.tile((2, 1, 2)), (2, 3)),
    "cat": (lambda m, a, b: m.cat([a, b, a], 1), (2, 3), (2, 1)),
    "cat nothing": (lambda m, a, b: m.cat([b, a], -1), (2, 3), (0,)),
    "stack": (lambda m, a, b: m.stack((a, b), -1), (2, 3), (2, 3)),
    "split": (lambda m, x: m.split(x, 2, 1)[1] * 2, (2, 5)),
    "split sizes": (lambda m, x: x.split([1, 3], -1)[1], (2, 4)),
    "chunk": (lambda m, x: m.chunk(x, 3)[1], (5, 2)),
    "unbind": (lambda m, x: m.unbind(x, 1)[2], (2, 3)),
    "select": (lambda m, x: m.select(x, -1, -2), (2, 3)),
    "narrow": (lambda m, x: m.narrow(x, 1, -2, 2), (2, 4)),
    "flip": (lambda m, x: m.flip(x, (0, -1)), (2, 3, 4)),
    "flip one": (lambda m, x: x.flip(1), (2, 3)),
    "flip 0-d": (lambda m, x: x.flip(()), ()),
    "roll": (lambda m, x: m.roll(x, 5), (3, 4)),
    "roll dims": (lambda m, x: x.roll((1, -2), (0, 1)), (3, 4)),
    "roll empty": (lambda m, x: x.roll(1, 0), (0, 4)),
    "tril": (lambda m, x: m.tril(x, -1), (3, 4)),
    "triu batch": (lambda m, x: x.triu(1), (2, 3, 4)),
    "diagonal": (lambda m, x: m.diagonal(x), (3, 4)),
    "diagonal up": (lambda m, x: x.diagonal(1, 0, 2), (3, 2, 4)),
    "diagonal down": (lambda m, x: x.diagonal(-1, -2, -1), (2, 3, 4)),
    "diagonal beyond": (lambda m, x: x.diagonal(9), (3, 4)),
    "index_select": (lambda m, x: m.index_select(x, 1, ints(m, J)), (2, 3)),
    "gather": (lambda m, x: m.gather(x, 1, ints(m, I)), (2, 3)),
    "gather less": (lambda m, x: x.gather(0, ints(m, [[1, 1]])), (2, 3)),
    "gather 0-d": (lambda m, x: x.gather(0, ints(m, 0)), ()),
    "gather none": (lambda m, x: x.gather(0, m.zeros((0, 3), dtype=m.int64)), (2, 3)),
    "take_along_dim": (lambda m, x: m.take_along_dim(x, ints(m, [[1]]), 1), (2, 3)),
    "take_along_dim flat": (lambda m, x: m.take_along_dim(x.contiguous(), ints(m, [5, 0, 0])),
                            (2, 3)),
    "scatter": (lambda m, x, s: m.scatter(x, 1, ints(m, [[2, 0], [1, 2]]), s), (2, 3), (2, 2)),
    "scatter part": (lambda m, x, s: x.scatter(0, ints(m, [[1, 0]]), s[:1, :2]), (2, 3),
                     (2, 3)),
    "scatter number": (lambda m, x: x.scatter(1, ints(m, [[2], [1]]), 1.5), (2, 3)),
    "scatter_add": (lambda m, x, s: m.scatter_add(x, 1, ints(m, I), s), (2, 3), (2, 3)),
    "masked_fill": (lambda m, x: m.masked_fill(x, x > 0.8, -1.5), (3, 4)),
    "masked_fill wide": (lambda m, x: x.masked_fill(m.tensor([True, False, True]), 0.0), (2, 3)),
    "masked_select": (lambda m, x: m.masked_select(x, m.tensor([True, False, True])), (2, 3)),
    "sort": (lambda m, x: pair(m.sort(x)), (3, 4)),
    "sort descending": (lambda m, x: pair(x.sort(0, descending=True)), (3, 4)),
    "sort 0-d": (lambda m, x: pair(x.sort()), ()),
    "topk": (lambda m, x: pair(m.topk(x, 2)), (3, 4)),
    "topk smallest": (lambda m, x: pair(x.topk(2, 0, largest=False)), (3, 4)),
    "type_as": (lambda m, x, y: x.type_as(y) * y, (3,), (3,)),
}
each_case = pytest.mark.parametrize("name", CASES)


def drawn(name: str, seed: int = 0) -> list[np.ndarray]:
    """Inputs between 0.3 and 2, some negative: no ties, no kinks."""
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.uniform(0.3, 2, shape) * rng.choice([-1, 1], shape))
            for shape in CASES[name][1:]]


def strided(x: np.ndarray) -> np.ndarray:
    """The same values with gaps, and the axes in Fortran's order."""
    room = np.full(tuple(2 * n for n in reversed(x.shape)), 7.0)
    gaps: tuple = (..., *[slice(None, None, 2) for _ in x.shape])
    view = room[gaps].T
    view[...] = x
    return view


def along(shape: tuple, seed: int) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).normal(size=shape))


def twice(m: Any, call: Callable, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The value, the gradients, and the gradients of a sum over these, by autograd of m."""
    xs = [m.from_numpy(a).requires_grad_() for a in arrays]
    y = call(m, *xs)
    gy = m.from_numpy(along(tuple(y.shape), 1)).requires_grad_()
    first = m.autograd.grad(y, xs, gy, create_graph=True)
    total = sum((g * m.from_numpy(along(tuple(g.shape), 2 + k))).sum()
                for k, g in enumerate(first))
    asked = [*xs, gy]
    second = m.autograd.grad(total, asked, allow_unused=True) if total.requires_grad else asked
    return [(t.detach() + 0.0).numpy() for t in (y, *first)] + [
        np.zeros(tuple(x.shape)) if g is None or g is x else (g.detach() + 0.0).numpy()
        for g, x in zip(second, asked)]


@pytest.mark.needs_torch
@pytest.mark.parametrize("layout", [np.array, strided], ids=["plain", "strided"])
@each_case
def test_values_and_gradients_of_both_orders_are_torchs(name, layout):
    torch = pytest.importorskip("torch")
    arrays = [layout(a) for a in drawn(name)]
    before = [a.copy() for a in arrays]
    ours, theirs = [twice(m, CASES[name][0], arrays) for m in (ts, torch)]
    assert len(ours) == 2 * len(arrays) + 2
    for a, b in zip(ours, theirs):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
    for a, b in zip(arrays, before):
        np.testing.assert_array_equal(a, b)


@each_case
def test_forward_mode_is_the_transpose_of_reverse_mode(name):
    """<gy, J v> = <J^T gy, v>, with tangents on all inputs and on the first alone."""
    call, arrays = CASES[name][0], drawn(name)
    xs = [ts.from_numpy(a) for a in arrays]
    vs = [ts.from_numpy(along(a.shape, 3 + k)) for k, a in enumerate(arrays)]
    for few in {1, len(xs)}:
        def f(*some: Any, few: int = few) -> Any:
            return call(ts, *some, *xs[few:])
        y, moved = ts.func.jvp(f, tuple(xs[:few]), tuple(vs[:few]))
        gy = along(y.shape, 9)
        _, back = ts.func.vjp(f, *xs[:few])
        found = back(ts.from_numpy(gy))
        found = found if isinstance(found, tuple) else (found,)
        wanted = sum(float((g.array * v.array).sum()) for g, v in zip(found, vs))
        assert moved.shape == y.shape
        np.testing.assert_allclose((gy * moved.array).sum(), wanted, rtol=1e-11, atol=1e-12)


@each_case
def test_float32_and_plain_arrays(name):
    call, arrays = CASES[name][0], [a.astype(np.float32) for a in drawn(name)]
    xs = [ts.from_numpy(a).requires_grad_() for a in arrays]
    y = call(ts, *xs)
    assert y.dtype == np.float32
    y.backward(ts.ones_like(y))
    exact = call(ts, *[ts.from_numpy(a) for a in drawn(name)])
    np.testing.assert_allclose(y.array, exact.array, rtol=1e-4, atol=1e-5)
    for x in xs:
        assert x.grad.dtype == np.float32 and x.grad.shape == x.shape


LINEAR = {"reshape", "transpose", "permute", "expand", "astype", "getitem", "put", "embedding",
          "cat", "sum", "cumsum"}


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_what_may_be_applied_to_tangents_is_linear_in_all_its_inputs(name):
    op = OPS[name]
    for sample in op.samples:
        a, b = [sample.draw(np.random.default_rng(k)) for k in (1, 2)]
        y = op.forward(*[u - 3.0 * v for u, v in zip(a, b)], **sample.attrs)
        wanted = op.forward(*a, **sample.attrs) - 3.0 * op.forward(*b, **sample.attrs)
        np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-14)
        assert np.any(y)
    ours = [op for op in OPS.values() if op.block.__module__.startswith("tinyseq.ops.")]
    assert {op.name for op in ours if op.linear} <= LINEAR


# -- conventions where a derivative is a choice ------------------------------------------
NAN = float("nan")
CONVENTIONS: dict[str, tuple] = {
    "max ties": (lambda m, x: x.max(), [2.0, 2.0, 1.0]),
    "amin ties": (lambda m, x: x.amin(0), [[1.0, 3.0], [1.0, 2.0]]),
    "max dim ties": (lambda m, x: pair(x.max(0)), [1.0, 2.0, 2.0]),
    "min dim ties": (lambda m, x: pair(x.min(1)), [[1.0, 1.0], [3.0, 2.0]]),
    "max nan": (lambda m, x: x.max(), [1.0, NAN, 2.0]),
    "min nan": (lambda m, x: x.min(), [1.0, NAN, NAN]),
    "max dim nan": (lambda m, x: pair(x.max(0)), [1.0, NAN, 2.0]),
    "norm at 0": (lambda m, x: x.norm(), [0.0, 0.0]),
    "norm 1 at 0": (lambda m, x: x.norm(1), [0.0, -2.0]),
    "norm 3 at 0": (lambda m, x: x.norm(3), [0.0, 0.0]),
    "norm 1.5 part 0": (lambda m, x: x.norm(1.5), [0.0, -2.0, 1.0]),
    "norm inf at 0": (lambda m, x: x.norm(INF), [0.0, 0.0]),
    "norm inf ties": (lambda m, x: x.norm(INF), [-2.0, 2.0, 1.0]),
    "norm 0": (lambda m, x: x.norm(0) + 0 * x.sum(), [-2.0, 0.0, 1.0]),
    "std of equals": (lambda m, x: x.std(), [2.0, 2.0, 2.0]),
    "prod no zero": (lambda m, x: x.prod(), [2.0, 3.0, -1.0]),
    "prod one zero": (lambda m, x: x.prod(), [2.0, 0.0, 3.0]),
    "prod two zeros": (lambda m, x: x.prod(0), [[2.0, 0.0], [0.0, 0.0], [3.0, 5.0]]),
    "cumprod one zero": (lambda m, x: x.cumprod(0), [2.0, 0.0, 3.0, 5.0]),
    "cumprod two zeros": (lambda m, x: x.cumprod(0), [2.0, 0.0, 3.0, 0.0, 5.0]),
    "logsumexp of -inf": (lambda m, x: x.logsumexp(0), [-INF, -INF]),
    "logsumexp with -inf": (lambda m, x: x.logsumexp(0), [-INF, 1.0]),
    "logsumexp of inf": (lambda m, x: x.logsumexp(0), [INF, 1.0]),
    "logsumexp large": (lambda m, x: x.logsumexp(0), [1e4, -1e4]),
    "softmax of -inf": (lambda m, x: x.softmax(0), [-INF, -INF]),
    "softmax with -inf": (lambda m, x: x.softmax(0), [-INF, 1.0, 2.0]),
    "log_softmax large": (lambda m, x: x.log_softmax(0), [1e4, -1e4]),
    "sort ties and nan": (lambda m, x: pair(x.sort(stable=True)), [2.0, NAN, 1.0, 2.0]),
    "sort down": (lambda m, x: pair(x.sort(descending=True, stable=True)), [2.0, NAN, 1.0, 2.0]),
}


@pytest.mark.needs_torch
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", CONVENTIONS)
def test_ties_zeros_infinities_and_nans_as_in_torch(name):
    torch = pytest.importorskip("torch")
    call, values = CONVENTIONS[name]
    found = []
    for m in (ts, torch):
        x = m.tensor(values, dtype=m.float64).requires_grad_()
        y = call(m, x)
        y.backward(m.ones_like(y))
        found.append((y.detach().numpy(), x.grad.numpy()))
    (y, g), (y_torch, g_torch) = found
    np.testing.assert_allclose(y, y_torch, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(g, g_torch, rtol=1e-12, atol=1e-12)


@pytest.mark.needs_torch
@pytest.mark.parametrize("values", [[2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [2.0, 3.0, -1.0]], ids=str)
@pytest.mark.parametrize("call", [lambda x: x.prod(), lambda x: x.cumprod(0)], ids=range(2))
def test_second_gradients_of_products_with_zeros(call, values):
    torch = pytest.importorskip("torch")
    ours, theirs = [twice(m, lambda m, x: call(x), [np.array(values)]) for m in (ts, torch)]
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


# -- what has no gradient ----------------------------------------------------------------
PLAIN: dict[str, Callable] = {
    "argmax": lambda m, x: x.argmax(), "argmax dim": lambda m, x: m.argmax(x, 1),
    "argmax keepdim": lambda m, x: x.argmax(0, keepdim=True),
    "argmin": lambda m, x: x.argmin(), "argmin dim": lambda m, x: m.argmin(x, -1, True),
    "max indices": lambda m, x: x.max(1).indices, "min indices": lambda m, x: x.min(0).indices,
    "sort": lambda m, x: x.sort(dim=1, stable=True).indices,
    "argsort": lambda m, x: m.argsort(x, dim=0, descending=True, stable=True),
    "topk": lambda m, x: x.topk(1, 0).indices, "all": lambda m, x: m.all(x),
    "all dim": lambda m, x: (x > 1).all(1), "any": lambda m, x: (x > 2).any(),
    "any dims": lambda m, x: m.any(x > 2, 0, keepdim=True), "sum": lambda m, x: (x > 1).sum(),
    "sum ints": lambda m, x: x.long().sum(0), "prod ints": lambda m, x: x.long().prod(),
    "cumsum ints": lambda m, x: (x > 1).cumsum(1), "max ints": lambda m, x: x.long().max(),
    "sum dtype": lambda m, x: x.long().sum(dtype=m.float32),
    "mean dtype": lambda m, x: x.long().mean(1, dtype=m.float64),
    "tril bool": lambda m, x: (x > 1).tril(), "roll ints": lambda m, x: x.long().roll(1, 0),
    "pad ints": lambda m, x: m.nn.functional.pad(x.long(), (1, 1), value=3) if m is not ts
    else ts.pad(x.long(), (1, 1), value=3),
    "masked_fill ints": lambda m, x: x.long().masked_fill(x > 1, 7),
    "scatter ints": lambda m, x: x.long().scatter(0, m.tensor([[0, 1, 1]]), 5),
    "tolist": lambda m, x: m.tensor(x.tolist()), "numel": lambda m, x: m.tensor(x.numel()),
    "size": lambda m, x: m.tensor([*x.size(), x.size(-1)]),
    "contiguous": lambda m, x: x.t().contiguous(),
}


@pytest.mark.needs_torch
@pytest.mark.parametrize("name", PLAIN)
def test_results_without_a_gradient_are_torchs(name):
    torch = pytest.importorskip("torch")
    a = np.array([[1.0, 3.0, 3.0], [2.0, 0.0, 2.0]])
    y, wanted = [PLAIN[name](m, m.from_numpy(a.copy())) for m in (ts, torch)]
    assert y.shape == tuple(wanted.shape) and str(wanted.dtype) == f"torch.{y.dtype}"
    np.testing.assert_allclose(y.array, wanted.numpy(), rtol=1e-15)


@pytest.mark.parametrize("call", [lambda x: x.amax(), lambda x: x.amin(0), ts.max, ts.min])
def test_a_nan_wins_and_takes_the_gradient(call):
    x = ts.tensor([1.0, NAN, 2.0], requires_grad=True)
    y = call(x)
    y.backward()
    assert np.isnan(y.item()) and x.grad.tolist() == [0, 1, 0]


def test_scatter_reads_no_more_of_src_than_there_are_indices():
    x, s = ts.zeros(2, 3).requires_grad_(), ts.arange(6.0).reshape(2, 3).requires_grad_()
    y = x.scatter(0, ts.tensor([[1, 0]]), s)
    assert y.tolist() == [[0, 1, 0], [0, 0, 0]]
    y = x.scatter(1, ts.tensor([[2, 2]]), s)  # of repeated indices the last stays
    y.sum().backward()
    assert y.tolist() == [[0, 0, 1], [0, 0, 0]]
    assert s.grad.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert x.grad.tolist() == [[1, 1, 0], [1, 1, 1]]


def test_contiguous_is_itself_or_a_recorded_copy():
    x = ts.ones(2, 3).requires_grad_()
    assert x.contiguous() is x and x.is_contiguous() and not x.T.is_contiguous()
    y = x.T.contiguous()
    assert y.is_contiguous() and y.shape == (3, 2)
    y.sum().backward()
    assert x.grad.tolist() == [[1, 1, 1]] * 2


@pytest.mark.needs_torch
@pytest.mark.parametrize("counts", [(1, 2), (0, 0, 1, 0), (-1, 2), (1, -1, -1, 1), (1, 1) * 3,
                                    (-2, -1), ()], ids=str)
@pytest.mark.parametrize("value", [None, 0.0, 2.5])
def test_pad_in_torchs_order(counts, value):
    torch = pytest.importorskip("torch")
    ours, theirs = [twice(m, lambda m, x: call(x, counts, value=value),
                          [np.arange(24.0).reshape(2, 3, 4)])
                    for m, call in ((ts, ts.pad), (torch, torch.nn.functional.pad))]
    for a, b in zip(ours, theirs):
        np.testing.assert_array_equal(a, b)


# -- errors ------------------------------------------------------------------------------
x = ts.ones(2, 3)
REFUSED: dict[str, tuple] = {
    "17 matmul": (lambda: x @ x, "2x3 and 2x3.*3 and 2"),
    "mm": (lambda: ts.mm(x, ts.ones(3)), r"mat2 must be a matrix.*\(3,\)"),
    "bmm rank": (lambda: ts.bmm(x, x), "batch1 must be a 3D tensor"),
    "bmm": (lambda: ts.bmm(ts.ones(2, 3, 4), ts.ones(2, 3, 4)), r"\[2, 4\] but got: \[2, 3\]"),
    "mv": (lambda: ts.mv(x, x), "matrix @ vector expected"),
    "dot rank": (lambda: ts.dot(x, x), "1D tensors expected, but got 2D and 2D"),
    "dot": (lambda: ts.dot(ts.ones(3), ts.ones(4)), "3 and 4 elements"),
    "outer": (lambda: ts.outer(x, x), "Expected 1-D argument self"),
    "addmm": (lambda: ts.addmm(ts.ones(5), x, x.T), r"addmm.*\(5,\).*\(2, 2\)"),
    "einsum size": (lambda: ts.einsum("ij,jk->ik", x, x), "subscript j has size 2 for operand 1"),
    "einsum output": (lambda: ts.einsum("ij->k", x), "output subscript k does not appear"),
    "einsum twice": (lambda: ts.einsum("ij->ii", x), "more than once"),
    "einsum rank": (lambda: ts.einsum("ijk", x), r"\(3\).*dimensions \(2\) for operand 0"),
    "einsum count": (lambda: ts.einsum("ij,jk", x), "2 operands, got 1"),
    "einsum letters": (lambda: ts.einsum("i2->i", x), "must be letters"),
    "einsum diagonal": (lambda: ts.einsum("ii", ts.ones(1, 3)), "repeated.*1 and 3"),
    "25 reshape": (lambda: x.reshape(4, 2), r"'\[4, 2\]' is invalid for input of size 6"),
    "25 sum": (lambda: x.sum(5), r"range of \[-2, 1\], but got 5"),
    "25 sum twice": (lambda: x.sum((0, 0)), "dim 0 appears multiple times"),
    "25 permute": (lambda: x.permute(0, 0), "every axis once"),
    "sizes": (lambda: x.reshape(2.0, 3), "expected integers"),
    "dim": (lambda: x.sum(1.0), "an axis must be an integer, got 1.0"),
    "expand": (lambda: x.expand(2, 4), r"expanded size of the tensor \(4\).*existing size \(3\)"),
    "expand leading": (lambda: x.expand(-1, 2, 3), r"\(-1\) isn't allowed in a leading"),
    "expand less": (lambda: x.expand(3), "greater or equal to the number of dimensions"),
    "t": (lambda: ts.ones(2, 2, 2).t(), "<= 2 dimensions, but self is 3D"),
    "mT": (lambda: ts.ones(2).mT, "Got 1-D tensor"),
    "max of nothing": (lambda: ts.zeros(0, 3).max(), "reduction dim 0 to have non-zero size"),
    "argmax of nothing": (lambda: ts.zeros(0, 3).argmax(0), "argmax.*reduction dim 0"),
    "26 cat 0-d": (lambda: ts.cat([ts.ones(()), ts.ones(())]), "zero-dimensional tensor"),
    "26 cat": (lambda: ts.cat([x, ts.ones(2, 2)]), r"tensor 1 has shape \(2, 2\).*\(2, 3\)"),
    "26 cat ranks": (lambda: ts.cat([x, ts.ones(3)]), r"tensor 1 has shape \(3,\).*\(2, 3\)"),
    "narrow": (lambda: x.narrow(1, 2, 2), r"start \(2\) \+ length \(2\).*has 3 there"),
    "select": (lambda: x.select(1, 3), r"index 3 out of range.*\[2, 3\].*dimension 1"),
    "unbind": (lambda: x.unbind(2), "axis 2"),
    "roll": (lambda: x.roll((1, 2), 0), "shifts: 2, dims:1"),
    "roll flat": (lambda: x.roll((1, 2)), "shifts: 2, dims:0"),
    "flip": (lambda: x.flip(0, 0), "dim 0 appears multiple times"),
    "repeat": (lambda: x.repeat(2), "can not be smaller"),
    "repeat negative": (lambda: x.repeat(-1, 2), "not be negative"),
    "pad odd": (lambda: ts.pad(x, (1,)), "divisible by 2.*1 counts"),
    "pad many": (lambda: ts.pad(x, (1,) * 6), "two times the input dimension.*6 counts"),
    "pad away": (lambda: ts.pad(x, (-4, 0)), r"\(2, -1\)"),
    "pad mode": (lambda: ts.pad(x, (1, 1), "mirror"), "'circular', got 'mirror'"),
    "pad reflects too much": (lambda: ts.pad(x, (3, 0), "reflect"),
                              r"at most 2 elements .* axis 1 of shape \(2, 3\), got \(3, 0\)"),
    "pad goes round twice": (lambda: ts.pad(x, (0, 4), "circular"), "at most 3 elements"),
    "tril": (lambda: ts.ones(3).tril(), "at least 2 dimensions"),
    "diagonal": (lambda: x.diagonal(0, 1, -1), "cannot be identical 1, -1"),
    "gather range": (lambda: x.gather(1, ts.tensor([[3]])), "index 3.*dimension 1 with size 3"),
    "gather negative": (lambda: x.gather(1, ts.tensor([[-1]])), "index -1.*dimension 1"),
    "gather rank": (lambda: x.gather(1, ts.tensor([0])), "same number of dimensions"),
    "gather size": (lambda: x.gather(1, ts.tensor([[0]] * 3)), "must not be larger"),
    "gather dtype": (lambda: x.gather(1, ts.tensor([[0.0]])), "int64 for index, got float32"),
    "index_select": (lambda: x.index_select(0, ts.tensor([2])), "index 2.*0 with size 2"),
    "index_select rank": (lambda: x.index_select(0, ts.tensor([[0]])), "supposed to be a vector"),
    "scatter": (lambda: x.scatter(1, ts.tensor([[0, 1]]), ts.ones(1, 1)), "no larger than src"),
    "take_along_dim": (lambda: ts.take_along_dim(x, ts.tensor([[0]] * 3), 1), "do not broadcast"),
    "masked_fill mask": (lambda: x.masked_fill(x, 0.0), "boolean masks.*float32: type mask != 0"),
    "masked_fill value": (lambda: x.masked_fill(x > 0, ts.ones(3)), r"0-dimensional.*\(3,\)"),
    "masked_fill dtype": (lambda: x.long().masked_fill(x > 0, 0.5), "0.5 is no value.*int64"),
    "masked_select": (lambda: x.masked_select(ts.ones(4) > 0), r"\(2, 3\) and \(4,\)"),
    "topk": (lambda: x.topk(4), "index k out of range: 4 of axis -1"),
    "norm": (lambda: x.norm("nuc"), "'nuc'"),
    "softmax of ints": (lambda: x.long().softmax(0), "floating point tensor, got int64"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why(name):
    call, said = REFUSED[name]
    with pytest.raises((ShapeError, IndexError, TypeError, ValueError, RuntimeError,
                        NotImplementedError), match=said):
        call()
    assert x.tolist() == [[1, 1, 1]] * 2


MODULES = ("shape", "join", "arrange", "index", "scatter", "matmul", "einsum", "reduce", "spread",
           "extreme", "scan", "sort")


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(f"tinyseq.ops.{name}")
    found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0
