"""Tasks with an exact definition and a baseline: adding, copy, order, echo, parity.

Each is a pure function of its sizes and a seed: same arguments, same arrays, on every platform.
"""
from __future__ import annotations

import numpy as np


def adding(N: int, T: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The adding problem: the sum of the two numbers that are marked, after the last step.

    Numbers are uniform in [0, 1); one mark lies in the first half of the steps, one in the second.
    Always answering 1 has the mean squared error 1/6.
    Shapes: x (T, N, 2), the numbers and the marks, float32; y (N,), float32.
    Errors: ValueError for fewer than 2 steps.
    Source: Hochreiter and Schmidhuber 1997, experiment 4; in the form of Le, Jaitly and Hinton
        2015.
    Example:
        >>> x, y = adding(N=4, T=10)
        >>> bool(np.allclose((x[:, :, 0] * x[:, :, 1]).sum(axis=0), y))
        True
    """
    rng = drawing("adding", seed, N=(N, 1), T=(T, 2))
    x = np.zeros((T, N, 2), np.float32)
    x[:, :, 0] = rng.random_sample((T, N))
    marks = np.stack([rng.randint(0, T // 2, N), rng.randint(T // 2, T, N)])  # (2, N)
    x[marks, np.arange(N), 1] = 1
    return x, x[marks, np.arange(N), 0].sum(axis=0)


def copy(N: int, T: int, S: int = 10, K: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The copy problem: S symbols of K kinds, a long wait of T steps, then say them again.

    Codes: 0 to K - 1 the symbols, K blank, K + 1 "now". x is S symbols, T - 1 blanks, one "now"
    and S blanks; y is T + S blanks and the symbols. So there are K + 2 codes to read and K + 1 to
    say. Without memory the best cross-entropy is S ln K / (T + 2 S) nats a step.
    Shapes: x and y (T + 2 S, N), int64.
    Source: Hochreiter and Schmidhuber 1997; in the form of Arjovsky, Shah and Bengio 2016.
    Example:
        >>> x, y = copy(N=1, T=3, S=2, K=4)
        >>> x[:, 0].tolist(), y[:, 0].tolist()
        ([0, 3, 4, 4, 5, 4, 4], [4, 4, 4, 4, 4, 0, 3])
    """
    rng = drawing("copy", seed, N=(N, 1), T=(T, 1), S=(S, 1), K=(K, 1))
    x, y = np.full((2, T + 2 * S, N), K, np.int64)
    x[:S] = y[T + S:] = rng.randint(0, K, (S, N))
    x[T + S - 1] = K + 1
    return x, y


def order(N: int, T: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The temporal order problem: which of A and B came first and which second, after T steps.

    Codes: 0 A, 1 B, 2 to 5 distractors. One A or B lies in the second tenth of the steps, one in
    the fifth, all else is distractors; the class is 2 first + second. Guessing costs ln 4 nats.
    Shapes: x (T, N), int64; y (N,), int64, 0 to 3.
    Errors: ValueError for fewer than 10 steps.
    Source: Hochreiter and Schmidhuber 1997, experiment 6a; in the form of Pascanu, Mikolov and
        Bengio 2013.
    Example:
        >>> x, y = order(N=1, T=10)
        >>> x[:, 0].tolist(), y.tolist()
        ([2, 1, 3, 2, 0, 5, 5, 5, 3, 5], [2])
    """
    rng = drawing("order", seed, N=(N, 1), T=(T, 10))
    x = rng.randint(2, 6, (T, N)).astype(np.int64)
    letters = rng.randint(0, 2, (2, N)).astype(np.int64)
    places = np.stack([rng.randint(start * T // 10, (start + 1) * T // 10, N) for start in (1, 4)])
    x[places, np.arange(N)] = letters
    return x, 2 * letters[0] + letters[1]


def echo(N: int, T: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    r"""The echo series: coins x, and y that depends on the coins of 3 and of 8 steps ago.

    Equation: P(y_t = 1) = 1/2 + x_{t-3} / 2 - x_{t-8} / 4, with x = 0 before the first step
    Units: a model that sees no dependency costs .6616 nats, one that sees the first .5192, one
        that sees both .4545: the entropies of y from the ninth step on.
    Shapes: x and y (T, N), int64, 0 or 1.
    Source: Pitis 2016, Recurrent neural networks in TensorFlow I (R2RT).
    Example:
        >>> x, y = echo(N=2, T=1000)
        >>> bool(y[3:][(x[:-3] == 1) & (np.roll(x, 5, axis=0)[:-3] == 0)].all())
        True
    """
    rng = drawing("echo", seed, N=(N, 1), T=(T, 1))
    x = rng.randint(0, 2, (T, N)).astype(np.int64)
    p = np.full((T, N), 0.5)
    p[3:] += 0.5 * x[:-3]
    p[8:] -= 0.25 * x[:-8]
    return x, (rng.random_sample((T, N)) < p).astype(np.int64)


def parity(N: int, T: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The parity problem: at every step, whether the ones so far are odd in number.

    Guessing costs ln 2 nats a step.
    Shapes: x and y (T, N), int64, 0 or 1.
    Source: Hochreiter and Schmidhuber 1996, Bridging long time lags by weight guessing and LSTM;
        there the answer is wanted at the end only.
    Example:
        >>> x, y = parity(N=1, T=6)
        >>> x[:, 0].tolist(), y[:, 0].tolist()
        ([0, 1, 1, 0, 1, 1], [0, 1, 0, 0, 1, 0])
    """
    rng = drawing("parity", seed, N=(N, 1), T=(T, 1))
    x = rng.randint(0, 2, (T, N)).astype(np.int64)
    return x, np.cumsum(x, axis=0) % 2


def drawing(task: str, seed: int, **sizes: tuple[int, int]) -> np.random.RandomState:
    """A stream of numbers that stays the same in all versions of numpy; sizes are checked."""
    for name, (given, least) in sizes.items():
        if not isinstance(given, (int, np.integer)) or given < least:
            raise ValueError(f"{task} needs {name} >= {least}, a whole number, got {given!r}")
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2 ** 32:
        raise ValueError(f"{task} needs a seed from 0 to 2^32 - 1, got {seed!r}")
    return np.random.RandomState(seed)
