"""Mistakes between the cell and the user: directions, layers, lengths, masks, accumulation.

Each is a line of the live package told wrongly, for as long as a block lasts. The checks compare
with the network by hand (tinyseq.bugs), run sequence by sequence, and with differences.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

import tinyseq as ts
from fixtures import LENGTHS, SAYS, I, Setting, setting, signed
from tinyseq import bugs, nn, walk
from tinyseq.bugs.mistake import retold
from tinyseq.nn import lanes, recurrent, rnnbase
from tinyseq.op import OPS
from tinyseq.tensor import Tensor


class Patch(NamedTuple):
    """A function of the package told wrongly: whose it is, its name, right and wrong lines.

    `says` is what the report of the check that finds it must contain to have named it.
    """

    name: str
    owner: Any
    attribute: str
    changes: tuple[tuple[str, str], ...]
    says: str
    source: str = ""


def patch(name: str, owner: Any, attribute: str, *lines: str, says: str,
          source: str = "") -> Patch:
    return Patch(name, owner, attribute, tuple(zip(lines[::2], lines[1::2])), says, source)


@contextmanager
def planted(mutant: Patch) -> Iterator[None]:
    """The mutant in its place while the block runs; a rule of an operation by its name."""
    if mutant.owner is OPS:
        op = OPS[mutant.attribute]
        right, plans = list(op.rules), dict(op.plans)
        op.rules[0] = retold(op.rules[0], mutant.changes)
        op.plans.clear()
        try:
            yield
        finally:
            op.rules[:] = right
            op.plans.clear()
            op.plans.update(plans)
        return
    before = vars(mutant.owner)[mutant.attribute]
    setattr(mutant.owner, mutant.attribute, retold(before, mutant.changes))
    try:
        yield
    finally:
        setattr(mutant.owner, mutant.attribute, before)


ENTERS = "running = joined([running, columns(states, running[0].shape[0], n)])"
UNSORT = "finals = [[getitem(s, index=(back,)) for s in kind] for kind in finals]"
SORT = "states = [[getitem(s, index=(input.order,)) for s in kind] for kind in states]"
SIDES = "pieces = y if len(sides) == 1 else [cat(both, -1) for both in zip(*sides)]"
PADDED = "return pad_packed_sequence(output, self.batch_first, total_length=T)[0], last"
BASE = rnnbase.RNNBase

SEQUENCE: tuple[Patch, ...] = (
    patch("reverse direction not turned back", lanes, "backwards",
          "outputs.insert(0, flipped(y))", "outputs.insert(0, y)", says="F2.*output"),
    patch("reverse direction starts at the padding", lanes, "backwards", ENTERS,
          "late = columns(states, running[0].shape[0], n)\n"
          "        for _ in range(sum(p.shape[0] for p in pieces) - end):\n"
          "            if late[0].shape[0]:\n"
          "                blank = x[:1, :late[0].shape[0]] * 0.0\n"
          "                _, late = unroll(cell, blank, late, weights)\n"
          "        running = joined([running, late])", says="F3.*output"),
    patch("layer 2 gets layer 1's halves the wrong way round", BASE, "layers", SIDES,
          SIDES.replace("cat(both, -1)", "cat(both[::-1] if layer == 0 else both, -1)"),
          says="F2.*output"),
    patch("weights of the two directions swapped", BASE, "layers",
          'self.weights(f"_l{layer}{suffix}")', 'self.weights(f"_l{layer}" + ("" if suffix else '
          '"_reverse" * self.bidirectional))', says="F2.*output"),
    patch("h_n in another order", BASE, "layers", "return pieces, [list(kind) for kind",
          "return pieces, [list(kind)[::-1] for kind", says="F1.*final h"),
    patch("one dropout mask for all steps", BASE, "between",
          "[dropout(y, self.dropout) for y in pieces]",
          "[y * dropout(y[:1] * 0.0 + 1.0, self.dropout) for y in pieces]",
          says="dropout.*mask"),
    patch("mask missing in backward", OPS, "dropout",
          "def backward(gy, mask): return drop(gy, mask=mask)",
          "def backward(gy, mask): return gy", says="dropout.*gradient"),
    patch("mask's scale twice in backward", OPS, "dropout",
          "return drop(gy, mask=mask)", "return drop(gy, mask=mask * mask)",
          says="dropout.*gradient"),
    patch("h_n not put back into the caller's order", BASE, "forward", UNSORT, "pass",
          says="F3.*final h"),
    patch("h_n's gradient not put into the sorted order", BASE, "forward", UNSORT,
          "finals = [[s + (getitem(s, index=(back,)) - s).detach() for s in kind] "
          "for kind in finals]", says="F3.*gradient"),
    patch("packed batch sizes off by one", rnnbase, "pack_padded_sequence",
          "counts > np.arange", "counts >= np.arange", says="F3.*output"),
    patch("the padding's cotangent leaks", BASE, "padded", PADDED,
          "out = pad_packed_sequence(output, self.batch_first, total_length=T)[0]\n"
          "    outside = np.arange(T)[:, None, None] >= np.asarray(given)[:, None]\n"
          "    return out + (out[:1] - out[:1].detach()) * wrap(outside * 1.0), last",
          says="F3.*gradient"),
    patch("hx's order forgotten in backward", BASE, "forward", SORT,
          "states = [[s + (getitem(s, index=(input.order,)) - s).detach() for s in kind] "
          "for kind in states]", says="F3.*gradient of h_0"),
    patch("a weight that is used twice counted once", walk, "receive",
          "target.gy = target.gy + g", "target.gy = g if type(target) is Pending and "
          "len(target.shape) == 2 else target.gy + g", says="(F7|tied).*gradient of weight"),
    patch("second backward overwrites the first", walk, "add_grad",
          "leaf._grad.array += g", "leaf._grad.array[...] = g", says="backward twice"),
    patch("detach does nothing", Tensor, "detach",
          "return wrap(self.array, version=self.version)", "return self", says="truncated"),
)

# Beside the sixteen: what stood in public code and is no wrong gradient, but a wrong function.
PUBLISHED: tuple[Patch, ...] = (
    patch("dropout never reaches layer 2", BASE, "layers",
          'self.between(pieces, here.child("dropout"))', "pieces", says="dropout.*mask",
          source="jihunchoi/recurrent-batch-normalization-pytorch#13"),
    patch("one first state for all layers", BASE, "layers",
          "tuple([kind[k] for kind in states])", "tuple([kind[0] for kind in states])",
          says="F1.*output", source="pclucas14/GansFallingShort PR 2"),
    patch("forget bias in layer 0 only", recurrent, "set_forget_bias",
          'name.startswith("bias"):', 'name.startswith("bias") and name.endswith("_l0"):',
          says="forget bias", source="google-research/flood-forecasting#278"),
)


# Two more, for which two fixtures are there.
LAYOUT: tuple[Patch, ...] = (
    patch("batch_first ignored", BASE, "forward",
          "pieces = [transpose(x, 0, 1) if self.batch_first else x]", "pieces = [x]",
          says="batch_first"),
    patch("what arrives clipped at 9", walk, "receive", "target.gy = g",
          "target.gy = np.clip(g, -9, 9)", says="F4.*gradient"),
)


# -- the network by hand, on a layer's fixture --------------------------------------------------
class Wanted(NamedTuple):
    """What a fixture must give: outputs, gradients."""

    outputs: list[np.ndarray]
    gradients: dict[str, np.ndarray]


CELL = {"RNN": "rnn", "LSTM": "lstm", "GRU": "gru"}


def wanted(name: str, kind: str, s: Setting) -> Wanted:
    """A fixture's outputs and gradients by hand."""
    net = bugs.network(CELL[kind])
    states = net.hand.states
    x = s.inputs["x"].array
    f = bugs.Fixture({n: p.array for n, p in s.layer.named_parameters()},
                     x.transpose(1, 0, 2) if name == "F6" else x,
                     tuple([s.inputs[n].array for n in states]))
    if name == "F3":
        return one_by_one(net, f, s.cotangents)
    if name == "F7":
        return chained(net, f, s.cotangents)
    outputs = list(net.outputs(f))
    if name == "F8":
        gy = np.zeros_like(outputs[0])
        gy[-1] = s.cotangents[0]
        zeros = tuple([np.zeros_like(t) for t in f.state])
        return Wanted([outputs[0][-1]], net.gradients(f._replace(gy=gy, g_state=zeros)))
    gy, *finals = s.cotangents
    gy = gy.transpose(1, 0, 2) if name == "F6" else gy
    found = net.gradients(f._replace(gy=gy, g_state=tuple(finals)))
    if name == "F6":
        outputs[0], found["x"] = outputs[0].transpose(1, 0, 2), found["x"].transpose(1, 0, 2)
    return Wanted(outputs, found)


