#!/usr/bin/env python3
"""Run the code of docs/gradcheck.md, write what it prints and draws into it; `--check` compares.

    tools/make_gradcheck_docs.py            writes the page and docs/gradcheck/*.svg
    tools/make_gradcheck_docs.py --check    writes nothing; exit 1, naming what is stale

What stands between <!-- output --> and <!-- end --> is printed by the code before it; between
<!-- measured: NAME --> and <!-- end --> by the function of that name here. `--check` runs all of
it again and takes any number for any other: errors near rounding differ between machines.
"""
from __future__ import annotations

import argparse
import contextlib
import difflib
import functools
import io
import linecache
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

import tinyseq as ts  # noqa: E402
from tinyseq import bugs, cli  # noqa: E402
from tinyseq.bugs.lstm import LSTM  # noqa: E402
from tinyseq.draw import Picture, Series, line_chart  # noqa: E402
from tinyseq.gradcheck import check  # noqa: E402
from tinyseq.gradcheck.checking import parts  # noqa: E402
from tinyseq.gradcheck.rows import compare  # noqa: E402
from tinyseq.gradcheck.trial import Rule, Trial  # noqa: E402
from tinyseq.op import OPS  # noqa: E402

FOLDER = "gradcheck"
PART = re.compile(r"```(?P<kind>python|sh)\n(?P<code>.*?)```\n|"
                  r"<!-- (?P<what>output|measured: (?P<name>\w+)) -->\n(?P<old>.*?)<!-- end -->\n",
                  re.DOTALL)
