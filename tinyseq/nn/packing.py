"""Sequences of unequal lengths in one tensor, padded or packed: torch.nn.utils.rnn's functions.

Packed, the rows of all sequences stand by time, the longest sequence first: nothing is computed
for padding, and padding cannot leak into a result. tinyseq.nn.utils.rnn offers the public names.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from tinyseq.errors import ShapeError
from tinyseq.ops import cat, getitem, narrow, put, reshape, transpose
from tinyseq.tensor import Tensor, wrap


class Fields(NamedTuple):
    """What a PackedSequence holds."""

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None


class PackedSequence(Fields):
    """N sequences as rows by time: at time t the rows of the batch_sizes[t] that last so long.

    `sorted_indices` says which of the caller's sequences stands where, None that all stand as
    they were given; `unsorted_indices` is its inverse.
    Shapes: data (sum of all lengths, *), batch_sizes (T) never growing, the indices (N).
    Errors: ShapeError for batch sizes that grow, are below 1 or do not add up to data's rows.
    Example:
        >>> import tinyseq as ts
        >>> p = pack_sequence([ts.tensor([1, 2, 3]), ts.tensor([4, 5])])
        >>> p.data.tolist(), p.batch_sizes.tolist()
        ([1, 4, 2, 5, 3], [2, 2, 1])
    """

    __slots__ = ()

    def __new__(cls, data: Any, batch_sizes: Any, sorted_indices: Any = None,
                unsorted_indices: Any = None) -> PackedSequence:
        sizes = integers("batch_sizes", batch_sizes)
        if sizes.ndim != 1 or not sizes.size or (np.diff(sizes) > 0).any() or sizes[-1] < 1 \
                or sizes.sum() != data.shape[0]:
            raise ShapeError(f"PackedSequence: batch_sizes {sizes.tolist()} must be at least 1, "
                             f"never grow, and add up to data's {data.shape[0]} rows: let "
                             "pack_padded_sequence make them")
        order = None if sorted_indices is None else integers("sorted_indices", sorted_indices)
        if order is not None and sorted(order.ravel().tolist()) != list(range(sizes[0])):
            raise ShapeError(f"PackedSequence: sorted_indices {order.tolist()} must hold each of "
                             f"0 to {sizes[0] - 1} once")
        inverse = None if order is None else wrap(np.argsort(order))
        return super().__new__(cls, data, wrap(sizes), None if order is None else wrap(order),
                               inverse)

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> PackedSequence:  # type: ignore[override]
        return cls(*iterable)  # what _replace calls: checked as well

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same sequences in another dtype; the arguments are those of `Tensor.to`."""
        return self._replace(data=self.data.to(*args, **kwargs))

    @property
    def order(self) -> np.ndarray:
        """Which of the caller's sequences each column holds."""
        return np.arange(self.batch_sizes.array[0]) if self.sorted_indices is None \
            else self.sorted_indices.array

    @property
    def lengths(self) -> np.ndarray:
        """Every sequence's length, in the caller's order."""
        lengths = np.empty(len(self.order), np.int64)
        lengths[self.order] = (self.batch_sizes.array[:, None] > np.arange(len(lengths))).sum(0)
        return lengths

    def pieces(self) -> list[Tensor]:
        """The data as (steps, n, *) blocks, one for each stretch of steps with n sequences."""
        sizes, begins = np.unique(-self.batch_sizes.array, return_index=True)
        ends, blocks, row = [*begins[1:], self.batch_sizes.shape[0]], [], 0
        for n, begin, end in zip(-sizes, begins, ends):
            steps = int(end - begin)
            block = self.data if len(sizes) == 1 else narrow(self.data, 0, row, steps * int(n))
            blocks.append(reshape(block, (steps, int(n), *self.data.shape[1:])))
            row += steps * int(n)
        return blocks


