"""`detect_anomaly`: the operation, the place and the line at which a gradient was lost."""
from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tinyseq.errors import NonFiniteError
from tinyseq.graph import Node
from tinyseq.scope import state
from tinyseq.tensor import Tensor

PACKAGE = str(Path(__file__).resolve().parents[1])


class detect_anomaly:
    """Inside, backward stops at the first gradient that is not finite and says where it came from.

    Recurrent layers run op by op, so that the error names layer, time step and gate, and the line
    of your own file that made the value. Outside, nothing is slower.

    Errors: NonFiniteError, raised by backward; `.grad` stays as it was.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([0.0, 1.0], requires_grad=True)
        >>> with detect_anomaly():
        ...     y = ts.where(x > 0, x.log(), 0.0).sum()
        ...     y.backward()           # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        tinyseq.errors.NonFiniteError: <log> gave a gradient of nan at (0,) for its input x ...
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        self.lines: WeakKeyDictionary[Node, str] = WeakKeyDictionary()

    def __enter__(self) -> None:
        self.before = state.tape, state.watch, state.detail
        state.tape, state.detail = self, "gates"
        state.watch = self.watch if self.check_nan else state.watch

    def __exit__(self, *error: Any) -> None:
        state.tape, state.watch, state.detail = self.before

    def append(self, taped: tuple[Any, tuple]) -> None:
        """Called as a tape is, for every node at its birth: remember whose line it was."""
        out, _ = taped
        line = users_line(sys._getframe(1))
        for t in out if isinstance(out, list) else [out]:
            self.lines[t.node] = line
        if self.before[0] is not None:
            self.before[0].append(taped)

    def watch(self, node: Node, k: int, g: Any) -> None:
        """Called for every gradient on its way: refuse the first that is not finite."""
        array = g.array if isinstance(g, Tensor) else g
        if array is None or np.isfinite(array).all():
            return
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        inputs = getattr(node.op, "inputs", ())
        name = inputs[k] if k < len(inputs) else f"number {k}"
        line = self.lines.get(node)
        saved = "; ".join(said for said in [unfit(t, at) for t in node.saved] if said)
        raise NonFiniteError(
            f"<{node.where()}> gave a gradient of {array[at]} at {at} for its input {name} of "
            f"shape {array.shape}" + (f"; {saved}" if saved else "")
            + (f". It was recorded at {line}" if line else "; it was recorded outside "
               "detect_anomaly, so its line is not known"))


def unfit(saved: Any, at: tuple[int, ...]) -> str | None:
    """What the rule's saved value was at the place of the bad gradient, where that says why."""
    if not isinstance(saved, Tensor) or saved.dtype.kind != "f" or saved.ndim != len(at):
        return None
    value = saved.array[tuple([min(i, n - 1) for i, n in zip(at, saved.shape)])]
    return f"a value it had saved is {value} there" if value == 0 or not np.isfinite(value) \
        else None


def users_line(frame: FrameType | None) -> str:
    """`file:line, in function` of the nearest caller outside this package."""
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    if frame is None:
        return "an unknown line"
    return f"{frame.f_code.co_filename}:{frame.f_lineno}, in {frame.f_code.co_name}"
