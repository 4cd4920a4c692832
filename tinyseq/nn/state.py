"""Loading a state_dict: all is compared first, so that a load that fails changes nothing."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tinyseq.mode import no_grad
from tinyseq.tensor import Tensor


class Keys(NamedTuple):
    """What `load_state_dict(strict=False)` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"Keys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def load(own: dict[str, Tensor], given: Mapping[str, Any], strict: bool, word: str) -> Keys:
    """Copy the given values into a module's own tensors; `word` names the module in errors."""
    if not isinstance(given, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(given)}.")
    keys = Keys([k for k in own if k not in given], [k for k in given if k not in own])
    values = {k: loadable(k, given[k], own[k]) for k in own if k in given}
    wrong = [f"size mismatch for {k}: copying a param with shape {torch_size(v.shape)} from "
             f"checkpoint, the shape in current model is {torch_size(own[k].shape)}."
             for k, v in values.items() if v.shape != own[k].shape]
    if strict:
        wrong = [f"{kind} key(s) in state_dict: " + ", ".join(f'"{k}"' for k in names) + ". "
                 for kind, names in zip(("Missing", "Unexpected"), keys) if names] + wrong
    if wrong:
        raise RuntimeError(f"Error(s) in loading state_dict for {word}:"
                           + "".join(f"\n\t{line}" for line in wrong))
    with no_grad():
        for name, value in values.items():
            own[name].change("load_state_dict", lambda a: np.copyto(a, value, "same_kind"))
    return keys


def torch_size(shape: tuple[int, ...]) -> str:
    """A shape as torch's messages write it."""
    return f"torch.Size({list(shape)})"


def loadable(key: str, value: Any, own: Tensor) -> np.ndarray:
    """A value of a state_dict as an array of the right kind."""
    if isinstance(value, Tensor):
        array = value.array
    elif hasattr(value, "__array__"):
        array = np.asarray(value.detach() if hasattr(value, "detach") else value)
    else:
        raise TypeError(f"state_dict[{key!r}] is a {type(value).__name__}: give a Tensor or a "
                        "numpy array")
    if array.dtype.kind != own.array.dtype.kind:
        raise TypeError(f"state_dict[{key!r}] has dtype {array.dtype}, expected "
                        f"{own.array.dtype}: convert it on purpose, .astype({own.dtype.name!r})")
    return array
