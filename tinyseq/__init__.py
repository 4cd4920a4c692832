"""tinyseq: a microscope for backpropagation through time.

An autograd engine small enough to read in an evening, whose recorded graph knows time: every node
knows its layer, direction, time step and gate. Names, arguments and shapes are PyTorch's where
PyTorch has the thing. Importing it compiles nothing and does not import numba.
"""
from __future__ import annotations

from typing import Any

import numpy as _np

from tinyseq import errors
from tinyseq.array import default_dtype, set_default_dtype
from tinyseq.graph import Graph, Node
from tinyseq.ops import (OPS, add, amax, cat, chunk, clone, div, exp, flatten, from_dlpack, log,
                         log_softmax, logsumexp, manual_seed, matmul, max, mean, mul, narrow, neg,
                         permute, pow,
                         rand, randint, randn, relu, reshape, sigmoid, softmax, split, sqrt,
                         squeeze, stack, sub, sum, tanh, transpose, unsqueeze, where)
from tinyseq.scope import scope
from tinyseq.mode import detail, enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from tinyseq.tensor import Parameter, Tensor, wrap
from tinyseq.equations import Cell, cell
from tinyseq.layer import Weights
from tinyseq.unroll import step, unroll

from tinyseq.draw.record import draw  # (over the package of the same name)
from tinyseq.workspace import release_workspaces

__version__ = "0.1.0"

float32, float64, int64 = _np.dtype("float32"), _np.dtype("float64"), _np.dtype("int64")
bool = _np.dtype("bool")


def tensor(data: Any, dtype: Any = None, requires_grad: Any = False) -> Tensor:
    """A leaf tensor with a copy of the data; Python floats become the default dtype.

    Errors: TypeError or ValueError for what is not numbers; RuntimeError for an integer tensor
    that
        should require a gradient.
    Example:
        >>> tensor([[1.0, 2.0], [3.0, 4.0]]).shape
        (2, 2)
    """
    return Tensor(data, requires_grad=requires_grad, dtype=dtype)


def from_numpy(array: _np.ndarray) -> Tensor:
    """A tensor on the array's own memory: changing one changes the other."""
    if not isinstance(array, _np.ndarray):
        raise TypeError(f"from_numpy takes a numpy array, got {type(array).__name__}")
    return wrap(array)


def filled(value: float, shape: Any, dtype: Any, requires_grad: Any) -> Tensor:
    """A tensor full of one value, for zeros, ones and full."""
    sizes = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    made = wrap(_np.full(sizes, value, dtype or default_dtype()))
    return made.requires_grad_(requires_grad)


def zeros(*size: Any, dtype: Any = None, requires_grad: Any = False) -> Tensor:
    """Zeros: `ts.zeros(2, 3)` or `ts.zeros((2, 3))`."""
    return filled(0, size, dtype, requires_grad)


def ones(*size: Any, dtype: Any = None, requires_grad: Any = False) -> Tensor:
    """Ones: `ts.ones(2, 3)` or `ts.ones((2, 3))`."""
    return filled(1, size, dtype, requires_grad)


def zeros_like(t: Tensor) -> Tensor:
    """Zeros of t's shape and dtype."""
    return wrap(_np.zeros_like(t.array))


def ones_like(t: Tensor) -> Tensor:
    """Ones of t's shape and dtype."""
    return wrap(_np.ones_like(t.array))


def arange(*limits: Any, dtype: Any = None) -> Tensor:
    """Evenly spaced numbers: arange(stop), arange(start, stop) or arange(start, stop, step)."""
    made = _np.arange(*limits)
    return wrap(made.astype(dtype or (default_dtype() if made.dtype.kind == "f" else "int64")))


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
         "bptt": "tinyseq.bptt",
         "save": "tinyseq.io:save", "load": "tinyseq.io:load"}
