"""Tasks in words: dates to be read, and opinions to be understood. Both are made, not found."""
from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tinyseq.data.synthetic import drawing

# Names as in the C locale: what strftime says depends on the machine.
MONTHS = ("January February March April May June July August September October November "
          "December").split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
SHAPES = ("{d} {B} {Y}", "{B} {d}, {Y}", "{A}, {d} {B} {Y}", "{A}, {B} {d}, {Y}", "{d} {b} {Y}",
          "{b} {d}, {Y}", "{d:02}.{m:02}.{Y}", "{m:02}/{d:02}/{Y}", "{Y}/{m:02}/{d:02}",
          "{a} {d:02} {b} {Y}", "day {j} of {Y}", "{d}-{b}-{Y}")
FIRST, LAST = datetime.date(1950, 1, 1).toordinal(), datetime.date(2049, 12, 31).toordinal()

SUBJECTS = ("plot cast ending music story dialogue pace script lighting humour camera hero "
            "villain opening").split()
GOOD = "warm clever moving fresh funny tender sharp lively honest bright".split()
BAD = "dull clumsy cold stale boring harsh flat tired false grim".split()
WORDS = sorted([*SUBJECTS, *GOOD, *BAD, "the", "was", "not", "never", "always", "really", "but",
                "although", ","])


class Pairs(NamedTuple):
    """Texts and their answers, as strings and as codes: 0 is padding, k is symbols[k - 1].

    Shapes: x (T, N) and y (S, N), int64; lengths (N,), of the texts.
    """

    texts: list[str]
    answers: list[str]
    x: np.ndarray
    y: np.ndarray
    lengths: np.ndarray
    symbols: str


class Opinions(NamedTuple):
    """Sentences and whether they approve, as words and as codes: 0 is padding, k is WORDS[k - 1].

    Shapes: x (T, N), int64; y (N,), int64, 1 for approval; lengths (N,).
    """

    texts: list[str]
    x: np.ndarray
    y: np.ndarray
    lengths: np.ndarray


def dates(N: int, seed: int = 0) -> Pairs:
    """Dates of 1950 to 2049 written in 12 ways, to be answered as ISO 8601 writes them.

    Sequence to sequence: text and answer are not aligned; the weekday and the day of the year
    make some of it arithmetic. The shapes are those of strftime in the C locale. Guessing is right
    once in 36,525 times.
    Example:
        >>> pairs = dates(N=3)
        >>> list(zip(pairs.texts, pairs.answers))[0]
        ('06/25/1957', '1957-06-25')
    """
    rng = drawing("dates", seed, N=(N, 1))
    texts, answers = [], []
    for ordinal, shape in zip(rng.randint(FIRST, LAST + 1, N), rng.randint(0, len(SHAPES), N)):
        date = datetime.date.fromordinal(int(ordinal))
        texts.append(written(date, SHAPES[shape]))
        answers.append(date.isoformat())
    symbols = "".join(sorted(set("".join([*SHAPES, *MONTHS, *DAYS, "0123456789"])) - set("{}")))
    x, lengths = coded(texts, symbols)
    return Pairs(texts, answers, x, coded(answers, symbols)[0], lengths, symbols)


def written(date: datetime.date, shape: str) -> str:
    """A date in one of the SHAPES; the letters are strftime's.

    Example:
        >>> written(datetime.date(2001, 2, 3), "{A}, {d} {B} {Y}")
        'Saturday, 3 February 2001'
    """
    month, day = MONTHS[date.month - 1], DAYS[date.weekday()]
    return shape.format(d=date.day, m=date.month, Y=date.year, B=month, b=month[:3], A=day,
                        a=day[:3], j=date.timetuple().tm_yday)


def opinions(N: int, seed: int = 0) -> Opinions:
    """Sentences about films, to be told approving from disapproving. Half are each.

    A clause is "the SUBJECT was [not | never | always | really] ADJECTIVE"; not and never turn it
    round. "A but B" means what B means, "although A , B" too, and "B although A". There A and B
    are of opposite opinion, so counting words tells little (about 58 in 100, where reading tells
    all).
    Example:
        >>> made = opinions(N=2)
        >>> made.texts[1], int(made.y[1])
        ('the dialogue was never moving', 0)
    """
    rng = drawing("opinions", seed, N=(N, 1))
    y = rng.permutation(np.arange(N) % 2).astype(np.int64)
    texts = [sentence(rng, bool(approves)) for approves in y]
    x, lengths = coded([text.split() for text in texts], WORDS)
    return Opinions(texts, x, y, lengths)


def sentence(rng: np.random.RandomState, approves: bool) -> str:
    """A random sentence of the wanted opinion."""
    said, other = clause(rng, approves), clause(rng, not approves)
    return (said, said, said, f"{other} but {said}", f"although {other} , {said}",
            f"{said} although {other}")[rng.randint(6)]


def clause(rng: np.random.RandomState, approves: bool) -> str:
    """A random clause of the wanted opinion."""
    adverb = ("", "", "not", "never", "always", "really")[rng.randint(6)]
    adjectives = GOOD if approves != (adverb in ("not", "never")) else BAD
    return " ".join(["the", SUBJECTS[rng.randint(len(SUBJECTS))], "was", *adverb.split(),
                     adjectives[rng.randint(len(adjectives))]])


def coded(texts: Sequence[Sequence[str]], symbols: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Texts as codes from 1, padded with 0, and their lengths: (T, N) and (N,)."""
    code = {symbol: k for k, symbol in enumerate(symbols, 1)}
    lengths = np.array([len(text) for text in texts])
    codes = np.zeros((lengths.max(), len(texts)), np.int64)
    for n, text in enumerate(texts):
        codes[:lengths[n], n] = [code[symbol] for symbol in text]
    return codes, lengths
