"""Tensors: what they are made of, what is refused, dtypes, indices, shapes that do not fit."""
from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import GraphError, ShapeError
from tinyseq.ops import cross_entropy, embedding, mse_loss

DTYPES = ("bool", "int64", "float32", "float64")


def leaf(*values, dtype="float64"):
    return ts.tensor(np.array(values, dtype), requires_grad=True)


# -- construction -------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_only_floats_can_require_a_gradient(dtype):
    with pytest.raises(RuntimeError, match=f"only Tensors of floating point dtype.*{dtype}"):
        ts.Tensor(np.ones(2, dtype), requires_grad=True)
    with pytest.raises(RuntimeError, match=f"floating point.*{dtype}"):
        ts.tensor(np.ones(2, dtype)).requires_grad_()


def test_the_constructor_copies_and_from_numpy_shares():
    a = np.ones(3)
    copy, shared = ts.Tensor(a), ts.from_numpy(a)
    a[0] = 9
    assert copy.tolist() == [1, 1, 1] and shared.tolist() == [9, 1, 1]
    assert ts.Tensor(copy).array is not copy.array
    assert "own memory" in ts.from_numpy.__doc__
    with pytest.raises(TypeError, match="numpy array, got list"):
        ts.from_numpy([1.0])


@pytest.mark.parametrize("data,where", [([[1, 2], [3]], r"\[1\] has length 1, expected length 2"),
                                        ([[1], [2], [3, 4]], r"\[2\] has length 2, .* length 1"),
                                        ([1, [2, 3]], r"\[1\] has length 2, .* number"),
                                        ([[[1, 2], [3]], [[5, 6], [7]]], r"\[0\]\[1\].* 1.* 2")])
def test_ragged_lists_are_refused_with_the_place(data, where):
    with pytest.raises(ValueError, match=where):
        ts.tensor(data)


@pytest.mark.parametrize("data,name", [
    (np.array([1, "a"], object), "object"), ("abc", "str"), (None, "NoneType"), ({}, "dict"),
    ((k for k in range(3)), "generator"), (b"ab", "bytes"), ({1, 2}, "set"), (object(), "object"),
    (range(3).__iter__(), "iterator"), ([1, "a"], "<U|str"), ([1, None], "object|NoneType"),
    (1j, "complex128"), (np.array([1j]), "complex128"), (np.ones(2, "f2"), "float16"),
    (np.ones(2, np.longdouble), "float128|longdouble|float96"),
    (np.array(["2020"], "M8[Y]"), "datetime"), (np.zeros(2, "i4,f4"), "f0")])
def test_what_is_not_supported_is_named(data, name):
    with pytest.raises(TypeError, match=name):
        ts.tensor(data)


def test_the_supported_dtypes_are_listed():
    for data in (np.ones(1, "f2"), np.ones(1, "c16"), np.ones(1, "u4")):
        with pytest.raises(TypeError, match="float32, float64, int64"):
            ts.tensor(data)


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0, 2)], ids=str)
def test_empty_and_zero_dimensional(shape):
    x = ts.tensor(np.full(shape, 2.0), requires_grad=True)
    assert x.shape == shape and x.size() == shape and x.numel() == np.full(shape, 2.0).size
    x.sum().backward()
    assert x.grad.shape == shape and x.grad.dtype == np.float64
    assert np.all(x.grad.array == 1)


def test_wrong_arguments_are_named():
    for wrong in ("False", 1, 0, None):
        with pytest.raises(TypeError, match="requires_grad"):
            ts.tensor([1.0], requires_grad=wrong)
    with pytest.raises((TypeError, ValueError), match="dtype.*'float'"):
        ts.tensor([1.0], dtype="float")
    with pytest.raises((TypeError, ValueError), match="dtype.*'nonsense'"):
        ts.tensor([1.0], dtype="nonsense")
    with pytest.raises((TypeError, RuntimeError), match="floating point.*int64"):
        ts.tensor([1.0], dtype=int, requires_grad=True)
    for made in (lambda: ts.zeros(2, requires_grad=1), lambda: ts.ones(2, requires_grad="no"),
                 lambda: ts.rand(2, requires_grad=1), lambda: ts.zeros(2).requires_grad_(1)):
        with pytest.raises(TypeError, match="requires_grad"):
            made()


