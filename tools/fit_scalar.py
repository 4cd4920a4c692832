#!/usr/bin/env python3
"""Fit the polynomials of tinyseq/scalar.py, verify the functions, and draw their error curves.

    tools/fit_scalar.py             print the coefficients
    tools/fit_scalar.py --check     exit 1 if scalar.py has others
    tools/fit_scalar.py --verify    worst errors: float32 over all floats, float64 over many (slow)
    tools/fit_scalar.py --plot      write docs/scalar.md and docs/scalar.svg (half a minute)

Minimax by Remez exchange in extended precision, in numpy's longdouble; then rounded to the dtype.
"""
from __future__ import annotations

import argparse
import platform
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
LD = np.longdouble
HALF_LN2 = float(np.log(LD(2)) / 2) * 1.002  # a little beyond, for arguments that round outwards
FITS = {  # name: (function, from, to, degree, dtype)
    "EXP_F32": ("exp", -HALF_LN2, HALF_LN2, 4, np.float32),
    "EXP_F64": ("exp", -HALF_LN2, HALF_LN2, 9, np.float64),
    "LOG_F32": ("log", 0.0, 0.0295, 3, np.float32),
    "LOG_F64": ("log", 0.0, 0.0295, 6, np.float64)}


def exp_rest(r: np.ndarray) -> np.ndarray:
    """(e^r - 1 - r) / r^2, by its series."""
    total, term = np.zeros_like(r), np.ones_like(r) / 2
    for k in range(3, 40):
        total, term = total + term, term * r / k
    return total


def log_rest(z: np.ndarray) -> np.ndarray:
    """(ln((1 + s) / (1 - s)) - 2 s) / s^3 with z = s^2, by its series."""
    total, power = np.zeros_like(z), np.ones_like(z)
    for k in range(30):
        total, power = total + 2 * power / (2 * k + 3), power * z
    return total


