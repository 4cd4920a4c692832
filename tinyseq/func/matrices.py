"""Whole Jacobians and Hessians, row by row (reverse mode) or column by column (forward mode)."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq import tree
from tinyseq.forward import push
from tinyseq.func.derivatives import Recording, pulled, recorded, settled
from tinyseq.mode import set_grad_enabled
from tinyseq.ops import cat, reshape, stack
from tinyseq.tensor import Tensor, wrap
from tinyseq.batching import ground, regrounded


def jacrev(function: Callable, argnums: int | tuple[int, ...] = 0,
           has_aux: bool = False) -> Callable:
    """The Jacobian by reverse mode: one walk for each element of the output.

    Shapes: (*output, *input); for several outputs or inputs, the outputs' structure of the
        inputs' structure of such.
    Example:
        >>> import tinyseq as ts
        >>> jacrev(lambda x: x * x)(ts.tensor([1.0, 2.0]))
        tensor([[2., 0.],
                [0., 4.]])
    """
    def rows(made: Recording) -> list[list[Tensor]]:
        blocks = []
        for k, y in enumerate(made.outputs):
            pulls = [pulled(made, [wrap(one_hot(ground(t), t, n if j == k else None))
                                   for j, t in enumerate(made.outputs)], retain=True)
                     for n in range(y.numel())]
            blocks.append([shaped([row[i] for row in pulls], y.shape, x, made.attached)
                           for i, x in enumerate(made.twins)])
        return blocks
    return matrix(function, argnums, has_aux, rows)


def jacfwd(function: Callable, argnums: int | tuple[int, ...] = 0,
           has_aux: bool = False) -> Callable:
    """The Jacobian by forward mode: one push for each element of the input.

    Shapes: as jacrev's, and the same numbers.
    Example:
        >>> import tinyseq as ts
        >>> jacfwd(lambda x: x * x)(ts.tensor([1.0, 2.0]))
        tensor([[2., 0.],
                [0., 4.]])
    """
    def columns(made: Recording) -> list[list[Tensor]]:
        outs = [ground(y) for y in made.outputs]
        blocks: list[list[Tensor]] = [[] for _ in outs]
        for source, x in zip(made.sources, made.twins):
            with set_grad_enabled(made.attached):
                pushes = [push(outs, {source: wrap(one_hot(ground(x), x, n))})
                          for n in range(x.numel())]
            for k, y in enumerate(made.outputs):
                columns = [regrounded(p[k], y) for p in pushes]
                blocks[k].append(across(columns, y, x, made.attached))
        return blocks
    return matrix(function, argnums, has_aux, columns)


def hessian(function: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """The second derivatives of a scalar function: forward mode over reverse mode.

    Shapes: (*input, *input).
    Example:
        >>> import tinyseq as ts
        >>> hessian(lambda x: (x ** 3.0).sum())(ts.tensor([1.0, 2.0]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])
    """
    return jacfwd(jacrev(function, argnums), argnums)


def matrix(function: Callable, argnums: Any, has_aux: bool,
           fill: Callable[[Recording], list[list[Tensor]]]) -> Callable:
    """A Jacobian's function: record once, fill the blocks, put them into the structures."""
    chosen = argnums if isinstance(argnums, tuple) else (argnums,)

    def jacobian(*args: Any) -> Any:
        made = recorded(function, args, chosen, has_aux)
        rows = []
        for blocks in fill(made):
            flat = iter(blocks)
            inputs = [tree.mapped(lambda _: next(flat), args[k]) for k in chosen]
            rows.append(tuple(inputs) if isinstance(argnums, tuple) else inputs[0])
        found = tree.refilled(made.y, rows)
        return (found, made.aux) if has_aux else found
    return jacobian


def one_hot(plain: Tensor, t: Tensor, n: int | None) -> np.ndarray:
    """Ones at element n of t (in every sample, if it is batched), zeros elsewhere."""
    made = np.zeros(plain.shape, plain.dtype)
    if n is not None:
        made.reshape(-1, max(t.numel(), 1))[:, n] = 1
    return made


def shaped(rows: list[Tensor], shape: tuple, x: Tensor, attached: bool) -> Tensor:
    """Rows of a Jacobian, one for each element of the output, as (*output, *input)."""
    if not rows:
        return wrap(np.zeros((*shape, *x.shape), x.dtype))
    return settled(reshape(stack(rows), (*shape, *x.shape)), attached)


def across(columns: list[Tensor], y: Tensor, x: Tensor, attached: bool) -> Tensor:
    """Columns of a Jacobian, one for each element of the input, as (*output, *input)."""
    if not columns:
        return wrap(np.zeros((*y.shape, *x.shape), y.dtype))
    flat = [reshape(c, (*y.shape, 1)) for c in columns]
    return settled(reshape(cat(flat, -1), (*y.shape, *x.shape)), attached)
