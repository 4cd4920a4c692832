"""Modules that hold modules or parameters: sequences and dictionaries of them."""
from __future__ import annotations

from collections.abc import (Iterable, Iterator, Mapping, MutableMapping,
                             MutableSequence)
from typing import Any

from tinyseq.nn.module import Module, joined
from tinyseq.tensor import Parameter, Tensor


def place(k: Any, length: int, word: str) -> int:
    """An index of a list, counted from the front."""
    if not isinstance(k, int) or isinstance(k, bool):
        raise TypeError(f"{word} is indexed by ints and slices, got {type(k).__name__}")
    if not -length <= k < length:
        raise IndexError(f"index {k} is out of range for {word} of {length}")
    return k % length


class ModuleList(Module, MutableSequence):
    """A list of modules, whose parameters are the owner's.

    Example:
        >>> import tinyseq as ts
        >>> layers = ModuleList(modules=[ts.nn.Linear(2, 2), ts.nn.Linear(2, 1)])
        >>> [name for name, _ in layers.append(ts.nn.Linear(1, 1, bias=False)).named_parameters()]
        ['0.weight', '0.bias', '1.weight', '1.bias', '2.weight']
        >>> _ = layers.insert(0, ts.nn.Tanh())
        >>> layers.pop(1), len(layers)
        (Linear(in_features=2, out_features=2, bias=True), 3)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def append(self, module: Module) -> Any:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add several at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Add a module before the one at `index`; those behind it are counted anew."""
        held = list(self)
        held.insert(index, module)
        return self._hold(held)

    def _hold(self, modules: list[Module]) -> Any:
        """Have these modules and no others, numbered from 0."""
        for module in modules:
            if not isinstance(module, Module):
                raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._modules.clear()
        return self.extend(modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._modules.values()))

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, slice):
            return self._of(list(self)[k])
        return list(self)[place(k, len(self), type(self).__name__)]

    def __setitem__(self, k: Any, module: Any) -> None:
        setattr(self, str(place(k, len(self), type(self).__name__)), module)

    def __delitem__(self, k: Any) -> None:
        held = list(self)
        del held[k if isinstance(k, slice) else place(k, len(self), type(self).__name__)]
        self._hold(held)

    def __add__(self, others: Iterable[Module]) -> Any:
        return self._of([*self, *others])

    @classmethod
    def _of(cls, modules: list[Module]) -> Any:
        return ModuleList(modules)


class Sequential(ModuleList):
    """Modules one after the other: each gets what the one before gave.

    Example:
        >>> import tinyseq as ts
        >>> model = Sequential(ts.nn.Linear(3, 2), ts.nn.Linear(2, 1))
        >>> model(ts.ones(5, 3)).shape, len(model[:1])
        ((5, 1), 1)
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping) \
                and not isinstance(modules[0], Module):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self.extend(modules)

    @classmethod
    def _of(cls, modules: list[Module]) -> Any:
        return Sequential(*modules)

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input


class ModuleDict(Module, MutableMapping):
    """Modules under names.

    Example:
        >>> import tinyseq as ts
        >>> parts = ModuleDict(modules={"up": ts.nn.Linear(2, 3), "down": ts.nn.Linear(3, 2)})
        >>> parts["up"].out_features, list(parts), parts.pop("down").out_features
        (3, ['up', 'down'], 2)
    """

    __eq__, __hash__ = object.__eq__, object.__hash__  # a module is itself, whatever it holds

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        self.update(modules or {})

    def __getitem__(self, name: str) -> Any:
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        del self._modules[name]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)


def owned(value: Any) -> Parameter:
    """A parameter; a plain tensor becomes one."""
    if isinstance(value, Parameter):
        return value
    if not isinstance(value, Tensor):
        raise TypeError(f"expected a Parameter or a Tensor, got {type(value).__name__}")
    return Parameter(value.array)


def described(parameters: Mapping[str, Any]) -> str:
    """The lines of a repr that say what parameters there are: torch's."""
    return "\n".join([f"({name}): Parameter containing: [torch.{p.dtype} of size "
                      f"{'x'.join(map(str, p.shape))}]" for name, p in parameters.items()])


class ParameterList(Module, MutableSequence):
    """A list of parameters.

    Example:
        >>> import tinyseq as ts
        >>> ParameterList(values=[ts.zeros(2), ts.ones(3)])[1].shape
        (3,)
    """

    def __init__(self, values: Iterable[Any] = ()) -> None:
        super().__init__()
        self.extend(values)

    def append(self, value: Any) -> Any:
        """Add a parameter at the end."""
        self.register_parameter(str(len(self)), owned(value))
        return self

    def extend(self, values: Iterable[Any]) -> Any:
        """Add several at the end."""
        for value in list(values):
            self.append(value)
        return self

    def insert(self, index: int, value: Any) -> Any:
        """Add a parameter before the one at `index`."""
        held = list(self)
        held.insert(index, owned(value))
        return self._hold(held)

    def _hold(self, values: list[Any]) -> Any:
        """Have these parameters and no others, numbered from 0."""
        self._parameters.clear()
        for k, value in enumerate(values):
            value.label = joined(self._path, str(k))
        return self.extend(values)

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._parameters.values()))

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, slice):
            return ParameterList(list(self)[k])
        return list(self)[place(k, len(self), "ParameterList")]

    def __setitem__(self, k: Any, value: Any) -> None:
        self.register_parameter(str(place(k, len(self), "ParameterList")), owned(value))

    def __delitem__(self, k: Any) -> None:
        held = list(self)
        del held[k if isinstance(k, slice) else place(k, len(self), "ParameterList")]
        self._hold(held)

    def extra_repr(self) -> str:
        return described(self._parameters)


class ParameterDict(Module, MutableMapping):
    """Parameters under names.

    Example:
        >>> import tinyseq as ts
        >>> ParameterDict(parameters={"gain": ts.ones(3)})["gain"].shape
        (3,)
    """

    __eq__, __hash__ = object.__eq__, object.__hash__  # a module is itself, whatever it holds

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self.update(parameters or {})

    def __getitem__(self, name: str) -> Any:
        return self._parameters[name]

    def __setitem__(self, name: str, value: Any) -> None:
        parameter = owned(value)
        self.register_parameter(name, parameter)
        parameter.label = joined(self._path, name)

    def __delitem__(self, name: str) -> None:
        del self._parameters[name]

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def extra_repr(self) -> str:
        return described(self._parameters)