# -- there and back -----------------------------------------------------------------------
def pack_padded_sequence(input: Any, lengths: Any, batch_first: bool = False,
                         enforce_sorted: bool = True) -> PackedSequence:
    """Drop the padding; what stands beyond a sequence's length is never looked at.

    Shapes: input (T, N, *), or (N, T, *) if batch_first; lengths (N) integers from 1 to T, in
        decreasing order unless enforce_sorted=False.
    Errors: ShapeError naming the sequence, its length and T; TypeError for lengths that are not
        integers; RuntimeError for lengths that are not sorted.
    Example:
        >>> import tinyseq as ts
        >>> pack_padded_sequence(ts.tensor([[1, 4], [2, 5], [3, 0]]), [3, 2]).data
        tensor([1, 4, 2, 5, 3])
    """
    if input.ndim < 2:
        raise ShapeError("pack_padded_sequence: input must be (T, N, *), or (N, T, *) if "
                         f"batch_first, got shape {tuple(input.shape)}")
    x = transpose(input, 0, 1) if batch_first else input
    T, N = x.shape[:2]
    counts = checked_lengths(lengths, T, N)
    if enforce_sorted and (np.diff(counts) > 0).any():
        raise RuntimeError("`lengths` array must be sorted in decreasing order when "
                           "`enforce_sorted` is True. You can pass `enforce_sorted=False` to "
                           "pack_padded_sequence and/or pack_sequence to sidestep this "
                           f"requirement, got {counts.tolist()}")
    order = np.argsort(-counts, kind="stable")
    sizes = (counts > np.arange(counts.max())[:, None]).sum(1)
    flat = reshape(x, (T * N, *x.shape[2:]))
    return PackedSequence(getitem(flat, index=(packed_rows(sizes, order),)), sizes,
                          None if enforce_sorted else order)


def pad_packed_sequence(sequence: PackedSequence, batch_first: bool = False,
                        padding_value: float = 0.0,
                        total_length: int | None = None) -> tuple[Tensor, Tensor]:
    """(padded, lengths): the sequences in the caller's order, with padding up to `total_length`.

    Shapes: padded (T, N, *), or (N, T, *) if batch_first; lengths (N).
    Errors: ValueError for a total_length below the longest sequence's.
    Example:
        >>> import tinyseq as ts
        >>> p = pack_sequence([ts.tensor([4]), ts.tensor([1, 2])], enforce_sorted=False)
        >>> pad_packed_sequence(p, batch_first=True)
        (tensor([[4, 0],
                [1, 2]]), tensor([1, 2]))
    """
    sizes = sequence.batch_sizes.array
    T = len(sizes) if total_length is None else total_length
    if T < len(sizes):
        raise ValueError("Expected total_length to be at least the length of the longest sequence "
                         f"in input, but got total_length={total_length} and max sequence length "
                         f"being {len(sizes)}")
    rows = packed_rows(sizes, sequence.order)
    padded = spread(sequence.data, rows, T, int(sizes[0]), padding_value)
    return transpose(padded, 0, 1) if batch_first else padded, wrap(sequence.lengths)


def pad_sequence(sequences: Any, batch_first: bool = False, padding_value: float = 0.0,
                 padding_side: str = "right") -> Tensor:
    """Sequences of unequal lengths side by side, filled up to the longest one's.

    Shapes: each sequence (its length, *); result (T, N, *), or (N, T, *) if batch_first.
    Example:
        >>> import tinyseq as ts
        >>> pad_sequence([ts.tensor([1, 2]), ts.tensor([3])], batch_first=True, padding_value=9)
        tensor([[1, 2],
                [3, 9]])
    """
    if padding_side not in ("left", "right"):
        raise RuntimeError("Expected padding_side to be one of left or right, but got "
                           f"{padding_side}.")
    given = list(sequences)
    if not given:
        raise RuntimeError("received an empty list of sequences")
    lengths = [len(s) for s in given]
    T, N = max(lengths), len(given)
    starts = [T - L if padding_side == "left" else 0 for L in lengths]
    rows = np.concatenate([(start + np.arange(L)) * N + n
                           for n, (start, L) in enumerate(zip(starts, lengths))])
    padded = spread(cat(given), rows, T, N, padding_value)
    return transpose(padded, 0, 1) if batch_first else padded


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences, each (its length, *)."""
    given = list(sequences)
    return pack_padded_sequence(pad_sequence(given), [len(s) for s in given],
                                enforce_sorted=enforce_sorted)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The list of sequences, each (its length, *): `pad_sequence` undone."""
    x = transpose(padded_sequences, 0, 1) if batch_first else padded_sequences
    counts = checked_lengths(lengths, *x.shape[:2])
    return [x[:int(L), n] for n, L in enumerate(counts)]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The list of sequences, each (its length, *): `pack_sequence` undone."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences))


