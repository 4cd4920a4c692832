#!/usr/bin/env python3
"""Fit the polynomials of tinyseq/scalar.py, verify the functions, and draw their error curves.

    tools/fit_scalar.py             print the coefficients
    tools/fit_scalar.py --check     exit 1 if scalar.py has others
    tools/fit_scalar.py --verify    worst errors: float32 over all floats, float64 over many (slow)
    tools/fit_scalar.py --table     errors and times on this machine
    tools/fit_scalar.py --plot      write them into docs/scalar.md, and docs/scalar.svg

Minimax by Remez exchange in 40 decimal digits, the same on every machine (in longdouble the error
curve of a float64 fit drowns in rounding); then rounded to the dtype.
"""
from __future__ import annotations

import argparse
import platform
import re
import sys
import time
from collections.abc import Callable
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
LD = np.longdouble
WORDS = ("exp", "tanh", "sigmoid", "log")
GRID = 6000  # the fits look at so many pieces
HALF_LN2 = 0.34657359027997264 * 1.002  # a little beyond, for arguments that round outwards
FITS = {  # name: (function, from, to, degree, dtype)
    "EXP_F32": ("exp", -HALF_LN2, HALF_LN2, 4, np.float32),
    "EXP_F64": ("exp", -HALF_LN2, HALF_LN2, 9, np.float64),
    "LOG_F32": ("log", 0.0, 0.0295, 3, np.float32),
    "LOG_F64": ("log", 0.0, 0.0295, 6, np.float64)}


def exp_rest(r: np.ndarray) -> np.ndarray:
    """(e^r - 1 - r) / r^2, by its series."""
    total, term = r * 0, r * 0 + Decimal(1) / 2
    for k in range(3, 30):
        total, term = total + term, term * r / k
    return total


def log_rest(z: np.ndarray) -> np.ndarray:
    """(ln((1 + s) / (1 - s)) - 2 s) / s^3 with z = s^2, by its series."""
    total, power = z * 0, z * 0 + 1
    for k in range(25):
        total, power = total + 2 * power / (2 * k + 3), power * z
    return total


def solve(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Gaussian elimination in Decimal, which LAPACK does not know."""
    A, b, n = A.copy(), b.copy(), len(b)
    for i in range(n):
        p = i + int(np.argmax(np.abs(A[i:, i])))
        A[[i, p]], b[[i, p]] = A[[p, i]], b[[p, i]]
        for j in range(i + 1, n):
            factor = A[j, i] / A[i, i]
            A[j, i:] -= factor * A[i, i:]
            b[j] -= factor * b[i]
    x = np.zeros(n, object)
    for i in reversed(range(n)):
        x[i] = (b[i] - (A[i, i + 1:] * x[i + 1:]).sum()) / A[i, i]
    return x


def powers(x: np.ndarray, degree: int) -> list[np.ndarray]:
    """1, x, x^2 ..."""
    found = [x * 0 + 1]
    for _ in range(degree):
        found.append(found[-1] * x)
    return found


def remez(f: Callable[[np.ndarray], np.ndarray], low: float, high: float,
          degree: int) -> np.ndarray:
    """The polynomial whose largest error is smallest: equal errors, alternating in sign."""
    n = degree + 2
    signs = np.array([Decimal((-1) ** k) for k in range(n)], object)
    steps = np.array([Decimal(k) for k in range(GRID + 1)], object) / GRID
    grid = Decimal(low) + (Decimal(high) - Decimal(low)) * steps
    wanted, basis = f(grid), np.column_stack(powers(grid, degree))
    at = np.round(GRID / 2 * (1 - np.cos(np.pi * np.arange(n) / (n - 1)))).astype(int)
    for _ in range(50):
        c = solve(np.column_stack([basis[at], signs]), wanted[at])[:-1]
        error = (basis * c).sum(axis=1) - wanted
        turns = np.flatnonzero(np.diff((error > 0).astype(int))) + 1
        peaks = [run[np.argmax(np.abs(error[run]))]
                 for run in np.split(np.arange(GRID + 1), turns)]
        while len(peaks) > n:
            peaks.pop(0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1)
        if np.array_equal(peaks, at):
            return c
        at = np.array(peaks)
    raise ArithmeticError(f"Remez exchange of degree {degree} did not settle in 50 rounds")


def fitted(name: str) -> tuple[float, ...]:
    """The coefficients of one polynomial, rounded to its dtype."""
    kind, low, high, degree, dtype = FITS[name]
    with localcontext() as context:
        context.prec = 40
        c = remez(exp_rest if kind == "exp" else log_rest, low, high, degree)
    rounded = c.astype(float).astype(dtype)
    if kind == "exp":
        rounded[0] = 0.5
    return tuple(float(v) for v in rounded)


def check() -> int:
    """Compare with what scalar.py has committed."""
    from tinyseq import scalar
    wrong = [name for name in FITS if not np.array_equal(
        np.array(getattr(scalar, name), FITS[name][4]), np.array(fitted(name), FITS[name][4]))]
    if wrong:
        print(f"tools/fit_scalar.py: {', '.join(wrong)} in scalar.py is not what is fitted")
    return 1 if wrong else 0


# -- verification ------------------------------------------------------------------------------
def reference(word: str, x: np.ndarray) -> np.ndarray:
    """The true value in a wider type: float64 for float32, longdouble for float64."""
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64 if x.dtype == np.float32 else LD)
        if word == "sigmoid":
            e = np.exp(-np.abs(wide))
            return np.where(wide >= 0, 1 / (1 + e), e / (1 + e))
        return getattr(np, word)(wide)


def ulps(word: str, x: np.ndarray) -> np.ndarray:
    """How many units in the last place our function is off, element by element.

    Infinite where one of the two is nan, infinite or of the other sign, and the other is not.
    """
    y = looped(word, x.dtype)(x)
    true = reference(word, x)
    with np.errstate(all="ignore"):
        rounded = true.astype(x.dtype)
        unit = np.spacing(np.abs(rounded)).astype(true.dtype)
        off = (np.abs(y.astype(true.dtype) - true) / unit).astype(float)
    nan = np.isnan(rounded)
    off[nan | np.isinf(rounded)] = 0
    wrong = np.isnan(y) != nan
    wrong |= (np.isinf(rounded) | np.isinf(y)) & (y != rounded) & ~nan
    wrong |= (np.signbit(y) != np.signbit(rounded)) & ~nan
    off[wrong] = np.inf
    return off


def looped(word: str, dtype: Any) -> Callable[[np.ndarray], np.ndarray]:
    """One of scalar.py's functions over an array, compiled."""
    from tinyseq import kernels
    fast = kernels.elementwise(word)
    return lambda x: fast(np.ascontiguousarray(x), lambda x: x)


def samples(word: str, dtype: Any, count: int = 400_000, seed: int = 0) -> np.ndarray:
    """Arguments all over the range where the function does something, and any bits at all."""
    rng = np.random.default_rng(seed)
    info = np.finfo(dtype)
    top = float(np.log(info.max))
    least = float(np.log(LD(info.smallest_subnormal)))
    unsigned = np.dtype(f"u{info.bits // 8}")
    bits = rng.integers(0, 2 ** info.bits, count, dtype=np.uint64).astype(unsigned).view(dtype)
    if word == "log":
        parts = [np.exp(rng.uniform(-top, top, count)), rng.uniform(0.5, 2, count),
                 np.exp(rng.uniform(least, -top, count))]
    else:
        parts = [rng.uniform(-20, 20, count), rng.uniform(-1, 1, count),
                 rng.uniform(least - 1, top + 1, count),
                 np.exp(rng.uniform(-60, 0, count)) * rng.choice([-1, 1], count)]
    return np.concatenate([part.astype(dtype) for part in parts] + [bits])


def verify() -> int:
    """All 2^32 float32 arguments, and many float64 ones."""
    bad = 0
    for word in WORDS:
        worst, at = 0.0, 0.0
        for start in range(0, 2 ** 32, 2 ** 24):
            bits = np.arange(start, start + 2 ** 24, dtype=np.uint64).astype(np.uint32)
            x = bits.view(np.float32)
            off = ulps(word, x)
            if off.max() > worst:
                worst, at = float(off.max()), float(x[np.argmax(off)])
        wide = max(float(ulps(word, samples(word, np.float64, 500_000, seed)).max())
                   for seed in range(10))
        print(f"{word:<8} float32, all floats: {worst:.3f} ulp (at {at!r}); float64: "
              f"{wide:.3f} ulp", flush=True)
        bad += worst > 3 or wide > 2
    return 1 if bad else 0


# -- docs --------------------------------------------------------------------------------------
def timed(work: Callable[[], Any]) -> float:
    """The least nanoseconds an element of 100,000."""
    work()
    times = []
    for _ in range(40):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times) * 1e4


