"""N-gram baselines: equal to the formula in plain dictionaries, and true probabilities."""
from __future__ import annotations

import math
import sys
import time
from collections import Counter

import numpy as np
import pytest

from tinyseq.data import ngram
from tinyseq.data.ngram import baselines, surprisal
from tinyseq.data.text import Text, load_text


def plainly(train: list[int], asked: list[int], V: int, order: int) -> list[float]:
    """Witten and Bell's formula, one character after the other."""
    count = [Counter(tuple(train[i:i + n]) for i in range(len(train) - n + 1))
             for n in range(order + 1)]
    nats, history = [], list(train)
    for symbol in asked:
        p = 1 / V
        for n in range(1, order + 1):
            context = tuple(history[len(history) - n + 1:])
            follows = [count[n][(*context, s)] for s in range(V)]
            kinds = sum(c > 0 for c in follows)
            if kinds:
                p = (follows[symbol] + kinds * p) / (sum(follows) + kinds)
        nats.append(-math.log(p))
        history.append(symbol)
    return nats


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_the_plain_formula(seed):
    rng = np.random.default_rng(seed)
    V = 5
    train = rng.choice(V - 1, size=150, p=[.5, .3, .15, .05])  # symbol 4 is never met
    asked = rng.integers(0, V, 60)
    got = surprisal(train, asked, V, 6)
    for n in range(1, 7):
        np.testing.assert_allclose(got[n - 1], plainly(train.tolist(), asked.tolist(), V, n),
                                   rtol=1e-12)
    means = baselines(train, asked, V, (6, 2))
    assert means == {2: got[1].mean(), 6: got[5].mean()}


def test_equal_to_the_plain_formula_on_words():
    text = Text.of("the cat sat on the mat, the rat sat on the cat; that is that. " * 3)
    got = surprisal(text.train, text.validation, len(text.symbols), 4)
    wanted = plainly(text.train.tolist(), text.validation.tolist(), len(text.symbols), 4)
    np.testing.assert_allclose(got[3], wanted, rtol=1e-12)


@pytest.mark.parametrize("context", [[], [0, 1, 2], [2, 2, 2], [3, 0, 3]])
def test_the_probabilities_of_all_symbols_sum_to_one(context):
    rng = np.random.default_rng(1)
    train, V = rng.integers(0, 4, 300), 6
    total = sum(np.exp(-surprisal(train, np.array([*context, s]), V, 5)[:, -1])
                for s in range(V))
    np.testing.assert_allclose(total, 1, rtol=1e-13)


def test_the_smallest_texts():
    """Training as long as the order; a last context that nothing follows."""
    for train, order in (([0, 1, 2], 3), ([0, 0, 0, 1], 2), ([1], 1)):
        got = surprisal(np.array(train), np.array([1, 2, 0]), 3, order)
        np.testing.assert_allclose(got[-1], plainly(train, [1, 2, 0], 3, order), rtol=1e-12)


def test_a_large_alphabet_does_not_overflow():
    """10,000 symbols to the sixth power would not fit 64 bits."""
    rng = np.random.default_rng(2)
    train = np.repeat(rng.integers(0, 10_000, 40), 3).astype(np.uint16)
    got = surprisal(train[:-9], train[-9:], 10_000, 6)
    wanted = plainly(train[:-9].tolist(), train[-9:].tolist(), 10_000, 6)
    np.testing.assert_allclose(got[5], wanted, rtol=1e-12)


def test_of_a_long_text_what_lies_next_to_each_other_counts(monkeypatch):
    monkeypatch.setattr(ngram, "LARGEST_TRAINING", 100)
    monkeypatch.setattr(ngram, "LARGEST_VALIDATION", 30)
    rng = np.random.default_rng(3)
    train, asked = rng.integers(0, 4, 500), rng.integers(0, 4, 80)
    np.testing.assert_array_equal(surprisal(train, asked, 4, 3),
                                  surprisal(train[-100:], asked[:30], 4, 3))


def test_what_cannot_be_counted_is_refused():
    some = np.array([0, 1, 0])
    for arguments, words in (((some, some, 2, []), "orders"), ((some, some, 2, [0, 1]), "orders"),
                             ((some, some, 2, [4]), "at least 4 training characters"),
                             ((some, some[:0], 2, [1]), "validation part"),
                             ((some, some, 1, [1]), "0 to 0"),
                             ((some - 1, some, 2, [1]), "0 to 1")):
        with pytest.raises(ValueError, match=words):
            baselines(*arguments)


def test_the_manual_in_time():
    text = load_text()
    began = time.process_time()
    got = baselines(text.train, text.validation, len(text.symbols))
    assert time.process_time() - began < 2.5
    assert list(got) == [1, 2, 3, 4, 5]
    assert sorted(got.values(), reverse=True) == list(got.values())
    assert got[1] < math.log(len(text.symbols))
    if sys.version_info[:3] == (3, 11, 7):
        wanted = {1: 3.238, 2: 2.318, 3: 1.712, 4: 1.404, 5: 1.320}
        assert got == pytest.approx(wanted, abs=6e-4)
