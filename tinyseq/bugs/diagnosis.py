"""Which known mistake a gradient equals: `diagnose`."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from tinyseq.bugs.mistake import Mistake, network
from tinyseq.bugs.museum import KNOWN
from tinyseq.bugs.stacked import Fixture, Network, completed, fixture, known
from tinyseq.errors import ShapeError

Arrays = dict[str, np.ndarray]
WORDS = {"i": "gate i", "f": "gate f", "o": "gate o", "r": "gate r", "z": "gate z",
         "g": "the candidate g", "n": "the candidate n", "h": "the state h"}


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found: `right`, or `mistakes`, or neither, and then `wrong` says where.

    Each of `mistakes` alone gives these numbers, unless `pair` is true: then two do together.
    `hidden` are those that would give the right numbers on this fixture: it cannot show them.
    """

    right: bool
    mistakes: tuple[Mistake, ...] = ()
    error: float = 0.0
    pair: bool = False
    wrong: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    names: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        size = "exactly" if self.error == 0 else f"to {self.error:.0e}"
        if self.right:
            lines = [f"right: {', '.join(self.names)} agree {size}"]
            if self.hidden:
                lines.append("but these numbers would be the same with: " + "; ".join(self.hidden))
            return "\n".join(lines)
        if not self.mistakes:
            return ("none of the known mistakes; first wrong: " + ", then ".join(self.wrong[:3])
                    + (f", and {len(self.wrong) - 3} more" if len(self.wrong) > 3 else ""))
        joint = " together with " if self.pair else " (or, the same numbers, with "
        said = joint.join(m.says for m in self.mistakes)
        if len(self.mistakes) > 1 and not self.pair:
            said += ")"
        lines = [f"equals the gradient with {said}, {size}"]
        for m in self.mistakes:
            lines.append(m.lines())
            if m.source:
                lines.append(f"  seen in {m.source}")
        return "\n".join(lines)


def diagnose(grads: Mapping[str, Any], cell: str = "lstm",
             given: Fixture | None = None) -> Diagnosis:
    """Compare gradients with the right ones and with every known mistake's.

    `grads` has some or all of dL/d(weight_ih_l0 ... bias_hh_l0, x, h_0, c_0) by those names;
    `given` is what they were computed on, without it `fixture(cell)`. A state or g_state of None
    is zero, and weights without biases have none.
    Errors: ValueError and ShapeError naming the cell, the gradient or the array that does not fit.
    Example: a forget gate whose sigmoid was not differentiated
        >>> f = fixture("lstm")
        >>> wrong = network("lstm", [m for m in KNOWN["lstm"] if m.name == "drop 1 - f"])
        >>> print(diagnose(wrong.gradients(f), "lstm"))
        equals the gradient with sigma(f) in place of sigma'(f), exactly
          right  gf = gc * c[t] * dsigmoid(f)
          wrong  gf = gc * c[t] * f
        >>> diagnose(network("lstm").gradients(f), "lstm").right
        True
    """
    hand, f = known(cell), completed(cell, fixture(cell) if given is None else given)
    right = network(cell).gradients(f)
    mine = checked(grads, right)
    tolerance = 1e-5 if min(a.dtype.itemsize for a in mine.values()) < 8 else 1e-10
    found = {m: network(cell, [m]).gradients(f) for m in KNOWN[cell]
             if m.layers <= len(f.suffixes) // f.directions}
    hidden = tuple([m.name for m, g in found.items() if distance(right, mine, g) <= 1e-14])
    error = distance(mine, mine, right)
    nearest = min([distance(mine, mine, g) for g in found.values()], default=np.inf)
    if error <= min(tolerance, nearest):
        return Diagnosis(True, (), error, hidden=hidden, names=tuple(mine))
    if nearest <= tolerance:
        near = [m for m, g in found.items() if distance(mine, mine, g) <= max(2 * nearest, 1e-14)]
        return Diagnosis(False, tuple(near), nearest, names=tuple(mine))
    wrong = blocks(mine, right, hand.gates, tolerance)
    off = {m: set(blocks({name: g[name] for name in mine}, right, hand.gates, tolerance))
           for m, g in found.items()}
    for pair in combinations(found, 2):  # those whose effects are where mine differs, and no more
        both = together(cell, pair) if off[pair[0]] | off[pair[1]] == set(wrong) else None
        if both and (error := distance(mine, mine, both.gradients(f))) <= tolerance:
            return Diagnosis(False, pair, error, True, names=tuple(mine))
    return Diagnosis(False, wrong=places(wrong), names=tuple(mine))


def checked(grads: Mapping[str, Any], right: Arrays) -> Arrays:
    """The given gradients as arrays of the right names and shapes."""
    unknown = sorted(set(grads) - set(right))
    if unknown or not grads:
        raise ValueError(f"gradients {unknown or 'none at all'}: expected some of "
                         f"{', '.join(right)}")
    mine = {name: np.asarray(grads[name]) for name in right if name in grads}
    for name, g in mine.items():
        if g.shape != right[name].shape and g.size == right[name].size \
                and right[name].shape[0] == 1:
            mine[name] = g = g.reshape(right[name].shape)
        if g.shape != right[name].shape:
            raise ShapeError(f"the gradient of {name} has shape {g.shape}, expected "
                             f"{right[name].shape}")
    return mine


def distance(a: Arrays, names: Iterable[str], b: Arrays) -> float:
    """The largest difference over the tensors of those names, relative to b's largest number."""
    worst = 0.0
    for name in names:
        size = float(np.abs(b[name]).max(initial=0.0)) or 1.0
        gap = float(np.abs(a[name] - b[name]).max(initial=0.0)) / size
        worst = max(worst, gap if gap == gap else np.inf)
    return worst


def together(cell: str, pair: tuple[Mistake, ...]) -> Network | None:
    """The network with both mistakes, or None where they change the same line."""
    try:
        return network(cell, pair)
    except ValueError:
        return None


def blocks(mine: Arrays, right: Arrays, gates: str, tolerance: float) -> dict[str, float]:
    """How far gradients differ where they do, gate by gate: relative to the block's largest."""
    found = {}
    for name, g in mine.items():
        cut = name.startswith(("weight", "bias")) and len(gates) > 1
        parts = zip(gates, np.split(g, len(gates)), np.split(right[name], len(gates))) \
            if cut else [("", g, right[name])]
        for gate, a, b in parts:
            off = distance({"": a}, [""], {"": b})
            if off > tolerance:
                found[f"{name}, rows of {WORDS[gate]}" if gate else name] = off
    return found


def places(wrong: dict[str, float]) -> tuple[str, ...]:
    """The same in words, furthest first."""
    return tuple([f"{name} (off by {off:.2g} of its largest)"
                  for name, off in sorted(wrong.items(), key=lambda item: -item[1])])
