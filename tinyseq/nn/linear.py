"""`Linear` and `Bilinear`: a weight and a bias, for one input or for a pair."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinyseq.array import default_dtype
from tinyseq.device import on_cpu
from tinyseq.errors import ShapeError
from tinyseq.nn import init
from tinyseq.nn.module import Module
from tinyseq.ops import bilinear, linear
from tinyseq.tensor import Parameter


class Linear(Module):
    """An affine map of the last axis.

    Equation: y = x W^T + b
    Shapes: x (..., in_features), weight (out_features, in_features), y (..., out_features).
    Errors: ShapeError for an input of another width, RuntimeError for one of another dtype.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.Linear(3, 2)(ts.ones(5, 3)).shape
        (5, 2)
        >>> list(ts.nn.Linear(3, 2, bias=False).state_dict())
        ['weight']
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        self.in_features = size("in_features", in_features)
        self.out_features = size("out_features", out_features)
        self.weight = blank((out_features, in_features), device, dtype)
        self.register_parameter("bias", blank((out_features,), device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw anew from U(-1/sqrt(in_features), 1/sqrt(in_features)), weight first."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Any) -> Any:
        if input.shape[-1:] != (self.in_features,):
            raise ShapeError(f"{self._called()}: expected an input whose last axis has "
                             f"{self.in_features} features, got {input.shape[-1:] or 'none'} in "
                             f"the shape {tuple(input.shape)}")
        if input.dtype != self.weight.dtype:
            raise RuntimeError(f"{self._called()}: input dtype {input.dtype} does not match "
                               f"weight dtype {self.weight.dtype}: type "
                               f"input.to(ts.{self.weight.dtype})")
        return linear(input, self.weight, self.bias)

    def _called(self) -> str:
        return f"Linear({self.in_features}, {self.out_features})" + (
            f" at {self._path}" if self._path else "")

    def extra_repr(self) -> str:
        return (f"in_features={self.in_features}, out_features={self.out_features}, "
                f"bias={self.bias is not None}")


class Bilinear(Module):
    """A form that is linear in each of two inputs.

    Equation: y_o = x1^T W_o x2 + b_o
    Shapes: x1 (..., in1_features), x2 (..., in2_features), weight (out_features, in1_features,
        in2_features), y (..., out_features).
    Errors: ShapeError naming the input that does not fit.
    Example:
        >>> import tinyseq as ts
        >>> Bilinear(3, 2, 4, bias=False)(ts.ones(5, 3), ts.ones(5, 2)).shape
        (5, 4)
    """

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True,
                 device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.in1_features = size("in1_features", in1_features)
        self.in2_features = size("in2_features", in2_features)
        self.out_features = size("out_features", out_features)
        self.weight = blank((out_features, in1_features, in2_features), device, dtype)
        self.register_parameter("bias", blank((out_features,), device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw anew from U(-1/sqrt(in1_features), 1/sqrt(in1_features)), weight first."""
        bound = 1 / math.sqrt(self.in1_features)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input1: Any, input2: Any) -> Any:
        return bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
                f"out_features={self.out_features}, bias={self.bias is not None}")


def size(name: str, value: Any) -> int:
    """A size given by the user, refused if it is not a positive int: torch's texts."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise TypeError(f"{name} should be of type int, got: {type(value).__name__}")
    if value <= 0:
        raise ValueError(f"{name} must be greater than zero, got {value}")
    return int(value)


def blank(shape: tuple[int, ...], device: Any = None, dtype: Any = None) -> Parameter:
    """A parameter of zeros, to be initialised; tinyseq's only device is the CPU."""
    on_cpu(device)
    wanted = np.dtype(default_dtype() if dtype is None else dtype)
    if wanted.name not in ("float32", "float64"):
        raise TypeError(f"parameters are float32 or float64, got dtype={wanted}")
    return Parameter(np.zeros(shape, wanted))