def last_output(output: Any, lengths: Any = None, batch_first: bool = False,
                bidirectional: bool = False) -> Tensor:
    """Every sequence's output at its own last step, from what a recurrent layer returned.

    In the reverse direction the last step is time 0: with bidirectional=True the output's second
    half is taken there. (`output[-1]` would be padding, or half read after one step only.)
    Shapes: output (T, N, F), or (N, T, F) if batch_first, or a PackedSequence; result (N, F).
    Example:
        >>> import tinyseq as ts
        >>> rnn, x = ts.nn.RNN(2, 3, bidirectional=True), ts.ones(5, 2, 2)
        >>> output, h_n = rnn(x, lengths=[2, 5])
        >>> bool((last_output(output, [2, 5], bidirectional=True)[:, :3] == h_n[0]).all())
        True
    """
    if isinstance(output, PackedSequence):
        output, lengths = pad_packed_sequence(output, batch_first)
    x = transpose(output, 0, 1) if batch_first else output
    T, N = x.shape[:2]
    ends = checked_lengths([T] * N if lengths is None else lengths, T, N) - 1
    last = getitem(x, index=(ends, np.arange(N)))
    if not bidirectional:
        return last
    half = x.shape[-1] // 2
    return cat([narrow(last, -1, 0, half), narrow(x[0], -1, half, half)], -1)


# -- where the rows stand -----------------------------------------------------------------
def packed_rows(sizes: np.ndarray, order: np.ndarray) -> np.ndarray:
    """For every packed row its row in (T*N): time t and sequence order[n] give t N + order[n]."""
    columns = np.concatenate([order[:n] for n in sizes])
    return np.repeat(np.arange(len(sizes)), sizes) * int(sizes[0]) + columns


def spread(data: Any, rows: np.ndarray, T: int, N: int, padding_value: float) -> Tensor:
    """Data's rows at their places in (T, N, *), everything else being padding."""
    flat = put(data, index=(rows,), shape=(T * N, *data.shape[1:]))
    if padding_value != 0:
        fill = np.full(flat.shape, padding_value, flat.dtype)
        fill[rows] = 0
        flat = flat + wrap(fill)
    return reshape(flat, (T, N, *data.shape[1:]))


def integers(name: str, values: Any) -> np.ndarray:
    """Lengths or indices as an int64 array; a copy, so that later changes cannot reach it."""
    array = values.array if isinstance(values, Tensor) else np.asarray(values)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name} must be integers, got {array.dtype}: {array.tolist()}")
    return array.astype(np.int64)


def checked_lengths(lengths: Any, T: int, N: int) -> np.ndarray:
    """The lengths as int64, refused unless there is one from 1 to T for each of N sequences."""
    counts = integers("lengths", lengths)
    if counts.ndim != 1:
        raise ShapeError(f"lengths must be one list of {N} integers, got shape {counts.shape}")
    if len(counts) != N:
        hint = f"; the input is read as T={T}, N={N}: is batch_first what you mean?" \
            if len(counts) == T else ""
        raise ShapeError("Expected `len(lengths)` to be equal to batch_size, but got "
                         f"{len(counts)} (batch_size={N}){hint}")
    for n, length in enumerate(counts.tolist()):
        if length <= 0:
            raise ShapeError("Length of all samples has to be greater than 0, but found an "
                             f"element in 'lengths' that is <= 0: sample {n} has length {length}")
        if length > T:
            raise ShapeError(f"lengths: sample {n} has length {length}, but the input has only "
                             f"T={T} steps")
    if not N:
        raise ShapeError("lengths: there is no sequence in the batch")
    return counts