def solve(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Gaussian elimination in longdouble, which LAPACK does not know."""
    A, b, n = A.copy(), b.copy(), len(b)
    for i in range(n):
        p = i + int(np.argmax(np.abs(A[i:, i])))
        A[[i, p]], b[[i, p]] = A[[p, i]], b[[p, i]]
        for j in range(i + 1, n):
            factor = A[j, i] / A[i, i]
            A[j, i:] -= factor * A[i, i:]
            b[j] -= factor * b[i]
    x = np.zeros(n, LD)
    for i in reversed(range(n)):
        x[i] = (b[i] - A[i, i + 1:] @ x[i + 1:]) / A[i, i]
    return x


def remez(f: Callable[[np.ndarray], np.ndarray], low: float, high: float,
          degree: int) -> np.ndarray:
    """The polynomial whose largest error is smallest: equal errors, alternating in sign."""
    n = degree + 2
    signs = (-1.0) ** np.arange(n, dtype=LD)
    x = LD(low + high) / 2 - LD(high - low) / 2 * np.cos(np.pi * np.arange(n, dtype=LD) / (n - 1))
    grid = np.linspace(LD(low), LD(high), 6001, dtype=LD)
    for _ in range(12):
        A = np.column_stack([x ** k for k in range(degree + 1)] + [signs])
        c = solve(A, f(x))[:-1]
        error = np.polyval(c[::-1], grid) - f(grid)
        runs = np.split(np.arange(len(grid)), np.flatnonzero(np.diff(np.sign(error))) + 1)
        peaks = [run[np.argmax(np.abs(error[run]))] for run in runs]
        if len(peaks) < n:
            break
        while len(peaks) > n:
            peaks.pop(0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1)
        x = grid[peaks]
    return c


def fitted(name: str) -> tuple[float, ...]:
    """The coefficients of one polynomial, rounded to its dtype."""
    kind, low, high, degree, dtype = FITS[name]
    c = remez(exp_rest if kind == "exp" else log_rest, low, high, degree).astype(dtype)
    if kind == "exp":
        c[0] = 0.5
    return tuple(float(v) for v in c)


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
    """How many units in the last place our function is off, element by element."""
    y = looped(word, x.dtype)(x)
    true = reference(word, x)
    with np.errstate(all="ignore"):
        unit = np.spacing(np.abs(true).astype(x.dtype)).astype(true.dtype)
        off = np.abs(y.astype(true.dtype) - true) / unit
        return np.where(np.isfinite(true.astype(x.dtype)), off, 0).astype(float)


def looped(word: str, dtype: Any) -> Callable[[np.ndarray], np.ndarray]:
    """One of scalar.py's functions over an array, compiled."""
    from tinyseq import kernels
    fast = kernels.elementwise(word)
    return lambda x: fast(np.ascontiguousarray(x), lambda x: x)


def samples(word: str, dtype: Any, count: int = 400_000) -> np.ndarray:
    """Arguments all over the range where the function does something."""
    rng = np.random.default_rng(0)
    top = 85.0 if dtype == np.float32 else 700.0
    parts = [rng.uniform(-20, 20, count), rng.uniform(-1, 1, count), rng.uniform(-top, top, count),
             np.exp(rng.uniform(-60, 0, count)) * rng.choice([-1, 1], count)]
    x = np.concatenate(parts)
    if word == "log":
        x = np.concatenate([np.exp(rng.uniform(-top, top, count)), rng.uniform(0.5, 2, count)])
    return x.astype(dtype)


def verify() -> int:
    """All 2^32 float32 arguments, and many float64 ones."""
    bad = 0
    for word in ("exp", "tanh", "sigmoid", "log"):
        worst, at = 0.0, 0.0
        for start in range(0, 2 ** 32, 2 ** 24):
            bits = np.arange(start, start + 2 ** 24, dtype=np.uint64).astype(np.uint32)
            x = bits.view(np.float32)
            off = ulps(word, x)
            if off.max() > worst:
                worst, at = float(off.max()), float(x[np.argmax(off)])
        wide = float(ulps(word, samples(word, np.float64, 5_000_000)).max())
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


def plot() -> int:
    """docs/scalar.md and docs/scalar.svg."""
    from tinyseq.draw.chart import Series, line_chart
    from tinyseq.draw.picture import Picture
    rows, series = [], []
    for dtype in (np.float32, np.float64):
        for word in ("exp", "tanh", "sigmoid", "log"):
            off = ulps(word, samples(word, dtype))
            x = np.random.default_rng(1).uniform(0.1, 4, 100_000).astype(dtype)
            ours, ref = looped(word, dtype), getattr(np, word, None) or (
                lambda x: 0.5 * np.tanh(0.5 * x) + 0.5)
            a, b = timed(lambda: ours(x)), timed(lambda: ref(x))
            rows.append(f"| {word} | {np.dtype(dtype).name} | {off.max():.2f} | "
                        f"{off.mean():.2f} | {a:.2f} | {b:.2f} |")
            if dtype == np.float64:
                edges = np.linspace(0.1 if word == "log" else -8, 8, 121)
                tops = [ulps(word, np.linspace(p, q, 2000)).max()
                        for p, q in zip(edges[:-1], edges[1:])]
                series.append(Series(word, list((edges[:-1] + edges[1:]) / 2), tops))
    chart = line_chart("Largest error over short pieces, float64", series, "x", "ulp")
    Picture(chart, "scalar").save(ROOT / "docs" / "scalar.svg")
    page = ROOT / "docs" / "scalar.md"
    text = page.read_text(encoding="utf-8")
    table = "\n".join(["| function | dtype | max ulp | mean ulp | ns/element | numpy's |",
                       "|---|---|---|---|---|---|", *rows,
                       "", f"Measured on {cpu()}, numpy {np.__version__}, one thread."])
    page.write_text(re.sub(r"(<!-- table -->\n).*(\n<!-- end -->)",
                           lambda m: m[1] + table + m[2], text, flags=re.S), encoding="utf-8")
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
    for name in ("check", "verify", "plot"):
        parser.add_argument(f"--{name}", action="store_true")
    given = parser.parse_args()
    for name, work in (("check", check), ("verify", verify), ("plot", plot)):
        if getattr(given, name):
            return work()
    for name in FITS:
        print(f"{name} = {fitted(name)!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
