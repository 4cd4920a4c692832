"""The proof of a conversion: two programs, one random sequence, the same numbers."""
from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np

from tinyseq.convert.layout import Array, Form, Held
from tinyseq.convert.references import STEPS, run
from tinyseq.errors import ConversionError
from tinyseq.mode import detail, no_grad
from tinyseq.nn.rnnbase import RNNBase
from tinyseq.tensor import Parameter, wrap

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}  # of a result's largest entry, or of 1
T, N = 3, 4    # steps and sequences: few steps, as a chaotic net multiplies rounding with each


def prove(layer: RNNBase, values: Mapping[str, Array], form: Form, framework: str,
          weights: list[Held]) -> float:
    """The largest difference between a layer with these values and the framework's equations.

    Both compute in float64, from random initial states: output and final states are compared.
    Errors: ConversionError if the difference is more than rounding.
    """
    random, lanes = np.random.default_rng(0), len(layer.lanes())
    x = random.normal(size=(T, N, layer.input_size))
    sizes = [layer.proj_size or layer.hidden_size, layer.hidden_size][:len(layer.cell.states)]
    states = [random.uniform(-1, 1, (lanes, N, H)) for H in sizes]
    expected = run(STEPS[framework][form.kind], weights, x, states, form.directions)
    hx = tuple([wrap(s) for s in states])
    with no_grad(), detail("gates"):  # (no kernel is compiled for one sequence)
        y, last = twin(layer, values)(wrap(x), hx if len(hx) == 2 else hx[0])
    found = [y, *(last if len(hx) == 2 else (last,))]
    worst = float(np.max([np.abs(ours.array - theirs).max() / max(1.0, np.abs(theirs).max())
                          for ours, theirs in zip(found, expected)]))
    limit = TOLERANCE[layer.weight_ih_l0.dtype.name]
    if not worst <= limit:
        raise ConversionError(f"the proof failed: over a random sequence {layer!r} and the "
                              f"equations of {framework} differ by {worst:.1e}, more than "
                              f"{limit:.0e} of the largest value: nothing was changed")
    return worst


def twin(layer: RNNBase, values: Mapping[str, Array]) -> RNNBase:
    """The layer with other weights, in float64, in evaluation and time first; itself untouched."""
    made = copy.copy(layer)
    made.__dict__.update(
        _parameters={name: Parameter(np.asarray(values.get(name, p.array), np.float64))
                     for name, p in layer.named_parameters()},
        _hooks=[], _name="", training=False, batch_first=False)
    return made
