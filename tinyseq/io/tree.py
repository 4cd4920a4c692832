"""A dict of anything that can be saved, as named arrays and one line of JSON; and back.

The naming: an array is named by the keys on the way to it, joined with dots, as `model.l0.weight`
or `optim.state.0.exp_avg`; places in lists and tuples count from 0. All else, numbers, strings,
True, False, None and what contains what, stands in the JSON, where `{}` is an array.
"""
from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyseq.errors import FormatError
from tinyseq.tensor import Tensor, wrap

VERSION = 1
MARK = "__tinyseq__"  # the name of the JSON in a file
MEMBERS, NAME, AXES, DEPTH = 10_000, 1_000, 32, 32  # more than that is no model
TEXT = 2 ** 21                                      # bytes of JSON that are read
KINDS = {"<f4": "float32", "<f8": "float64", "<i8": "int64", "<i4": "int32", "|u1": "uint8",
         "|b1": "bool"}
PLAIN = (bool, int, float, str, type(None))
Path = tuple[Any, ...]


def plain(key: str) -> bool:
    """Whether a name is one that no file system and no zip could read as anything else."""
    return 0 < len(key) <= NAME and not re.search(r"[/\\\x00]", key) and key not in (".", "..")


def dotted(path: Path) -> str:
    """The name of the entry that lies at these keys."""
    return ".".join(map(str, path))


# -- taking apart ------------------------------------------------------------------------
def apart(obj: Any) -> tuple[dict[str, np.ndarray], str]:
    """The arrays in a dict by name, little-endian, and the JSON that says what lies where.

    Errors: TypeError or ValueError naming the keys of what cannot be saved.
    """
    if not isinstance(obj, Mapping):
        raise TypeError(f"save takes a dict of named tensors, got {type(obj).__name__}: type "
                        "save(model.state_dict(), path)")
    arrays: dict[str, np.ndarray] = {}
    tree = described(obj, (), arrays)
    text = json.dumps({"version": VERSION, "tree": tree}, separators=(",", ":"))
    if len(arrays) >= MEMBERS or len(text) > TEXT:
        raise ValueError(f"save: {len(arrays)} arrays, described in {len(text)} bytes, are more "
                         f"than the {MEMBERS - 1} and {TEXT} of one file: put numbers that belong "
                         "together into one array")
    return arrays, text


def described(value: Any, path: Path, arrays: dict[str, np.ndarray]) -> Any:
    """What the JSON says of one value; an array in it is put among the arrays."""
    if len(path) > DEPTH:
        raise ValueError(f"save: {dotted(path[:4])!r} is nested deeper than {DEPTH} levels (does "
                         "it contain itself?)")
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        if dotted(path) in arrays:
            raise ValueError(f"save: two arrays would both be named {dotted(path)!r}: give one "
                             "of them another key")
        arrays[dotted(path)] = storable(value, path)
        return {}
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Mapping):
        return {"dict": [[checked(k, path), described(v, (*path, k), arrays)]
                         for k, v in value.items()]}
    if type(value) in (list, tuple):
        return {type(value).__name__: [described(v, (*path, k), arrays)
                                       for k, v in enumerate(value)]}
    raise TypeError(f"save: the value of {dotted(path)!r} is a {type(value).__name__}, expected a "
                    "tensor, a numpy array, a number, a string, None, or dicts and lists of them")


def checked(key: Any, path: Path) -> Any:
    """A key that can be part of a name: a string, and below the first level also an integer."""
    if not isinstance(key, str) and not (path and type(key) is int and key >= 0):
        raise TypeError(f"save: the key {dotted((*path, repr(key)))} is a {type(key).__name__}, "
                        "expected a str")
    if not plain(dotted((*path, key))) or not plain(str(key)) or (not path and key == MARK):
        raise ValueError(f"save: the key {str(key)[:80]!r} cannot name an entry: it must not be "
                         f"empty, longer than {NAME}, {MARK!r}, or have a slash in it")
    return key


def storable(value: Any, path: Path) -> np.ndarray:
    """The value as a little-endian array of a kind that files hold."""
    array = np.asarray(value.array if isinstance(value, Tensor) else value)
    little = array.dtype.newbyteorder("<")
    if little.str not in KINDS:
        raise TypeError(f"save: the value of {dotted(path)!r} has dtype {array.dtype}, supported "
                        f"are {', '.join(KINDS.values())}")
    return array.astype(little, copy=False)


# -- putting together --------------------------------------------------------------------
def together(arrays: dict[str, np.ndarray], text: bytes | str) -> dict[str, Any]:
    """What `apart` took apart, its arrays as tensors. Errors: FormatError saying what is wrong."""
    if len(text) > TEXT:
        raise FormatError(f"its description has {len(text)} bytes, more than {TEXT}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"its description is no JSON: {error}") from None
    version = found.get("version") if isinstance(found, dict) else None
    if type(version) is not int or version != VERSION:
        newer = ": take a newer tinyseq" if type(version) is int and version > VERSION else ""
        raise FormatError(f"its format is version {version}, this tinyseq reads {VERSION}{newer}")
    left = dict(arrays)
    made = rebuilt(found.get("tree"), (), left)
    if left or not isinstance(made, dict):
        raise FormatError(f"its description leaves out {[*left, 'everything'][0]!r}")
    return made


def rebuilt(node: Any, path: Path, left: dict[str, np.ndarray]) -> Any:
    """One value out of its description; its arrays are taken from those that are left."""
    if isinstance(node, PLAIN):
        return node
    if node == {} and dotted(path) in left:
        return wrap(left.pop(dotted(path)))
    if isinstance(node, dict) and len(node) == 1 and len(path) <= DEPTH:
        (kind, parts), = node.items()
        if kind == "dict" and isinstance(parts, list):
            return rebuilt_dict(parts, path, left)
        if kind in ("list", "tuple") and isinstance(parts, list):
            made = [rebuilt(part, (*path, k), left) for k, part in enumerate(parts)]
            return made if kind == "list" else tuple(made)
    raise FormatError(f"its description is damaged at {dotted(path)[:80]!r}")


def rebuilt_dict(pairs: list[Any], path: Path, left: dict[str, np.ndarray]) -> dict[Any, Any]:
    """A dict out of its described pairs."""
    made: dict[Any, Any] = {}
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or type(pair[0]) not in (str, int) \
                or pair[0] in made or not plain(str(pair[0])):
            raise FormatError(f"its description has a bad key at {dotted(path)[:80]!r}")
        made[pair[0]] = rebuilt(pair[1], (*path, pair[0]), left)
    return made
