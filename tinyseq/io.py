"""`save` and `load`: named tensors in one .npz file, that is never half written and never code.

The file is a zip of uncompressed .npy members, as numpy's, and an entry `__tinyseq__` with the
version of the format. Nothing in it is trusted: names, kinds and sizes are compared with what the
file can hold before memory is asked for.
"""
from __future__ import annotations

import math
import os
import re
import secrets
import stat
import struct
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from tinyseq.errors import FormatError
from tinyseq.tensor import Tensor, wrap

VERSION = 1
MARK = "__tinyseq__"
MEMBERS, NAME, AXES = 10_000, 1_000, 32  # more than that is no model
KINDS = {"<f4": "float32", "<f8": "float64", "<i8": "int64", "<i4": "int32", "|u1": "uint8",
         "|b1": "bool"}
DESCRIPTION = re.compile(r"\{'descr': '([<|]\w\d)', 'fortran_order': (True|False), "
                         r"'shape': \(((?:\d{1,18}, )*\d{0,18},?)\), \} *\n")
END = struct.Struct("<4s4H2LH")  # the last record of a zip, as it stands without a comment
ZIP64 = 0xFFFFFFFF  # where that record says that the file is too long for it


def save(obj: Mapping[str, Any], path: Any) -> None:
    """Write a flat dict of tensors, numpy arrays and numbers, such as `model.state_dict()`.

    The file appears whole or not at all: it is written beside its place, flushed and renamed.
    Errors: TypeError or ValueError naming a key that cannot be saved, before anything is written;
        OSError naming the path, the old file intact.
    Example:
        >>> import os, tempfile, tinyseq as ts
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "model.npz")
        ...     ts.save({"w": ts.ones(2, 3), "step": 7}, path)
        ...     ts.load(path)
        {'w': tensor([[1., 1., 1.],
                [1., 1., 1.]]), 'step': tensor(7)}
    """
    arrays = {MARK: np.asarray(VERSION, "<i8"), **checked(obj)}
    given = os.fspath(path)
    if not given.endswith(".npz"):
        raise ValueError(f"{given}: tinyseq writes .npz files; name it {given}.npz")
    target = os.path.realpath(given)
    if os.path.isdir(target):
        raise IsADirectoryError(f"{given} is a folder: give the name of a file in it")
    if os.path.exists(target) and not (os.path.isfile(target) and os.access(target, os.W_OK)):
        raise PermissionError(f"{given} is there and may not be written")
    folder, name = os.path.split(target)
    beside = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.part")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            write(file, arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException as error:
        if os.path.exists(beside):
            os.unlink(beside)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, given) from error
        raise


def checked(obj: Any) -> dict[str, np.ndarray]:
    """The values as arrays of a kind that can be saved, under names that can be."""
    if not isinstance(obj, Mapping):
        raise TypeError(f"save takes a dict of named tensors, got {type(obj).__name__}: type "
                        "save(model.state_dict(), path)")
    arrays = {}
    for key, value in obj.items():
        if not isinstance(key, str):
            raise TypeError(f"save: the key {key!r} is a {type(key).__name__}, expected a str")
        if not plain(key) or key == MARK:
            raise ValueError(f"save: the key {key[:80]!r} cannot name an entry: it must not be "
                             f"empty, longer than {NAME}, {MARK!r}, or have a slash in it")
        if not isinstance(value, (Tensor, np.ndarray, np.generic, bool, int, float)):
            raise TypeError(f"save: the value of {key!r} is a {type(value).__name__}, expected a "
                            "tensor, a numpy array or a number")
        array = np.asarray(value.array if isinstance(value, Tensor) else value)
        if array.dtype.newbyteorder("<").str not in KINDS:
            raise TypeError(f"save: the value of {key!r} has dtype {array.dtype}, supported are "
                            f"{', '.join(KINDS.values())}")
        arrays[key] = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return arrays


def plain(key: str) -> bool:
    """Whether a name is one that no file system and no zip could read as anything else."""
    return 0 < len(key) <= NAME and not re.search(r"[/\\\x00]", key) and key not in (".", "..")


