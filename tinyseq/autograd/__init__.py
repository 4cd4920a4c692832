"""Derivatives: of any tensors with respect to any, one's own operations, and what goes wrong."""
from __future__ import annotations

import importlib
from typing import Any

from tinyseq.autograd.anomaly import detect_anomaly
from tinyseq.autograd.function import Function, once_differentiable
from tinyseq.autograd.gradient import backward, grad
from tinyseq.mode import (enable_grad, inference_mode, is_grad_enabled, no_grad,
                          set_grad_enabled)
from tinyseq.ops.legacy import Variable

__all__ = ["Function", "Variable", "backward", "detect_anomaly", "enable_grad", "grad",
           "inference_mode", "is_grad_enabled", "no_grad", "once_differentiable",
           "set_grad_enabled"]

ABOVE = {"functional": "tinyseq.func.functional", "gradcheck": "tinyseq.gradcheck",
         "gradgradcheck": "tinyseq.gradcheck"}


def __getattr__(name: str) -> Any:
    """What torch has here and lies on floors above: found when it is first named."""
    if name in ABOVE:
        module = importlib.import_module(ABOVE[name])
        return module if name == "functional" else getattr(module, name)
    raise AttributeError(f"module 'tinyseq.autograd' has no attribute {name!r}")
