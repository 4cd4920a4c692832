"""All operations; and the one visible table of what they lend to Tensor as methods."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.cut import cut_
from tinyseq.hooks import register_hook
from tinyseq.op import OPS, Op
from tinyseq.ops.about import ABOUT, clone, is_floating_point, is_tensor, numel
from tinyseq.ops.activation import gelu, logsigmoid, relu, sigmoid, silu, softsign, tanh
from tinyseq.ops import arithmetic as plain
from tinyseq.ops.arithmetic import COMPARISONS, lerp, log, mul, neg, sqrt
from tinyseq.ops.bounds import clamp, clamp_max, clamp_min, maximum, minimum
from tinyseq.ops.create import (arange, as_tensor, empty, empty_like, eye, from_numpy, full,
                                full_like, linspace, one_hot, ones, ones_like, tensor, zeros,
                                zeros_like)
from tinyseq.ops.elementary import (abs, cos, erf, erfc, exp, expm1, log1p, reciprocal, rsqrt, sin,
                                    square)
from tinyseq.ops.arrange import diagonal, flip, pad, repeat, roll, tile, tril, triu, unfold
from tinyseq.ops.einsum import einsum
from tinyseq.ops.exchange import EXCHANGE, from_dlpack
from tinyseq.ops.extreme import all, amax, amin, any, argmax, argmin, max, min
from tinyseq.ops.index import embedding, getitem, index_into, put
from tinyseq.ops.inplace import IN_PLACE
from tinyseq.ops.join import cat, chunk, narrow, select, split, stack, unbind
from tinyseq.ops.legacy import new
from tinyseq.ops.loss import cross_entropy, nll_loss
from tinyseq.ops.normalise import layer_norm
from tinyseq.ops.regression import (binary_cross_entropy, binary_cross_entropy_with_logits,
                                    huber_loss, kl_div, l1_loss, mse_loss, smooth_l1_loss)
from tinyseq.ops.matmul import addmm, bilinear, bmm, dot, linear, matmul, mm, mv, outer
from tinyseq.ops.noise import (Generator, bernoulli, dropout, generator, manual_seed, multinomial,
                               normal, rand, rand_like, randint, randn, randn_like, randperm)
from tinyseq.ops.named import add, div, pow, sub, where
from tinyseq.ops.piecewise import elu, hardsigmoid, hardtanh, leaky_relu, softplus
from tinyseq.ops.reduce import log_softmax, logsumexp, mean, softmax, sum
from tinyseq.ops.scan import cumprod, cumsum, prod
from tinyseq.ops.scatter import (gather, index_put, index_select, masked_fill, masked_select,
                                 scatter, scatter_add, set_item, take_along_dim)
from tinyseq.ops.scatter_in_place import OVER
from tinyseq.ops.shape import (astype, broadcast_to, contiguous, expand, flatten, matrix_turned,
                               permute, reshape, squeeze, t, transpose, turned, unsqueeze)
from tinyseq.ops.sort import argsort, sort, topk
from tinyseq.ops.spread import norm, std, var
from tinyseq.ops.rounding import (ceil, floor, floor_divide, fmod, remainder, round, sign,
                                  trunc)
from tinyseq.ops.truth import (LOGIC, allclose, eq, equal, ge, gt, isclose, isfinite, isinf,
                               isnan, le, logical_and, logical_not, logical_or, logical_xor, lt,
                               ne)
from tinyseq.tensor import Tensor, wrap
from tinyseq.walk import backward

__all__ = [
    "OPS", "Op", "add", "amax", "cat", "chunk", "clone", "cross_entropy", "div", "dropout",
    "embedding", "exp", "expand", "flatten", "from_dlpack", "generator", "getitem", "linear",
    "log",
    "log_softmax", "logsumexp", "manual_seed", "matmul", "max", "mean", "mse_loss", "mul",
    "narrow", "neg", "nll_loss", "permute", "pow", "put", "rand", "randint", "randn", "relu",
    "reshape", "sigmoid", "softmax", "split", "sqrt", "squeeze", "stack", "sub", "sum", "tanh",
    "transpose", "unsqueeze", "where",
    # losses, layer_norm
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "huber_loss", "kl_div", "l1_loss",
    "layer_norm", "smooth_l1_loss",
    # elementwise operations, creation
    "Generator", "abs", "allclose", "arange", "as_tensor", "bernoulli", "ceil", "clamp",
    "clamp_max", "clamp_min", "cos", "elu", "empty", "empty_like", "eq", "equal", "erf", "erfc",
    "expm1",
    "eye", "floor", "floor_divide", "fmod", "from_numpy", "full", "full_like", "ge", "gelu",
    "gt", "hardsigmoid", "hardtanh", "isclose", "isfinite", "isinf", "isnan", "le", "leaky_relu",
    "lerp", "linspace", "log1p", "logical_and", "logical_not", "logical_or", "logical_xor",
    "logsigmoid", "lt", "maximum", "minimum", "multinomial", "ne", "normal", "one_hot", "ones",
    "ones_like", "rand_like", "randn_like", "randperm", "reciprocal", "remainder", "round",
    "rsqrt", "sign", "silu", "sin", "softplus", "softsign", "square", "tensor", "trunc", "zeros",
    "zeros_like",
    # structural operations
    "addmm", "all", "amin", "any", "argmax", "argmin", "argsort", "bilinear", "bmm",
    "broadcast_to", "cumprod", "cumsum", "diagonal", "dot", "einsum", "flip", "gather",
    "index_put", "index_select", "masked_fill", "masked_select", "min", "mm", "mv", "norm",
    "outer", "pad", "prod", "repeat", "roll", "scatter", "scatter_add", "select", "sort", "std",
    "t", "take_along_dim", "tile", "topk", "tril", "triu", "unbind", "unfold", "var",
    # what a tensor is
    "is_floating_point", "is_tensor", "numel"]


def reflected(call: Any) -> Any:
    """`b - a` for the operator that Python asks as a.__rsub__(b)."""
    return lambda a, b: call(b, a)


ELEMENTWISE = (
    abs, allclose, bernoulli, ceil, clamp, clamp_max, clamp_min, cos, elu, eq, equal, erf, erfc,
    expm1, floor, floor_divide, fmod, ge, gelu, gt, hardsigmoid, hardtanh, isclose, isfinite,
    isinf, isnan, le, leaky_relu, lerp, log1p, logical_and, logical_not, logical_or, logical_xor,
    logsigmoid, lt, maximum, minimum, multinomial, ne, reciprocal, remainder, round, rsqrt, sign,
    silu, sin, softplus, softsign, square, trunc)
METHODS: dict[str, Any] = {
    "backward": backward, "register_hook": register_hook, "cut_": cut_,
    "__add__": plain.add, "__radd__": reflected(plain.add), "__sub__": plain.sub,
    "__rsub__": reflected(plain.sub), "__mul__": mul, "__rmul__": reflected(mul),
    "__truediv__": plain.div, "__rtruediv__": reflected(plain.div), "__neg__": neg,
    "__pow__": plain.pow, "__rpow__": reflected(plain.pow), "__matmul__": matmul,
    "__rmatmul__": reflected(matmul), "__getitem__": index_into, "__setitem__": set_item,
    **COMPARISONS, **LOGIC, **IN_PLACE, **OVER, **ABOUT,
    **{call.__name__: call for call in ELEMENTWISE},
    "where": lambda x, condition, other: where(condition, x, other),
    "__floordiv__": floor_divide, "__mod__": remainder,
    "__rfloordiv__": reflected(floor_divide), "__rmod__": reflected(remainder), "__abs__": abs,
    "add": add, "sub": sub, "mul": mul, "div": div, "neg": neg, "pow": pow,
    "exp": exp, "log": log, "tanh": tanh, "sigmoid": sigmoid, "relu": relu, "sqrt": sqrt,
    "matmul": matmul, "mm": mm,
    "sum": sum, "mean": mean, "max": max, "amax": amax, "logsumexp": logsumexp,
    "softmax": softmax, "log_softmax": log_softmax, "reshape": reshape, "view": reshape,
    "transpose": transpose, "permute": permute, "squeeze": squeeze, "unsqueeze": unsqueeze,
    "flatten": flatten, "expand": broadcast_to, "broadcast_to": broadcast_to,
    "expand_as": lambda x, other: broadcast_to(x, other.shape),
    "view_as": lambda x, other: reshape(x, other.shape),
    "repeat": repeat, "tile": tile, "flip": flip, "roll": roll, "tril": tril, "triu": triu,
    "diagonal": diagonal, "split": split, "chunk": chunk, "narrow": narrow, "select": select,
    "unbind": unbind, "bmm": bmm, "mv": mv, "dot": dot, "outer": outer, "addmm": addmm,
    "var": var, "std": std, "norm": norm, "prod": prod, "cumsum": cumsum, "cumprod": cumprod,
    "amin": amin, "min": min, "argmin": argmin, "argmax": argmax, "all": all, "any": any,
    "sort": sort, "argsort": argsort, "topk": topk, "gather": gather, "scatter": scatter,
    "scatter_add": scatter_add, "index_select": index_select, "index_put": index_put,
    "masked_fill": masked_fill, "masked_select": masked_select, "take_along_dim": take_along_dim,
    "contiguous": contiguous, "is_contiguous": lambda x: x.array.flags.c_contiguous,
    "pad": pad, "unfold": unfold, "new": new,
    "t": t, "T": property(turned), "mT": property(matrix_turned),
}

for _name, _method in {**METHODS, **EXCHANGE}.items():
    setattr(Tensor, _name, _method)
