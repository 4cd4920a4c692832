"""One cell over T steps, at three details of one definition: gates, steps, layers.

At "gates" every operation is a node, under the scope of its step and line. At "steps" a time step
is one node, at "layers" (the default) a whole layer: its input projection is one product before
the loop, its weight gradients are one product each after it, and the lines run in generated
kernels. The three give the same numbers. Where nothing can be compiled, everything runs at gates.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tinyseq import kernels, rule
from tinyseq.equations import Cell, Line, Product
from tinyseq.fused import Fused
from tinyseq.inside import named
from tinyseq.layer import Weights, check_sizes
from tinyseq.op import OPS
from tinyseq.ops import linear, mean, narrow, reshape, stack
from tinyseq.scope import Scope, state
from tinyseq.tensor import Tensor


def unroll(cell: Cell, x: Tensor, states: tuple[Tensor, ...], weights: Weights,
           times: range | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a cell over all steps of x, which are called t=0, t=1 ..., or as `times` says.

    Shapes: x (T, N, I), each state (N, H) -> outputs (T, N, H), final states, each (N, H); with a
        projection the first state and the outputs are (..., P).
    Errors: ShapeError when sizes do not fit the weights.
    """
    check_sizes(cell, x.shape, states, weights)
    if state.detail == "layers" and kernels.available():
        y, *finals = Fused.of(cell, unroll_gates).run(x, states, weights,
                                                      times or range(x.shape[0]))
        return y, tuple(finals)
    step_of = by_gates if state.detail == "gates" or not kernels.available() else by_step
    return over_steps(cell, x, states, weights, step_of, times)


def unroll_gates(cell: Cell, x: Tensor, states: tuple[Tensor, ...], weights: Weights,
                 times: range | None) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The same op by op, as a fused node re-runs it; without `times`, one step of this scope."""
    if times is None:
        new = by_gates(cell, weights)(x[0], states, state.scope, 0)
        return stack([new[0]]), new
    return over_steps(cell, x, states, weights, by_gates, times)


def step(cell: Cell, x: Tensor, states: tuple[Tensor, ...],
         weights: Weights) -> tuple[Tensor, ...]:
    """One step, x (N, I): the new states, the output first."""
    check_sizes(cell, (1, *x.shape), states, weights)
    if state.detail == "gates" or not kernels.available():
        return by_gates(cell, weights)(x, states, state.scope, 0)
    return by_step(cell, weights)(x, states, state.scope, 0)


Step = Callable[[Tensor, tuple[Tensor, ...], Scope, int], tuple[Tensor, ...]]


def over_steps(cell: Cell, x: Tensor, states: tuple[Tensor, ...], weights: Weights, step_of: Any,
               times: range | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The loop over time: one pointer is swapped a step, so that every node knows its step."""
    before = state.scope
    here = before.unrolling(cell)
    outputs = []
    one = step_of(cell, weights)
    try:
        if times is None:
            states = tuple([initial(s, name, here) for name, s in zip(cell.states, states)])
        for k, t in enumerate(times or range(x.shape[0])):
            state.scope = at = here.child(f"t={t}")
            states = one(x[k], states, at, k)
            outputs.append(states[0])
    finally:
        state.scope = before
    return stack(outputs), states


def initial(s: Tensor, name: str, here: Scope) -> Tensor:
    """An initial state under a scope of its own, `init/h`, if its gradient is asked for."""
    if not s.requires_grad:
        return s
    state.scope = here.child("init").child(name)
    return reshape(s, s.shape)


def by_step(cell: Cell, weights: Weights) -> Step:
    """A step as one fused node: the layer's own kernels, over one step."""
    fused = Fused.of(cell, unroll_gates)

    def one(x: Tensor, states: tuple[Tensor, ...], at: Scope, t: int) -> tuple[Tensor, ...]:
        held = weights._replace(given=tuple([v[t:t + 1] for v in weights.given]))
        _, *new = fused.run(reshape(x, (1, *x.shape)), states, held)
        return tuple(new)

    return one


# -- gates: every operation a node -------------------------------------------------------
class Instruction(NamedTuple):
    """One operation of a step: what to call, on which values, under which scope, its name."""

    call: Callable
    sources: tuple[str | float, ...]
    path: tuple[str, ...]  # below the step: the line, and for a temporary what it is
    target: str


