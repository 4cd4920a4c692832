"""The embedded Reber grammar: strings whose last letter but one depends on the second."""
from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tinyseq.data.synthetic import drawing

LETTERS = "BTPSXVE"
# From each place of the inner grammar, the letters that may follow and the places they lead to.
INNER = ({"B": 1}, {"T": 2, "P": 3}, {"S": 2, "X": 4}, {"T": 3, "V": 5}, {"X": 3, "S": 6},
         {"P": 4, "V": 6}, {"E": 7})


class Reber(NamedTuple):
    """Strings as codes, the letters that may come next, and how many steps each string has.

    Shapes: x (T, N), int64, places in LETTERS; legal (T, N, 7), bool, nothing after the end;
        lengths (N,), the steps that have something to predict.
    """

    x: np.ndarray
    legal: np.ndarray
    lengths: np.ndarray


def reber(N: int, seed: int = 0) -> Reber:
    """Strings of the embedded Reber grammar, to predict at each step which letters are legal.

    A string is B, then T or P, then a string of the Reber grammar, then that T or P again, then
    E. Of two ways each is taken with probability 1/2. The last letter is not an input. Who cannot
    remember the second letter guesses the last but one right in half of the strings.
    Source: Reber 1967; embedded by Fahlman 1991; Hochreiter and Schmidhuber 1997, experiment 1.
    Example:
        >>> strings = reber(N=1)
        >>> "".join(LETTERS[code] for code in strings.x[:, 0])
        'BTBTXSET'
        >>> ["".join(np.array(list(LETTERS))[row]) for row in strings.legal[:, 0]]
        ['TP', 'B', 'TP', 'SX', 'SX', 'E', 'T', 'E']
    """
    rng = drawing("reber", seed, N=(N, 1))
    made = [string(rng) for _ in range(N)]
    lengths = np.array([len(word) - 1 for word in made])
    x = np.zeros((lengths.max(), N), np.int64)
    allowed = np.zeros((*x.shape, len(LETTERS)), bool)
    for n, word in enumerate(made):
        for t, follow in enumerate(legal(word[:-1])):
            x[t, n] = LETTERS.index(word[t])
            allowed[t, n, [LETTERS.index(letter) for letter in follow]] = True
    return Reber(x, allowed, lengths)


def string(rng: np.random.RandomState) -> str:
    """One random string of the embedded grammar."""
    ends = "TP"[rng.randint(2)]
    inner, place = "", 0
    while place < len(INNER):
        ways = INNER[place]
        letter = sorted(ways)[rng.randint(len(ways))]
        inner, place = inner + letter, ways[letter]
    return f"B{ends}{inner}{ends}E"


def legal(word: str) -> Iterator[str]:
    """After each letter of a string's beginning, the letters that may follow.

    Errors: ValueError naming the first letter that the grammar does not allow.
    Example:
        >>> list(legal("BTBTXXV"))
        ['TP', 'B', 'TP', 'SX', 'XS', 'TV', 'PV']
    """
    state, expected, place = "start", "B", 0
    for t, letter in enumerate(word):
        if letter not in expected:
            raise ValueError(f"{word!r} is no embedded Reber string: letter {t} is {letter!r}, "
                             f"expected {' or '.join(expected) or 'the end'}")
        if t == 0:
            state, expected = "second", "TP"
        elif t == 1:
            state, ends, expected = "inner", letter, "B"
        elif state == "inner":
            place = INNER[place][letter]
            expected = "".join(INNER[place]) if place < len(INNER) else ends
            state = "inner" if place < len(INNER) else "last"
        else:
            state, expected = "end", "E" if state == "last" else ""
        yield expected
