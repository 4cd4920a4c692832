"""The .safetensors file, by the library of that name, after a look at the file's header.

A file from elsewhere, without tinyseq's JSON, is read as a flat dict of its tensors. The format
has no checksum, so tinyseq's own files bring one among their metadata.
"""
from __future__ import annotations

import json
import math
import struct
import zlib
from typing import Any, BinaryIO

import numpy as np

from tinyseq.errors import FormatError
from tinyseq.io.tree import AXES, MARK, MEMBERS, TEXT, plain

SIZES = {"F32": 4, "F64": 8, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}  # bytes of an element
HEADER = 2 * TEXT
SUM = "__tinyseq_crc32__"  # the name of the checksum among the metadata


def library() -> Any:
    """The library's numpy functions; an ImportError says how to get them."""
    try:
        from safetensors import numpy
    except ImportError:
        raise ImportError(".safetensors files need the safetensors library: type "
                          "pip install tinyseq[safetensors], or save as .npz") from None
    return numpy


def write(file: BinaryIO, arrays: dict[str, np.ndarray], text: str) -> None:
    """All arrays, and the JSON among the file's metadata: same arrays, same bytes."""
    rows = {key: np.asarray(array, order="C") for key, array in arrays.items()}
    file.write(library().save(rows, {MARK: text, SUM: checksum(rows, text)}))


def checksum(arrays: dict[str, np.ndarray], text: str) -> str:
    """A number that changes with any byte of the arrays and of their JSON."""
    found = zlib.crc32(text.encode("ascii"))
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        found = zlib.crc32(f"{name}{array.dtype.str}{array.shape}".encode(), found)
        found = zlib.crc32(array.reshape(-1).view(np.uint8).data, found)
    return f"{found:08x}"


def read(file: BinaryIO, length: int) -> tuple[dict[str, np.ndarray], bytes]:
    """All arrays of an open file of `length` bytes, and its JSON, made up where it has none."""
    names, notes = header(file, length)
    numpy = library()
    file.seek(0)
    try:
        found = numpy.load(file.read())
    except Exception as error:  # the library's own class is not to be had without it
        raise FormatError(str(error)) from None
    arrays = {name: np.array(found[name]) for name in names}
    if MARK not in notes:
        tree = {"dict": [[name, {}] for name in names]}
        return arrays, json.dumps({"version": 1, "tree": tree}).encode()
    if not notes[MARK].isascii() or notes.get(SUM) != checksum(arrays, notes[MARK]):
        raise FormatError("its checksum is not that of what it holds")
    return arrays, notes[MARK].encode()


def header(file: BinaryIO, length: int) -> tuple[list[str], dict[str, str]]:
    """The names in the header and the metadata, if sizes and names are what they can be."""
    if length < 8:
        raise FormatError("it is empty" if length == 0 else f"it has only {length} bytes")
    (size,) = struct.unpack("<Q", file.read(8))
    if size > min(HEADER, length - 8):
        raise FormatError(f"it claims a header of {size} bytes, of {length - 8} that are there "
                          f"and {HEADER} at most")
    try:
        found = json.loads(file.read(size).decode(), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"its header is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise FormatError("its header is no JSON object")
    notes = found.pop("__metadata__", {})
    if not isinstance(notes, dict) or not all(isinstance(v, str) for v in notes.values()):
        raise FormatError("its metadata are not strings by name")
    if len(found) > MEMBERS:
        raise FormatError(f"it has {len(found)} entries, more than {MEMBERS}")
    spans = sorted(span(name, entry) for name, entry in found.items())
    ends = [0, *(end for _, end in spans)]
    if [begin for begin, _ in spans] != ends[:-1] or ends[-1] != length - 8 - size:
        raise FormatError("its entries do not lie side by side to the end of the file (cut off, "
                          "or appended to?)")
    return list(found), notes


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which no name stands twice."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise FormatError("two entries in it have the same name")
    return made


def span(name: str, entry: Any) -> tuple[int, int]:
    """Where an entry's bytes begin and end, which must be as many as its shape takes."""
    if not plain(name):
        raise FormatError(f"the name {name[:80]!r} in it is not allowed")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise FormatError(f"{name[:80]!r} has a header that is not allowed")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in SIZES:
        raise FormatError(f"{name[:80]!r} has dtype {str(dtype)[:20]}, supported are "
                          f"{', '.join(SIZES)}: convert it where the file was made")
    whole = all(isinstance(some, list) and len(some) <= AXES
                and all(type(n) is int and n >= 0 for n in some) for some in (shape, offsets))
    if not whole or len(offsets) != 2 \
            or math.prod(shape) * SIZES[dtype] != offsets[1] - offsets[0]:
        raise FormatError(f"{name[:80]!r} claims the shape {str(shape)[:80]} of {dtype} for the "
                          f"bytes {str(offsets)[:80]}")
    return offsets[0], offsets[1]
