"""What is refused, and why: impossible conversions, and weights that are not the layer's."""
from __future__ import annotations

import numpy as np

from tinyseq.convert.layout import Form, Held, Lane, Layout, said
from tinyseq.convert.own import held
from tinyseq.errors import ConversionError
from tinyseq.nn.rnnbase import RNNBase


def lacking(layer: RNNBase, form: Form, layout: Layout) -> list[str]:
    """What the layer computes and no layer of the framework does."""
    if form.kind not in layout.layers:
        return [f"{layout.title} has only {' and '.join(layout.layers.values())}"]
    name, found = f"{layout.title}'s {layout.layers[form.kind]}", []
    if form.directions == 2 and not layout.sides:
        found.append(f"{name} goes in one direction: convert each with a layer of its own")
    if layer.proj_size and not layout.projection:
        found.append(f"{name} has no projection, and this layer has proj_size={layer.proj_size}")
    if layer.options.layer_norm:
        found.append(f"{name} normalises nothing inside a step, this layer does: layer_norm=True")
    if layer.options.zoneout:
        found.append(f"{name} has no zoneout, which in evaluation mixes old and new states, and "
                     f"this layer has zoneout={layer.options.zoneout}")
    for state in ("h_0", "c_0"):
        if state in held(layer) and held(layer)[state].any():
            found.append(f"{name} starts from zeros, and this layer has learned {state}: pass it "
                         "as an initial state, and convert a layer without learn_init")
    return found


def reset(lane: Lane, have: Form, want: Form, cure: str) -> tuple[Lane, list[str]]:
    """A GRU's weights for the other form of the GRU, or why there are none.

    Equation: after, n = tanh(W_in x + b_in + r (W_hn h + b_hn)); before, n = tanh(W_in x + b_in
        + W_hn (r h) + b_hn). They are the same where W_hn is diagonal and r b_hn is b_hn.
    """
    if have.reset_after == want.reset_after:
        return lane, []
    H = len(lane.bias_hh) // 3
    bias_ih, bias_hh, W_hn = lane.bias_ih.copy(), lane.bias_hh.copy(), lane.weight_hh[2 * H:]
    if not have.reset_after:  # where both biases stand outside of the product
        bias_ih[2 * H:] += bias_hh[2 * H:]
        bias_hh[2 * H:] = 0
    wrong = []
    if (W_hn != np.diag(np.diag(W_hn))).any():
        wrong.append("W_hn is not diagonal")
    if bias_hh[2 * H:].any():
        wrong.append("b_hn is not zero")
    if not wrong:
        return lane._replace(bias_ih=bias_ih, bias_hh=bias_hh), []
    here, there = ("after", "before") if have.reset_after else ("before", "after")
    return lane, [f"these weights are of a GRU that resets {here} the product with W_hn, not "
                  f"{there} it, and {' and '.join(wrong)}: no weights make the two the same; "
                  f"{cure}"]


def homeless(lane: Lane, form: Form) -> list[str]:
    """What the weights have and the layer has no place for."""
    found = []
    if not form.bias and (lane.bias_ih.any() or lane.bias_hh.any()):
        found.append("these weights have a bias: make the layer with bias=True")
    if not form.peephole and lane.peepholes is not None and lane.peepholes.any():
        found.append("these weights have peepholes: make the layer with peephole=True")
    return found


def complete(w: Held, template: Held, form: Form, layout: Layout) -> tuple[Held, list[str]]:
    """One lane's weights with zeros and defaults for what may be absent; and what is wrong."""
    settings, optional = layout.settings(form), {"P"}
    if not set(w) & set(layout.biases):
        optional |= set(layout.biases)
    found = {name: np.zeros(like.shape) for name, like in template.items() if name in optional}
    found |= {name: default for name, (default, _) in settings.items()} | w
    wrong = [f"missing {name}" for name in template if name not in found]
    for name, value in w.items():
        if name not in template and name not in settings:
            wrong.append(f"unexpected {name}")
        elif name in template and not isinstance(value, np.ndarray):
            wrong.append(f"{name} is {said(value)}, expected an array")
        elif name in template and value.shape != template[name].shape:
            wrong.append(f"{name} has shape {value.shape}, expected {template[name].shape}")
        elif name in template and not np.isfinite(value).all():
            wrong.append(f"{name} is not finite")
    for name, (default, value) in settings.items():
        if isinstance(found[name], np.ndarray) or found[name] != value:
            wrong.append(f"{name}={found[name]!r}{'' if name in w else ', the default'}, but this "
                         f"layer computes what {name}={value!r} does: if these weights do, say so "
                         f"beside them")
    return found, wrong


def refuse(what: str, reasons: list[str]) -> None:
    """ConversionError with every reason, if there is one."""
    if reasons:
        raise ConversionError(f"{what}:" + "".join(f"\n\t{r}" for r in dict.fromkeys(reasons)))
