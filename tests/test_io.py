"""Saving and loading: bit for bit, never half, never code, never more than the file can hold."""
from __future__ import annotations

import errno
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import io, nn
from tinyseq.errors import FormatError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


def refused(path, text="", error=FormatError):
    started = time.perf_counter()
    with pytest.raises(error, match=text or None) as caught:
        ts.load(path)
    assert str(path) in str(caught.value) and time.perf_counter() - started < 1.0


def members(path, *named, mark=True):
    """A zip with these members, whatever they are."""
    with zipfile.ZipFile(path, "w") as archive:
        if mark:
            archive.writestr("__tinyseq__.npy", npy("'<i8'", "()", struct.pack("<q", 1)))
        for name, data in named:
            archive.writestr(name, data)


def npy(kind, shape, data, header=None):
    text = header or f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


# -- what comes back ---------------------------------------------------------------------
def test_round_trip_is_bit_exact(path):
    odd = np.array([-0.0, 5e-324, np.inf, -np.inf, np.nan, 1 / 3])
    given = {"f64": odd, "f32": odd.astype(np.float32), "i64": np.array([-2 ** 63, 2 ** 63 - 1]),
             "bool": np.array([True, False]), "0-d": np.float32(7), "none": np.zeros((0, 3)),
             "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "i32": np.int32([1]),
             "strided": np.arange(10.0)[::3], "big": np.arange(3, dtype=">f8"),
             "tensor": ts.ones(2, 2), "l0.weight": ts.zeros(1), "ü": 3, "float": 0.1, "flag": True}
    ts.save(given, path)
    found = ts.load(path)
    assert list(found) == list(given)
    for key, value in given.items():
        wanted = np.asarray(value.array if isinstance(value, ts.Tensor) else value)
        got = found[key].array
        assert got.shape == wanted.shape and got.dtype == wanted.dtype.newbyteorder("=")
        assert got.tobytes() == wanted.astype(wanted.dtype.newbyteorder("=")).tobytes()
        assert got.flags.writeable and not found[key].requires_grad


def test_same_values_same_bytes_and_numpy_reads_them(tmp_path):
    state = nn.LSTM(2, 3).state_dict()
    for name in ("a.npz", "b.npz"):
        ts.save(state, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as read:
        assert read["weight_hh_l0"].tolist() == state["weight_hh_l0"].tolist()
    twin = nn.LSTM(2, 3)
    twin.load_state_dict(ts.load(tmp_path / "a.npz"))
    assert twin.weight_hh_l0.tolist() == state["weight_hh_l0"].tolist()


@pytest.mark.parametrize("given, error, text", [
    ({"f": print}, TypeError, "'f'.*builtin"), ({"o": np.array([{}])}, TypeError, "'o'.*object"),
    ({3: ts.ones(1)}, TypeError, "3 is a int"), ({"c": np.ones(1) * 1j}, TypeError, "complex"),
    ({"n": {"deep": 1}}, TypeError, "'n'.*dict"), ({"a/b": 1}, ValueError, "'a/b'"),
    ({"": 1}, ValueError, "''"), ({"__tinyseq__": 1}, ValueError, "__tinyseq__"),
    ({"i": 2 ** 70}, TypeError, "'i'.*object"), ([1], TypeError, "list")])
def test_what_cannot_be_saved_is_refused_before_the_file_is_touched(path, given, error, text):
    ts.save({"old": 1}, path)
    before = path.read_bytes()
    with pytest.raises(error, match=text):
        ts.save(given, path)
    assert path.read_bytes() == before and os.listdir(path.parent) == ["model.npz"]


# -- faults while writing ----------------------------------------------------------------
def test_the_old_file_is_replaced_not_written_over(path):
    ts.save({"old": 1}, path)
    before = path.read_bytes()
    with open(path, "rb") as still_open:
        ts.save({"new": ts.ones(5)}, path)
        assert still_open.read() == before and path.read_bytes() != before


def test_faults_name_the_path_and_keep_the_old_file(path, monkeypatch):
    ts.save({"old": 1}, path)
    before = path.read_bytes()

    def full(file, arrays):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(io, "write", full)
    with pytest.raises(OSError, match="No space left.*model.npz"):
        ts.save({"new": 2}, path)
    monkeypatch.undo()
    assert path.read_bytes() == before and os.listdir(path.parent) == ["model.npz"]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ts.save({"new": 2}, path.parent / "nowhere" / "model.npz")
    folder = path.parent / "folder.npz"
    folder.mkdir()
    with pytest.raises(IsADirectoryError, match="folder.npz"):
        ts.save({"new": 2}, folder)
    with pytest.raises(ValueError, match="model.pt.npz"):
        ts.save({"new": 2}, path.parent / "model.pt")


WRITER = """
import sys
import tinyseq as ts
for k in range(1, 10 ** 6):
    ts.save({"k": k, "all": ts.ones(100_000) * float(k)}, sys.argv[1])
    if k == 1:
        print("ready", flush=True)
"""


def test_killed_while_saving_leaves_a_whole_file(path):
    for k in range(4):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)],
                                 stdout=subprocess.PIPE, cwd=Path(ts.__file__).parents[1])
        assert child.stdout.readline() == b"ready\n"
        time.sleep(0.011 * k)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        found = ts.load(path)
        assert (found["all"].array == found["k"].item()).all()


