"""A module called with other tensors in the place of its parameters."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinyseq.tensor import Tensor


def functional_call(module: Any, tensors: Mapping[str, Tensor], args: Any = (),
                    kwargs: Any = None) -> Any:
    """Call a module with `tensors` standing in for the parameters and buffers of those names.

    The module itself is left as it was, also after an error.
    Errors: KeyError naming a name that the module does not have.
    Example:
        >>> import tinyseq as ts
        >>> layer = ts.nn.Linear(2, 1)
        >>> new = {"weight": ts.ones(1, 2), "bias": ts.zeros(1)}
        >>> functional_call(layer, new, (ts.tensor([3.0, 4.0]),))
        tensor([7.])
    """
    owners = []
    places = dict(module.named_modules(remove_duplicate=False))
    for name, t in tensors.items():
        path, _, last = name.rpartition(".")
        owner = places.get(path)
        kinds = [] if owner is None else [kind for kind in (owner._parameters, owner._buffers)
                                          if last in kind]
        if not kinds:
            raise KeyError(f"{type(module).__name__} has no parameter or buffer {name!r}")
        owners.append((kinds[0], last, kinds[0][last], t))
    operands = args if isinstance(args, tuple) else (args,)
    try:
        for kind, last, _, t in owners:
            kind[last] = t
        return module(*operands, **(kwargs or {}))
    finally:
        for kind, last, own, _ in reversed(owners):
            kind[last] = own
