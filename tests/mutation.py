"""Runs every mutant, in a pool of processes, and writes down who found it: for tools/mutate.

A mutant is *killed* by a check that fails with it in place, *named* if that check says which
operation, line or gate it is in, *equivalent* if it computes the same by algebra.
"""
from __future__ import annotations

import multiprocessing
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

import mutants_cells
import mutants_hand
import mutants_kernels
import mutants_optim
import mutants_sequence
import test_every_op as ops
from mutants import excuse, mutants
from tinyseq import bugs
from tinyseq.cells import CELLS
from tinyseq.gradcheck import check
from tinyseq.op import OPS

PARTS = {"operations": "rules of operations, each input's", "cells": "rules inside one line of a "
         "cell", "kernels": "derivatives in the generated kernels", "LSTM": "LSTM by hand",
         "GRU": "GRU by hand", "RNN": "RNN by hand", "published": "by hand, published beside that",
         "sequence": "layers, directions, lengths, masks", "optimizers": "optimizers, clipping, "
         "schedules"}


class Outcome(NamedTuple):
    """What became of one mutant: `killers` are the checks that failed, the first one first."""

    part: str
    mutant: str
    killers: tuple[str, ...]
    named: bool
    excuse: str = ""
    source: str = ""


# -- each kind ----------------------------------------------------------------------------------
def of_operation(name: str, every: int = 1) -> list[Outcome]:
    """The mutants of all rules of one operation, by test_every_op's checks."""
    found = []
    for mutant in list(mutants(OPS[name]))[::every]:
        error = ops.found(mutant)
        entry = excuse(mutant)
        if error is None:
            found.append(Outcome("operations", str(mutant), (), False, entry[2] if entry else ""))
            continue
        found.append(Outcome("operations", str(mutant), (kind(str(error)),),
                             names_operation(name, mutant, error)))
    return found


def kind(said: str) -> str:
    """Which of the checks of a rule has failed."""
    for words, check_of in (("recorded,", "forward mode and second order"),
                            ("raised", "backward raises"), ("kink", "beside a kink"),
                            ("at the point", "torch's convention at a point"),
                            ("linear", "linear in its cotangent"), ("is a", "shape or type"),
                            ("by differences", "four-point differences")):
        if words in said:
            return check_of
    return "other"


def names_operation(name: str, mutant: Any, error: ops.Wrong) -> bool:
    """Whether the check names the operation: in a chain of three, where differences found it."""
    if "by differences" in str(error) and not re.search("kink|nan|inf|recorded", str(error)):
        return f"  {name}.backward w.r.t. " in ops.blamed(mutant, error.case)
    return str(error).startswith(f"{name}, input")


def of_place(cell: str, number: int, every: int = 1) -> list[Outcome]:
    """The mutants of one operation at one line of a cell."""
    place = mutants_cells.places(cell)[number]
    found = []
    for mutant in list(mutants_cells.cell_mutants(place))[::every]:
        wrong, said = mutants_cells.found(place, mutant)
        killers = (() if not wrong else ("differences",) if "Error" not in wrong[0] else
                   ("backward raises",))
        found.append(Outcome("cells", f"{place}: {mutant.input}, {mutant.family}: {mutant.text}",
                             killers, mutants_cells.names(place, said)))
    return found


def of_kernel(name: str, first: int = 0, last: int | None = None,
              every: int = 1) -> list[Outcome]:
    """Some of the mutants of one cell's backward kernel."""
    found = []
    for mutant in mutants_kernels.kernel_mutants(name)[first:last:every]:
        wrong = mutants_kernels.differing(name, mutants_kernels.built(mutant))
        killers = (() if not wrong else ("kernel against equations",) if "Error" not in wrong[0]
                   else ("kernel raises",))
        entry = None if wrong else mutants_kernels.excuse(mutant)
        found.append(Outcome("kernels", str(mutant), killers,
                             bool(wrong) and mutants_kernels.named(mutant),
                             entry[3] if entry else ""))
    return found


def of_hand(cell: str) -> list[Outcome]:
    """The hand-written mistakes of one cell, listed and published."""
    own = mutants_hand.HAND[cell]
    found = []
    for m in (*own, *[m for m in bugs.KNOWN[cell] if m not in own and m.layers == 1]):
        found.append(Outcome(cell.upper() if m in own else "published",
                             f"{cell}: {m.name}: {m.says}", tuple(mutants_hand.caught(cell, m)),
                             mutants_hand.named(cell, m), source=m.source))
    return found + ([of_exhibit(e) for e in bugs.exhibits() if e.layers > 1]
                    if cell == "rnn" else [])


def of_exhibit(exhibit: bugs.Exhibit) -> Outcome:
    """A published mistake between layers, on the kind of network that it stood in."""
    m, f = exhibit.mistake, exhibit.fixture(T=3, N=2, I=2, H=2)
    killers = () if check(*bugs.checkable(exhibit.cell, f, [m])).ok else ("gradient check",)
    net, right = bugs.network(exhibit.cell, [m]), bugs.network(exhibit.cell)
    if not all(np.allclose(a, b, rtol=1e-12) for a, b in zip(net.outputs(f), right.outputs(f))):
        killers += ("outputs",)
    said = bugs.diagnose(net.gradients(f), exhibit.cell, f)
    return Outcome("published", f"{exhibit.cell}, {exhibit.layers} layers: {m.name}: {m.says}",
                   killers, said.mistakes == (m,), source=m.source)


