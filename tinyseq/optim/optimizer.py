"""`Optimizer`: parameters in groups, their state, and one step that refuses NaN and infinity."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tinyseq.errors import NonFiniteError
from tinyseq.mode import enable_grad, no_grad
from tinyseq.tensor import Tensor, wrap

Group = dict[str, Any]


class Optimizer:
    """What all optimizers share; each says in `update` how one parameter changes.

    `param_groups` is a list of dicts, each with "params" and its own settings, which may be
    changed between steps; `state` holds each parameter's own numbers.
    Errors: ValueError and TypeError naming the argument, NonFiniteError naming the parameters.
    """

    def __init__(self, params: Any, defaults: Group, allow_nonfinite: bool = False) -> None:
        self.defaults = defaults
        self.allow_nonfinite = allow_nonfinite
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self._room: dict[np.dtype, np.ndarray] = {}
        if not isinstance(params, Iterable) or isinstance(params, (Tensor, set, frozenset, str)):
            raise TypeError("params argument given to the optimizer should be a list or a "
                            "generator of Tensors, or a list of dicts, got "
                            f"{type(params).__name__}: type model.parameters()")
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list (a generator that was used "
                             "up looks like one, too)")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def check(self, group: Group) -> None:
        """Refuse settings that cannot work; for subclasses to say."""

    def update(self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], group: Group) -> None:
        """Change `p` in place by its gradient `g`, which stays as it is."""
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def add_param_group(self, group: Group) -> None:
        """Optimize further parameters, with settings of their own where the dict gives them."""
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError("a param group must be a dict with 'params' in it, got a "
                            f"{type(group).__name__}")
        given = group["params"]
        if isinstance(given, (set, frozenset)):
            raise TypeError("optimizer parameters need to be in an order that stays the same: "
                            "give a list, not a set")
        params = [given] if isinstance(given, Tensor) else list(given)
        unknown = [k for k in group if k not in self.defaults and k != "params"]
        if unknown:
            raise ValueError(f"{type(self).__name__} has no setting {unknown[0]!r}; it has "
                             f"{', '.join(self.defaults)}")
        known = [p for _, p in self._all()]
        for k, p in enumerate(params):
            if not isinstance(p, Tensor):
                raise TypeError("optimizer can only optimize Tensors, but one of the params is "
                                f"{type(p).__name__}")
            if not p.is_leaf:
                raise ValueError(f"can't optimize a non-leaf Tensor: parameter {k} of shape "
                                 f"{p.shape} was made by {p.node.op.name if p.node else ''}")
            if any(p is other for other in (*known, *params[:k])):
                raise ValueError(f"{named(p, k)} appears twice among the optimizer's parameters")
        made = {**self.defaults, **group, "params": params}
        self.check(made)
        self.param_groups.append(made)

    def _all(self) -> Iterator[tuple[Group, Tensor]]:
        return ((group, p) for group in self.param_groups for p in group["params"])

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (or set them to zero)."""
        for _, p in self._all():
            p.grad = None if set_to_none or p.grad is None else np.zeros_like(p.array)

    # -- the step -------------------------------------------------------------------------
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; all of them, or on an error none.

        `closure`, if given, computes the loss anew before; its value is returned.
        Errors: NonFiniteError naming the parameters whose gradient has a NaN or an infinity,
            unless the optimizer was made with allow_nonfinite=True.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        work = [(group, p, p.grad.array) for group, p in self._all() if p.grad is not None]
        if not self.allow_nonfinite:
            wrong = [named(p, k) for k, (_, p, g) in enumerate(work) if not finite(g)]
            if wrong:
                raise NonFiniteError(
                    f"{type(self).__name__}.step: the gradients of {', '.join(wrong)} are not "
                    "finite; nothing was changed. Lower the learning rate or clip the gradients, "
                    "or make the optimizer with allow_nonfinite=True")
        by = f"{type(self).__name__}.step"
        with no_grad(), np.errstate(all="ignore"):
            for group, p, g in work:
                state = self.state.setdefault(p, {})
                p.change(by, lambda array: self.update(array, g, state, group))
        return loss

    def scratch(self, like: np.ndarray) -> list[np.ndarray]:
        """Two arrays of one shape to compute in, the same memory at every step."""
        room = self._room.get(like.dtype)
        if room is None or room.shape[1] < like.size:
            room = self._room[like.dtype] = np.empty((2, like.size), like.dtype)
        return [row[:like.size].reshape(like.shape) for row in room]

    def decayed(self, p: np.ndarray, g: np.ndarray, rate: float, out: np.ndarray) -> np.ndarray:
        """The gradient with weight decay, g + rate p, in `out`; g itself where the rate is 0."""
        if rate == 0:
            return g
        np.multiply(p, rate, out=out)
        out += g
        return out

    # -- state ----------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """Copies of all state, torch's layout: parameters are numbered through the groups."""
        number = {p: k for k, (_, p) in enumerate(self._all())}
        return {"state": {number[p]: {name: wrap(v.array.copy()) if isinstance(v, Tensor) else v
                                      for name, v in state.items()}
                          for p, state in self.state.items()},
                "param_groups": [{**group, "params": [number[p] for p in group["params"]]}
                                 for group in self.param_groups]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave. A load that fails changes nothing.

        Errors: ValueError naming the group or the parameter that does not fit.
        """
        groups = state_dict["param_groups"]
        counts = [[len(g["params"]) for g in some] for some in (groups, self.param_groups)]
        if counts[0] != counts[1]:
            raise ValueError(f"loaded state dict has groups of {counts[0]} parameters, this "
                             f"optimizer has {counts[1]}")
        merged = [{**own, **{k: v for k, v in given.items() if k in self.defaults}}
                  for own, given in zip(self.param_groups, groups)]
        for group in merged:
            self.check(group)
        numbers = [k for given in groups for k in given["params"]]
        state = {}
        for k, (_, p) in zip(numbers, self._all()):
            if k in state_dict["state"]:
                state[p] = {name: fitting(v, p, name, k)
                            for name, v in state_dict["state"][k].items()}
        self.state = state
        for own, group in zip(self.param_groups, merged):
            own.update(group)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(" + "; ".join(
            f"{len(group['params'])} parameters, "
            + ", ".join(f"{k}={group[k]}" for k in self.defaults)
            for group in self.param_groups) + ")"


def named(p: Tensor, k: int) -> str:
    """How errors name a parameter: its dotted name, else its number; and its shape."""
    return f"{p.label or f'parameter {k}'} {p.shape}"


def finite(values: np.ndarray) -> bool:
    """Whether all elements are finite; a product tells at BLAS's speed, unless it overflows."""
    flat = values.reshape(-1)
    with np.errstate(all="ignore"):
        return math.isfinite(np.dot(flat, flat)) or bool(np.isfinite(flat).all())


def fitting(value: Any, p: Tensor, name: str, k: int) -> Any:
    """One entry of a parameter's state, copied: a number, or an array of the parameter's shape."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    array = np.asarray(value.array if isinstance(value, Tensor) else value)
    if name == "step":
        return int(array)
    if array.shape != p.shape:
        raise ValueError(f"loaded state {name!r} of {named(p, k)} has shape {array.shape}, "
                         f"expected {p.shape}")
    return wrap(array.astype(p.dtype))


def number(name: str, value: Any, low: float = 0.0, below: float = math.inf) -> None:
    """Refuse a setting that is not a number in [low, below), naming it and its value."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) \
            or not low <= value < below:
        upper = "" if below == math.inf else f" and < {below}"
        raise ValueError(f"Invalid {name}: {value!r}, expected a finite number >= {low}{upper}")
