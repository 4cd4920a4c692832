"""Tensors among NumPy's functions, other libraries (DLPack), copies and pickles."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.calling import noted
from tinyseq.op import OPS
from tinyseq.ops.arithmetic import COMPARISONS
from tinyseq.ops.matmul import matmul
from tinyseq.ops.rounding import floor_divide
from tinyseq.tensor import Parameter, Tensor, wrap

# What Python asks of `array <operator> tensor`, by the name of NumPy's ufunc.
OPERATORS = {"add": "add", "subtract": "sub", "multiply": "mul", "true_divide": "div",
             "divide": "div", "power": "pow", "remainder": "remainder", "negative": "neg"}
COMPARED = {"equal": "__eq__", "not_equal": "__ne__", "less": "__lt__", "less_equal": "__le__",
            "greater": "__gt__", "greater_equal": "__ge__"}
NAMES = {"concatenate": "cat", "stack": "stack", "split": "split", "absolute": "abs",
         "power": "pow", "subtract": "sub", "multiply": "mul", "divide": "div",
         "true_divide": "div"}


def array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *operands: Any, **more: Any) -> Any:
    """A numpy array on the left of an operator is recorded; any other ufunc is refused, loudly.

    Example:
        >>> import numpy as np
        >>> import tinyseq as ts
        >>> np.ones(2, np.float32) * ts.tensor([1.0, 2.0], requires_grad=True)
        tensor([1., 2.], grad_fn=mul)
    """
    name = ufunc.__name__
    if method == "__call__" and not more:
        tensors = [wrap(t) if isinstance(t, np.ndarray) else t for t in operands]
        if name in OPERATORS:
            return OPS[OPERATORS[name]].call(*tensors)
        if name in ("matmul", "floor_divide"):
            return {"matmul": matmul, "floor_divide": floor_divide}[name](*tensors)
        if name in COMPARED:
            left, right = [t if isinstance(t, Tensor) else wrap(np.asarray(t)) for t in tensors]
            return COMPARISONS[COMPARED[name]](left, right)
    raise refusal(name)


def array_function(self: Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """No numpy function takes a Tensor silently."""
    raise refusal(function.__name__)


def refusal(name: str) -> TypeError:
    """The error for a NumPy function on a Tensor: names tinyseq's own, where there is one."""
    ours = NAMES.get(name, name)
    own = f"use ts.{ours}, or" if name in NAMES or ours in OPS or hasattr(Tensor, ours) else "type"
    return TypeError(f"numpy's {name} would drop a Tensor's history in silence: {own} "
                     "t.detach().numpy() to drop it on purpose")


def dlpack(self: Tensor, **more: Any) -> Any:
    """The values for another library (`torch.from_dlpack(t)`), sharing memory; not the history."""
    if self.requires_grad:
        raise BufferError("DLPack cannot carry a Tensor's history: type t.detach() first")
    return self.array.__dlpack__(**more)


def dlpack_device(self: Tensor) -> tuple:
    """Where the values lie: on the CPU."""
    return self.array.__dlpack_device__()


def from_dlpack(values: Any) -> Tensor:
    """A tensor on the memory of another library's array.

    Example:
        >>> import numpy as np
        >>> from_dlpack(np.arange(3))
        tensor([0, 1, 2])
    """
    return wrap(np.from_dlpack(values))


def reduced(self: Tensor, protocol: int) -> tuple:
    """What pickle stores of a leaf: its values, whether it is trained, its name."""
    if self.node is not None:
        raise RuntimeError("only leaf tensors can be pickled: a history cannot. Type t.detach()")
    return restored, (type(self), self.array, self.requires_grad, self.label)


def restored(kind: type, array: np.ndarray, requires_grad: bool, label: str | None) -> Tensor:
    """A leaf as it was pickled."""
    t = wrap(array)
    if kind is Parameter:
        t = Parameter(array, dtype=array.dtype)
    t.requires_grad, t.label = requires_grad, label
    return t


def copied(self: Tensor) -> Tensor:
    """`copy.copy(t)`: another tensor on the same values and history, as in torch."""
    t = wrap(self.array, self.node, self.version)
    t.requires_grad, t.label = self.requires_grad, self.label
    return noted(t)


def deep_copied(self: Tensor, memo: dict) -> Tensor:
    """`copy.deepcopy(t)`: a leaf with values, gradient and name of its own."""
    if self.node is not None:
        raise RuntimeError("only leaf tensors can be deep-copied: the copy would share this one's "
                           "history. Type t.detach().clone()")
    twin = type(self).__new__(type(self))
    Tensor.__init__(twin, self.array, dtype=self.dtype)
    twin.requires_grad, twin.label = self.requires_grad, self.label
    twin._grad = None if self._grad is None else wrap(self._grad.array.copy())
    memo[id(self)] = twin
    return twin


EXCHANGE = {"__array_ufunc__": array_ufunc, "__array_function__": array_function,
            "__dlpack__": dlpack, "__dlpack_device__": dlpack_device, "__reduce_ex__": reduced,
            "__copy__": copied, "__deepcopy__": deep_copied}
