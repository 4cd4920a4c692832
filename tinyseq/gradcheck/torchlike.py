"""torch's names, signatures and meanings: `gradcheck`, `gradgradcheck`."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyseq.autograd import grad
from tinyseq.errors import GradcheckError
from tinyseq.gradcheck.checking import check
from tinyseq.gradcheck.trial import tensors
from tinyseq.ops.noise import generator
from tinyseq.tensor import Tensor, wrap


def gradcheck(func: Callable[..., Any], inputs: Tensor | Sequence[Tensor],
              eps: float | None = None, atol: float = 0.0, rtol: float | None = None,
              raise_exception: bool = True, check_sparse_nnz: bool = False,
              nondet_tol: float = 0.0, check_undefined_grad: bool = True,
              check_grad_dtypes: bool = False,
              check_batched_grad: bool = False, check_batched_forward_grad: bool = False,
              check_forward_ad: bool = False, check_backward_ad: bool = True,
              fast_mode: bool = False, masked: bool | None = None, *, method: str = "central",
              noise: float | None = None, allow_float32: bool = False) -> bool:
    """Check the gradients of `func` at `inputs`: torch's signature, a stricter rule.

    `method` is "central", "four-point", "complex", "forward" or "auto"; `fast_mode` takes random
    directions instead of every element. There are no sparse tensors to use torch's words for.
    Errors: GradcheckError naming the operation, the element and both numbers (with
        raise_exception=False: returns False); ValueError for inputs that cannot be checked.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([0.5, -2.0], dtype=ts.float64, requires_grad=True)
        >>> gradcheck(lambda x: (x * x).sum(), x)
        True
    """
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    named = {f"input {k}" + (f", {t.label}" if t.label else ""): t for k, t in enumerate(given)}
    methods = [method] * check_backward_ad + ["forward"] * check_forward_ad
    if not methods:
        raise ValueError("check_backward_ad=False and check_forward_ad=False: nothing to check")
    try:
        for name in methods:
            report = check(func, named, eps=eps, rtol=rtol, noise=noise, atol=atol, method=name,
                           fast=fast_mode, nondet=nondet_tol, undefined=check_undefined_grad,
                           allow_float32=allow_float32)
            if not report.ok:
                raise GradcheckError(str(report))
        if check_batched_grad or check_batched_forward_grad:
            batched(func, given)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(func: Callable[..., Any], inputs: Tensor | Sequence[Tensor],
                  grad_outputs: Tensor | Sequence[Tensor] | None = None, **options: Any) -> bool:
    """Check second derivatives: the gradients of `func`, for some cotangents, as a function.

    Without `grad_outputs` random ones are drawn; they are checked as inputs, too. `options` are
    `gradcheck`'s.
    Errors: as `gradcheck`.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([0.5, -2.0], dtype=ts.float64, requires_grad=True)
        >>> gradgradcheck(lambda x: x * x * x, x)
        True
    """
    named = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    gys = None if grad_outputs is None else tensors(grad_outputs)
    func, given = gradients(func, named, gys)
    return gradcheck(func, given, **options)


def gradients(func: Callable[..., Any], inputs: Sequence[Tensor],
              gys: Sequence[Tensor] | None = None) -> tuple[Callable[..., Any], list[Tensor]]:
    """(the gradients of a function as a function, its inputs: the function's and cotangents)."""
    if gys is None:
        words = generator.get_state()
        outputs = tensors(func(*inputs))
        generator.set_state(words)
        rng = np.random.default_rng(1)
        gys = [wrap(rng.normal(size=y.shape).astype(y.dtype)).requires_grad_()
               for y in outputs if y.requires_grad]
    wanted = [k for k, t in enumerate(inputs) if t.requires_grad]

    def first(*args: Tensor) -> list[Tensor]:
        given = args[:len(inputs)]
        ys = [y for y in tensors(func(*given)) if y.requires_grad]
        found = grad(ys, [given[k] for k in wanted], list(args[len(inputs):]),
                     create_graph=True, allow_unused=True)
        return [g for g in found if g is not None]

    return first, [*inputs, *gys]


def batched(func: Callable, inputs: Sequence[Tensor]) -> None:
    """Whether vmap over cotangents gives what a loop over them gives."""
    from tinyseq.func import vjp, vmap
    ys, back = vjp(func, *inputs)
    rng = np.random.default_rng(2)
    gs = [wrap(rng.normal(size=(3, *y.shape)).astype(y.dtype)) for y in tensors(ys)]
    pack = (lambda parts: parts[0]) if isinstance(ys, Tensor) else tuple
    together = tensors(vmap(lambda *g: back(pack(list(g))))(*gs))
    for k in range(3):
        for n, (a, b) in enumerate(zip(together, tensors(back(pack([g[k] for g in gs]))))):
            if not np.allclose(a.array[k], b.array, rtol=1e-12, atol=0):
                raise GradcheckError(f"vmap over cotangents gives another gradient of input {n} "
                                     "than one cotangent after the other")
