"""`gradcheck_report`: a module, a loss or any function checked whole, by gate and by step."""
from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinyseq import tree
from tinyseq.culprit import step_of
from tinyseq.equations import Cell
from tinyseq.gradcheck.checking import examined, parts
from tinyseq.gradcheck.parts import Gates
from tinyseq.gradcheck.places import GATED, uses
from tinyseq.gradcheck.report import Report
from tinyseq.gradcheck.torchlike import gradients
from tinyseq.gradcheck.trial import Rule, run
from tinyseq.nn.cells import RNNCellBase
from tinyseq.nn.containers import Sequential
from tinyseq.nn.module import Module, joined
from tinyseq.nn.rnnbase import RNNBase
from tinyseq.ops.noise import generator
from tinyseq.replay import Step
from tinyseq.tensor import Parameter, Tensor, wrap

LARGE = 20_000  # derivatives; beyond, random directions stand for single elements


def gradcheck_report(what: Module | Callable[..., Any], *inputs: Any, method: str = "auto",
                     fast: bool | None = None, order: int = 1, steps: int = 5, batch: int = 3,
                     seed: int = 0, fused: bool | None = None, shares: bool = True,
                     gates: Gates | None = None) -> Report:
    """Check everything about a model: parameter by gate, line by time step, and say how well.

    `what` is a module (a copy of it in float64, if it is not), with its inputs or, for layers and
    cells, with none: then they are drawn, of `steps` steps and `batch` sequences, with random
    first states. Or it is a function without arguments that computes a loss from tensors it knows:
    each that requires grad is checked. Or a function and its inputs, in order or by name.
    `method` is "auto" (a complex step; four points where that is refused), "complex",
    "four-point", "central" or "forward"; `fast` takes random directions instead of every element
    (by default beyond 20,000 elements); `order=2` checks second derivatives; `shares` checks every
    weight at every step; `fused` and `gates` are as in `check`, the rows of recurrent weights
    being known.
    Errors: TypeError for what cannot be run, ValueError where inputs are needed or not float64.
    Example:
        >>> import tinyseq as ts
        >>> report = gradcheck_report(ts.nn.GRU(3, 4, num_layers=2, bidirectional=True))
        >>> report.ok, report.worst < 1e-13, len(report.lines)   # 2 layers, 2 ways, 5 steps, 4
        (True, True, 80)
    """
    title, func, named, found = subject(what, inputs, steps, batch, seed)
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, got {order}")
    if order == 2:
        func, named, title = *second(func, named), f"{title}, second derivatives"
    count = sum(t.numel() for t in named.values() if t.requires_grad)
    quick = count > LARGE if fast is None else fast
    rows = {**found, **(gates or {})}
    report = examined(func, named, Rule(method, fast=quick, seed=seed, fused=fused, shares=shares),
                      lambda trial, given: parts(trial, given, rows))
    report.title = title
    if quick:
        report.why += f"; {'' if fast else f'{count:,} elements, so '}in random directions"
    if not report.rows:
        report.problems.append("nothing could be tested, so nothing is known")
    return report


def subject(what: Any, inputs: tuple, steps: int, batch: int,
            seed: int) -> tuple[str, Callable[..., Any], dict[str, Tensor], Gates]:
    """(title, function, its tensors by name, their gates) of what is to be checked."""
    if isinstance(what, Module):
        title = repr(what) if "\n" not in repr(what) else type(what).__name__
        return title, *of_module(what, inputs, steps, batch, seed)
    if not callable(what):
        raise TypeError(f"gradcheck_report takes a module or a function, got a "
                        f"{type(what).__name__}: a tensor cannot be computed again, so give the "
                        "function that computes it, lambda: loss")
    title = getattr(what, "__name__", type(what).__name__)
    return title, *(of_function(what, inputs) if inputs else of_closure(what))


def second(func: Callable[..., Any], named: Mapping[str, Tensor]
           ) -> tuple[Callable[..., Any], dict[str, Tensor]]:
    """The gradients of a function as a function, and its tensors with the cotangents."""
    func, given = gradients(func, list(named.values()))
    return func, {**named, **{f"cotangent {k}": g for k, g in enumerate(given[len(named):])}}


Named = tuple[Callable[..., Any], dict[str, Tensor], Gates]


# -- modules ------------------------------------------------------------------------------------
def of_module(module: Module, inputs: tuple, steps: int, batch: int, seed: int) -> Named:
    """(function, its tensors by name, the gates of its weights) of a module and its inputs."""
    if any(p.dtype != np.float64 for p in module.parameters() if p.dtype.kind == "f"):
        module = copy.deepcopy(module).double()
    given = inputs or drawn(module, steps, batch, np.random.default_rng(seed))
    arguments = tree.mapped(twin, given)
    parameters = dict(module.named_parameters())
    places = [k for k, t in enumerate(tree.leaves(arguments)) if isinstance(t, Tensor)]
    named = {}
    for name, k in zip(titles(module, arguments), places):
        named[f"input {name}" if name in parameters else name] = tree.leaves(arguments)[k]

    def func(*tensors: Tensor) -> Any:
        values = tree.leaves(arguments)
        for k, t in zip(places, tensors):
            values[k] = t
        return module(*tree.refilled(arguments, values))

    gates = {joined(path, name): cell.gates for path, part in module.named_modules()
             if isinstance(cell := getattr(part, "cell", None), Cell) and len(cell.gates) > 1
             for name, p in part.named_parameters(recurse=False)
             if name.startswith(GATED) and p.shape[0] % len(cell.gates) == 0}
    return func, {**named, **parameters}, gates


