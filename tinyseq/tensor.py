"""`Tensor`: an array that remembers how it was made.

Operators, methods and `backward` are lent to it by higher floors, in one table in ops/__init__.
"""
from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyseq.array import to_array
from tinyseq.errors import ShapeError
from tinyseq.graph import Node


class Tensor:
    """An n-dimensional array with a history.

    `array` is the numpy array, `node` the operation that made it (None for a leaf), `version` a
    cell shared by all tensors on one storage: [how often changed in place, by what, the views].

    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([1.0, 2.0, 3.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([2., 4., 6.])
    """

    __slots__ = ("array", "node", "requires_grad", "version", "label", "_grad", "hooks",
                 "__weakref__")
    __hash__ = object.__hash__

    array: np.ndarray
    node: Node | None
    requires_grad: bool
    version: list
    label: str | None
    _grad: Tensor | None

    def __init__(self, data: Any, requires_grad: bool = False, dtype: Any = None) -> None:
        self.array = to_array(data.array if isinstance(data, Tensor) else data, dtype)
        self.node = None
        self.version = [0, None]
        self.label = None
        self._grad = None
        self.requires_grad_(requires_grad)

    if TYPE_CHECKING:  # what ops/__init__ lends, for those who read types
        def __getattr__(self, name: str) -> Any: ...
        def __add__(self, other: Any) -> Tensor: ...
        __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __add__
        __matmul__ = __rmatmul__ = __pow__ = __lt__ = __le__ = __gt__ = __ge__ = __add__
        def __neg__(self) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...

    # -- what it is -----------------------------------------------------------------------
    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def is_leaf(self) -> bool:
        return self.node is None

    @property
    def grad_fn(self) -> Node | None:
        """The node that made this tensor, or None for a leaf."""
        return self.node

    @property
    def grad(self) -> Tensor | None:
        """dL/d(this): of a leaf what backward has added up, of others only if it was retained."""
        if self.node is None:
            return self._grad
        gy = self.node.gy
        if gy is None and not self.node.keep:
            warnings.warn("the .grad of a tensor that is not a leaf is None unless you call "
                          ".retain_grad() on it before backward()", stacklevel=2)
        return gy if gy is None or isinstance(gy, Tensor) else wrap(gy)

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None:
            value = value if isinstance(value, Tensor) else wrap(np.asarray(value))
            if value.shape != self.shape or value.dtype != self.dtype:
                raise ShapeError(f"the gradient of a tensor of shape {self.shape} and dtype "
                                 f"{self.dtype} cannot be {value.shape} and {value.dtype}")
        self._grad = value

    def size(self, dim: int | None = None) -> Any:
        return self.array.shape if dim is None else self.array.shape[dim]

    def numel(self) -> int:
        return int(self.array.size)

    def item(self) -> Any:
        if self.array.size != 1:
            raise ValueError(f"only a tensor with one element has an item(); this one is "
                             f"{self.shape}. Reduce it first, for example with .sum()")
        return self.array.item()

    def numpy(self) -> np.ndarray:
        """A read-only view of the values; refuses to lose a gradient silently."""
        if self.requires_grad:
            raise RuntimeError("this Tensor requires grad, and a numpy array cannot remember "
                               "that: type t.detach().numpy()")
        view = self.array.view()
        view.flags.writeable = False
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.requires_grad:
            raise TypeError("numpy would drop this Tensor's history in silence: use the tinyseq "
                            "function of the same name, or t.detach() to drop it on purpose")
        return np.array(self.array, dtype=dtype, copy=True)

    def detach(self) -> Tensor:
        """The same values on the same storage, without history: gradients stop here."""
        return wrap(self.array, version=self.version)

    @property
    def data(self) -> Tensor:
        """As in torch: `detach()`, sharing storage and version, so that misuse is seen."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:  # `p.data -= step` assigns what it changed in place
        if value.array is not self.array:
            self.detach().copy_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        if type(requires_grad) is not bool:
            raise TypeError(f"requires_grad must be True or False, got {requires_grad!r}")
        if self.node is not None and not requires_grad:
            raise RuntimeError("requires_grad can be changed on leaf tensors only; to cut this "
                               "one off its history, type t.detach()")
        if requires_grad and self.array.dtype.kind != "f":
            raise RuntimeError("only Tensors of floating point dtype can require gradients, "
                               f"got {self.array.dtype}")
        self.requires_grad = requires_grad
        return self

    def retain_grad(self) -> Tensor:
        """Keep this tensor's own gradient through the next backward, though it is no leaf."""
        if self.node is not None:
            self.node.keep = True
        return self

    # -- values as Python's ---------------------------------------------------------------
    def __len__(self) -> int:
        if self.array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self.array.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self.array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return (self[k] for k in range(len(self)))

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise ValueError(f"the truth of a tensor of shape {self.shape} is ambiguous: "
                             "type (t == u).all() or .any()")
        return bool(self.array.item())

    def __repr__(self) -> str:
        text = np.array2string(self.array, separator=", ", prefix="tensor(", threshold=200)
        more = "" if self.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        if self.array.size == 0:
            more += f", shape={self.shape}"
        if self.node is not None:
            more += f", grad_fn={self.node.op.name}"
        elif self.requires_grad:
            more += ", requires_grad=True"
        return f"tensor({text}{more})"

    # -- in place -------------------------------------------------------------------------
    def change(self, by: str, write: Callable[[np.ndarray], Any]) -> Tensor:
        """Run `write` on the storage and count it, so that a stale derivative is found.

        This records nothing: what may have a history goes through `changed` (ops/inplace.py).
        """
        write(self.array)
        self.version[0] += 1
        self.version[1] = by
        return self


class Parameter(Tensor):
    """A leaf tensor that a Module owns and an optimizer changes; `label` is its dotted name."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True, dtype: Any = None) -> None:
        super().__init__(data, requires_grad, dtype)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


def wrap(array: Any, node: Node | None = None, version: list | None = None) -> Tensor:
    """A Tensor around an array as it is: no copy, no checks. For the engine, not for users."""
    t = _new(Tensor)
    t.array = array if type(array) is np.ndarray else np.asarray(array)
    t.node = node
    t.requires_grad = node is not None
    t.version = [0, None] if version is None else version
    t.label = None
    t._grad = None
    return t


_new = object.__new__
