"""Products: of matrices, and of an input with a layer's weight."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import ShapeError
from tinyseq.op import structural
from tinyseq.ops.arithmetic import add, mul
from tinyseq.ops.reduce import sum_over
from tinyseq.ops.shape import count_of, reshape, transpose
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

    def forward(a, b):
        if a.ndim > 2 and b.ndim == 2:  # one large product instead of many small ones
            return np.matmul(a.reshape(-1, a.shape[-1]) if a.shape[-1] else a, b).reshape(
                *a.shape[:-1], b.shape[-1])
        return np.matmul(a, b)

    def backward_a(gy, b): return matmul2(gy, transpose(b, -1, -2))

    def backward_b(gy, a, b_shape):
        if len(b_shape) == 2:
            return matmul2(transpose(rows(a), 0, 1), rows(gy))
        return matmul2(transpose(a, -1, -2), gy)


def matmul(input: Any, other: Any) -> Any:
    """The matrix product, with numpy's and torch's rules for vectors and batches.

    Shapes: (K) @ (K) -> (), (M, K) @ (K) -> (M), (..., M, K) @ (..., K, P) -> (..., M, P).
    Errors: ShapeError naming both shapes when the contracted sizes differ.
    Example:
        >>> import tinyseq as ts
        >>> ts.matmul(ts.tensor([1.0, 2.0]), ts.tensor([3.0, 4.0]))
        tensor(11.)
    """
    a, b = [t if hasattr(t, "ndim") else wrap(np.asarray(t)) for t in (input, other)]
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError("both arguments to matmul need to be at least 1D, but they are "
                         f"{a.ndim}D and {b.ndim}D: type a * b for a product with a number")
    inner = b.shape[-2] if b.ndim > 1 else b.shape[0]
    if a.shape[-1] != inner:
        raise ShapeError("mat1 and mat2 shapes cannot be multiplied "
                         f"({'x'.join(map(str, a.shape))} and {'x'.join(map(str, b.shape))}): "
                         f"the contracted sizes are {a.shape[-1]} and {inner}")
    left = reshape(a, (1, inner)) if a.ndim == 1 else a
    right = reshape(b, (inner, 1)) if b.ndim == 1 else b
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
    return x if x.ndim == 2 else reshape(x, (count_of(x.shape[:-1]), x.shape[-1]))


def row(gy: Any, weight: Any) -> Any:
    """The gradient of a single input vector."""
    return reshape(matmul2(rows(gy), weight), (weight.shape[1],))


def ranked(name: str, *operands: tuple[Any, int, str]) -> None:
    """Refuse operands of another rank than the product is for."""
    for x, rank, says in operands:
        if x.ndim != rank:
            raise ShapeError(f"{name}: {says}, got a {x.ndim}D tensor of shape {x.shape}: type "
                             "matmul for other ranks")


def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices: matmul that takes nothing else.

    Errors: ShapeError for other ranks, or naming both shapes.
    Example:
        >>> import tinyseq as ts
        >>> ts.mm(ts.tensor([[1.0, 2.0]]), ts.tensor([[3.0], [4.0]]))
        tensor([[11.]])
    """
    ranked("mm", (input, 2, "self must be a matrix"), (mat2, 2, "mat2 must be a matrix"))
    return matmul(input, mat2)


def bmm(input: Any, mat2: Any) -> Any:
    """The products of two batches of matrices; the batch never broadcasts.

    Shapes: input (N, M, K), mat2 (N, K, P), y (N, M, P).
    Example:
        >>> import tinyseq as ts
        >>> ts.bmm(ts.ones(5, 2, 3), ts.ones(5, 3, 4)).shape
        (5, 2, 4)
    """
    ranked("bmm", (input, 3, "batch1 must be a 3D tensor"),
           (mat2, 3, "batch2 must be a 3D tensor"))
    if (input.shape[0], input.shape[2]) != mat2.shape[:2]:
        raise ShapeError("bmm: Expected size for first two dimensions of batch2 tensor to be: "
                         f"[{input.shape[0]}, {input.shape[2]}] but got: {list(mat2.shape[:2])}.")
    return matmul2(input, mat2)


