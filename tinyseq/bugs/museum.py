"""The museum: mistakes that stood in public code, to be checked and to be trained with.

Nearly all of them train: a gradient that points roughly downhill is enough for the loss to fall,
which is why nobody noticed. `train` shows it; `checkable` gives a network written by hand to the
gradient check, which notices each.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from tinyseq.autograd import Function
from tinyseq.bugs import between, gru, lstm, rnn
from tinyseq.bugs.mistake import Mistake, network
from tinyseq.bugs.stacked import Fixture, Network, fixture
from tinyseq.nn.functional import cross_entropy, linear
from tinyseq.nn.utils import clip_grad_norm_
from tinyseq.ops import reshape
from tinyseq.optim import Adam
from tinyseq.tensor import Tensor, wrap

KNOWN: dict[str, tuple[Mistake, ...]] = {
    "rnn": (*rnn.TANH, *rnn.BOTH, *rnn.PUBLISHED, *between.BETWEEN),
    "rnn_relu": (*rnn.RELU, *rnn.BOTH, rnn.PUBLISHED[-1], *between.BETWEEN),
    "lstm": (*lstm.LSTM, *lstm.PUBLISHED, *between.BETWEEN), "gru": (*gru.GRU, *between.BETWEEN)}


class Exhibit(NamedTuple):
    """A published mistake, in the kind of network that it stood in."""

    cell: str
    mistake: Mistake
    layers: int = 1
    bidirectional: bool = False

    def fixture(self, **sizes: int) -> Fixture:
        """Numbers that show it."""
        return fixture(self.cell, self.layers, self.bidirectional, **sizes)


def exhibits() -> tuple[Exhibit, ...]:
    """All mistakes with a source, cell by cell.

    Example:
        >>> [e.mistake.source for e in exhibits() if e.mistake.name == "b_o in i and f"]
        ['ddbourgin/numpy-ml#42']
    """
    own = [Exhibit(cell, m) for cell in ("rnn", "lstm", "gru") for m in KNOWN[cell]
           if m.source and m.layers == 1]
    shared, overwritten, pointer = between.BETWEEN
    return (*own, Exhibit("rnn", shared, 2), Exhibit("lstm", overwritten, 3, True),
            Exhibit("gru", pointer, 3))


# -- a hand-written network as one operation ---------------------------------------------------
class ByHand(Function):
    """A network by hand: y and the final states, one after the other in one vector."""

    @staticmethod
    def forward(ctx: Any, net: Network, names: tuple[str, ...], x: Tensor,
                *rest: Tensor) -> Tensor:
        """The outputs from x, the first states and the weights; `names` are the weights'."""
        S = len(net.hand.states)
        weights = {name: t.array for name, t in zip(names, rest[S:])}
        f = Fixture(weights, x.array, tuple([t.array for t in rest[:S]]))
        y, finals, trace = net.forward(net.hand, f)
        ctx.net, ctx.f, ctx.names, ctx.trace = net, f, names, trace
        ctx.shapes = [a.shape for a in (y, *finals)]
        return wrap(np.concatenate([a.ravel() for a in (y, *finals)]))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple:
        """What the hand-written backward says."""
        ends = np.cumsum([np.prod(shape) for shape in ctx.shapes])[:-1]
        gy, *finals = [part.reshape(shape) for part, shape in
                       zip(np.split(g.array, ends), ctx.shapes)]
        f = ctx.f._replace(gy=gy, g_state=tuple(finals))
        found = ctx.net.backward(ctx.net.hand, f, ctx.trace)
        return (None, None, *[wrap(found[name]) for name in
                              ("x", *ctx.net.hand.states, *ctx.names)])


def checkable(cell: str, f: Fixture, mistakes: Iterable[Mistake] = ()
              ) -> tuple[Callable[..., Tensor], dict[str, Tensor]]:
    """(function, inputs) of a network by hand, for `tinyseq.gradcheck.check`.

    Example:
        >>> from tinyseq.gradcheck import check
        >>> check(*checkable("gru", fixture("gru", T=2))).ok
        True
    """
    net, names = network(cell, mistakes), tuple(f.weights)
    arrays = {"x": f.x, **dict(zip(net.hand.states, f.state)), **f.weights}
    inputs = {name: wrap(a.copy()).requires_grad_() for name, a in arrays.items()}

    def run(x: Tensor, *rest: Tensor) -> Tensor:
        """All outputs in one vector."""
        return ByHand.apply(net, names, x, *rest)

    return run, inputs


# -- training with it --------------------------------------------------------------------------
def task(rng: np.random.Generator, N: int = 12, T: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """(one-hot symbols (T, N, 2), their successors): a^k b^k a^k b^k ... of random k and phase."""
    k = rng.integers(2, 5, N)
    steps = np.arange(T + 1)[:, None] + rng.integers(0, 12, N)
    symbols = steps // k % 2
    return np.eye(2)[symbols[:-1]], symbols[1:]


def train(cell: str, mistakes: Iterable[Mistake] = (), layers: int = 1,
          bidirectional: bool = False, updates: int = 150, seed: int = 0) -> list[float]:
    """The loss at every update of Adam, with the gradients of a network by hand.

    Units: nats per symbol.
    """
    f = fixture(cell, layers, bidirectional, T=1, N=12, I=2, H=8, seed=seed)
    run, inputs = checkable(cell, f, mistakes)
    H = 8 * (1 + bidirectional)
    first = [wrap(np.zeros_like(t.array)) for name, t in inputs.items() if name in ("h_0", "c_0")]
    weights = [inputs[name] for name in f.weights]
    rng = np.random.default_rng(seed)
    decoder = wrap(rng.uniform(-0.3, 0.3, (2, H))).requires_grad_()
    optimizer, found = Adam([*weights, decoder], lr=0.01), []
    for _ in range(updates):
        x, targets = task(rng)
        T, N = targets.shape
        y = reshape(run(wrap(x), *first, *weights)[:T * N * H], (T * N, H))
        loss = cross_entropy(linear(y, decoder), wrap(targets.reshape(-1)))
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_([*weights, decoder], 1.0)
        optimizer.step()
        found.append(loss.item())
    return found
