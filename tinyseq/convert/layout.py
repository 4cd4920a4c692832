"""What a framework's layout is: one layer's weights, in tinyseq's rows and in the framework's."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tinyseq.errors import ConversionError
from tinyseq.tensor import Tensor

Array = np.ndarray
Held = dict[str, Any]  # arrays by name, and the settings that belong to them
GATES = {"rnn": "h", "lstm": "i f g o", "gru": "r z n"}  # the order of tinyseq's rows


class Form(NamedTuple):
    """What a layer's weights do not say about it."""

    kind: str             # "rnn", "lstm" or "gru"
    num_layers: int
    directions: int
    bias: bool
    activation: str       # an RNN's: "tanh" or "relu"
    reset_after: bool     # a GRU's: whether the reset gate acts after the product
    peephole: bool        # an LSTM's: whether its gates look at the cell state


class Lane(NamedTuple):
    """One layer in one direction, rows in the order of GATES: what every layout is made of."""

    weight_ih: Array                 # (K*H, I)
    weight_hh: Array                 # (K*H, H)
    bias_ih: Array                   # (K*H): zeros where there is none
    bias_hh: Array                   # (K*H)
    weight_hr: Array | None = None   # (P, H): the projection, where there is one
    peepholes: Array | None = None   # (3, H) of i, f and o: an LSTM's, zeros where there are none


class Layout:
    """One framework: `write` and `read` are each other's inverse, for a layer in one direction.

    Names within names, {"cell": {"kernel": ...}}, are joined with "/" for them.
    """

    title = ""
    layers: dict[str, str] = {}                   # what it calls an RNN, an LSTM and a GRU
    order: dict[str, str] = GATES                 # the order of its rows
    sides: tuple[str, ...] = ()                   # where a layer's two directions lie
    biases: tuple[str, ...] = ("bias",)           # what a layer without bias does not have
    projection = peephole = False                 # what its layers can have
    reset_before = ""                             # what tells the GRU's forms, if it has both

    def write(self, lane: Lane, form: Form) -> Held:
        """The weights of one layer in one direction, as the framework has them."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it writes weights")

    def read(self, w: Held, form: Form) -> Lane:
        """What `write` has written."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it reads weights")

    def settings(self, form: Form) -> dict[str, tuple[Any, Any]]:
        """The arguments of the framework's layer that its equation depends on: default, value."""
        return {}

    def resets_after(self, w: Held) -> bool:
        """Which form of the GRU the weights are of."""
        return True

    def theirs(self, a: Array, form: Form) -> Array:
        """Rows from tinyseq's order to the framework's."""
        return rows(a, GATES[form.kind], self.order[form.kind])

    def ours(self, a: Array, form: Form) -> Array:
        """Rows from the framework's order to tinyseq's."""
        return rows(a, self.order[form.kind], GATES[form.kind])

    # -- layers and directions ------------------------------------------------------------
    def separate(self, weights: Any, form: Form) -> list[Held]:
        """The weights of each layer and direction, layers outside; given: a dict for a layer."""
        count = form.num_layers
        layers = [weights] if count == 1 and isinstance(weights, Mapping) else weights
        if not isinstance(layers, (list, tuple)) or len(layers) != count \
                or not all(isinstance(w, Mapping) for w in layers):
            wanted = "1 layer are a dict of arrays by name" if count == 1 else \
                f"{count} layers are a list of {count} dicts, the first layer first"
            raise ConversionError(f"the {self.title} weights of {wanted}; got {said(weights)}")
        return [lane for w in layers for lane in self.parted(flat(w), form)]

    def together(self, lanes: list[Held], form: Form) -> Any:
        """What `separate` takes apart."""
        D = form.directions
        layers = [nested(self.joined(lanes[k:k + D])) for k in range(0, len(lanes), D)]
        return layers if form.num_layers > 1 else layers[0]

    def parted(self, w: Held, form: Form) -> list[Held]:
        """One layer's weights for each of its directions."""
        if form.directions == 1:
            return [w]
        stray = [name for name in w if not name.startswith(self.sides)]
        if stray:
            places = " and ".join(side.split("/")[0] for side in self.sides)
            raise ConversionError(f"the {self.title} weights of a layer in both directions are a "
                                  f"dict with {places}; got {', '.join(stray)}")
        return [{name.removeprefix(side): value for name, value in w.items()
                 if name.startswith(side)} for side in self.sides]

    def joined(self, lanes: list[Held]) -> Held:
        """What `parted` takes apart."""
        if len(lanes) == 1:
            return lanes[0]
        return {side + name: value for side, lane in zip(self.sides, lanes)
                for name, value in lane.items()}


# -- arrays and names ---------------------------------------------------------------------
def rows(a: Array, old: str, new: str) -> Array:
    """The rows of all gates in another order; the gates are named in words."""
    parts = dict(zip(old.split(), np.split(a, len(old.split()))))
    return np.concatenate([parts[gate] for gate in new.split()])


def one_bias(lane: Lane, form: Form) -> tuple[Array, Array]:
    """One bias for both sides, and what a GRU that resets after the product adds within it."""
    joint = lane.bias_ih + lane.bias_hh
    n = slice(-len(joint) // 3, None) if form.kind == "gru" else slice(0, 0)
    joint[n] = lane.bias_ih[n]
    return joint, lane.bias_hh[n]


def two_biases(bias: Array, bias_n: Array | None) -> tuple[Array, Array]:
    """A bias for each side, of what `one_bias` made."""
    other = np.zeros_like(bias)
    if bias_n is not None:
        other[-len(bias_n):] = bias_n
    return bias, other


def flat(weights: Mapping[str, Any]) -> Held:
    """Arrays by name, names within names joined with "/"; what is None is left out.

    Errors: TypeError naming what is neither an array of floats nor a setting.
    """
    found: Held = {}
    stack = [("", weights)]
    while stack:
        prefix, here = stack.pop()
        for key, value in here.items():
            if isinstance(value, Mapping):
                stack.append((f"{prefix}{key}/", value))
            elif value is not None:
                found[f"{prefix}{key}"] = held(f"{prefix}{key}", value)
    return found


def nested(w: Held) -> Held:
    """What `flat` has flattened."""
    found: Held = {}
    for name, value in w.items():
        *path, last = name.split("/")
        here = found
        for key in path:
            here = here.setdefault(key, {})
        here[last] = value
    return found


def held(name: str, value: Any) -> Any:
    """A setting as it is, and all else as an array of float64."""
    if isinstance(value, (list, tuple)) and all(isinstance(word, (str, bytes)) for word in value):
        return [held(name, word) for word in value]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (str, int, float, np.integer, np.bool_)):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, Tensor):
        value = value.array
    elif hasattr(value, "detach"):
        value = value.detach()
    if not hasattr(value, "__array__"):
        raise TypeError(f"{name} is {said(value)}: give an array")
    array = np.asarray(value)
    if array.dtype.kind != "f":
        raise TypeError(f"{name} has dtype {array.dtype}: give floats, as in "
                        f"{name}.astype('float32')")
    return array.astype(np.float64)


def said(value: Any) -> str:
    """What was given, in words."""
    count = f" of {len(value)}" if isinstance(value, (list, tuple)) else ""
    return f"a {type(value).__name__}{count}"