def table() -> str:
    """Errors over samples, and times beside numpy's, of every function and dtype."""
    rows = ["| function | dtype | max ulp | mean ulp | ns/element | numpy's |",
            "|---|---|---|---|---|---|"]
    for dtype in (np.float32, np.float64):
        for word in WORDS:
            off = ulps(word, samples(word, dtype))
            x = np.random.default_rng(1).uniform(0.1, 4, 100_000).astype(dtype)
            ours, ref = looped(word, dtype), getattr(np, word, None) or (
                lambda x: 0.5 * np.tanh(0.5 * x) + 0.5)
            a, b = timed(lambda: ours(x)), timed(lambda: ref(x))
            rows.append(f"| {word} | {np.dtype(dtype).name} | {off.max():.2f} | "
                        f"{off.mean():.2f} | {a:.2f} | {b:.2f} |")
    return "\n".join([*rows, "", f"Measured on {cpu()}, numpy {np.__version__}, one thread."])


def plot() -> int:
    """docs/scalar.md and docs/scalar.svg."""
    from tinyseq.draw.chart import Series, line_chart
    from tinyseq.draw.picture import Picture
    series = []
    for word in WORDS:
        edges = np.linspace(0.1 if word == "log" else -8, 8, 121)
        tops = [ulps(word, np.linspace(p, q, 2000)).max() for p, q in zip(edges[:-1], edges[1:])]
        series.append(Series(word, list((edges[:-1] + edges[1:]) / 2), tops))
    chart = line_chart("Largest error over short pieces, float64", series, "x", "ulp")
    Picture(chart, "scalar").save(ROOT / "docs" / "scalar.svg")
    page = ROOT / "docs" / "scalar.md"
    text, found = re.subn(r"(<!-- table: .* -->\n).*(\n<!-- end -->)",
                          lambda m: m[1] + table() + m[2], page.read_text(encoding="utf-8"),
                          flags=re.S)
    if not found:
        print(f"tools/fit_scalar.py: {page} has no place for the table, from "
              "'<!-- table: ... -->' to '<!-- end -->'")
        return 1
    page.write_text(text, encoding="utf-8")
    return 0


def cpu() -> str:
    """The processor's name."""
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description="Fit and verify the functions of scalar.py.")
    for name in ("check", "verify", "table", "plot"):
        parser.add_argument(f"--{name}", action="store_true")
    given = parser.parse_args()
    if given.table:
        print(table())
        return 0
    for name, work in (("check", check), ("verify", verify), ("plot", plot)):
        if getattr(given, name):
            return work()
    for name in FITS:
        print(f"{name} = {fitted(name)!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
