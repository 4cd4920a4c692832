"""Wrong rules inside one line of a cell: the op's mutants (mutants.py), planted at that line only.

Everywhere else the same operation keeps its right rule, as when one gate's derivative is wrong.
"""
from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

import tinyseq as ts
from fixtures import signed
from mutants import Mutant, excuse, mutants, planted
from tinyseq.cells import CELLS
from tinyseq.gradcheck import check
from tinyseq.graph import Node
from tinyseq.op import OPS, Op, asked
from tinyseq.probe import taped
from tinyseq.tensor import Tensor
from tinyseq.walk import differentiate

T, N, I, H = 3, 2, 2, 3  # noqa: E741
RTOL, NOISE = 3e-8, 1e-10  # four points
HELPER = re.compile(r"\w+: ")  # "rows: return ...": a function that the rule calls
KINK = ("constant off", "boundary")
WHOLE = ("sign flipped", "zero", "counted twice", "scale off", "clipped at 1")


class Place(NamedTuple):
    """One kind of operation at one line of a cell: `at` is its scope below the step.

    `inputs` are those that a gradient goes to: the 1 of 1 - z gets none.
    """

    cell: str
    at: str
    op: str
    inputs: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.cell}, {self.at}: {self.op}"


class Run(NamedTuple):
    """A cell over some steps: its function, its leaves, and cotangents of all outputs."""

    function: Any
    leaves: dict[str, Tensor]
    cotangents: list[np.ndarray]


@lru_cache(maxsize=None)
def run_of(name: str) -> Run:
    """A cell with random weights, biases, vectors and first states."""
    cell, rng = CELLS[name], np.random.default_rng(5)
    K, S = len(cell.gates), len(cell.states)
    shapes = {"x": (T, N, I), **{s: (N, H) for s in cell.states}, "weight_ih": (K * H, I),
              "weight_hh": (K * H, H), "bias_ih": (K * H,), "bias_hh": (K * H,),
              **{v: (H,) for v in cell.vectors}}
    leaves = {n: ts.tensor(rng.normal(0, 0.7, s), requires_grad=True) for n, s in shapes.items()}

    def function(x: Tensor, *rest: Tensor) -> list[Tensor]:
        with ts.scope("l0.fwd"):
            y, finals = ts.unroll(cell, x, rest[:S], ts.Weights.of((*rest[S:], None), cell))
        return [100.0 * t for t in (y, *finals)]  # so that a clip is felt

    outputs = function(*leaves.values())
    return Run(function, leaves, [signed(rng, y.shape) for y in outputs])