# -- files that are not what they say ----------------------------------------------------
def test_a_file_cut_off_anywhere_is_refused(path):
    ts.save({"w": np.arange(450.0), "b": 1}, path)
    whole = path.read_bytes()
    assert len(whole) > 4000
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError, match="model.npz"):
            ts.load(path)


def test_every_changed_byte_is_found_or_harmless(path):
    ts.save({"w": np.arange(40.0)}, path)
    whole = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for at in range(len(whole)):
        changed = whole.copy()
        changed[at] ^= int(rng.integers(1, 256))
        path.write_bytes(changed)
        try:
            found = ts.load(path)
        except FormatError:
            continue
        assert [t.tolist() for t in found.values()] == [np.arange(40.0).tolist()]


class Canary:
    def __reduce__(self):
        return os.mkdir, ("canary",)


def test_nothing_in_a_file_is_run(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    evil = pickle.dumps(Canary())
    np.savez(path, x=np.array([Canary()], object))
    refused(path)
    members(path, ("x.npy", npy("'|O'", "(1,)", evil)))
    refused(path, "header")
    members(path, ("x/data.pkl", evil))
    refused(path, "not allowed")
    for data in (evil, pickle.dumps({"w": 1})):
        path.write_bytes(data)
        refused(path)
    ts.save({"w": 1}, path)
    whole = path.read_bytes()
    for data in (whole + evil, evil + whole):
        path.write_bytes(data)
        refused(path, "begin and end")
    assert not Path("canary").exists()


@pytest.mark.parametrize("kind, shape", [
    ("'<f8'", f"({10 ** 12},)"), ("'<f8'", f"({2 ** 62}, 8)"), ("'<f8'", "(-1,)"),
    ("'<f8'", "(True,)"), ("'|O'", "(1,)"), ("'|V1000000000'", "(1,)"), ("'<U4'", "(1,)"),
    ("'<f8'", "[" * 3000), ("'<f8'", "(3,)"), ("'<f8'", "(0,)"), ("[('a', '<f8')]", "(1,)"),
    ("'<f8'", "(1,), 'extra': 3"), ("'<f8'", "(" + "1, " * 40 + ")"), ("'>f8'", "(1,)"),
    ("'<f2'", "(4,)"), ("__import__('os').mkdir('canary')", "(1,)")])
def test_headers_are_compared_with_what_is_there(path, kind, shape):
    members(path, ("w.npy", npy(kind, shape, bytes(8))))
    refused(path)
    members(path, ("w.npy", npy("'<f8'", "(1,)", bytes(8))))
    assert ts.load(path)["w"].tolist() == [0.0]


def test_members_that_are_not_ours(path):
    good = npy("'<f8'", "(1,)", bytes(8))
    for name in ("../../evil.npy", "/abs.npy", ".npy", "a\\b.npy", "w.txt", "w" * 3000 + ".npy"):
        members(path, (name, good))
        refused(path, "not allowed")
    with pytest.warns(UserWarning, match="Duplicate"):
        members(path, ("w.npy", good), ("w.npy", good))
    refused(path, "same name")
    members(path, *[(f"{k}.npy", b"") for k in range(io.MEMBERS)])
    refused(path, "more than")
    members(path, ("w.npy", good), mark=False)
    refused(path, "__tinyseq__")
    members(path, ("__tinyseq__.npy", npy("'<i8'", "()", struct.pack("<q", 2))), mark=False)
    refused(path, "version 2, this tinyseq reads 1")
    assert os.listdir(path.parent) == ["model.npz"]


def test_nothing_is_expanded(path):
    ts.save({"w": np.zeros(10)}, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.npy", npy("'<f8'", "(1000000,)", bytes(8 * 10 ** 6)))
    assert path.stat().st_size < 20_000
    refused(path, "compressed")


def test_sizes_that_the_file_does_not_have_are_not_asked_for(path):
    data = npy("'<f8'", f"({2 ** 28},)", bytes(8))
    members(path, ("w.npy", data))
    true, claimed = [struct.pack("<L", n) * 2 for n in (len(data), len(data) - 8 + 2 ** 31)]
    assert path.read_bytes().count(true) == 2         # in its own record, and in the directory
    path.write_bytes(path.read_bytes().replace(true, claimed))
    refused(path, "more bytes than the file has")


def test_things_that_are_no_files(path):
    for content, text in ((b"", "empty"), (b"some text\n" * 20, "zip")):
        path.write_bytes(content)
        refused(path, text)
    refused(path.parent, "regular file")
    refused(path.parent / "missing.npz", error=FileNotFoundError)
    if hasattr(os, "mkfifo"):
        os.mkfifo(path.parent / "pipe.npz")
        refused(path.parent / "pipe.npz", "regular file")
    if os.path.exists("/dev/zero"):
        refused("/dev/zero", "regular file")
