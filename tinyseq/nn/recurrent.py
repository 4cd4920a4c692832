"""`RNN`, `LSTM`, `GRU`: a cell over sequences, stacked, in one or both directions, as torch's."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.cells import CELLS
from tinyseq.equations import Cell
from tinyseq.errors import ShapeError
from tinyseq.nn.cells import check_forget_bias, flag, no_projection, set_forget_bias
from tinyseq.nn.linear import size
from tinyseq.nn.options import Options
from tinyseq.nn.rnnbase import RNNBase
from tinyseq.ops import unsqueeze
from tinyseq.tensor import Tensor, wrap
from tinyseq.variants import projected


class RNN(RNNBase):
    """The vanilla recurrent net over a sequence.

    Beyond torch: `layer_norm=True` normalises both projections, `recurrent_dropout=p` drops units
    of the state where products read it (one mask a sequence), `zoneout=p` keeps units' old values,
    `learn_init=True` learns the initial state `h_0`. Called with `lengths=` or `mask=` it takes
    padded sequences, with `reset=` it starts rows anew in between.
    Equation: h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or relu
    Shapes: input (T, N, I), h_0 (1, N, H) -> output (T, N, H), h_n (1, N, H).
    Source: Elman 1990.
    Example:
        >>> import tinyseq as ts
        >>> output, h_n = ts.nn.RNN(3, 4)(ts.ones(5, 2, 3))
        >>> output.shape, h_n.shape
        ((5, 2, 4), (1, 2, 4))
        >>> rnn = ts.nn.RNN(3, 4, num_layers=2, nonlinearity="relu", dropout=0.5, bias=False,
        ...                 batch_first=True, bidirectional=True, device="cpu", dtype=ts.float64)
        >>> x, lengths = ts.ones(2, 5, 3, dtype=ts.float64), ts.tensor([5, 3])
        >>> output, h_n = rnn(x, hx=ts.zeros(4, 2, 4, dtype=ts.float64), lengths=lengths)
        >>> output[1, 3:].any().item(), rnn(x[0])[0].shape            # padding; one sequence
        (False, (5, 8))
        >>> _ = rnn(x, mask=ts.arange(5) < lengths.unsqueeze(1))      # the same
        >>> ts.nn.RNN(3, 4, layer_norm=True, zoneout=0.1)(ts.ones(5, 2, 3))[0].shape
        (5, 2, 4)
        >>> ts.nn.RNN(3, 4, recurrent_dropout=0.2, learn_init=True).h_0.shape
        (1, 4)
        >>> x, anew = ts.ones(5, 2, 3), ts.tensor([[False, False]] * 3 + [[False, True]] * 2)
        >>> y, _ = rnn.float().eval()(x.transpose(0, 1), reset=anew.T)
        >>> y[0, 3].allclose(y[1, 3])                                 # row 1 began anew at t=3
        False
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1,
                 nonlinearity: str = "tanh", bias: bool = True, batch_first: bool = False,
                 dropout: float = 0.0, bidirectional: bool = False, device: Any = None,
                 dtype: Any = None, *, proj_size: int = 0, layer_norm: bool = False,
                 recurrent_dropout: float = 0.0, zoneout: float = 0.0,
                 learn_init: bool = False) -> None:
        no_projection(proj_size)
        if f"rnn_{nonlinearity}" not in CELLS:
            raise ValueError(f"Unknown nonlinearity {nonlinearity!r}. Select from 'tanh' or "
                             "'relu'.")
        self.__dict__["nonlinearity"] = nonlinearity  # ahead of __init__, which asks for the cell
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, 0, device, dtype,
                         Options.of(layer_norm, recurrent_dropout, zoneout, learn_init))

    @property
    def plain(self) -> Cell:
        return CELLS[f"rnn_{self.nonlinearity}"]

    def extras(self) -> dict[str, Any]:
        return {"nonlinearity": "tanh"}


