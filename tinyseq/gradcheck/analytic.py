"""Replay on complex numbers, for the complex step; refused at what is not analytic."""
from __future__ import annotations

import ast
from typing import Any

import numpy as np

from tinyseq import rule
from tinyseq.errors import GradcheckError
from tinyseq.fused import Fused
from tinyseq.op import OPS, Op
from tinyseq.replay import Replay, Step, forward

# The functions of numpy that a complex step passes through: their complex values are the
# continuation of the real ones. Everything else (maxima, comparisons, abs, rounding) is refused.
CONTINUED = frozenset((np.add, np.subtract, np.multiply, np.divide, np.negative, np.positive,
                       np.exp, np.exp2, np.expm1, np.log, np.log2, np.log10, np.log1p, np.sqrt,
                       np.square, np.reciprocal, np.power, np.float_power, np.matmul, np.sin,
                       np.cos, np.tan, np.arcsin, np.arccos, np.arctan, np.sinh, np.cosh, np.tanh,
                       np.arcsinh, np.arctanh))
BRANCHES = ("where",)  # a comparison made on the real numbers decides which value is taken
SHIFTED = ("softmax", "log_softmax", "logsumexp")  # subtract their maximum; the result has none


class Refused(GradcheckError):
    """A function that complex numbers cannot pass through."""


class Continued(np.ndarray):
    """An array that refuses every function of numpy that is not analytic."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if ufunc not in CONTINUED:
            raise Refused(ufunc.__name__)
        if "out" in kwargs:
            kwargs["out"] = tuple([plain(t) for t in kwargs["out"]])
        found = np.asarray(getattr(ufunc, method)(*[plain(t) for t in inputs], **kwargs))
        return found.view(Continued)


def plain(t: Any) -> Any:
    """An operand without its guard."""
    return t.view(np.ndarray) if isinstance(t, Continued) else t


class AnalyticReplay(Replay):
    """A replay on complex128."""

    def refuse_kinks(self) -> None:
        """Run every operation on small samples of what it was given, guarded.

        Errors: GradcheckError naming the operation, where it is, and why a complex step fails.
        """
        seen: set[Any] = set()
        for step in self.work:
            op = step.node.op
            if op in seen or getattr(op, "name", "") in SHIFTED:
                continue
            seen.add(op)
            arrays = [self.now(t, source, {}) for t, source in zip(step.operands, step.sources)]
            guarded = [a.view(Continued) if isinstance(a, np.ndarray) and a.dtype.kind == "c"
                       else a for a in arrays]
            self.try_one(step, guarded)

    def try_one(self, step: Step, arrays: list) -> None:
        """One operation on guarded arrays."""
        try:
            found = forward(step.node.op, arrays, step.node.attrs or {})
            why = "" if found[0].dtype.kind == "c" else "its result is not complex"
        except Refused as refused:
            why = f"it calls {refused}, which is not analytic"
        except (TypeError, ValueError, AttributeError) as error:
            why = f"it does not take complex numbers ({error})"
        if not why and not isinstance(step.node.op, (Op, Fused)):
            why = "it is written by hand, and may take complex numbers for real ones"
        if not why and kinked(step.node.op):
            why = "it has a kink"
        if not why and step.node.op.name in BRANCHES:
            why = "it chooses by a comparison"
        if why:
            raise GradcheckError(f"a complex step cannot pass <{step.node.where()}>: {why}. Type "
                                 "method='four-point'")


def kinked(op: Any) -> bool:
    """Whether an operation, or one in a fused layer's equations, is declared to have kinks."""
    if not isinstance(op, Fused):
        return bool(getattr(op, "kinks", ()))
    words = [rule.text(call.func) for line in op.cell.lines for call in ast.walk(line.tree)
             if isinstance(call, ast.Call)]
    return any(OPS[word].kinks for word in words if word in OPS)