def test_every_bit_is_kept():
    a = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    assert ts.tensor(a).array.tobytes() == a.tobytes()
    text = repr(ts.tensor(a))
    assert all(word in text for word in ("nan", " inf", "-inf", "-0.", "e-324", "float64"))


def test_repr_is_short_and_says_what_it_is():
    assert len(repr(ts.zeros(1000, 1000))) <= 2048
    assert repr(ts.tensor([1.0])) == "tensor([1.])"
    assert "requires_grad=True" in repr(leaf(1.0)) and "dtype=float64" in repr(leaf(1.0))
    assert "grad_fn=tanh" in repr(ts.tanh(leaf(1.0)))
    assert "shape=(0, 3)" in repr(ts.zeros(0, 3))


def test_lists_of_numbers_become_the_default_dtype():
    assert ts.tensor([1.0]).dtype == np.float32 and ts.tensor(1).dtype == np.int64
    assert ts.tensor([True]).dtype == np.bool_ and ts.tensor(np.ones(1)).dtype == np.float64
    assert ts.tensor(np.float64(1)).dtype == np.float64
    ts.set_default_dtype("float64")
    try:
        assert ts.tensor([1.0]).dtype == np.float64 and ts.zeros(1).dtype == np.float64
    finally:
        ts.set_default_dtype("float32")
    with pytest.raises(TypeError, match="float32 or float64, got int64"):
        ts.set_default_dtype("int64")


# -- shapes that do not fit ---------------------------------------------------------------
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_shapes_that_do_not_broadcast(name):
    for a, b, axis in (((3,), (4,), 0), ((2, 3), (4,), 1), ((2, 3), (4, 3), 0),
                       ((5, 2, 3), (4, 3), 1)):
        with pytest.raises(ShapeError) as caught:
            getattr(ts, name)(ts.ones(*a), ts.ones(*b))
        assert isinstance(caught.value, RuntimeError) and isinstance(caught.value, ValueError)
        said = str(caught.value)
        assert name in said and str(a) in said and str(b) in said and f"dimension {axis}" in said
    with pytest.raises(ShapeError, match="where.*(3,).*(4,)"):
        ts.where(ts.ones(3) > 0, ts.ones(3), ts.ones(4))


def test_matmul_names_shapes_and_contracted_sizes():
    with pytest.raises(ShapeError, match="2x3 and 2x3.*3 and 2"):
        ts.ones(2, 3) @ ts.ones(2, 3)
    with pytest.raises(ShapeError, match="1D.*0D"):
        ts.matmul(ts.ones(3), ts.tensor(1.0))
    with pytest.raises(ShapeError, match=r"matmul.*\(2, 3, 4\).*\(5, 4, 6\)"):
        ts.ones(2, 3, 4) @ ts.ones(5, 4, 6)


@pytest.mark.parametrize("a,b", [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((4, 2, 3), (3, 5)),
                                 ((2, 1, 3, 4), (5, 4, 6)), ((3,), (4, 3, 2)), ((4, 2, 3), (3,))],
                         ids=str)
def test_matmul_of_every_rank(a, b):
    rng = np.random.default_rng(0)
    x, w = [ts.tensor(rng.normal(size=s), requires_grad=True) for s in (a, b)]
    y = x @ w
    np.testing.assert_allclose(y.array, x.array @ w.array, rtol=1e-14)
    assert y.shape == (x.array @ w.array).shape
    g = rng.normal(size=y.shape)
    y.backward(ts.tensor(g))
    for t, f in ((x, lambda v: v @ w.array), (w, lambda v: x.array @ v)):
        direction = rng.normal(size=t.shape)  # the product is linear in each, so this is exact
        assert t.grad.shape == t.shape
        np.testing.assert_allclose((t.grad.array * direction).sum(), (g * f(direction)).sum(),
                                   rtol=1e-11)


