"""tinyseq: a microscope for backpropagation through time.

An autograd engine small enough to read in an evening, whose recorded graph knows time: every node
knows its layer, direction, time step and gate. Names, arguments and shapes are PyTorch's where
PyTorch has the thing. Importing it compiles nothing and does not import numba.
"""
from __future__ import annotations

from typing import Any

import numpy as _np

from tinyseq import cuda, errors
from tinyseq.array import default_dtype, default_dtype as get_default_dtype, set_default_dtype
from tinyseq.device import device  # (over the file of the same name, as draw below)
from tinyseq.graph import Graph, Node
from tinyseq.ops import (OPS, add, amax, cat, chunk, clone, div, exp, flatten, from_dlpack, log,
                         log_softmax, logsumexp, manual_seed, matmul, max, mean, mul, narrow, neg,
                         permute, pow,
                         rand, randint, randn, relu, reshape, sigmoid, softmax, split, sqrt,
                         squeeze, stack, sub, sum, tanh, transpose, unsqueeze, where)
from tinyseq.ops import (addmm, all, amin, any, argmax, argmin, argsort, bmm, broadcast_to,
                         cumprod, cumsum, diagonal, dot, einsum, flip, gather, index_put,
                         index_select, masked_fill, masked_select, min, mm, mv, norm, outer, pad,
                         prod, repeat, roll, scatter, scatter_add, select, sort, std,
                         take_along_dim, tile, topk, tril, triu, unbind, unfold, var)
from tinyseq.ops import (Generator, abs, allclose, arange, as_tensor, bernoulli, ceil, clamp,
                         clamp_max, clamp_min, cos, dropout, elu, empty, empty_like, eq, equal,
                         erf, erfc, expm1, eye, floor, floor_divide, fmod, from_numpy, full,
                         full_like, ge, gelu, gt, hardsigmoid, hardtanh, isclose, isfinite, isinf,
                         isnan, le,
                         leaky_relu, lerp, linspace, log1p, logical_and, logical_not, logical_or,
                         logical_xor, lt, maximum, minimum, multinomial, ne, normal, one_hot, ones,
                         ones_like, rand_like, randn_like, randperm, reciprocal, remainder, round,
                         rsqrt, sign, silu, sin, softplus, softsign, square, tensor, trunc, zeros,
                         zeros_like)
from tinyseq.ops import is_floating_point, is_tensor, numel
from tinyseq.ops.generator import get_rng_state, initial_seed, set_rng_state
from tinyseq.ops.legacy import (BoolTensor, ByteTensor, DoubleTensor, FloatTensor, IntTensor,
                                LongTensor)
from tinyseq.ops import broadcast_to as expand, cat as concat, reshape as view
from tinyseq.scope import scope
from tinyseq.mode import detail, enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from tinyseq.tensor import Parameter, Tensor
from tinyseq.equations import Cell, cell
from tinyseq.layer import Weights
from tinyseq.unroll import step, unroll

from tinyseq.draw.record import draw  # (over the package of the same name)
from tinyseq.probe import probe  # (likewise)
from tinyseq.workspace import release_workspaces

__version__ = "0.1.0"

float32, float64, int64 = _np.dtype("float32"), _np.dtype("float64"), _np.dtype("int64")
int32, uint8, bool = _np.dtype("int32"), _np.dtype("uint8"), _np.dtype("bool")
float, double, long, int = float32, float64, int64, int32  # torch's other names


def graph(tensors: Any) -> Graph:
    """The recorded graph of one tensor or of several: its nodes by birth, for looking at.

    Errors: GraphError for a tensor without history.
    """
    roots = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    missing = [t for t in roots if t.node is None]
    if missing:
        raise errors.GraphError("this tensor has no history: it is a leaf, or was made under "
                                "no_grad, or from tensors that do not require grad")
    return Graph([t.node for t in roots if t.node is not None])


def __getattr__(name: str) -> Any:
    """The larger parts are imported when they are first named: `import tinyseq` stays light."""
    import importlib
    if name in LATER:
        module, _, attribute = LATER[name].partition(":")
        found = importlib.import_module(module)
        found = getattr(found, attribute) if attribute else found
        globals()[name] = found
        return found
    raise AttributeError(f"module 'tinyseq' has no attribute {name!r}")


LATER = {"nn": "tinyseq.nn", "optim": "tinyseq.optim", "data": "tinyseq.data",
         "autograd": "tinyseq.autograd", "func": "tinyseq.func", "vmap": "tinyseq.func:vmap",
         "inference_mode": "tinyseq.mode:inference_mode", "cells": "tinyseq.cells",
         "gradcheck_report": "tinyseq.gradcheck:gradcheck_report",
         "bptt": "tinyseq.bptt", "bugs": "tinyseq.bugs", "convert": "tinyseq.convert",
         "utils": "tinyseq.utils", "save": "tinyseq.io:save", "load": "tinyseq.io:load"}
