#!/usr/bin/env python3
"""What things cost on this machine: recorded ops, kernels, and layers beside the GEMM floor.

    tools/bench.py            (after tools/run or tools/test has made .venv: .venv/bin/python
    tools/bench.py)

Everything is measured in one run, interleaved with what it is compared to: minima and medians.
torch is measured beside where it is installed. One thread unless the table says otherwise.
"""
from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: single-thread measurements
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse  # noqa: E402
import gc  # noqa: E402
import importlib.util  # noqa: E402
import itertools  # noqa: E402
import platform  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

import tinyseq as ts  # noqa: E402
from tinyseq import kernels  # noqa: E402

KINDS = {"LSTM": 4, "GRU": 3, "RNN": 1}
SIZES = {"study": (16, 50, 32, 32), "small": (32, 100, 64, 128), "char": (64, 64, 64, 256)}
TORCH = importlib.util.find_spec("torch") is not None


def interleaved(works: dict[str, Callable[[], Any]],
                rounds: int) -> dict[str, tuple[float, float]]:
    """(minimum, median) seconds of each work, in turns, so that all see the same machine."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - began)
    return {name: (min(t), statistics.median(t)) for name, t in times.items()}


def chain(lib: Any, count: int = 200) -> Callable[[], Any]:
    """A chain of tanh and multiply on 8 elements, forward and backward."""
    x = lib.ones(8, requires_grad=True)

    def run() -> None:
        y = x
        for _ in range(count // 2):
            y = lib.tanh(y) * 1.01
        y.sum().backward()
        x.grad = None
    return run


def forward_chain(lib: Any, count: int = 200) -> Callable[[], Any]:
    x = lib.ones(8, requires_grad=True)

    def run() -> None:
        y = x
        for _ in range(count // 2):
            y = lib.tanh(y) * 1.01
    return run


def eager(rounds: int) -> None:
    works = {"tinyseq forward": forward_chain(ts), "tinyseq forward + backward": chain(ts)}
    if TORCH:
        import torch
        works |= {"torch forward": forward_chain(torch), "torch forward + backward": chain(torch)}
    found = interleaved(works, rounds)
    print("\neager: 200 ops (tanh, multiply) on 8 elements, us per op: minimum (median)")
    for name, (least, middle) in found.items():
        print(f"  {name:<28}{least / 200 * 1e6:7.2f} ({middle / 200 * 1e6:.2f})")
    back = found["tinyseq forward + backward"][0] - found["tinyseq forward"][0]
    print(f"  {'tinyseq per backward node':<28}{back / 200 * 1e6:7.2f}")


def elementwise(rounds: int) -> None:
    print("\nkernels: ns per element, 100,000 elements: minimum (median)")
    for dtype in (np.float32, np.float64):
        for word, numpy in (("exp", np.exp), ("tanh", np.tanh), ("log", np.log),
                            ("sigmoid", lambda x: 0.5 * np.tanh(0.5 * x) + 0.5)):
            x = np.random.default_rng(0).uniform(0.1, 4, 100_000).astype(dtype)
            fast = kernels.elementwise(word)
            works = {"tinyseq": lambda: fast(x, numpy), "numpy": lambda: numpy(x)}
            if TORCH:
                import torch
                t, f = torch.from_numpy(x), getattr(torch, word)
                works["torch"] = lambda: f(t)
            found = interleaved(works, rounds)
            print(f"  {word:<8}{np.dtype(dtype).name:<9}" + "".join(
                f"{name} {a * 1e4:6.2f} ({b * 1e4:.2f})   " for name, (a, b) in found.items()))


def gemm_rate(dtype: Any) -> float:
    """Flop a second of one large product on one thread: what the floor is computed with."""
    a = np.ones((1024, 1024), dtype)
    out = np.empty_like(a)
    least, _ = interleaved({"gemm": lambda: np.matmul(a, a, out=out)}, 5)["gemm"]
    return 2 * 1024 ** 3 / least


def step(lib: Any, kind: str, N: int, T: int, inputs: int, H: int) -> Callable[[], Any]:
    """One training step of a layer: forward, y.sum().backward(), gradients dropped."""
    return stepped(lib, getattr(lib.nn, kind)(inputs, H), N, T, inputs)


def stepped(lib: Any, layer: Any, N: int, T: int, inputs: int) -> Callable[[], Any]:
    """The same for a layer that is there."""
    x = lib.randn(T, N, inputs)

    def run() -> None:
        y, _ = layer(x)
        y.sum().backward()
        for p in layer.parameters():
            p.grad = None
    return run


def layers(rounds: int) -> None:
    rate = gemm_rate(np.float32)
    print(f"\nlayers, one training step, float32, ms: minimum (median); sgemm here: "
          f"{rate / 1e9:.0f} GFLOP/s")
    for (kind, K), (name, size) in itertools.product(KINDS.items(), SIZES.items()):
        works = {"tinyseq": step(ts, kind, *size)}
        if TORCH:
            import torch
            torch.set_num_threads(1)
            works["torch"] = step(torch, kind, *size)
        found = interleaved(works, rounds)
        N, T, inputs, H = size
        floor = (2 * 2 * (inputs + H) + 2 * H) * T * N * K * H / rate
        times = "".join(f"{lib} {a * 1e3:7.2f} ({b * 1e3:.2f})  "
                        for lib, (a, b) in found.items())
        print(f"  {kind:<5}{name:<6}N {N:<3} T {T:<4} I {inputs:<3} H {H:<4}"
              f"floor {floor * 1e3:6.2f}  "
              f"{times}{100 * floor / found['tinyseq'][0]:.0f} % of the floor's rate")


# By what each is compared with: the layers, and how many times its cost they may cost.
VARIANTS: dict[str, dict[str, tuple[Callable[[int, int], Any], float]]] = {
    "LSTM": {"peephole": (lambda inputs, H: ts.nn.LSTM(inputs, H, peephole=True), 1.2),
             "user-written": (lambda inputs, H: ts.nn.Recurrent(written, inputs, H), 1.2),
             "layer_norm": (lambda inputs, H: ts.nn.LSTM(inputs, H, layer_norm=True), 1.8)},
    "GRU": {"textbook": (lambda inputs, H: ts.nn.GRU(inputs, H, reset_after=False), 1.4)}}


@ts.cell(gates="a b c d")
def written(x, h, memory):  # type: ignore[no-untyped-def]
    """An LSTM as a user would write it, in an order of gates of its own."""
    forget = sigmoid(x.a + h.a)                         # noqa: F821
    enter = sigmoid(x.b + h.b)                          # noqa: F821
    new = tanh(x.c + h.c)                               # noqa: F821
    leave = sigmoid(x.d + h.d)                          # noqa: F821
    kept = forget * memory + enter * new
    out = leave * tanh(kept)                            # noqa: F821
    return out, kept


def variants(rounds: int) -> None:
    print("\nvariants, one training step, float32, in times of the plain layer's (minima)")
    for (kind, others), (name, size) in itertools.product(VARIANTS.items(), SIZES.items()):
        N, T, inputs, H = size
        plain = getattr(ts.nn, kind)(inputs, H)
        works = {"plain": stepped(ts, plain, N, T, inputs)} | {
            word: stepped(ts, make(inputs, H), N, T, inputs)
            for word, (make, _) in others.items()}
        found = interleaved(works, rounds)
        print(f"  {kind:<5}{name:<6}" + "".join(
            f"{word} {found[word][0] / found['plain'][0]:.2f} (at most {most})   "
            for word, (_, most) in others.items()))


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--rounds", type=int, default=30, help="how often each thing is measured")
    rounds = given.parse_args().rounds
    print(f"tinyseq {ts.__version__}, numpy {np.__version__}, python {platform.python_version()}, "
          f"{platform.machine()}" + ("" if TORCH else "; torch is not installed: not compared"))
    gc.disable()
    eager(4 * rounds)
    elementwise(8 * rounds)  # cheap, and other work on the machine shows
    layers(rounds)
    variants(rounds)


if __name__ == "__main__":
    main()
