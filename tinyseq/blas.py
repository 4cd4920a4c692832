"""How many threads numpy's own OpenBLAS uses: small products lose by more than one.

Two threads on the products of a small recurrent step took seven times as long as one on a busy
machine of two cores: they wait for each other. Where numpy brings another BLAS, nothing is
changed; the environment never is.
"""
from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

SMALL = 8e6  # flop of a product below which one thread is better


@lru_cache(maxsize=None)
def controls() -> tuple[Any, Any] | None:
    """OpenBLAS's own (get, set) functions, or None where there are none."""
    folder = Path(np.__file__).resolve().parent
    for place in (folder.parent / "numpy.libs", folder / ".libs", folder / ".dylibs"):
        for path in sorted(place.glob("*openblas*")):
            try:
                library = ctypes.CDLL(str(path))
            except OSError:
                continue
            for prefix in ("scipy_openblas", "openblas"):
                for suffix in ("64_", "_64_", ""):
                    get = getattr(library, f"{prefix}_get_num_threads{suffix}", None)
                    put = getattr(library, f"{prefix}_set_num_threads{suffix}", None)
                    if get is not None and put is not None:
                        return get, put
    return None


@contextmanager
def threads(count: int) -> Iterator[bool]:
    """Inside, numpy's products use `count` threads; yields whether that could be arranged."""
    found = controls()
    if found is None:
        yield False
        return
    get, put = found
    before = get()
    if before == count:
        yield True
        return
    put(count)
    try:
        yield True
    finally:
        put(before)


def for_product(flop: float) -> int:
    """How many threads a product of this size should use: one, or as many as there were."""
    found = controls()
    return 1 if flop < SMALL or found is None else int(found[0]())
