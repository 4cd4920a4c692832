"""torch.autograd.functional: Jacobians, Hessians and their products, of a function at a point."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq import func as transforms
from tinyseq import tree
from tinyseq.errors import ShapeError
from tinyseq.graph import collect
from tinyseq.mode import enable_grad
from tinyseq.tensor import Tensor, wrap

STRATEGIES = {"reverse-mode": transforms.jacrev, "forward-mode": transforms.jacfwd}


def jacobian(func: Callable, inputs: Any, create_graph: bool = False, strict: bool = False,
             vectorize: bool = False, strategy: str = "reverse-mode") -> Any:
    """All derivatives of all outputs with respect to all inputs.

    Shapes: (*output, *input); tuples of such for several outputs or inputs.
    Errors: RuntimeError with strict=True for an output that does not depend on an input.
    Example:
        >>> import tinyseq as ts
        >>> jacobian(lambda x: x * x, ts.tensor([1.0, 2.0]))
        tensor([[2., 0.],
                [0., 4.]])
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {strategy!r}")
    args, chosen = unpacked(inputs)
    if strict:
        refuse_constant(func, args)
    with enable_grad():
        return finished(STRATEGIES[strategy](func, chosen)(*args), create_graph)


def hessian(func: Callable, inputs: Any, create_graph: bool = False, strict: bool = False,
            vectorize: bool = False, outer_jacobian_strategy: str = "reverse-mode") -> Any:
    """The second derivatives of a function with one number as its output.

    Shapes: (*input, *input); tuples of tuples of such for several inputs.
    Example:
        >>> import tinyseq as ts
        >>> hessian(lambda x: (x ** 3.0).sum(), ts.tensor([1.0, 2.0]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])
    """
    args, chosen = unpacked(inputs)
    if strict:
        refuse_constant(func, args)
    outer = STRATEGIES[outer_jacobian_strategy]
    with enable_grad():
        return finished(outer(transforms.jacrev(scalar(func), chosen), chosen)(*args),
                        create_graph)


def vjp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Any, Any]:
    """The outputs and v^T J: reverse mode, one walk. `v` may be left out for one number.

    Example:
        >>> import tinyseq as ts
        >>> vjp(lambda x: (x * x).sum(), ts.tensor([1.0, 2.0]))
        (tensor(5.), tensor([2., 4.]))
    """
    args, chosen = unpacked(inputs)
    if strict:
        refuse_constant(func, args)
    with enable_grad():
        y, pull = transforms.vjp(func, *args)
        found = pull(v if v is not None else one(y))
    return finished(y, create_graph), finished(found if isinstance(chosen, tuple) else found[0],
                                               create_graph)


def jvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Any, Any]:
    """The outputs and J v: forward mode, one push. `v` may be left out for one number.

    Example:
        >>> import tinyseq as ts
        >>> jvp(lambda x: x * x, ts.tensor([1.0, 2.0]), ts.tensor([1.0, 10.0]))
        (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    args, _ = unpacked(inputs)
    if strict:
        refuse_constant(func, args)
    way = one(args[0]) if v is None else v
    with enable_grad():
        y, found = transforms.jvp(func, args, way if isinstance(way, tuple) else (way,))
    return finished(y, create_graph), finished(found, create_graph)


def hvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Any, Any]:
    """The output and H v: forward mode over reverse mode, without the Hessian.

    Example:
        >>> import tinyseq as ts
        >>> hvp(lambda x: (x ** 3.0).sum(), ts.tensor([1.0, 2.0]), ts.tensor([1.0, 1.0]))
        (tensor(9.), tensor([ 6., 12.]))
    """
    args, chosen = unpacked(inputs)
    if strict:
        refuse_constant(func, args)
    way = one(args[0]) if v is None else v
    both = transforms.value_and_grad(scalar(func), chosen)
    with enable_grad():
        (y, _), (_, found) = transforms.jvp(both, args, way if isinstance(way, tuple) else (way,))
    return finished(y, create_graph), finished(found, create_graph)


def vhp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> tuple[Any, Any]:
    """The output and v^T H, which is H v, since a Hessian is symmetric."""
    return hvp(func, inputs, v, create_graph, strict)


def unpacked(inputs: Any) -> tuple[tuple, Any]:
    """The inputs as a tuple, and which are asked for: 0 for a single tensor."""
    if isinstance(inputs, Tensor):
        return (inputs,), 0
    args = tuple(inputs)
    return args, tuple(range(len(args)))


def finished(found: Any, create_graph: bool) -> Any:
    """Results with their history, or without."""
    return tree.mapped(lambda t: t if create_graph or not t.requires_grad else t.detach(), found)


def one(t: Any) -> Tensor:
    """The cotangent or tangent 1 of a single number."""
    if not isinstance(t, Tensor) or t.numel() != 1:
        raise RuntimeError("v may be left out only for a single number; give one tensor for each, "
                           "of its shape")
    return wrap(np.ones(t.shape, t.dtype))


def scalar(func: Callable) -> Callable:
    """The function, checked to give one number."""
    def checked(*args: Any) -> Tensor:
        y = func(*args)
        if not isinstance(y, Tensor) or y.numel() != 1:
            raise ShapeError("the function must give a single number to have a Hessian, got "
                             + (str(y.shape) if isinstance(y, Tensor) else type(y).__name__))
        return y if y.ndim == 0 else y.reshape(())
    return checked


def refuse_constant(func: Callable, args: tuple) -> None:
    """Refuse an output that does not depend on some input."""
    twins = tuple([t.detach().requires_grad_() for t in args])
    with enable_grad():
        outputs = tree.leaves(func(*twins))
    for k, y in enumerate(outputs):
        nodes = [] if y.node is None else collect([y.node])
        reached = {p for node in nodes for p in node.inputs}
        for n, t in enumerate(twins):
            if t not in reached:
                raise RuntimeError(f"strict=True: output {k} of the function does not depend on "
                                   f"input {n}")
