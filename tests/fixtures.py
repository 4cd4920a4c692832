"""The fixtures that every recurrent check uses: F1 to F8, for layers and for networks by hand.

Each exists because some mistake hides in an easier one: a zero state hides the forget gate, T=1
the gathering over time, a loss on y alone the final states' cotangents, |g| <= 1 a clip.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tinyseq as ts
from tinyseq import bugs, nn
from tinyseq.tensor import Tensor

T, N, I, H = 5, 3, 3, 4  # noqa: E741  all different where it matters
LENGTHS = [2, 5, 1, 5, 3]

SAYS = {"F1": "two layers, random state, all outputs", "F2": "both directions",
        "F3": "lengths 2, 5, 1, 5, 3, NaN beyond", "F4": "cotangents ten times as large",
        "F5": "one step", "F6": "batch first, strided input", "F7": "called twice, state chained",
        "F8": "loss on the last output only"}


class Setting(NamedTuple):
    """A layer on one fixture: its function, the tensors it is checked at, and the cotangents."""

    layer: nn.Module
    run: Callable[..., list[Tensor]]
    inputs: dict[str, Tensor]
    cotangents: list[np.ndarray]

    def outputs(self) -> list[Tensor]:
        return self.run(*self.inputs.values())

    def gradients(self) -> dict[str, np.ndarray]:
        """dL/d(input) of the sum of all outputs times their cotangents, in `.grad`'s way."""
        for t in self.inputs.values():
            t.grad = None
        terms = [(y * ts.tensor(g)).sum() for y, g in zip(self.outputs(), self.cotangents)]
        sum(terms[1:], terms[0]).backward()
        return {name: np.zeros(t.shape) if t.grad is None else t.grad.array.copy()
                for name, t in self.inputs.items()}


def listed(last: Any) -> list[Tensor]:
    """The final states as a list: one, or an LSTM's two."""
    return list(last) if isinstance(last, tuple) else [last]


def signed(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of size about one, none small, of both signs."""
    return rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


def leaf(values: np.ndarray) -> Tensor:
    """A tensor over that very memory, strides and all, which requires grad."""
    return ts.from_numpy(values).requires_grad_()


def setting(name: str, kind: str = "LSTM", seed: int = 0, **options: Any) -> Setting:
    """Fixture `name` (F1 to F8) of a layer: float64, everything random, biases not 0."""
    rng = np.random.default_rng(seed)
    ts.manual_seed(seed)
    more: dict[str, Any] = {"num_layers": 2, "dtype": ts.float64, "bidirectional": name in (
        "F2", "F3"), "batch_first": name == "F6", **options}
    layer = getattr(nn, kind)(I, H, **more)
    steps, lanes = 1 if name == "F5" else T, more["num_layers"] * (1 + more["bidirectional"])
    batch = len(LENGTHS) if name == "F3" else N
    x = rng.normal(size=(steps, batch, I))
    if name == "F3":
        for n, length in enumerate(LENGTHS):
            x[length:, n] = np.nan
    if name == "F6":  # (N, T, I), every other number of a larger array, in Fortran's order
        x = np.asfortranarray(rng.normal(size=(2 * batch, steps, I)))[::2]
    states = {s: leaf(rng.normal(size=(lanes, batch, H)))
              for s in (("h_0", "c_0") if kind == "LSTM" else ("h_0",))}
    inputs = {"x": leaf(x), **states, **dict(layer.named_parameters())}
    S = len(states)

    def run(x: Tensor, *rest: Tensor) -> list[Tensor]:
        hx = tuple(rest[:S]) if S == 2 else rest[0]
        if name == "F3":
            y, last = layer(x, hx, lengths=LENGTHS)
        else:
            y, last = layer(x, hx)
        if name == "F7":
            first, (y, last) = y, layer(y[..., :I], last)
            return [first, y, *listed(last)]
        return [y[-1]] if name == "F8" else [y, *listed(last)]

    shapes = [y.shape for y in run(*inputs.values())]
    size = 10.0 if name == "F4" else 1.0
    return Setting(layer, run, inputs, [size * signed(rng, shape) for shape in shapes])


def by_hand(name: str, cell: str, **sizes: int) -> bugs.Fixture:
    """F1, F2, F4, F5 or F8 of a network by hand."""
    if name not in ("F1", "F2", "F4", "F5", "F8"):
        raise ValueError(f"{name} is about layers: a network by hand has F1, F2, F4, F5 and F8")
    f = bugs.fixture(cell, 2, name == "F2", **{"T": 1 if name == "F5" else T, **sizes})
    if name == "F4":
        return f._replace(gy=10 * f.gy, g_state=tuple([10 * g for g in f.g_state]))
    if name == "F8":
        gy = np.zeros_like(f.gy)
        gy[-1] = f.gy[-1]
        return f._replace(gy=gy, g_state=tuple([0 * g for g in f.g_state]))
    return f


def at_a_kink(f: bugs.Fixture) -> bugs.Fixture:
    """The same with one unit of layer 0 that is given exactly 0 at every step."""
    weights = {name: w.copy() for name, w in f.weights.items()}
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        weights[name][0] = 0.0
    return f._replace(weights=weights)


# -- differences ------------------------------------------------------------------------------
Slopes = dict[str, tuple[np.ndarray, np.ndarray]]
RTOL, NOISE = 1e-6, 1e-8


def slopes(outputs: Callable[[], list[np.ndarray]], arrays: dict[str, np.ndarray],
           cotangents: list[np.ndarray], h: float = 1e-5) -> Slopes:
    """(n, S) of every array: dL/dx by two points, and sum |g||J|, how much could have cancelled.

    The arrays are changed in place, and put back.
    """
    found = {}
    for name, array in arrays.items():
        n, size = np.zeros(array.shape), np.zeros(array.shape)
        for at in np.ndindex(array.shape):
            kept, sides = array[at], []
            if np.isnan(kept):
                continue
            step = h * max(1.0, abs(float(kept)))
            for move in (step, -step):
                array[at] = kept + move
                sides.append(outputs())
            array[at] = kept
            for g, up, down in zip(cotangents, *sides):
                slope = g * (up - down) / (2 * step)
                n[at] += slope.sum()
                size[at] += np.abs(slope).sum()
        found[name] = n, size
    return found


def differing(found: dict[str, np.ndarray], wanted: Slopes) -> list[str]:
    """The names of the gradients that break |a - n| <= 1e-6 |n| + 1e-8 S somewhere."""
    return [name for name, (n, size) in wanted.items()
            if not (np.abs(found[name] - n) <= RTOL * np.abs(n) + NOISE * size).all()]


def hand_slopes(net: bugs.Network, f: bugs.Fixture) -> Slopes:
    """The slopes of a network by hand."""
    arrays = {"x": f.x, **dict(zip(net.hand.states, f.state)), **f.weights}
    return slopes(lambda: list(net.outputs(f)), arrays, [f.gy, *f.g_state])