class LSTM(RNNBase):
    """Long short-term memory over a sequence. Gate rows: i f g o.

    Beyond torch: `forget_bias` makes the forget gate's total bias (bias_ih + bias_hh) exactly that
    at the start, `peephole=True` lets the gates see the cell state, and as in `RNN` `layer_norm`
    (the new cell state as well), `recurrent_dropout`, `zoneout` (of h and c), `learn_init`.
    `nn.init.chrono_` and `each_gate_` are further ways to begin, `nn.detached` cuts a carried
    state off, `ts.probe` has the gates and cell states of all steps.
    Equation: c_t = f c_{t-1} + i g, h_t = o tanh(c_t)
    Shapes: input (T, N, I), (h_0, c_0) each (1, N, H) -> output (T, N, H), (h_n, c_n) as at first.
    Source: Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000.
    Example:
        >>> import tinyseq as ts
        >>> output, (h_n, c_n) = ts.nn.LSTM(3, 4)(ts.ones(5, 2, 3))
        >>> output.shape, h_n.shape, c_n.shape
        ((5, 2, 4), (1, 2, 4), (1, 2, 4))
        >>> ts.nn.LSTM(3, 4, peephole=True, zoneout=0.1).weight_ci_l0.shape
        (4,)
        >>> ts.nn.LSTM(3, 4, num_layers=2, batch_first=True, bidirectional=True)
        LSTM(3, 4, num_layers=2, batch_first=True, bidirectional=True)
        >>> ts.nn.LSTM(3, 4, proj_size=2)(ts.ones(5, 2, 3))[0].shape
        (5, 2, 2)
        >>> lstm = ts.nn.LSTM(3, 4, layer_norm=True, recurrent_dropout=0.2, learn_init=True)
        >>> lstm.ln_c_weight_l0.shape, lstm.c_0.shape
        ((4,), (1, 4))
        >>> lstm = ts.nn.init.chrono_(ts.nn.LSTM(3, 4), longest=50)
        >>> y, state = ts.nn.init.each_gate_(lstm, ts.nn.init.orthogonal_)(ts.ones(5, 2, 3))
        >>> y, state = lstm(ts.ones(5, 2, 3), ts.nn.detached(state))
        >>> ts.stack([c.value for c in ts.probe(lstm, "**/c").values()]).shape    # all c_t
        (5, 2, 4)
        >>> lstm = ts.nn.LSTM(3, 4, forget_bias=1.0)
        >>> (lstm.bias_ih_l0 + lstm.bias_hh_l0)[4:8]
        tensor([1., 1., 1., 1.], grad_fn=getitem)
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 proj_size: int = 0, device: Any = None, dtype: Any = None, *,
                 forget_bias: float | None = None, peephole: bool = False,
                 layer_norm: bool = False, recurrent_dropout: float = 0.0, zoneout: float = 0.0,
                 learn_init: bool = False) -> None:
        self.__dict__["forget_bias"] = check_forget_bias(forget_bias, bias)
        self.__dict__["peephole"] = flag("peephole", peephole)
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, proj_size, device, dtype,
                         Options.of(layer_norm, recurrent_dropout, zoneout, learn_init))

    @property
    def plain(self) -> Cell:
        cell = CELLS["lstm_peephole" if self.peephole else "lstm"]
        return projected(cell) if self.proj_size else cell

    def reset_parameters(self) -> None:
        super().reset_parameters()
        set_forget_bias(self, self.forget_bias)

    def extras(self) -> dict[str, Any]:
        return {"forget_bias": None, "peephole": False}


class GRU(RNNBase):
    """Gated recurrent units over a sequence. Gate rows: r z n.

    Beyond torch: `reset_after=False` is the textbook's, and the options of `RNN`.
    Equation: n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h_t = (1 - z) n + z h_{t-1};
        with reset_after=False, the textbook's n = tanh(W_in x + b_in + W_hn (r h) + b_hn)
    Shapes: input (T, N, I), h_0 (1, N, H) -> output (T, N, H), h_n (1, N, H).
    Source: Cho et al. 2014.
    Example:
        >>> import tinyseq as ts
        >>> output, h_n = ts.nn.GRU(3, 4)(ts.ones(5, 2, 3))
        >>> output.shape, h_n.shape
        ((5, 2, 4), (1, 2, 4))
        >>> print(ts.nn.GRU(3, 4, reset_after=False).equations().splitlines()[4])
        a = r * h  # the state as far as the reset gate lets it through
        >>> ts.nn.GRU(3, 4, bias=False, batch_first=True, bidirectional=True)
        GRU(3, 4, bias=False, batch_first=True, bidirectional=True)
        >>> gru = ts.nn.GRU(3, 4, num_layers=2, layer_norm=True, zoneout=0.1, learn_init=True)
        >>> gru.h_0.shape, ts.nn.GRU(3, 4, recurrent_dropout=0.2)
        ((2, 4), GRU(3, 4, recurrent_dropout=0.2))
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 device: Any = None, dtype: Any = None, *, proj_size: int = 0,
                 reset_after: bool = True, layer_norm: bool = False,
                 recurrent_dropout: float = 0.0, zoneout: float = 0.0,
                 learn_init: bool = False) -> None:
        no_projection(proj_size)
        self.__dict__["reset_after"] = flag("reset_after", reset_after)
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, 0, device, dtype,
                         Options.of(layer_norm, recurrent_dropout, zoneout, learn_init))

    @property
    def plain(self) -> Cell:
        return CELLS["gru" if self.reset_after else "gru_textbook"]

    def extras(self) -> dict[str, Any]:
        return {"reset_after": True}


