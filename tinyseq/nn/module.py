"""`Module`: parameters, buffers and modules under names, in the order they were assigned."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tinyseq.nn.access import Access
from tinyseq.nn.ran import Ran
from tinyseq.nn.state import Keys, load
from tinyseq.scope import births, state
from tinyseq.tensor import Parameter, Tensor, wrap


class Module(Access):
    """A part of a model: owns Parameters, buffers and other Modules; `forward` computes.

    Calling a module enters the scope of its name, so that every recorded node knows its place.

    Example:
        >>> import tinyseq as ts
        >>> class Net(ts.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.readout = ts.nn.Linear(2, 1)
        ...     def forward(self, x):
        ...         return self.readout(x)
        >>> net = Net()
        >>> [name for name, _ in net.named_parameters()]
        ['readout.weight', 'readout.bias']
        >>> ts.graph(net(ts.ones(3, 2))).nodes
        [<linear at readout (3, 1)>]
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _ran: Ran

    def __init__(self) -> None:
        self.__dict__.update(_parameters={}, _buffers={}, _modules={}, _transient=(), _path="",
                             _name="", _hooks=[], _ran=Ran(), training=True)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward: write "
                                  "`def forward(self, x): ...` in the class")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        forward, ran = self._hooked if self._hooks else self.forward, self._ran
        before = state.scope
        ran.scope = state.scope = before.child(self._name) if self._name else before
        ran.birth = next(births)
        try:
            return forward(*args, **kwargs)
        finally:
            state.scope = before

    # -- names ----------------------------------------------------------------------------
    def __getattr__(self, name: str) -> Any:
        parts = self.__dict__
        if "_modules" not in parts:
            raise AttributeError(f"{type(self).__name__} has no {name!r} yet: call "
                                 "super().__init__() first in its __init__")
        for kind in ("_parameters", "_buffers", "_modules"):
            if name in parts[kind]:
                return parts[kind][name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__:
            raise AttributeError(f"cannot assign {name!r} before Module.__init__() call: type "
                                 f"super().__init__() first in {type(self).__name__}.__init__")
        if isinstance(value, Parameter):
            self.__dict__.pop(name, None)
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self.__dict__.pop(name, None)
            self.register_module(name, value)
        elif name in self._parameters:
            refuse(value, name, "as parameter", "Parameter or None expected: wrap it, "
                   f"nn.Parameter(...), or change the values: self.{name}.copy_(...) in no_grad")
            self._parameters[name] = None
        elif name in self._modules:
            refuse(value, name, "as child module", "Module or None expected")
            self._modules[name] = None
        elif name in self._buffers:
            self.register_buffer(name, value, name not in self._transient)
        else:
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        for kind in (self._parameters, self._buffers, self._modules):
            if name in kind:
                del kind[name]
                return
        object.__delattr__(self, name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Own a Parameter under a name; None keeps the name for a parameter that is absent."""
        if param is not None and not isinstance(param, Parameter):
            refuse(param, name, "object to parameter", "Parameter or None required")
        self._vacate(name, self._parameters, "parameter")
        self._parameters[name] = param
        if param is not None and param.label is None:
            param.label = joined(self._path, name)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Own a tensor that is saved with the parameters but not trained."""
        if tensor is not None and not isinstance(tensor, Tensor):
            refuse(tensor, name, "object to buffer", "Tensor or None required")
        self._vacate(name, self._buffers, "buffer")
        self._buffers[name] = tensor
        kept = tuple(k for k in self._transient if k != name)
        self.__dict__["_transient"] = kept if persistent else (*kept, name)

    def register_module(self, name: str, module: Module) -> None:
        """Own a module under a name; what it owns learns its new place."""
        if any(part is self for part in module.modules()):
            raise ValueError(f"a module cannot be a part of itself (assigned as {name!r})")
        self._vacate(name, self._modules, "module")
        self._modules[name] = module
        place = joined(self._path, name)
        for path, part in module.named_modules(prefix=place):
            part.__dict__.update(_path=path, _name=path.rpartition(".")[2])
        for path, parameter in module.named_parameters(prefix=place):
            parameter.label = path

    def add_module(self, name: str, module: Module | None) -> None:
        """`register_module`, which refuses what is no module."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass (as {name!r})")
        self.register_module(name, module)

    def _vacate(self, name: str, kind: dict, word: str) -> None:
        """Refuse an impossible name; whatever else had it gives it up."""
        if not isinstance(name, str):
            raise TypeError(f"{word} name should be a string, got {type(name).__name__}")
        if name == "" or "." in name:
            why = 'contain "."' if name else 'be empty string ""'
            raise KeyError(f"{word} name can't {why}, got {name!r}")
        if name in self.__dict__ or hasattr(type(self), name):
            raise KeyError(f"attribute {name!r} already exists")
        for other in (self._parameters, self._buffers, self._modules):
            if other is not kind:
                other.pop(name, None)

    # -- looking around -------------------------------------------------------------------
    def children(self) -> Iterator[Module]:
        """The modules owned directly."""
        return (module for _, module in self.named_children())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return ((name, m) for name, m in self._modules.items() if m is not None)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below, each once, owners first."""
        return (m for _, m in self.named_modules(remove_duplicate=remove_duplicate))

    def named_modules(self, prefix: str = "",
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        stack, seen = [(prefix, self)], set()
        while stack:
            path, module = stack.pop()
            if module in seen and remove_duplicate:
                continue
            seen.add(module)
            yield path, module
            stack += [(joined(path, name), m) for name, m in module.named_children()][::-1]

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once, in the order of registration."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_parameters(self, prefix: str = "", recurse: bool = True,
                         remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True,
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def _named(self, kind: str, prefix: str, recurse: bool, once: bool) -> Iterator[Any]:
        seen = set()
        for path, module in self.named_modules(prefix, once) if recurse else [(prefix, self)]:
            for name, tensor in module.__dict__[kind].items():
                if tensor is not None and not (once and tensor in seen):
                    seen.add(tensor)
                    yield joined(path, name), tensor

    def __repr__(self) -> str:
        lines = [line for line in self.extra_repr().split("\n") if line]
        parts = [f"({name}): " + repr(m).replace("\n", "\n  ")
                 for name, m in self._modules.items()]
        inside = ", ".join(lines) if not parts and len(lines) < 2 \
            else "\n  " + "\n  ".join(lines + parts) + "\n"
        return f"{type(self).__name__}({inside})"

    def extra_repr(self) -> str:
        """What stands between the brackets of the repr; for subclasses to say."""
        return ""

    # -- state ----------------------------------------------------------------------------
    def state_dict(self, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """All parameters and buffers by dotted name, tied ones under each name.

        They are copies, unless `keep_vars` asks for the very tensors.
        """
        return {prefix + name: t if keep_vars else wrap(t.array.copy())
                for name, t in self._state().items()}

    def _state(self) -> dict[str, Tensor]:
        return {joined(path, name): tensor
                for path, module in self.named_modules(remove_duplicate=False)
                for kind in (module._parameters, module._buffers)
                for name, tensor in kind.items()
                if tensor is not None and not (kind is module._buffers
                                               and name in module._transient)}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Keys:
        """Copy values in by dotted name: tinyseq tensors, numpy arrays or torch tensors.

        Floats may change between float32 and float64. A load that fails changes nothing.
        Errors: RuntimeError listing every missing, unexpected and misshapen key at once;
            TypeError naming the key of a value that is no array or of another kind.
        """
        return load(self._state(), state_dict, strict, type(self).__name__)

    # -- changing all at once -------------------------------------------------------------
    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call `fn` on every module, parts before owners."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Module:
        """Tell this module and all below that they are being trained, or not."""
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be boolean, got {mode!r}")
        for module in self.modules():
            module.__dict__["training"] = mode
        return self

    def eval(self) -> Module:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients (or set them to zero)."""
        for parameter in self.parameters():
            if set_to_none or parameter.grad is None:
                parameter.grad = None
            else:
                parameter.grad = np.zeros_like(parameter.array)


def joined(path: str, name: str) -> str:
    """A dotted name."""
    return f"{path}.{name}" if path else name


def refuse(value: Any, name: str, where: str, expected: str) -> None:
    """TypeError for an assignment over something that a module owns; None is allowed."""
    if value is not None:
        raise TypeError(f"cannot assign '{type(value).__name__}' {where} {name!r} ({expected})")
