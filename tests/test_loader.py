"""Datasets, random parts, loaders of batches and of streams: every sample once, seeded."""
from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.data import (BatchSampler, ConcatDataset, DataLoader, Dataset, IterableDataset,
                          RandomSampler, Sampler, StreamLoader, TensorDataset,
                          WeightedRandomSampler, default_collate, default_convert, random_split,
                          streams)
from tinyseq.errors import ShapeError, TextError
from tinyseq.ops.noise import Generator


class Squares(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, index):
        return index, {"square": np.float64(index ** 2), "name": f"n{index}"}


def numbers(loader):
    return [x.tolist() for x, in loader]


TEN = TensorDataset(ts.arange(10))


@pytest.mark.parametrize("size, drop_last, wanted", [
    (4, False, [4, 4, 2]), (4, True, [4, 4]), (5, False, [5, 5]), (5, True, [5, 5]),
    (11, False, [10]), (11, True, []), (1, False, [1] * 10)])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_sample_comes_once(size, drop_last, wanted, shuffle):
    loader = DataLoader(TEN, size, shuffle, drop_last=drop_last)
    found = numbers(loader)
    assert [len(batch) for batch in found] == wanted and len(loader) == len(wanted)
    flat = sum(found, [])
    assert len(set(flat)) == sum(wanted) and set(flat) <= set(range(10))
    if not shuffle:
        assert flat == sorted(flat)


def test_shuffling_is_seeded_and_anew_in_every_pass():
    loader = DataLoader(TEN, 10, shuffle=True)
    ts.manual_seed(3)
    first, second = numbers(loader), numbers(loader)
    ts.manual_seed(3)
    assert numbers(loader) == first != second and numbers(loader) == second
    own = DataLoader(TEN, 10, shuffle=True, generator=Generator(3))
    before = ts.rand(1).tolist()
    ts.manual_seed(3)
    numbers(loader), numbers(loader)
    assert ts.rand(1).tolist() == before          # as far as the shared stream was before
    state = ts.get_rng_state().tolist()
    passes = numbers(own), numbers(own)
    assert passes[0] != passes[1] and ts.get_rng_state().tolist() == state
    own.generator.manual_seed(3)
    assert (numbers(own), numbers(own)) == passes


# What torch 2.13.0 does after manual_seed(5), by the functions below.
TORCHS = {
    "shuffled": [[[8, 3, 0], [5, 9, 1], [6, 2, 4], [7]], [[5, 8, 9], [7, 2, 0], [4, 1, 3], [6]]],
    "own stream": [[[1, 3, 5, 7], [9, 4, 6, 2]], [[5, 1, 6, 0], [9, 7, 8, 4]]],
    "repeated": [[[8, 3, 0, 5, 9, 1, 6, 2, 4, 7], [6, 8, 5]],
                 [[5, 8, 9, 7, 2, 0, 4, 1, 3, 6], [1, 6, 3]]],
    "weighted": [[1, 2, 2, 1, 3], [3, 3, 2, 2, 2]], "parts": [[8, 7, 4, 6, 5], [1, 2, 0, 3]]}
SERVED = {
    "shuffled": lambda m, data: two_passes(m, data, batch_size=3, shuffle=True),
    "own stream": lambda m, data: two_passes(m, data, batch_size=4, shuffle=True, drop_last=True,
                                             generator=m.Generator().manual_seed(7)),
    "repeated": lambda m, data: two_passes(
        m, data, batch_size=10, sampler=data.RandomSampler(range(10), num_samples=13)),
    "weighted": lambda m, data: two_passes(
        m, data, sampler=data.WeightedRandomSampler([1, 2, 3, 4], 5), batch_size=None),
    "parts": lambda m, data: [part.indices for part in data.random_split(range(9), [0.5, 0.5])]}


def two_passes(m, data, **options):
    loader = data.DataLoader(data.TensorDataset(m.arange(10)), **options)
    return [numbers(loader) for _ in range(2)]


@pytest.mark.parametrize("name", SERVED)
def test_the_order_is_torchs(name):
    ts.manual_seed(5)
    assert SERVED[name](ts, ts.utils.data) == TORCHS[name]


