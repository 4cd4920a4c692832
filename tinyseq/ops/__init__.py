"""All operations; and the one visible table of what they lend to Tensor as methods."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.cut import cut_
from tinyseq.hooks import register_hook
from tinyseq.op import OPS, Op
from tinyseq.ops.activation import exp, log, relu, sigmoid, tanh
from tinyseq.ops.arithmetic import COMPARISONS, add, div, mul, neg, pow, sqrt, sub, where
from tinyseq.ops.exchange import EXCHANGE, from_dlpack
from tinyseq.ops.index import (cat, chunk, embedding, getitem, index_into, narrow, put, split,
                               stack)
from tinyseq.ops.inplace import copy_, fill_, in_place, set_item, zero_
from tinyseq.ops.loss import cross_entropy, mse_loss, nll_loss
from tinyseq.ops.matmul import linear, matmul
from tinyseq.ops.noise import dropout, generator, manual_seed, rand, randint, randn
from tinyseq.ops.reduce import amax, log_softmax, logsumexp, max, mean, softmax, sum
from tinyseq.ops.shape import (astype, expand, flatten, permute, reshape, squeeze, transpose,
                               unsqueeze)
from tinyseq.tensor import Tensor, wrap
from tinyseq.walk import backward

__all__ = [
    "OPS", "Op", "add", "amax", "cat", "chunk", "clone", "cross_entropy", "div", "dropout",
    "embedding", "exp", "expand", "flatten", "from_dlpack", "generator", "getitem", "linear",
    "log",
    "log_softmax", "logsumexp", "manual_seed", "matmul", "max", "mean", "mse_loss", "mul",
    "narrow", "neg", "nll_loss", "permute", "pow", "put", "rand", "randint", "randn", "relu",
    "reshape", "sigmoid", "softmax", "split", "sqrt", "squeeze", "stack", "sub", "sum", "tanh",
    "transpose", "unsqueeze", "where"]


def reflected(call: Any) -> Any:
    """`b - a` for the operator that Python asks as a.__rsub__(b)."""
    return lambda a, b: call(b, a)


def to(x: Tensor, dtype: Any) -> Tensor:
    """The same values in another dtype; recorded between floating point ones."""
    wanted = np.dtype(dtype)
    if wanted == x.dtype:
        return x
    return astype(x, dtype=wanted) if wanted.kind == "f" else wrap(x.array.astype(wanted))


def clone(x: Tensor) -> Tensor:
    """A copy with a history of its own."""
    return reshape(wrap(x.array.copy()), x.shape) if not x.requires_grad else mul(x, 1.0)


METHODS: dict[str, Any] = {
    "backward": backward, "register_hook": register_hook, "cut_": cut_,
    "__add__": add, "__radd__": reflected(add), "__sub__": sub, "__rsub__": reflected(sub),
    "__mul__": mul, "__rmul__": reflected(mul), "__truediv__": div,
    "__rtruediv__": reflected(div), "__neg__": neg, "__pow__": pow, "__matmul__": matmul,
    "__rmatmul__": reflected(matmul), "__getitem__": index_into, "__setitem__": set_item,
    **COMPARISONS, "copy_": copy_, "fill_": fill_, "zero_": zero_,
    "__iadd__": in_place("+=", np.add), "__isub__": in_place("-=", np.subtract),
    "__imul__": in_place("*=", np.multiply), "__itruediv__": in_place("/=", np.true_divide),
    "add_": in_place("add_", np.add), "sub_": in_place("sub_", np.subtract),
    "mul_": in_place("mul_", np.multiply), "div_": in_place("div_", np.true_divide),
    "add": add, "sub": sub, "mul": mul, "div": div, "neg": neg, "pow": pow, "exp": exp, "log": log,
    "tanh": tanh, "sigmoid": sigmoid, "relu": relu, "sqrt": sqrt, "matmul": matmul, "mm": matmul,
    "sum": sum, "mean": mean, "max": max, "amax": amax, "logsumexp": logsumexp,
    "softmax": softmax, "log_softmax": log_softmax, "reshape": reshape, "view": reshape,
    "transpose": transpose, "permute": permute, "squeeze": squeeze, "unsqueeze": unsqueeze,
    "flatten": flatten, "expand": lambda x, *shape: expand(
        x, shape=tuple(shape[0]) if not isinstance(shape[0], int) else shape),
    "split": split, "chunk": chunk, "narrow": narrow, "to": to, "clone": clone,
    "float": lambda x: to(x, np.float32), "double": lambda x: to(x, np.float64),
    "long": lambda x: to(x, np.int64),
    "T": property(lambda x: transpose(x, 0, 1) if x.ndim == 2 else x),
    "mT": property(lambda x: transpose(x, -1, -2)),
    "all": lambda x: wrap(np.all(x.array)), "any": lambda x: wrap(np.any(x.array)),
    "argmax": lambda x, dim=None: wrap(np.asarray(np.argmax(x.array, axis=dim))),
}

for _name, _method in {**METHODS, **EXCHANGE}.items():
    setattr(Tensor, _name, _method)
