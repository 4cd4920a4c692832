"""What a trial is asked about: inputs by gate, lines at steps, weights at steps, cotangents."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinyseq.culprit import pull
from tinyseq.gradcheck.methods import Ask
from tinyseq.gradcheck.places import lane_of, missing_lines, named_lines, uses
from tinyseq.gradcheck.trial import Trial
from tinyseq.replay import Source, Step
from tinyseq.tensor import Tensor

Gates = Mapping[str, Sequence[str]]  # the names of the blocks of a weight's rows


class Part(NamedTuple):
    """Something to compare: all of a source, or the elements `at` of it.

    `gradient` is what backward says, flat; `directions` random ones stand for single elements.
    """

    name: str
    source: Source
    gradient: np.ndarray
    at: np.ndarray | None = None
    directions: int = 0
    row: dict[str, Any] = {}

    def ask(self, trial: Trial) -> Ask:
        """The directions along which it is measured, and the steps."""
        x = trial.meter.value(self.source)
        places = np.arange(x.size) if self.at is None else self.at
        if not self.directions:
            return Ask(self.source, places, trial.meter.step(x).reshape(-1)[places])
        shape = (self.directions, places.size)
        moves = np.zeros((self.directions, x.size))
        moves[:, places] = (trial.rng.uniform(0.5, 1.5, shape)
                            * trial.rng.choice([-1.0, 1.0], shape))
        h = trial.meter.step(np.abs(x).max(keepdims=True).reshape(1)).repeat(self.directions)
        return Ask(self.source, moves.reshape(-1, *x.shape), h)

    def called(self, trial: Trial, k: int) -> tuple[int, ...]:
        """What the k-th direction is called: the element, or its number."""
        if self.directions:
            return (k,)
        flat = k if self.at is None else self.at[k]
        return tuple(int(i) for i in np.unravel_index(flat,
                                                      trial.meter.value(self.source).shape))


def input_parts(trial: Trial, inputs: Mapping[str, Tensor], wanted: set[str],
                gates: Gates) -> Iterator[Part]:
    """The inputs that are to be checked, by their gates' rows."""
    known, untested = trial.meter.replay.value, trial.report.untested
    untested.update((f"output {k}", "it has no history: constant, detached or made in no_grad")
                    for k, t in enumerate(trial.outputs) if not t.requires_grad)
    for name, t in inputs.items():
        if name not in wanted or t.dtype.kind != "f":
            continue
        if not t.requires_grad or t not in known or not t.numel():
            untested[name] = "requires_grad is False" if not t.requires_grad else \
                "it is empty" if not t.numel() else "no output depends on it"
            continue
        g = np.asarray(trial.grads.get(t, np.zeros(t.shape))).reshape(-1)
        for gate, at in blocks(name, np.arange(t.shape[0] if t.ndim else 1), t, gates):
            shown = f"{name}[{gate}]" if gate else name
            yield Part(shown, t, g, at, trial.directions("tensor"), {"part": gate})


def line_parts(trial: Trial) -> Iterator[Part]:
    """The named lines, at every step."""
    untested = trial.report.untested
    for name, node, time in named_lines(trial.steps):
        if node not in trial.meter.replay.value:
            untested[name] = "no output depends on it"
            continue
        row = {"time": time, "gate": node.scope.gate, "place": lane_of(node.scope), "kind": "line"}
        yield Part(name, node, trial.cotangent(node), None, trial.directions("line"), row)
    untested.update((name, "nothing in it requires grad") for name in missing_lines(trial.steps))


def share_parts(trial: Trial, inputs: Mapping[str, Tensor], gates: Gates) -> Iterator[Part]:
    """Every leaf as each time step uses it: the terms of the BPTT sum, in a random direction."""
    leaves = {t: name for name, t in inputs.items() if t.requires_grad}
    pulled: dict[Step, dict[int, np.ndarray]] = {}
    for name, use, rows, time in uses(trial.meter.replay.work, leaves):
        if use.step not in pulled:
            pulled[use.step] = pull(trial.evidence(), use.step)
        t = use.step.operands[use.place]
        g = pulled[use.step].get(use.place, np.zeros(t.shape)).reshape(-1)
        for gate, at in blocks(name, rows, inputs[name], gates):
            shown = f"{name}[{gate}]" if gate else name
            row = {"time": time, "part": gate, "kind": "share", "place": name}
            yield Part(f"{shown} at {use.step.node.scope}", use, g, at, 1, row)


def cotangent_parts(trial: Trial) -> Iterator[Part]:
    """Every recorded value, newest first, in a random direction."""
    for step in reversed(trial.meter.replay.work):
        for node in step.made():
            if node.shape and 0 not in node.shape or node.shape == ():
                yield Part(node.where(), node, trial.cotangent(node), None, 1,
                           {"time": node.scope.time, "gate": node.scope.gate, "kind": "node"})


def blocks(name: str, rows: np.ndarray, t: Tensor, gates: Gates
           ) -> Iterator[tuple[str, np.ndarray | None]]:
    """(gate, which elements) of some rows of a tensor; no gate and None where it has none."""
    if name not in gates or not t.ndim or not t.numel():
        yield "", None
        return
    H, width = t.shape[0] // len(gates[name]), t.numel() // t.shape[0]
    elements = np.arange(rows.size * width).reshape(rows.size, width)
    for k in dict.fromkeys((rows // H).tolist()):
        yield gates[name][k], elements[rows // H == k].reshape(-1)
