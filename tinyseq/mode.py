"""Modes: whether operations are recorded, and how finely recurrent layers are; per thread."""
from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager
from typing import Any

from tinyseq.scope import state


class no_grad(ContextDecorator):
    """Inside, nothing is recorded: `with ts.no_grad(): ...` or `@ts.no_grad()`."""

    mode = False

    def __init__(self) -> None:
        self.before: list[bool] = []

    def _recreate_cm(self) -> no_grad:  # one for each decorated call: they may run in many threads
        return type(self)()

    def __enter__(self) -> no_grad:
        self.before.append(state.grad)
        state.grad = self.mode
        return self

    def __exit__(self, *error: Any) -> None:
        state.grad = self.before.pop()


class enable_grad(no_grad):
    """Inside, operations are recorded again, also within `no_grad`."""

    mode = True


class set_grad_enabled:
    """Record operations or not, from now on or as a context; per thread, restored on exit."""

    def __init__(self, mode: bool) -> None:
        self.before = state.grad
        self.mode = state.grad = bool(mode)

    def __enter__(self) -> set_grad_enabled:
        state.grad = self.mode
        return self

    def __exit__(self, *error: Any) -> None:
        state.grad = self.before

    def __call__(self, function: Callable) -> Callable:
        """As a decorator: it changes nothing now, and its mode holds inside each call."""
        state.grad = self.before
        return (enable_grad() if self.mode else no_grad())(function)


class inference_mode(no_grad):
    """As `no_grad`: nothing is recorded inside; `inference_mode(False)` records again.

    Unlike torch's, a tensor made inside is an ordinary constant and may be used anywhere later.

    Example:
        >>> import tinyseq as ts
        >>> w = ts.ones(2, requires_grad=True)
        >>> with ts.inference_mode():
        ...     y = w * 2
        >>> y.requires_grad
        False
    """

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self.mode = not mode

    def _recreate_cm(self) -> inference_mode:
        return type(self)(not self.mode)


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread now."""
    return state.grad


DETAILS = ("gates", "steps", "layers")


@contextmanager
def detail(name: str) -> Iterator[None]:
    """How finely recurrent layers are recorded inside: "gates", "steps" or "layers".

    Example:
        >>> import tinyseq as ts
        >>> layer, x = ts.nn.RNN(2, 3), ts.ones(4, 1, 2)
        >>> with ts.detail("gates"):
        ...     y, h = layer(x)
        >>> len(ts.graph(y).select("l0.fwd/t=*/h_next"))
        4
    """
    if name not in DETAILS:
        raise ValueError(f"detail must be one of {', '.join(DETAILS)}, got {name!r}")
    before = state.detail
    state.detail = name
    try:
        yield
    finally:
        state.detail = before
