"""Indexing beside torch: every form of index, read, assigned and put, with its gradients."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.errors import GraphError, ShapeError

SHAPE = (2, 3, 4)
ALL = slice(None)
MASK = np.random.default_rng(3).random(SHAPE) > 0.5
INDICES: list[Any] = [
    0, -1, (1, 2), (1, -1, 3), ALL, slice(1, None), (ALL, slice(0, 3, 2)), None, ..., (..., 0),
    (..., None), (None, 1, ..., None, slice(1, 3)), (0, ...), (ALL, ALL, ALL), slice(5, 9),
    [0, 1, 0], ([0, 1], [2, 0]), ([0, 1], [2, 0], [3, 3]), (ALL, [0, 0, 2]),
    ([[0], [1]], [[0, 2]]), (ALL, [[0], [2]], [1, 3]), (..., [3, 0, 0]), ([1, 0], ALL, [3, 3]),
    (0, ALL, [1, 2]), (ALL, 0, [1, 2]), ([1, 1], ALL, 0), (0, [1, 2, 2]), (None, [1], ..., 2),
    (1, ..., [0, 0]), ([0, 1], None, ALL, [1, 2]), (slice(0, 1), [0, 2], slice(1, 3)), [],
    (ALL, []), MASK, (MASK,), MASK[:, :, 0], (ALL, MASK[0]), (MASK[:, 0, 0], 1), (0, MASK[0]),
    (ALL, MASK[0, :, 0], [1]), (MASK[:, :, 0], slice(1, 3)), [True, False], (ALL, [True] * 3, 0),
    np.zeros(SHAPE, bool), np.array(1), np.array([[-1, 0]]), (np.int64(1), ALL, np.array([2, -4])),
]
NAMES = [f"{k}: {str(index).replace('slice(None, None, None)', ':')[:40]}"
         for k, index in enumerate(INDICES)]
each_index = pytest.mark.parametrize("index", INDICES, ids=NAMES)


def tensors(index: Any, m: Any) -> Any:
    """An index whose arrays are tensors of the library m."""
    if isinstance(index, tuple):
        return tuple(tensors(i, m) for i in index)
    return m.from_numpy(index.copy()) if isinstance(index, np.ndarray) else index


def leaf(m: Any, layout: Any = np.array) -> Any:
    return m.from_numpy(layout(np.random.default_rng(0).normal(size=SHAPE))).requires_grad_()


def turned(x: np.ndarray) -> np.ndarray:
    """The same values in Fortran's order."""
    return np.array(x.T, order="C").T


@pytest.mark.needs_torch
@pytest.mark.parametrize("layout", [np.array, turned], ids=["plain", "strided"])
@each_index
def test_reading_as_torch(index, layout):
    torch = pytest.importorskip("torch")
    found = []
    for m in (ts, torch):
        x = leaf(m, layout)
        y = x[tensors(index, m)]
        gy = m.from_numpy(np.asarray(np.random.default_rng(1).normal(size=tuple(y.shape))))
        gy.requires_grad_()
        (g,) = m.autograd.grad(y, [x], gy, create_graph=True)
        if y.numel():
            (ggy,) = m.autograd.grad((g * g).sum(), [gy])
        else:
            ggy = gy.detach()
        found.append([t.detach().numpy() for t in (y, g, ggy)])
    for a, b in zip(*found):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-14)


@pytest.mark.needs_torch
@pytest.mark.parametrize("value", ["number", "tensor", "broadcast"])
@each_index
def test_assigning_as_torch(index, value):
    torch = pytest.importorskip("torch")
    wanted = torch.zeros(SHAPE, dtype=torch.float64)
    shape = tuple(wanted[tensors(index, torch)].shape)
    values: Any = 2.5 if value == "number" else np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    if value == "broadcast":
        values = np.ones(shape[-1:] if shape[-1:] != (0,) else ()) * 3
    if value == "tensor":  # of repeated indices torch promises nothing: give these one value
        places = torch.arange(wanted.numel()).reshape(SHAPE)[tensors(index, torch)].numpy()
        values = places * 0.5 + 1
    x = ts.zeros(SHAPE, dtype="float64")
    put = ts.index_put(x, tensors(index, ts), tensors(values, ts))
    x[tensors(index, ts)] = tensors(values, ts)
    wanted[tensors(index, torch)] = tensors(values, torch)
    np.testing.assert_array_equal(x.array, wanted.numpy())
    np.testing.assert_array_equal(put.array, wanted.numpy())
    assert x.version[0] == 1


@pytest.mark.needs_torch
@pytest.mark.parametrize("accumulate", [False, True])
@each_index
def test_index_put_gives_both_their_gradients(index, accumulate):
    """Beside torch's assignment into a recorded tensor; it cannot add at slices, so x + zeros."""
    torch = pytest.importorskip("torch")
    places = np.arange(24).reshape(SHAPE)
    at = torch.from_numpy(places)[tensors(index, torch)].numpy()
    accumulate |= len(np.unique(at)) < at.size  # torch promises no order of repeated indices
    found = []
    for m in (ts, torch):
        x = leaf(m)
        v = m.from_numpy(np.asarray(np.random.default_rng(2).normal(size=at.shape)))
        v.requires_grad_()
        if m is ts:
            y = ts.index_put(x * 2.0, tensors(index, m), v * v, accumulate)
        elif accumulate:
            y = (x * 2.0).reshape(-1).index_put((m.from_numpy(at),), v * v, True).reshape(SHAPE)
        else:
            y = x * 2.0
            y[tensors(index, m)] = v * v
        gy = m.from_numpy(np.random.default_rng(1).normal(size=SHAPE))
        g = m.autograd.grad(y, [x, v], gy, allow_unused=True)
        found.append([y.detach().numpy()] + [np.zeros(s) if t is None else t.numpy()
                                             for t, s in zip(g, (SHAPE, at.shape))])
    for a, b in zip(*found):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)