@pytest.mark.needs_torch
@pytest.mark.parametrize("seed", [5, 2 ** 40])
@pytest.mark.parametrize("name", SERVED)
def test_the_order_and_what_is_drawn_are_live_torchs(name, seed):
    import torch
    import torch.utils.data
    found = []
    for m in (ts, torch):
        m.manual_seed(seed)
        found.append((SERVED[name](m, m.utils.data), m.rand(2).tolist()))
    assert found[0] == found[1]
    assert seed != 5 or found[1][0] == TORCHS[name]


def test_a_sampler_and_samples_one_by_one():
    assert numbers(DataLoader(TEN, 2, sampler=[3, 1, 3])) == [[3, 1], [3]]
    assert len(DataLoader(TEN, 2, sampler=[3, 1, 3])) == 2
    assert numbers(DataLoader(TEN, None)) == list(range(10))
    assert list(DataLoader(TEN, 5, collate_fn=len)) == [5, 5]


def test_samples_of_every_kind_make_batches():
    index, rest = next(iter(DataLoader(Squares(), 3, num_workers=2)))
    assert index.tolist() == [0, 1, 2] and index.dtype == ts.int64
    assert rest["square"].tolist() == [0.0, 1.0, 4.0] and rest["square"].dtype == ts.float64
    assert rest["name"] == ["n0", "n1", "n2"]
    assert default_collate([0.5, 1.0]).dtype == ts.float64      # as torch
    assert default_collate([True, False]).dtype == np.bool_
    pair = namedtuple("pair", "x y")(1, [2, ts.ones(2)])
    made = default_collate([pair, pair])
    assert made.x.tolist() == [1, 1] and made.y[1].shape == (2, 2)
    assert default_collate([b"a"]) == [b"a"]
    x, rest = next(iter(DataLoader(Squares(), None)))
    assert x == 0 and rest["square"].dtype == ts.float64 and rest["name"] == "n0"
    assert default_convert(pair).y[0] == 2


class Count(IterableDataset):
    def __iter__(self):
        return iter(range(5))


