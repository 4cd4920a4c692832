#!/usr/bin/env python3
"""Write what other frameworks compute with weights of their own layout: tests/goldens/convert.npz.

    pip install torch keras flax equinox jax onnx onnxruntime
    tools/make_golden_convert.py

Names and shapes of the weights come from each framework's own layers, but for ONNX, whose
operators have none: there they are the specification's, and ONNX Runtime refuses others. Weights
and input are drawn from the case's name; stored are the weights, the input, the output and the
final states, as one vector, and the structure of the weights as JSON. The tests (test_convert.py)
compare tinyseq with these, and with the frameworks that are installed.
"""
from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "goldens" / "convert.npz"
T, N, I, H, P = 4, 2, 3, 4, 2  # noqa: E741
Made = tuple[Any, Callable[[Any, np.ndarray], list[np.ndarray]]]
# What tinyseq calls each kind of layer.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn_tanh": ("RNN", {}), "rnn_relu": ("RNN", {"nonlinearity": "relu"}), "lstm": ("LSTM", {}),
    "lstm_peephole": ("LSTM", {"peephole": True}), "lstm_proj": ("LSTM", {"proj_size": P}),
    "gru": ("GRU", {}), "gru_before": ("GRU", {"reset_after": False})}
# What each framework has, what must be installed for it, and how exact it is: Keras multiplies
# matrices in float32 whatever it is asked for, and ONNX Runtime's recurrent nets know no other.
HAS = {"torch": ("rnn_tanh rnn_relu lstm lstm_proj gru", "torch", 1e-12),
       "keras": ("rnn_tanh rnn_relu lstm gru gru_before", "keras torch", 2e-6),
       "flax": ("rnn_tanh rnn_relu lstm gru", "flax", 1e-12),
       "equinox": ("lstm gru", "equinox", 1e-12),
       "onnx": ("rnn_tanh rnn_relu lstm lstm_peephole gru gru_before", "onnx onnxruntime", 2e-6)}


class Case(NamedTuple):
    """One layer or stack of one framework."""

    framework: str
    kind: str
    layers: int
    directions: int
    bias: bool

    @property
    def name(self) -> str:
        return ".".join([self.framework, self.kind, str(self.layers), str(self.directions),
                         "bias" if self.bias else "nobias"])

    @property
    def word(self) -> str:
        return self.kind.split("_")[0]

    def widths(self) -> list[int]:
        """The input size of each layer."""
        return [I] + [self.directions * H] * (self.layers - 1)


CASES = [Case(framework, kind, *shape) for framework, (kinds, _, _) in HAS.items()
         for kind in kinds.split()
         for shape in ((1, 1, True), (1, 1, False), (2, 1, True), (1, 2, True), (2, 2, True))
         if not (framework == "flax" and not shape[2])           # (its cells always have a bias)
         and not (framework == "equinox" and shape[1] == 2)]     # (its cells go one way)


# -- the frameworks: a case's weights of zeros, and how to run it with others ---------------
def torch(case: Case) -> Made:
    """torch.nn.RNN, LSTM, GRU."""
    import torch as lib
    name, options = KINDS[case.kind]
    layer = getattr(lib.nn, name)(I, H, case.layers, bias=case.bias, dtype=lib.float64,
                                  bidirectional=case.directions == 2, **options)
    blank = {key: np.zeros(value.shape) for key, value in layer.state_dict().items()}

    def run(weights: Any, x: np.ndarray) -> list[np.ndarray]:
        layer.load_state_dict({key: lib.tensor(weights[key]) for key in blank})
        y, last = layer(lib.tensor(x))
        return [a.detach().numpy() for a in (y, *(last if case.word == "lstm" else (last,)))]
    return blank | ({"nonlinearity": "relu"} if case.kind == "rnn_relu" else {}), run


