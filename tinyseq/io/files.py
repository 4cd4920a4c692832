"""`save` and `load`: dicts of tensors in one file, that is never half written and never code."""
from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import numpy as np

from tinyseq.errors import FormatError
from tinyseq.io import npz, safetensors
from tinyseq.io.tree import apart, together

FORMATS = {".npz": npz, ".safetensors": safetensors}


def save(obj: Mapping[str, Any], path: Any) -> None:
    """Write a dict of tensors, numpy arrays, numbers, strings and dicts and lists of them.

    The path's end chooses the format: .npz, or .safetensors with that extra. The file appears
    whole or not at all: it is written beside its place, flushed and renamed. `load` gives back
    the same dict; tree.py says how the arrays are named in the file.
    Errors: TypeError or ValueError naming a key that cannot be saved, before anything is written;
        OSError naming the path, the old file intact; ImportError naming the extra.
    Example:
        >>> import os, tempfile, tinyseq as ts
        >>> model = ts.nn.Linear(2, 1)
        >>> optimizer = ts.optim.SGD(model.parameters(), lr=0.5)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "model.npz")
        ...     ts.save({"model": model.state_dict(), "optim": optimizer.state_dict(),
        ...              "epoch": 7}, path)
        ...     found = ts.load(path)
        >>> model.load_state_dict(found["model"]), found["epoch"]
        (<All keys matched successfully>, 7)
        >>> optimizer.load_state_dict(found["optim"])
    """
    arrays, text = apart(obj)
    given = os.fsdecode(path)
    end = os.path.splitext(given)[1]
    if end not in FORMATS:
        raise ValueError(f"{given}: tinyseq writes .npz and .safetensors files; name it "
                         f"{given}.npz")
    if end == ".safetensors":
        safetensors.library()
    target = os.path.realpath(given)
    if os.path.isdir(target):
        raise IsADirectoryError(f"{given} is a folder: give the name of a file in it")
    if os.path.exists(target) and not (os.path.isfile(target) and os.access(target, os.W_OK)):
        raise PermissionError(f"{given} is there and may not be written")
    try:
        replace(target, lambda file: FORMATS[end].write(file, arrays, text))
    except OSError as error:
        raise OSError(error.errno, error.strerror, given) from error


def replace(target: str, write: Callable[[BinaryIO], None]) -> None:
    """Put a file in its place in one stroke, or leave what was there."""
    folder, name = os.path.split(target)
    beside = os.path.join(folder, f".{name}.part")
    with alone(beside) as file:
        try:
            file.truncate(0)
            write(file)
            file.flush()
            os.fsync(file.fileno())
            os.replace(beside, target)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(beside)
            raise


@contextmanager
def alone(beside: str) -> Iterator[BinaryIO]:
    """The file to write in, locked; one that a killed process left behind is used again.

    Who waited for the lock may hold a file that has been renamed meanwhile, and asks anew.
    """
    while True:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                still = os.path.samestat(os.fstat(descriptor), os.lstat(beside))
            except FileNotFoundError:
                still = False
            if still:
                yield file
                return


def load(path: Any) -> dict[str, Any]:
    """Read what `save` wrote: the same dict, its arrays and numpy numbers as tensors.

    Nothing in a file is ever run, and sizes are compared with the file before memory is asked for.
    Errors: FormatError naming the path and the reason, for everything that `save` did not write;
        OSError for a file that cannot be read; ImportError naming the extra.
    """
    given = os.fsdecode(path)
    format = FORMATS.get(os.path.splitext(given)[1], npz)
    with opened(given) as file:
        try:
            arrays, text = format.read(file, os.fstat(file.fileno()).st_size)
            for name, array in arrays.items():
                if array.dtype == np.bool_ and array.view(np.uint8).max(initial=0) > 1:
                    raise FormatError(f"{name[:80]!r} holds what is neither True nor False")
            return together(arrays, text)
        except ValueError as error:
            raise FormatError(f"{given} is not a file that tinyseq saved, or it is damaged: "
                              f"{error}") from None


def opened(given: str) -> BinaryIO:
    """The file for reading; folders, pipes and devices are refused without reading a byte."""
    descriptor = os.open(given, os.O_RDONLY | os.O_NONBLOCK)  # a pipe must not block
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FormatError(f"{given} is not a regular file: give the path of an .npz or "
                          ".safetensors file")
    return os.fdopen(descriptor, "rb")
