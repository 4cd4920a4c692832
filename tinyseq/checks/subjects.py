"""What is checked: a layer of a named cell, a function or module of the user's, a saved model."""
from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinyseq import nn
from tinyseq.checks.options import CheckOptions
from tinyseq.equations import Cell
from tinyseq.errors import FormatError
from tinyseq.io import load
from tinyseq.nn.rnnbase import RNNBase
from tinyseq.study.model import CharacterModel
from tinyseq.study.options import OptionError
from tinyseq.tensor import Tensor, wrap

Arrays = dict[str, np.ndarray]
LAYERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "rnn": (nn.RNN, {}), "rnn-relu": (nn.RNN, {"nonlinearity": "relu"}), "lstm": (nn.LSTM, {}),
    "lstm-peephole": (nn.LSTM, {"peephole": True}), "gru": (nn.GRU, {}),
    "gru-textbook": (nn.GRU, {"reset_after": False})}
KINDS = {1: "rnn", 3: "gru", 4: "lstm"}  # by the number of gates
WEIGHT = re.compile(r"(?P<path>(?:.*\.)?)weight_hh_l(?P<layer>\d+)(?P<reverse>_reverse)?")


# -- layers ---------------------------------------------------------------------------------------
def layer(cell: str, inputs: int, hidden: int, layers: int = 1, **keywords: Any) -> RNNBase:
    """A float64 layer of a cell, by its name on the command line or as MODULE:NAME."""
    if ":" in cell:
        found = named(cell)
        if not isinstance(found, Cell):
            raise OptionError(f"--cell {cell}: expected a cell written with @ts.cell, found a "
                              f"{type(found).__name__}")
        make: Callable[..., Any] = lambda *args, **more: nn.Recurrent(found, *args, **more)
    else:
        kind, own = LAYERS[cell]
        make, keywords = kind, {**own, **keywords}
    try:
        return make(inputs, hidden, layers, dtype=np.dtype(np.float64), **keywords)
    except (TypeError, ValueError) as error:
        raise OptionError(f"a {cell} layer cannot be made so: {error}") from error


def fresh(options: CheckOptions) -> RNNBase:
    """The layer that the options describe, with parameters that hide no mistake: all random."""
    made = layer(options.cell or "lstm", options.inputs, options.hidden, options.layers,
                 bidirectional=options.bidirectional, **options.keywords())
    rng = np.random.default_rng(options.seed)
    for name, p in made.named_parameters():
        p.array[...] = rng.uniform(-1, 1, p.shape) / np.sqrt(options.hidden)
        if name.startswith("ln_") and "weight" in name:
            p.array += 1
    return made


# -- what the user wrote ------------------------------------------------------------------------
@contextmanager
def current_folder() -> Iterator[None]:
    """Inside, modules are looked for in the current folder first."""
    sys.path.insert(0, os.getcwd())
    try:
        yield
    finally:
        sys.path.pop(0)


def named(place: str) -> Any:
    """What stands at MODULE:NAME, or FILE.py:NAME.

    Errors: OptionError where there is no such module or name.
    """
    source, colon, name = place.rpartition(":")
    if not colon or not source or not name:
        raise OptionError(f"{place!r}: expected MODULE:NAME, such as mymodel:loss")
    with current_folder():
        if source.endswith(".py"):
            spec = importlib.util.spec_from_file_location(
                os.path.splitext(os.path.basename(source))[0], source)
            if spec is None or spec.loader is None or not os.path.isfile(source):
                raise OptionError(f"{place!r}: there is no file {source}")
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module  # (where inspect looks for a function's text)
            spec.loader.exec_module(module)
        else:
            try:
                module = importlib.import_module(source)
            except ModuleNotFoundError as error:
                if error.name != source.split(".")[0] and error.name != source:
                    raise
                raise OptionError(f"{place!r}: there is no module {source!r} in "
                                  f"{os.getcwd()}") from error
    if not hasattr(module, name):
        raise OptionError(f"{place!r}: module {source!r} has no {name!r}")
    return getattr(module, name)


def function(place: str) -> tuple[Any, dict[str, Tensor]]:
    """(what to check, its inputs) of a function or module of the user's.

    A module is checked with inputs drawn for it; so is a function without parameters, which
    returns a loss or (function, inputs); of other functions every parameter has a default tensor.
    """
    found = named(place)
    if isinstance(found, nn.Module):
        return found, {}
    if not callable(found):
        raise OptionError(f"--fn {place}: expected a function or an nn.Module, found a "
                          f"{type(found).__name__}")
    parameters = inspect.signature(found).parameters.values()
    if any(p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
           for p in parameters):
        raise OptionError(f"--fn {place}: give every parameter a default tensor, or write a "
                          "function without parameters that returns a loss, or (function, inputs)")
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    if defaults:
        return found, {name: checkable(name, t) for name, t in defaults.items()}
    made = found()
    if isinstance(made, tuple) and len(made) == 2 and callable(made[0]):
        func, inputs = made
        if not isinstance(inputs, Mapping):
            parts = [inputs] if isinstance(inputs, (Tensor, np.ndarray)) else list(inputs)
            words = [*inspect.signature(func).parameters]
            inputs = {words[k] if k < len(words) else f"input {k}": t for k, t in enumerate(parts)}
        return func, {name: checkable(name, t) for name, t in inputs.items()}
    return found, {}


