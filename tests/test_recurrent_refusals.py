"""What recurrent modules refuse: torch's types and texts, or better ones."""
from __future__ import annotations

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import ShapeError

LAYERS, CELLS = ("RNN", "LSTM", "GRU"), ("RNNCell", "LSTMCell", "GRUCell")


def x(*shape, dtype=np.float32):
    return ts.zeros(*shape, dtype=dtype)


def refused(error, text, call):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


@pytest.mark.parametrize("arguments, options, error, text", [
    ((3, 0), {}, ValueError, "hidden_size must be greater than zero"),
    ((3, -1), {}, ValueError, "hidden_size must be greater than zero"),
    ((3, 2.0), {}, TypeError, "hidden_size should be of type int, got: float"),
    ((3, True), {}, TypeError, "hidden_size should be of type int, got: bool"),
    ((0, 4), {}, ValueError, "input_size must be greater than zero"),
    ((3.0, 4), {}, TypeError, "input_size should be of type int, got: float"),
    ((3, 4), {"num_layers": 0}, ValueError, "num_layers must be greater than zero"),
    ((3, 4), {"bias": 1}, TypeError, "bias should be of type bool, got: int"),
    ((3, 4), {"batch_first": 1}, TypeError, "batch_first should be of type bool, got: int"),
    ((3, 4), {"num_layers": -1}, ValueError, "num_layers must be greater than zero"),
    ((3, 4), {"num_layers": 2.0}, TypeError, "num_layers should be of type int, got: float"),
    ((3, 4), {"bidirectional": 1}, TypeError, "bidirectional should be of type bool, got: int"),
    ((3, 4), {"device": "cuda"}, RuntimeError, "CPU"),
    ((3, 4), {"dtype": np.int64}, TypeError, "int64"),
    *[((3, 4), {"dropout": p}, ValueError, "dropout should be a number in range [0, 1] "
       "representing the probability of an element being zeroed")
      for p in (1.5, True, float("nan"), "a")]])
@pytest.mark.parametrize("name", LAYERS)
def test_constructors_refuse(name, arguments, options, error, text):
    refused(error, text, lambda: getattr(nn, name)(*arguments, **options))


def test_constructors_refuse_what_is_not_theirs():
    for name in ("RNN", "GRU"):
        refused(ValueError, "proj_size argument is only supported for LSTM, not RNN or GRU",
                lambda: getattr(nn, name)(3, 4, proj_size=2))
    for size, text in ((-1, "proj_size should be a positive integer or zero to disable"),
                       (4, "proj_size has to be smaller than hidden_size")):
        refused(ValueError, text, lambda: nn.LSTM(3, 4, proj_size=size))
    for wrong in (2.0, True):
        refused(TypeError, f"proj_size should be of type int, got: {type(wrong).__name__}",
                lambda: nn.LSTM(3, 4, proj_size=wrong))
    refused(TypeError, "reset_after should be of type bool",
            lambda: nn.GRUCell(3, 4, reset_after=1))
    for wrong in ("gelu", "RELU"):
        refused(ValueError, f"Unknown nonlinearity '{wrong}'. Select from 'tanh' or 'relu'.",
                lambda: nn.RNN(3, 4, nonlinearity=wrong))
    refused(RuntimeError, "Unknown nonlinearity: gelu",
            lambda: nn.RNNCell(3, 4, nonlinearity="gelu")(x(2, 3)))
    with pytest.warns(UserWarning, match="dropout=0.5 and num_layers=1") as caught:
        nn.LSTM(3, 4, dropout=0.5)
    assert len(caught) == 1 and caught[0].filename == __file__


@pytest.mark.parametrize("arguments, error, text", [
    (dict(proj_size=9, dropout=2.0), ValueError, "dropout should be"),
    (dict(dropout=2.0, bias=1), ValueError, "dropout should be"),
    (dict(bias=1, batch_first=1), TypeError, "bias should be"),
    (dict(batch_first=1, input_size=0), TypeError, "batch_first should be"),
    (dict(input_size=0, hidden_size=4.0), ValueError, "input_size must be"),
    (dict(hidden_size=4.0, num_layers=0), TypeError, "hidden_size should be"),
    (dict(num_layers=0, proj_size=9), ValueError, "num_layers must be")])
