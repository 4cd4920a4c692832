"""Which operation is to blame for a wrong gradient: every rule and every sum, one by one.

Newest first, as backward goes: what arrived at a value must be the sum of what its uses sent, and
what an operation sends to each of its inputs must be the slope of its own forward. The first that
is not so is the first mistake; what comes after it only hands it on.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinyseq.culprit.words import rule_of, scope, sentence, title
from tinyseq.replay import Replay, Step, source_of
from tinyseq.scope import state
from tinyseq.tensor import Tensor
from tinyseq.walk import undo_broadcast

MOST = 1 << 20  # numbers in a batch
EPSILON = 2.0 ** -52
WORK = 1 << 22  # numbers computed to pin an element down
ALL = 4096      # elements that are searched one by one; of more, by halves first


INNOCENT = ("nobody is guilty: every rule is right where it stands and every sum adds up, so what "
            "was checked is not what was recorded (does a rule depend on how often it is called?)")


class Points(NamedTuple):
    """How slopes of one operation are measured: the points, their weights, h, what is allowed."""

    offsets: tuple[complex, ...]
    weights: tuple[float, ...]
    h: float
    rtol: float
    noise: float


COMPLEX = Points((1j,), (1.0,), 1e-30, 1e-10, 1e-13)
FOUR = Points((1, -1, 2, -2), (2 / 3, -2 / 3, -1 / 12, 1 / 12), 1e-3, 3e-8, 1e-10)
RIGHT, LEFT = [Points((1, 0), (1.0, -1.0), h, 1e-6, 1e-8) for h in (2.0 ** -20, -2.0 ** -20)]
TWO = tuple([Points((1, -1), (0.5, -0.5), 2.0 ** -k, 1e-6, 1e-8) for k in (20, 24)])


class Evidence(NamedTuple):
    """A run that was recorded and differentiated: what a search needs to know of it.

    `kept` holds the gradient that arrived at each recorded value, `grads` at each leaf; `rtol` is
    what the recorded numbers themselves are good for.
    """

    replay: Replay
    steps: Sequence[Step]
    outputs: Sequence[Tensor]
    cotangents: Sequence[np.ndarray]
    kept: Mapping[Any, Any]
    grads: Mapping[Any, np.ndarray]
    rtol: float = 0.0


Sent = list[tuple[Step | None, np.ndarray]]  # what arrives at a value, and from where (the loss)


def find_culprit(run: Evidence) -> str:
    """The first mistake on the way back, as a few lines: where, what, by how much, its rule."""
    sent: dict[Any, Sent] = {}
    for t, g in zip(run.outputs, run.cotangents):
        if t.requires_grad:
            sent.setdefault(source_of(t), []).append((None, g))
    for step in reversed(run.steps):
        for node in step.made():
            if said := wrong_sum(run, node, node.where(), sent.get(node, []), run.kept.get(node)):
                return said
        pulled = pull(run, step)
        for place in range(len(step.operands)):
            if said := wrong_edge(step, place, pulled) or wrong_rule(run, step, place, pulled):
                return said
        for place, g in pulled.items():
            sent.setdefault(step.sources[place], []).append((step, g))
    for leaf, g in run.grads.items():
        name = leaf.label or f"an input of shape {leaf.shape}"
        if said := wrong_sum(run, leaf, name, sent.get(leaf, []), g):
            return said
    return INNOCENT


def pull(run: Evidence, step: Step) -> dict[int, np.ndarray]:
    """What one step's rules send to each operand, in the operand's shape."""
    gy, before = run.kept.get(step.node), state.scope
    if gy is None:
        return {}
    try:
        state.scope = step.node.scope  # as backward does
        with np.errstate(all="ignore"):
            return {k: undo_broadcast(np.asarray(g), step.operands[k].shape)
                    for k, g in step.node.op.pull(step.node, gy, False)}
    finally:
        state.scope = before


# -- sums and edges ----------------------------------------------------------------------------
def wrong_sum(run: Evidence, source: Any, name: str, parts: Sent, found: Any) -> str | None:
    """What is wrong with the gradient that arrived at a value, given what its uses sent."""
    if found is None and not parts:
        return None
    shape = source.shape
    total = sum((g for _, g in parts), np.zeros(shape))
    arrived = np.zeros(shape) if found is None else np.asarray(found)
    size = np.abs([g for _, g in parts]).sum(0) if parts else np.zeros(shape)
    gap = np.abs(arrived - total) - max(1e-12, run.rtol) * size
    if not (gap > 0).any():
        return None
    at = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), shape))
    here = getattr(source, "scope", None) or "top level"
    head = f"guilty: {here}  the gradient of {name} at {at}"
    if getattr(source, "hooks", ()):
        return f"{head}: a hook makes it {arrived[at]:.6g}, {total[at]:.6g} was sent"
    said = f"{head}: {arrived[at]:.6g} arrived, but what its {len(parts)} uses sent adds up to " \
           f"{total[at]:.6g}"
    for words, rest, sign in (("what {} sent is left out", arrived - total, -1),
                              ("what {} sent is counted twice", arrived - total, 1),
                              ("only what {} sent is there", arrived, 1)):
        for step, g in parts:
            if (np.abs(rest - sign * g) <= 1e-9 * size).all():
                who = "the loss" if step is None else f"<{step.node.where()}>"
                return f"{said}; {words.format(who)}"
    return said


def wrong_edge(step: Step, place: int, pulled: dict[int, Any]) -> str | None:
    """Whether a step sends a gradient where none belongs."""
    t = step.operands[place]
    if place not in pulled or (isinstance(t, Tensor) and t.requires_grad
                               and step.node.inputs[place] is step.sources[place]):
        return None
    why = "is connected to another value" if isinstance(t, Tensor) and t.requires_grad else \
        "is a constant here (detached, or requires_grad is False)"
    return (f"guilty: {scope(step)}  {step.node.op.name} sends a gradient to its input "
            f"{title(step.node.op, place)}, which {why}")


# -- rules ------------------------------------------------------------------------------------
def wrong_rule(run: Evidence, step: Step, place: int, pulled: dict[int, Any]) -> str | None:
    """What is wrong with what a step sends to one operand, or None."""
    t, gy = step.operands[place], run.kept.get(step.node)
    if gy is None or not isinstance(t, Tensor) or not t.requires_grad or not t.array.size \
            or (place not in pulled and rule_of(step.node.op, place) is None):
        return None
    a = pulled.get(place, np.zeros(t.shape)).reshape(-1)
    rng = np.random.default_rng(0)
    moves = rng.uniform(0.5, 1.5, (2, a.size)) * rng.choice([-1.0, 1.0], (2, a.size))
    if not blamed(run, step, place, moves, moves @ a).any():
        return None
    found = pinned(run, step, place, a, rng)
    return None if found is None else sentence(step, place, *found)


def blamed(run: Evidence, step: Step, place: int, moves: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Along which directions a rule is wrong: by four points and, if those disagree, closer by."""
    n, allowed, _ = slopes(run, step, place, moves)
    wrong = ~(np.abs(a - n) <= allowed)
    if run.replay.dtype == np.complex128 or not wrong.any():
        return wrong
    rows = np.flatnonzero(wrong)  # a kink or a pole within reach may have spoilt four points
    near, nearer = [slopes(run, step, place, moves[rows], points) for points in TWO]
    far = n[rows], allowed[rows]
    change = np.abs(near[0] - nearer[0])
    off = np.array([np.abs(far[0] - near[0]) + near[2], change / 100 + near[2],
                    change + nearer[2]])
    off = np.where(np.isfinite(off), off, np.inf)
    best = np.argmin(off, axis=0)
    at = np.arange(rows.size)
    known = np.array([far[0], near[0], nearer[0]])[best, at]
    loose = np.array([far[1], near[1], nearer[1]])[best, at] + off[best, at]
    wrong[rows] = ~(np.abs(a[rows] - known) <= loose)
    return wrong


