"""`RNNCell`, `LSTMCell`, `GRUCell`: one step, under torch's names, shapes and messages."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinyseq.cells import CELLS
from tinyseq.equations import Cell
from tinyseq.errors import ShapeError
from tinyseq.nn import init
from tinyseq.nn.linear import blank, size
from tinyseq.nn.module import Module
from tinyseq.ops import squeeze, unsqueeze
from tinyseq.tensor import Tensor, wrap
from tinyseq.layer import Weights
from tinyseq.unroll import step


class RNNCellBase(Module):
    """What the three cells share: parameters, checks, one step.

    Shapes: input (N, I) or (I), each state (N, H) or (H); weight_ih (K*H, I), weight_hh (K*H, H),
        bias_ih and bias_hh (K*H), K gates in the rows' order of `cell.gates`.
    """

    input_size: int
    hidden_size: int

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        self.bias = flag("bias", bias)
        self.input_size = size("input_size", input_size)
        self.hidden_size = size("hidden_size", hidden_size)
        rows = len(self.cell.gates) * hidden_size
        self.weight_ih = blank((rows, input_size), device, dtype)
        self.weight_hh = blank((rows, hidden_size), device, dtype)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, blank((rows,), device, dtype) if bias else None)
        self.reset_parameters()

    @property
    def cell(self) -> Cell:
        """The equations that this module computes."""
        raise NotImplementedError(f"{type(self).__name__} names no cell")

    def reset_parameters(self) -> None:
        """Draw all parameters anew from U(-1/sqrt(H), 1/sqrt(H)), in their order."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input: Any, hx: Any = None) -> Any:
        word = type(self).__name__
        x = tensor(input, word)
        if x.ndim not in (1, 2):
            raise ShapeError(f"{word}: Expected input to be 1D or 2D, got {x.ndim}D instead")
        same_dtype(x, self.weight_ih, "input")
        if x.shape[-1] != self.input_size:
            raise ShapeError(f"input has inconsistent input_size: got {x.shape[-1]} expected "
                             f"{self.input_size}")
        states = self.states(hx, x)
        if x.ndim == 2:
            new = step(self.cell, x, states, self.weights())
        else:
            new = step(self.cell, unsqueeze(x, 0), tuple([unsqueeze(s, 0) for s in states]),
                       self.weights())
            new = tuple([squeeze(s, 0) for s in new])
        self._ran.gave(new)
        return new[0] if len(new) == 1 else new

    def weights(self) -> Weights:
        return Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)

    def states(self, hx: Any, x: Tensor) -> tuple[Tensor, ...]:
        """The states the step starts from, checked; zeros where none are given."""
        count, H, word = len(self.cell.states), self.hidden_size, type(self).__name__
        if hx is None:
            return tuple([wrap(np.zeros((*x.shape[:-1], H), x.dtype)) for _ in range(count)])
        given = unpacked(hx, count)
        for k, s in enumerate(given):
            name = f"hx[{k}]" if count == 2 else "hidden"
            if s.ndim not in (1, 2):
                raise ShapeError(f"{word}: Expected {name} to be 1D or 2D, got {s.ndim}D instead")
            if s.ndim != x.ndim:
                raise ShapeError(f"{word}: For {x.ndim}D input, {name} should also be {x.ndim}D "
                                 f"but got {s.ndim}D: shapes {x.shape} and {s.shape}")
            if s.ndim == 2 and s.shape[0] != x.shape[0]:
                raise ShapeError(f"Input batch size {x.shape[0]} doesn't match hidden{k} batch "
                                 f"size {s.shape[0]}")
            if s.shape[-1] != H:
                raise ShapeError(f"hidden{k} has inconsistent hidden_size: got {s.shape[-1]}, "
                                 f"expected {H}")
            same_dtype(s, self.weight_ih, name)
        return given

    def equations(self, format: str = "text") -> str:
        """What this very object computes, forward and backward, as "text" or "latex"."""
        return self.cell.equations(format, backward=True, bias=self.bias)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """One step of the vanilla recurrent net.

    Equation: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.RNNCell(3, 4)(ts.ones(2, 3)).shape
        (2, 4)
        >>> ts.nn.RNNCell(3, 4, bias=False, nonlinearity="relu")(ts.ones(2, 3)).shape
        (2, 4)
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True,
                 nonlinearity: str = "tanh", device: Any = None, dtype: Any = None) -> None:
        self.__dict__["nonlinearity"] = nonlinearity  # ahead of __init__, which asks for the cell
        super().__init__(input_size, hidden_size, bias, device, dtype)

    @property
    def cell(self) -> Cell:
        return CELLS.get(f"rnn_{self.nonlinearity}", CELLS["rnn_tanh"])

    def forward(self, input: Any, hx: Any = None) -> Tensor:
        if f"rnn_{self.nonlinearity}" not in CELLS:
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return super().forward(input, hx)

    def extra_repr(self) -> str:
        return super().extra_repr() + (
            "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of an LSTM: from (h, c) to (h', c'). Gate rows: i f g o.

    `forget_bias` makes the forget gate's total bias (bias_ih + bias_hh) exactly that at the start.
    Equation: c' = f c + i g, h' = o tanh(c')
    Example:
        >>> import tinyseq as ts
        >>> h, c = ts.nn.LSTMCell(3, 4)(ts.ones(2, 3))
        >>> h.shape, c.shape
        ((2, 4), (2, 4))
        >>> ts.nn.LSTMCell(3, 4, bias=True, forget_bias=1.0).bias_ih.tolist()[4:8]
        [1.0, 1.0, 1.0, 1.0]
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None,
                 dtype: Any = None, *, forget_bias: float | None = None) -> None:
        self.__dict__["forget_bias"] = check_forget_bias(forget_bias, bias)
        super().__init__(input_size, hidden_size, bias, device, dtype)

    @property
    def cell(self) -> Cell:
        return CELLS["lstm"]

    def reset_parameters(self) -> None:
        super().reset_parameters()
        set_forget_bias(self, self.forget_bias)

    def extra_repr(self) -> str:
        return super().extra_repr() + (
            "" if self.forget_bias is None else f", forget_bias={self.forget_bias}")


class GRUCell(RNNCellBase):
    """One step of a GRU, torch's: the reset gate acts after the product. Gate rows: r z n.

    Equation: n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h' = (1 - z) n + z h;
        with reset_after=False, the textbook's n = tanh(W_in x + b_in + W_hn (r h) + b_hn)
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.GRUCell(3, 4)(ts.ones(3)).shape
        (4,)
        >>> ts.nn.GRUCell(3, 4, bias=False, reset_after=False)(ts.ones(3), ts.zeros(4)).shape
        (4,)
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None,
                 dtype: Any = None, *, reset_after: bool = True) -> None:
        self.__dict__["reset_after"] = flag("reset_after", reset_after)
        super().__init__(input_size, hidden_size, bias, device, dtype)

    @property
    def cell(self) -> Cell:
        return CELLS["gru" if self.reset_after else "gru_textbook"]

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")


