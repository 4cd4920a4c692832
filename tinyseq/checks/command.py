"""`tinyseq check`: run what is asked, print the report, write it; the exit status says how it is.
"""
from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from tinyseq.checks import foreign, subjects
from tinyseq.checks.options import CheckOptions
from tinyseq.gradcheck import Report, gradcheck_report
from tinyseq.ops import manual_seed


def run(options: CheckOptions) -> int:
    """Check; returns the exit status: 1 when something is wrong or could not be tested."""
    options.check()
    manual_seed(options.seed)
    status = 0
    for number, (report, said) in enumerate(reports(options)):
        print("\n".join([str(report), *([said] if said else [])]), flush=True)
        status = status or int(not report.ok)
        if options.out is not None:
            path = options.out if number == 0 else f"-{number}".join(os.path.splitext(options.out))
            report.save(path)
            print(f"wrote {path}")
    return status


def reports(options: CheckOptions) -> Iterator[tuple[Report, str]]:
    """(report, what else there is to say) for everything that is asked for."""
    how: dict[str, Any] = {
        "method": options.method, "fast": options.fast or None, "order": options.order,
        "fused": options.kernels or None, "seed": options.seed, "steps": options.steps,
        "batch": options.batch}
    if options.grads:
        yield foreign.judged(options)
    elif options.bug:
        yield foreign.planted(options)
    elif options.fn:
        what, inputs = subjects.function(options.fn)
        report = gradcheck_report(what, *([inputs] if inputs else []), **how)
        report.title = f"{options.fn}" + (", second derivatives" if options.order == 2 else "")
        yield report, ""
    elif options.model:
        for title, module, given in subjects.models(options):
            report = gradcheck_report(module, *given, **how)
            report.title = title
            yield report, ""
    else:
        yield gradcheck_report(subjects.fresh(options), **how), ""
