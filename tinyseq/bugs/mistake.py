"""A known mistake: which line of the right text it changes, and the network that has it."""
from __future__ import annotations

import inspect
import textwrap
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from tinyseq.bugs.stacked import Network, known


@dataclass(frozen=True)
class Mistake:
    """One way to get BPTT wrong: `says` completes "equals the gradient with ...".

    `changes` are (right line, wrong line) pairs of the text in reference.py or stacked.py;
    `source` is where it stood in public, if it did; `layers` how many it takes to make it.
    """

    name: str
    says: str
    changes: tuple[tuple[str, str], ...]
    source: str = ""
    forward: bool = False  # its outputs are others as well
    layers: int = 1

    def lines(self) -> str:
        """Every line as it should be and as it is wrong."""
        return "\n".join(f"  right  {right}\n  wrong  {wrong}" for right, wrong in self.changes)


def mistake(name: str, says: str, *lines: str, source: str = "", forward: bool = False,
            layers: int = 1) -> Mistake:
    """A mistake from its lines: right, wrong, right, wrong ..."""
    return Mistake(name, says, tuple(zip(lines[::2], lines[1::2])), source, forward, layers)


def network(cell: str, mistakes: Iterable[Mistake] = ()) -> Network:
    """The network of a cell with some mistakes in it, or with none.

    Errors: ValueError for a cell or a line that is not there, or is there twice.
    Example:
        >>> from tinyseq.bugs import fixture
        >>> sorted(network("gru").gradients(fixture("gru")))
        ['bias_hh_l0', 'bias_ih_l0', 'h_0', 'weight_hh_l0', 'weight_ih_l0', 'x']
    """
    return _network(cell, tuple(mistakes))


@lru_cache(maxsize=256)
def _network(cell: str, mistakes: tuple[Mistake, ...]) -> Network:
    right = Network(known(cell))
    parts = {"forward": right.hand.forward, "backward": right.hand.backward,
             "stacked": right.forward, "unstacked": right.backward}
    for right_line, wrong_line in [pair for m in mistakes for pair in m.changes]:
        there = [name for name, f in parts.items() for _ in range(text(f).count(right_line))]
        if len(there) != 1:
            raise ValueError(f"the line {right_line!r} is {len(there)} times in the text of "
                             f"{cell!r}: it must be there once")
        parts[there[0]] = retold(parts[there[0]], ((right_line, wrong_line),))
    hand = right.hand._replace(forward=parts["forward"], backward=parts["backward"])
    return Network(hand, parts["stacked"], parts["unstacked"])


@lru_cache(maxsize=256)
def text(function: Callable) -> str:
    """The text of a function, also of one that was retold."""
    return getattr(function, "text", None) or textwrap.dedent(inspect.getsource(function))


def retold(function: Callable, changes: Iterable[tuple[str, str]]) -> Callable:
    """The same function from its text with some lines changed; it lives where the right one does.

    Errors: ValueError for a line that is not in the text exactly once.
    """
    told = text(function)
    for right, wrong in changes:
        if told.count(right) != 1:
            raise ValueError(f"{right!r} is {told.count(right)} times in {function.__qualname__}")
        told = told.replace(right, wrong)
    code = compile(told, f"<{function.__name__} with a mistake>", "exec", dont_inherit=False)
    body = next(c for c in code.co_consts if isinstance(c, types.CodeType))
    made = types.FunctionType(body, function.__globals__, function.__name__,
                              function.__defaults__)
    made.__kwdefaults__ = function.__kwdefaults__
    made.__dict__["text"] = told
    return made
