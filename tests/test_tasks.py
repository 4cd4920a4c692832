"""The generated tasks: each does what its definition says, and its baseline is what is stated."""
from __future__ import annotations

import datetime
import locale
import math
import re

import numpy as np
import pytest

from tinyseq.data import tasks
from tinyseq.data.reber import LETTERS, legal
from tinyseq.data.words import SHAPES, WORDS, BAD, GOOD, written

CALLS = {"adding": (50, 20), "copy": (50, 7, 3, 4), "order": (50, 30), "echo": (50, 20),
         "parity": (50, 20), "reber": (50,), "dates": (50,), "opinions": (50,)}


def entropy(p):
    return -p * math.log(p) - (1 - p) * math.log(1 - p) if 0 < p < 1 else 0.0


@pytest.mark.parametrize("name", tasks.__all__)
def test_same_seed_same_arrays(name):
    make = getattr(tasks, name)
    np.random.seed(1)
    first, again, other = make(*CALLS[name]), make(*CALLS[name]), make(*CALLS[name], seed=1)
    state = np.random.get_state()[1].tolist()
    np.random.seed(1)
    assert np.random.get_state()[1].tolist() == state   # numpy's own stream is left alone
    for a, b in zip(first, again):
        assert a.tobytes() == b.tobytes() if isinstance(a, np.ndarray) else a == b
    assert any(not np.array_equal(a, b) for a, b in zip(first, other))


@pytest.mark.parametrize("name", tasks.__all__)
def test_sizes_and_seeds_are_checked(name):
    make, given = getattr(tasks, name), CALLS[name]
    for k in range(len(given)):
        for bad in (0, 2.5):
            with pytest.raises(ValueError, match=f"{name} needs .* >= .*{bad}"):
                make(*given[:k], bad, *given[k + 1:])
    for seed in (-1, 2 ** 32, 0.5):
        with pytest.raises(ValueError, match="seed from 0"):
            make(*given, seed=seed)


