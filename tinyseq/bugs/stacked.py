"""Layers by hand: a cell of reference.py stacked, in one or both directions, on arrays.

Weights have torch's names (`weight_ih_l0`, ... `bias_hh_l1_reverse`); lanes are in torch's order,
layers outside and directions inside: l0, l0_reverse, l1, l1_reverse.
"""
from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

from tinyseq.bugs.reference import HANDS, Array, Hand, Weights
from tinyseq.errors import ShapeError

KINDS = "weight_ih", "weight_hh", "bias_ih", "bias_hh"


class Fixture(NamedTuple):
    """All that the gradients of a recurrent network depend on.

    `gy` and `g_state` are the cotangents: dL/d(output) and dL/d(final state). A state or g_state
    of None is zero.
    Shapes: weights as torch's; x (T, N, I); each state and g_state (L D, N, H) for L layers in D
        directions, or (N, H) for one lane; gy (T, N, D H).
    """

    weights: dict[str, Array]
    x: Array
    state: Any = None
    gy: Any = None
    g_state: Any = None

    @property
    def suffixes(self) -> list[str]:
        """What the names of each lane's weights end in, in torch's order."""
        found = [m for m in map(re.compile(r"weight_hh(_l(\d+)(_reverse)?)").fullmatch,
                                self.weights) if m]
        return [m[1] for m in sorted(found, key=lambda m: (int(m[2]), m[1]))]

    @property
    def directions(self) -> int:
        """1, or 2 if the network reads in both directions."""
        return 1 + any(s.endswith("_reverse") for s in self.suffixes)


def fixture(cell: str = "lstm", layers: int = 1, bidirectional: bool = False, T: int = 5,
            N: int = 3, I: int = 3, H: int = 4, seed: int = 0) -> Fixture:  # noqa: E741
    """Numbers that hide no mistake: random states, biases and signed cotangents on all outputs.

    Example:
        >>> f = fixture("gru")
        >>> f.x.shape, f.weights["weight_hh_l0"].shape, f.state[0].shape
        ((5, 3, 3), (12, 4), (1, 3, 4))
    """
    rng = np.random.default_rng(seed)
    hand, D = known(cell), 1 + bidirectional
    K, weights = len(hand.gates), {}
    for layer in range(layers):
        for suffix in ("", "_reverse")[:D]:
            shapes = (K * H, D * H if layer else I), (K * H, H), (K * H,), (K * H,)
            for kind, shape in zip(KINDS, shapes):
                weights[f"{kind}_l{layer}{suffix}"] = rng.uniform(-1, 1, shape) / np.sqrt(H)
    sizes = [(layers * D, N, H)] * len(hand.states)
    state = tuple([rng.normal(size=size) for size in sizes])
    return Fixture(weights, rng.normal(size=(T, N, I)), state, signed(rng, (T, N, D * H)),
                   tuple([signed(rng, size) for size in sizes]))


