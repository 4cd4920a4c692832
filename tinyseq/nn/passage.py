"""`Passage`: one call of a module whose backward hooks see the gradients that pass through it."""
from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tinyseq.errors import GraphError
from tinyseq.ops import reshape
from tinyseq.scope import state
from tinyseq.tensor import Tensor, wrap

Gradients = tuple[Any, ...]  # for each argument a Tensor, or None where no gradient came
Places = tuple[Any, ...]     # for each argument a weak reference to its node, or None


class Watcher(NamedTuple):
    """What a node keeps to be looked at; unlike a user's `Hook` it does not know the node."""

    function: Callable[[Tensor], Any]


class Passage:
    """Nodes without effect on both sides of a call, at which gradients are seen and replaced.

    The nodes of all inputs are older than everything inside and were born one after the other;
    those of all outputs are younger. So when backward reaches the first of them, the gradients of
    all are whole, and the hooks are called once.
    """

    def __init__(self, module: Any, hooks: Sequence[Callable]) -> None:
        self.module, self.hooks = module, hooks
        self.inputs: Places = ()
        self.outputs: Places = ()
        self.sizes: list[Any] = []                 # (shape, dtype) of the inputs that are tensors
        self.grad_output: Gradients | None = None  # of the backward that is on its way
        self.coming: set[int] = set()              # the outputs that it has not reached yet
        self.found: dict[int, Any] = {}            # the gradients of the inputs likewise

    def entered(self, args: tuple) -> tuple:
        """The arguments of the call, those with a history behind nodes of their own."""
        self.sizes = [(x.shape, x.dtype) if isinstance(x, Tensor) else None for x in args]
        marked, self.inputs = self.marked(args, self.arrive)
        return marked

    def left(self, output: Any) -> Any:
        """The module's output, a Tensor or a tuple, likewise."""
        if not isinstance(output, tuple):
            (marked,), self.outputs = self.marked((output,), self.start)
            return marked
        several, self.outputs = self.marked(output, self.start)
        return type(output)(*several) if hasattr(output, "_fields") else several

    def marked(self, values: tuple, hook: Callable[[int, Tensor], Any]) -> tuple[tuple, Places]:
        """The same values, each behind a node at which `hook` sees its gradient; and the nodes."""
        made, places = [], []
        for k, x in enumerate(values):
            watched = isinstance(x, Tensor) and x.requires_grad and state.grad
            made.append(reshape(x, x.shape) if watched else x)
            places.append(weakref.ref(made[-1].node) if watched else None)
            if watched:
                made[-1].node.hooks = (Watcher(partial(hook, k)),)
        return tuple(made), tuple(places)

    def start(self, k: int, g: Tensor) -> None:
        """The gradient of output k, on its way in."""
        if k not in self.coming:  # another backward
            self.grad_output, self.found = gathered(self.outputs), {}
            self.coming = {n for n, one in enumerate(self.grad_output) if one is not None}
            if not any(self.inputs):
                self.without_inputs()
        self.coming.discard(k)

    def arrive(self, k: int, g: Tensor) -> Any:
        """The gradient of input k, on its way out."""
        if k not in self.found:
            if self.grad_output is None:
                return None  # it did not come through the outputs
            self.found = self.seen(gathered(self.inputs), self.grad_output)
            self.grad_output = None
        return self.found.pop(k)

    def seen(self, grads: Gradients, grad_output: Gradients) -> dict[int, Any]:
        """The gradients of the inputs that have one, after all hooks; the others' are zeros."""
        found = tuple([wrap(np.zeros(*size)) if g is None and size is not None else g
                       for g, size in zip(grads, self.sizes)])
        for hook in self.hooks:
            said = hook(self.module, found, grad_output)
            if said is None:
                continue
            found = said if isinstance(said, tuple) else (said,)
            if len(found) != len(grads):
                raise GraphError("Backward hook returned an invalid number of grad_input, got "
                                 f"{len(found)}, but expected {len(grads)}")
        return {k: wrap(np.zeros_like(g.array)) if found[k] is None else found[k]
                for k, g in enumerate(grads) if g is not None}

    def without_inputs(self) -> None:
        """Call the hooks where no input has a history: as in torch already at the outputs."""
        warnings.warn("Full backward hook is firing when gradients are computed with respect to "
                      "module outputs since no inputs require gradients", stacklevel=2)
        for hook in self.hooks:
            said = hook(self.module, (None,) * len(self.inputs), self.grad_output)
            if said is not None and any(g is not None for g in said):
                raise GraphError("Backward hook for Modules where no input requires gradient "
                                 "should always return None or None for all gradients.")
        self.grad_output = None


def gathered(places: Places) -> Gradients:
    """The gradients waiting on some nodes, as Tensors; None where there is none."""
    nodes = [None if ref is None else ref() for ref in places]
    return tuple([None if node is None or node.gy is None
                  else node.gy if isinstance(node.gy, Tensor) else wrap(node.gy)
                  for node in nodes])