@pytest.mark.parametrize("T", [2, 3, 50])
def test_adding(T):
    x, y = tasks.adding(20_000, T)
    assert x.shape == (T, 20_000, 2) and x.dtype == y.dtype == np.float32
    numbers, marks = x[:, :, 0], x[:, :, 1]
    assert set(marks.ravel()) == ({1.0} if T == 2 else {0.0, 1.0})
    assert 0 <= numbers.min() and numbers.max() <= 1
    assert (marks[:T // 2].sum(axis=0) == 1).all() and (marks[T // 2:].sum(axis=0) == 1).all()
    np.testing.assert_allclose((numbers * marks).sum(axis=0), y, rtol=1e-6)
    assert ((y - 1) ** 2).mean() == pytest.approx(1 / 6, rel=0.03)
    assert marks.mean(axis=1).min() > 0


@pytest.mark.parametrize("T, S, K", [(1, 1, 1), (30, 5, 4), (50, 10, 8)])
def test_copy(T, S, K):
    x, y = tasks.copy(500, T, S, K)
    assert x.shape == y.shape == (T + 2 * S, 500) and x.dtype == y.dtype == np.int64
    assert np.array_equal(x[:S], y[-S:]) and set(x[:S].ravel()) == set(range(K))
    assert (x[T + S - 1] == K + 1).all() and (x == K + 1).sum() == 500
    assert (y[:-S] == K).all() and (np.delete(x[S:], T - 1, axis=0) == K).all()
    best = sum(math.log(K) if t >= T + S else 0.0 for t in range(T + 2 * S)) / (T + 2 * S)
    assert best == pytest.approx(S * math.log(K) / (T + 2 * S))


@pytest.mark.parametrize("T", [10, 11, 50, 99])
def test_order(T):
    x, y = tasks.order(4000, T)
    for n in range(0, 4000, 40):
        (first, second) = np.flatnonzero(x[:, n] < 2)
        assert T // 10 <= first < 2 * T // 10 and 4 * T // 10 <= second < 5 * T // 10
        assert y[n] == 2 * x[first, n] + x[second, n]
    assert set(x.ravel()) == set(range(6)) and ((x < 2).sum(axis=0) == 2).all()
    share = np.bincount(y) / 4000
    assert -(share * np.log(share)).sum() == pytest.approx(math.log(4), rel=1e-2)


def test_echo():
    x, y = tasks.echo(2000, 200)
    assert x.shape == y.shape == (200, 2000) and set(x.ravel()) == set(y.ravel()) == {0, 1}
    now, three, eight = y[8:], x[5:-3], x[:-8]
    share = {(a, b): now[(three == a) & (eight == b)].mean() for a in (0, 1) for b in (0, 1)}
    for (a, b), found in share.items():
        assert found == pytest.approx(0.5 + 0.5 * a - 0.25 * b, abs=0.01)
    stated = [float("0" + n) for n in re.findall(r"(?<!\d)\.\d{4}", tasks.echo.__doc__)]
    one = np.mean([entropy(0.5 - 0.125), entropy(1 - 0.125)])
    both = np.mean([entropy(p) for p in (0.5, 0.25, 1.0, 0.75)])
    assert stated == [round(c, 4) for c in (entropy(0.625), one, both)]
    early = tasks.echo(20_000, 3)[1]
    assert early.mean() == pytest.approx(0.5, abs=0.01)


def test_parity():
    x, y = tasks.parity(300, 40)
    odd = np.zeros(300, bool)
    for t in range(40):
        odd ^= x[t] == 1
        assert np.array_equal(y[t], odd)
    assert y[-1].mean() == pytest.approx(0.5, abs=0.1)


# -- the grammar, written out a second time as a regular expression -----------------------
TAIL = "T*V(?:PXT*V)*(?:V|PS)"   # from where both branches can meet to the last letter but one
REBER = re.compile(f"B(?:TS*X(?:S|X{TAIL})|P{TAIL})E")


def test_reber_strings_are_those_of_the_grammar():
    strings = tasks.reber(2000)
    seen = set()
    for n, length in enumerate(strings.lengths):
        word = "".join(LETTERS[code] for code in strings.x[:length, n]) + "E"
        assert word[0] == "B" and word[1] == word[-2] and word[1] in "TP"
        assert REBER.fullmatch(word[2:-2]), word
        seen.add(word)
        for t in range(length):
            assert strings.legal[t, n, LETTERS.index(word[t + 1])]
            assert strings.legal[t, n].sum() == 1 + (t != 1 and t < length - 3)
        assert not strings.legal[length:, n].any() and not strings.x[length:, n].any()
    assert len(seen) > 100 and strings.lengths.min() == 8
    assert strings.x[1].mean() == pytest.approx(1.5, abs=0.1)  # T 1, P 2


def test_what_follows_is_all_that_the_grammar_allows():
    """Every letter that is said to be legal goes on to some whole string; no other does."""
    beginnings, whole = {""}, set()
    for _ in range(13):
        longer = set()
        for word in beginnings:
            follow = list(legal(word))[-1] if word else "B"
            if not follow:
                whole.add(word)
            longer |= {word + letter for letter in follow}
            for letter in set(LETTERS) - set(follow):
                with pytest.raises(ValueError, match=f"letter {len(word)} is"):
                    list(legal(word + letter))
        beginnings = longer
    assert len(whole) > 20
    assert all(REBER.fullmatch(word[2:-2]) and word[1] == word[-2] for word in whole)


# -- words --------------------------------------------------------------------------------
def test_dates_are_what_strftime_writes():
    pairs = tasks.dates(3000)
    assert locale.setlocale(locale.LC_TIME) in ("C", "C.UTF-8", "en_US.UTF-8", "POSIX")
    formats = [re.sub(r"\{(\w)(:02)?\}", r"%\1", shape) for shape in SHAPES]
    assert len(set(SHAPES)) == 12 and len(set(pairs.texts)) > 2800
    for text, answer in zip(pairs.texts, pairs.answers):
        date = datetime.date.fromisoformat(answer)
        assert text in {written(date, shape) for shape in SHAPES}
        assert re.sub(r"\b0+(?=\d)", "", text) in {
            re.sub(r"\b0+(?=\d)", "", date.strftime(format)) for format in formats}
    back = [["".join(pairs.symbols[code - 1] for code in row if code) for row in part.T]
            for part in (pairs.x, pairs.y)]
    assert back == [pairs.texts, pairs.answers] and pairs.y.shape == (10, 3000)
    assert pairs.lengths.tolist() == list(map(len, pairs.texts))


def test_guessing_is_as_hopeless_as_the_docstrings_say():
    strings = tasks.reber(4000)
    last = strings.x[strings.lengths - 1, np.arange(4000)]    # the last but one of the string
    assert np.mean(last == LETTERS.index("T")) == pytest.approx(0.5, abs=0.03)
    assert (last == strings.x[1]).all() and set(last) == {LETTERS.index(c) for c in "TP"}
    days = (datetime.date(2049, 12, 31) - datetime.date(1950, 1, 1)).days + 1
    assert f"{days:,}" in tasks.dates.__doc__
    assert max(map(tasks.dates(3000).answers.count, set(tasks.dates(3000).answers))) < 5


def test_no_text_has_two_answers():
    pairs = tasks.dates(20_000)
    answers = dict(zip(pairs.texts, pairs.answers))
    assert [answers[text] for text in pairs.texts] == pairs.answers


def approves(text):
    """The opinion of a sentence, read from its words."""
    if text.startswith("although "):
        return approves(text.split(" , ")[1])
    if " although " in text:
        return approves(text.split(" although ")[0])
    if " but " in text:
        return approves(text.split(" but ")[1])
    *_, adjective = words = text.split()
    assert adjective in GOOD + BAD
    return (adjective in GOOD) != bool({"not", "never"} & set(words))


def test_opinions_mean_what_they_say():
    made = tasks.opinions(4000)
    assert [approves(text) for text in made.texts] == (made.y == 1).tolist()
    assert made.y.mean() == 0.5 and len(WORDS) == len(set(WORDS)) == 43
    assert [" ".join(WORDS[code - 1] for code in row if code) for row in made.x.T] == made.texts
    assert len(set(made.texts)) > 2900  # (of 4,000)


def test_counting_words_does_not_tell_opinions():
    """Logistic regression on the counts of words: above chance, far below what a reader gets."""
    made = tasks.opinions(6000)
    counts = np.stack([(made.x == code).sum(axis=0) for code in range(1, len(WORDS) + 1)], axis=1)
    features = np.hstack([counts, np.ones((6000, 1))])
    train, test = slice(0, 4000), slice(4000, 6000)
    w = np.zeros(features.shape[1])
    for _ in range(30):    # Newton's method, with a little decay
        p = 1 / (1 + np.exp(-features[train] @ w))
        slope = features[train].T @ (p - made.y[train]) + 1e-3 * w
        curve = (features[train] * (p * (1 - p))[:, None]).T @ features[train]
        w -= np.linalg.solve(curve + 1e-3 * np.eye(len(w)), slope)
    right = ((features[test] @ w > 0) == made.y[test]).mean()
    assert 0.53 < right <= 0.7
