"""Modules without parameters that pass values on: `Dropout`, `Identity`, `Flatten`."""
from __future__ import annotations

from typing import Any

from tinyseq.nn.module import Module
from tinyseq.ops import dropout, flatten
from tinyseq.ops.noise import check_probability


class Dropout(Module):
    """Zero each element with probability p and scale the others by 1/(1-p), in training only.

    `inplace` is torch's, is shown and changes no result: the input keeps its values.
    Errors: ValueError for a p outside [0, 1].
    Example:
        >>> import tinyseq as ts
        >>> Dropout(p=0.5).eval()(ts.ones(2))
        tensor([1., 1.])
        >>> Dropout(p=1.0, inplace=True)(ts.ones(2))
        tensor([0., 0.])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        check_probability(p)
        self.p, self.inplace = p, inplace

    def forward(self, input: Any) -> Any:
        return dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Identity(Module):
    """Hands its input on; whatever it is made with is ignored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Flatten(Module):
    """Makes one axis of several.

    Example:
        >>> import tinyseq as ts
        >>> x = ts.ones(2, 3, 4)
        >>> Flatten()(x).shape, Flatten(start_dim=0, end_dim=1)(x).shape
        ((2, 12), (6, 4))
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Any:
        return flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
