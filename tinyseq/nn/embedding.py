"""`Embedding`: a table with one row for each symbol."""
from __future__ import annotations

from typing import Any

from tinyseq.mode import no_grad
from tinyseq.nn import init
from tinyseq.nn.linear import blank, size
from tinyseq.nn.module import Module
from tinyseq.ops import embedding
from tinyseq.tensor import Parameter, Tensor


class Embedding(Module):
    """Rows of a learnt table, looked up by integer.

    The row at `padding_idx` begins as zeros and gets no gradient, so that padding stays nothing.
    Shapes: input (...) of integers in [0, V), weight (V, D), output (..., D).
    Errors: TypeError for indices that are not integers, IndexError naming the one out of range;
        ValueError for a padding_idx that is no row, and for torch's max_norm,
        scale_grad_by_freq and sparse.
    Example:
        >>> import tinyseq as ts
        >>> ts.nn.Embedding(10, 4)(ts.tensor([[1, 2, 3]])).shape
        (1, 3, 4)
        >>> ts.nn.Embedding(10, 2, padding_idx=0)(ts.tensor([0])).tolist()
        [[0.0, 0.0]]
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
                 max_norm: float | None = None, norm_type: float = 2.0,
                 scale_grad_by_freq: bool = False, sparse: bool = False,
                 _weight: Tensor | None = None, _freeze: bool = False, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        if max_norm is not None or scale_grad_by_freq or sparse:
            raise ValueError("Embedding: max_norm, scale_grad_by_freq and sparse are torch's and "
                             "not tinyseq's: leave them out, and scale self.weight or its "
                             "gradient where you want to")
        self.num_embeddings = size("num_embeddings", num_embeddings)
        self.embedding_dim = size("embedding_dim", embedding_dim)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError("Padding_idx must be within num_embeddings: got "
                                 f"padding_idx={padding_idx} for {num_embeddings} rows")
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        if _weight is None:
            self.weight = blank((num_embeddings, embedding_dim), device, dtype)
            self.reset_parameters()
        else:
            self.weight = Parameter(_weight, dtype=_weight.dtype)
        self.weight.requires_grad_(not _freeze)

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True,
                        padding_idx: int | None = None) -> Embedding:
        """A module around a given table (V, D), trained only with `freeze=False`.

        Example:
            >>> import tinyseq as ts
            >>> Embedding.from_pretrained(ts.ones(3, 2))
            Embedding(3, 2)
        """
        if embeddings.ndim != 2:
            raise ValueError("Embeddings parameter is expected to be 2-dimensional, got the shape "
                             f"{embeddings.shape}")
        rows, width = embeddings.shape
        made = cls(rows, width, padding_idx, _weight=embeddings)
        made.weight.requires_grad_(not freeze)
        return made

    def reset_parameters(self) -> None:
        """Draw anew from the standard normal distribution; the row of the padding is zeros."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0.0

    def forward(self, input: Any) -> Any:
        return embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}" + (
            "" if self.padding_idx is None else f", padding_idx={self.padding_idx}")