# -- what the user gave, checked: also for the layers --------------------------------------
def flag(name: str, value: Any) -> bool:
    """The value, if it is True or False: torch's text otherwise."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} should be of type bool, got: {type(value).__name__}")
    return value


def tensor(value: Any, word: str) -> Tensor:
    """The input of a module as a Tensor; a numpy array is taken as it is."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray):
        return wrap(value)
    raise TypeError(f"{word}: input must be a Tensor, got {type(value).__name__}")


def unpacked(hx: Any, count: int) -> tuple[Tensor, ...]:
    """The `count` states in an hx: one Tensor, or for an LSTM a tuple (or list) of two."""
    def said(value: Any) -> str:
        if isinstance(value, (tuple, list)):
            return f"a {type(value).__name__} of {len(value)}: ({', '.join(map(said, value))})"
        return type(value).__name__
    if count == 1:
        if not isinstance(hx, Tensor):
            raise TypeError(f"hx must be a Tensor, got {said(hx)}")
        return (hx,)
    if not (isinstance(hx, (tuple, list)) and len(hx) == count
            and all(isinstance(s, Tensor) for s in hx)):
        raise TypeError(f"hx must be a tuple (h_0, c_0), got {said(hx)}")
    return tuple(hx)


def same_dtype(t: Tensor, weight: Tensor, what: str) -> None:
    """Refuse an input or a state whose dtype is not the weights'."""
    if t.dtype != weight.dtype:
        raise ValueError(
            f"RNN {what} dtype (torch.{t.dtype}) does not match weight dtype "
            f"(torch.{weight.dtype}). Convert {what}: {what}.to(ts.{weight.dtype}), or convert "
            f"model: model.to(ts.{t.dtype if t.dtype.kind == 'f' else weight.dtype})")


def projection(proj_size: int, hidden_size: int) -> int:
    """LSTM's proj_size, checked: torch's texts."""
    if not isinstance(proj_size, (int, np.integer)) or isinstance(proj_size, bool):
        raise TypeError(f"proj_size should be of type int, got: {type(proj_size).__name__}")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")
    return proj_size


def no_projection(proj_size: int) -> None:
    """Refuse a projection where there is none: torch's text."""
    if proj_size:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


def check_forget_bias(forget_bias: Any, bias: bool) -> float | None:
    """An LSTM's forget_bias: None, or a finite number that has a bias to go to."""
    number = isinstance(forget_bias, (int, float, np.number)) and math.isfinite(forget_bias)
    if forget_bias is not None and not (bias and number):
        raise ValueError(f"forget_bias={forget_bias!r}: give a finite number, and bias=True")
    return forget_bias


def set_forget_bias(module: Any, forget_bias: float | None) -> None:
    """Give the forget gate's rows of bias_ih that value, and those of bias_hh 0."""
    forget = slice(module.hidden_size, 2 * module.hidden_size)
    for name, p in module.named_parameters():
        if forget_bias is not None and name.startswith("bias"):
            value = forget_bias if name.startswith("bias_ih") else 0.0
            init.constant_(wrap(p.array[forget], version=p.version), value)