def write(file: BinaryIO, arrays: dict[str, np.ndarray]) -> None:
    """The members in order, with a date that never changes: same arrays, same bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for key, array in arrays.items():
            entry = zipfile.ZipInfo(key + ".npy", (1980, 1, 1, 0, 0, 0))
            with archive.open(entry, "w", force_zip64=array.nbytes > 2 ** 30) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


# -- reading -----------------------------------------------------------------------------
def load(path: Any) -> dict[str, Tensor]:
    """Read what `save` wrote: tensors by name, in order; numbers come back as 0-d tensors.

    Nothing in a file is ever run, and no more memory is used than the file is long.
    Errors: FormatError naming the path and the reason, for everything that `save` did not write;
        OSError for a file that cannot be read.
    """
    given = os.fspath(path)
    with opened(given) as file:
        try:
            return read(file, os.fstat(file.fileno()).st_size)
        except (zipfile.BadZipFile, ValueError, RuntimeError, EOFError, KeyError, IndexError,
                OverflowError, OSError, struct.error) as error:
            raise FormatError(f"{given} is not a file that tinyseq saved, or it is damaged: "
                              f"{error}") from None


def opened(given: str) -> BinaryIO:
    """The file for reading; folders, pipes and devices are refused without reading a byte."""
    flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe must not block
    descriptor = os.open(given, os.O_RDONLY | flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FormatError(f"{given} is not a regular file: give the path of an .npz file")
    return os.fdopen(descriptor, "rb")


def read(file: BinaryIO, length: int) -> dict[str, Tensor]:
    """All entries of an open file of `length` bytes."""
    count = members(file, length)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if len(entries) != count:
            raise FormatError(f"it says it has {count} entries, but has {len(entries)}")
        names = [entry.orig_filename.removesuffix(".npy") for entry in entries]
        for entry, name in zip(entries, names):
            if not entry.orig_filename.endswith(".npy") or not plain(name):
                raise FormatError(f"the name {entry.orig_filename[:80]!r} in it is not allowed")
            if entry.compress_type != zipfile.ZIP_STORED:
                raise FormatError(f"{name[:80]!r} is compressed, which could expand to any size")
        if len(set(names)) != len(names):
            raise FormatError("two entries in it have the same name")
        if sum(entry.file_size for entry in entries) > length:
            raise FormatError("its entries claim more bytes than the file has")
        if names[:1] != [MARK]:
            raise FormatError(f"it does not begin with the entry {MARK!r}")
        version = array(archive, entries[0])
        if version.shape != () or version.dtype != np.int64 or version != VERSION:
            raise FormatError(f"its format is version {version}, this tinyseq reads {VERSION}")
        return {name: wrap(array(archive, entry))
                for entry, name in zip(entries[1:], names[1:])}


def members(file: BinaryIO, length: int) -> int:
    """How many members a zip says it has; refused are strange frames, and too many to read."""
    if length < END.size:
        raise FormatError("it is empty" if length == 0 else f"it has only {length} bytes")
    begin = file.read(4)
    file.seek(length - END.size)
    signature, *_, count, size, start, comment = END.unpack(file.read(END.size))
    ends = start == ZIP64 or start + size + END.size == length
    if begin != b"PK\x03\x04" or signature != b"PK\x05\x06" or comment or not ends:
        raise FormatError("it does not begin and end as a zip does (cut off, or appended to?)")
    if count > MEMBERS:
        raise FormatError(f"it has {count} entries, more than {MEMBERS}")
    file.seek(0)
    return count


def array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    """One entry; its header must ask for exactly the bytes that are there."""
    with archive.open(entry) as member:
        head = member.read(10)
        if head[:8] != b"\x93NUMPY\x01\x00" or len(head) < 10:
            raise FormatError(f"{entry.filename[:80]!r} is not a numpy array")
        (width,) = struct.unpack("<H", head[8:])
        match = DESCRIPTION.fullmatch(member.read(width).decode("latin-1"))
        if match is None or match[1] not in KINDS:
            raise FormatError(f"{entry.filename[:80]!r} has a header that is not allowed")
        shape = tuple(int(n) for n in match[3].split(",") if n.strip())
        dtype = np.dtype(KINDS[match[1]]).newbyteorder("<")
        room = entry.file_size - 10 - width
        if len(shape) > AXES or math.prod(shape) * dtype.itemsize != room:
            raise FormatError(f"{entry.filename[:80]!r} claims the shape {shape} of {dtype}, but "
                              f"has {room} bytes")
        data = member.read()
    order = "F" if match[2] == "True" else "C"
    flat = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="))
    return flat.reshape(shape, order=order)  # type: ignore[call-overload]
