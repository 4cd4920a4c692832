"""Character n-grams to compare a network with: interpolated, smoothed as Witten and Bell do."""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np

LARGEST_TRAINING = 2_000_000  # characters that are counted, so that it takes seconds
LARGEST_VALIDATION = 200_000  # characters that are predicted


def baselines(train_codes: np.ndarray, validation_codes: np.ndarray, V: int,
              orders: Iterable[int] = range(1, 6)) -> dict[int, float]:
    """Nats per character on the validation part, for n-grams of each order n, counted in training.

    Of a longer training part the last 2 million characters are counted, of a longer validation
    part the first 200,000 are predicted: those that lie next to each other.

    Shapes: train_codes and validation_codes (characters,), integers from 0 to V - 1.
    Units: nats per character.
    Source: Witten and Bell 1991, method C; interpolated down to the uniform distribution 1 / V.
    Example:
        >>> text = np.tile([0, 1], 500)  # once the start is over, nothing but a repetition
        >>> {n: round(nats, 3) for n, nats in baselines(text, text, V=2, orders=(1, 2)).items()}
        {1: 0.693, 2: 0.001}
    """
    wanted = sorted(set(orders))
    if not wanted or wanted[0] < 1:
        raise ValueError(f"the orders of n-grams start at 1, got {wanted}")
    every = surprisal(train_codes, validation_codes, V, wanted[-1])
    return {n: float(every[n - 1].mean()) for n in wanted}


def surprisal(train_codes: np.ndarray, validation_codes: np.ndarray, V: int,
              order: int) -> np.ndarray:
    r"""-ln p of every validation character under the n-grams of order 1 to `order`.

    The first characters to predict have the end of the training part for their context.

    Equation: p_n(s | c) = (count(c s) + kinds(c) p_{n-1}(s | c')) / (count(c) + kinds(c)),
        where c is the n - 1 characters before s, c' is c without the first one, count(c) = \sum_s
        count(c s), and kinds(c) is how many different characters have followed c; p_0 = 1 / V.
    Shapes: returns (order, characters of the validation part).
    Units: nats.
    """
    train = np.asarray(train_codes[-LARGEST_TRAINING:], np.int64)
    asked = np.asarray(validation_codes[:LARGEST_VALIDATION], np.int64)
    refuse(train, asked, V, order)
    M = len(asked)
    asked = np.concatenate([train[len(train) - order + 1:], asked])
    p = np.full(M, 1 / V)
    nats = np.empty((order, M))
    # A context's number is its rank among those of training, so it never outgrows an integer;
    # -1 is a context that training has not met. That of order 1 is empty and has number 0.
    context, asked_context = np.zeros_like(train), np.zeros_like(asked)
    for n in range(1, order + 1):
        grams, rank, count = np.unique(context * V + train[n - 1:], return_inverse=True,
                                       return_counts=True)
        asked_rank = place(grams, np.where(asked_context < 0, -1,
                                           asked_context * V + asked[n - 1:]))
        # One place more, that of number -1, stands for everything not met.
        kinds = np.bincount(grams // V, minlength=context.max() + 2)
        total = np.bincount(grams // V, count, minlength=len(kinds))
        hits = np.append(count, 0)[asked_rank[-M:]]
        kind = kinds[asked_context[-M:]]
        known = kind > 0
        p[known] = ((hits + kind * p) / (total[asked_context[-M:]] + np.maximum(kind, 1)))[known]
        nats[n - 1] = -np.log(p)
        context, asked_context = rank[:-1], asked_rank[:-1]
    return nats


def refuse(train: np.ndarray, asked: np.ndarray, V: int, order: int) -> None:
    """Raise a ValueError where there is nothing to count or to predict, or a code is none."""
    if len(train) < order or not len(asked):
        raise ValueError(f"n-grams of order {order} need at least {order} training characters and "
                         f"a validation part, got {len(train)} and {len(asked)} characters")
    if min(train.min(), asked.min()) < 0 or max(train.max(), asked.max()) >= V:
        raise ValueError(f"the codes of an alphabet of V={V} symbols are 0 to {V - 1}")


def place(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where each value stands in an ordered array; -1 for one that it does not hold."""
    where = np.searchsorted(ordered, values).clip(max=len(ordered) - 1)
    return np.where(ordered[where] == values, where, -1)
