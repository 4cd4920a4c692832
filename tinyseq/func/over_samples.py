"""`vmap`: a function of one sample, run on a whole batch of them."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinyseq import tree
from tinyseq.batching import LEVELS, Batched
from tinyseq.calling import Lift
from tinyseq.mode import detail
from tinyseq.ops import expand
from tinyseq.tensor import Tensor


def vmap(function: Callable, in_dims: Any = 0, out_dims: Any = 0,
         randomness: str = "error") -> Callable:
    """The function of one sample as a function of a batch of them.

    `in_dims` says which axis of each argument is the batch (None: the argument is shared);
    dicts and tuples of tensors may be arguments. `out_dims` is where the batch goes in the
    results. Every declared operation can be batched; recurrent layers run op by op inside, so that
    gradients for each sample are `vmap(grad(loss), (None, 0))(parameters, x)`. What looks at
    values (`if`, `.item()`, argmax) cannot.
    Errors: ValueError for arguments without a batch, or of unequal sizes; NotImplementedError
        naming the function that asked for values.
    Example:
        >>> import tinyseq as ts
        >>> square = vmap(lambda x: (x * x).sum())
        >>> square(ts.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([ 5., 25.])
    """
    if randomness not in ("error", "same"):
        raise ValueError(f"randomness must be 'error' or 'same', got {randomness!r}")

    def batched(*args: Any) -> Any:
        level, (operands, size) = len(LEVELS.sizes), spread(args, in_dims, len(LEVELS.sizes))
        LEVELS.sizes.append(size)
        try:
            with detail("gates"):
                y = function(*operands)
        except Lift as asked:
            raise NotImplementedError(
                f"vmap: {reader(asked)!r} asks for the values of a batched tensor, and has no "
                "batching rule: use operations on tensors, or loop over the samples") from None
        finally:
            LEVELS.sizes.pop()
        outs = tree.leaves(y)
        dims = list(out_dims) if isinstance(out_dims, (tuple, list)) else [out_dims] * len(outs)
        return tree.refilled(y, [gathered(t, d, level, size) for t, d in zip(outs, dims)])

    return batched


def spread(args: tuple, in_dims: Any, level: int) -> tuple[list, int]:
    """The arguments with their batches hidden, and the size of the batch."""
    dims = list(in_dims) if isinstance(in_dims, (tuple, list)) else [in_dims] * len(args)
    if len(dims) != len(args):
        raise ValueError(f"in_dims has {len(dims)} entries for {len(args)} arguments")
    given = [(t, d) for arg, d in zip(args, dims) if d is not None
             for t in tree.leaves(arg) if isinstance(t, Tensor)]
    sizes = {t.shape[d] for t, d in given}
    if len(sizes) != 1:
        raise ValueError(f"vmap: the batch axes must be of one size, got {sorted(sizes)}" if sizes
                         else "vmap: at least one argument must have a batch axis (in_dims)")

    def hide(t: Any, d: int) -> Any:
        if not isinstance(t, Tensor):
            return t
        return Batched(front(t, d % t.ndim), level)

    return [arg if d is None else tree.mapped(lambda t, d=d: hide(t, d), arg)
            for arg, d in zip(args, dims)], sizes.pop()


def front(t: Tensor, axis: int) -> Tensor:
    """The axis moved to the front."""
    return t if axis == 0 else t.permute(axis, *[k for k in range(t.ndim) if k != axis])


def gathered(t: Any, dim: int, level: int, size: int) -> Any:
    """A result with its batch in the open; what did not depend on it is repeated."""
    if not isinstance(t, Tensor):
        raise ValueError(f"vmap: the function must return tensors, got {type(t).__name__}")
    base = t.base if isinstance(t, Batched) and t.level == level else \
        expand(t, shape=(size, *t.shape))
    at = dim % base.ndim
    return base if at == 0 else base.permute(*range(1, at + 1), 0, *range(at + 1, base.ndim))


def reader(asked: Lift) -> str:
    """The function that asked for values, by name."""
    trace, names = asked.__traceback__, []
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    return next(name for name in reversed(names) if name not in ("lift", "<lambda>"))
