"""Functions of single elements that have no derivative: comparisons, logic, rounding, sign."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tinyseq.calling import Lift, broadcast_error, operand, promoted, settled
from tinyseq.tensor import Tensor, wrap


class Pointwise:
    """A function of one or two tensors, element by element, that records nothing.

    It is called on Tensors, numbers and arrays as the recorded operations are, and batched as the
    elementwise ones are (batching.py asks for `name`, `elementwise` and `call`).
    """

    elementwise = True

    def __init__(self, name: str, compute: Callable, doc: str, inputs: int = 1) -> None:
        self.name = self.__name__ = self.__qualname__ = name
        self.compute, self.inputs, self.__doc__ = compute, inputs, doc
        self.call = self

    def __repr__(self) -> str:
        return f"<function {self.name}>"

    def __get__(self, x: Any, kind: Any = None) -> Any:
        """As a method of Tensor."""
        return self if x is None else partial(self, x)

    def __call__(self, *operands: Any, other: Any = None) -> Any:
        operands = operands if other is None else (*operands, other)
        if len(operands) != self.inputs:
            raise TypeError(f"{self.name} takes {self.inputs} operand(s), got {len(operands)}")
        if not any([isinstance(t, (Tensor, bool, int, float)) for t in operands]):
            return self.compute(*operands)  # on plain arrays it computes, as operations do
        try:
            arrays = [t.array if isinstance(t, Tensor) else operand(t, operands[1 - k])
                      for k, t in enumerate(operands)]
        except Lift as lift:
            return lift.args[0](self, operands, {})
        if self.inputs == 2 and arrays[0].dtype != arrays[1].dtype:
            dtype = promoted(*arrays)
            arrays = [a.astype(dtype) for a in arrays]
        try:
            with np.errstate(all="ignore"):
                y = np.asarray(self.compute(*arrays))
        except ValueError as error:
            raise broadcast_error(self.name, *[a.shape for a in arrays]) from error
        return wrap(y if arrays[0].dtype.kind == "f" else settled(y))
