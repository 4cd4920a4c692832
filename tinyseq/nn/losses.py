"""Losses as modules: they carry the settings of the functions of the same names."""
from __future__ import annotations

from typing import Any

from tinyseq.nn.module import Module
from tinyseq.ops import (binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy,
                         huber_loss, kl_div, l1_loss, mse_loss, nll_loss, smooth_l1_loss)
from tinyseq.ops.regression import check_reduction
from tinyseq.tensor import Tensor


class Loss(Module):
    """What losses share: how the elements' losses become one.

    Errors: ValueError for a `reduction` that is none of "mean", "sum" and "none".
    """

    more_reductions: tuple[str, ...] = ()

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = check_reduction(reduction, *self.more_reductions)


class MSELoss(Loss):
    """Mean squared error.

    Example:
        >>> import tinyseq as ts
        >>> MSELoss()(ts.tensor([1.0, 2.0]), ts.zeros(2))
        tensor(2.5)
        >>> MSELoss(reduction="sum")(ts.tensor([1.0, 2.0]), ts.zeros(2))
        tensor(5.)
    """

    def forward(self, input: Any, target: Any) -> Any:
        return mse_loss(input, target, self.reduction)


class L1Loss(Loss):
    """Mean absolute error.

    Example:
        >>> import tinyseq as ts
        >>> L1Loss(reduction="none")(ts.tensor([1.0, -2.0]), ts.zeros(2))
        tensor([1., 2.])
    """

    def forward(self, input: Any, target: Any) -> Any:
        return l1_loss(input, target, self.reduction)


class SmoothL1Loss(Loss):
    """Squared error where it is below beta, absolute error beyond.

    Example:
        >>> import tinyseq as ts
        >>> SmoothL1Loss(beta=2.0)(ts.tensor([1.0, 2.0]), ts.tensor([1.0, 5.0]))
        tensor(1.)
        >>> SmoothL1Loss(reduction="sum")(ts.tensor([1.0, 2.0]), ts.tensor([1.0, 5.0]))
        tensor(2.5)
    """

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        return smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(Loss):
    """delta times SmoothL1Loss with beta = delta.

    Example:
        >>> import tinyseq as ts
        >>> HuberLoss(reduction="sum", delta=2.0)(ts.tensor([1.0, 2.0]), ts.tensor([1.0, 5.0]))
        tensor(4.)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        return huber_loss(input, target, self.reduction, self.delta)


class WeightedLoss(Loss):
    """What losses with weights share: `weight` is a buffer, and so saved if it is given."""

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)


class BCELoss(WeightedLoss):
    """Cross-entropy between probabilities and targets in [0, 1]; `weight` broadcasts to them.

    Example:
        >>> import tinyseq as ts
        >>> BCELoss(weight=ts.tensor([2.0]), reduction="sum")(ts.tensor([0.5]), ts.ones(1))
        tensor(1.3862944)
    """

    def forward(self, input: Any, target: Any) -> Any:
        return binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(WeightedLoss):
    """BCELoss of sigmoid(input), exact for scores of any size; `pos_weight` weighs the ones.

    Example:
        >>> import tinyseq as ts
        >>> BCEWithLogitsLoss(pos_weight=ts.tensor([3.0]))(ts.zeros(1), ts.ones(1))
        tensor(2.0794415)
        >>> BCEWithLogitsLoss(weight=ts.tensor([2.0]), reduction="none")(ts.zeros(1), ts.ones(1))
        tensor([1.3862944])
    """

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean",
                 pos_weight: Tensor | None = None) -> None:
        super().__init__(weight, reduction=reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        return binary_cross_entropy_with_logits(input, target, self.weight, self.reduction,
                                                self.pos_weight)


class KLDivLoss(Loss):
    """Kullback-Leibler divergence; the input holds log-probabilities, the target probabilities.

    With `log_target` both hold logarithms. "mean" is over all elements, as torch has it;
    "batchmean", the sum over the first size, is what the textbooks mean.
    Example:
        >>> import tinyseq as ts
        >>> halves = ts.tensor([[0.5, 0.5]])
        >>> KLDivLoss(reduction="batchmean", log_target=True)(halves.log(), halves.log())
        tensor(0.)
    """

    more_reductions = ("batchmean",)

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Any:
        return kl_div(input, target, self.reduction, self.log_target)


class NLLLoss(WeightedLoss):
    """Negative log-likelihood of integer targets; the input holds log-probabilities.

    `weight` has a number for each class; targets equal to `ignore_index` do not count.
    Example:
        >>> import tinyseq as ts
        >>> logs, targets = ts.tensor([[0.5, 0.25, 0.25]] * 3).log(), ts.tensor([0, 1, 2])
        >>> NLLLoss(ignore_index=2, reduction="none")(logs, targets)
        tensor([0.6931472, 1.3862944, 0.       ])
        >>> NLLLoss(weight=ts.tensor([1.0, 0.5, 0.0]), reduction="sum")(logs, targets)
        tensor(1.3862944)
    """

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100,
                 reduction: str = "mean") -> None:
        super().__init__(weight, reduction=reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        return nll_loss(input, target, self.weight, ignore_index=self.ignore_index,
                        reduction=self.reduction)


class CrossEntropyLoss(NLLLoss):
    """Cross-entropy between softmax(input) and integer targets, or probabilities.

    `label_smoothing` is how much of each target is spread evenly over all classes. "mean" is over
    the targets that count, not over sequences: to accumulate gradients over parts of a batch,
    multiply each part's mean with its share of them.
    Example:
        >>> import tinyseq as ts
        >>> CrossEntropyLoss(ignore_index=0)(ts.zeros(2, 4), ts.tensor([0, 3]))
        tensor(1.3862944)
        >>> smooth = CrossEntropyLoss(weight=ts.ones(4), reduction="sum", label_smoothing=0.1)
        >>> smooth(ts.zeros(1, 4), ts.tensor([3]))
        tensor(1.3862944)
    """

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100,
                 reduction: str = "mean", label_smoothing: float = 0.0) -> None:
        super().__init__(weight, ignore_index=ignore_index, reduction=reduction)
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        return cross_entropy(input, target, self.weight, ignore_index=self.ignore_index,
                             reduction=self.reduction, label_smoothing=self.label_smoothing)