class Recurrent(RNNBase):
    """Any cell written with `@ts.cell` over a sequence: stacked, in both directions, packed.

    Parameters, shapes and options are as in `RNN`; a cell's vectors are parameters `NAME_l0`. With
    a size for each layer, `hidden_size=(64, 32)`, the final states (and hx) of each state are a
    tuple with one tensor (D, N, H) for each layer.
    Errors: TypeError for what is no cell; ValueError where sizes and num_layers disagree.
    Example:
        >>> import tinyseq as ts
        >>> from tinyseq.cells import CELLS
        >>> layer = Recurrent(CELLS["gru_textbook"], 3, (8, 4))
        >>> output, h_n = layer(ts.ones(5, 2, 3))
        >>> output.shape, [h.shape for h in h_n]
        ((5, 2, 4), [(1, 2, 8), (1, 2, 4)])
        >>> @ts.cell(gates="k", source="a leaky average")
        ... def leaky(x, h):
        ...     k = sigmoid(x.k + h.k)
        ...     h_next = k * h + (1 - k) * tanh(x.k)
        ...     return h_next
        >>> Recurrent(leaky, 3, 4, num_layers=2, bidirectional=True)(ts.ones(5, 2, 3))[0].shape
        (5, 2, 8)
        >>> Recurrent(leaky, 3, (4, 4), bias=False, batch_first=True, dropout=0.1, zoneout=0.1,
        ...           layer_norm=True, recurrent_dropout=0.2, learn_init=True).h_0.shape
        (2, 4)
        >>> Recurrent(CELLS["lstm"], 3, 4, proj_size=2)(ts.ones(5, 2, 3))[0].shape
        (5, 2, 2)
    """

    def __init__(self, cell: Cell, input_size: int, hidden_size: Any,
                 num_layers: int | None = None, bias: bool = True, batch_first: bool = False,
                 dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
                 device: Any = None, dtype: Any = None, *, layer_norm: bool = False,
                 recurrent_dropout: float = 0.0, zoneout: float = 0.0,
                 learn_init: bool = False) -> None:
        if not isinstance(cell, Cell):
            raise TypeError(f"Recurrent takes a cell written with @ts.cell, got {cell!r}")
        sizes = tuple(hidden_size) if isinstance(hidden_size, (tuple, list)) else ()
        if sizes and num_layers not in (None, len(sizes)):
            raise ValueError(f"num_layers={num_layers} but hidden_size has {len(sizes)} sizes")
        if len(set(sizes)) > 1 and learn_init:
            raise ValueError("learn_init=True needs layers of one size")
        self.__dict__.update(plain_cell=cell, sizes=tuple([size("hidden_size", H) for H in sizes]))
        super().__init__(input_size, sizes[0] if sizes else hidden_size,
                         len(sizes) or num_layers or 1, bias, batch_first, dropout, bidirectional,
                         proj_size, device, dtype,
                         Options.of(layer_norm, recurrent_dropout, zoneout, learn_init))

    @property
    def plain(self) -> Cell:
        return projected(self.plain_cell) if self.proj_size else self.plain_cell

    def width(self, layer: int) -> int:
        return self.sizes[layer] if self.sizes else self.hidden_size

    def states(self, hx: Any, x: Tensor, batched: bool) -> list[list[Tensor]]:
        if len(set(self.sizes)) < 2:
            return super().states(hx, x, batched)
        D, N, S, found = 1 + self.bidirectional, x.shape[1], len(self.cell.states), []
        kinds = [None] * S if hx is None else self.each_layers(hx, S)
        for kind in kinds:
            wanted = [(D, N, H) for H in self.sizes]
            given = [wrap(np.zeros(shape, x.dtype)) for shape in wanted] if kind is None else \
                [s if batched else unsqueeze(s, 1) for s in kind]
            if [s.shape for s in given] != wanted:
                raise ShapeError(f"Expected for each layer a state of size {wanted}, got "
                                 f"{[s.shape for s in given]}")
            found.append([s[d] for s in given for d in range(D)])
        return found

    def each_layers(self, hx: Any, count: int) -> Any:
        """The given states, each a tuple with a tensor for every layer: TypeError otherwise."""
        kinds = [hx] if count == 1 else hx
        if not (isinstance(kinds, (tuple, list)) and len(kinds) == count and all(
                isinstance(kind, (tuple, list)) and len(kind) == len(self.sizes)
                and all(isinstance(s, Tensor) for s in kind) for kind in kinds)):
            each = f"a tuple of {len(self.sizes)} tensors, one for each layer"
            raise TypeError("layers of different sizes take as hx "
                            + (each if count == 1 else f"a tuple of {count}, each {each}")
                            + ", as the final states are")
        return kinds

    def check_ranks(self, hx: Any, rank: int) -> None:
        if len(set(self.sizes)) < 2:
            super().check_ranks(hx, rank)

    def joined(self, lanes: list[Tensor], batched: bool) -> Any:
        if len(set(self.sizes)) < 2:
            return super().joined(lanes, batched)
        D = 1 + self.bidirectional
        return tuple([super(Recurrent, self).joined(lanes[k:k + D], batched)
                      for k in range(0, len(lanes), D)])

    def extra_repr(self) -> str:
        shown = super().extra_repr()
        if self.sizes:
            shown = shown.replace(str(self.hidden_size), str(self.sizes), 1)
        return f"{self.plain_cell.name}, {shown}"