@lru_cache(maxsize=64)
def program(cell: Cell) -> tuple[Instruction | Product, ...]:
    """A cell's schedule flattened to single operations."""
    made: list[Instruction | Product] = []
    for item in cell.schedule:
        if isinstance(item, Product):
            made.append(item)
        else:
            flatten(item, made)
    return tuple(made)


def flatten(line: Line, into: list) -> None:
    """One line as operations, innermost first; the last carries the line's own name."""
    def visit(tree: Any, top: bool) -> str | float:
        call = rule.as_call(tree)
        if call is None:
            return tree.id if hasattr(tree, "id") else float(tree.value)
        name, operands = call
        sources = tuple(visit(operand, False) for operand in operands)
        target = line.name if top and not line.mean else f"{line.name}.{len(into)}"
        path = (line.name,) if top and not line.mean else (line.name, name)
        into.append(Instruction(OPS[name].call, sources, path, target))
        return target

    last = visit(line.tree, True)
    if line.mean:
        into.append(Instruction(row_mean, (last,), (line.name,), line.name))
    elif last != line.name:  # a line that only renames: c = c_prev
        into.append(Instruction(lambda v: reshape(v, v.shape), (last,), (line.name,), line.name))


def row_mean(v: Tensor) -> Tensor:
    """The mean over the units, kept as an axis of size 1."""
    return mean(v, -1, keepdim=True)


def by_gates(cell: Cell, weights: Weights) -> Step:
    """A step op by op. Weight rows that serve one operand are cut out once, before the loop."""
    H = weights.ih.shape[0] // len(cell.gates)
    blocks = {item: rows(cell, item, weights, H) for item in cell.schedule
              if isinstance(item, Product) and item.gates}
    work = program(cell)
    vectors = dict(zip(cell.vectors, weights.each_vector(H)))

    def one(x: Tensor, states: tuple[Tensor, ...], at: Scope, t: int) -> tuple[Tensor, ...]:
        values: dict[Any, Any] = dict(zip(cell.states, states))
        values.update(vectors)
        values.update((name, v[t]) for name, v in zip(cell.given, weights.given))
        product(values, "x", cell.gates, x, (weights.ih, weights.bias_ih), H, at)
        for item in work:
            if isinstance(item, Product):
                if item.gates:
                    product(values, item.operand, item.gates, values[item.operand], blocks[item],
                            H, at)
                else:
                    state.scope = at.child(cell.returns[0], gate=True)
                    values[cell.returns[0]] = named(linear(values[item.operand], weights.hr))
                continue
            scope = at.child(item.path[0], gate=True)
            state.scope = scope if len(item.path) == 1 else scope.child(item.path[1])
            made = item.call(*[values[s] if type(s) is str else s for s in item.sources])
            values[item.target] = named(made) if len(item.path) == 1 else made
        state.scope = at
        return tuple([values[name] for name in cell.returns])

    return one


def rows(cell: Cell, item: Product, weights: Weights, H: int) -> tuple[Tensor, Tensor | None]:
    """The rows of weight_hh and bias_hh for the gates of one product."""
    if item.gates == cell.gates:
        return weights.hh, weights.bias_hh
    places = [cell.gates.index(gate) for gate in item.gates]
    index: Any = slice(places[0] * H, (places[-1] + 1) * H)
    if places != list(range(places[0], places[-1] + 1)):
        index = np.concatenate([np.arange(k * H, (k + 1) * H) for k in places])
    bias = weights.bias_hh
    return weights.hh[index], None if bias is None else bias[index]


def product(values: dict, name: str, gates: tuple[str, ...], v: Tensor, block: tuple, H: int,
            at: Scope) -> None:
    """All gates' products of one operand as one, then cut into `v.gate` pieces."""
    state.scope = at.child(f"W{name}")
    z = linear(v, *block)
    for k, gate in enumerate(gates):
        state.scope = at.child(gate, gate=True).child(f"{name}.{gate}")
        values[f"W{name}_{gate}"] = z if len(gates) == 1 else narrow(z, -1, k * H, H)
