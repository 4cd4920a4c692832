"""A layer of tinyseq as what is converted: its form, and its weights lane by lane."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.convert.layout import Array, Form, Lane
from tinyseq.nn.options import PEEPHOLES
from tinyseq.nn.recurrent import GRU, LSTM, RNN
from tinyseq.nn.rnnbase import RNNBase

KINDS = (RNN, "rnn"), (LSTM, "lstm"), (GRU, "gru")


def form_of(layer: Any) -> Form:
    """All about a layer that its weights do not say. Errors: TypeError for another module."""
    for cls, kind in KINDS:
        if isinstance(layer, cls):
            return Form(kind, layer.num_layers, 1 + layer.bidirectional, layer.bias,
                        getattr(layer, "nonlinearity", "tanh"),
                        getattr(layer, "reset_after", True), getattr(layer, "peephole", False))
    raise TypeError("what can be converted is an nn.RNN, nn.LSTM or nn.GRU, got "
                    f"{type(layer).__name__}")


def suffixes(layer: RNNBase) -> list[str]:
    """What the names of the parameters of each layer and direction end in."""
    return [f"_l{k}{suffix}" for k, _, suffix in layer.lanes()]


def held(layer: RNNBase) -> dict[str, Array]:
    """A layer's parameters by name."""
    return {name: p.array for name, p in layer.named_parameters()}


def lanes_of(layer: RNNBase, form: Form) -> list[Lane]:
    """A layer's weights, zeros where it has no bias or no peepholes."""
    own, found = held(layer), []
    for suffix in suffixes(layer):
        weight = own[f"weight_ih{suffix}"]
        none = np.zeros(len(weight), weight.dtype)
        peepholes = [own.get(name + suffix, none[:len(none) // 4]) for name in PEEPHOLES.values()]
        found.append(Lane(weight, own[f"weight_hh{suffix}"], own.get(f"bias_ih{suffix}", none),
                          own.get(f"bias_hh{suffix}", none), own.get(f"weight_hr{suffix}"),
                          np.stack(peepholes) if form.kind == "lstm" else None))
    return found


def parameters(layer: RNNBase, form: Form, lanes: list[Lane]) -> dict[str, Array]:
    """A layer's parameters by name, in its dtype, out of its lanes."""
    found: dict[str, Array] = {}
    for suffix, lane in zip(suffixes(layer), lanes):
        none = np.zeros((3, len(lane.bias_ih) // 4))
        peepholes = none if lane.peepholes is None else lane.peepholes
        values = {"weight_ih": lane.weight_ih, "weight_hh": lane.weight_hh,
                  "bias_ih": lane.bias_ih if form.bias else None,
                  "bias_hh": lane.bias_hh if form.bias else None, "weight_hr": lane.weight_hr,
                  **(dict(zip(PEEPHOLES.values(), peepholes)) if form.peephole else {})}
        found |= {name + suffix: value.astype(layer.weight_ih_l0.dtype)
                  for name, value in values.items() if value is not None}
    return found