def one_by_one(net: bugs.Network, f: bugs.Fixture, cotangents: list[np.ndarray]) -> Wanted:
    """Sequences of unequal lengths, each run alone as far as it goes."""
    gy, *finals = cotangents
    outputs = [np.zeros_like(g) for g in cotangents]
    total = {n: np.zeros_like(w) for n, w in f.weights.items()}
    total |= {"x": np.zeros_like(f.x), **{n: np.zeros_like(s)
                                          for n, s in zip(net.hand.states, f.state)}}
    for n, length in enumerate(LENGTHS):
        at = slice(n, n + 1)
        own = f._replace(x=f.x[:length, at], state=tuple([s[:, at] for s in f.state]),
                         gy=gy[:length, at], g_state=tuple([g[:, at] for g in finals]))
        y, *last = net.outputs(own)
        outputs[0][:length, at] = y
        for whole, part in zip(outputs[1:], last):
            whole[:, at] = part
        found = net.gradients(own)
        for name in f.weights:
            total[name] += found[name]
        total["x"][:length, at] = found["x"]
        for name in net.hand.states:
            total[name][:, at] = found[name]
    return Wanted(outputs, total)


def chained(net: bugs.Network, f: bugs.Fixture, cotangents: list[np.ndarray]) -> Wanted:
    """Two calls, the second on the first's output and final state."""
    g_first, g_second, *finals = cotangents
    y, *last = net.outputs(f)
    second = f._replace(x=y[..., :I], state=tuple(last), gy=g_second, g_state=tuple(finals))
    late = net.gradients(second)
    gy = g_first.copy()
    gy[..., :I] += late["x"]
    early = net.gradients(f._replace(gy=gy, g_state=tuple([late[n] for n in net.hand.states])))
    both = {n: early[n] + (late[n] if n in f.weights else 0) for n in early}
    return Wanted([y, *net.outputs(second)], both)


