"""Layer normalisation: each sample's units brought to mean 0 and variance 1."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import ShapeError
from tinyseq.op import structural
from tinyseq.ops.arithmetic import sqrt
from tinyseq.ops.reduce import mean
from tinyseq.samples import real


@structural
class normalise:
    """Each sample over its last axes to mean 0 and variance 1; `layer_norm` is its public form.

    Equation: y = (x - mean x) / sqrt(var x + eps) w + b, over the last `axes` axes
    Shapes: y as x; w and b have x's last sizes, or are None.
    Source: Ba, Kiros and Hinton 2016.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.layer_norm(ts.tensor([[1.0, 3.0]]), (2,), eps=0.0)
        tensor([[-1.,  1.]])
    """

    name = "layer_norm"
    latex = r"\frac{{{x} - \mu}}{{\sqrt{{\sigma^2 + \epsilon}}}} \odot {weight} + {bias}"
    samples = (real(-2, 2, (3, 4), (4,), (4,), axes=1, eps=1e-5)
               + real(-2, 2, (2, 3, 4), (3, 4), (3, 4), axes=2, eps=1e-5)
               + real(-2, 2, (3, 4), axes=1, eps=0.1))
    inputs = "x weight bias"

    def forward(x, weight=None, bias=None, axes=1, eps=1e-5):
        y, _ = standard(x, axes, eps)
        y = y if weight is None else y * weight
        return y if bias is None else y + bias

    def backward_x(gy, x, weight, axes, eps):
        y, scale = standard(x, axes, eps)
        g = gy if weight is None else gy * weight
        return (g - over(g, axes) - y * over(g * y, axes)) / scale

    def backward_weight(gy, x, axes, eps): return gy * standard(x, axes, eps)[0]
    def backward_bias(gy): return gy


def over(x: Any, axes: int) -> Any:
    """The mean over the last axes, kept at size 1."""
    return mean(x, tuple(range(-axes, 0)), keepdim=True)


def standard(x: Any, axes: int, eps: float) -> tuple[Any, Any]:
    """x with mean 0 and variance 1 over its last axes; and what it was divided by."""
    centred = x - over(x, axes)
    scale = sqrt(over(centred * centred, axes) + eps)
    return centred / scale, scale


def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None,
               eps: float = 1e-5) -> Any:
    """Each sample's units to mean 0 and variance 1, then times weight plus bias.

    Shapes: input (..., *normalized_shape), weight and bias normalized_shape or None.
    Errors: ShapeError where the input, the weight or the bias has other sizes.
    Source: Ba, Kiros and Hinton 2016.
    Example:
        >>> import tinyseq as ts
        >>> layer_norm(ts.tensor([1.0, 3.0]), [2], bias=ts.ones(2), eps=0.0)
        tensor([0., 2.])
    """
    sizes = tuple(normalized_shape) if np.ndim(normalized_shape) else (int(normalized_shape),)
    if not sizes or tuple(input.shape[-len(sizes):]) != sizes:
        raise ShapeError(f"layer_norm over {sizes} expects an input of shape (..., "
                         f"{', '.join(map(str, sizes))}), got {tuple(input.shape)}")
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and tuple(parameter.shape) != sizes:
            raise ShapeError(f"layer_norm over {sizes}: the {name} has shape "
                             f"{tuple(parameter.shape)}")
    return normalise(input, weight, bias, axes=len(sizes), eps=eps)
