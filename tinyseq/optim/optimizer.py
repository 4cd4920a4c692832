"""`Optimizer`: parameters in groups, their state, and one step that refuses NaN and infinity."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
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
    torch's arguments foreach, fused and capturable say how it computes a step, not what; they are
    accepted and change nothing.
    Errors: ValueError and TypeError naming the argument, NonFiniteError naming the parameters.
    """

    slots: tuple[str, ...] = ()  # what the state of a parameter that has been changed must hold

    def __init__(self, params: Any, defaults: Group, allow_nonfinite: bool = False,
                 **ways: Any) -> None:
        for name in ways:
            if name not in ("foreach", "fused", "capturable"):
                raise TypeError(f"{type(self).__name__} has no argument {name!r}; it has lr, "
                                f"{', '.join(k for k in defaults if k != 'lr')}, allow_nonfinite")
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
        params = [given] if isinstance(given, Tensor) else [
            p[1] if isinstance(p, tuple) and len(p) == 2 else p for p in given]  # named ones, too
        unknown = [k for k in group if k not in (*self.defaults, "params", "initial_lr")]
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
            unless the optimizer was made with allow_nonfinite=True; ValueError for an lr that is
            no number any more.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            number("learning rate lr", group["lr"])  # it may have been set since
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

    def decayed(self, p: np.ndarray, g: np.ndarray, group: Group, out: np.ndarray) -> np.ndarray:
        """The gradient to descend, g + rate p, or -g + rate p to maximize; in `out`."""
        rate, up = group["weight_decay"], group.get("maximize", False)
        if rate == 0:
            return np.negative(g, out=out) if up else g
        np.multiply(p, rate, out=out)
        return np.subtract(out, g, out=out) if up else np.add(out, g, out=out)

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
        """Take over what `state_dict` gave, here or in torch. A load that fails changes nothing.

        Errors: TypeError for what is no state_dict; ValueError naming the group or the parameter
            that does not fit, also where another kind of optimizer gave it.
        """
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= {*state_dict}:
            raise TypeError("load_state_dict expects the dict with 'state' and 'param_groups' "
                            f"that {type(self).__name__}.state_dict() gave, got "
                            f"{said(state_dict)}")
        groups = state_dict["param_groups"]
        counts = [[len(g["params"]) for g in some] for some in (groups, self.param_groups)]
        if counts[0] != counts[1]:
            raise ValueError(f"loaded state dict has groups of {counts[0]} parameters, this "
                             f"optimizer has {counts[1]}")
        missing = [k for k in self.defaults if k != "maximize" and not all(k in g for g in groups)]
        if missing:
            raise ValueError(f"loaded state dict has no {', '.join(missing)}: it is not of "
                             f"{type(self).__name__}")
        kept = (*self.defaults, "initial_lr")
        merged = [{**own, **{k: v for k, v in given.items() if k in kept}}
                  for own, given in zip(self.param_groups, groups)]
        for group in merged:
            self.check(group)
        numbers = [k for given in groups for k in given["params"]]
        state = {p: self.fitting(state_dict["state"][k], p, k)
                 for k, (_, p) in zip(numbers, self._all()) if state_dict["state"].get(k)}
        self.state = state
        for own, group in zip(self.param_groups, merged):
            own.update(group)

    def fitting(self, given: Mapping[str, Any], p: Tensor, k: int) -> dict[str, Any]:
        """One parameter's loaded state, copied, with all that `update` will look for."""
        missing = [name for name in self.slots if given.get(name) is None]
        if missing:
            raise ValueError(f"loaded state of {named(p, k)} has no {', '.join(missing)}: it is "
                             f"not of {type(self).__name__}")
        return {name: fitting(v, p, name, k) for name, v in given.items() if v is not None}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(" + "; ".join(
            f"{len(group['params'])} parameters, "
            + ", ".join(f"{k}={group[k]}" for k in self.defaults)
            for group in self.param_groups) + ")"


def said(value: Any) -> str:
    """What was given in place of a state_dict, for an error."""
    return f"a dict with {', '.join(map(repr, value)) or 'nothing'}" \
        if isinstance(value, Mapping) else f"a {type(value).__name__}"


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
    if isinstance(value, (bool, int, float)):
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


def flag(name: str, value: Any) -> None:
    """Refuse a switch that is not True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"Invalid {name}: {value!r}, expected True or False")


def flatten(state_dict: dict[str, Any]) -> dict[str, np.ndarray]:
    """An optimizer's state_dict as named arrays, which `ts.save` stores; `unflatten` undoes it.

    Example:
        >>> import tinyseq as ts
        >>> optimizer = ts.optim.SGD([ts.nn.Parameter([1.0])], lr=0.5)
        >>> float(flatten(optimizer.state_dict())["param_groups.0.lr"])
        0.5
    """
    groups = {str(k): group for k, group in enumerate(state_dict["param_groups"])}
    return {f"{part}.{k}.{name}": np.asarray(v.array if isinstance(v, Tensor) else v)
            for part, rows in (("state", state_dict["state"]), ("param_groups", groups))
            for k, row in rows.items() for name, v in row.items() if v is not None}


def unflatten(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The state_dict that `flatten` made named arrays of."""
    parts: dict[str, dict[int, dict[str, Any]]] = {"state": {}, "param_groups": {}}
    for key, value in arrays.items():
        part, _, rest = key.partition(".")
        k, _, name = rest.partition(".")
        if part not in parts or not k.isdigit() or not name:
            raise ValueError(f"{key!r} is no entry of an optimizer's state: expected "
                             "'state.<number>.<name>' or 'param_groups.<number>.<name>'")
        array = np.array(value.array if isinstance(value, Tensor) else value)
        plain = part == "param_groups" or name == "step"
        parts[part].setdefault(int(k), {})[name] = array.tolist() if plain else wrap(array)
    groups = parts["param_groups"]
    return {"state": parts["state"], "param_groups": [groups[k] for k in sorted(groups)]}