NUMBER = re.compile(r"[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
LAST = "the right one"


# -- what the page has measured: each prints Markdown -------------------------------------------
def float32() -> None:
    """The error of two points in float64 and in float32, as a picture and in words."""
    steps = [2.0 ** -k for k in range(1, 41)]
    found = {dtype: two_points(np.dtype(dtype), steps) for dtype in ("float64", "float32")}
    logs = [float(np.log10(h)) for h in steps[::-1]]
    series = [Series(f"{dtype}: {min(errors):.0e}", logs, [max(e, 1e-17) for e in errors[::-1]])
              for dtype, errors in found.items()]
    Picture(line_chart("Error of two points, by the precision they are computed in", series,
                       "log10 of h", "error relative to the gradient", log_y=True),
            "float32 sweep").save(f"{FOLDER}/float32.svg")
    print("| | best h | error there | error at h = 1e-5 |\n|---|---|---|---|")
    for dtype, errors in found.items():
        near = int(np.argmin(np.abs(np.log10(steps) + 5)))
        print(f"| {dtype} | {steps[int(np.argmin(errors))]:.0e} | {min(errors):.0e} | "
              f"{errors[near]:.0e} |")


def two_points(dtype: np.dtype, steps: list[float]) -> list[float]:
    """The worst error of slopes along some directions of an LSTM's weights, for each step."""
    f, net, rng = bugs.fixture("lstm"), bugs.network("lstm"), np.random.default_rng(0)
    name = "weight_hh_l0"
    exact, w = net.gradients(f)[name], f.weights[name].astype(dtype)
    moves = rng.choice([-1.0, 1.0], (4, *w.shape)) * rng.uniform(0.5, 1.5, (4, *w.shape))
    single = f._replace(x=f.x.astype(dtype), state=tuple([s.astype(dtype) for s in f.state]))
    cotangents = [g.astype(dtype) for g in (f.gy, *f.g_state)]

    def loss(value: np.ndarray) -> float:
        """L with that weight, every operation in one precision."""
        weights = {**{n: a.astype(dtype) for n, a in f.weights.items()}, name: value}
        shares = [(y * g).sum() for y, g in zip(net.outputs(single._replace(weights=weights)),
                                                cotangents)]
        assert all(s.dtype == dtype for s in shares)
        return float(sum(shares))

    worst = []
    for h in steps:
        gaps = []
        for v in moves.astype(dtype):
            up, down = w + dtype.type(h) * v, w - dtype.type(h) * v
            gaps.append(abs((loss(up) - loss(down)) / (2 * h) - float((v * exact).sum()))
                        / float(np.abs(v * exact).sum()))
        worst.append(max(gaps))
    return worst


def places() -> dict[str, bugs.Fixture]:
    """The fixtures to compare, by what is weak about them."""
    right = bugs.fixture("lstm")

    def zero(parts: Any) -> tuple[np.ndarray, ...]:
        return tuple([0 * a for a in parts])

    def easy(T: int) -> bugs.Fixture:
        f = bugs.fixture("lstm", T=T)
        return f._replace(state=zero(f.state), g_state=zero(f.g_state))

    return {"T=1, zero state, loss on y": easy(1), "T=2, zero state, loss on y": easy(2),
            "T=1": bugs.fixture("lstm", T=1), "zero state": right._replace(
                state=zero(right.state)),
            "loss on y only": right._replace(g_state=zero(right.g_state)),
            "ones as cotangents": right._replace(
                gy=np.ones_like(right.gy), g_state=tuple([0 * g + 1 for g in right.g_state])),
            "one sequence": bugs.fixture("lstm", N=1), "one unit": bugs.fixture("lstm", H=1),
            LAST: right}


def missed(f: bugs.Fixture) -> list[str]:
    """The mistakes that keep the rule on a fixture; the right gradient stands for the slope."""
    right = bugs.network("lstm").gradients(f)
    found = []
    for m in LSTM:
        a = bugs.network("lstm", [m]).gradients(f)
        if all((np.abs(a[name] - n) <= 1e-6 * np.abs(n) + 1e-8 * np.abs(n).max()).all()
               for name, n in right.items()):
            found.append(m.name)
    return found


def fixtures() -> None:
    """How many of the mistakes each fixture shows."""
    assert check(*bugs.checkable("lstm", bugs.fixture("lstm"))).ok
    print(f"| fixture | caught of {len(LSTM)} | passes |\n|---|---:|---|")
    for name, f in places().items():
        left = missed(f)
        said = ", ".join(left[:4]) + (f" and {len(left) - 4} more" if len(left) > 4 else "")
        print(f"| {name} | {len(LSTM) - len(left)} | {said or 'none'} |")
    print(f"\nHere {LAST} has T=5, 3 sequences, 3 inputs, 4 units; the others differ from it in\n"
          "what they are called.")


@contextlib.contextmanager
def planted(at: tuple[int, int], share: float) -> Iterator[None]:
    """Meanwhile one element of the gradient of a product's second factor is wrong by a share."""
    op = OPS["matmul"]
    right = op.rules[1]

    @functools.wraps(right)  # its signature says what is saved
    def wrong(*saved: Any) -> Any:
        found = right(*saved).copy()
        found[at] *= 1 + share
        return found

    op.rules[1] = wrong
    op.plans.clear()
    try:
        yield
    finally:
        op.rules[1] = right
        op.plans.clear()


def passes(n: int, share: float, seed: int, fast: bool) -> bool:
    """Whether a check of tanh(x W) passes with one element wrong."""
    rng = np.random.default_rng(seed)
    w = ts.tensor(rng.uniform(-1, 1, (n, n)) / np.sqrt(n), requires_grad=True)
    x, at = ts.tensor(rng.normal(size=(5, n))), tuple(rng.integers(n, size=2).tolist())
    with planted(at, share):  # (`check` without its search for the culprit)
        trial = Trial(lambda w: ts.tanh(x @ w), {"w": w}, Rule(fast=fast, seed=seed))
        compare(trial, parts(trial, {"w": w}, {}))
        trial.forget()
    assert trial.report.count == (4 if fast else n * n)
    return trial.report.ok


def fast(runs: int = 50) -> None:
    """How often random directions miss one wrong element, and how often all elements do."""
    shares = 1e-2, 1e-3, 1e-4, 1e-5
    print("| W | " + " | ".join(f"off by {share:.0e}" for share in shares) + " |\n|---|"
          + "---:|" * len(shares))
    for n, quick in ((4, True), (16, True), (64, True), (16, False)):
        rates = [sum(passes(n, share, seed, quick) for seed in range(runs)) / runs
                 for share in shares]
        print(f"| {n} x {n}, {'fast' if quick else 'every element'} | "
              + " | ".join(f"{100 * rate:.0f} %" for rate in rates) + " |")
    print(f"\n{runs} random matrices each, in all of which one random element is wrong.")


MEASURED: dict[str, Callable[[], None]] = {"float32": float32, "fixtures": fixtures, "fast": fast}


# -- the page -----------------------------------------------------------------------------------
def made(text: str) -> str:
    """The page with everything between its markers made anew; pictures go to FOLDER.

    Errors: SystemExit for a marker without code or with an unknown name.
    """
    space: dict[str, Any] = {"__name__": "gradcheck_page"}
    sys.modules.setdefault("gradcheck_page", type(sys)("gradcheck_page"))
    parts, done, printed = [], 0, None
    for match in PART.finditer(text):
        parts.append(text[done:match.start()])
        done = match.end()
        if match["kind"]:
            parts.append(match[0])
            line = text[:match.start("code")].count("\n")
            printed = run(match["kind"], match["code"], line, space)
            continue
        if match["name"] and match["name"] not in MEASURED or not match["name"] and \
                printed is None:
            raise SystemExit(f"tools/make_gradcheck_docs.py: nothing makes <!-- {match['what']} "
                             "-->")
        found = said(MEASURED[match["name"]]) if match["name"] else f"```text\n{printed}```\n"
        parts.append(f"<!-- {match['what']} -->\n{found}<!-- end -->\n")
        printed = None
    return "".join([*parts, text[done:]])


def run(kind: str, code: str, line: int, space: dict[str, Any]) -> str:
    """What a block prints; the lines are those of the page, so that tracebacks name them."""
    if kind == "sh":
        return said(lambda: cli.main(shlex.split(code)[1:]))
    name = f"<docs/gradcheck.md:{line}>"
    text = "\n" * line + code
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)  # inspect reads rules
    return said(lambda: exec(compile(text, name, "exec"), space))