@lru_cache(maxsize=None)
def measured(name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(n, S) of every leaf by four points: no wrong rule can change them."""
    run, found = run_of(name), {}
    with ts.no_grad():
        for leaf, t in run.leaves.items():
            n, size, x = np.zeros(t.shape), np.zeros(t.shape), t.array
            for at in np.ndindex(t.shape):
                kept, side = x[at], []
                for step in (1e-3, -1e-3, 2e-3, -2e-3):
                    x[at] = kept + step
                    side.append([y.array for y in run.function(*run.leaves.values())])
                x[at] = kept
                for g, a, b, c, d in zip(run.cotangents, *side):
                    slope = g * (8 * (a - b) - (c - d)) / 12e-3
                    n[at] += slope.sum()
                    size[at] += np.abs(slope).sum()
            found[leaf] = n, size
    return found


def gradients(name: str) -> dict[str, Any]:
    """The gradients of all leaves, op by op, with the rules that are in place now."""
    run = run_of(name)
    with taped():
        outputs = run.function(*run.leaves.values())
    found = differentiate(outputs, list(run.cotangents), None, False)
    return {leaf: found.get(t, np.zeros(t.shape)) for leaf, t in run.leaves.items()}


def differing(name: str) -> list[str]:
    """The leaves whose gradient breaks the rule, or what backward raised."""
    try:
        found = gradients(name)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    wrong = []
    for leaf, (n, size) in measured(name).items():
        a = found[leaf]
        if a.shape != n.shape or not (np.abs(a - n) <= RTOL * np.abs(n) + NOISE * size).all():
            wrong.append(leaf)
    return wrong


@lru_cache(maxsize=None)
def places(name: str) -> list[Place]:
    """Where a cell's steps apply operations: each line's, and the two products."""
    run = run_of(name)
    with taped() as tape:
        run.function(*run.leaves.values())
    found = {}
    for out, _ in tape:
        at, op = str(out.node.scope).partition("t=1/")[2], out.node.op
        if at:
            found[Place(name, at, op.name, tuple([
                k for k, parent in zip(op.inputs, out.node.inputs) if parent is not None]))] = None
    return list(found)


@contextmanager
def planted_at(place: Place, mutant: Mutant) -> Iterator[None]:
    """The mutant in its rule's place, for the nodes of that place only, while the block runs."""
    op, pull = OPS[place.op], Op.pull
    at: list[str] = [""]

    def knowing(self: Op, node: Node, gy: Any, graph: bool) -> Iterator[tuple[int, Any]]:
        at[0] = str(node.scope)
        yield from pull(self, node, gy, graph)

    Op.pull = knowing  # type: ignore[method-assign]
    try:
        with planted(op, mutant._replace(rule=only_at(place, op, mutant, at))):
            yield
    finally:
        Op.pull = pull  # type: ignore[method-assign]


def only_at(place: Place, op: Op, mutant: Mutant, at: list[str]) -> Any:
    """The right rule everywhere but at the place."""
    right = op.rules[op.inputs.index(mutant.input)]
    own, others = asked(right), asked(mutant.rule)
    saved = list(dict.fromkeys([*own, *others]))

    def rule(gy: Any, *values: Any) -> Any:
        given = dict(zip(saved, values))
        if at[0].endswith(f"/{place.at}"):
            return mutant.rule(gy, *[given[n] for n in others])
        return right(gy, *[given[n] for n in own])

    parameter = inspect.Parameter
    rule.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter(n, parameter.POSITIONAL_OR_KEYWORD) for n in ("gy", *saved)])
    return rule


def cell_mutants(place: Place) -> Iterator[Mutant]:
    """The mutants of an operation's own rules that are none by algebra, as a cell uses it.

    What is about shapes that a cell never has (`row`, one dimension) or about a kink that it
    never meets is for the operation's own check; products and cuts get whole results changed.
    """
    for mutant in mutants(OPS[place.op]):
        own, op = not HELPER.match(mutant.text), OPS[place.op]
        fits = mutant.family not in KINK or not op.kinks if op.elementwise else \
            mutant.family in WHOLE
        if own and fits and mutant.input in place.inputs and not excuse(mutant):
            yield mutant


def found(place: Place, mutant: Mutant) -> tuple[list[str], str]:
    """(the leaves whose gradients are wrong, whom the check blames)."""
    with planted_at(place, mutant), np.errstate(all="ignore"):
        wrong = differing(place.cell)
        if not wrong or wrong[0] not in run_of(place.cell).leaves:
            return wrong, wrong[0] if wrong else ""
        return wrong, blamed(place.cell, wrong)


def blamed(name: str, leaves: list[str]) -> str:
    """Whom the check blames, by a complex step if it can: of one leaf, or else of the next."""
    run = run_of(name)
    for leaf in leaves:
        with ts.detail("gates"):
            report = check(run.function, run.leaves, wrt=[leaf], method="auto")
        if report.culprit and "guilty: " in report.culprit.replace("is guilty", ""):
            return report.culprit
    return ""


def names(place: Place, said: str) -> bool:
    """Whether a report names the very operation at the very line."""
    line = said.partition("guilty: ")[2].partition("\n")[0]
    return f"/{place.at}  {place.op}." in line \
        or re.search(f"<{place.op} at \\S*/{re.escape(place.at)}>", said) is not None
