"""Sequences of unequal lengths: packing as torch's, and layers that never look at padding."""
from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.cells import CELLS
from tinyseq.errors import ShapeError
from tinyseq.nn.lanes import lane
from tinyseq.nn.utils import rnn
from tinyseq.variants import zoneout

LAYERS = "RNN", "LSTM", "GRU"
OPTIONS: tuple[dict, ...] = {}, {"num_layers": 2, "bidirectional": True}
LENGTHS = [2, 5, 1, 5, 3]


def listed(last):
    return list(last) if isinstance(last, tuple) else [last]


def packed(*shape, lengths=(3, 2, 1), **more):
    return rnn.pack_padded_sequence(ts.randn(4, 3, *shape, **more), list(lengths))


# -- a layer over many lengths ------------------------------------------------------------
@pytest.mark.parametrize("detail", ["gates", "steps", "layers"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_a_batch_of_lengths_is_each_sequence_run_alone(name, options, detail):
    """Outputs, final states and gradients; NaN padding is never looked at."""
    layer = getattr(nn, name)(3, 4, dtype=ts.float64, **options)
    lanes, N, T = len(layer.lanes()), len(LENGTHS), 6
    x, parts = np.random.normal(size=(T, N, 3)), 2 if name == "LSTM" else 1
    first = [np.random.normal(size=(lanes, N, 4)) for _ in range(parts)]
    gy = np.random.normal(size=(T, N, 4 * lanes // layer.num_layers))
    gs = [np.random.normal(size=s.shape) for s in first]

    def run(value, states, weigh, **more):
        leaf = ts.tensor(value, requires_grad=True)
        hx = [ts.tensor(s, requires_grad=True) for s in states]
        y, last = layer(leaf, tuple(hx) if parts == 2 else hx[0], **more)
        sum((o * ts.tensor(g)).sum() for o, g in zip([y, *listed(last)], weigh)).backward()
        found = [t.array for t in (y, *listed(last))] + [t.grad.array for t in (leaf, *hx)]
        weights = [p.grad.array for p in layer.parameters()]
        layer.zero_grad()
        return found, weights

    for n, L in enumerate(LENGTHS):
        x[L:, n] = np.nan
    with ts.detail(detail):
        (y, *rest), weights = run(x, first, [gy, *gs], lengths=LENGTHS)
        gx = rest.pop(parts)
        total = [np.zeros_like(w) for w in weights]
        for n, L in enumerate(LENGTHS):
            (one, *others), shares = run(x[:L, n], [s[:, n] for s in first],
                                         [gy[:L, n], *[g[:, n] for g in gs]])
            g_one = others.pop(parts)
            for whole, alone in ((y, one), (gx, g_one)):
                np.testing.assert_allclose(whole[:L, n], alone, rtol=1e-12, atol=1e-14)
                assert not whole[L:, n].any()
            for whole, alone in zip(rest, others):
                np.testing.assert_allclose(whole[:, n], alone, rtol=1e-12, atol=1e-14)
            total = [a + b for a, b in zip(total, shares)]
    for a, b in zip(weights, total):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", LAYERS)
def test_packed_in_packed_out_in_the_callers_order(name):
    layer, x = getattr(nn, name)(3, 4, batch_first=True), ts.randn(5, 6, 3)
    given = rnn.pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    out, last = layer(given)
    assert isinstance(out, rnn.PackedSequence) and out.data.shape == (16, 4)
    assert out.unsorted_indices.tolist() == given.unsorted_indices.tolist()
    y, lengths = rnn.pad_packed_sequence(out, batch_first=True)
    assert y.shape == (5, 5, 4) and lengths.tolist() == LENGTHS
    h = listed(last)[0]
    for n, L in enumerate(LENGTHS):
        assert h[0, n].tolist() == y[n, L - 1].tolist()
    z, _ = layer(x, lengths=LENGTHS)
    assert z.shape == (5, 6, 4) and z[:, :5].array.tobytes() == y.array.tobytes()
    assert not z.array[:, 5].any()


def test_last_outputs_are_the_final_states():
    x = ts.randn(5, 5, 3)
    for options, width in (({}, 4), ({"bidirectional": True}, 8)):
        layer = nn.GRU(3, 4, **options)
        y, h = layer(x, lengths=LENGTHS)
        wanted = np.concatenate(list(h.array), -1)
        both = bool(options)
        assert nn.last_output(y, LENGTHS, bidirectional=both).array.tobytes() == wanted.tobytes()
        out, _ = layer(rnn.pack_padded_sequence(x, LENGTHS, enforce_sorted=False))
        assert nn.last_output(out, bidirectional=both).array.tobytes() == wanted.tobytes()
        turned = nn.last_output(y.transpose(0, 1), LENGTHS, batch_first=True, bidirectional=both)
        assert turned.shape == (5, width) and turned.array.tobytes() == wanted.tobytes()
    y, h = nn.RNN(3, 4)(x)
    assert nn.last_output(y).array.tobytes() == h[0].array.tobytes()


def test_equal_lengths_are_the_plain_batch_to_the_bit():
    layer, x = nn.LSTM(3, 4, 2, bidirectional=True), ts.randn(5, 2, 3)
    (y, (h, c)), (z, (k, d)) = layer(x), layer(x, lengths=[5, 5])
    for a, b in ((y, z), (h, k), (c, d)):
        assert a.array.tobytes() == b.array.tobytes()


@pytest.mark.parametrize("detail", ["gates", "steps", "layers"])
@pytest.mark.parametrize("reverse", [False, True])
def test_masks_of_a_cell_stay_with_their_steps_and_sequences(reverse, detail):
    cell, T, N, H = zoneout(CELLS["gru"]), 5, 3, 4
    shapes = (12, 2), (12, 4), (12,), (12,)
    weights = ts.Weights(*[ts.randn(*s, dtype=ts.float64) for s in shapes])
    x, h, z = [ts.rand(*s, dtype=ts.float64) for s in ((T, N, 2), (N, H), (T, N, H))]
    with ts.detail(detail):
        _, (last,) = lane(cell, [x[:2], x[2:3, :2], x[3:, :1]], (h,),
                          weights._replace(given=(z,)), reverse)
        for n, L in enumerate([5, 3, 2]):
            alone, mask = [v[:L, n:n + 1][::-1 if reverse else 1] for v in (x, z)]
            _, (one,) = ts.unroll(cell, alone, (h[n:n + 1],), weights._replace(given=(mask,)))
            np.testing.assert_allclose(last[n].array, one[0].array, rtol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_second_derivatives_of_many_lengths_agree_at_all_details(name):
    layer, found = getattr(nn, name)(3, 4, bidirectional=True, dtype=ts.float64), []
    x = ts.randn(5, 5, 3, dtype=ts.float64, requires_grad=True)
    for detail in ("gates", "layers"):
        with ts.detail(detail):
            y, _ = layer(x, lengths=LENGTHS)
            (gx,) = ts.autograd.grad((y * y).sum(), [x], create_graph=True)
            found.append(ts.autograd.grad((gx * gx).sum(), [x, layer.weight_hh_l0_reverse]))
    for a, b in zip(*found):
        assert np.abs(a.array).max() > 1e-3
        np.testing.assert_allclose(a.array, b.array, rtol=1e-10, atol=1e-14)


def test_data_can_be_replaced():
    """The usual way to embed packed indices."""
    p = rnn.pack_sequence([ts.tensor([1, 2, 0]), ts.tensor([3])])
    table = nn.Embedding(4, 3)
    again = p._replace(data=table(p.data))
    out, h = nn.GRU(3, 5)(again)
    assert out.data.shape == (4, 5) and h.shape == (1, 2, 5)
    out.data.sum().backward()
    assert table.weight.grad.array.any(axis=1).all()
    assert again.to(ts.float64).data.dtype == ts.float64


# -- there and back -----------------------------------------------------------------------
@pytest.mark.needs_torch
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("shape, integers", [((), False), ((3,), False), ((3, 2), False),
                                             ((), True)], ids=str)
def test_packing_is_torchs(shape, integers, batch_first):
    import torch
    import torch.nn.utils.rnn as theirs
    x = np.random.normal(size=(6, 5, *shape)) * 9
    x = (x if not integers else x.astype(np.int64)).swapaxes(0, 1 if batch_first else 0)
    for lengths in (LENGTHS, sorted(LENGTHS)[::-1], [6] * 5):
        ordered = lengths == sorted(lengths)[::-1]
        found = []
        for lib, tools in ((ts, rnn), (torch, theirs)):
            p = tools.pack_padded_sequence(lib.tensor(x), lib.tensor(lengths), batch_first,
                                           enforce_sorted=ordered)
            assert (p.sorted_indices is None) == ordered
            padded, back = tools.pad_packed_sequence(p, batch_first, 7, 8)
            parts = tools.unpack_sequence(p)
            pads = [tools.pad_sequence(parts, batch_first, -1, side) for side in ("left", "right")]
            again = tools.pack_sequence(parts, enforce_sorted=ordered)
            found.append([p.data, p.batch_sizes, padded, back, *parts, *pads, again.data] + (
                [] if ordered else [p.sorted_indices, p.unsorted_indices]))
        for a, b in zip(*found):
            a, b = np.asarray(a), np.asarray(b)
            assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def test_gradients_pass_through_packing():
    x = ts.randn(6, 5, 3, dtype=ts.float64, requires_grad=True)
    p = rnn.pack_padded_sequence(x, LENGTHS, enforce_sorted=False)
    padded, _ = rnn.pad_packed_sequence(p, padding_value=9.0, total_length=7)
    weight = np.random.normal(size=padded.shape)
    (padded * ts.tensor(weight)).sum().backward()
    inside = np.arange(6)[:, None, None] < np.array(LENGTHS)[:, None]
    assert (x.grad.array == np.where(inside, weight[:6], 0)).all()
    assert (padded.array[:6] == np.where(inside, x.array, 9)).all()
    assert (padded.array[6] == 9).all()


# -- what is refused ----------------------------------------------------------------------
@pytest.mark.parametrize("lengths, options, error, words", [
    ([3, 2, 0], {}, RuntimeError, ("has to be greater than 0", "sample 2", "length 0")),
    ([4, 2, -1], {}, ValueError, ("has to be greater than 0", "sample 2", "length -1")),
    ([5, 2, 1], {}, ValueError, ("sample 0", "length 5", "T=4")),
    ([3, 2], {}, ValueError, ("Expected `len(lengths)` to be equal to batch_size, but got 2 "
                              "(batch_size=3)",)),
    ([4, 3, 2, 1], {}, ValueError, ("got 4 (batch_size=3)", "batch_first")),
    ([[3, 2, 1]], {}, ValueError, ("one list of 3 integers", "(1, 3)")),
    ([4.9, 2, 1], {}, TypeError, ("float64", "4.9")),
    ([True, True, True], {}, TypeError, ("bool",)),
    ([1, 2, 3], {}, RuntimeError, ("`lengths` array must be sorted in decreasing order when "
                                   "`enforce_sorted` is True. You can pass `enforce_sorted=False`",
                                   "[1, 2, 3]"))], ids=str)
def test_lengths_are_refused(lengths, options, error, words):
    with pytest.raises(error) as caught:
        rnn.pack_padded_sequence(ts.zeros(4, 3, 2), lengths, **options)
    assert all(word in str(caught.value) for word in words), caught.value
    if error is not RuntimeError or "sorted" not in words[0]:
        with pytest.raises(error):
            nn.GRU(2, 3)(ts.zeros(4, 3, 2), lengths=lengths)


@pytest.mark.parametrize("error, words, call", [
    (RuntimeError, "received an empty list of sequences", lambda: rnn.pad_sequence([])),
    (RuntimeError, "received an empty list of sequences", lambda: rnn.pack_sequence([])),
    (RuntimeError, "Expected padding_side to be one of left or right, but got up.",
     lambda: rnn.pad_sequence([ts.zeros(2)], padding_side="up")),
    (ShapeError, "sample 1 has length 0", lambda: rnn.pack_sequence([ts.zeros(2), ts.zeros(0)])),
    (ValueError, "got total_length=2 and max sequence length being 3",
     lambda: rnn.pad_packed_sequence(packed(2), total_length=2)),
    (ShapeError, "(T, N, *)", lambda: rnn.pack_padded_sequence(ts.zeros(4), [4])),
    (ShapeError, "never grow", lambda: rnn.PackedSequence(ts.zeros(3, 2), [1, 2])),
    (ShapeError, "data's 4 rows", lambda: packed(2)._replace(data=ts.zeros(4, 2))),
    (TypeError, "batch_sizes must be integers", lambda: rnn.PackedSequence(ts.zeros(3), [1.5, 1])),
    (ShapeError, "0 to 1 once", lambda: rnn.PackedSequence(ts.zeros(3), [2, 1], [0, 2])),
    (TypeError, "leave lengths and mask out", lambda: nn.GRU(2, 3)(packed(2), lengths=[3, 2, 1])),
    (ShapeError, "input[:4]", lambda: nn.GRU(2, 3)(ts.zeros(4, 2), lengths=[4]))])
def test_misuse_is_refused(error, words, call):
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)


@pytest.mark.parametrize("name", LAYERS)
def test_packed_input_gets_the_texts_of_a_dense_one(name):
    """Torch's LSTM skips these checks when its input is packed."""
    layer, two = getattr(nn, name)(2, 4, 2), name == "LSTM"
    word = "hidden[0]" if two else "hidden"

    def hx(*shape):
        return (ts.zeros(*shape),) * 2 if two else ts.zeros(*shape)

    for error, text, call in (
            (RuntimeError, "input.size(-1) must be equal to input_size. Expected 2, got 7",
             lambda: layer(packed(7))),
            (RuntimeError, f"Expected {word} size (2, 3, 4), got [2, 2, 4]",
             lambda: layer(packed(2), hx(2, 2, 4))),
            (RuntimeError, f"Expected {word} size (2, 3, 4), got [1, 3, 4]",
             lambda: layer(packed(2), hx(1, 3, 4))),
            (RuntimeError, "should also be 3-D but got", lambda: layer(packed(2), hx(3, 4))),
            (ValueError, "does not match weight dtype",
             lambda: layer(packed(2, dtype=np.float64))),
            (RuntimeError, "data must be (rows, 2), got (6,)", lambda: layer(packed())),
            (TypeError, "hx must be a", lambda: layer(packed(2), [ts.zeros(2, 3, 4)]))):
        with pytest.raises(error) as caught:
            call()
        assert text in str(caught.value)


@pytest.mark.parametrize("reduction", ("sum", "mean"))
@pytest.mark.parametrize("form", ("packed", "lengths"))
def test_gradients_of_four_parts_add_up_to_those_of_the_batch(form, reduction):
    """Also of sequences of unequal lengths: a part's mean counts as much as it has targets."""
    ts.manual_seed(8)
    lstm = nn.LSTM(3, 4, 2, bidirectional=True, dtype=ts.float64)
    readout = nn.Linear(8, 5, dtype=ts.float64)
    lengths = np.array([5, 2, 7, 1, 3, 3, 6, 4])
    x = ts.randn(7, 8, 3, dtype=ts.float64)
    target = ts.randint(0, 5, (7, 8))
    target[np.arange(7)[:, None] >= lengths] = -100
    parameters = [*lstm.parameters(), *readout.parameters()]

    def gradients(parts):
        for p in parameters:
            p.grad = None
        for n in parts:
            part, T = lengths[n], lengths[n].max()
            if form == "packed":
                packed = rnn.pack_padded_sequence(x[:, n], part, enforce_sorted=False)
                output = rnn.pad_packed_sequence(lstm(packed)[0])[0]
            else:
                output = lstm(x[:T, n], lengths=part)[0]
            loss = nn.CrossEntropyLoss(reduction=reduction)(
                readout(output).reshape(-1, 5), target[:T, n].reshape(-1))
            (loss * (part.sum() / lengths.sum()) if reduction == "mean" else loss).backward()
        return [p.grad.array for p in parameters]

    whole = gradients([slice(0, 8)])
    for a, b in zip(whole, gradients([slice(k, k + 2) for k in range(0, 8, 2)])):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * np.abs(a).max())