def keras(case: Case) -> Made:
    """keras.layers.SimpleRNN, LSTM, GRU, and Bidirectional."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras as lib
    word = {"rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}[case.word]
    options = {"rnn_relu": {"activation": "relu"}, "gru_before": {"reset_after": False}}
    settings = options.get(case.kind, {})
    stack, blank = [], []
    for width in case.widths():
        layer = getattr(lib.layers, word)(H, return_sequences=True, return_state=True,
                                          use_bias=case.bias, dtype="float64", **settings)
        if case.directions == 2:
            layer = lib.layers.Bidirectional(layer, dtype="float64")
        layer.build((None, T, width))
        stack.append(layer)
        blank.append({name: {w.name: np.zeros(w.shape) for w in side.weights} | settings
                      for name, side in keras_sides(case, layer).items()})

    def run(weights: Any, x: np.ndarray) -> list[np.ndarray]:
        y, last = x.swapaxes(0, 1), []
        for layer, given in zip(stack, weights if case.layers > 1 else [weights]):
            for name, side in keras_sides(case, layer).items():
                for w in side.weights:
                    w.assign((given[name] if name else given)[w.name])
            y, *states = layer(y)
            last += [lib.ops.convert_to_numpy(s) for s in states]
        each = 2 if case.word == "lstm" else 1
        return [lib.ops.convert_to_numpy(y).swapaxes(0, 1),
                *[np.array(last[k::each]) for k in range(each)]]
    blank = [w if case.directions == 2 else w[""] for w in blank]
    return (blank if case.layers > 1 else blank[0]), run


def keras_sides(case: Case, layer: Any) -> dict[str, Any]:
    """The one or two layers in a Keras layer."""
    both = "forward_layer", "backward_layer"
    return {name: getattr(layer, name) for name in both} if case.directions == 2 else {"": layer}


def flax(case: Case) -> Made:
    """flax.linen.SimpleCell, OptimizedLSTMCell, GRUCell in RNN, and Bidirectional."""
    import jax
    jax.config.update("jax_enable_x64", True)
    from flax import linen
    settings = {"activation_fn": linen.relu} if case.kind == "rnn_relu" else {}
    said = {"activation_fn": "relu"} if settings else {}

    def layer(word: str) -> Any:
        def one() -> Any:
            cell = getattr(linen, word)(H, dtype="float64", param_dtype="float64", **settings)
            return linen.RNN(cell, time_major=True, return_carry=True)
        return one() if case.directions == 1 else \
            linen.Bidirectional(one(), one(), time_major=True, return_carry=True)

    words = {"rnn": ["SimpleCell"], "gru": ["GRUCell"], "lstm": ["OptimizedLSTMCell", "LSTMCell"]}
    blank = []
    for width in case.widths():
        params = layer(words[case.word][0]).init(jax.random.PRNGKey(0), np.zeros((T, N, width)))
        tree = jax.tree.map(lambda a: np.zeros(a.shape), params["params"])
        blank.append({side: {"cell": tree[side]["cell"] | said} for side in tree}
                     if case.directions == 2 else tree["cell"] | said)

    def run(weights: Any, x: np.ndarray) -> list[np.ndarray]:
        found = []
        for word in words[case.word]:
            y, last = x, []
            for given in weights if case.layers > 1 else [weights]:
                tree = {side: {"cell": without(part["cell"])} for side, part in given.items()} \
                    if case.directions == 2 else {"cell": without(given)}
                carry, y = layer(word).apply({"params": tree}, y)
                last += list(carry) if case.directions == 2 else [carry]
            states = [last] if case.word != "lstm" else [list(s) for s in zip(*last)][::-1]
            found.append([np.asarray(y), *[np.array(s) for s in states]])
        for one, other in zip(found[0], found[-1]):  # (both LSTM cells, on the same weights)
            np.testing.assert_allclose(one, other, rtol=1e-12)
        return found[0]

    def without(cell: Any) -> Any:
        return {name: value for name, value in cell.items() if name not in said}
    return (blank if case.layers > 1 else blank[0]), run


def equinox(case: Case) -> Made:
    """equinox.nn.LSTMCell, GRUCell."""
    import jax
    jax.config.update("jax_enable_x64", True)
    import equinox as lib
    word = {"lstm": lib.nn.LSTMCell, "gru": lib.nn.GRUCell}[case.word]
    cells = [word(width, H, use_bias=case.bias, key=jax.random.PRNGKey(0))
             for width in case.widths()]
    names = [name for name in ("weight_ih", "weight_hh", "bias", "bias_n")
             if getattr(cells[0], name, None) is not None]
    blank = [{name: np.zeros(getattr(cell, name).shape) for name in names} for cell in cells]

    def run(weights: Any, x: np.ndarray) -> list[np.ndarray]:
        y, last = x, []
        for cell, given in zip(cells, weights if case.layers > 1 else [weights]):
            cell = lib.tree_at(lambda c: [getattr(c, name) for name in names], cell,
                               [jax.numpy.asarray(given[name]) for name in names])
            zero, outputs = np.zeros((N, H)), []
            state = (zero, zero) if case.word == "lstm" else zero
            for x_t in y:
                state = jax.vmap(cell)(x_t, state)
                outputs.append(state[0] if case.word == "lstm" else state)
            y = np.array(outputs)
            last.append(state if case.word == "lstm" else (state,))
        return [y, *[np.array(s) for s in zip(*last)]]
    return (blank if case.layers > 1 else blank[0]), run


def onnx(case: Case) -> Made:
    """The operators RNN, LSTM and GRU in ONNX Runtime."""
    import onnxruntime
    from onnx import TensorProto, helper
    D, K = case.directions, {"rnn": 1, "lstm": 4, "gru": 3}[case.word]
    settings: dict[str, Any] = {"direction": "bidirectional"} if D == 2 else {}
    settings |= {"rnn_relu": {"activations": ["Relu"] * D}, "gru": {"linear_before_reset": 1}
                 }.get(case.kind, {})
    blank = [{"W": np.zeros((D, K * H, width)), "R": np.zeros((D, K * H, H)),
              **({"B": np.zeros((D, 2 * K * H))} if case.bias else {}),
              **({"P": np.zeros((D, 3 * H))} if case.kind == "lstm_peephole" else {}), **settings}
             for width in case.widths()]
    places = ["X", "W", "R", "B", "sequence_lens", "initial_h"] + (
        ["initial_c", "P"] if case.word == "lstm" else [])
    outputs = ["Y", "Y_h", "Y_c"][:3 if case.word == "lstm" else 2]

    def run(weights: Any, x: np.ndarray) -> list[np.ndarray]:
        y, last = x.astype(np.float32), []
        for given in weights if case.layers > 1 else [weights]:
            feed = {"X": y} | {name: value.astype(np.float32) for name, value in given.items()
                               if isinstance(value, np.ndarray)}
            node = helper.make_node(
                case.word.upper(), [name if name in feed else "" for name in places], outputs,
                hidden_size=H, **{name: given[name] for name in given if name not in feed})
            graph = helper.make_graph(
                [node], "one", [helper.make_tensor_value_info(name, TensorProto.FLOAT, a.shape)
                                for name, a in feed.items()],
                [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs])
            model = helper.make_model(graph, ir_version=8,
                                      opset_imports=[helper.make_opsetid("", 14)])
            session = onnxruntime.InferenceSession(model.SerializeToString(),
                                                   providers=["CPUExecutionProvider"])
            y, *states = session.run(None, feed)
            y = y.transpose(0, 2, 1, 3).reshape(T, N, D * H)
            last.append(states)
        return [y, *[np.concatenate(s) for s in zip(*last)]]
    return (blank if case.layers > 1 else blank[0]), run


FRAMEWORKS: dict[str, Callable[[Case], Made]] = {"torch": torch, "keras": keras, "flax": flax,
                                                 "equinox": equinox, "onnx": onnx}


# -- what is stored -------------------------------------------------------------------------
def mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    """A tree of dicts and lists with each array (in JSON: {"shape": ...}) changed."""
    if isinstance(tree, np.ndarray) or isinstance(tree, dict) and list(tree) == ["shape"]:
        return change(tree)
    if isinstance(tree, dict):
        return {name: mapped(part, change) for name, part in tree.items()}
    return [mapped(part, change) for part in tree] if isinstance(tree, list) else tree


def shapes(weights: Any) -> Any:
    """The structure of weights, for JSON."""
    return mapped(weights, lambda a: {"shape": list(a.shape)})


def unpacked(case: Case, structure: Any, stored: np.ndarray) -> tuple[Any, list[np.ndarray]]:
    """A case's weights; and input, output and final states."""
    at = 0

    def take(shape: Any) -> np.ndarray:
        nonlocal at
        at += int(np.prod(shape))
        return stored[at - int(np.prod(shape)):at].reshape(shape)
    weights = mapped(structure, lambda leaf: take(leaf["shape"]))
    lanes, width = case.layers * case.directions, P if case.kind == "lstm_proj" else H
    states = [(lanes, N, width), (lanes, N, H)][:2 if case.word == "lstm" else 1]
    results = [take(s) for s in ((T, N, I), (T, N, case.directions * width), *states)]
    assert at == stored.size, case
    return weights, results


