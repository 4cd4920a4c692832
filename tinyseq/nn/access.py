"""What modules share beside owning: hooks, lookup by name, changes of dtype."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyseq.mode import no_grad
from tinyseq.nn.passage import Passage
from tinyseq.ops.about import destination


class Handle:
    """Takes a hook back: `handle.remove()`."""

    def __init__(self, hooks: list[Any], entry: tuple[str, Callable]) -> None:
        self.hooks, self.entry = hooks, entry

    def remove(self) -> None:
        """Do not call the hook any more; a second call does nothing."""
        self.hooks[:] = [entry for entry in self.hooks if entry is not self.entry]


class Access:
    """Hooks, lookup and dtypes, for `Module`."""

    _hooks: list[Any]

    def register_forward_hook(self, hook: Callable) -> Handle:
        """Call hook(module, args, output) after forward; what it returns replaces the output.

        Example:
            >>> import tinyseq as ts
            >>> layer = ts.nn.Identity()
            >>> handle = layer.register_forward_hook(lambda module, args, output: output * 2)
            >>> layer(ts.ones(1))
            tensor([2.])
            >>> handle.remove()
            >>> layer(ts.ones(1))
            tensor([1.])
        """
        return self._hook("after", hook)

    def register_forward_pre_hook(self, hook: Callable) -> Handle:
        """Call hook(module, args) before forward; what it returns replaces the arguments."""
        return self._hook("before", hook)

    def register_full_backward_hook(self, hook: Callable) -> Handle:
        """Call hook(module, grad_input, grad_output) when backward has passed the module.

        Each is a tuple: of the positional arguments' gradients (None for those without one), and
        of the outputs'. What the hook returns, a tuple like grad_input, replaces that.
        Example:
            >>> import tinyseq as ts
            >>> layer, x = ts.nn.Tanh(), ts.zeros(1, requires_grad=True)
            >>> handle = layer.register_full_backward_hook(
            ...     lambda module, grad_input, grad_output: (grad_output[0] * 10,))
            >>> (layer(x) * 2).sum().backward()
            >>> x.grad
            tensor([20.])
        """
        return self._hook("backward", hook)

    def _hook(self, when: str, hook: Callable) -> Handle:
        if not callable(hook):
            raise TypeError(f"a hook must be a function, got {type(hook).__name__}")
        entry = (when, hook)
        self._hooks.append(entry)
        return Handle(self._hooks, entry)

    def _hooked(self, *args: Any, **kwargs: Any) -> Any:
        """forward, with its hooks in the order in which they were registered."""
        hooks = list(self._hooks)
        for hook in [hook for when, hook in hooks if when == "before"]:
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        back = [hook for when, hook in hooks if when == "backward"]
        passage = Passage(self, back) if back else None
        if passage is not None:
            args = passage.entered(args)
        output = self.forward(*args, **kwargs)  # type: ignore[attr-defined]
        for hook in [hook for when, hook in hooks if when == "after"]:
            changed = hook(self, args, output)
            output = output if changed is None else changed
        return output if passage is None else passage.left(output)

    def get_submodule(self, target: str) -> Any:
        """The module of a dotted name; "" is this one. Errors: AttributeError naming it."""
        found: Any = self
        for name in target.split(".") if target else ():
            below = found._modules.get(name)
            if below is None:
                raise AttributeError(f"{type(found).__name__} has no module {name!r} (looking "
                                     f"for {target!r}); it has {', '.join(found._modules)}")
            found = below
        return found

    def get_parameter(self, target: str) -> Any:
        """The parameter of a dotted name. Errors: AttributeError naming it."""
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._parameters.get(name)
        if found is None:
            raise AttributeError(f"{type(self).__name__} has no parameter {target!r}")
        return found

    def get_buffer(self, target: str) -> Any:
        """The buffer of a dotted name. Errors: AttributeError naming it."""
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._buffers.get(name)
        if found is None:
            raise AttributeError(f"{type(self).__name__} has no buffer {target!r}")
        return found

    # -- dtype ----------------------------------------------------------------------------
    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Change the dtype of all floating point parameters, buffers and gradients, in place.

        The arguments are those of `Tensor.to`: a dtype, a device, both, or a tensor to be like.
        Errors: TypeError for a dtype that is not floating point.
        Example:
            >>> import tinyseq as ts
            >>> ts.nn.Linear(1, 1).to("cpu", ts.float64).weight.dtype.name
            'float64'
        """
        module: Any = self
        wanted, _ = destination(args, **kwargs)
        if wanted is None:
            return self
        if wanted.kind != "f":
            raise TypeError(f"a module can be changed to float32 or float64, not to {wanted}")
        with no_grad():
            for _, t in (*module.named_parameters(), *module.named_buffers()):
                if t.array.dtype.kind == "f" and t.array.dtype != wanted:
                    gradient = None if t.grad is None else t.grad.array.astype(wanted)
                    t.array = t.array.astype(wanted)
                    t.change("Module.to", lambda a: None)
                    t.grad = gradient
        return self

    def type(self, dst_type: Any) -> Any:
        return self.to(dst_type)

    def cpu(self) -> Any:
        return self

    def float(self) -> Any:
        return self.to(np.float32)

    def double(self) -> Any:
        return self.to(np.float64)
