"""`grad` and `backward`: derivatives of any tensors with respect to any tensors."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.graph import Node, collect
from tinyseq.tensor import Tensor, wrap
from tinyseq.walk import commit, differentiate

Tensors = Any  # a Tensor, or a sequence of them


def grad(outputs: Tensors, inputs: Tensors, grad_outputs: Tensors = None,
         retain_graph: bool | None = None, create_graph: bool = False,
         allow_unused: bool = False) -> tuple[Tensor | None, ...]:
    """The derivatives of `outputs` with respect to `inputs`, leaves or not; no `.grad` changes.

    `grad_outputs` holds one cotangent for each output (None: ones, for a scalar). Only what lies
    between inputs and outputs is walked, and released unless `retain_graph`.
    Shapes: each result has its input's shape.
    Errors: RuntimeError for an input that does not require grad, or that the outputs do not depend
        on (allow_unused=True: its result is None).
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([1.0, 2.0], requires_grad=True)
        >>> y = x * x
        >>> grad((y * y).sum(), [x, y])
        (tensor([ 4., 32.]), tensor([2., 8.]))
        >>> (g,) = grad((x ** 3.0).sum(), x, create_graph=True)
        >>> grad(g.sum(), x)
        (tensor([ 6., 12.]),)
    """
    roots, wanted = several(outputs), several(inputs)
    for k, t in enumerate(wanted):
        if not t.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad: input "
                               f"{k} of shape {t.shape}; type t.requires_grad_() before it is "
                               "used")
    found = walk_to({t.node or t for t in wanted}, roots, matching(grad_outputs, roots),
                    retain_graph, create_graph)
    return tuple([result(found.get(t.node or t), t, k, allow_unused)
                  for k, t in enumerate(wanted)])


def walk_to(targets: set, roots: list[Tensor], cotangents: list, retain: bool | None,
            graph: bool) -> dict[Any, Any]:
    """The gradients of the targets, leaves and nodes; the walk ends where no target is left."""
    order = collect(root.node for root in roots if root.node is not None)
    leading = between(order, targets)
    within = [node for node in order if node in targets and node in leading]
    before = [node.keep for node in within]  # nodes passed on the way to further targets
    try:
        for node in within:
            node.keep = True
        found = differentiate(roots, cotangents, retain, graph,
                              stop=[node for node in order if node not in leading])
        found.update((node, node.gy) for node in within if node.gy is not None)
        return found
    finally:
        for node, keep in zip(within, before):
            node.keep = keep
            node.gy = node.gy if keep else None


def between(order: list[Node], targets: set) -> set[Node]:
    """The nodes that were made, directly or not, from a target."""
    leading: set[Node] = set()
    for node in reversed(order):
        if any(source in targets or source in leading for source in node.inputs):
            leading.add(node)
    return leading


def result(g: Any, t: Tensor, k: int, allow_unused: bool) -> Tensor | None:
    """One derivative as a tensor that shares memory with nothing."""
    if g is None and not allow_unused:
        raise RuntimeError("One of the differentiated Tensors appears to not have been used in "
                           f"the graph: input {k} of shape {t.shape}. Set allow_unused=True if "
                           "this is the desired behavior.")
    return g if g is None or isinstance(g, Tensor) else wrap(np.array(g, copy=True))


def backward(tensors: Tensors, grad_tensors: Tensors = None, retain_graph: bool | None = None,
             create_graph: bool = False, inputs: Tensors = None) -> None:
    """Add the derivatives of all `tensors` together to the `.grad` of every leaf.

    Errors: RuntimeError for a tensor without history, or one that is not a scalar and has no
        cotangent in `grad_tensors`.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor(3.0, requires_grad=True)
        >>> backward([x * x, 2.0 * x])
        >>> x.grad
        tensor(8.)
    """
    roots = several(tensors)
    grads = differentiate(roots, matching(grad_tensors, roots), retain_graph, create_graph)
    commit(grads, None if inputs is None else several(inputs))


def several(tensors: Any) -> list[Tensor]:
    """One tensor or several, as a list."""
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not found or not all(isinstance(t, Tensor) for t in found):
        raise TypeError("expected a Tensor or a sequence of Tensors, got "
                        + (", ".join(type(t).__name__ for t in found) or "an empty sequence"))
    return found


def matching(cotangents: Any, roots: list[Tensor]) -> list[Any]:
    """One cotangent for each root."""
    if cotangents is None:
        return [None] * len(roots)
    found = list(cotangents) if isinstance(cotangents, (tuple, list)) else [cotangents]
    if len(found) != len(roots):
        raise RuntimeError(f"got {len(roots)} tensors and {len(found)} gradients: give one for "
                           "each, or None")
    return found
