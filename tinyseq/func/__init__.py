"""Functions of functions under torch.func's names: derivatives both ways, and batches."""
from __future__ import annotations

from tinyseq.func.derivatives import grad, grad_and_value, value_and_grad, vjp, jvp
from tinyseq.func.matrices import hessian, jacfwd, jacrev
from tinyseq.func.stateless import functional_call
from tinyseq.func.over_samples import vmap

__all__ = ["functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp",
           "value_and_grad", "vjp", "vmap"]
