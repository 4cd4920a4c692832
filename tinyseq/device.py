"""`device`: where torch would put a tensor. Here that is the CPU; anything else is refused."""
from __future__ import annotations

import re
from typing import Any


class device:
    """The CPU, as code written for torch names it; devices compare equal by type and index.

    Errors: RuntimeError for any other device.
    Example:
        >>> import tinyseq as ts
        >>> where = ts.device("cuda" if ts.cuda.is_available() else "cpu")
        >>> where, str(where), ts.zeros(2, device=where).device == where
        (device(type='cpu'), 'cpu', True)
    """

    __slots__ = ("type", "index")

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        if isinstance(type, device):
            type, index = str(type), type.index
        found = re.fullmatch(r"cpu(?::(\d+))?", type) if isinstance(type, str) else None
        if found is None:
            raise RuntimeError(f"Expected a device of type cpu, got {type!r}: tinyseq computes on "
                               "the CPU, and ts.cuda.is_available() says so")
        self.type: str = "cpu"
        self.index: int | None = index if found[1] is None else int(found[1])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and self.index == other.index

    def __hash__(self) -> int:
        return hash(("cpu", self.index))

    def __str__(self) -> str:
        return "cpu" if self.index is None else f"cpu:{self.index}"

    def __repr__(self) -> str:
        return "device(type='cpu'" + ("" if self.index is None else f", index={self.index}") + ")"


CPU = device("cpu")


def on_cpu(where: Any) -> None:
    """Refuse a device that is not the CPU; None means that nothing was asked for."""
    if where is not None and not isinstance(where, device):
        device(where)
