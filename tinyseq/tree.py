"""Nested tuples, lists and dicts of tensors: flattened to a list, and put back into shape."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any


def leaves(tree: Any) -> list[Any]:
    """What a nested structure holds, in order.

    Example:
        >>> leaves((1, [2, {"a": 3}]))
        [1, 2, 3]
    """
    if isinstance(tree, dict):
        return [leaf for part in tree.values() for leaf in leaves(part)]
    if isinstance(tree, (tuple, list)):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree]


def mapped(function: Callable, tree: Any) -> Any:
    """The same structure with `function` applied to everything it holds.

    Example:
        >>> mapped(lambda n: n + 1, (1, [2, {"a": 3}]))
        (2, [3, {'a': 4}])
    """
    if isinstance(tree, dict):
        return {key: mapped(function, part) for key, part in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[mapped(function, part) for part in tree])
    if isinstance(tree, (tuple, list)):
        return type(tree)(mapped(function, part) for part in tree)
    return function(tree)


def refilled(tree: Any, values: list[Any]) -> Any:
    """The same structure holding other values, in order: `refilled(t, leaves(t)) == t`.

    Example:
        >>> refilled((1, [2, {"a": 3}]), ["x", "y", "z"])
        ('x', ['y', {'a': 'z'}])
    """
    rest = iter(values)
    return mapped(lambda _: next(rest), tree)