def mv(input: Any, vec: Any) -> Any:
    """The product of a matrix and a vector.

    Example:
        >>> import tinyseq as ts
        >>> ts.mv(ts.tensor([[1.0, 2.0], [3.0, 4.0]]), ts.tensor([1.0, 10.0]))
        tensor([21., 43.])
    """
    ranked("mv", (input, 2, "vector + matrix @ vector expected"),
           (vec, 1, "vector + matrix @ vector expected"))
    return matmul(input, vec)


def dot(input: Any, tensor: Any) -> Any:
    """The sum of the products of two vectors of one length.

    Example:
        >>> import tinyseq as ts
        >>> ts.dot(ts.tensor([1.0, 2.0]), ts.tensor([3.0, 4.0]))
        tensor(11.)
    """
    if (input.ndim, tensor.ndim) != (1, 1):
        raise ShapeError(f"dot: 1D tensors expected, but got {input.ndim}D and {tensor.ndim}D "
                         "tensors")
    if input.shape != tensor.shape:
        raise ShapeError(f"dot: inconsistent tensor size, expected tensor {list(input.shape)} and "
                         f"src {list(tensor.shape)} to have the same number of elements, but got "
                         f"{input.shape[0]} and {tensor.shape[0]} elements respectively")
    return sum_over(mul(input, tensor))


def outer(input: Any, vec2: Any) -> Any:
    """All products of the elements of two vectors.

    Shapes: input (M), vec2 (P), y (M, P).
    Example:
        >>> import tinyseq as ts
        >>> ts.outer(ts.tensor([1.0, 2.0]), ts.tensor([3.0, 4.0]))
        tensor([[3., 4.],
                [6., 8.]])
    """
    ranked("outer", (input, 1, "Expected 1-D argument self"),
           (vec2, 1, "Expected 1-D argument vec2"))
    return mul(reshape(input, (input.shape[0], 1)), vec2)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """A matrix product, and something added to it.

    Equation: y = beta input + alpha mat1 mat2
    Shapes: input broadcasts to (M, P), mat1 (M, K), mat2 (K, P). With beta 0 it is not read.
    Example:
        >>> import tinyseq as ts
        >>> ts.addmm(ts.ones(1), ts.tensor([[1.0, 2.0]]), ts.tensor([[3.0], [4.0]]), alpha=2)
        tensor([[23.]])
    """
    y: Any = mm(mat1, mat2) if alpha == 1 else mul(mm(mat1, mat2), alpha)
    try:
        fits = np.broadcast_shapes(input.shape, y.shape) == y.shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"addmm: input of shape {input.shape} does not broadcast to the "
                         f"product's {y.shape}")
    return y if beta == 0 else add(input if beta == 1 else mul(input, beta), y)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """A form that is linear in each of two inputs.

    Equation: y_o = x1^T W_o x2 + b_o
    Shapes: input1 (..., I), input2 (..., J), weight (O, I, J), bias (O) or None, y (..., O).
    Errors: ShapeError naming the input that does not fit.
    Example:
        >>> import tinyseq as ts
        >>> x1, x2 = ts.tensor([1.0, 2.0]), ts.tensor([3.0])
        >>> ts.nn.functional.bilinear(x1, x2, ts.tensor([[[1.0], [10.0]]]))
        tensor([63.])
    """
    O, I, J = weight.shape
    if input1.shape[:-1] != input2.shape[:-1]:
        raise ShapeError("bilinear(): input batch dimensions do not match: got the shapes "
                         f"{input1.shape} and {input2.shape}")
    for k, (x, size) in enumerate(((input1, I), (input2, J)), 1):
        if x.shape[-1:] != (size,):
            raise ShapeError(f"bilinear(): input{k} size does not match weight size: got "
                             f"{x.shape[-1] if x.ndim else 'a 0-d tensor'} but expected {size}")
    forms = reshape(linear(input2, reshape(weight, (O * I, J))), (*input2.shape[:-1], O, I))
    y = reshape(matmul(forms, reshape(input1, (*input1.shape, 1))), (*input1.shape[:-1], O))
    return y if bias is None else add(y, bias)
