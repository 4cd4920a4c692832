"""`load` and `export`."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.convert.checks import complete, homeless, lacking, refuse, reset
from tinyseq.convert.frameworks import LAYOUTS
from tinyseq.convert.layout import Form, Held, Layout
from tinyseq.convert.own import form_of, held, lanes_of, parameters
from tinyseq.convert.proof import prove
from tinyseq.nn.rnnbase import RNNBase


def load(layer: RNNBase, weights: Any, source: str) -> float:
    """Fill a layer with a framework's weights; returns the largest difference the proof found.

    First the framework's own equations and the layer with its new weights run over a random
    sequence in float64: outputs and final states must agree to 1e-12 of their largest entry, or
    to 1e-5 where the layer is float32 and rounds the weights. Only then is the layer changed.
    Errors: ConversionError with the reason why there is no such conversion, or with every weight
        that is missing, unexpected, misshapen or not finite; TypeError for what is no such layer
        or no array; ValueError for another source.
    Example:
        >>> import numpy as np, tinyseq as ts
        >>> weights = {"kernel": np.ones((3, 8)), "recurrent_kernel": np.eye(2, 8),
        ...            "bias": np.arange(8.0)}
        >>> lstm = ts.nn.LSTM(3, 2)
        >>> load(lstm, weights, source="keras") < 1e-5
        True
        >>> lstm.bias_ih_l0.tolist()
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    """
    form, layout = form_of(layer), layout_of(source)
    failed = f"{layer!r} cannot be filled with weights of {layout.title}"
    refuse(failed, lacking(layer, form, layout))
    given = taken(layer, form, layout, weights)
    lanes, reasons = [], []
    for w, theirs in given:
        cure = f"make the layer with reset_after={theirs.reset_after}"
        if layout.reset_before:
            cure += f" (what these weights are was told by {layout.reset_before})"
        lane, why = reset(layout.read(w, theirs), theirs, form, cure)
        lanes.append(lane)
        reasons += [*why, *homeless(lane, form)]
    refuse(failed, reasons)
    values = held(layer) | parameters(layer, form, lanes)
    worst = prove(layer, values, form, source, [w for w, _ in given])
    layer.load_state_dict(values)
    return worst


def export(layer: RNNBase, target: str, reset_after: bool | None = None) -> Any:
    """A layer's weights as a framework has them, proven as in `load`.

    With them come the settings that the framework's layer must have where they are not its
    defaults. A GRU keeps its form where the framework has both; `reset_after` asks for one.
    Errors: ConversionError with the reason why there is no such conversion; TypeError for what is
        no such layer; ValueError for another target.
    Example:
        >>> import tinyseq as ts
        >>> node = export(ts.nn.GRU(3, 2), target="onnx")
        >>> {name: getattr(value, "shape", value) for name, value in node.items()}
        {'W': (1, 6, 3), 'R': (1, 6, 2), 'B': (1, 12), 'linear_before_reset': 1}
    """
    form, layout = form_of(layer), layout_of(target)
    if reset_after is not None and not (form.kind == "gru" and isinstance(reset_after, bool)):
        raise TypeError(f"reset_after={reset_after!r}: it is True or False, and for a GRU; this "
                        f"is {layer!r}")
    asked = form.reset_after if reset_after is None else reset_after
    wanted = form._replace(reset_after=bool(asked or not layout.reset_before))
    cure = "leave reset_after out" if layout.reset_before else \
        f"{layout.title}'s GRU resets after the product"
    reasons, lanes = lacking(layer, form, layout), []
    for own in lanes_of(layer, form):
        lane, why = reset(own, form, wanted, cure)
        lanes.append(lane)
        reasons += why
        if own.peepholes is not None and own.peepholes.any() and not layout.peephole:
            reasons.append(f"{layout.title}'s LSTM has no peepholes, and this one's are not zero")
    refuse(f"{layer!r} cannot be exported to {layout.title}", reasons)
    found = layout.together([handed_out(layout.write(lane, wanted), wanted, layout)
                             for lane in lanes], wanted)
    prove(layer, held(layer), form, target, [w for w, _ in taken(layer, wanted, layout, found)])
    return found


def layout_of(name: Any) -> Layout:
    """A framework by its name."""
    if name not in tuple(LAYOUTS):
        raise ValueError(f"a framework is one of {', '.join(LAYOUTS)}; got {name!r}")
    return LAYOUTS[name]


def taken(layer: RNNBase, form: Form, layout: Layout, weights: Any) -> list[tuple[Held, Form]]:
    """The given weights of each layer and direction, checked, complete, and of which form."""
    found, wrong = [], []
    places = [f"l{k}.{direction}" for k, direction, _ in layer.lanes()]
    for place, own, w in zip(places, lanes_of(layer, form), layout.separate(weights, form)):
        theirs = form
        if form.kind == "gru":
            theirs = form._replace(reset_after=layout.resets_after(w))
            w = {name: value for name, (_, value) in layout.settings(theirs).items()} | w
        whole, why = complete(w, layout.write(own, theirs), theirs, layout)
        found.append((whole, theirs))
        wrong += [f"{place}: {reason}" for reason in why]
    refuse(f"these are not the {layout.title} weights of {layer!r}", wrong)
    return found


def handed_out(w: Held, form: Form, layout: Layout) -> Held:
    """Copies of the weights that the layer has, and the settings that are not the defaults."""
    absent = (() if form.bias else layout.biases) + (() if form.peephole else ("P",))
    return {name: np.array(value, order="C") for name, value in w.items() if name not in absent} \
        | {name: value for name, (default, value) in layout.settings(form).items()
           if value != default}
