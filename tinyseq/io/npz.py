"""The .npz file: a zip of uncompressed .npy members, as numpy's, the JSON first among them.

Nothing in it is trusted: names, kinds and sizes are compared with what the file can hold before
memory is asked for.
"""
from __future__ import annotations

import math
import re
import struct
import zipfile
from typing import BinaryIO

import numpy as np

from tinyseq.errors import FormatError
from tinyseq.io.tree import AXES, KINDS, MARK, MEMBERS, plain

DESCRIPTION = re.compile(r"\{'descr': '([<|]\w\d)', 'fortran_order': (True|False), "
                         r"'shape': \(((?:\d{1,18}, )*\d{0,18},?)\), \} *\n")
END = struct.Struct("<4s4H2LH")  # the last record of a zip, as it stands without a comment
ZIP64 = 0xFFFFFFFF  # where that record says that the file is too long for it


def write(file: BinaryIO, arrays: dict[str, np.ndarray], text: str) -> None:
    """The members in order, with a date that never changes: same arrays, same bytes."""
    entries = {MARK: np.frombuffer(text.encode("ascii"), np.uint8), **arrays}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for key, array in entries.items():
            entry = zipfile.ZipInfo(key + ".npy", (1980, 1, 1, 0, 0, 0))
            with archive.open(entry, "w", force_zip64=array.nbytes > 2 ** 30) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


def read(file: BinaryIO, length: int) -> tuple[dict[str, np.ndarray], bytes]:
    """All arrays of an open file of `length` bytes, and its JSON."""
    count = members(file, length)
    try:
        with zipfile.ZipFile(file) as archive:
            names = checked(archive.infolist(), count, length)
            arrays = {name: array(archive, entry)
                      for entry, name in zip(archive.infolist(), names)}
    except (zipfile.BadZipFile, RuntimeError, EOFError, KeyError, IndexError, OverflowError,
            OSError, struct.error) as error:
        raise FormatError(str(error)) from None
    text = arrays.pop(MARK)
    if text.ndim != 1 or text.dtype != np.uint8:
        raise FormatError(f"its entry {MARK!r} is no text")
    return arrays, text.tobytes()


def checked(entries: list[zipfile.ZipInfo], count: int, length: int) -> list[str]:
    """The names of the entries, if all are what `write` writes."""
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
    return names


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
