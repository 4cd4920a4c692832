"""Losses of classes: cross-entropy and the negative log-likelihood."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import ShapeError
from tinyseq.op import structural
from tinyseq.ops.arithmetic import where
from tinyseq.ops.index import put
from tinyseq.ops.reduce import log_softmax, sum
from tinyseq.ops.regression import check_reduction, reduced
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


def cross_entropy(input: Any, target: Any, weight: Any = None, *, ignore_index: int = -100,
                  reduction: str = "mean", label_smoothing: float = 0.0) -> Any:
    """Cross-entropy between softmax(input) and integer targets, or probabilities of the classes.

    Equation: L = -mean_n weight[target_n] ln softmax(x_n)[target_n]
    Shapes: input (V), (N, V) or (N, V, ...), target () or (N) or (N, ...), or floating point of
        the input's shape; weight (V). L is 0-d, or has the target's shape (without V) with
        reduction="none". The mean is weighted by the targets' weights. Units: nats.
    Errors: ShapeError, TypeError or IndexError naming the target that does not fit; ValueError
        when every target is ignored and the mean is asked for.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.cross_entropy(ts.zeros(2, 4), ts.tensor([0, 3]))
        tensor(1.3862944)
    """
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing must be in [0, 1], got {label_smoothing}")
    check_floating("cross-entropy", input)
    logs = log_softmax(input, dim=min(1, input.ndim - 1))
    dtype = getattr(target, "dtype", np.dtype(np.int64))
    if dtype.kind == "f" and tuple(target.shape) == tuple(input.shape):
        return of_probabilities(logs, target, weight, reduction, label_smoothing)
    if not label_smoothing:
        return nll_loss(logs, target, weight, ignore_index=ignore_index, reduction=reduction)
    return smoothed(logs, target, weight, ignore_index, reduction, label_smoothing)


def of_probabilities(logs: Any, target: Any, weight: Any, reduction: str, smoothing: float) -> Any:
    """Cross-entropy with a distribution over the classes for each sample."""
    at = min(1, logs.ndim - 1)
    classes = logs.shape[at]
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / classes
    each = -sum(logs * target * along(weight, logs), at)
    return reduced(each, reduction, "cross-entropy")  # the mean is over samples, as torch's


def smoothed(logs: Any, target: Any, weight: Any, ignore_index: int, reduction: str,
             smoothing: float) -> Any:
    """A mixture of the target (1 - smoothing) and all classes evenly (smoothing)."""
    labels = as_labels(target)
    sharp = nll_loss(logs, labels, weight, ignore_index=ignore_index, reduction=reduction)
    at = min(1, logs.ndim - 1)
    used = labels != ignore_index
    flat = where(used, -sum(logs * along(weight, logs), at), 0.0)
    if reduction == "mean":
        flat = sum(flat) / total_weight(labels, weight, ignore_index)
    elif reduction == "sum":
        flat = sum(flat)
    return sharp * (1.0 - smoothing) + flat * (smoothing / logs.shape[at])


def along(weight: Any, logs: Any) -> Any:
    """The classes' weights, lying along the classes' axis."""
    if weight is None:
        return 1.0
    check_weight(weight, logs.shape[min(1, logs.ndim - 1)])
    return reshape(weight, (-1, *[1] * max(logs.ndim - 2, 0)))


def total_weight(labels: np.ndarray, weight: Any, ignore_index: int) -> float:
    """What a mean divides by: the weights of all targets that are not ignored, added up."""
    used = labels[labels != ignore_index]
    return float(len(used) if weight is None else as_array(weight)[used].sum())


def nll_loss(input: Any, target: Any, weight: Any = None, *, ignore_index: int = -100,
             reduction: str = "mean") -> Any:
    """Negative log-likelihood of integer targets; input holds log-probabilities.

    Equation: L = -mean_n weight[target_n] x_n[target_n]
    Shapes: as cross_entropy's.
    Errors: as cross_entropy's.
    Example:
        >>> import tinyseq as ts
        >>> nll_loss(ts.tensor([[-1.0, -2.0]]), ts.tensor([1]))
        tensor(2.)
    """
    labels = as_labels(target)
    check_floating("nll_loss", input)
    check_targets(input, labels, ignore_index)
    classes = input.shape[min(1, input.ndim - 1)]
    if input.ndim > 2:
        input = permute(input, (0, *range(2, input.ndim), 1))
    flat = labels.reshape(-1)
    used = flat != ignore_index
    each = pick(reshape(input, (-1, classes)), target=np.where(used, flat, 0))
    factors = used.astype(each.dtype)
    if weight is not None:
        check_weight(weight, classes)
        factors = factors * as_array(weight).astype(each.dtype)[np.where(used, flat, 0)]
    if check_reduction(reduction) == "none":
        return reshape(where(used, each * factors, 0.0), labels.shape)
    if reduction == "mean" and not factors.any():
        why = "the weights of all targets are 0" if used.any() else "every target is ignored"
        raise ValueError(f"cross-entropy: {why}, so there is no mean: type reduction='sum' to "
                         "get 0 for an empty batch")
    if not used.all():
        each, factors = each[np.flatnonzero(used)], factors[used]
    if weight is None:
        return reduced(each, reduction, "cross-entropy")
    total = sum(each * factors)
    return total / float(factors.sum()) if reduction == "mean" else total


# -- what is checked -----------------------------------------------------------------------
def as_array(t: Any) -> np.ndarray:
    """The values of a Tensor, array, list or number."""
    return t.array if isinstance(t, Tensor) else np.asarray(t)


def as_labels(target: Any) -> np.ndarray:
    """The targets as an array of whole numbers."""
    labels = as_array(target)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"cross-entropy expects integer class indices as targets, or floating "
                        f"point probabilities of the input's shape, got {labels.dtype} of shape "
                        f"{labels.shape}")
    return labels


def check_floating(name: str, input: Any) -> None:
    """Refuse an input that is not of real numbers, or has no axis of classes."""
    if input.dtype.kind != "f" or input.ndim == 0:
        raise TypeError(f"{name} expects a floating point input (V), (N, V) or (N, V, ...), got "
                        f"{input.dtype} of shape {tuple(input.shape)}")


def check_weight(weight: Any, classes: int) -> None:
    """Refuse weights that are not one for each class."""
    if tuple(weight.shape) != (classes,):
        raise ShapeError(f"cross-entropy: weight has shape {tuple(weight.shape)}, expected one "
                         f"number for each of {classes} classes")


def check_targets(input: Any, labels: np.ndarray, ignore_index: int) -> None:
    """Refuse targets of the wrong shape or range, naming the first that is wrong."""
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
