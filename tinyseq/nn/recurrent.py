"""`RNN`, `LSTM`, `GRU`: a cell unrolled over a sequence, under torch's names and messages.

The modules hold parameters and check what they are given; the equations stand in cells.py and the
loop over time in unroll.py.
"""
from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tinyseq.cells import CELLS
from tinyseq.equations import Cell
from tinyseq.errors import ShapeError
from tinyseq.nn import init
from tinyseq.nn.cells import (flag, no_projection, projection, same_dtype, tensor,
                              unpacked)
from tinyseq.nn.linear import blank, size
from tinyseq.nn.module import Module
from tinyseq.ops import cat, stack, transpose, unsqueeze
from tinyseq.ops.noise import check_probability
from tinyseq.scope import state
from tinyseq.tensor import Tensor, wrap
from tinyseq.layer import Weights
from tinyseq.unroll import unroll

DIRECTIONS = ("fwd", ""), ("rev", "_reverse")  # the scope's word, the suffix of the parameters


class RNNBase(Module):
    """What the three layers share: arguments, parameters, checks, and the loop over layers.

    Shapes: input (T, I), (T, N, I), or (N, T, I) if batch_first; each state (1, H) or (1, N, H);
        output like the input with H in place of I; the final states like the first ones.
    Errors: ValueError, TypeError and RuntimeError with torch's texts.
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 proj_size: int = 0, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        check_probability(dropout)
        if dropout > 0 and num_layers == 1:
            warnings.warn("dropout option adds dropout after all but last recurrent layer, so "
                          "non-zero dropout expects num_layers greater than 1, but got "
                          f"dropout={dropout} and num_layers={num_layers}", stacklevel=3)
        self.bias = flag("bias", bias)
        self.batch_first = flag("batch_first", batch_first)
        self.input_size = size("input_size", input_size)
        self.hidden_size = size("hidden_size", hidden_size)
        self.num_layers = size("num_layers", num_layers)
        self.dropout = float(dropout)
        self.bidirectional = flag("bidirectional", bidirectional)
        self.proj_size = projection(proj_size, hidden_size)
        self._refuse_later_work()
        for layer, _, suffix in self.lanes():
            self._register(f"_l{layer}{suffix}", layer, device, dtype)
        self.reset_parameters()

    @property
    def cell(self) -> Cell:
        """The equations that this layer computes."""
        raise NotImplementedError(f"{type(self).__name__} names no cell")

    def _refuse_later_work(self) -> None:
        asked = [f"{name}={getattr(self, name)!r}" for name, default in
                 (("num_layers", 1), ("bidirectional", False), ("proj_size", 0))
                 if getattr(self, name) != default]
        if asked:
            raise NotImplementedError(
                f"{type(self).__name__}({', '.join(asked)}): so far there is one layer in one "
                "direction without projection; stack layers by calling one on another's output")

    # -- parameters -----------------------------------------------------------------------
    def lanes(self) -> list[tuple[int, str, str]]:
        """(layer, direction, suffix) in torch's order: layers outside, directions inside."""
        return [(layer, *direction) for layer in range(self.num_layers)
                for direction in DIRECTIONS[:1 + self.bidirectional]]

    def _register(self, lane: str, layer: int, device: Any, dtype: Any) -> None:
        H, P = self.hidden_size, self.proj_size or self.hidden_size
        rows = len(self.cell.gates) * H
        width = (1 + self.bidirectional) * P if layer else self.input_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, width), "weight_hh": (rows, P)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        for name, shape in shapes.items():
            setattr(self, name + lane, blank(shape, device, dtype))

    def reset_parameters(self) -> None:
        """Draw all parameters anew from U(-1/sqrt(H), 1/sqrt(H)), in their order."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def weights(self, lane: str) -> Weights:
        """The parameters of one layer in one direction, `lane` being "_l0" and so on."""
        def get(name: str) -> Any:
            return self._parameters.get(name + lane)
        return Weights(get("weight_ih"), get("weight_hh"), get("bias_ih"), get("bias_hh"))

    # -- forward --------------------------------------------------------------------------
    def forward(self, input: Any, hx: Any = None) -> tuple[Tensor, Any]:
        x, batched = self.sequence(input, hx)
        states = self.states(hx, x, batched)
        here, finals = state.scope, []
        try:
            lanes = self.lanes()
            for first in range(0, len(lanes), 1 + self.bidirectional):
                outputs = []
                for k in range(first, first + 1 + self.bidirectional):
                    layer, direction, suffix = lanes[k]
                    state.scope = here.child(f"l{layer}.{direction}")
                    y, final = unroll(self.cell, x, tuple([s[k] for s in states]),
                                      self.weights(f"_l{layer}{suffix}"))
                    outputs.append(y)
                    finals.append(final)
                x = outputs[0] if len(outputs) == 1 else cat(outputs, -1)
        finally:
            state.scope = here
        last = tuple([stack(lane) for lane in zip(*finals)])         # each (L*D, N, H)
        if not batched:
            x, last = x[:, 0], tuple([s[:, 0] for s in last])
        elif self.batch_first:
            x = transpose(x, 0, 1)
        return x, last[0] if len(last) == 1 else last

    def sequence(self, input: Any, hx: Any) -> tuple[Tensor, bool]:
        """The input as (T, N, I), checked; and whether it came as a batch."""
        word = type(self).__name__
        x = tensor(input, word)
        if x.ndim not in (2, 3):
            raise ShapeError(f"{word}: Expected input to be 2D or 3D, got {x.ndim}D "
                             f"{'tensor ' if word == 'RNN' else ''}instead")
        self.check_ranks(hx, x)
        weight = self.weight_ih_l0
        same_dtype(x, weight, "input")
        if x.shape[-1] != self.input_size:
            raise ShapeError("input.size(-1) must be equal to input_size. Expected "
                             f"{self.input_size}, got {x.shape[-1]}")
        if x.ndim == 2:
            return unsqueeze(x, 1), False
        return transpose(x, 0, 1) if self.batch_first else x, True

    def check_ranks(self, hx: Any, x: Tensor) -> None:
        """Refuse states whose number or rank does not fit the input's."""
        if hx is None:
            return
        given = unpacked(hx, len(self.cell.states))
        if any(s.ndim != x.ndim for s in given):
            kind = "batched 3-D" if x.ndim == 3 else "unbatched 2-D"
            ranks = ", ".join(f"{s.ndim}-D" for s in given)
            names, got = ("hx", f"{ranks} tensor") if len(given) == 1 else \
                ("hx and cx", f"({ranks}) tensors")
            raise ShapeError(f"For {kind} input, {names} should also be {x.ndim}-D but got {got}")

    def states(self, hx: Any, x: Tensor, batched: bool) -> list[Tensor]:
        """The first states, each (L*D, N, H), checked; zeros where none are given."""
        count, lanes, N = len(self.cell.states), len(self.lanes()), x.shape[1]
        wanted = [(lanes, N, (self.proj_size or self.hidden_size) if k == 0 else self.hidden_size)
                  for k in range(count)]
        if hx is None:
            return [wrap(np.zeros(shape, x.dtype)) for shape in wanted]
        found = []
        for k, (s, shape) in enumerate(zip(unpacked(hx, count), wanted)):
            name = "hidden" if count == 1 else f"hidden[{k}]"
            s = s if batched else unsqueeze(s, 1)
            if s.shape != shape:
                raise ShapeError(f"Expected {name} size {shape}, got {list(s.shape)}")
            same_dtype(s, self.weight_ih_l0, "hx")
            found.append(s)
        return found

    # -- to be read -----------------------------------------------------------------------
    def equations(self, format: str = "text") -> str:
        """What this very object computes, as "text" or "latex"."""
        return self.cell.equations(format)

    def extra_repr(self) -> str:
        defaults = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False,
                    "dropout": 0.0, "bidirectional": False, **self.extras()}
        return ", ".join([f"{self.input_size}, {self.hidden_size}"] + [
            f"{name}={getattr(self, name)}" for name, default in defaults.items()
            if getattr(self, name) != default])

    def extras(self) -> dict[str, Any]:
        """Further arguments that the repr shows, with their defaults."""
        return {}


