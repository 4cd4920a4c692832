"""Samplers: in which order, and in what groups, a dataset's samples are taken; torch's numbers."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tinyseq.ops import noise
from tinyseq.tensor import Tensor


class Sampler:
    """Numbers of samples in some order: a subclass says `__iter__`, and `__len__` if it can.

    Example:
        >>> class Backwards(Sampler):
        ...     def __iter__(self):
        ...         return iter([2, 1, 0])
        >>> list(Backwards())
        [2, 1, 0]
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__: write "
                                  "`def __iter__(self): ...` in the class")


class SequentialSampler(Sampler):
    """All samples in their order.

    Example:
        >>> list(SequentialSampler(data_source="abc"))
        [0, 1, 2]
    """

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """All samples in random order, anew in every pass; with replacement some of them and again.

    Without a generator each pass has a stream of its own, whose seed is drawn from the shared one.
    Errors: TypeError for a replacement, ValueError for a num_samples that is none.
    Example:
        >>> import tinyseq as ts
        >>> list(RandomSampler("abcde", generator=ts.Generator(0)))
        [4, 0, 1, 3, 2]
        >>> len(list(RandomSampler("abc", replacement=True, num_samples=7)))
        7
    """

    def __init__(self, data_source: Any, replacement: bool = False,
                 num_samples: int | None = None, generator: Any = None) -> None:
        if not isinstance(replacement, bool):
            raise TypeError("replacement should be a boolean value, but got "
                            f"replacement={replacement!r}")
        if num_samples is not None:
            whole("num_samples", num_samples)
        self.data_source, self.replacement = data_source, replacement
        self.wanted, self.generator = num_samples, generator

    def __iter__(self) -> Iterator[int]:
        n, count = len(self.data_source), len(self)
        if not n:
            return
        stream = self.generator or noise.Generator(drawn_seed(noise.generator))
        if self.replacement:
            yield from stream.integers(count, n).tolist()
            return
        for _ in range(count // n):
            yield from noise.randperm(n, generator=stream).tolist()
        yield from noise.randperm(n, generator=stream).tolist()[:count % n]

    def __len__(self) -> int:
        return len(self.data_source) if self.wanted is None else self.wanted


class SubsetRandomSampler(Sampler):
    """Certain samples in random order, anew in every pass.

    Example:
        >>> import tinyseq as ts
        >>> sorted(SubsetRandomSampler(indices=[3, 1, 8], generator=ts.Generator(1)))
        [1, 3, 8]
    """

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        order = noise.randperm(len(self.indices), generator=self.generator).tolist()
        return iter([self.indices[k] for k in order])

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Samples drawn with probabilities in proportion to weights.

    Errors: ValueError for weights that cannot be drawn from, or a num_samples that is none.
    Example:
        >>> import tinyseq as ts
        >>> list(WeightedRandomSampler(weights=[0.0, 2.0, 0.0], num_samples=3, replacement=True,
        ...                            generator=ts.Generator(1)))
        [1, 1, 1]
    """

    def __init__(self, weights: Sequence[float], num_samples: int, replacement: bool = True,
                 generator: Any = None) -> None:
        whole("num_samples", num_samples)
        self.weights = Tensor(weights, dtype=np.float64)
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        return iter(noise.multinomial(self.weights, self.num_samples, self.replacement,
                                      generator=self.generator).tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """What another sampler gives, in lists of `batch_size`; the last may be shorter, or dropped.

    Errors: ValueError for a batch_size or a drop_last that is none.
    Example:
        >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        whole("batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got {drop_last!r}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for k in self.sampler:
            batch.append(k)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        N = len(self.sampler)  # type: ignore[arg-type]
        return N // self.batch_size if self.drop_last else -(-N // self.batch_size)


def drawn_seed(stream: noise.Generator) -> int:
    """A seed for another stream."""
    return int(stream.integers(1, 2 ** 63)[0])


def whole(name: str, value: Any) -> None:
    """Refuse what is not a whole number above 0, naming it: torch's text."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} should be a positive integer value, but got {name}={value!r}")
