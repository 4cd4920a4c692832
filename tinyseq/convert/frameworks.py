"""The layouts of PyTorch, Keras, Flax, Equinox and ONNX."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyseq.convert.layout import (GATES, Array, Form, Held, Lane, Layout, flat, one_bias, rows,
                                    said, two_biases)
from tinyseq.errors import ConversionError


class Torch(Layout):
    """PyTorch: one state_dict for all layers, in tinyseq's own rows."""

    title = "PyTorch"
    layers = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
    sides = ("", "_reverse")
    biases = ("bias_ih", "bias_hh")
    projection = True

    def write(self, lane: Lane, form: Form) -> Held:
        return {name: value for name, value in lane._asdict().items()
                if name != "peepholes" and value is not None}

    def read(self, w: Held, form: Form) -> Lane:
        return Lane(**{name: w[name] for name in Lane._fields if name in w})

    def settings(self, form: Form) -> dict[str, tuple[Any, Any]]:
        return {"nonlinearity": ("tanh", form.activation)} if form.kind == "rnn" else {}

    def separate(self, weights: Any, form: Form) -> list[Held]:
        if not isinstance(weights, Mapping):
            raise ConversionError("the PyTorch weights of a layer are its state_dict(); got "
                                  + said(weights))
        w = flat(weights)
        shared = {name: w.pop(name) for name in self.settings(form) if name in w}
        lanes = [{name: w.pop(name) for name in list(w) if name.endswith(suffix)}
                 for suffix in self.suffixes(form)]
        if w:
            raise ConversionError("these are not the PyTorch weights of a layer like this one: "
                                  f"unexpected {', '.join(w)}")
        return [{name.removesuffix(suffix): value for name, value in lane.items()} | shared
                for suffix, lane in zip(self.suffixes(form), lanes)]

    def together(self, lanes: list[Held], form: Form) -> Any:
        shared = self.settings(form)
        return {name if name in shared else name + suffix: value
                for suffix, lane in zip(self.suffixes(form), lanes)
                for name, value in lane.items()}

    def suffixes(self, form: Form) -> list[str]:
        """What the names of each layer and direction end in."""
        return [f"_l{layer}{side}" for layer in range(form.num_layers)
                for side in self.sides[:form.directions]]


