"""Losses: how far a prediction is from its target, as one number."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import ShapeError
from tinyseq.op import structural
from tinyseq.ops.index import put
from tinyseq.ops.reduce import log_softmax, mean, sum
from tinyseq.ops.shape import permute, reshape
from tinyseq.samples import real
from tinyseq.tensor import Tensor


@structural
class pick:
    """One element of each row, negated: the negative log-likelihood of each target.

    Equation: y_n = -x[n, target_n]
    Shapes: x (N, V), target (N), y (N). Units: nats, where x are log-probabilities.
    Example:
        >>> import numpy as np
        >>> from tinyseq.ops.loss import pick
        >>> pick(np.array([[1.0, 2.0], [3.0, 4.0]]), target=np.array([1, 0]))
        array([-2., -3.])
    """

    latex = "-{x}_{{n, t_n}}"
    samples = real(-2, 2, (3, 4), target=np.array([1, 0, 3]))
    inputs = "x"

    def forward(x, target): return -x[np.arange(len(target)), target]

    def backward(gy, x_shape, target):
        return put(-gy, index=(np.arange(len(target)), target), shape=x_shape)


def cross_entropy(input: Any, target: Any, ignore_index: int = -100,
                  reduction: str = "mean") -> Any:
    """Cross-entropy between softmax(input) and integer targets.

    Equation: L = -mean_n ln softmax(x_n)[target_n]
    Shapes: input (V), (N, V) or (N, V, ...), target () or (N) or (N, ...); L is 0-d, or has the
        target's shape with reduction="none". Units: nats.
    Errors: ShapeError, TypeError or IndexError naming the target that does not fit; ValueError
        when every target is ignored and the mean is asked for.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.cross_entropy(ts.zeros(2, 4), ts.tensor([0, 3]))
        tensor(1.3862944)
    """
    labels = target.array if isinstance(target, Tensor) else np.asarray(target)
    return nll_loss(log_softmax(input, dim=min(1, input.ndim - 1)), labels, ignore_index,
                    reduction)


def nll_loss(input: Any, target: Any, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """Negative log-likelihood of integer targets; input holds log-probabilities."""
    labels = target.array if isinstance(target, Tensor) else np.asarray(target)
    check_targets(input, labels, ignore_index)
    classes = input.shape[min(1, input.ndim - 1)]
    if input.ndim > 2:
        input = permute(input, (0, *range(2, input.ndim), 1))
    flat = labels.reshape(-1)
    used = flat != ignore_index
    each = pick(reshape(input, (-1, classes)), target=np.where(used, flat, 0))
    if reduction == "none":
        return reshape(each * used.astype(each.dtype), labels.shape)
    if not used.all():
        each = each[np.flatnonzero(used)]
    if reduction == "sum":
        return sum(each)
    if reduction != "mean":
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    if not used.any():
        raise ValueError("cross-entropy: every target is ignored, so there is no mean: type "
                         "reduction='sum' to get 0 for an empty batch")
    return mean(each)


def check_targets(input: Any, labels: np.ndarray, ignore_index: int) -> None:
    """Refuse targets of the wrong dtype, shape or range, naming the first that is wrong."""
    if labels.dtype.kind not in "iu":
        raise TypeError(f"cross-entropy expects integer class indices as targets, got "
                        f"{labels.dtype}")
    expected = input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()
    if labels.shape != expected:
        raise ShapeError(f"cross-entropy: input {input.shape} expects targets of shape {expected},"
                         f" got {labels.shape}")
    classes = input.shape[min(1, input.ndim - 1)]
    wrong = ((labels < 0) | (labels >= classes)) & (labels != ignore_index)
    if wrong.any():
        at = tuple(int(k) for k in np.argwhere(wrong)[0])
        raise IndexError(f"Target {int(labels[at])} is out of bounds for {classes} classes "
                         f"(at position {at})")


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Mean squared error.

    Equation: L = mean (x - t)^2
    Shapes: input and target have one shape; L is 0-d, or that shape with reduction="none".
    Errors: ShapeError when the shapes differ: broadcasting here is nearly always a mistake.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.mse_loss(ts.tensor([1.0, 2.0]), ts.tensor([1.0, 4.0]))
        tensor(2.)
    """
    if tuple(input.shape) != tuple(target.shape):
        raise ShapeError(f"mse_loss: input has shape {tuple(input.shape)} and target "
                         f"{tuple(target.shape)}: give them one shape, e.g. target.reshape(...)")
    difference = input - target
    squared = difference * difference
    if reduction == "none":
        return squared
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    return mean(squared) if reduction == "mean" else sum(squared)
