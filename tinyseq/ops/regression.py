"""Losses of numbers and of probabilities: how far a prediction is from a target of its shape."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.errors import ShapeError
from tinyseq.op import elementwise
from tinyseq.ops.activation import logsigmoid
from tinyseq.ops.arithmetic import log, where
from tinyseq.ops.bounds import clamp_min
from tinyseq.ops.elementary import abs, exp, log1p
from tinyseq.ops.reduce import mean, sum
from tinyseq.samples import real
from tinyseq.tensor import Tensor


def check_reduction(reduction: str, *more: str) -> str:
    """One of the words that say how the elements' losses become one."""
    if reduction not in ("mean", "sum", "none", *more):
        words = "".join(f"{word!r}, " for word in more)
        raise ValueError(f"reduction must be {words}'mean', 'sum' or 'none', got {reduction!r}")
    return reduction


def reduced(each: Any, reduction: str, name: str) -> Any:
    """The elements' losses as they are, added up, or their mean.

    Errors: ValueError for the mean of nothing.
    """
    if check_reduction(reduction) == "none":
        return each
    if reduction == "sum":
        return sum(each)
    if 0 in each.shape:
        raise ValueError(f"{name}: the mean of an empty batch, of shape {tuple(each.shape)}, does "
                         "not exist: type reduction='sum' to get 0 for it")
    return mean(each)


def weighed(each: Any, weight: Any, reduction: str, name: str) -> Any:
    """As reduced; with weights, each element's loss times its own, and their weighted mean."""
    total = reduced(times(each, weight, name), reduction, name)
    if weight is None or reduction != "mean":
        return total
    return total / mean(weight)


def times(each: Any, weight: Any, name: str) -> Any:
    """The elements' losses times their weights, if there are any: one for each."""
    if weight is not None and tuple(weight.shape) != tuple(each.shape):
        raise ShapeError(f"{name}: weight has shape {tuple(weight.shape)}, expected the input's, "
                         f"{tuple(each.shape)}")
    return each if weight is None else each * weight


def same_shape(name: str, input: Any, target: Any) -> None:
    """Refuse shapes that would broadcast: in a loss that is nearly always a mistake."""
    if tuple(input.shape) != tuple(target.shape):
        raise ShapeError(f"{name}: input has shape {tuple(input.shape)} and target "
                         f"{tuple(target.shape)}: give them one shape, e.g. target.reshape(...)")


def mse_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """Mean squared error.

    Equation: L = mean (x - t)^2
    Shapes: input, target and weight (if any: the mean is then weighted) have one shape; L is 0-d,
        or that shape with reduction="none".
    Errors: ShapeError when the shapes differ; ValueError for the mean of nothing.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.mse_loss(ts.tensor([1.0, 2.0]), ts.tensor([1.0, 4.0]))
        tensor(2.)
    """
    same_shape("mse_loss", input, target)
    difference = input - target
    return weighed(difference * difference, weight, reduction, "mse_loss")