def test_losses_refuse_to_broadcast():
    with pytest.raises(ShapeError, match=r"\(4, 1\).*\(4,\)"):
        mse_loss(ts.ones(4, 1), ts.ones(4))
    with pytest.raises(ShapeError, match=r"\(4, 3\).*\(4,\).*\(4, 1\)"):
        cross_entropy(ts.ones(4, 3), ts.tensor(np.zeros((4, 1), int)))


def test_the_same_tensor_twice():
    for f, wanted in ((lambda x: x * x, 2 * 3.0), (lambda x: x + x, 2.0), (lambda x: x - x, 0.0),
                      (lambda x: x / x, 0.0), (lambda x: ts.where(x > 0, x, x), 1.0)):
        x = leaf(3.0, 3.0)
        f(x).sum().backward()
        assert x.grad.tolist() == [wanted, wanted]
    x = leaf(1.0, 2.0)
    (x @ x).backward()
    assert x.grad.tolist() == [2.0, 4.0]
    x = ts.tensor(np.array([[1.0, 2.0], [3.0, 4.0]]), requires_grad=True)
    (x @ x).sum().backward()
    a, ones = x.array, np.ones((2, 2))
    np.testing.assert_array_equal(x.grad.array, ones @ a.T + a.T @ ones)


# -- indexing -----------------------------------------------------------------------------
def test_repeated_indices_add_up():
    x = leaf(1.0, 2.0, 3.0)
    x[[0, 0, 1]].sum().backward()
    assert x.grad.tolist() == [2, 1, 0]


INDICES = [0, -1, slice(None), slice(1, None), slice(None, None, -1), slice(2, 0, -1), None, ...,
           [0, 2, 0], [[0, 1], [2, 2]], (0, 1), (slice(None), [0, 0, 3]), ([0, 1], [1, 1]),
           (..., -1), (None, 1, ..., None), (slice(0, 2), slice(1, 4, 2)), [True, False, True],
           ([0, 2, 2], slice(None)), np.array([2, -1, -1]), (1, [0, 0]), np.int64(1)]


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_indexing_as_numpy(index):
    a = np.random.default_rng(0).normal(size=(3, 4))
    x = ts.tensor(a, requires_grad=True)
    y = x[index]
    np.testing.assert_array_equal(y.array, a[index])
    g = np.random.default_rng(1).normal(size=y.shape)
    y.backward(ts.tensor(g))
    wanted = np.zeros_like(a)
    np.add.at(wanted, index, g)
    np.testing.assert_allclose(x.grad.array, wanted, rtol=1e-15, atol=0)


def test_indices_may_be_tensors_and_are_kept_as_they_were():
    for index in (ts.tensor([0, 0, 1]), np.array([0, 0, 1]), [0, 0, 1]):
        x = leaf(1.0, 2.0, 3.0)
        y = x[index]
        index[0] = 2
        y.sum().backward()
        assert x.grad.tolist() == [2, 1, 0]
    places, table = ts.tensor([0, 0, 1]), ts.tensor(np.ones((3, 2)), requires_grad=True)
    rows = embedding(places, table)
    places[0] = 2
    rows.sum().backward()
    assert table.grad.tolist() == [[2, 2], [1, 1], [0, 0]]
    mask = ts.tensor([True, False, True])
    x = leaf(1.0, 2.0, 3.0)
    x[mask].sum().backward()
    assert x.grad.tolist() == [1, 0, 1]


@pytest.mark.parametrize("index,said", [(3, "3.*axis 0.*size 3"), (-4, "-4.*axis 0.*size 3"),
                                        ([0, 7], "7.*axis 0.*size 3")], ids=str)
def test_indices_out_of_range(index, said):
    with pytest.raises(IndexError, match=said):
        leaf(1.0, 2.0, 3.0)[index]
    with pytest.raises(IndexError, match="too many"):
        leaf(1.0)[0, 0]
    with pytest.raises(IndexError, match="out of range|out of bounds"):
        embedding(ts.tensor([3]), ts.ones(3, 2))
    with pytest.raises(IndexError, match="-1"):
        embedding(ts.tensor([-1]), ts.ones(3, 2))
    with pytest.raises(TypeError, match="integer indices, got float32"):
        embedding(ts.tensor([0.0]), ts.ones(3, 2))


