"""`Embedding`: a table with one row for each symbol."""
from __future__ import annotations

from typing import Any

from tinyseq.nn import init
from tinyseq.nn.linear import blank, size
from tinyseq.nn.module import Module
from tinyseq.ops import embedding


class Embedding(Module):
    """Rows of a learnt table, looked up by integer.

    Shapes: input (...) of integers in [0, V), weight (V, D), output (..., D).
    Errors: TypeError for indices that are not integers, IndexError naming the one out of range.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.Embedding(10, 4)(ts.tensor([[1, 2, 3]])).shape
        (1, 3, 4)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, *, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        self.num_embeddings = size("num_embeddings", num_embeddings)
        self.embedding_dim = size("embedding_dim", embedding_dim)
        self.weight = blank((num_embeddings, embedding_dim), device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw anew from the standard normal distribution."""
        init.normal_(self.weight)

    def forward(self, input: Any) -> Any:
        return embedding(input, self.weight)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"
