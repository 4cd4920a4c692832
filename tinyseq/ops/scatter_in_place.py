"""Writing at indices in place: scatter_, scatter_add_, index_put_; recorded where asked for."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.ops.overwrite import changed
from tinyseq.ops.scatter import index_put, scatter, scatter_add
from tinyseq.tensor import Tensor, wrap


def over(call: Any) -> Any:
    """scatter_ and its like: what `call` makes of the tensor is written over it."""
    name = f"{call.__name__}_"

    def change(self: Tensor, *args: Any, **more: Any) -> Tensor:
        def write(array: np.ndarray) -> None:
            np.copyto(array, call(wrap(array), *args, **more).array)
        return changed(self, name, write, lambda old: call(old, *args, **more),
                       *args, *more.values())

    change.__name__ = change.__qualname__ = name
    change.__doc__ = f"`{call.__name__}`, written over the tensor itself."
    return change


OVER: dict[str, Any] = {f"{call.__name__}_": over(call)
                        for call in (index_put, scatter, scatter_add)}