def test_a_gradient_through_a_scalar_index_of_a_matrix_row():
    x = ts.tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    total = sum(row.sum() * k for k, row in enumerate(x))
    total.backward()
    assert x.grad.tolist() == [[0, 0], [1, 1], [2, 2]]


# -- shape operations ---------------------------------------------------------------------
def test_shape_arguments_are_refused_with_axis_and_size():
    x = ts.ones(3, 4)
    for call, said in (
            (lambda: x.reshape(-1, -1), r"\(-1, -1\)"), (lambda: x.reshape(5, 2), r"\(5, 2\).*12"),
            (lambda: x.reshape(0, -1), r"\(0, -1\)"), (lambda: x.reshape(-2, 6), r"\(-2, 6\)"),
            (lambda: x.permute(0, 0), r"\(0, 0\)"), (lambda: x.permute(0), r"\(0,\)"),
            (lambda: x.permute(0, 2), r"\(0, 2\)"), (lambda: x.sum(axis=5), "axis 5"),
            (lambda: x.sum(axis=(0, 0)), r"\(0, 0\)"), (lambda: x.sum(axis=(0, -2)), r"\(0, -2\)"),
            (lambda: x.mean(axis=-3), "axis -3"), (lambda: x.amax(2), "axis 2"),
            (lambda: x.max(2), "axis 2"), (lambda: x.logsumexp(2), "axis 2"),
            (lambda: x.log_softmax(2), "axis 2"), (lambda: x.softmax(-3), "axis -3"),
            (lambda: x.transpose(0, 2), "axis 2"), (lambda: x.squeeze(2), "axis 2"),
            (lambda: x.unsqueeze(3), "axis 3"), (lambda: x.narrow(2, 0, 1), "axis 2"),
            (lambda: x.narrow(0, 2, 2), "narrow.*3"), (lambda: x.split(2, 2), "axis 2"),
            (lambda: x.split([1, 1], 0), r"\[1, 1\].*3"), (lambda: x.split([-1, 4], 0), "-1"),
            (lambda: x.chunk(0), "0"), (lambda: x.flatten(1, 0), "1.*0"),
            (lambda: x.expand((4, 4)), r"\(3, ?4\).*\(4, ?4\)"), (lambda: x.split(0), "0")):
        with pytest.raises((ValueError, IndexError), match=said):
            call()


def test_cat_and_stack_name_the_place_in_the_list():
    a, b = ts.ones(2, 3), ts.ones(2, 4)
    for call in (ts.cat, ts.stack):
        with pytest.raises(ValueError, match="empty list"):
            call([])
        with pytest.raises(ValueError, match=r"tensor 2.*\(2, 4\).*\(2, 3\)"):
            call([a, a, b])
    assert ts.cat([a, b], 1).shape == (2, 7) and ts.stack([a, a], -1).shape == (2, 3, 2)
    assert ts.cat([a, b], -1).shape == (2, 7)
    with pytest.raises((ValueError, IndexError), match="axis 2"):
        ts.cat([a, a], 2)
    with pytest.raises((ValueError, IndexError), match="axis 4"):
        ts.stack([a, a], 4)
    with pytest.raises(TypeError, match="1.*list"):
        ts.cat([a, [1.0]])