# -- the checks ---------------------------------------------------------------------------------
class Wrong(AssertionError):
    """A check that found something, and says what."""


def same(what: str, a: np.ndarray, b: np.ndarray) -> None:
    """Equal to the last digits, or an error that says what is not."""
    gap = np.abs(a - b).max(initial=0.0) if a.shape == b.shape else np.inf
    if not gap <= 1e-12 * max(1.0, np.abs(b).max(initial=0.0)):
        raise Wrong(f"{what} is off by {gap:.1e}")


def fixture_check(name: str, kind: str) -> Callable[[], None]:
    """A layer on a fixture against the network by hand."""
    def check() -> None:
        s = setting(name, kind)
        right = wanted(name, kind, s)
        words = {"F7": ["first output", "output"]}.get(name, ["output"]) + ["final h", "final c"]
        for word, y, b in zip(words, s.outputs(), right.outputs):
            same(f"{name}, {kind}: {word}", y.array, b)
        for n, a in s.gradients().items():
            same(f"{name}, {kind}: the gradient of {n}", a, right.gradients[n])
    return check


def dropout_check() -> None:
    """Between two layers: which mask, whether it reaches layer 2, and what backward does."""
    p, (hand, f) = 0.4, (bugs.network("rnn"), bugs.fixture("rnn", 2, T=6))
    layer = nn.RNN(I, 4, 2, dropout=p, dtype=ts.float64)
    layer.load_state_dict({n: ts.tensor(w) for n, w in f.weights.items()})
    x, h = ts.tensor(f.x, requires_grad=True), ts.tensor(f.state[0])
    ts.manual_seed(3)
    y, _ = layer(x, h)
    ts.manual_seed(3)
    mask = nn.functional.dropout(ts.ones(6, 3, 4, dtype="float64"), p).array
    if not np.isin(mask, (0.0, 1.0 / (1.0 - p))).all() or len(np.unique(mask, axis=0)) < 6:
        raise Wrong(f"dropout: a mask must hold 0 and {1 / (1 - p):.3f}, each step its own")
    lower = f._replace(weights={n: w for n, w in f.weights.items() if n.endswith("l0")},
                       state=(f.state[0][:1],))
    upper = f._replace(weights={n.replace("l1", "l0"): w for n, w in f.weights.items()
                                if n.endswith("l1")},
                       x=hand.outputs(lower)[0] * mask, state=(f.state[0][1:],))
    same("dropout: the output, with this mask between the layers", y.array,
         hand.outputs(upper)[0])
    gy, zero = signed(np.random.default_rng(1), y.shape), (np.zeros((1, 3, 4)),)
    (y * ts.tensor(gy)).sum().backward()
    above = hand.gradients(upper._replace(gy=gy, g_state=zero))["x"]
    below = hand.gradients(lower._replace(gy=above * mask, g_state=zero))
    same("dropout: the gradient of x", x.grad.array, below["x"])
    same("dropout: the gradient of weight_hh_l0", layer.weight_hh_l0.grad.array,
         below["weight_hh_l0"])


