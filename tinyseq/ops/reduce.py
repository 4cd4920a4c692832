"""Reductions over axes: sum, mean, logsumexp; and log_softmax, softmax."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.array import default_dtype
from tinyseq.op import structural
from tinyseq.ops.activation import exp
from tinyseq.ops.arithmetic import mul, sub
from tinyseq.ops.shape import astype, axes_of, count_of, expand, kept, reshape
from tinyseq.samples import real


def axes(x: Any, dim: Any) -> Any:
    """`dim` checked: an int or a tuple of distinct ints that x has; None for all axes."""
    if dim is None or dim == () or dim == []:
        return None
    several = isinstance(dim, (tuple, list))
    at = axes_of(x, dim if several else (dim,))
    return None if x.ndim == 0 else at if several else at[0]


def floating(name: str, x: Any, dtype: Any = None) -> Any:
    """x in `dtype`; refused unless it is then of floating point."""
    wanted = x.dtype if dtype is None else np.dtype(dtype)
    if wanted.kind not in "fc":
        raise RuntimeError(f"{name}(): expected a floating point tensor, got {wanted}: type "
                           f"x.float().{name}(...)")
    return x if wanted == x.dtype else astype(x, dtype=wanted)


def real_dtype(x: Any) -> np.dtype:
    """x's own dtype; for integers and bools the default floating point one."""
    return x.dtype if x.dtype.kind in "fc" else default_dtype()


@structural
class sum_over:
    """The sum over axes; `sum` is its public form.

    Equation: y = sum_i x_i
    Shapes: y as x without the reduced axes (of size 1 with keepdim). Integers give int64.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([[1.0, 2.0], [3.0, 4.0]]).sum(0)
        tensor([4., 6.])
    """

    name = "sum"
    latex = r"\sum {x}"
    samples = (real(-1, 1, (3, 4)) + real(-1, 1, (3, 4), dim=0)
               + real(-1, 1, (2, 3, 4), dim=(0, 2), keepdim=True))
    inputs = "x"

    def forward(x, dim=None, keepdim=False):
        return np.sum(x, axis=dim, keepdims=keepdim, dtype=counted(x))

    def backward(gy, x_shape, dim): return expand(reshape(gy, kept(x_shape, dim)), shape=x_shape)


def counted(x: np.ndarray) -> Any:
    """The dtype to add in: int64 for integers and bools, as in torch."""
    return np.int64 if x.dtype.kind in "bui" else None


def sum(x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None,
        keepdims: bool = False) -> Any:
    """The sum over `dim` (an int, a tuple, or None for all); numpy's axis and keepdims work too.

    Example:
        >>> import tinyseq as ts
        >>> ts.sum(ts.tensor([1.0, 2.0, 3.0]))
        tensor(6.)
    """
    over = axes(x, axis if dim is None else dim)
    return sum_over(x if dtype is None else astype(x, dtype=np.dtype(dtype)), dim=over,
                    keepdim=bool(keepdim or keepdims))


def mean(x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None,
         keepdims: bool = False) -> Any:
    """The mean over `dim`: the sum times 1/count; over nothing it is nan.

    The mean of integers (which torch refuses) has the default floating point dtype.

    Example:
        >>> import tinyseq as ts
        >>> ts.mean(ts.tensor([1.0, 2.0, 6.0]))
        tensor(3.)
    """
    x = floating("mean", x, real_dtype(x) if dtype is None else dtype)
    over = axes(x, axis if dim is None else dim)
    count = counts(x, over)
    total = sum_over(x, dim=over, keepdim=bool(keepdim or keepdims))
    return total * (1.0 / count) if count else total / 0.0


def counts(x: Any, over: Any) -> int:
    """How many elements are reduced to one."""
    dims = range(x.ndim) if over is None else over if isinstance(over, tuple) else (over,)
    return count_of(tuple([x.shape[d] for d in dims]))


@structural
class logsumexp_over:
    """The logarithm of a sum of exponentials, shifted so that nothing overflows.

    Equation: y = ln sum_i e^x_i
    Shapes: y as x without the reduced axes. Units: nats, where x are log-probabilities. Where all
        x are -inf, y is -inf and the gradient nan, as in torch.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([[0.0, 0.0]]).logsumexp(1)
        tensor([0.6931472])
    """

    name = "logsumexp"
    latex = r"\ln \sum e^{{{x}}}"
    samples = real(-2, 2, (3, 4), dim=1) + real(-2, 2, (3, 4), dim=0, keepdim=True)
    inputs = "x"

    @np.errstate(divide="ignore", invalid="ignore", over="ignore")
    def forward(x, dim, keepdim=False):
        top = np.max(x, axis=dim, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, 0).astype(x.dtype)
        y = np.log(np.sum(np.exp(x - top), axis=dim, keepdims=True)) + top
        return y if keepdim else np.squeeze(y, dim)

    def backward(gy, x, y, dim):
        shape = kept(x.shape, dim)
        return mul(reshape(gy, shape), exp(sub(x, reshape(y, shape))))


def logsumexp(x: Any, dim: Any, keepdim: bool = False) -> Any:
    """The logarithm of a sum of exponentials over `dim`, an int or a tuple.

    Example:
        >>> import tinyseq as ts
        >>> ts.logsumexp(ts.zeros(2, 2), (0, 1))
        tensor(1.3862944)
    """
    x = floating("logsumexp", x, real_dtype(x))
    return logsumexp_over(x, dim=axes(x, dim), keepdim=keepdim)


@structural
class log_softmax_over:
    """Logarithms of probabilities that add up to one over an axis; see `log_softmax`.

    Equation: y_i = x_i - ln sum_j e^x_j
    Shapes: y as x. Units: nats.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([0.0, 0.0]).log_softmax(0)
        tensor([-0.6931472, -0.6931472])
    """

    name = "log_softmax"
    latex = r"{x} - \ln \sum e^{{{x}}}"
    samples = real(-2, 2, (3, 4), dim=1)
    inputs = "x"

    @np.errstate(divide="ignore", invalid="ignore", over="ignore")
    def forward(x, dim):
        y = x - np.max(x, axis=dim, keepdims=True, initial=-np.inf)
        y -= np.log(np.sum(np.exp(y), axis=dim, keepdims=True))
        return y

    def backward(gy, y, dim): return sub(gy, mul(exp(y), sum_over(gy, dim=dim, keepdim=True)))


def log_softmax(x: Any, dim: int, dtype: Any = None) -> Any:
    """Logarithms of probabilities that add up to one over `dim`."""
    return log_softmax_over(floating("log_softmax", x, dtype), dim=axes(x, dim))


@structural
class softmax_over:
    """Probabilities that add up to one over an axis; see `softmax`.

    Equation: y_i = e^x_i / sum_j e^x_j
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.tensor([1.0, 1.0]).softmax(0)
        tensor([0.5, 0.5])
    """

    name = "softmax"
    latex = r"\mathrm{{softmax}}({x})"
    samples = real(-2, 2, (3, 4), dim=1)
    inputs = "x"

    @np.errstate(divide="ignore", invalid="ignore", over="ignore")
    def forward(x, dim):
        y = np.exp(x - np.max(x, axis=dim, keepdims=True, initial=-np.inf))
        y /= np.sum(y, axis=dim, keepdims=True)
        return y

    def backward(gy, y, dim): return mul(y, sub(gy, sum_over(mul(gy, y), dim=dim, keepdim=True)))


def softmax(x: Any, dim: int, dtype: Any = None) -> Any:
    """Probabilities that add up to one over `dim`."""
    return softmax_over(floating("softmax", x, dtype), dim=axes(x, dim))