def twin(t: Any) -> Any:
    """An input as a leaf of its own in float64, to be checked as well; what is no float stays."""
    if isinstance(t, np.ndarray):
        t = wrap(t)
    if not isinstance(t, Tensor) or t.dtype.kind != "f":
        return t
    return wrap(t.array.astype(np.float64)).requires_grad_()


def titles(module: Module, arguments: tuple) -> list[str]:
    """A name for each tensor among the arguments: x, h_0, c_0 of recurrent ones, or forward's."""
    recurrent = isinstance(module, (RNNBase, RNNCellBase))
    words = [p.name for p in inspect.signature(module.forward).parameters.values()]
    found: list[str] = []
    for k, argument in enumerate(arguments):
        given = [t for t in tree.leaves(argument) if isinstance(t, Tensor)]
        word = words[min(k, len(words) - 1)] if words else f"input {k}"
        if recurrent and k < 2:
            names = ["x"] if k == 0 else [f"{s.split('_')[0]}_0" for s in module.cell.states]
            if len(given) == len(names):
                found += names
                continue
            word = "x" if k == 0 else "hx"
        found += [word] if len(given) == 1 else [f"{word}[{n}]" for n in range(len(given))]
    return found


def drawn(module: Module, steps: int, batch: int, rng: np.random.Generator) -> tuple:
    """Random inputs of a module whose sizes say what it takes, and random first states.

    Errors: ValueError where they do not.
    """
    def normal(*shape: int) -> Tensor:
        return wrap(rng.normal(0.0, 1.0, shape))
    if isinstance(module, RNNBase):
        order = (batch, steps) if module.batch_first else (steps, batch)
        lanes, H = len(module.lanes()), module.hidden_size
        sizes = [module.proj_size or H, *[H] * (len(module.cell.states) - 1)]
        x = normal(*order, module.input_size)
        if module.options.learn_init or len(set(getattr(module, "sizes", ()))) > 1:
            return (x,)
        states = tuple([normal(lanes, batch, size) for size in sizes])
        return x, states[0] if len(states) == 1 else states
    if isinstance(module, RNNCellBase):
        states = tuple([normal(batch, module.hidden_size) for _ in module.cell.states])
        return normal(batch, module.input_size), states[0] if len(states) == 1 else states
    if isinstance(module, Sequential) and len(module):
        return drawn(module[0], steps, batch, rng)[:1]
    for word in ("in_features", "normalized_shape"):
        if hasattr(module, word):
            return (normal(batch, *np.atleast_1d(getattr(module, word)).tolist()),)
    if hasattr(module, "num_embeddings"):
        return (wrap(rng.integers(0, module.num_embeddings, (steps, batch))),)
    raise ValueError(f"what {type(module).__name__} takes cannot be read off its sizes: give its "
                     "inputs, gradcheck_report(model, x, ...)")


# -- functions ------------------------------------------------------------------------------------
def of_function(func: Callable[..., Any], inputs: tuple) -> Named:
    """The same of a function of tensors, given in order or by name."""
    if len(inputs) == 1 and isinstance(inputs[0], Mapping):
        return func, dict(inputs[0]), {}
    try:
        words = list(inspect.signature(func).parameters)
    except ValueError:
        words = []
    words += [f"input {k}" for k in range(len(words), len(inputs))]
    for word, t in zip(words, inputs):
        if not isinstance(t, Tensor):
            raise TypeError(f"input {word!r} must be a Tensor, got a {type(t).__name__}")
    return func, dict(zip(words, inputs)), {}


def of_closure(loss: Callable[[], Any]) -> Named:
    """The same of a function without arguments: the leaves that it used, by their names."""
    words = generator.get_state()
    try:
        tape, _ = run(loss, {})
    finally:
        generator.set_state(words)
    steps = [Step(out, operands) for out, operands in tape]
    found: dict[Tensor, str] = {}
    for t in [t for step in steps for t in step.operands if isinstance(t, Tensor)]:
        if t.node is None and t not in found and (t.requires_grad or isinstance(t, Parameter)):
            name = t.label or f"leaf {len(found)}, {t.shape}"
            found[t] = name if name not in found.values() else f"{name} #{len(found)}"
    return (lambda *_: loss()), {name: t for t, name in found.items()}, cut(steps, found)


def cut(steps: Sequence[Step], names: Mapping[Tensor, str]) -> dict[str, Sequence[str]]:
    """The gates of the weights among some leaves, from the cells that used them."""
    leaves = {name: t for t, name in names.items()}
    gates: dict[str, Sequence[str]] = {}
    for name, use, _, _ in uses(steps, names):
        _, cell = step_of(use.step.node.scope)
        word = name.rpartition(".")[2]
        if cell is not None and len(cell.gates) > 1 and word.startswith(GATED) \
                and leaves[name].shape[0] % len(cell.gates) == 0:
            gates[name] = cell.gates
    return gates
