"""What data becomes: fresh arrays of the supported dtypes, or an error that says why not."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

DTYPES = ("float32", "float64", "int64", "int32", "uint8", "bool")


def to_array(data: Any, dtype: Any = None) -> np.ndarray:
    """A fresh array of a supported dtype: Python floats become the default dtype (float32)."""
    wanted = None if dtype is None else checked_dtype(dtype)
    if isinstance(data, (str, bytes, dict, set)) or data is None or isinstance(data, Iterator):
        raise TypeError(f"a Tensor cannot be made of {type(data).__name__}: give numbers, a "
                        "(nested) list of numbers, or a numpy array")
    from_python = not isinstance(data, (np.ndarray, np.generic))
    try:
        made = np.array(data)
    except ValueError:
        name_ragged(data)
        raise
    numbers = made.dtype.kind in "biuf"  # any of them may be converted, on demand
    found = wanted if numbers and wanted is not None else made.dtype
    if found.name not in DTYPES:
        raise TypeError(f"dtype {found} is not supported; supported are {', '.join(DTYPES)}")
    if wanted is None and made.dtype == np.float64 and from_python:
        wanted = default_dtype()
    return made if wanted is None else made.astype(wanted, copy=False)


def checked_dtype(dtype: Any) -> np.dtype:
    """A supported dtype from how it may be given: a name, numpy's, or Python's bool, int, float.

    Errors: TypeError naming the argument and the supported dtypes.
    """
    try:
        found = np.dtype(dtype) if not isinstance(dtype, str) or dtype in DTYPES else None
    except TypeError:
        found = None
    if dtype is None or found is None or found.name not in DTYPES:
        raise TypeError(f"dtype must be one of {', '.join(DTYPES)}, got "
                        f"{dtype if found is None else found.name!r}")
    return found


def name_ragged(data: Any) -> None:
    """Say where nested lists differ in length (numpy only says that they do)."""
    level = [("", data)]
    while level:
        rows = [(f"{at}[{k}]", row) for at, whole in level for k, row in enumerate(whole)]
        said = [f"length {len(row)}" if isinstance(row, (list, tuple)) else "a number"
                for _, row in rows]
        for (at, _), says in zip(rows, said):
            if says != said[0]:
                raise ValueError(f"ragged list: the row at {at} has {says}, expected {said[0]} as "
                                 f"at {rows[0][0]}")
        level = rows if said and said[0] != "a number" else []


_defaults = {"dtype": np.dtype(np.float32)}


def default_dtype() -> np.dtype:
    """The dtype that Python floats become: float32 unless `set_default_dtype` changed it."""
    return _defaults["dtype"]


def set_default_dtype(dtype: Any) -> None:
    """Make Python floats float32 or float64 from now on."""
    wanted = np.dtype(dtype)
    if wanted.kind != "f" or wanted.name not in DTYPES:
        raise TypeError(f"the default dtype must be float32 or float64, got {wanted}")
    _defaults["dtype"] = wanted
