"""One cell for each kind of line that the notation knows beyond the shipped cells' own."""
from __future__ import annotations

from tinyseq.equations import cell
from tinyseq.ops import sigmoid, tanh  # noqa: F401


@cell(gates="u v")
def inner_product(x, h):
    """A product inside the step: a line times a gate's rows."""
    u = tanh(x.u + h.u)
    a = u * h
    h_next = tanh(x.v + a.v)
    return h_next


@cell(gates="i f g o", vectors="p_i p_f p_o")
def peephole(x, h, c_prev):
    """Per-unit vectors: the gates look at the cell state."""
    i = sigmoid(x.i + h.i + p_i * c_prev)  # noqa: F821
    f = sigmoid(x.f + h.f + p_f * c_prev)  # noqa: F821
    g = tanh(x.g + h.g)
    c = f * c_prev + i * g
    o = sigmoid(x.o + h.o + p_o * c)  # noqa: F821
    h_next = o * tanh(c)
    return h_next, c


@cell(gates="i f g o", vectors="gain shift")
def normed(x, h, c_prev):
    """A row norm: the cell state is normalised over the units before the output gate reads it."""
    i = sigmoid(x.i + h.i)
    f = sigmoid(x.f + h.f)
    g = tanh(x.g + h.g)
    o = sigmoid(x.o + h.o)
    c = f * c_prev + i * g
    h_next = o * tanh(norm(c, gain, shift))  # noqa: F821
    return h_next, c


@cell(gates="i f g o")
def projected(x, h, c_prev):
    """A projection: the output is narrower than the cell state."""
    i = sigmoid(x.i + h.i)
    f = sigmoid(x.f + h.f)
    g = tanh(x.g + h.g)
    o = sigmoid(x.o + h.o)
    c = f * c_prev + i * g
    h_next = project(o * tanh(c))  # noqa: F821
    return h_next, c


@cell(gates="a b")
def scattered(x, h):
    """Rows that no one asks for, and a state used both in a product and as it is."""
    a = sigmoid(x.a - 0.5 * h.a)
    h_next = a * h + (1 - a) * tanh(x.b)
    return h_next


NOTATION = {cell.name: cell for cell in (inner_product, peephole, normed, projected, scattered)}
