"""The cells' equations, and nothing else: all that tinyseq does with a cell comes from here."""
from __future__ import annotations

from tinyseq.equations import cell
from tinyseq.ops import relu, sigmoid, tanh  # noqa: F401  the words of the equations


@cell(gates="h", source="Elman 1990, Finding structure in time")
def rnn_tanh(x, h):
    """The vanilla recurrent net: one new state from the input and the old state."""
    h_next = tanh(x.h + h.h)
    return h_next


@cell(gates="h", source="Le, Jaitly and Hinton 2015, arXiv 1504.00941")
def rnn_relu(x, h):
    """The vanilla recurrent net with a rectifier."""
    h_next = relu(x.h + h.h)
    return h_next


@cell(gates="i f g o", source="Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000")
def lstm(x, h, c_prev):
    """Long short-term memory: a cell state that gates write, keep and read."""
    i = sigmoid(x.i + h.i)           # input gate
    f = sigmoid(x.f + h.f)           # forget gate
    g = tanh(x.g + h.g)              # candidate
    o = sigmoid(x.o + h.o)           # output gate
    c = f * c_prev + i * g           # cell state
    h_next = o * tanh(c)
    return h_next, c


@cell(gates="i f g o", vectors="p_i p_f p_o",
      source="Gers and Schmidhuber 2000, Recurrent nets that time and count")
def lstm_peephole(x, h, c_prev):
    """LSTM whose gates look at the cell state, each unit at its own: o at the new one."""
    i = sigmoid(x.i + h.i + p_i * c_prev)  # input gate
    f = sigmoid(x.f + h.f + p_f * c_prev)  # forget gate
    g = tanh(x.g + h.g)              # candidate
    c = f * c_prev + i * g           # cell state
    o = sigmoid(x.o + h.o + p_o * c)       # output gate
    h_next = o * tanh(c)
    return h_next, c


@cell(gates="r z n", source="Cho et al. 2014, with the reset after the product as in cuDNN")
def gru(x, h):
    """Gated recurrent unit, PyTorch's: the reset gate acts on the product W_hn h + b_hn."""
    r = sigmoid(x.r + h.r)           # reset gate
    z = sigmoid(x.z + h.z)           # update gate
    n = tanh(x.n + r * h.n)          # candidate
    h_next = (1 - z) * n + z * h
    return h_next


@cell(gates="r z n", source="Cho et al. 2014, arXiv 1406.1078, z and 1 - z as in torch")
def gru_textbook(x, h):
    """Gated recurrent unit, the textbook's: the reset gate acts on h before the product."""
    r = sigmoid(x.r + h.r)           # reset gate
    z = sigmoid(x.z + h.z)           # update gate
    a = r * h                        # the state as far as the reset gate lets it through
    n = tanh(x.n + a.n)              # candidate
    h_next = (1 - z) * n + z * h
    return h_next


SHIPPED = (rnn_tanh, rnn_relu, lstm, lstm_peephole, gru, gru_textbook)
CELLS = {cell.name: cell for cell in SHIPPED}