def signed(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Numbers of size about one, none small, of both signs."""
    return rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


def known(cell: str) -> Hand:
    """The cell of that name. Errors: ValueError naming those there are."""
    if cell not in HANDS:
        raise ValueError(f"cell {cell!r}: expected one of {', '.join(HANDS)}")
    return HANDS[cell]


def lane_weights(weights: dict[str, Array], suffix: str) -> Weights:
    """One lane's four weights, zeros for absent biases."""
    rows = len(weights[f"weight_hh{suffix}"])
    return tuple([weights.get(kind + suffix, np.zeros(rows)) for kind in KINDS])


def stack_forward(hand: Hand, f: Fixture) -> tuple[Array, tuple[Array, ...], tuple]:
    """The outputs, every lane's final states, and what backward needs."""
    D, below, finals = f.directions, [f.x], []
    traces, sides = [], []
    for n, suffix in enumerate(f.suffixes):
        x = below[-1][::-1] if suffix.endswith("_reverse") else below[-1]
        first = [s[n] for s in f.state]
        trace = hand.forward(lane_weights(f.weights, suffix), x, first, **hand.options)
        traces.append(trace)
        finals.append([trace[k][-1] for k in range(len(hand.states))])
        y = np.stack(trace[0][1:])
        sides.append(y[::-1] if suffix.endswith("_reverse") else y)
        if len(sides) == D:
            below.append(np.concatenate(sides, axis=2))
            sides = []
    return below[-1], tuple([np.stack(kind) for kind in zip(*finals)]), (below, traces)


def stack_backward(hand: Hand, f: Fixture, kept: tuple) -> dict[str, Array]:
    """The gradients by name: every weight's, x's and those of the first states."""
    below, traces = kept
    found: dict[str, Any] = {name: np.zeros_like(s) for name, s in zip(hand.states, f.state)}
    D, top, g = f.directions, len(below) - 2, f.gy
    for layer in reversed(range(top + 1)):
        x, gx = below[layer], np.zeros_like(below[layer])
        for d in range(D):
            n, turn = layer * D + d, slice(None, None, -1 if d else 1)
            half = np.split(g, D, axis=2)[d]
            weights = lane_weights(f.weights, f.suffixes[n])
            own, gx_lane, first = hand.backward(weights, x[turn], traces[n], half[turn],
                                                [s[n] for s in f.g_state], **hand.options)
            gx += gx_lane[turn]
            found |= {kind + f.suffixes[n]: value for kind, value in zip(KINDS, own)}
            for name, value in zip(hand.states, first):
                found[name][n] += value
        g = gx
    found["x"] = g
    return {name: found[name] for name in (*f.weights, "x", *hand.states) if name in found}


class Network(NamedTuple):
    """A network by hand that can be run: a cell, and how it is stacked."""

    hand: Hand
    forward: Any = stack_forward
    backward: Any = stack_backward

    def outputs(self, f: Fixture) -> tuple[Array, ...]:
        """y and the final states."""
        y, finals, _ = self.forward(self.hand, f)
        return (y, *finals)

    def gradients(self, f: Fixture) -> dict[str, Array]:
        """dL/d(each weight, x and first state), by torch's names."""
        _, _, kept = self.forward(self.hand, f)
        return self.backward(self.hand, f, kept)


def completed(cell: str, given: Fixture) -> Fixture:
    """The fixture with what is absent (None) as zeros and with states of all lanes, checked.

    Errors: ShapeError naming what does not fit, and what would.
    """
    hand, weights = known(cell), {k: np.asarray(w) for k, w in given.weights.items()}
    lanes = Fixture(weights, given.x).suffixes
    if not lanes or any(f"weight_ih{s}" not in weights for s in lanes):
        raise ShapeError(f"weights {sorted(weights)}: expected torch's names, weight_ih_l0, "
                         "weight_hh_l0 and so on")
    x, gy = np.asarray(given.x), np.asarray(given.gy)
    H = weights[f"weight_hh{lanes[0]}"].shape[-1]
    if x.ndim != 3 or weights[f"weight_hh{lanes[0]}"].shape != (len(hand.gates) * H, H):
        raise ShapeError(f"x must be (T, N, I) and weight_hh ({len(hand.gates)} H, H) for a "
                         f"{cell}, got {x.shape} and {weights[f'weight_hh{lanes[0]}'].shape}")
    size = (len(lanes), x.shape[1], H)
    whole = []
    for word, parts in (("state", given.state), ("g_state", given.g_state)):
        arrays = [np.zeros(size)] * len(hand.states) if parts is None else \
            [np.asarray(s) for s in parts]
        arrays = [s[None] if s.ndim == 2 and size[0] == 1 else s for s in arrays]
        if [s.shape for s in arrays] != [size] * len(hand.states):
            raise ShapeError(f"{word}: expected {len(hand.states)} of shape {size} for a {cell}, "
                             f"got {[s.shape for s in arrays]}")
        whole.append(tuple(arrays))
    made = Fixture(weights, x, whole[0], gy, whole[1])
    if gy.shape != (*x.shape[:2], made.directions * H):
        raise ShapeError(f"gy must be {(*x.shape[:2], made.directions * H)}, as the output, got "
                         f"{gy.shape}")
    return made