class RNN(RNNBase):
    """The vanilla recurrent net over a sequence.

    Equation: h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or relu
    Shapes: input (T, N, I), h_0 (1, N, H) -> output (T, N, H), h_n (1, N, H).
    Source: Elman 1990.
    Example:
        >>> import tinyseq as ts
        >>> output, h_n = ts.nn.RNN(3, 4)(ts.ones(5, 2, 3))
        >>> output.shape, h_n.shape
        ((5, 2, 4), (1, 2, 4))
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1,
                 nonlinearity: str = "tanh", bias: bool = True, batch_first: bool = False,
                 dropout: float = 0.0, bidirectional: bool = False, device: Any = None,
                 dtype: Any = None, *, proj_size: int = 0) -> None:
        no_projection(proj_size)
        if f"rnn_{nonlinearity}" not in CELLS:
            raise ValueError(f"Unknown nonlinearity {nonlinearity!r}. Select from 'tanh' or "
                             "'relu'.")
        self.__dict__["nonlinearity"] = nonlinearity  # ahead of __init__, which asks for the cell
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, 0, device, dtype)

    @property
    def cell(self) -> Cell:
        return CELLS[f"rnn_{self.nonlinearity}"]

    def extras(self) -> dict[str, Any]:
        return {"nonlinearity": "tanh"}


class LSTM(RNNBase):
    """Long short-term memory over a sequence. Gate rows: i f g o.

    `forget_bias` makes the forget gate's total bias (bias_ih + bias_hh) exactly that at the start.
    Equation: c_t = f c_{t-1} + i g, h_t = o tanh(c_t)
    Shapes: input (T, N, I), (h_0, c_0) each (1, N, H) -> output (T, N, H), (h_n, c_n) as at first.
    Source: Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000.
    Example:
        >>> import tinyseq as ts
        >>> output, (h_n, c_n) = ts.nn.LSTM(3, 4)(ts.ones(5, 2, 3))
        >>> output.shape, h_n.shape, c_n.shape
        ((5, 2, 4), (1, 2, 4), (1, 2, 4))
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 proj_size: int = 0, device: Any = None, dtype: Any = None, *,
                 forget_bias: float | None = None) -> None:
        if forget_bias is not None and not (bias and math.isfinite(forget_bias)):
            raise ValueError(f"forget_bias={forget_bias}: give a finite number, and bias=True")
        self.__dict__["forget_bias"] = forget_bias
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, proj_size, device, dtype)

    @property
    def cell(self) -> Cell:
        return CELLS["lstm"]

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if self.forget_bias is None:
            return
        forget = slice(self.hidden_size, 2 * self.hidden_size)
        for name, parameter in self._parameters.items():
            if name.startswith("bias") and parameter is not None:
                value = self.forget_bias if name.startswith("bias_ih") else 0.0
                init.constant_(wrap(parameter.array[forget], version=parameter.version), value)

    def extras(self) -> dict[str, Any]:
        return {"forget_bias": None}


class GRU(RNNBase):
    """Gated recurrent units over a sequence. Gate rows: r z n.

    Equation: n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h_t = (1 - z) n + z h_{t-1};
        with reset_after=False, the textbook's n = tanh(W_in x + b_in + W_hn (r h) + b_hn)
    Shapes: input (T, N, I), h_0 (1, N, H) -> output (T, N, H), h_n (1, N, H).
    Source: Cho et al. 2014.
    Example:
        >>> import tinyseq as ts
        >>> output, h_n = ts.nn.GRU(3, 4)(ts.ones(5, 2, 3))
        >>> output.shape, h_n.shape
        ((5, 2, 4), (1, 2, 4))
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 device: Any = None, dtype: Any = None, *, proj_size: int = 0,
                 reset_after: bool = True) -> None:
        no_projection(proj_size)
        self.__dict__["reset_after"] = flag("reset_after", reset_after)
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, 0, device, dtype)

    @property
    def cell(self) -> Cell:
        return CELLS["gru" if self.reset_after else "gru_textbook"]

    def extras(self) -> dict[str, Any]:
        return {"reset_after": True}
