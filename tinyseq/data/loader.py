"""`DataLoader`: the samples of a dataset in batches, in order or shuffled by the seeded stream."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from tinyseq.data.dataset import IterableDataset, TensorDataset
from tinyseq.data.sampler import (BatchSampler, RandomSampler, SequentialSampler, drawn_seed,
                                  whole)
from tinyseq.errors import ShapeError
from tinyseq.ops import from_numpy, noise, stack
from tinyseq.tensor import Tensor


class DataLoader:
    """Batches of a dataset's samples; every loop over it is one pass over all of them.

    `sampler` gives the samples' numbers in an order of its own, `batch_sampler` lists of them;
    `collate_fn` makes one batch of a list of samples. Shuffling is anew in every pass, from
    `generator` or, without one, from the stream of `ts.manual_seed`: the order is torch's. With
    batch_size=None samples come one by one. What torch's arguments say of worker processes and
    pinned memory is accepted and not needed: all work is done here.
    Errors: ValueError and TypeError naming the argument.
    Example:
        >>> import tinyseq as ts
        >>> data = ts.data.TensorDataset(ts.arange(5), ts.arange(5) * 10)
        >>> for x, y in DataLoader(data, batch_size=2):
        ...     print(x.tolist(), y.tolist())
        [0, 1] [0, 10]
        [2, 3] [20, 30]
        [4] [40]
        >>> _ = ts.manual_seed(0)
        >>> [x.tolist() for x in DataLoader(ts.arange(5), 2, shuffle=True, drop_last=True)]
        [[1, 4], [2, 3]]
        >>> list(DataLoader("abcd", sampler=[3, 1], batch_size=2, collate_fn="".join))
        ['db']
        >>> list(DataLoader("abcd", batch_sampler=[[3], [1, 0]], collate_fn="".join))
        ['d', 'ba']
        >>> len(DataLoader(data, shuffle=True, generator=ts.Generator(1), num_workers=2))
        5
    """

    def __init__(self, dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None,
                 sampler: Iterable[int] | None = None,
                 batch_sampler: Iterable[list[int]] | None = None, num_workers: int = 0,
                 collate_fn: Callable[[list[Any]], Any] | None = None, pin_memory: bool = False,
                 drop_last: bool = False, timeout: float = 0, worker_init_fn: Any = None,
                 multiprocessing_context: Any = None, generator: Any = None, *,
                 prefetch_factor: int | None = None, persistent_workers: bool = False,
                 pin_memory_device: str = "", in_order: bool = True) -> None:
        refuse(dataset, batch_size, shuffle, sampler, batch_sampler, drop_last)
        self.dataset, self.generator, self.collate_fn = dataset, generator, collate_fn
        self.num_workers = num_workers
        if sampler is None and not isinstance(dataset, IterableDataset):
            sampler = RandomSampler(dataset, generator=generator) if shuffle \
                else SequentialSampler(dataset)
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is not None and sampler is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size, self.drop_last = batch_size, drop_last
        self.sampler, self.batch_sampler = sampler, batch_sampler

    def __len__(self) -> int:
        """How many batches a pass has."""
        over = self.sampler if self.batch_sampler is None else self.batch_sampler
        if over is None:
            raise TypeError(f"{type(self.dataset).__name__} does not say how many samples a pass "
                            "has: only loop over it")
        return len(over)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        drawn_seed(self.generator or noise.generator)  # torch draws one for its workers
        return self.stream() if self.sampler is None else self.taken()

    def taken(self) -> Iterator[Any]:
        """What the samplers ask for."""
        if self.batch_sampler is not None:
            yield from map(self.collated, self.batch_sampler)
            return
        for k in self.sampler or ():
            yield (self.collate_fn or default_convert)(self.dataset[k])

    def stream(self) -> Iterator[Any]:
        """What the dataset gives, in its order."""
        samples = iter(self.dataset)
        if self.batch_size is None:
            yield from map(self.collate_fn or default_convert, samples)
            return
        while batch := list(islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield (self.collate_fn or default_collate)(batch)

    def collated(self, batch: list[int]) -> Any:
        """One batch; of a TensorDataset by one indexing for each tensor."""
        if self.collate_fn is None and type(self.dataset) is TensorDataset:
            return list(self.dataset[np.array(batch)])
        return (self.collate_fn or default_collate)([self.dataset[k] for k in batch])


def refuse(dataset: Any, batch_size: Any, shuffle: Any, sampler: Any, batch_sampler: Any,
           drop_last: Any) -> None:
    """Raise for what is no dataset, and for arguments that contradict each other."""
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle: leave one out")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None
                                      or drop_last):
        raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, "
                         "sampler, and drop_last: it says all of that")
    if batch_size is None and drop_last:
        raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive "
                         "with drop_last")
    if batch_size is not None:
        whole("batch_size", batch_size)
    if isinstance(dataset, IterableDataset):
        if shuffle or sampler is not None or batch_sampler is not None:
            raise ValueError("an IterableDataset comes in its own order: leave shuffle, sampler "
                             "and batch_sampler out")
    elif not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise TypeError("DataLoader takes a dataset with __getitem__ and __len__, or an "
                        f"IterableDataset, got a {type(dataset).__name__}: "
                        "ts.data.TensorDataset makes one of tensors")


def default_collate(batch: list[Any]) -> Any:
    """A batch of a list of samples: numbers, arrays and tensors are stacked, place by place.

    As in torch Python's floats become float64, whatever the default dtype.
    Errors: TypeError for samples of another kind, ShapeError for samples of different sizes.
    Example:
        >>> default_collate([(1, "a"), (2, "b")])
        [tensor([1, 2]), ['a', 'b']]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(batch)
    if isinstance(first, (np.ndarray, np.generic)):
        return stack([from_numpy(np.asarray(sample)) for sample in batch])
    if isinstance(first, float):
        return Tensor(batch, dtype=np.float64)
    if isinstance(first, (bool, int)):
        return Tensor(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        if len({len(sample) for sample in batch}) > 1:
            raise ShapeError("each element in list of batch should be of equal size, got the "
                             f"sizes {[len(sample) for sample in batch]}: give a collate_fn, such "
                             "as tinyseq.nn.utils.rnn.pad_sequence")
        columns = [default_collate(list(column)) for column in zip(*batch)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    raise TypeError(f"a batch cannot be made of samples of type {type(first).__name__}: give a "
                    "collate_fn")


def default_convert(data: Any) -> Any:
    """One sample as it comes without batches: its numpy arrays become tensors.

    Example:
        >>> default_convert({"x": np.array([1, 2]), "name": "a"})
        {'x': tensor([1, 2]), 'name': 'a'}
    """
    if isinstance(data, (np.ndarray, np.generic)):
        return from_numpy(np.asarray(data))
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, (tuple, list)):
        parts = [default_convert(value) for value in data]
        return type(data)(*parts) if hasattr(data, "_fields") else parts
    return data
