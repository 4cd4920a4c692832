"""One recorded run with its analytic gradients, ready to be compared with measured slopes."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinyseq import tree
from tinyseq.culprit import Evidence
from tinyseq.errors import GradcheckError
from tinyseq.gradcheck.methods import METHODS, chosen
from tinyseq.gradcheck.places import held
from tinyseq.gradcheck.report import Report
from tinyseq.graph import collect
from tinyseq.ops.noise import generator
from tinyseq.probe import taped
from tinyseq.replay import Step
from tinyseq.tensor import Tensor
from tinyseq.walk import differentiate


class Rule(NamedTuple):
    """What a check is asked to do: see `check`."""

    method: str = "central"
    eps: float | None = None
    rtol: float | None = None
    noise: float | None = None
    atol: float = 0.0
    fast: bool = False
    nondet: float = 0.0
    seed: int = 0
    undefined: bool = True
    allow_float32: bool = False
    fused: bool | None = None
    shares: bool = False


class Trial:
    """One recorded run with its analytic gradients; `report` gathers what is found."""

    def __init__(self, func: Callable, inputs: Mapping[str, Tensor], rule: Rule) -> None:
        self.rule, self.report = rule, Report()
        self.rng = rng = np.random.default_rng(rule.seed)
        words = generator.get_state()
        self.tape, self.outputs = run(func, inputs)
        generator.set_state(words)
        self.refuse_noise(run(func, inputs)[1])
        generator.set_state(words)
        self.outputs = [t for t in self.outputs if t.dtype.kind == "f"]
        self.refuse_infinities()
        self.cotangents = [rng.uniform(0.5, 1.5, t.shape) * rng.choice([-1.0, 1.0], t.shape)
                           for t in self.outputs]
        self.meter, self.report.why = chosen(rule.method, self.tape, self.outputs,
                                             self.cotangents, rule.eps)
        method = self.meter.method
        self.report.method = method.name
        self.rtol = method.rtol if rule.rtol is None else rule.rtol
        self.noise = method.noise if rule.noise is None else rule.noise
        self.grads = self.analytic(self.cotangents)
        self.steps = [Step(out, operands) for out, operands in self.tape]
        self.kept = {node: node.gy for step in self.steps for node in (step.node, *step.made())}
        self.report.held = held(self.steps)
        self.properties()

    # -- the run ------------------------------------------------------------------------------
    def refuse_noise(self, again: Sequence[Tensor]) -> None:
        """The same run twice must give the same numbers, tinyseq's own randomness held."""
        for k, (a, b) in enumerate(zip(self.outputs, again)):
            if not np.array_equal(a.array, b.array, equal_nan=a.dtype.kind == "f") and not (
                    a.shape == b.shape and np.abs(a.array - b.array).max() <= self.rule.nondet):
                raise GradcheckError(f"output {k} is not deterministic: two runs at the same "
                                     "point differ. Only tinyseq's own randomness is held")

    def refuse_infinities(self) -> None:
        """A value that is not finite has no slope."""
        for k, t in enumerate(self.outputs):
            if not np.isfinite(t.array).all():
                at = tuple(int(i) for i in np.argwhere(~np.isfinite(t.array))[0])
                raise GradcheckError(f"output {k} at {at} is {t.array[at]}: not finite, so it has "
                                     "no derivative to check")

    def analytic(self, cotangents: Sequence[np.ndarray | None]) -> dict[Any, np.ndarray]:
        """The gradients for some cotangents, every node's kept."""
        asked = [(t, g) for t, g in zip(self.outputs, cotangents)
                 if t.requires_grad and g is not None]
        if not asked:
            return {}
        return differentiate([t for t, _ in asked],
                             [np.asarray(g, t.dtype) for t, g in asked], True, False, keep="**")

    def cotangent(self, node: Any) -> np.ndarray:
        """What backward says of a recorded value, flat; zeros where nothing arrived."""
        g = self.kept.get(node)
        return np.zeros(node.shape).reshape(-1) if g is None else np.asarray(g).reshape(-1)

    def evidence(self) -> Evidence:
        """What a search for the culprit needs."""
        single = max((1e-6 for t in self.grads if t.dtype != np.float64), default=0.0)
        return Evidence(self.meter.replay, self.steps, self.outputs, self.cotangents, self.kept,
                        self.grads, single)

    def directions(self, kind: str) -> int:
        """How many random directions stand for the elements of a tensor or a line; 0: none do."""
        if self.meter.method.name == "forward":
            return 2 if kind == "tensor" else 1
        return 4 if self.rule.fast else 0

    def forget(self) -> None:
        """Take the kept gradients off the nodes: some may be a caller's own."""
        for node in collect([t.node for t in self.outputs if t.node is not None]):
            if not node.keep:
                node.gy = None

    # -- what holds for every right backward, without any difference ------------------------------
    def properties(self) -> None:
        """Backward must be repeatable and linear."""
        again = self.analytic(self.cotangents)
        other = [self.rng.normal(size=g.shape) for g in self.cotangents]
        seconds = self.analytic(other)
        both = self.analytic([g + 2 * h for g, h in zip(self.cotangents, other)])
        nothing = self.analytic([0 * g for g in self.cotangents])
        sizes = {leaf: np.abs(g).max(initial=0) + 2 * np.abs(seconds[leaf]).max(initial=0)
                 for leaf, g in self.grads.items()}
        largest = max(sizes.values(), default=0.0)
        for leaf, g in self.grads.items():
            name, says = leaf.label or f"an input of shape {leaf.shape}", self.report.problems
            if (g.shape, g.dtype) != (leaf.shape, leaf.dtype):
                says.append(f"the gradient of {name} is {g.shape} and {g.dtype}, expected "
                            f"{leaf.shape} and {leaf.dtype}")
                continue
            if not np.array_equal(g, again[leaf], equal_nan=True) and not (
                    np.abs(g - again[leaf]).max() <= self.rule.nondet):
                says.append(f"backward run twice differs at {name}")
            gap = np.abs(g + 2 * seconds[leaf] - both[leaf]).max(initial=0)
            near, far = (1e-9, 1e-12) if g.dtype == np.float64 else (1e-4, 1e-4)
            if gap > near * sizes[leaf] + far * largest:  # (sums that cancel leave rounding)
                says.append(f"backward is not linear in its cotangent at {name}")
            if np.any(nothing[leaf] != 0):
                says.append(f"a zero cotangent gives a gradient at {name}")

    def undefined(self) -> None:
        """An output that nobody asked about must count as one whose cotangent is zero."""
        for k in range(len(self.outputs) if len(self.outputs) > 1 else 0):
            left = self.analytic([None if n == k else g for n, g in enumerate(self.cotangents)])
            zero = self.analytic([0 * g if n == k else g for n, g in enumerate(self.cotangents)])
            for leaf, g in zero.items():
                a = left.get(leaf, np.zeros(leaf.shape))
                if np.abs(a - g).max(initial=0) > 1e-12 * np.abs(g).max(initial=0):
                    self.report.problems.append(
                        f"output {k} without a gradient is not the same as with a zero one, at "
                        f"{leaf.label or f'an input of shape {leaf.shape}'}")

    def allowed(self, n: np.ndarray, size: np.ndarray, rounding: np.ndarray) -> np.ndarray:
        """How far two derivatives may be apart."""
        return self.rule.atol + self.rtol * np.abs(n) + self.noise * size + rounding

    def loosened(self, n: np.ndarray, size: np.ndarray, share: np.ndarray) -> np.ndarray:
        """The same for two points whose step is that share of the usual one."""
        usual = METHODS["central"]
        return self.rule.atol + max(self.rtol, usual.rtol) * np.abs(n) + (
            max(self.noise, usual.noise) * size / share)


def run(func: Callable, inputs: Mapping[str, Tensor]) -> tuple[list, list[Tensor]]:
    """(tape, outputs) of one run, op by op."""
    with taped() as tape:
        outputs = tensors(func(*inputs.values()))
        return list(tape), outputs


def tensors(found: Any) -> list[Tensor]:
    """The tensors in what a function returned, in order.

    Errors: TypeError where there is none.
    """
    outputs = [t for t in tree.leaves(found) if isinstance(t, Tensor)]
    if not outputs:
        raise TypeError("the function must return a Tensor or several, got "
                        f"{type(found).__name__}")
    return outputs


def float32_inputs(inputs: Mapping[str, Tensor]) -> bool:
    """Whether some input that is checked is float32."""
    return any(t.requires_grad and t.dtype != np.float64 for t in inputs.values())
