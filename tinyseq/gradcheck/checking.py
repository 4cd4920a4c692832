"""`check`: every input, parameter and named line of a function, compared and reported.

A derivative is compared element by element with a measured slope, for random signed cotangents on
all outputs, by the rule |a - n| <= atol + rtol |n| + noise S, where S = sum |g||J| is how much
could have cancelled; with atol = 0 a small derivative is checked like a large one.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tinyseq.culprit import INNOCENT, find_culprit
from tinyseq.errors import GradcheckError
from tinyseq.gradcheck.kernels import kernel_faults
from tinyseq.gradcheck.parts import (Gates, Part, cotangent_parts, input_parts, line_parts,
                                     share_parts)
from tinyseq.gradcheck.report import Report
from tinyseq.gradcheck.rows import compare, measured
from tinyseq.gradcheck.trial import Rule, Trial, float32_inputs
from tinyseq.ops.noise import generator
from tinyseq.tensor import Tensor


def check(func: Callable[..., Any], inputs: Mapping[str, Tensor], *,
          gates: Gates | None = None, wrt: Iterable[str] | None = None,
          eps: float | None = None, rtol: float | None = None, noise: float | None = None,
          seed: int = 0, atol: float = 0.0, method: str = "central", fast: bool = False,
          nondet: float = 0.0, undefined: bool = True, allow_float32: bool = False,
          fused: bool | None = None, shares: bool = False) -> Report:
    """Check `func(*inputs)` at every input that requires grad and at every named line it records.

    `gates` splits the rows of a weight ({"weight_hh_l0": "ifgo"}); `wrt` checks some inputs only.
    Recurrent layers are checked op by op, and their kernels against that: those of shipped cells,
    with `fused` all (which compiles them), with fused=False none. `shares` checks each weight at
    every step that uses it, too. `method` and the tolerances are as in `gradcheck`, `fast` is its
    fast mode, `seed` that of the cotangents.
    Errors: as `gradcheck`; a gradient that is merely wrong is in the report, not raised.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([0.5, -2.0], dtype=ts.float64, requires_grad=True)
        >>> report = check(lambda x: (x * x).sum(), {"x": x})
        >>> report.ok, report.count
        (True, 2)
    """
    rule = Rule(method, eps, rtol, noise, atol, fast, nondet, seed, undefined, allow_float32,
                fused, shares)
    wanted = None if wrt is None else tuple(wrt)
    if unknown := sorted(set(wanted or ()) - set(inputs)):
        raise ValueError(f"wrt={unknown}: no such input, expected some of {list(inputs)}")
    report = examined(func, inputs, rule, lambda trial, given: parts(trial, given, gates or {},
                                                                     wanted))
    if not report.rows:
        raise GradcheckError(nothing(report, inputs, wanted))
    return report


def examined(func: Callable[..., Any], inputs: Mapping[str, Tensor], rule: Rule,
             chosen: Callable[[Trial, Mapping[str, Tensor]], Iterable[Part]]) -> Report:
    """The report of a trial on what `chosen` picks of it; one without rows comes back as well."""
    began = time.perf_counter()
    refuse(inputs, rule.allow_float32)
    if float32_inputs(inputs):  # what was recorded in float32, against slopes in float64
        rule = rule._replace(rtol=rule.rtol or 1e-4, noise=rule.noise or 1e-6)
    given = {name: t if t.node is None else t.detach().requires_grad_(t.requires_grad)
             for name, t in inputs.items()}
    before = {name: t.array.copy() for name, t in given.items()}
    words = generator.get_state()
    try:
        trial = Trial(func, given, rule)
        compare(trial, list(chosen(trial, given)))
        if rule.undefined:
            trial.undefined()
        report = trial.report
        if not report.ok and report.rows:
            explain(trial)
        if report.ok:  # (kernels are made of the rules: nothing is proven yet)
            generator.set_state(words)
            report.problems += kernel_faults(func, given, trial)
        trial.forget()
        report.evaluations = trial.meter.replay.evaluations + trial.meter.pushes
        report.seconds = time.perf_counter() - began
        return report
    finally:
        generator.set_state(words)
        restore(given, before)


def parts(trial: Trial, inputs: Mapping[str, Tensor], gates: Gates,
          wrt: tuple[str, ...] | None = None) -> list[Part]:
    """What is compared: some inputs only, or all of them, the lines and perhaps the shares."""
    if wrt is not None:
        return list(input_parts(trial, inputs, set(wrt), gates))
    found = [*input_parts(trial, inputs, set(inputs), gates), *line_parts(trial)]
    if trial.rule.shares and trial.meter.method.name != "forward":
        found += share_parts(trial, inputs, gates)
    return found


def explain(trial: Trial) -> None:
    """Find the culprit of a failed check, and how far its mistake has spread."""
    report = trial.report
    report.culprit = find_culprit(trial.evidence())
    if not report.failed and report.culprit == INNOCENT:
        report.culprit = None
    try:
        found = measured(trial, list(cotangent_parts(trial)))
    except GradcheckError:  # a kink, or a derivative that is not finite, in some direction
        return
    report.cotangents = sum(not one.wrong().any() for one in found), len(found)


def cotangents(func: Callable[..., Any], inputs: Mapping[str, Tensor], *, method: str = "auto",
               seed: int = 0) -> Report:
    """Check the gradient of every recorded value, named or not, each in one random direction.

    The values are injected into the recorded run, all in the same batch: a model's several
    hundred take less than a second.
    Errors: as `gradcheck`.
    Example:
        >>> import tinyseq as ts
        >>> rnn, x = ts.nn.RNN(2, 3, dtype=ts.float64), ts.ones(4, 1, 2, dtype=ts.float64)
        >>> report = cotangents(lambda *weights: rnn(x), dict(rnn.named_parameters()))
        >>> report.ok, len(report.rows) + len(report.untested)
        (True, 22)
    """
    return examined(func, inputs, Rule(method, seed=seed, undefined=False, fused=False),
                    lambda trial, _: cotangent_parts(trial))


def nothing(report: Report, inputs: Mapping[str, Tensor], wrt: tuple[str, ...] | None) -> str:
    """What to say of a check that has compared nothing."""
    wanted = set(inputs if wrt is None else wrt)
    asked = sum(t.numel() for name, t in inputs.items() if name in wanted and t.requires_grad)
    why = "; ".join(f"{name}: {why}" for name, why in list(report.untested.items())[:5])
    return (f"0 of {asked} derivatives checked, so this would be no check: nothing here depends "
            f"on an input that requires grad ({why})")


def restore(inputs: Mapping[str, Tensor], before: Mapping[str, np.ndarray]) -> None:
    """Put inputs back that the function has changed, and say so."""
    for name, t in inputs.items():
        if not np.array_equal(t.array, before[name], equal_nan=True):
            t.array[...] = before[name]
            raise GradcheckError(f"the function changed its input {name!r} in place; it is "
                                 "restored: let it work on a clone()")


def refuse(inputs: Mapping[str, Tensor], allow_float32: bool = False) -> None:
    """Inputs at which a check could not see anything."""
    if not any(t.requires_grad for t in inputs.values()):
        raise ValueError("no input requires grad: nothing to check. Type x.requires_grad_()")
    for name, t in inputs.items():
        if t.requires_grad and t.dtype != np.float64 and not allow_float32:
            raise ValueError(f"input {name!r} is {t.dtype}, whose differences drown in rounding: "
                             "use float64, x.double(), or type allow_float32=True to compare with "
                             "float64 to four digits")
        if t.requires_grad and 0 in t.array.strides and t.array.size > 1:
            raise ValueError(f"input {name!r} overlaps itself in memory (an expanded tensor): "
                             "check a clone()")
