"""The study's character model: embedding, one recurrent layer, and a linear readout."""
from __future__ import annotations

from typing import Any

from tinyseq import nn
from tinyseq.tensor import Tensor

EMBEDDING = 32


def recurrent(cell: str, inputs: int, hidden: int, dtype: Any = None,
              forget_bias: float | None = None) -> nn.Module:
    """The layer of a cell's command-line name."""
    if cell == "rnn":
        return nn.RNN(inputs, hidden, dtype=dtype)
    if cell == "lstm":
        return nn.LSTM(inputs, hidden, dtype=dtype, forget_bias=forget_bias)
    return nn.GRU(inputs, hidden, dtype=dtype, reset_after=cell == "gru")


class CharacterModel(nn.Module):
    """Predicts the next character from all characters before it.

    Shapes: characters (T, N) of integers, logits (T, N, V).
    """

    def __init__(self, cell: str, symbols: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, EMBEDDING)
        self.layer = recurrent(cell, EMBEDDING, hidden,
                               forget_bias=1.0 if cell == "lstm" else None)
        self.readout = nn.Linear(hidden, symbols)

    def forward(self, characters: Any, states: Any = None) -> tuple[Tensor, Any]:
        h, states = self.layer(self.embedding(characters), states)
        return self.readout(h), states


def detached(states: Any) -> Any:
    """The states carried into the next window: the values, without the history."""
    if isinstance(states, tuple):
        return tuple(s.detach() for s in states)
    return states.detach()