def of_patches(part: str) -> list[Outcome]:
    """The mutants of the live package: of layers, or of optimizers."""
    module = {"sequence": mutants_sequence, "optimizers": mutants_optim}[part]
    patches = mutants_optim.OPTIM if part == "optimizers" else (
        *mutants_sequence.SEQUENCE, *mutants_sequence.PUBLISHED, *mutants_sequence.LAYOUT)
    found = []
    for mutant in patches:
        said = mutants_sequence.failures(mutant, module.CHECKS)
        found.append(Outcome(part, mutant.name, tuple(said), mutants_sequence.names(mutant, said),
                             source=mutant.source))
    return found


# -- all ----------------------------------------------------------------------------------------
Job = tuple[str, tuple]
WORK = {"operation": of_operation, "place": of_place, "kernel": of_kernel, "hand": of_hand,
        "patches": of_patches}


def jobs(fast: bool = False) -> list[Job]:
    """What there is to do, in pieces for the pool; with `fast`, a sample of each kind."""
    rest: list[Job] = [("patches", ("sequence",)), ("patches", ("optimizers",))]
    if fast:
        return [*[("operation", (name, 4)) for name in ("tanh", "mul", "sum")],
                *[("place", ("rnn_tanh", k, 4))
                  for k in range(len(mutants_cells.places("rnn_tanh")))],
                *[("kernel", (name, 0, None, 12)) for name in ("gru", "lstm")],
                ("hand", ("rnn",)), *rest]
    return [*rest,
            *[("kernel", (name, k, k + 100)) for name in mutants_kernels.ALL
              for k in range(0, len(mutants_kernels.kernel_mutants(name)), 100)],
            *[("place", (cell, k)) for cell in CELLS
              for k in range(len(mutants_cells.places(cell)))],
            *[("operation", (name,)) for name in ops.NAMES],
            *[("hand", (cell,)) for cell in mutants_hand.HAND]]


def work(job: Job) -> list[Outcome]:
    """One job, in whichever process."""
    name, arguments = job
    return WORK[name](*arguments)


def outcomes(todo: Iterable[Job], processes: int = 2) -> list[Outcome]:
    """All outcomes, in the order of the parts."""
    if processes < 2:
        found = [outcome for job in todo for outcome in work(job)]
    else:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            found = [outcome for part in pool.imap(work, list(todo), 1) for outcome in part]
    return sorted(found, key=lambda o: list(PARTS).index(o.part))


def idle_excuses(found: Iterable[Outcome]) -> list[tuple[str, ...]]:
    """Entries of the kernels' table of equivalent mutants that no mutant of a whole run needs."""
    needed = {o.excuse for o in found if o.part == "kernels"}
    return [entry for entry in mutants_kernels.EQUIVALENT if entry[3] not in needed]


# -- what is said of it -------------------------------------------------------------------------
def survivors(found: Iterable[Outcome]) -> list[Outcome]:
    """Those that nothing found and no algebra excuses."""
    return [o for o in found if not o.killers and not o.excuse]


def table(found: list[Outcome]) -> list[str]:
    """A row for each part: how many mutants, killed, named, equivalent, surviving."""
    rows = ["| mutants of | made | killed | of these named exactly | equivalent | survive |",
            "|---|---:|---:|---:|---:|---:|"]
    for part, says in [*PARTS.items(), ("", "all")]:
        of = [o for o in found if part in ("", o.part)]
        if of:
            killed = [o for o in of if o.killers]
            rows.append(f"| {says} | {len(of):,} | {len(killed):,} | "
                        f"{sum(o.named for o in killed):,} | "
                        f"{sum(bool(o.excuse) for o in of):,} | {len(survivors(of)):,} |")
    return rows


def by_killer(found: list[Outcome]) -> list[str]:
    """Which check killed how many first, and how many that nothing else kills."""
    rows = ["| part | check | found it | alone |", "|---|---|---:|---:|"]
    for part in PARTS:
        of = [o for o in found if o.part == part and o.killers]
        total = Counter(k for o in of for k in o.killers)
        alone = Counter(o.killers[0] for o in of if len(o.killers) == 1)
        rows += [f"| {part} | {name} | {count} | {alone[name]} |"
                 for name, count in sorted(total.items(), key=lambda item: (-item[1], item[0]))]
    return rows


def listed(found: list[Outcome], part: str) -> list[str]:
    """Every mutant of a part with the checks that find it."""
    rows = [f"| {PARTS[part]} | found by | named | seen in |", "|---|---|---|---|"]
    return rows + [f"| {cell_text(o.mutant)} | {', '.join(o.killers)} | "
                   f"{'yes' if o.named else 'no'} | {o.source} |" for o in found if o.part == part]


def excuses(found: list[Outcome]) -> list[str]:
    """The equivalent mutants by their reason, with one of them as an example."""
    by_reason: dict[tuple[str, str], list[Outcome]] = {}
    for o in found:
        if o.excuse:
            by_reason.setdefault((o.part, o.excuse), []).append(o)
    return ["| part | why it computes the same | how many | for example |", "|---|---|---:|---|",
            *[f"| {part} | {cell_text(why)} | {len(of)} | `{cell_text(of[0].mutant)[:150]}` |"
              for (part, why), of in by_reason.items()]]


def cell_text(text: str) -> str:
    """Text that can stand in a table."""
    return text.replace("|", "\\|")
