"""How a derivative is measured: two or four points, a complex step, or forward mode.

Every method gives, for some directions at a value of the graph, the slope of the loss <outputs, g>
along each, S = sum |g||J d|, how much could have cancelled in it, and what rounding alone makes.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinyseq.errors import GradcheckError
from tinyseq.forward import push
from tinyseq.gradcheck.analytic import AnalyticReplay
from tinyseq.replay import Replay, Source, Use
from tinyseq.tensor import Tensor, wrap

BATCH, MOST = 1024, 1 << 19  # samples at once, and numbers of the largest array among them
EPSILON = 2.0 ** -52
FIVE = (-2, -1, 0, 1, 2)


class Method(NamedTuple):
    """Where the function is asked, how the answers are weighed, the step, and what is allowed.

    A derivative passes if |a - n| <= rtol |n| + noise S + what rounding makes.
    """

    name: str
    offsets: tuple[complex, ...]
    weights: tuple[float, ...]
    eps: float
    rtol: float
    noise: float
    why: str


METHODS = {method.name: method for method in (
    Method("central", (1, -1), (0.5, -0.5), 1e-5, 1e-6, 1e-8,
           "two points, x + h and x - h: exact to h^2, and works at any operation"),
    Method("four-point", (1, -1, 2, -2), (2 / 3, -2 / 3, -1 / 12, 1 / 12), 1e-3, 3e-8, 1e-10,
           "four points: exact to h^4, so that h can be large and rounding small"),
    Method("complex", (1j,), (1.0,), 1e-30, 1e-10, 1e-13,
           "a complex step: nothing is subtracted, so nothing is lost to rounding"),
    Method("forward", (), (), 0.0, 1e-10, 1e-13,
           "forward mode against reverse mode, in random directions: the other order of the chain "
           "rule, from the same rules, so it cannot see a rule that is wrong in itself"))}


class Ask(NamedTuple):
    """Slopes that are wanted: along k directions from the value of one source.

    Shapes: moves (k, ...) as the value, or (k), the flat indices of single elements; steps (k).
    """

    source: Source
    moves: np.ndarray
    steps: np.ndarray

    def around(self, x: np.ndarray, offset: complex) -> np.ndarray:
        """The values at x + offset h along each direction."""
        k, h = len(self.steps), offset * self.steps
        if self.moves.dtype.kind == "f":
            return x + h.reshape(k, *[1] * x.ndim) * self.moves
        values = np.empty((k, x.size), np.result_type(x, h))
        values[...] = x.reshape(-1)
        values[np.arange(k), self.moves] += h
        return values.reshape(k, *x.shape)

    def along(self, gradient: np.ndarray) -> np.ndarray:
        """What a flat gradient says of each direction."""
        if self.moves.dtype.kind == "f":
            return self.moves.reshape(len(self.moves), -1) @ gradient
        return gradient[self.moves]

    def some(self, rows: Any) -> Ask:
        """Some of the directions."""
        return Ask(self.source, self.moves[rows], self.steps[rows])


class Slopes(NamedTuple):
    """Of k directions: the slopes, S, rounding, how the curve bends, and the estimates' gap."""

    slope: np.ndarray
    size: np.ndarray
    rounding: np.ndarray
    bend: np.ndarray    # |f(x + h) - 2 f(x) + f(x - h)| / h: large at a kink only
    spread: np.ndarray  # between the estimates at h and at 2 h