def test_constructors_check_in_torchs_order(arguments, error, text):
    refused(error, text, lambda: nn.LSTM(**{"input_size": 3, "hidden_size": 4, **arguments}))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_refuse_inputs(name):
    layer = getattr(nn, name)(3, 4)
    for rank in (1, 4):
        refused(ValueError, f"{name}: Expected input to be 2D or 3D, got {rank}D "
                f"{'tensor ' if name == 'RNN' else ''}instead", lambda: layer(x(*[3] * rank)))
    for given in (np.float64, np.int64):
        refused(ValueError, f"RNN input dtype (torch.{np.dtype(given)}) does not match weight "
                "dtype (torch.float32). Convert input: ", lambda: layer(x(5, 2, 3, dtype=given)))
    state = x(1, 2, 4)
    for hx in (None, (state, state) if name == "LSTM" else state):
        refused(RuntimeError, "input.size(-1) must be equal to input_size. Expected 3, got 7",
                lambda: layer(x(5, 2, 7), hx))
    refused(RuntimeError, "Expected sequence length to be larger than 0 in RNN",
            lambda: layer(x(0, 2, 3)))
    refused(TypeError, "input must be a Tensor, got list", lambda: layer([1.0]))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_refuse_states(name):
    layer, two = getattr(nn, name)(3, 4), name == "LSTM"
    def hx(*shape, **more): return (x(*shape, **more),) * 2 if two else x(*shape, **more)
    word = "hidden[0]" if two else "hidden"
    for shape in ((2, 2, 4), (1, 3, 4), (1, 2, 5), (1, 1, 4)):
        refused(RuntimeError, f"Expected {word} size (1, 2, 4), got {list(shape)}",
                lambda: layer(x(5, 2, 3), hx(*shape)))
    for form, ranks, other in (("batched 3-D", (5, 2, 3), (2, 4)),
                               ("unbatched 2-D", (5, 3), (1, 2, 4))):
        got = f"hx and cx should also be {len(ranks)}-D but got ({len(other)}-D, {len(other)}-D)" \
            if two else f"hx should also be {len(ranks)}-D but got {len(other)}-D tensor"
        refused(RuntimeError, f"For {form} input, {got}", lambda: layer(x(*ranks), hx(*other)))
    refused(ValueError, "float64", lambda: layer(x(5, 2, 3), hx(1, 2, 4, dtype=np.float64)))
    refused(RuntimeError, f"Expected {word} size (1, 2, 4), got [1, 5, 4]: the input is read as "
            "T=5, N=2: is batch_first what you mean?", lambda: layer(x(5, 2, 3), hx(1, 5, 4)))
    stacked = getattr(nn, name)(3, 4, 2)
    for shape in ((2, 1, 4), (1, 2, 4)):
        refused(RuntimeError, f"Expected {word} size (2, 2, 4), got {list(shape)}",
                lambda: stacked(x(5, 2, 3), hx(*shape)))
    h = x(1, 2, 4)
    for wrong in (h, (h,), (h, h, h), (h, None)) if two else ((h, h), 3):
        refused(TypeError, "hx must be a tuple (h_0, c_0)" if two else "hx must be a Tensor",
                lambda: layer(x(5, 2, 3), wrong))


@pytest.mark.parametrize("name", CELLS)
def test_cells_refuse(name):
    cell, two = getattr(nn, name)(3, 4), name == "LSTMCell"
    def hx(*shape): return (x(*shape),) * 2 if two else x(*shape)
    word = "hx[0]" if two else "hidden"
    for call, text in (
            (lambda: cell(x(1, 2, 3)), f"{name}: Expected input to be 1D or 2D, got 3D instead"),
            (lambda: cell(x(2, 3), hx(1, 2, 4)),
             f"{name}: Expected {word} to be 1D or 2D, got 3D instead"),
            (lambda: cell(x(2, 7)), "input has inconsistent input_size: got 7 expected 3"),
            (lambda: cell(x(2, 3), hx(3, 4)),
             "Input batch size 2 doesn't match hidden0 batch size 3"),
            (lambda: cell(x(3, 3), hx(1, 4)),
             "Input batch size 3 doesn't match hidden0 batch size 1"),
            (lambda: cell(x(2, 3), hx(2, 5)),
             "hidden0 has inconsistent hidden_size: got 5, expected 4"),
            (lambda: cell(x(3), hx(2, 4)), f"For 1D input, {word} should also be 1D but got 2D")):
        refused(ShapeError, text, call)
    refused(ValueError, "float64", lambda: cell(x(2, 3, dtype=np.float64)))
    refused(TypeError, "hx must be a", lambda: cell(x(2, 3), (x(2, 4),)))


def test_each_state_of_an_lstm_is_checked():
    layer = nn.LSTM(3, 4, 2, proj_size=2)
    for shapes, text in (((4, 4), "Expected hidden[0] size (2, 2, 2), got [2, 2, 4]"),
                         ((2, 2), "Expected hidden[1] size (2, 2, 4), got [2, 2, 2]")):
        refused(RuntimeError, text, lambda: layer(x(5, 2, 3), tuple(x(2, 2, n) for n in shapes)))
    refused(RuntimeError, "hidden1 has inconsistent hidden_size: got 5, expected 4",
            lambda: nn.LSTMCell(3, 4)(x(2, 3), (x(2, 4), x(2, 5))))


@pytest.mark.needs_torch
def test_what_torch_says_less_well():
    """Where torch's own message misleads; should it improve, ours may follow."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence
    zeros, given = torch.zeros, pack_padded_sequence(torch.zeros(4, 3, 2), [4, 2, 1])
    lstm = torch.nn.LSTM(2, 3)
    for error, text, call in (
            (IndexError, "index 1 is out of bounds", lambda: lstm(zeros(5, 2, 2), zeros(1, 2, 3))),
            (RuntimeError, "mat1 and mat2", lambda: torch.nn.LSTM(7, 3)(given)),
            (RuntimeError, "The size of tensor a (2) must match|broadcast shape",
             lambda: lstm(given, (zeros(1, 2, 3),) * 2)),
            (RuntimeError, "hidden0 has inconsistent hidden_size: got 2, expected 4",
             lambda: torch.nn.GRUCell(3, 4)(zeros(3), zeros(2, 4)))):
        with pytest.raises(error) as caught:
            call()
        assert any(part in str(caught.value) for part in text.split("|")), caught.value
    assert repr(torch.nn.RNN(3, 4, nonlinearity="relu")) == "RNN(3, 4)"