def test_of_repeated_indices_the_last_value_stays_and_takes_the_gradient():
    x, v = ts.zeros(3).requires_grad_(), ts.tensor([5.0, 6.0, 7.0], requires_grad=True)
    y = ts.index_put(x, [1, 0, 1], v)
    assert y.tolist() == [6, 7, 0]
    (y * ts.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert v.grad.tolist() == [0, 1, 10] and x.grad.tolist() == [0, 0, 100]
    t = ts.zeros(3)
    t[[1, 0, 1]] = v.detach()
    assert t.tolist() == [6, 7, 0]


def test_case_23_repeated_indices_add_up():
    x = ts.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x[[0, 0, 1]].sum().backward()
    assert x.grad.tolist() == [2, 1, 0]


@pytest.mark.parametrize("index,said", [
    (3, "index 3 is out of bounds for axis 0 with size 2"),
    ((0, -4), "index -4 is out of bounds for axis 1 with size 3"),
    ([0, 7], "index 7 is out of bounds for axis 0 with size 2"),
    ((0, ALL, [1, 9]), "index 9 is out of bounds for axis 2 with size 4"),
    ((5, ALL, [1, 2]), "index 5 is out of bounds for axis 0 with size 2"),
    ((0, 0, 0, 0), "too many indices"), (1.0, "only integers"), ("a", "only integers"),
    ([True] * 3, r"boolean.*axis 0.*2.*boolean axis is 3"),
    (MASK[:, :2], r"boolean.*axis 1.*3.*boolean axis is 2"),
    (([0, 1], [0, 1, 2]), "could not be broadcast")], ids=str)
def test_case_24_what_is_out_of_range_names_index_axis_and_size(index, said):
    x = ts.zeros(SHAPE)
    for call in (lambda: x[index], lambda: x.__setitem__(index, 1.0),
                 lambda: ts.index_put(x, index, 1.0)):
        with pytest.raises(IndexError, match=said):
            call()
    assert not x.array.any() and x.version[0] == 0
    with pytest.raises(IndexError, match=r"into a tensor of shape \(2, 3, 4\)"):
        x[index]


@pytest.mark.parametrize("index", [(0, ALL, [1, 2]), 0, ([0, 0, 1],)], ids=str)
def test_values_that_do_not_fit_are_refused(index):
    x = ts.zeros(SHAPE)
    place = list(x[index].shape)
    for call in (lambda: x.__setitem__(index, ts.ones(7)),
                 lambda: ts.index_put(x, index, ts.ones(7))):
        with pytest.raises(ShapeError) as caught:
            call()
        assert f"of shape [7] cannot be broadcast to indexing result of shape {place}" \
            in str(caught.value)
    assert not x.array.any() and x.version[0] == 0


def test_assignment_never_loses_a_history():
    x = ts.tensor([1.0, 2.0], requires_grad=True)
    y, plain = x * 1.0, ts.zeros(2)
    with pytest.raises(GraphError, match="a leaf Variable that requires grad"):
        x[0] = 1.0
    y[0] = 7.0
    plain[0] = x[0] * 3.0
    assert x.tolist() == [1, 2] and y.tolist() == [7, 2] and plain.tolist() == [3, 0]
    (y + plain).sum().backward()
    assert x.grad.tolist() == [3, 1]
    plain = ts.zeros(2)
    with ts.no_grad():
        plain[0] = x[1]
        x[ts.tensor([True, False])] = 5.0
    assert plain.tolist() == [2, 0] and x.tolist() == [5, 2]


def test_assignment_is_counted_so_that_backward_refuses():
    x, w = ts.tensor([1.0, 2.0], requires_grad=True), ts.tensor([3.0, 4.0])
    y = (x * w).sum()
    w[0] = 9.0
    with pytest.raises(GraphError, match="index assignment"):
        y.backward()
    assert x.grad is None


@pytest.mark.parametrize("index", [ts.tensor([0, 0]), np.array([0, 0]), [0, 0],
                                   (slice(None), ts.tensor([True, False]))], ids=range(4))
def test_an_index_changed_later_changes_nothing(index):
    x = ts.ones(2, 2).requires_grad_()
    y = x[index]
    inner = index[1] if isinstance(index, tuple) else index
    inner[0] = 1 if not isinstance(index, tuple) else False
    y.sum().backward()
    wanted = [[1, 0], [1, 0]] if isinstance(index, tuple) else [[2, 2], [0, 0]]
    assert x.grad.tolist() == wanted


def test_an_integer_tensor_of_no_axes_is_an_integer():
    x = ts.tensor([[1.0, 2.0], [3.0, 4.0]])
    row = x[ts.tensor(1)]
    row.fill_(0.0)  # a view, as x[1] is
    assert x.tolist() == [[1, 2], [0, 0]]


def test_a_hand_written_loop_over_time_gives_every_step_its_gradient():
    x = ts.from_numpy(np.random.default_rng(0).normal(size=(6, 2, 3))).requires_grad_()
    h = ts.zeros(2, 3, dtype="float64")
    for step in x:
        h = ts.tanh(h + step)
    h.sum().backward()
    slope = np.ones((2, 3))
    states = [np.zeros((2, 3))]
    for t in range(6):
        states.append(np.tanh(states[-1] + x.array[t]))
    for t in reversed(range(6)):
        slope = slope * (1 - states[t + 1] ** 2)
        np.testing.assert_allclose(x.grad.array[t], slope, rtol=1e-12)
