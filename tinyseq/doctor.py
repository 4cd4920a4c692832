"""`tinyseq doctor`: what is installed, what works here, and what to do about what does not."""
from __future__ import annotations

import platform
import sys
import time
from importlib import metadata

import numpy as np

from tinyseq import kernels
from tinyseq.cells import CELLS
from tinyseq.draw.program import find_dot
from tinyseq.op import OPS


def examine() -> str:
    """The whole report, one fact a line."""
    facts = [("tinyseq", version("tinyseq")), ("python", f"{platform.python_version()} "
                                               f"({platform.system()} {platform.machine()})")]
    facts += [(name, version(name)) for name in ("numpy", "numba", "llvmlite", "graphviz")]
    facts += [("extras", ", ".join(f"{name} {version(name)}" for name in (
        "graphviz-pure", "matplotlib", "tqdm", "safetensors", "torch")
        if version(name) != "not installed") or "none installed")]
    no_cache = "nowhere to write: kernels are compiled anew in every process"
    facts += [("kernels", compiled()), ("cache", str(kernels.cache_root() or no_cache))]
    no_dot = ("not found: .svg and .dot need none; for .png install Graphviz or type "
              "pip install 'tinyseq[dot]'")
    facts += [("dot", find_dot() or no_dot)]
    return "\n".join(f"{name:<10}{value}" for name, value in facts)


def version(name: str) -> str:
    """The installed version of a package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def compiled() -> str:
    """Compile (or load) the smallest cell's kernels, run them, and say how that went."""
    if not kernels.available():
        return "off (NUMBA_DISABLE_JIT is set): everything runs op by op on numpy"
    began = time.perf_counter()
    try:
        made = kernels.for_cell(CELLS["rnn_tanh"], OPS, np.dtype(np.float32))
        kernel = made["rnn_tanh_forward"]
        one = np.zeros((1, 1, 1), np.float32)
        h = np.zeros((2, 1, 1), np.float32)
        none = np.zeros((1, 0, 1, 1), np.float32)
        kernel(one[0], one[0], one + 1, one, one[0, 0], one[0, 0], h, none, one[0])
    except Exception as error:  # whatever numba says is the diagnosis
        return f"cannot be compiled: {type(error).__name__}: {error}"
    right = abs(float(h[1, 0, 0]) - 0.7615942) < 1e-6
    seconds = time.perf_counter() - began
    return f"{'work' if right else 'WRONG RESULT'} (the smallest took {seconds:.1f} s)"


if __name__ == "__main__":
    sys.exit(print(examine()))