def slopes(run: Evidence, step: Step, place: int, moves: np.ndarray, points: Points | None = None
           ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(slopes of <outputs, cotangents> of one step, what is allowed, the rounding in it)."""
    if points is None:
        points = COMPLEX if run.replay.dtype == np.complex128 else FOUR
    arrays = [run.replay.now(t, s, {}) for t, s in zip(step.operands, step.sources)]
    moved = [k == place for k in range(len(arrays))]
    x, K = arrays[place], len(moves)
    h = points.h * np.maximum(1.0, np.abs(moves * x.reshape(-1)).max(1))
    gy = run.kept[step.node]
    values = [x.reshape(-1) + offset * h[:, None] * moves for offset in points.offsets]
    arrays[place] = np.concatenate(values).reshape(-1, *x.shape)
    n, size, rounding = np.zeros((3, K))
    with np.errstate(all="ignore"):
        outs = run.replay.apply(step, arrays, moved, len(arrays[place]))
        for y, g, base in zip(outs, gy if type(gy) is list else [gy], step.outputs):
            if g is None:
                continue
            at, g = y.reshape(len(points.offsets), K, -1), np.asarray(g).reshape(-1)
            share = (at[0].imag if points is COMPLEX else
                     sum(w * v for w, v in zip(points.weights, at))) * g / h[:, None]
            lost = 4 * EPSILON * np.linalg.norm(base.array.reshape(-1).astype(float) * g)
            n, size = n + share.sum(1), size + np.abs(share).sum(1)
            rounding = rounding + lost * (16 if points is COMPLEX else 1 / np.abs(h))
    rtol, noise = max(points.rtol, run.rtol), max(points.noise, run.rtol)
    return n, rtol * np.abs(n) + noise * size + rounding, rounding


def kinked(run: Evidence, step: Step, place: int, moves: np.ndarray) -> np.ndarray:
    """Along which directions an operation has a kink, where its rule is a convention."""
    if run.replay.dtype == np.complex128:
        return np.zeros(len(moves), bool)
    right, left = [slopes(run, step, place, moves, points) for points in (RIGHT, LEFT)]
    return np.abs(right[0] - left[0]) > 1e-3 * np.abs([right[0], left[0]]).max(0) + 4 * right[2]


def pinned(run: Evidence, step: Step, place: int, a: np.ndarray,
           rng: np.random.Generator) -> tuple[tuple[int, ...], float, float, bool] | None:
    """(the element that is most wrong, the rule's number, the slope, whether the ratio is one).

    None if all that is wrong stands at a kink.
    """
    block = np.arange(a.size)
    while len(block) > max(1, min(ALL, WORK // a.size)):  # the half that is wrong more
        halves = np.array_split(block, 2)
        moves = np.zeros((2, a.size))
        for k, half in enumerate(halves):
            moves[k, half] = rng.choice([-1.0, 1.0], half.size)
        n = slopes(run, step, place, moves)[0]
        block = halves[int(np.argmax(np.abs(moves @ a - n)))]
    each = max(1, MOST // max(a.size, *[t.array.size for t in step.outputs]) // 4)
    n, bent = np.zeros(len(block)), np.zeros(len(block), bool)
    for k in range(0, len(block), each):
        here = block[k:k + each]
        moves = np.zeros((len(here), a.size))
        moves[np.arange(len(here)), here] = 1.0
        n[k:k + each] = slopes(run, step, place, moves)[0]
        bent[k:k + each] = kinked(run, step, place, moves)
    if bent.all():
        return None
    a, n, block = a[block][~bent], n[~bent], block[~bent]
    k = int(np.argmax(np.where(np.isfinite(n), np.abs(a - n), np.inf)))
    if bent.any() and np.abs(a[k] - n[k]) <= 1e-6 * max(np.abs(n).max(), np.abs(a).max()):
        return None
    large = np.abs(n) > 1e-3 * np.abs(n).max()
    ratios = a[large] / n[large]
    same = len(ratios) > 1 and bool(np.ptp(ratios) <= 1e-4 * np.abs(ratios).max())
    at = np.unravel_index(int(block[k]), step.operands[place].shape)
    return tuple(int(i) for i in at), float(a[k]), float(n[k]), same
