"""The hand-written mistakes of tinyseq.bugs under the check's rule, fixture by fixture."""
from __future__ import annotations

from functools import lru_cache

import numpy as np

from fixtures import Slopes, at_a_kink, by_hand, differing, hand_slopes
from tinyseq import bugs
from tinyseq.bugs import gru, lstm, rnn

HAND: dict[str, tuple[bugs.Mistake, ...]] = {"lstm": lstm.LSTM, "gru": gru.GRU, "rnn": rnn.RNN}
FIXTURES = "F1", "F2", "F4", "F5", "F8", "kink"


def home(cell: str, mistake: bugs.Mistake) -> str:
    """The cell that a mistake is possible in: a rectifier's needs one."""
    return "rnn_relu" if mistake in rnn.RELU and cell == "rnn" else cell


@lru_cache(maxsize=None)
def fixture(name: str, cell: str) -> bugs.Fixture:
    """A fixture by its name; "kink" is F1 with a unit that is given exactly 0."""
    return at_a_kink(by_hand("F1", cell)) if name == "kink" else by_hand(name, cell)


@lru_cache(maxsize=None)
def wanted(name: str, cell: str) -> Slopes:
    """What the gradients must be: measured, or at a kink the convention that is torch's."""
    if name == "F4":  # F1 with ten times the cotangents
        return {key: (10 * n, 10 * size) for key, (n, size) in wanted("F1", cell).items()}
    net, f = bugs.network(cell), fixture(name, cell)
    if name != "kink":
        return hand_slopes(net, f)
    return {key: (g, np.abs(g)) for key, g in net.gradients(f).items()}


def caught(cell: str, mistake: bugs.Mistake, among: tuple[str, ...] = FIXTURES) -> list[str]:
    """The fixtures on which |a - n| <= 1e-6 |n| + 1e-8 S is broken."""
    at = home(cell, mistake)
    if mistake.layers > 2:
        raise ValueError(f"{mistake.name!r} takes {mistake.layers} layers: F1 to F8 have two")
    net = bugs.network(at, [mistake])
    return [name for name in among if (name == "kink") == (at == "rnn_relu")
            and differing(net.gradients(fixture(name, at)), wanted(name, at))]


def named(cell: str, mistake: bugs.Mistake) -> bool:
    """Whether `diagnose` answers with this mistake, and with no other."""
    at = home(cell, mistake)
    f = at_a_kink(bugs.fixture(at)) if at == "rnn_relu" else bugs.fixture(at)
    found = bugs.diagnose(bugs.network(at, [mistake]).gradients(f), at, f)
    return found.mistakes == (mistake,)