def l1_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """Mean absolute error; its derivative is 0 where the two are equal.

    Equation: L = mean |x - t|
    Shapes and Errors: as mse_loss's.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.l1_loss(ts.tensor([1.0, 2.0]), ts.tensor([1.0, 4.0]))
        tensor(1.)
    """
    same_shape("l1_loss", input, target)
    return weighed(abs(input - target), weight, reduction, "l1_loss")


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Squared error where it is below beta, absolute error beyond.

    Equation: L = mean (d^2 / (2 beta) if d < beta else d - beta / 2), d = |x - t|
    Shapes and Errors: as mse_loss's; ValueError for a negative beta.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.smooth_l1_loss(ts.tensor([1.0, 2.0]), ts.tensor([1.0, 4.0]))
        tensor(0.75)
    """
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    same_shape("smooth_l1_loss", input, target)
    return reduced(bent(abs(input - target), beta), reduction, "smooth_l1_loss")


def bent(d: Any, width: float) -> Any:
    """A distance, squared below a width: d^2 / (2 width), then d - width / 2."""
    return where(d < width, d * d * (0.5 / width), d - 0.5 * width)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0,
               weight: Any = None) -> Any:
    """Squared error where it is below delta, absolute error beyond: delta times smooth_l1_loss.

    Equation: L = mean (d^2 / 2 if d < delta else delta (d - delta / 2)), d = |x - t|
    Shapes and Errors: as mse_loss's, but weights do not weight the mean, as torch has it;
        ValueError unless delta is positive.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.huber_loss(ts.tensor([1.0, 2.0]), ts.tensor([1.0, 4.0]))
        tensor(0.75)
    """
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    same_shape("huber_loss", input, target)
    each = bent(abs(input - target), delta) * delta
    return reduced(times(each, weight, "huber_loss"), reduction, "huber_loss")


# -- probabilities -------------------------------------------------------------------------
@elementwise
class surprise:
    """Surprise at a target t that has probability p; `binary_cross_entropy` is its public form.

    The gradient of p is held finite at 0 and 1 as torch does it, by a divisor of at least 1e-12;
    the target's is that of the held logarithms (torch's is infinite there).

    Equation: y = -t max(ln p, -100) - (1 - t) max(ln(1 - p), -100)
    Shapes: p and t broadcast, y has the broadcast shape. Units: nats.
    Example:
        >>> from tinyseq.ops.regression import surprise
        >>> import tinyseq as ts
        >>> surprise(ts.tensor([0.5, 1.0]), ts.tensor([1.0, 0.0]))
        tensor([  0.6931472, 100.       ])
    """

    name = "binary_cross_entropy"
    latex = r"-{t} \ln {p} - (1 - {t}) \ln(1 - {p})"
    samples = real(0.1, 0.9, count=2)

    def forward(p, t):
        return (t - 1.0) * clamp_min(log1p(-p), -100.0) - t * clamp_min(log(p), -100.0)

    def backward_p(gy, p, t): return gy * ((p - t) / clamp_min((1.0 - p) * p, 1e-12))

    def backward_t(gy, p):
        return gy * (clamp_min(log1p(-p), -100.0) - clamp_min(log(p), -100.0))


def binary_cross_entropy(input: Any, target: Any, weight: Any = None,
                         reduction: str = "mean") -> Any:
    """Cross-entropy between probabilities and targets in [0, 1], of one class or of several.

    Equation: L = mean -weight (t ln p + (1 - t) ln(1 - p)), no logarithm below -100
    Shapes: input and target have one shape, to which weight broadcasts. Units: nats.
    Errors: ValueError naming an input outside [0, 1], and as mse_loss's.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.binary_cross_entropy(ts.tensor([0.5]), ts.tensor([1.0]))
        tensor(0.6931472)
    """
    same_shape("binary_cross_entropy", input, target)
    p = input.array if isinstance(input, Tensor) else np.asarray(input)
    wrong = ~((p >= 0) & (p <= 1))
    if wrong.any():
        raise ValueError(f"binary_cross_entropy expects probabilities in the range [0, 1], got "
                         f"{p[wrong].flat[0]}: for raw scores type "
                         "binary_cross_entropy_with_logits")
    each = surprise(input, target)
    return reduced(each if weight is None else each * weight, reduction, "binary_cross_entropy")


def binary_cross_entropy_with_logits(input: Any, target: Any, weight: Any = None,
                                     reduction: str = "mean", pos_weight: Any = None) -> Any:
    """binary_cross_entropy of sigmoid(input), exact for scores of any size.

    Equation: L = mean -weight (pos_weight t ln s(x) + (1 - t) ln(1 - s(x))), s = sigmoid
    Shapes: input and target have one shape, to which weight and pos_weight broadcast. Units: nats.
    Errors: as mse_loss's.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.functional.binary_cross_entropy_with_logits(ts.tensor([1e4]), ts.zeros(1))
        tensor(10000.)
    """
    name = "binary_cross_entropy_with_logits"
    same_shape(name, input, target)
    factor = 1.0 if pos_weight is None else 1.0 + (pos_weight - 1.0) * target
    each = (1.0 - target) * input - factor * logsigmoid(input)
    return reduced(each if weight is None else each * weight, reduction, name)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """Kullback-Leibler divergence of the target from exp(input); input holds log-probabilities.

    "mean" is over all elements, as torch has it; "batchmean", the sum over the first size, is
    what the textbooks mean.

    Equation: L = mean t (ln t - x); with log_target, L = mean e^t (t - x); 0 ln 0 is 0
    Shapes and Errors: as mse_loss's. Units: nats.
    Example:
        >>> import tinyseq as ts
        >>> halves = ts.tensor([[0.5, 0.5]])
        >>> ts.nn.functional.kl_div(halves.log(), halves, "batchmean")
        tensor(0.)
    """
    same_shape("kl_div", input, target)
    each = exp(target) * (target - input) if log_target else \
        target * (log(where(target == 0, 1.0, target)) - input)
    if check_reduction(reduction, "batchmean") == "batchmean":
        if not each.ndim or not each.shape[0]:
            raise ValueError(f"kl_div: 'batchmean' needs a batch, got shape {tuple(each.shape)}")
        return sum(each) * (1.0 / each.shape[0])
    return reduced(each, reduction, "kl_div")
