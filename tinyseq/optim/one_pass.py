"""An optimizer's rule for one element, run over all of a parameter's elements in one pass."""
from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from tinyseq import kernels
from tinyseq.tensor import wrap

Rule = Callable[..., Any]
# What rules call, for single numbers: numba's own `where` makes arrays of them.
SCALAR = """@njit(**OPTIONS)
def where(condition, a, b):
    return a if condition else b


@njit(**OPTIONS)
def quotient(a, size):
    return size if size == 0 else a / size


"""


def quotient(a: Any, size: Any) -> Any:
    """a / size, or 0 where the size is 0: an element that never had a gradient stays."""
    return np.where(size == 0, size, a / size)


def one_pass(rule: Rule, g: np.ndarray, arrays: list[np.ndarray], *numbers: float) -> None:
    """Replace the arrays by what `rule(g, *arrays, *numbers)` gives, element by element.

    A rule is arithmetic that holds for numbers as for arrays, and its name ends in `_rule`. It is
    compiled into one loop, which reads and writes each element once; where nothing can be
    compiled it runs on the arrays as it stands. It may call np.sqrt, and `where` and `quotient`
    by their names alone.
    """
    over = compiled(rule, len(arrays), g.dtype)
    if over is not None and all([a.flags.c_contiguous for a in (g, *arrays)]):
        over(g.reshape(-1), *[a.reshape(-1) for a in arrays], *[float(x) for x in numbers])
        return
    for a, new in zip(arrays, rule(g, *arrays, *numbers)):
        a[...] = new


@lru_cache(maxsize=64)
def compiled(rule: Rule, count: int, dtype: np.dtype) -> Callable | None:
    """The loop over all elements for one dtype, or None where it cannot be compiled."""
    text = source(rule, count) if kernels.available() else ""
    name = rule.__name__.removesuffix("_rule")
    return kernels.load(name, lambda: text, dtype, rule.__module__)[f"{name}_over"] if text \
        else None


def source(rule: Rule, count: int) -> str:
    """The rule's own text and a loop around it; "" where its text is not to be had."""
    try:
        text = inspect.getsource(rule)
    except OSError:
        return ""
    words = list(inspect.signature(rule).parameters)
    own, numbers = words[1:1 + count], words[1 + count:]
    elements = ", ".join([f"{word}[j]" for word in own])
    name = rule.__name__
    over = name.removesuffix("_rule") + "_over"
    return "\n".join([SCALAR + text, "", f"def {over}({', '.join(words)}):",
                      *[f"    {number} = real({number})" for number in numbers],
                      f"    for j in range({words[0]}.size):",
                      f"        {elements} = {name}({words[0]}[j], {elements}, "
                      f"{', '.join(numbers)})", ""])


def slot(state: dict[str, Any], name: str, p: np.ndarray, value: float = 0.0) -> np.ndarray:
    """The parameter's own array of that name, made at its first step."""
    if name not in state:
        state[name] = wrap(np.full_like(p, value))
    return state[name].array
