"""Our exp, tanh, sigmoid and log: accuracy, special values, coefficients, packed instructions."""
from __future__ import annotations

import importlib.util
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import kernels

ROOT = Path(__file__).resolve().parent.parent
TOOL = ROOT / "tools" / "fit_scalar.py"
WORDS = ("exp", "tanh", "sigmoid", "log")
DTYPES = (np.float32, np.float64)
LIMIT = {np.float32: 3.0, np.float64: 2.0}  # ulp
EXTENDED = np.finfo(np.longdouble).nmant >= 63

needs_jit = pytest.mark.skipif(not kernels.available(),
                               reason="NUMBA_DISABLE_JIT=1: there are no bit casts to test")
needs_extended = pytest.mark.skipif(not EXTENDED, reason="longdouble is float64 here")

spec = importlib.util.spec_from_file_location("fit_scalar", TOOL)
assert spec is not None and spec.loader is not None
fit = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fit)


@needs_jit
@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=needs_extended)])
@pytest.mark.parametrize("word", WORDS)
def test_accuracy(word, dtype):
    off = fit.ulps(word, fit.samples(word, dtype, 100_000))
    assert 0.3 < off.max() <= LIMIT[dtype]  # (a reference that cannot differ would show 0)


@needs_jit
@pytest.mark.parametrize("word", WORDS)
def test_float32_over_a_comb_of_all_floats(word):
    """Every 4,099th of the 2^32 bit patterns, infinities, subnormals and NaN among them."""
    x = np.arange(0, 2 ** 32, 4_099, dtype=np.uint64).astype(np.uint32).view(np.float32)
    assert fit.ulps(word, x).max() <= LIMIT[np.float32]


@needs_jit
@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values(dtype):
    tiny = np.nextafter(dtype(0), dtype(1))
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, tiny, -tiny, 1e30, -1e30], dtype)
    wanted = {
        "exp": [1, 1, np.inf, 0, np.nan, 1, 1, np.inf, 0],
        "tanh": [0.0, -0.0, 1, -1, np.nan, tiny, -tiny, 1, -1],
        "sigmoid": [0.5, 0.5, 1, 0, np.nan, 0.5, 0.5, 1, 0]}
    for word, values in wanted.items():
        y = fit.looped(word, dtype)(x)
        np.testing.assert_array_equal(y, np.array(values, dtype))
        np.testing.assert_array_equal(np.signbit(y[:2]), np.signbit(np.array(values[:2])))
    y = fit.looped("log", dtype)(np.array([0, -0.0, -1, 1, np.inf, np.nan], dtype))
    np.testing.assert_array_equal(y, [-np.inf, -np.inf, np.nan, 0, np.inf, np.nan])


@needs_jit
@pytest.mark.parametrize("dtype,low,least", [(np.float32, -103.9, 1e-45),
                                             (np.float64, -745.0, 5e-324)])
def test_exp_reaches_the_subnormals(dtype, low, least):
    y = fit.looped("exp", dtype)(np.array([low, low - 2], dtype))
    assert y[0] == dtype(least) and y[1] == 0


@needs_jit
@pytest.mark.parametrize("at,false", [(0.5, np.nan), (0.5, np.inf), (200.0, 3e38), (0.5, -0.5),
                                      (np.nan, 1.0), (-200.0, -0.0)])
def test_the_measure_of_errors_can_fail(monkeypatch, at, false):
    monkeypatch.setattr(fit, "looped", lambda word, dtype: lambda x: np.full_like(x, false))
    assert fit.ulps("exp", np.array([at], np.float32))[0] == np.inf


def test_coefficients_regenerate():
    done = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_check_of_coefficients_can_fail(monkeypatch, capsys):
    from tinyseq import scalar
    monkeypatch.setattr(scalar, "EXP_F64", (0.5, *scalar.EXP_F64[1:-1], 2.6e-8))
    assert fit.check() == 1 and "EXP_F64" in capsys.readouterr().out


@needs_jit
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"),
                    reason="counts x86 instructions")
@pytest.mark.parametrize("word", WORDS)
def test_loops_are_vectorised(word):
    """Packed arithmetic on the wide registers: mulps or mulpd on ymm or zmm."""
    from numba import njit

    from tinyseq import scalar
    for short, dtype, suffix in (("f32", np.float32, "ps"), ("f64", np.float64, "pd")):
        function = getattr(scalar, f"{word}_{short}")

        @njit(**kernels.OPTIONS)
        def loop(x, y):
            for j in range(x.size):
                y[j] = function(x[j])  # noqa: B023
        loop(np.ones(4, dtype), np.ones(4, dtype))
        text = "\n".join(loop.inspect_asm().values())
        assert len(re.findall(rf"v(?:mul|add|sub|fn?m\w+){suffix}\s.*%[yz]mm", text)) >= 10


@needs_jit
def test_large_eager_arrays_take_the_kernel_and_small_ones_numpy():
    x = np.linspace(-3, 3, 20_000, dtype=np.float32)
    before = np.tanh(x)
    y = ts.tanh(ts.tensor(x)).array
    np.testing.assert_allclose(y, before, rtol=1e-6)
    np.testing.assert_array_equal(y, fit.looped("tanh", np.float32)(x))
    small = ts.tanh(ts.tensor(x[:100])).array
    np.testing.assert_array_equal(small, np.tanh(x[:100]))
