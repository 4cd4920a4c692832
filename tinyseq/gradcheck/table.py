"""A report as a person reads it: text, a page, a heat map of the errors over lines and steps."""
from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from tinyseq.draw.chart import heat_strip
from tinyseq.draw.colours import STRIPS, ramp
from tinyseq.draw.picture import Picture
from tinyseq.draw.scene import Scene
from tinyseq.gradcheck.outcome import Outcome, Row
from tinyseq.io.files import replace
from tinyseq.markup import number, safe, table

MOST = 16      # columns of steps; more steps share a column, which shows the worst of them
USUAL = {"central": -11.0, "four-point": -13.0}  # the log of an error as small as can be expected
BEST = -17.0   # the same of the exact methods
WHOLE = "all"  # the column of what is not divided

Cells = dict[str, dict[str, float]]


class Columns:
    """The steps of a report as columns, several to one where there are many."""

    def __init__(self, rows: Iterable[Row]) -> None:
        count = 1 + max((row.time for row in rows if row.time is not None), default=-1)
        self.each = math.ceil(count / MOST) or 1
        self.names = [f"t={k}" if self.each == 1 else f"t={k}-{min(k + self.each, count) - 1}"
                      for k in range(0, count, self.each)]

    def of(self, row: Row) -> str:
        """The column of a row."""
        return WHOLE if row.time is None else self.names[row.time // self.each]


def gathered(triples: Iterable[tuple[str, str, float]]) -> Cells:
    """Rows of cells, each the worst error that belongs there."""
    cells: Cells = {}
    for name, column, error in triples:
        row = cells.setdefault(name, {})
        row[column] = max(error, row.get(column, 0.0))
    return cells


def plain(row: Row) -> str:
    """The name of a tensor without its gate."""
    return row.name.removesuffix(f"[{row.part}]") if row.part else row.name


def tables(report: Outcome) -> list[tuple[str, Cells, list[str]]]:
    """(title, worst errors, columns): tensors by gate, lines by step, weights by step."""
    tensors, columns = report.of("tensor"), Columns(report.rows)
    gates = list(dict.fromkeys(row.part or WHOLE for row in tensors))
    return [("gradient", gathered((plain(row), row.part or WHOLE, row.error)
                                  for row in tensors), gates),
            ("line", gathered((f"{row.place} {row.gate}".strip(), columns.of(row), row.error)
                              for row in report.lines), columns.names),
            ("weight at a step", gathered((row.place, columns.of(row), row.error)
                                          for row in report.of("share")), columns.names)]


# -- text -----------------------------------------------------------------------------------
def text(report: Outcome) -> str:
    """The report as text: the verdict, the tables, what failed, what was not tested."""
    lines = [verdict(report), counts(report), f"method {report.why or report.method}"]
    for title, cells, names in tables(report):
        lines += aligned(title, cells, names)
    notes = [f"  wrong: {said}" for said in failures(report)]
    notes += [f"  wrong: {said}" for said in report.problems]
    notes += [f"  not tested: {said}" for said in grouped(report.untested)]
    notes += [f"  held while differencing: {said}" for said in constants(report)]
    if report.culprit:
        notes.append(report.culprit)
    if report.cotangents and report.cotangents[0] < report.cotangents[1]:
        notes.append("  {} of {} recorded values have the right cotangent".format(
            *report.cotangents))
    return "\n".join([*lines, "", *notes] if notes else lines)


def verdict(report: Outcome) -> str:
    """The report in one line."""
    said = "ok" if report.ok else "FAILED" if report.rows else "NOT TESTED"
    if not report.rows:
        return f"{report.title}: {said}"
    lost = f", {len(report.untested)} not tested" if report.untested else ""
    weak = f", {report.weak:,} of them below the noise" if report.weak else ""
    return (f"{report.title}: {said}, worst error {report.worst:.1e} among {report.count:,} "
            f"derivatives{weak}{lost}")


def counts(report: Outcome) -> str:
    """How much was compared, and what it took."""
    words = {"tensor": "tensors and gates", "line": "lines at steps", "share": "weights at steps",
             "node": "recorded values"}
    parts = [f"{len(report.of(kind)):,} {word}" for kind, word in words.items() if report.of(kind)]
    return (f"{', '.join(parts) or 'nothing'}; {report.seconds:.1f} s, {report.evaluations:,} "
            "operations run")


def failures(report: Outcome) -> list[str]:
    """The worst of the rows that are wrong, with both numbers, h and the tolerance."""
    failed = report.failed
    one, other = report.words
    said = [f"{row.where()}: {one} {row.analytic:.9g}, {other} {row.numeric:.9g}, apart by "
            f"{row.ratio:.3g} times the tolerance {row.allowed:.1e}"
            + (f" (h = {row.step:.1e})" if row.step else "") for row in failed[:5]]
    return said + ([f"and {len(failed) - 5:,} more tensors or lines"] if len(failed) > 5 else [])


def grouped(untested: dict[str, str]) -> list[str]:
    """What was not tested, many with one reason in one line."""
    names: dict[str, list[str]] = {}
    for name, why in untested.items():
        names.setdefault(why, []).append(name)
    return [", ".join(some[:6]) + (f" and {len(some) - 6:,} more" if len(some) > 6 else "")
            + f": {why}" for why, some in names.items()]


def constants(report: Outcome) -> list[str]:
    """What was held constant, counted."""
    return [f"{len(places)} {kind}{'s' if len(places) > 1 else ''} ({places[0]}"
            f"{' ...' if len(places) > 1 else ''})" for kind, places in report.held.items()]


def aligned(title: str, cells: Cells, names: list[str]) -> list[str]:
    """One table in columns; an empty cell is a dot."""
    if not cells:
        return []
    wide = max(len(name) for name in (title, *cells))
    size = max(7, *(len(name) + 1 for name in names))
    lines = ["", f"  {title:<{wide}}" + "".join(f"{name:>{size}}" for name in names)]
    for name, row in cells.items():
        words = [f"{row[c]:.0e}" if c in row else "." for c in names]
        lines.append(f"  {name:<{wide}}" + "".join(f"{word:>{size}}" for word in words))
    return lines


# -- page and picture -----------------------------------------------------------------------
def picture(report: Outcome) -> Scene:
    """The errors as a heat map: lines and weights by step, and every whole gradient."""
    columns = Columns(report.rows)
    rows = [row for row in report.rows if row.kind != "node"]
    cells = gathered((f"{row.place} {row.gate}".strip() if row.gate else
                      f"{row.place}[{row.part}]" if row.kind == "share" and row.part else
                      row.place if row.kind == "share" else row.name,
                      columns.of(row), row.error) for row in rows)
    names = [*columns.names, WHOLE]
    best = USUAL.get(report.method, BEST)
    logs: dict[str, Sequence[float | None]] = {
        name: [log(row[c]) if c in row else None for c in names] for name, row in cells.items()}
    return heat_strip(f"{report.title}: relative error of each gradient, log10", logs, names,
                      best, 0.0, "gradient", labels=200.0)


def log(error: float) -> float:
    """The logarithm of an error, that of 0 as the best."""
    return max(BEST, math.log10(error)) if error > 0 else BEST


def html(report: Outcome) -> str:
    """The report as HTML: verdict, picture, tables, failures, what was not tested."""
    mark = "ok" if report.ok else "wrong"
    parts = [f'<p><strong class="{mark}">{safe(verdict(report))}</strong></p>',
             f"<p>{safe(counts(report))}<br>method {safe(report.why or report.method)}</p>"]
    said = [*[f"wrong: {f}" for f in (*failures(report), *report.problems)],
            *([report.culprit] if report.culprit else [])]
    parts += [f"<pre>{safe(line)}</pre>" for line in said]
    parts.append(Picture(picture(report), "gradient check").svg())
    best = USUAL.get(report.method, BEST)
    for title, cells, names in tables(report):
        parts.append(table([title, *names], [
            [safe(name), *[shaded(row.get(c), best) for c in names]]
            for name, row in cells.items()]))
    parts.append(table(["not tested", "why"], [
        [safe(name), safe(why)] for name, why in report.untested.items()]))
    parts += [f"<p>held while differencing: {safe(held)}</p>" for held in constants(report)]
    return "\n".join(part for part in parts if part)


def shaded(error: float | None, best: float) -> str:
    """A table cell with an error on the heat map's colour."""
    if error is None:
        return "<td></td>"
    share = (log(error) - best) / -best
    ink = "#ffffff" if share > 0.6 else "#222222"
    return (f'<td style="background:{ramp(share, STRIPS["gradient"])};color:{ink}">'
            f"{number(error, 2)}</td>")


def page(report: Outcome) -> str:
    """The whole page."""
    return ('<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>'
            f"{safe(report.title)}: gradient check</title>"
            "<style>body{font:16px/1.5 sans-serif;max-width:76em;margin:2em auto;padding:0 1em}"
            ".scroll,svg{max-width:100%;overflow-x:auto}td,th{padding:2px 10px;text-align:right}"
            "th:first-child{text-align:left}pre{background:#f6f6f6;padding:8px;overflow-x:auto}"
            "table{border-collapse:collapse;margin:1.5em 0}.ok{color:#1b7a34}.wrong{color:#b00020}"
            f"</style></head>\n<body><h1>Gradient check</h1>\n{html(report)}\n</body></html>\n")


def written(report: Outcome, path: str | os.PathLike[str]) -> None:
    """Write the report in the form that the file's name asks for."""
    kind = os.path.splitext(os.fspath(path))[1].lower()
    if kind == ".svg":
        Picture(picture(report), "gradient check").save(path)
        return
    forms = {".html": page, ".txt": lambda found: text(found) + "\n"}
    if kind not in forms:
        raise ValueError(f"cannot save a report as {os.fspath(path)!r}: expected a name that ends "
                         "in .html, .svg or .txt")
    content = forms[kind](report).encode("utf-8")

    def write(file: BinaryIO) -> None:
        file.write(content)

    replace(os.path.realpath(path), write)