def tied_check() -> None:
    """One weight in two layers: its gradient is the sum of both."""
    f = bugs.fixture("rnn", 2)
    f.weights["weight_hh_l1"] = f.weights["weight_hh_l0"]
    layer = nn.RNN(I, 4, 2, dtype=ts.float64)
    layer.load_state_dict({n: ts.tensor(w) for n, w in f.weights.items()})
    layer.weight_hh_l1 = layer.weight_hh_l0
    y, h = layer(ts.tensor(f.x), ts.tensor(f.state[0]))
    ((y * ts.tensor(f.gy)).sum() + (h * ts.tensor(f.g_state[0])).sum()).backward()
    right = bugs.network("rnn").gradients(f)
    same("tied: the gradient of weight_hh", layer.weight_hh_l0.grad.array,
         right["weight_hh_l0"] + right["weight_hh_l1"])


def twice_check() -> None:
    """Two calls of backward add up in `.grad`."""
    f = bugs.fixture("rnn")
    layer = nn.RNN(I, 4, dtype=ts.float64)
    layer.load_state_dict({n: ts.tensor(w) for n, w in f.weights.items()})
    for part in (f.gy, 2 * f.gy):
        y, _ = layer(ts.tensor(f.x), ts.tensor(f.state[0]))
        (y * ts.tensor(part)).sum().backward()
    right = bugs.network("rnn").gradients(f._replace(gy=3 * f.gy, g_state=(0 * f.g_state[0],)))
    same("backward twice: weight_hh_l0.grad", layer.weight_hh_l0.grad.array,
         right["weight_hh_l0"])


def truncated_check() -> None:
    """Cut off by detach after two steps: the windows' gradients by hand, added up."""
    f = bugs.fixture("lstm")
    layer = nn.LSTM(I, 4, dtype=ts.float64)
    layer.load_state_dict({n: ts.tensor(w) for n, w in f.weights.items()})
    net, total, loss = bugs.network("lstm"), np.zeros((16, 4)), ts.tensor(0.0, dtype=ts.float64)
    state = tuple([ts.tensor(s) for s in f.state])
    hand = f.state
    for window in (slice(0, 2), slice(2, 5)):
        y, last = layer(ts.tensor(f.x[window]), tuple([s.detach() for s in state]))
        state, loss = last, loss + (y * ts.tensor(f.gy[window])).sum()
        own = f._replace(x=f.x[window], gy=f.gy[window], state=hand,
                         g_state=tuple([0 * s for s in hand]))
        total += net.gradients(own)["weight_hh_l0"]
        hand = net.outputs(own)[1:]
    loss.backward()
    same("truncated: the gradient of weight_hh_l0", layer.weight_hh_l0.grad.array, total)


def forget_check() -> None:
    """The forget gate's whole bias is the one asked for, in every layer and direction."""
    layer = nn.LSTM(I, 4, 2, bidirectional=True, forget_bias=1.5, dtype=ts.float64)
    for n in ("l0", "l0_reverse", "l1", "l1_reverse"):
        both = getattr(layer, f"bias_ih_{n}").array + getattr(layer, f"bias_hh_{n}").array
        same(f"forget bias of {n}", both[4:8], np.full(4, 1.5))


CHECKS: dict[str, Callable[[], None]] = {
    **{name: fixture_check(name, kind) for name, kind in zip(
        SAYS, ("LSTM", "GRU", "LSTM", "RNN", "GRU", "LSTM", "GRU", "LSTM"))},
    "dropout": dropout_check, "tied": tied_check, "twice": twice_check,
    "truncated": truncated_check, "forget bias": forget_check}


def failures(mutant: Patch, checks: dict[str, Callable[[], None]]) -> dict[str, str]:
    """Every check that fails with the mutant in its place, and what it says."""
    said = {}
    with planted(mutant), np.errstate(all="ignore"):
        for name, check in checks.items():
            try:
                check()
            except Exception as error:
                said[name] = f"{type(error).__name__}: {error}"
    return said


def names(mutant: Patch, said: dict[str, str]) -> bool:
    """Whether one of the checks says where the mistake is."""
    return any(re.search(mutant.says, text) for text in said.values())