def checkable(name: str, t: Any) -> Tensor:
    """An input in float64 that requires grad; integers stay what they are."""
    if isinstance(t, np.ndarray):
        t = wrap(t)
    if not isinstance(t, Tensor):
        raise OptionError(f"input {name!r} must be a tensor or a numpy array, got a "
                          f"{type(t).__name__}")
    return wrap(t.array.astype(np.float64)).requires_grad_() if t.dtype.kind == "f" else t


# -- saved models -------------------------------------------------------------------------------
def arrays(path: str, option: str) -> Arrays:
    """The arrays of a file by name: tinyseq's own, safetensors, or any .npz without objects."""
    if not os.path.isfile(path):
        raise OptionError(f"{option} {path}: there is no such file")
    try:
        found = load(path)
    except FormatError as error:
        try:
            with np.load(path, allow_pickle=False) as file:
                found = {name: file[name] for name in file.files}
        except Exception:
            raise OptionError(f"{option} {path}: {error}") from error
    flat = {name: t.array if isinstance(t, Tensor) else t for name, t in found.items()}
    return {name: a for name, a in flat.items() if isinstance(a, np.ndarray)}


def groups(state: Arrays) -> dict[str, list[str]]:
    """The paths of the recurrent layers in a state_dict, and the names of their parameters."""
    paths = dict.fromkeys(match["path"] for name in state if (match := WEIGHT.fullmatch(name)))
    return {path: [name for name in state if name.startswith(path)
                   and "." not in name.removeprefix(path)] for path in paths}


def restored(state: Arrays, path: str, cell: str | None) -> tuple[RNNBase, str]:
    """(a layer with the weights of a state_dict, its cell's name): read off names and shapes."""
    own = {name.removeprefix(path): a for name, a in state.items() if name.startswith(path)
           and "." not in name.removeprefix(path)}
    lanes = [match for name in own if (match := WEIGHT.fullmatch(name))]
    hh, first = own["weight_hh_l0"], own.get("weight_ih_l0")
    projection = own.get("weight_hr_l0")
    H = hh.shape[-1] if projection is None else projection.shape[-1]
    K = hh.shape[0] // max(H, 1)
    name = cell or KINDS.get(K, "")
    if not name or first is None or hh.ndim != 2 or first.ndim != 2:
        raise OptionError(f"{path}weight_hh_l0 has shape {hh.shape}: no cell of tinyseq has {K} "
                          "gates; name yours, --cell MODULE:NAME")
    keywords: dict[str, Any] = {
        "bidirectional": any(match["reverse"] for match in lanes), "bias": "bias_hh_l0" in own}
    keywords |= {"proj_size": projection.shape[0]} if projection is not None else {}
    keywords |= {"peephole": True} if "weight_ci_l0" in own and name == "lstm" else {}
    keywords |= {word: True for word, sign in (("layer_norm", "ln_ih_weight_l0"),
                                               ("learn_init", "h_0")) if sign in own}
    made = layer(name, first.shape[-1], H, 1 + max(int(m["layer"]) for m in lanes), **keywords)
    try:
        made.load_state_dict(own)
    except (RuntimeError, TypeError) as error:
        raise OptionError(f"these are not the weights of a {name}: {error}") from error
    return made, name


def models(options: CheckOptions) -> Iterator[tuple[str, Any, tuple]]:
    """(title, module, inputs) for every recurrent layer of a saved model, or a study's whole."""
    state = arrays(str(options.model), "--model")
    found = groups(state)
    if not found:
        raise OptionError(f"--model {options.model}: none of its {len(state)} arrays is called "
                          "weight_hh_l0, so there is no recurrent layer in it")
    parts = [(path, *restored(state, path, options.cell)) for path in found]
    whole = {name for name in state if not name.startswith("layer.")}
    if list(found) == ["layer."] and whole == {"embedding.weight", "readout.weight",
                                               "readout.bias"}:
        V = state["embedding.weight"].shape[0]
        study = CharacterModel(parts[0][2], V, parts[0][1].hidden_size).double()
        study.load_state_dict(state)
        rng = np.random.default_rng(options.seed)
        codes = wrap(rng.integers(0, V, (options.steps, options.batch)))
        yield f"{options.model}, {parts[0][2]} of {V} symbols", study, (codes,)
        return
    for path, module, name in parts:
        yield f"{path.rstrip('.') or name} of {options.model}", module, ()
