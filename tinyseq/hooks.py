"""What is seen as backward passes: hooks, which may replace a gradient, and what `keep=` names."""
from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from tinyseq.errors import GraphError
from tinyseq.graph import Node
from tinyseq.tensor import Tensor, wrap


class Hook:
    """What `register_hook` returns: `remove()` takes the hook off again."""

    def __init__(self, owner: Any, function: Callable) -> None:
        self.owner, self.function = weakref.ref(owner), function  # (a strong one were a circle)

    def remove(self) -> None:
        """Take the hook off; a second time does nothing."""
        owner = self.owner()
        if owner is not None:
            owner.hooks = tuple(hook for hook in owner.hooks if hook is not self)


def register_hook(self: Tensor, hook: Callable[[Tensor], Any]) -> Hook:
    """Call `hook(grad)` when this tensor's gradient is whole; what it returns replaces it.

    Errors: RuntimeError for a tensor that does not require grad; TypeError for no function.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([1.0, 2.0], requires_grad=True)
        >>> handle = x.register_hook(lambda gx: gx * 10)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([20., 40.])
    """
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if not callable(hook):
        raise TypeError(f"a hook must be a function of the gradient, got {type(hook).__name__}")
    owner: Any = self if self.node is None else self.node
    made = Hook(owner, hook)
    owner.hooks = (*getattr(owner, "hooks", ()), made)  # a leaf has the slot, empty at first
    return made


def hooked(hooks: tuple[Hook, ...], g: Any, graph: bool) -> Any:
    """A gradient after the hooks on it, in the order they were registered."""
    for hook in hooks:
        given = g if isinstance(g, Tensor) else wrap(g)
        found = hook.function(given)
        if found is None:
            continue
        if not isinstance(found, Tensor) or found.shape != given.shape:
            what = found.shape if isinstance(found, Tensor) else type(found).__name__
            raise GraphError(f"a hook must return None or a gradient of shape {given.shape}, "
                             f"got {what}")
        g = found if graph else found.array.astype(given.dtype, copy=False)
    return g


def named(node: Node, glob: str) -> bool:
    """Whether `backward(keep=glob)` names a node; what it names inside a fused one is kept now."""
    keep = getattr(node.op, "keep", None)
    if keep is not None:
        node.inside = keep(node, glob)
    return node.scope.matches(glob)
