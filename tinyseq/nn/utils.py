"""`clip_grad_norm_`: all gradients together made no longer than a given norm."""
from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinyseq.errors import NonFiniteError
from tinyseq.mode import no_grad
from tinyseq.tensor import Tensor, wrap


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float,
                    norm_type: float = 2.0, error_if_nonfinite: bool = True) -> Tensor:
    """Scale all gradients by one factor so that their joint norm is at most `max_norm`.

    Equation: g <- g min(1, max_norm / (|g| + 1e-6)), |g| over all parameters together
    Units: gradients. Returns the norm before clipping.
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
    for name, value in (("max_norm", max_norm), ("norm_type", norm_type)):
        if not value > 0:
            raise ValueError(f"clip_grad_norm_ expects {name} > 0, got {value!r}")
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
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
        with no_grad():
            for _, g in used:
                g.change("clip_grad_norm_", lambda a: np.multiply(a, factor, out=a))
    return wrap(np.asarray(total, used[0][1].dtype if used else np.float32))


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
