"""`LayerNorm`: each sample's units brought to mean 0 and variance 1, then scaled and shifted."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.nn import init
from tinyseq.nn.linear import blank, size
from tinyseq.nn.module import Module
from tinyseq.ops import layer_norm


class LayerNorm(Module):
    """Normalises over the last axes, whose sizes are `normalized_shape` (a number, if it is one).

    The gain `weight` begins as ones and `bias` as zeros; without `elementwise_affine` there is
    neither, with `bias=False` only the gain.
    Equation: y = (x - mean x) / sqrt(var x + eps) weight + bias
    Shapes: input (..., *normalized_shape), weight and bias normalized_shape.
    Errors: ShapeError for an input of other sizes.
    Source: Ba, Kiros and Hinton 2016.
    Example:
        >>> import tinyseq as ts
        >>> LayerNorm(2)(ts.tensor([[1.0, 3.0]])).detach().numpy().round(3)
        array([[-1.,  1.]], dtype=float32)
        >>> LayerNorm((2, 3), elementwise_affine=False)
        LayerNorm((2, 3), eps=1e-05, elementwise_affine=False, bias=False)
        >>> list(LayerNorm(2, eps=1e-3, bias=False).state_dict())
        ['weight']
    """

    def __init__(self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True,
                 bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        sizes = normalized_shape if np.ndim(normalized_shape) else (normalized_shape,)
        self.normalized_shape = tuple([size("normalized_shape", n) for n in sizes])
        self.eps, self.elementwise_affine = eps, elementwise_affine
        bias = elementwise_affine and bias
        for name, wanted in (("weight", elementwise_affine), ("bias", bias)):
            self.register_parameter(
                name, blank(self.normalized_shape, device, dtype) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Make it change nothing but mean and variance: weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Any) -> Any:
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (f"{self.normalized_shape}, eps={self.eps}, "
                f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}")