def test_samples_that_come_by_themselves():
    assert [b.tolist() for b in DataLoader(Count(), 2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in DataLoader(Count(), 2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(DataLoader(Count(), None)) == list(range(5))
    with pytest.raises(TypeError, match="Count does not say how many"):
        len(DataLoader(Count(), 2))


def test_batches_by_a_sampler_of_their_own():
    loader = DataLoader(TEN, batch_sampler=BatchSampler(RandomSampler(TEN), 4, True))
    assert [len(b) for b in numbers(loader)] == [4, 4] and len(loader) == 2
    assert numbers(DataLoader(TEN, batch_sampler=[[3], [1, 2]])) == [[3], [1, 2]]
    both = Squares() + TEN
    assert isinstance(both, ConcatDataset) and len(both) == 20 and both[12][0].item() == 2
    assert both[-11][0] == 9


def test_one_indexing_is_what_stacking_gives():
    data = TensorDataset(ts.rand(7, 3), ts.rand(7, 2, 2))
    for fast, slow in zip(DataLoader(data, 3), DataLoader(data, 3, collate_fn=default_collate)):
        assert [t.tolist() for t in fast] == [t.tolist() for t in slow]


@pytest.mark.parametrize("make, error, text", [
    (lambda: DataLoader(TEN, 0), ValueError, "positive integer value.*batch_size=0"),
    (lambda: DataLoader(TEN, 2.0), ValueError, "batch_size=2.0"),
    (lambda: DataLoader(TEN, True), ValueError, "batch_size=True"),
    (lambda: DataLoader(TEN, 2, True, [1]), ValueError, "mutually exclusive"),
    (lambda: DataLoader(TEN, None, drop_last=True), ValueError, "drop_last"),
    (lambda: DataLoader(TEN, 2, batch_sampler=[[1]]), ValueError, "batch_sampler.*exclusive"),
    (lambda: DataLoader(TEN, shuffle=True, batch_sampler=[[1]]), ValueError, "batch_sampler"),
    (lambda: DataLoader(Count(), shuffle=True), ValueError, "its own order"),
    (lambda: DataLoader(iter("ab")), TypeError, "__getitem__ and __len__.*str"),
    (lambda: default_collate([print]), TypeError, "builtin.*collate_fn"),
    (lambda: default_collate([np.ones(2), np.ones(3)]), ShapeError, "stack"),
    (lambda: default_collate([np.float16(1)]), TypeError, "float16"),
    (lambda: default_collate([(1,), (1, 2)]), ShapeError, r"equal size.*\[1, 2\]"),
    (lambda: RandomSampler(TEN, num_samples=0), ValueError, "num_samples=0"),
    (lambda: RandomSampler(TEN, replacement=1), TypeError, "replacement=1"),
    (lambda: BatchSampler(TEN, 2, 1), ValueError, "drop_last.*1"),
    (lambda: WeightedRandomSampler([1.0], 0.5), ValueError, "num_samples=0.5"),
    (lambda: iter(Sampler()), NotImplementedError, "__iter__"),
    (lambda: iter(IterableDataset()), NotImplementedError, "__iter__"),
    (lambda: ConcatDataset([]), ValueError, "empty"),
    (lambda: ConcatDataset([TEN])[10], IndexError, "index 10"),
    (lambda: TensorDataset(ts.ones(2), ts.ones(3)), ShapeError, r"Size mismatch.*\[2, 3\]"),
    (lambda: TensorDataset(), ShapeError, "Size mismatch"),
    (lambda: TensorDataset(ts.ones(2), [1, 2]), TypeError, "number 1 is a list"),
    (lambda: TensorDataset(ts.tensor(1.0)), TypeError, "first axis"),
    (lambda: Dataset()[0], NotImplementedError, "__getitem__"),
    (lambda: len(Dataset()), NotImplementedError, "__len__"),
    (lambda: random_split(TEN, [3, 3]), ValueError, "add up to 6, the dataset has 10"),
    (lambda: random_split(TEN, [0.5, 0.4]), ValueError, "Sum of input lengths"),
    (lambda: random_split(TEN, [11, -1]), ValueError, "negative"),
    (lambda: StreamLoader(np.arange(11), 3, 3), TextError, "too few"),
    (lambda: StreamLoader(np.arange(11), 0, 3), ValueError, "N >= 1")])
def test_what_is_refused(make, error, text):
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize("lengths, wanted", [
    ([7, 3], [7, 3]), ([0.75, 0.25], [8, 2]), ([1 / 3, 1 / 3, 1 / 3], [4, 3, 3]), ([10], [10]),
    ([1.0], [10]), ([0, 10], [0, 10])])
def test_random_parts_are_disjoint_and_seeded(lengths, wanted):
    parts = random_split(TEN, lengths, Generator(5))
    assert [len(part) for part in parts] == wanted
    found = [part[k][0].item() for part in parts for k in range(len(part))]
    assert sorted(found) == list(range(10)) and found != sorted(found)
    again = random_split(TEN, lengths, Generator(5))
    assert [part.indices for part in again] == [part.indices for part in parts]
    assert sum(len(batch) for batch in numbers(DataLoader(parts[-1], 2))) == wanted[-1]


@pytest.mark.parametrize("length, N, T", [(103, 4, 6), (12, 3, 3), (26, 2, 4), (100, 1, 33)])
def test_windows_follow_on_from_each_other(length, N, T):
    codes = np.random.randint(0, 50, length)
    loader = StreamLoader(ts.tensor(codes), N, T)
    for _ in range(2):
        found = list(loader)
        assert [b.restart for b in found] == [True] + [False] * (len(found) - 1)
        assert len(loader) == len(found) == len(list(streams(codes, N, T, passes=1)))
        x, y = (np.concatenate([b[k].numpy() for b in found]) for k in (0, 1))
        rows = codes[:length // N * N].reshape(N, -1).T
        assert np.array_equal(x, rows[:len(x)]) and np.array_equal(y, rows[1:len(y) + 1])


def test_a_state_that_is_carried_over_is_that_of_the_whole_series():
    layer = ts.nn.GRU(1, 3, dtype=ts.float64)
    loader, state, outputs = StreamLoader(np.arange(25) % 5, 2, 4), None, []
    with ts.no_grad():
        for x, _, restart in loader:
            state = None if restart else state
            output, state = layer(x.unsqueeze(-1).to(ts.float64), state)
            outputs.append(output.numpy())
        whole, _ = layer(ts.tensor((np.arange(24) % 5).reshape(2, 12).T[:8, :, None] * 1.0,
                                   dtype=ts.float64))
    np.testing.assert_allclose(np.concatenate(outputs), whole.numpy(), rtol=1e-13)


def test_torch_names_where_torch_has_them():
    from tinyseq.utils.data import DataLoader as found
    assert found is DataLoader and ts.utils.data.random_split is random_split
    assert callable(ts.utils.checkpoint.checkpoint) and set(ts.utils.data.__all__) <= set(
        ts.data.__all__)
