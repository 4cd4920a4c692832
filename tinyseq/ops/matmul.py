"""Products: of matrices, and of an input with a layer's weight."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import ShapeError
from tinyseq.op import structural
from tinyseq.ops.shape import reshape, transpose
from tinyseq.samples import real
from tinyseq.tensor import wrap


@structural
class matmul2:
    """The product of (batches of) matrices; `matmul` adds vectors and checks.

    Equation: y_ij = sum_k a_ik b_kj
    Shapes: a (..., M, K), b (..., K, P), y (..., M, P); the leading axes broadcast.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([[1.0, 2.0]]) @ ts.tensor([[3.0], [4.0]])
        tensor([[11.]])
    """

    name = "matmul"
    latex = "{a} {b}"
    samples = real(-1, 1, (3, 4), (4, 2)) + real(-1, 1, (2, 1, 3, 4), (5, 4, 2))

    def forward(a, b): return np.matmul(a, b)
    def backward_a(gy, b): return matmul2(gy, transpose(b, -1, -2))
    def backward_b(gy, a): return matmul2(transpose(a, -1, -2), gy)


def matmul(a: Any, b: Any) -> Any:
    """The matrix product, with numpy's and torch's rules for vectors and batches.

    Shapes: (K) @ (K) -> (), (M, K) @ (K) -> (M), (..., M, K) @ (..., K, P) -> (..., M, P).
    Errors: ShapeError naming both shapes when the contracted sizes differ.
    Example:
        >>> import tinyseq as ts
        >>> ts.matmul(ts.tensor([1.0, 2.0]), ts.tensor([3.0, 4.0]))
        tensor(11.)
    """
    a, b = [t if hasattr(t, "ndim") else wrap(np.asarray(t)) for t in (a, b)]
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError("both arguments to matmul need to be at least 1D, but they are "
                         f"{a.ndim}D and {b.ndim}D: type a * b for a product with a number")
    inner = b.shape[-2] if b.ndim > 1 else b.shape[0]
    if a.shape[-1] != inner:
        raise ShapeError("mat1 and mat2 shapes cannot be multiplied "
                         f"({'x'.join(map(str, a.shape))} and {'x'.join(map(str, b.shape))}): "
                         f"the contracted sizes are {a.shape[-1]} and {inner}")
    left = reshape(a, (1, -1)) if a.ndim == 1 else a
    right = reshape(b, (-1, 1)) if b.ndim == 1 else b
    try:
        y = matmul2(left, right)
    except ValueError as error:
        raise ShapeError(f"matmul of shapes {a.shape} and {b.shape}: the leading axes do not "
                         "broadcast") from error
    shape = y.shape
    if b.ndim == 1:
        shape = shape[:-1]
    if a.ndim == 1:
        shape = shape[:-2] + shape[len(shape) - 1:] if b.ndim > 1 else shape[:-1]
    return y if shape == y.shape else reshape(y, shape)


@structural
class linear:
    """A layer's affine map: the product with a weight whose rows are the outputs, plus a bias.

    Equation: y = x W^T + b
    Shapes: x (..., I), weight (O, I), bias (O) or None, y (..., O).
    Errors: ShapeError when x's last size is not the weight's.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.linear(ts.tensor([1.0, 2.0]), ts.tensor([[3.0, 4.0]]))
        tensor([11.])
    """

    latex = "{x} {weight}^T + {bias}"
    samples = real(-1, 1, (5, 3), (4, 3), (4,)) + real(-1, 1, (2, 5, 3), (4, 3))
    inputs = "x weight bias"

    def forward(x, weight, bias=None):
        if x.shape[-1:] != weight.shape[-1:]:
            raise ShapeError(f"linear: input of shape {x.shape} and weight of shape "
                             f"{weight.shape}: expected {weight.shape[-1]} features, "
                             f"got {x.shape[-1] if x.ndim else 'a 0-d tensor'}")
        y = np.matmul(x, weight.T)
        if bias is not None:
            y += bias
        return y

    def backward_x(gy, weight): return matmul2(gy, weight) if gy.ndim > 1 else row(gy, weight)
    def backward_weight(gy, x): return matmul2(transpose(rows(gy), 0, 1), rows(x))
    def backward_bias(gy): return gy


def rows(x: Any) -> Any:
    """x as a matrix: all axes but the last become one."""
    return x if x.ndim == 2 else reshape(x, (-1, x.shape[-1]))


def row(gy: Any, weight: Any) -> Any:
    """The gradient of a single input vector."""
    return reshape(matmul2(rows(gy), weight), (weight.shape[1],))