class Keras(Layout):
    """Keras 3: matrices transposed; GRU rows z r h, with two biases where it resets after."""

    title = "Keras"
    layers = {"rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}
    order = {**GATES, "gru": "z r n"}
    sides = ("forward_layer/", "backward_layer/")
    reset_before = "reset_after, or the shape of a bias"

    def write(self, lane: Lane, form: Form) -> Held:
        bias_ih, bias_hh = self.theirs(lane.bias_ih, form), self.theirs(lane.bias_hh, form)
        two = form.kind == "gru" and form.reset_after
        return {"kernel": self.theirs(lane.weight_ih, form).T,
                "recurrent_kernel": self.theirs(lane.weight_hh, form).T,
                "bias": np.stack([bias_ih, bias_hh]) if two else bias_ih + bias_hh}

    def read(self, w: Held, form: Form) -> Lane:
        bias = w["bias"]
        bias_ih, bias_hh = bias if bias.ndim == 2 else two_biases(bias, None)
        return Lane(self.ours(w["kernel"].T, form), self.ours(w["recurrent_kernel"].T, form),
                    self.ours(bias_ih, form), self.ours(bias_hh, form))

    def settings(self, form: Form) -> dict[str, tuple[Any, Any]]:
        if form.kind == "rnn":
            return {"activation": ("tanh", form.activation)}
        return {"reset_after": (True, form.reset_after)} if form.kind == "gru" else {}

    def resets_after(self, w: Held) -> bool:
        return bool(w.get("reset_after", np.ndim(w.get("bias", [[]])) == 2))


class Flax(Layout):
    """Flax (linen): a Dense for each gate and side; an LSTM's bias is on the state's side."""

    title = "Flax"
    layers = {"rnn": "SimpleCell", "lstm": "OptimizedLSTMCell", "gru": "GRUCell"}
    sides = ("forward_rnn/cell/", "backward_rnn/cell/")
    biases = ()
    words = {"rnn": [""], "lstm": ["i", "f", "g", "o"], "gru": ["r", "z", "n"]}

    def write(self, lane: Lane, form: Form) -> Held:
        (bias, bias_n), words = one_bias(lane, form), self.words[form.kind]
        found: Held = {}
        for side, matrix in (("i", lane.weight_ih), ("h", lane.weight_hh)):
            for word, part in zip(words, np.split(matrix, len(words))):
                found[f"{side}{word}/kernel"] = part.T
        for word, part in zip(words, np.split(bias, len(words))):
            found[f"{'h' if form.kind == 'lstm' else 'i'}{word}/bias"] = part
        return found | ({"hn/bias": bias_n} if form.kind == "gru" else {})

    def read(self, w: Held, form: Form) -> Lane:
        def stacked(side: str, what: str) -> Array:
            return np.concatenate([w[f"{side}{word}/{what}"].T for word in self.words[form.kind]])
        kernels = stacked("i", "kernel"), stacked("h", "kernel")
        if form.kind == "lstm":
            bias_hh, bias_ih = two_biases(stacked("h", "bias"), None)
        else:
            bias_ih, bias_hh = two_biases(stacked("i", "bias"), w.get("hn/bias"))
        return Lane(*kernels, bias_ih, bias_hh)

    def settings(self, form: Form) -> dict[str, tuple[Any, Any]]:
        return {"activation_fn": ("tanh", form.activation)} if form.kind == "rnn" else {}


class Equinox(Layout):
    """Equinox: cells only, of one direction; one bias, and a GRU's state side of n another."""

    title = "Equinox"
    layers = {"lstm": "LSTMCell", "gru": "GRUCell"}
    biases = ("bias", "bias_n")

    def write(self, lane: Lane, form: Form) -> Held:
        bias, bias_n = one_bias(lane, form)
        found = {"weight_ih": lane.weight_ih, "weight_hh": lane.weight_hh, "bias": bias}
        return found | ({"bias_n": bias_n} if form.kind == "gru" else {})

    def read(self, w: Held, form: Form) -> Lane:
        return Lane(w["weight_ih"], w["weight_hh"], *two_biases(w["bias"], w.get("bias_n")))


class Onnx(Layout):
    """ONNX: a node for a layer, directions on the first axis; LSTM rows i o f c, GRU z r h."""

    title = "ONNX"
    layers = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
    order = {"rnn": "h", "lstm": "i o f g", "gru": "z r n"}
    sides = ("forward", "bidirectional")  # what the attribute `direction` says
    biases = ("B",)
    peephole = True
    reset_before = "linear_before_reset, 0 by default"

    def write(self, lane: Lane, form: Form) -> Held:
        biases = self.theirs(lane.bias_ih, form), self.theirs(lane.bias_hh, form)
        found = {"W": self.theirs(lane.weight_ih, form), "R": self.theirs(lane.weight_hh, form),
                 "B": np.concatenate(biases)}
        if lane.peepholes is not None:
            found["P"] = rows(lane.peepholes, "i f o", "i o f").ravel()
        return found

    def read(self, w: Held, form: Form) -> Lane:
        bias_ih, bias_hh = np.split(w["B"], 2)
        peepholes = rows(w["P"].reshape(3, -1), "i o f", "i f o") if "P" in w else None
        return Lane(self.ours(w["W"], form), self.ours(w["R"], form), self.ours(bias_ih, form),
                    self.ours(bias_hh, form), None, peepholes)

    def settings(self, form: Form) -> dict[str, tuple[Any, Any]]:
        if form.kind == "rnn":
            return {"activations": ("Tanh", form.activation.title())}
        return {"linear_before_reset": (0, int(form.reset_after))} if form.kind == "gru" else {}

    def resets_after(self, w: Held) -> bool:
        return bool(w.get("linear_before_reset", 0))

    def parted(self, w: Held, form: Form) -> list[Held]:
        D, direction = form.directions, w.pop("direction", "forward")
        w.pop("hidden_size", None)  # (which the arrays say)
        wrong = [f"direction={direction!r}"] if direction != self.sides[D - 1] else []
        wrong += [f"{name} of shape {np.shape(value)}" for name, value in w.items()
                  if not isinstance(value, int) and np.shape(value)[:1] != (D,)]
        if wrong:
            raise ConversionError(f"the ONNX node of this layer has direction="
                                  f"{self.sides[D - 1]!r}, and its arrays (and activations) have "
                                  f"a first axis of {D}; got {', '.join(wrong)}")
        return [{name: value if isinstance(value, int) else value[d]
                 for name, value in w.items()} for d in range(D)]

    def joined(self, lanes: list[Held]) -> Held:
        found: Held = {"direction": "bidirectional"} if len(lanes) == 2 else {}
        for name, value in lanes[0].items():
            both = [lane[name] for lane in lanes]
            found[name] = np.stack(both) if isinstance(value, np.ndarray) else \
                value if isinstance(value, int) else both
        return found


LAYOUTS: dict[str, Layout] = {"torch": Torch(), "keras": Keras(), "flax": Flax(),
                              "equinox": Equinox(), "onnx": Onnx()}
