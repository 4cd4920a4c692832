"""Clipping of gradients, and all parameters as one vector."""
from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tinyseq.errors import NonFiniteError
from tinyseq.mode import no_grad
from tinyseq.nn.utils import rnn
from tinyseq.ops import cat, reshape
from tinyseq.tensor import Tensor, wrap

__all__ = ["clip_grad_norm_", "clip_grad_value_", "norm", "parameters_to_vector", "rnn",
           "vector_to_parameters"]


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float,
                    norm_type: float = 2.0, error_if_nonfinite: bool = True,
                    foreach: bool | None = None) -> Tensor:
    """Scale all gradients by one factor so that their joint norm is at most `max_norm`.

    Equation: g <- g min(1, max_norm / (|g| + 1e-6)), |g| over all parameters together
    Units: gradients. Returns the norm before clipping. `foreach` is torch's and changes nothing.
    Errors: NonFiniteError naming the parameters whose gradients are not finite, which then stay as
        they are; ValueError for a max_norm or norm_type that is not positive.
    Example:
        >>> import tinyseq as ts
        >>> w = ts.nn.Parameter([3.0, 4.0])
        >>> w.grad = ts.tensor([3.0, 4.0])
        >>> clip_grad_norm_([w], 1.0)
        tensor(5.)
        >>> round(float((w.grad * w.grad).sum()), 5)
        1.0
    """
    max_norm = above_zero("clip_grad_norm_", "max_norm", max_norm)
    norm_type = above_zero("clip_grad_norm_", "norm_type", norm_type)
    given = tensors("clip_grad_norm_", parameters)
    used = [(p, p.grad) for p in given if p.grad is not None]
    norms = [norm(g.array, norm_type) for _, g in used]
    total = norm(np.array(norms), norm_type)
    if not math.isfinite(total) and error_if_nonfinite:
        names = [p.label or f"parameter {k}" for k, (p, _) in enumerate(used)
                 if not math.isfinite(norms[k])]
        raise NonFiniteError(
            f"The total norm of order {norm_type} for gradients is non-finite ({total}), so it "
            f"cannot be clipped: {', '.join(names) or 'the sum overflows'}; nothing was changed. "
            "Pass error_if_nonfinite=False to scale by it anyway")
    factor = max_norm / (total + 1e-6)
    if not factor >= 1.0:
        with no_grad(), np.errstate(invalid="ignore"):
            for _, g in used:
                g.change("clip_grad_norm_", lambda a: np.multiply(a, factor, out=a))
    return wrap(np.asarray(total, used[0][1].dtype if used else np.float32))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float,
                     foreach: bool | None = None) -> None:
    """Take every element of every gradient into [-clip_value, clip_value].

    Errors: ValueError for a clip_value that is not positive.
    """
    clip_value = above_zero("clip_grad_value_", "clip_value", clip_value)
    given = tensors("clip_grad_value_", parameters)
    with no_grad():
        for p in given:
            if p.grad is not None:
                p.grad.change("clip_grad_value_",
                              lambda a: np.clip(a, -clip_value, clip_value, out=a))


def above_zero(word: str, name: str, value: Any) -> float:
    """A number above 0, which may be infinite, also as a string: "inf"."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not found > 0:
        raise ValueError(f"{word} expects {name} > 0, got {value!r}")
    return found


def tensors(word: str, parameters: Any) -> list[Tensor]:
    """The parameters as a list; warns where there are none because a generator is used up."""
    if not isinstance(parameters, Iterable):
        raise TypeError(f"{word} takes a Tensor or several, got {type(parameters).__name__}: type "
                        "model.parameters()")
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for p in given:
        if not isinstance(p, Tensor):
            raise TypeError(f"{word} takes Tensors, one of these is a {type(p).__name__}: type "
                            "model.parameters()")
    if not given and isinstance(parameters, Iterator):
        warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.",
                      stacklevel=3)
    return given


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters one after the other, in one vector: with their history.

    Example:
        >>> import tinyseq as ts
        >>> parameters_to_vector(ts.nn.Linear(3, 2).parameters()).shape
        (8,)
    """
    return cat([reshape(p, (-1,)) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy the pieces of a vector into parameters, in place.

    Errors: ValueError when the vector has not as many elements as the parameters together.
    """
    given = list(parameters)
    expected = sum(p.numel() for p in given)
    if tuple(vec.shape) != (expected,):
        raise ValueError(f"vector_to_parameters expects a vector of {expected} elements, got the "
                         f"shape {tuple(vec.shape)}")
    ends = np.cumsum([p.numel() for p in given])[:-1]
    with no_grad():
        for p, piece in zip(given, np.split(vec.array.copy(), ends)):
            p.change("vector_to_parameters",
                     lambda a: np.copyto(a, piece.reshape(a.shape), casting="same_kind"))


def norm(values: np.ndarray, order: Any) -> float:
    """The vector norm of all elements; sums that overflow their dtype are taken in float64."""
    flat = values.reshape(-1)
    if order == 2.0:
        with np.errstate(all="ignore"):
            square = float(np.dot(flat, flat))
        if 1e-30 < square < 1e30:
            return math.sqrt(square)
    if not flat.size:
        return 0.0
    largest = float(np.abs(flat).max())
    if order == math.inf or largest == 0.0 or not math.isfinite(largest):
        return largest
    scaled = np.abs(flat.astype(np.float64)) / largest
    return largest * float(np.sum(scaled ** order)) ** (1.0 / order)
