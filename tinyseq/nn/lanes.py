"""A lane: one layer in one direction, over sequences of one length or of many.

A batch comes as pieces, blocks (steps, n, I) one after the other in time. Sequences of one length
are one piece; of many, the longest first, there is a piece for every stretch of steps in which
the same n of them last: each is computed as a batch of its own, and nothing for padding.
"""
from __future__ import annotations

from tinyseq.equations import Cell
from tinyseq.layer import Weights
from tinyseq.ops import cat, getitem, narrow
from tinyseq.scope import state
from tinyseq.tensor import Tensor
from tinyseq.unroll import initial, unroll

States = tuple[Tensor, ...]


def lane(cell: Cell, pieces: list[Tensor], states: States, weights: Weights,
         reverse: bool) -> tuple[list[Tensor], States]:
    """The outputs, in pieces like the input, and every sequence's final states, each (N, H)."""
    if len(pieces) == 1 and not reverse:
        y, finals = unroll(cell, pieces[0], states, weights)
        return [y], finals
    here = state.scope
    states = tuple([initial(s, name, here.unrolling(cell))
                    for name, s in zip(cell.states, states)])
    state.scope = here
    return (backwards if reverse else forwards)(cell, pieces, states, weights)


def forwards(cell: Cell, pieces: list[Tensor], states: States,
             weights: Weights) -> tuple[list[Tensor], States]:
    """From the first step to the last: sequences end one after the other, the shortest first."""
    outputs, ended, begin = [], [], 0
    for x in pieces:
        steps, n = x.shape[:2]
        ended.append(columns(states, n, states[0].shape[0]))
        times = range(begin, begin + steps)
        y, states = unroll(cell, x, columns(states, 0, n), at_times(weights, times, n), times)
        outputs.append(y)
        begin += steps
    return outputs, joined([states, *reversed(ended)])


def backwards(cell: Cell, pieces: list[Tensor], states: States,
              weights: Weights) -> tuple[list[Tensor], States]:
    """From the last step to the first: each sequence enters with its own h_0 at its last step."""
    outputs: list[Tensor] = []
    running, end = columns(states, 0, 0), sum(x.shape[0] for x in pieces)
    for x in reversed(pieces):
        steps, n = x.shape[:2]
        running = joined([running, columns(states, running[0].shape[0], n)])
        times = range(end - 1, end - steps - 1, -1)
        y, running = unroll(cell, flipped(x), running, at_times(weights, times, n), times)
        outputs.insert(0, flipped(y))
        end -= steps
    return outputs, running


def flipped(x: Tensor) -> Tensor:
    """The steps in reverse order."""
    return getitem(x, index=(slice(None, None, -1),))


def at_times(weights: Weights, times: range, n: int) -> Weights:
    """The weights with what is given for some steps and the first n sequences only."""
    if not weights.given:
        return weights
    rows = slice(min(times), max(times) + 1), slice(0, n)
    parts = [getitem(v, index=rows) for v in weights.given]
    return weights._replace(given=tuple(map(flipped, parts) if times.step < 0 else parts))


def columns(states: States, first: int, last: int) -> States:
    """The states of the sequences from `first` up to, not including, `last`."""
    if first == 0 and last == states[0].shape[0]:
        return states
    return tuple([narrow(s, 0, first, last - first) for s in states])


def joined(parts: list[States]) -> States:
    """The states of several groups of sequences, one group after the other."""
    parts = [part for part in parts if part[0].shape[0]] or parts[:1]
    return parts[0] if len(parts) == 1 else tuple([cat(kind) for kind in zip(*parts)])