def test_split_and_chunk_cover_everything():
    x = ts.arange(7)
    assert [p.tolist() for p in x.split(3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [p.tolist() for p in x.split([1, 0, 6])] == [[0], [], [1, 2, 3, 4, 5, 6]]
    assert [len(p) for p in x.chunk(3)] == [3, 3, 1] and [len(p) for p in x.chunk(9)] == [1] * 7
    assert [p.shape for p in ts.ones(2, 4).chunk(2, -1)] == [(2, 2), (2, 2)]


def test_cat_promotes_and_gives_each_piece_a_gradient_of_its_own_dtype():
    a, b = leaf(1.0, dtype="float32"), leaf(2.0)
    y = ts.cat([a, b])
    assert y.dtype == np.float64
    (y * ts.tensor(np.array([3.0, 5.0]))).sum().backward()
    assert a.grad.dtype == np.float32 and b.grad.dtype == np.float64
    assert a.grad.tolist() == [3] and b.grad.tolist() == [5]


# -- numpy beside a tensor ----------------------------------------------------------------
def test_arrays_on_the_left_are_recorded():
    t = leaf(1.0, 2.0, 3.0)
    for call, slope in ((lambda: np.ones(3) * t, 1), (lambda: np.float64(2) * t, 2),
                        (lambda: np.ones(3) + t, 1), (lambda: np.ones(3) - t, -1),
                        (lambda: np.ones((1, 3)) @ t, 1), (lambda: np.float32(2) * t, 2)):
        t.grad = None
        y = call()
        assert isinstance(y, ts.Tensor) and y.requires_grad
        y.sum().backward()
        assert t.grad.tolist() == [slope] * 3


def test_numpy_functions_are_refused_and_named():
    t = leaf(1.0, 2.0)
    for function in (np.exp, np.sum, np.tanh, np.stack, np.where):
        with pytest.raises(TypeError, match=f"ts.{function.__name__}"):
            function(t)
    with pytest.raises(TypeError, match="history"):
        np.asarray(t)
    with pytest.raises(TypeError, match="history"):
        np.array([1.0, 2.0])[...] = t
    with pytest.raises(RuntimeError, match="detach.*numpy"):
        t.numpy()
    assert np.asarray(t.detach()).tolist() == [1, 2]
    with pytest.raises(TypeError, match="history"):
        a = np.ones(2)
        a += t


def test_the_numpy_view_is_read_only():
    t = ts.tensor([1.0, 2.0])
    view = t.numpy()
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 5
    t[0] = 3.0
    assert view.tolist() == [3, 2]


# -- dtypes -------------------------------------------------------------------------------
def test_mixed_dtypes_promote_and_the_gradient_comes_back_in_the_leafs():
    for shape in ((3,), ()):
        a = ts.tensor(np.ones(shape, "f4"), requires_grad=True)
        b = ts.tensor(np.full(shape, 2.0), requires_grad=True)
        y = a * b
        assert y.dtype == np.float64
        y.sum().backward()
        assert a.grad.dtype == np.float32 and b.grad.dtype == np.float64
        assert a.grad.shape == shape and np.all(a.grad.array == 2)


# torch 2.13's result dtype of left * right: one word for each left and one letter for each right
# dtype, both in the order bool, int64, float32, float64 (b, i, f, d)
TABLE = {
    ("tensor", "tensor"): "bifd iifd fffd dddd", ("tensor", "0-d"): "bifd iifd ffff dddd",
    ("tensor", "python"): "biff iiff ffff dddd", ("tensor", "numpy"): "fiff fiff ffff dddd",
    ("0-d", "tensor"): "bifd iifd fffd ddfd", ("0-d", "0-d"): "bifd iifd fffd dddd",
    ("0-d", "python"): "biff iiff ffff dddd", ("0-d", "numpy"): "fiff fiff ffff dddd"}
LETTERS = dict(zip("bifd", DTYPES))


def beside(kind, dtype):
    one = np.ones((2,) if kind == "tensor" else (), dtype)
    if kind == "python":
        return one.item()
    return np.dtype(dtype).type(1) if kind == "numpy" else ts.tensor(one)


@pytest.mark.parametrize("left,right", TABLE, ids=str)
@pytest.mark.parametrize("call", [ts.mul, ts.add])
def test_promotion_is_torchs(call, left, right):
    for a, row in zip(DTYPES, TABLE[left, right].split()):
        for b, letter in zip(DTYPES, row):
            wanted = LETTERS[letter]
            if right == "numpy" and b == "bool":  # torch reads np.bool_ as a float, here as a bool
                wanted = LETTERS[TABLE[left, "python"].split()[DTYPES.index(a)][0]]
            assert call(beside(left, a), beside(right, b)).dtype == wanted, (a, b)
            assert call(beside(right, b), beside(left, a)).dtype == wanted, (b, a)


def test_floats_made_of_integers_have_the_default_dtype():
    two = ts.tensor([2])
    for y in (two / two, ts.exp(two), ts.sqrt(two), ts.sigmoid(two), two.mean(), two * 0.5,
              two ** 0.5, 1 / two):
        assert y.dtype == np.float32


def test_powers_keep_the_dtype_and_take_numpy_numbers():
    for dtype in ("float32", "float64"):
        x = leaf(2.0, 3.0, dtype=dtype)
        for exponent in (2, 2.0, np.int64(2), np.float64(2), np.float32(2)):
            y = x ** exponent
            assert y.dtype == dtype and y.tolist() == [4, 9]
    assert (leaf(2.0, 3.0) ** leaf(3.0, 0.0)).tolist() == [8, 1]


def test_what_is_no_operand_is_refused():
    for wrong in ("2", None, [1.0], 1j):
        with pytest.raises(TypeError, match=type(wrong).__name__):
            ts.ones(2) * wrong


# -- as Python's own values ---------------------------------------------------------------
def test_truth_floats_and_iteration():
    t = ts.tensor([1.0, 2.0])
    with pytest.raises(ValueError, match=r"\(2,\)"):
        bool(t)
    with pytest.raises(ValueError, match=r"\(2,\)"):
        if t == t:
            pass
    for convert in (float, int):
        with pytest.raises(ValueError, match=r"\(2,\)"):
            convert(t)
    with pytest.raises(TypeError, match="0-d"):
        iter(ts.tensor(1.0))
    with pytest.raises(TypeError, match="0-d"):
        len(ts.tensor(1.0))
    assert float(ts.tensor([3.0])) == 3 and int(ts.tensor(3)) == 3 and bool(ts.tensor([1.0]))
    assert [float(v) for v in t] == [1, 2] and len(t) == 2 and t.tolist() == [1, 2]
    with pytest.raises(AttributeError, match="'Tensor' object has no attribute 'shpae'"):
        t.shpae


# -- in place -----------------------------------------------------------------------------
def test_in_place_is_in_place():
    t = ts.tensor([1.0, 2.0])
    same = t
    t += 1
    t *= ts.tensor([2.0, 3.0])
    t -= 1
    t /= 2
    t[0] = 9.0
    assert t is same and t.tolist() == [9, 4] and t.version[0] == 5
    assert t.fill_(2).copy_(np.array([1.0, 5.0])).tolist() == [1, 5]
    with pytest.raises(ShapeError, match=r"\(2,\).*\(3,\)"):
        t.copy_(ts.ones(3))
    with pytest.raises(TypeError, match="Cannot cast"):
        ts.tensor([1, 2]).add_(0.5)


def test_in_place_on_what_requires_a_gradient_is_refused():
    x = leaf(1.0, 2.0)
    for change in (lambda: x.add_(1.0), lambda: x.__setitem__(0, 5.0), lambda: x.zero_(),
                   lambda: x.__iadd__(1.0)):
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad.*no_grad"):
            change()
    with pytest.raises(GraphError, match="view of another tensor"):
        x[:1].fill_(3.0)  # a view of a base that needs a gradient
    with pytest.raises(GraphError, match="normal_.*no derivative"):
        (x * 1.0).normal_()
    with ts.no_grad():
        x += 1
    assert x.tolist() == [2, 3]


def test_in_place_never_drops_a_history():
    x, t = leaf(1.0, 2.0), ts.tensor(np.ones(2))
    t += x
    t[0] = x[1] * 5.0
    t.mul_(x)
    assert t.tolist() == [10, 6] and t.version[0] == 3
    t.sum().backward()
    assert x.grad.tolist() == [10, 5 + 1 + 2 + 2]  # 5 x1 x0 + (1 + x1) x1
    with ts.no_grad():
        t += x
    assert t.tolist() == [11, 8]


@pytest.mark.parametrize("form", [
    lambda x, w: [y := x * 2, y.__iadd__(w), y.__imul__(w), y * y][-1],
    lambda x, w: [y := x * w, y.exp_(), y * 3][-1],
    lambda x, w: [y := x * w, y.zero_(), y + x][-1],
    lambda x, w: [y := w - w.detach(), y.copy_(x * w), y.clamp_(0, 2)][-1],
    lambda x, w: [y := x * w, y.masked_fill_(y < 0, 7.0), y.pow_(2), y.add_(w, alpha=3)][-1],
    lambda x, w: [y := x * w, y.__setitem__(1, x[0] * 2), y.__setitem__([0, 2], w[:2]), y * y][-1],
    lambda x, w: [y := x * 1, y.__setitem__(y > 1.5, 0.0), y.__itruediv__(w), y.__isub__(x)][-1],
    lambda x, w: [y := x.detach() * 0, *[y.__setitem__(t, (x[t] * w).sum()) for t in range(3)],
                  y][-1]], ids=range(8))
def test_recorded_changes_in_place_are_checked_by_differences(form):
    x, w = leaf(1.0, 2.0, 3.0), leaf(0.5, -1.0, 2.0)
    assert ts.autograd.gradcheck(form, (x, w))


def test_a_loss_that_is_added_up_in_place():
    x, loss = leaf(1.0, 2.0), 0.0
    for t in range(2):
        loss += x[t] * x[t]
    same = loss
    loss += x[0]
    assert loss is same
    loss.backward()
    assert x.grad.tolist() == [3, 4]


def test_what_had_saved_the_old_value_says_so():
    x = leaf(1.0, 2.0)
    for made in (lambda y: y * y, lambda y: y):  # an operand of mul, the result of exp
        y = x.exp()
        z = made(y)
        y += 1
        with pytest.raises(GraphError, match="changed by [+]=, version 1"):
            (z + y).sum().backward()
    assert x.grad is None


def test_a_view_that_is_still_in_use_keeps_its_base_from_changing():
    x = leaf(1.0, 2.0)
    y = x * 1.0
    view = y[:1]
    with pytest.raises(GraphError, match="view of this tensor"):
        y += 1.0
    with pytest.raises(GraphError, match="view of another tensor"):
        view += 1.0
    assert y.tolist() == [1, 2] and y.version[0] == 0
    del view
    y += 1.0
    for _ in range(100):  # the dead are forgotten
        y[:1]
    assert y.tolist() == [2, 3] and len(y.version[2]) < 40


@pytest.mark.parametrize("view", [lambda b: b[:2], lambda b: b.reshape(2, 1), lambda b: b.T,
                                  lambda b: b.transpose(0, -1), lambda b: b[:][0:1],
                                  lambda b: b.detach(), lambda b: b.data], ids=range(7))
def test_views_share_the_version(view):
    """What is changed through a view is changed, and backward says so."""
    base = ts.tensor(np.ones(2))
    x = leaf(1.0, 2.0)
    y = (x * base).sum()
    view(base).fill_(7.0)
    assert base.tolist()[0] == 7
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()
    assert x.grad is None


def test_comparisons_are_bool_and_take_broadcasting():
    a, b = ts.tensor([1.0, 2.0, 3.0]), ts.tensor([[2.0], [3.0]])
    for y, wanted in ((a < b, [[1, 0, 0], [1, 1, 0]]), (a == 2.0, [0, 1, 0]), (a != a, [0] * 3),
                      (a >= 2, [0, 1, 1]), (a <= 1, [1, 0, 0]), (a > b[0], [0, 0, 1])):
        assert y.dtype == np.bool_ and y.tolist() == np.array(wanted, bool).tolist()
    assert bool((a == a).all()) and not (a > 5).any()


def test_nothing_here_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = leaf(0.0, -1.0, np.inf)
        for f in (ts.log, ts.sqrt, ts.exp, ts.sigmoid, ts.tanh, ts.relu, lambda v: 1.0 / v,
                  lambda v: v ** -0.5, lambda v: v ** 0):
            y = f(x)
            y.backward(ts.ones_like(y))
    assert x.grad.shape == (3,)