class Meter:
    """Measures slopes of <outputs, cotangents> on one recorded run."""

    def __init__(self, method: Method, tape: Sequence, outputs: Sequence[Tensor],
                 cotangents: Sequence[np.ndarray]) -> None:
        self.method = method
        self.outputs, self.cotangents = list(outputs), list(cotangents)
        self.replay = Replay(tape, outputs, np.float64)
        if method.name == "complex":
            self.replay = analytic = AnalyticReplay(tape, outputs, np.complex128)
            analytic.refuse_kinks()
        largest = max((a.size for a in self.replay.value.values()), default=1)
        self.samples = max(5, min(BATCH, MOST // max(largest, 1)))
        self.pushes = 0

    def value(self, source: Source) -> np.ndarray:
        """The recorded value of a source."""
        if isinstance(source, Use):
            return source.step.operands[source.place].array
        return self.replay.value[source]

    # -- slopes ------------------------------------------------------------------------------
    def measure(self, asks: Sequence[Ask]) -> list[Slopes]:
        """The slopes for each of what is asked, many at a time."""
        if self.method.name == "forward":
            return [self.pushed(ask) for ask in asks]
        return [Slopes(*columns)
                for columns in self.gathered(asks, self.method.offsets, self.batch)]

    def around(self, asks: Sequence[Ask]) -> list[list[np.ndarray]]:
        """For each ask the four slopes between five points, (k, 4), and the losses, (k, 5)."""
        return self.gathered(asks, FIVE, self.five)

    def gathered(self, asks: Sequence[Ask], offsets: Sequence[complex],
                 measured: Callable[[list[Ask]], Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
        """What `measured` gives for batches that fit in memory, cut up again for each ask."""
        if not asks:
            return []
        room = max(1, self.samples // len(offsets))
        parts = [measured(batch) for batch in packed(asks, room)]
        columns = [np.concatenate(column) for column in zip(*parts)]
        cuts = np.cumsum([len(ask.steps) for ask in asks])[:-1]
        return list(map(list, zip(*[np.split(column, cuts) for column in columns])))

    def batch(self, asks: list[Ask]) -> Sequence[np.ndarray]:
        """The columns of `Slopes`, for all directions of some asks."""
        offsets, steps = self.method.offsets, np.concatenate([ask.steps for ask in asks])
        slope, size, rounding, bend, spread = np.zeros((5, len(steps)))
        for at, end, g in self.asked(asks, offsets):
            scale = g.reshape(-1) / steps[:, None]
            base = end.array.reshape(-1).astype(np.float64)
            lost = 4 * EPSILON * float(np.linalg.norm(base * g.reshape(-1)))
            if offsets[0] == 1j:  # rounding in the rules, where one takes 1 - y of a y near 1
                share, rounding = at[0].imag * scale, rounding + 16 * lost
            else:
                share = sum(w * a for w, a in zip(self.method.weights, at)) * scale
                bend += ((at[0] + at[1] - 2 * base) * scale).sum(1)
                rounding += lost / steps
            if len(offsets) == 4:
                near, far = at[0] - at[1], at[2] - at[3]
                spread += ((near / 2 - far / 4) * scale).sum(1)
            slope += share.sum(1)
            size += np.abs(share).sum(1)
        return slope, size, rounding, np.abs(bend), np.abs(spread)

    def five(self, asks: list[Ask]) -> Sequence[np.ndarray]:
        """The slopes between five points, and the losses there."""
        steps = np.concatenate([ask.steps for ask in asks])
        slopes, losses = np.zeros((len(steps), 4)), np.zeros((len(steps), 5))
        for at, _, g in self.asked(asks, FIVE):
            slopes += (np.diff(at, axis=0) * (g.reshape(-1) / steps[:, None])).sum(2).T
            losses += (at * g.reshape(-1)).sum(2).T
        return slopes, losses

    def asked(self, asks: list[Ask], offsets: Sequence[complex]
              ) -> Iterator[tuple[np.ndarray, Tensor, np.ndarray]]:
        """(values (points, directions, ...), output, cotangent) for each output that changes."""
        moves = [(ask.source, ask.around(self.value(ask.source), offset))
                 for offset in offsets for ask in asks]
        with np.errstate(all="ignore"):
            for y, end, g in zip(self.replay.samples(moves), self.outputs, self.cotangents):
                if y is not None:
                    yield y.reshape(len(offsets), len(y) // len(offsets), -1), end, g

    def pushed(self, ask: Ask) -> Slopes:
        """The slopes by forward mode, a push for each direction."""
        assert not isinstance(ask.source, Use)
        slope, size = np.zeros((2, len(ask.moves)))
        for k, move in enumerate(ask.moves):
            self.pushes += 1
            for t, g in zip(push(self.outputs, {ask.source: wrap(move)}), self.cotangents):
                share = t.array * g
                slope[k] += share.sum()
                size[k] += np.abs(share).sum()
        none = np.zeros(len(ask.moves))
        return Slopes(slope, size, none, none, none)

    def step(self, x: np.ndarray) -> np.ndarray:
        """A step for each element, a power of two in proportion to it: x + h is then exact."""
        if self.method.name in ("complex", "forward"):
            return np.full(x.shape, self.method.eps)
        return powers(self.method.eps * np.maximum(1.0, np.abs(x)))


def packed(asks: Iterable[Ask], room: int) -> Iterator[list[Ask]]:
    """The asks in batches of at most so many directions; long ones are cut in pieces."""
    waiting: list[Ask] = []
    free = room
    for ask in asks:
        done = 0
        while done < len(ask.steps):
            taken = min(free, len(ask.steps) - done)
            waiting.append(ask.some(slice(done, done + taken)))
            done, free = done + taken, free - taken
            if not free:
                yield waiting
                waiting, free = [], room
    if waiting:
        yield waiting


def powers(h: np.ndarray) -> np.ndarray:
    """The nearest power of two below or at each number."""
    return np.exp2(np.floor(np.log2(h)))


def chosen(name: str, tape: Sequence, outputs: Sequence[Tensor],
           cotangents: Sequence[np.ndarray], eps: float | None) -> tuple[Meter, str]:
    """(the meter, why this method): "auto" takes a complex step, or four points if it is refused.

    Errors: ValueError for an unknown method; GradcheckError where a complex step is refused.
    """
    if name not in (*METHODS, "auto"):
        raise ValueError(f"method {name!r}: expected one of auto, {', '.join(METHODS)}")
    if name == "auto":
        try:
            meter = Meter(METHODS["complex"], tape, outputs, cotangents)
            return meter, f"complex: {meter.method.why}"
        except GradcheckError as refused:
            meter = Meter(METHODS["four-point"], tape, outputs, cotangents)
            why = str(refused).partition(". Type ")[0]
            return meter, f"four-point, because {why}"
    method = METHODS[name]
    method = method if eps is None else method._replace(eps=eps)
    return Meter(method, tape, outputs, cotangents), f"{name}: {method.why}"