def said(act: Callable[[], Any]) -> str:
    """What is printed meanwhile."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        act()
    return out.getvalue()


def pictures(folder: Path) -> dict[str, str]:
    """The pictures of a folder by name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.svg"))}


def remade(text: str) -> tuple[str, dict[str, str]]:
    """(page, pictures) made in a folder of their own."""
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FOLDER).mkdir()
        os.chdir(folder)
        try:
            page = made(text)
        finally:
            os.chdir(here)
        return page, pictures(Path(folder) / FOLDER)


def normal(text: str) -> list[str]:
    """The lines of a text with every number as #, spaces as one."""
    return [" ".join(NUMBER.sub("#", line).split()) for line in text.splitlines()]


def words(svg: str) -> set[str]:
    """What a picture says, numbers as #."""
    return {" ".join(normal(re.sub("<[^>]*>", "", found)))
            for found in re.findall(r"<(?:text|title|desc)\b.*?</(?:text|title|desc)>", svg, re.S)}


def differences(old: str, old_pictures: dict[str, str], new: str,
                new_pictures: dict[str, str]) -> Iterator[str]:
    """What is stale, in words."""
    for line in difflib.unified_diff(normal(old), normal(new), lineterm="", n=0):
        if not line.startswith(("---", "+++", "@@")):
            yield f"docs/gradcheck.md: {line}"
    for name in sorted({*old_pictures, *new_pictures}):
        if name not in new_pictures or name not in old_pictures:
            said = "missing" if name in new_pictures else "nothing makes it"
            yield f"docs/{FOLDER}/{name}: {said}"
        elif words(old_pictures[name]) != words(new_pictures[name]):
            yield f"docs/{FOLDER}/{name}: says something else"
        if f"({FOLDER}/{name})" not in old:
            yield f"docs/{FOLDER}/{name}: not shown on the page"


def main(arguments: list[str] | None = None) -> int:
    """Write or compare; returns the exit status."""
    parser = argparse.ArgumentParser(description="Run and write docs/gradcheck.md.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 if it differs")
    only = parser.parse_args(arguments).check
    page = ROOT / "docs" / "gradcheck.md"
    old = page.read_text(encoding="utf-8")
    new, drawn = remade(old)
    folder = page.parent / FOLDER
    if only:
        stale = list(differences(old, pictures(folder), new, drawn))
        print("".join(f"tools/make_gradcheck_docs.py: stale: {line}\n" for line in stale), end="")
        return 1 if stale else 0
    folder.mkdir(exist_ok=True)
    for name, svg in drawn.items():
        (folder / name).write_text(svg, encoding="utf-8")
    page.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