def golden(case: Case) -> tuple[Any, np.ndarray]:
    """A framework's numbers: the structure of the weights, and all numbers as one vector."""
    blank, run = FRAMEWORKS[case.framework](case)
    stream = np.random.RandomState(zlib.crc32(case.name.encode()))
    drawn: list[np.ndarray] = []

    def draw(a: np.ndarray) -> np.ndarray:
        drawn.append(stream.uniform(-0.5, 0.9, a.shape).astype(np.float32).astype(np.float64))
        return drawn[-1]
    weights = mapped(blank, draw)
    x = stream.normal(size=(T, N, I)).astype(np.float32).astype(np.float64)
    results = run(weights, x)
    return shapes(weights), np.concatenate([a.ravel() for a in (*drawn, x, *results)])


def versions() -> dict[str, str]:
    """What the numbers come from."""
    from importlib.metadata import version
    return {name: version(name).split("+")[0]
            for name in ("torch", "keras", "flax", "equinox", "jax", "onnx", "onnxruntime")}


def main() -> int:
    found = {case.name: golden(case) for case in CASES}
    index = {"versions": versions(), **{name: structure for name, (structure, _) in found.items()}}
    np.savez_compressed(GOLDEN, index=np.array(json.dumps(index)),
                        **{name: numbers for name, (_, numbers) in found.items()})
    print(f"wrote {GOLDEN.name}: {len(found)} cases, {GOLDEN.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
