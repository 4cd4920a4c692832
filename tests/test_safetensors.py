"""Saving and loading .safetensors: what the library leaves open is checked before it reads."""
from __future__ import annotations

import json
import os
import pickle
import struct
import sys
from importlib.util import find_spec

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn
from tinyseq.errors import FormatError
from tinyseq.io import safetensors, tree


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


needs_library = pytest.mark.skipif(find_spec("safetensors") is None,
                                   reason="the safetensors library is not installed")


def file_of(path, entries, data, size=None):
    """A file with this header, whatever it says."""
    text = entries if isinstance(entries, str) else json.dumps(entries)
    raw = text.encode("utf-8", "surrogatepass")
    path.write_bytes(struct.pack("<Q", len(raw) if size is None else size) + raw + data)


def entry(dtype="F64", shape=(1,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def refused(path, text=""):
    with pytest.raises(FormatError, match=text or None) as caught:
        ts.load(path)
    assert str(path) in str(caught.value)


# -- with the library --------------------------------------------------------------------
@needs_library
def test_round_trip_is_bit_exact(path):
    odd = np.array([-0.0, 5e-324, np.inf, -np.inf, np.nan, 1 / 3])
    given = {"f64": odd, "f32": odd.astype(np.float32), "i64": np.array([-2 ** 63, 2 ** 63 - 1]),
             "bool": np.array([True, False]), "0-d": np.float32(7), "none": np.zeros((0, 3)),
             "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "i32": np.int32([1]),
             "strided": np.arange(10.0)[::3], "big": np.arange(3, dtype=">f8"),
             "\u00fc": ts.ones(2)}
    ts.save({"deep": {**given, "epoch": 7, "betas": (0.9, None)}}, path)
    found = ts.load(path)["deep"]
    assert list(found) == [*given, "epoch", "betas"] and found["betas"] == (0.9, None)
    for key, value in given.items():
        wanted = np.asarray(value.array if isinstance(value, ts.Tensor) else value)
        got = found[key].array
        assert got.shape == wanted.shape and got.dtype == wanted.dtype.newbyteorder("=")
        assert got.tobytes() == wanted.astype(wanted.dtype.newbyteorder("=")).tobytes()
        assert got.flags.writeable and not found[key].requires_grad


@needs_library
def test_other_programs_read_ours_and_theirs_are_read(path):
    from safetensors.numpy import load_file, save_file
    state = nn.LSTM(2, 3).state_dict()
    ts.save(state, path)
    first = path.read_bytes()
    assert load_file(path)["weight_hh_l0"].tolist() == state["weight_hh_l0"].tolist()
    ts.save(state, path)
    assert path.read_bytes() == first and os.listdir(path.parent) == [path.name]
    save_file({k: v.numpy() for k, v in state.items()}, path, metadata={"format": "pt"})
    twin = nn.LSTM(2, 3)
    twin.load_state_dict(ts.load(path))
    assert twin.weight_ih_l0.tolist() == state["weight_ih_l0"].tolist()


@needs_library
def test_a_file_cut_off_anywhere_is_refused(path):
    ts.save({"w": np.arange(450.0), "b": np.ones(2), "epoch": 1}, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError, match="model.safetensors"):
            ts.load(path)
    path.write_bytes(whole + pickle.dumps({}))
    refused(path, "side by side")


@needs_library
def test_every_changed_byte_is_found_or_harmless(path):
    given = {"w": np.arange(30.0), "n": np.arange(2), "epoch": 1}
    ts.save(given, path)
    wanted, whole = repr(ts.load(path)), path.read_bytes()
    mark = whole.index(b"__tinyseq__")     # a file without that name is one from elsewhere
    outcomes = set()
    for at in range(len(whole)):
        for byte in (0, 0x22, 0x39, 0xff):
            path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1:])
            try:
                found = ts.load(path)
            except FormatError:
                outcomes.add(FormatError)
                continue
            outcomes.add(dict)
            assert repr(found) == wanted or mark <= at < mark + len("__tinyseq__"), at
    assert outcomes == {dict, FormatError}


# -- the header, which is looked at before the library is asked for ----------------------
@pytest.mark.parametrize("given, reason", [
    (entry(shape=(10 ** 12,)), "claims the shape"), (entry(shape=(2 ** 62, 8)), "claims"),
    (entry(shape=(-1,)), "claims"), (entry(shape=(True,)), "claims"), (entry("BF16"), "BF16"),
    (entry(["F64"]), "dtype"), (entry(shape=(1.0,)), "claims"), (entry(shape=[1] * 33), "claims"),
    (entry(offsets=(8, 16)), "side by side"), (entry(offsets=(0,)), "claims"),
    (entry(offsets=(0, 2 ** 63)), "claims"), (entry(shape=(2,), offsets=(0, 16)), "side by side"),
    ({**entry(), "extra": 3}, "not allowed"), ({"dtype": "F64"}, "not allowed"),
    (None, "not allowed"), ({**entry(), "shape": None}, "claims")])
def test_headers_are_compared_with_what_is_there(path, given, reason):
    file_of(path, {"w": given}, bytes(8))
    refused(path, reason)


@pytest.mark.parametrize("text, reason", [
    ("[" * 3000, "JSON"), ("[]", "no JSON object"), ("{", "JSON"), ('{"a": \udc80}', "JSON"),
    ('{"w": %s, "w": %s}' % ((json.dumps(entry()),) * 2), "same name"),
    ('{"__metadata__": 3, "w": %s}' % json.dumps(entry()), "metadata"),
    ('{"__metadata__": {"a": 1}, "w": %s}' % json.dumps(entry()), "metadata"),
    *[(json.dumps({name: entry()}), "not allowed")
      for name in ("../../evil", "/abs", "", "a\0b", "w" * 300_000)],
    (json.dumps({str(k): entry(shape=(0,), offsets=(0, 0)) for k in range(tree.MEMBERS + 1)}),
     "more than")])
def test_texts_that_are_no_header_of_ours(path, text, reason):
    file_of(path, text, bytes(8))
    refused(path, reason)
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("size", [0, 10 ** 12, 2 ** 64 - 1, safetensors.HEADER + 1])
def test_sizes_that_no_header_has(path, size):
    file_of(path, {"w": entry()}, bytes(8), size)
    refused(path)


def test_things_that_are_no_files_of_ours(path):
    for content in (b"", b"short", b"some text\n" * 20, pickle.dumps({"w": 1})):
        path.write_bytes(content)
        refused(path)


def test_without_the_library_the_extra_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"pip install tinyseq\[safetensors\]"):
        ts.save({"w": 1}, path)
    assert os.listdir(path.parent) == []
    file_of(path, {"w": entry()}, bytes(8))
    with pytest.raises(ImportError, match=r"pip install tinyseq\[safetensors\]"):
        ts.load(path)
