"""Kernels: found among the committed ones or emitted, cached on disk, compiled at their first use.

numba is imported here, at the first kernel, and never by `import tinyseq`. A kernel's text is
joined with all of scalar.py into one self-contained file; its folder in the cache is named by a
hash of that text and of everything that decides what it compiles to, so a stale kernel cannot be
found. Whatever goes wrong with the cache means compiling in memory, never an error.
"""
from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from tinyseq import emit

OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True}
SUMS = {**OPTIONS, "fastmath": {"contract", "reassoc"}}  # else a sum over a row is one by one
_lock = threading.RLock()
_loaded: dict[tuple[str, str], dict[str, Any]] = {}
compiled: list[str] = []  # what was compiled or loaded in this process, for `tinyseq doctor`


def available() -> bool:
    """Whether kernels can be compiled at all: not with NUMBA_DISABLE_JIT=1."""
    return os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")


def for_cell(cell: Any, ops: Any, dtype: np.dtype) -> dict[str, Any]:
    """The compiled kernels of a cell by name: committed ones where the fingerprint agrees."""
    return load(cell.name, committed(cell) or (lambda: emit.source(cell, ops)), dtype,
                cell.fingerprint)


def elementwise(word: str) -> Callable:
    """A compiled forward for large arrays of erf or a function of scalar.py; else the given."""
    text = (f"from math import {word}\n\n\n" if word in ("erf", "erfc") else "") + (
            f"def elementwise_{word}(x, y):\n    for j in range(x.size):\n"
            f"        y[j] = {word}(x[j])\n")

    made: dict[np.dtype, Any] = {}  # by dtype, looked up once

    def fast(x: np.ndarray, forward: Callable) -> np.ndarray:
        if x.dtype.kind != "f" or not x.flags.c_contiguous or not available():
            return forward(x)
        kernel = made.get(x.dtype)
        if kernel is None:
            kernel = load("elementwise", lambda: text, x.dtype, word)[f"elementwise_{word}"]
            made[x.dtype] = kernel
        y = np.empty_like(x)
        kernel(x.reshape(-1), y.reshape(-1))
        return y

    return fast


def committed(cell: Any) -> Callable[[], str] | None:
    """The text of a cell's committed kernels, unless its equations have changed since."""
    file = resources.files(__package__) / f"{cell.name}.py"
    if not file.is_file():
        return None
    text = file.read_text(encoding="utf-8")
    return (lambda: text) if f"fingerprint: {cell.fingerprint}\n" in text else None


def load(name: str, text: Callable[[], str], dtype: np.dtype, key: str) -> dict[str, Any]:
    """The functions of a kernel text, compiled, made once a process, name and dtype."""
    at = (f"{name}:{key}", dtype.name)
    with _lock:
        if at not in _loaded:
            _loaded[at] = build(name, whole(text(), dtype), dtype)
            compiled.append(f"{name} {dtype.name}")
        return _loaded[at]


def whole(text: str, dtype: np.dtype) -> str:
    """One self-contained file: scalar functions, tile, the names for this dtype, the kernels."""
    short = {"float32": "f32", "float64": "f64"}[dtype.name]
    names = "\n".join(f"{word} = {word}_{short}" for word in ("exp", "tanh", "sigmoid", "log"))
    shared = "\n\n".join((resources.files("tinyseq") / file).read_text(encoding="utf-8")
                         for file in ("scalar.py", "product.py"))
    shared = shared.replace("from __future__ import annotations\n", "")
    return f"{shared}\n\nreal = np.{dtype.name}\n{names}\n\n\n{text}"


def build(name: str, text: str, dtype: np.dtype) -> dict[str, Any]:
    """Run a kernel's text from its file in the cache and wrap its functions with numba."""
    import numba
    folder = cache_folder(text)
    path = None if folder is None else write(folder / f"{name}_{dtype.name}.py", text)
    module = ModuleType(f"tinyseq_kernel_{name}_{hashlib.sha256(text.encode()).hexdigest()[:16]}")
    sys.modules[module.__name__] = module  # numba's cache looks for it by its name
    namespace = vars(module)
    exec(compile(text, str(path or f"<kernel {name}>"), "exec"), namespace)  # our own text
    options = SUMS if "# the mean of" in text else OPTIONS
    made = {}
    for word, function in list(namespace.items()):
        if isinstance(function, FunctionType) and word.startswith(f"{name}_"):
            namespace[word] = numba.njit(**options)(function)  # kernels call each other
            made[word] = Kernel(namespace[word], folder if path else None)
    return made


class Kernel:
    """A compiled function: with numba's cache while that works, without it when it fails."""

    def __init__(self, function: Any, folder: Path | None) -> None:
        self.function = function
        self.folder = folder
        self.ready = False
        if folder is not None:
            try:
                function.enable_caching()
            except (RuntimeError, OSError):
                self.folder = None

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments) if self.ready else self.first(*arguments)

    def first(self, *arguments: Any) -> Any:
        """The first call compiles, or loads from the cache; a damaged cache is thrown away."""
        with _lock:
            try:
                self.function.compile(tuple(map(_typeof, arguments)))
            except Exception:  # numba lets EOFError, UnpicklingError, OSError ... out of a cache
                if self.folder is None:
                    raise
                shutil.rmtree(self.folder / "__pycache__", ignore_errors=True)
                from numba import njit
                self.function = njit(**OPTIONS)(self.function.py_func)
                self.function.compile(tuple(map(_typeof, arguments)))
            self.ready = True
        return self.function(*arguments)


def _typeof(value: Any) -> Any:
    from numba import typeof
    return typeof(value)


def cache_root() -> Path | None:
    """TINYSEQ_CACHE, else the user's cache folder by the XDG rules, else a temporary one."""
    wanted = os.environ.get("TINYSEQ_CACHE")
    if not wanted:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        wanted = os.path.join(base, "tinyseq") if os.path.isabs(base) else ""
    user = os.getuid() if hasattr(os, "getuid") else 0
    fallback = os.path.join(tempfile.gettempdir(), f"tinyseq-{user}")
    return next((Path(path) for path in (wanted, fallback) if path and private(path)), None)


def private(path: str) -> bool:
    """Make a folder that only its owner can write to (a cache file is code), or say no."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.stat(path)
        mine = not hasattr(os, "getuid") or found.st_uid == os.getuid()
        if mine and found.st_mode & 0o022:
            os.chmod(path, 0o700)
        return mine and os.access(path, os.W_OK | os.X_OK)
    except OSError:
        return False


def cache_folder(text: str) -> Path | None:
    """The folder of one kernel text on this machine, or None where nothing can be written."""
    root = cache_root()
    if root is None:
        return None
    import llvmlite
    import numba
    from llvmlite import binding
    parts = (text, numba.__version__, llvmlite.__version__, sys.version, platform.machine(),
             os.environ.get("NUMBA_BOUNDSCHECK", ""), binding.get_host_cpu_name(),
             repr(sorted(binding.get_host_cpu_features().items())))
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    return root / key if private(str(root / key)) else None


def write(path: Path, text: str) -> Path | None:
    """The kernel's file, written whole or not at all; the same one is kept."""
    try:
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return path
        handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(part, path)
        return path
    except (OSError, UnicodeError):
        return None
