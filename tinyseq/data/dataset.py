"""Datasets: samples by number; tensors side by side, a part of another dataset, random parts."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tinyseq.errors import ShapeError
from tinyseq.ops import noise
from tinyseq.tensor import Tensor


class Dataset:
    """Samples by number: a subclass says `__getitem__(index)` and `__len__()`."""

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__: write "
                                  "`def __getitem__(self, index): ...` in the class")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has no __len__: write "
                                  "`def __len__(self): ...` in the class")

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset:
    """Samples that come one after the other, who knows how many: a subclass says `__iter__()`.

    Example:
        >>> import tinyseq as ts
        >>> class Countdown(IterableDataset):
        ...     def __iter__(self):
        ...         return iter(range(5, 0, -1))
        >>> [batch.tolist() for batch in ts.data.DataLoader(Countdown(), batch_size=2)]
        [[5, 4], [3, 2], [1]]
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__: write "
                                  "`def __iter__(self): ...` in the class")


class TensorDataset(Dataset):
    """Tensors whose first axes count the same samples.

    Errors: ShapeError naming the tensors whose first axes differ.
    Example:
        >>> import tinyseq as ts
        >>> TensorDataset(ts.arange(3), ts.zeros(3, 2))[1]
        (tensor(1), tensor([0., 0.]))
    """

    def __init__(self, *tensors: Tensor) -> None:
        for k, tensor in enumerate(tensors):
            if not isinstance(tensor, Tensor) or tensor.ndim == 0:
                raise TypeError(f"TensorDataset takes tensors with a first axis, number {k} is "
                                f"a {type(tensor).__name__}: type ts.tensor(...) around it")
        if not tensors or len({len(tensor) for tensor in tensors}) > 1:
            raise ShapeError("Size mismatch between tensors: their first axes are "
                             f"{[len(tensor) for tensor in tensors]} samples long")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple([tensor[index] for tensor in self.tensors])

    def __len__(self) -> int:
        return len(self.tensors[0])


class ConcatDataset(Dataset):
    """Several datasets one after the other, also written `a + b`.

    Errors: ValueError for none; IndexError for a number beyond all of them.
    Example:
        >>> both = ConcatDataset(datasets=["abc", "de"])
        >>> len(both), both[3], both[-1]
        (5, 'd', 'e')
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("datasets should not be an empty iterable")

    def __getitem__(self, index: int) -> Any:
        N = len(self)
        if not -N <= index < N:
            raise IndexError(f"index {index} is out of range for {N} samples")
        k = index % N
        for dataset in self.datasets:
            if k < len(dataset):
                break
            k -= len(dataset)
        return dataset[k]

    def __len__(self) -> int:
        return sum([len(dataset) for dataset in self.datasets])


class Subset(Dataset):
    """The samples of a dataset that have certain numbers, in their order.

    Example:
        >>> list(Subset(dataset="abcd", indices=[3, 0]))
        ['d', 'a']
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """Parts of a dataset, drawn at random: as many samples as `lengths` says, or such fractions.

    Fractions must add up to 1; what rounding leaves goes to the first parts, one each. From the
    same seed the parts are torch's.
    Errors: ValueError where the lengths do not add up to the dataset.
    Example:
        >>> import tinyseq as ts
        >>> [len(part) for part in random_split(range(10), [0.75, 0.25])]
        [8, 2]
        >>> random_split("abcde", [3, 2], generator=ts.Generator(0))[0].indices
        [4, 0, 1]
    """
    sizes, N = list(lengths), len(dataset)
    if any(not 0 <= size for size in sizes):
        raise ValueError(f"random_split: lengths must not be negative, got {sizes}")
    if any(isinstance(size, float) for size in sizes) and abs(sum(sizes) - 1) < 1e-9:
        whole = [int(N * size) for size in sizes]
        sizes = [size + (k < N - sum(whole)) for k, size in enumerate(whole)]
    if sum(sizes) != N:
        raise ValueError("Sum of input lengths does not equal the length of the input dataset! "
                         f"{sizes} add up to {sum(sizes)}, the dataset has {N} samples")
    drawn = noise.randperm(N, generator=generator).tolist()
    ends = [sum(sizes[:k + 1]) for k in range(len(sizes))]
    return [Subset(dataset, drawn[end - size:end]) for size, end in zip(sizes, ends)]
