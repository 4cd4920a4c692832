"""Saving and loading .npz: bit for bit, never half, never code, never more than fits the file."""
from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, optim
from tinyseq.errors import FormatError
from tinyseq.io import npz, tree


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


def refused(path, text="", error=FormatError):
    started = time.perf_counter()
    with pytest.raises(error, match=text or None) as caught:
        ts.load(path)
    assert str(path) in str(caught.value) and time.perf_counter() - started < 1.0


def members(path, *named, text=None):
    """A zip with these members, whatever they are, and a description that fits them, or `text`."""
    pairs = [[name.removesuffix(".npy"), {}] for name, _ in named]
    text = json.dumps({"version": 1, "tree": {"dict": pairs}}) if text is None else text
    with zipfile.ZipFile(path, "w") as archive:
        if text:
            archive.writestr("__tinyseq__.npy", npy("'|u1'", f"({len(text)},)", text.encode()))
        for name, data in named:
            archive.writestr(name, data)


def npy(kind, shape, data):
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


# -- what comes back ---------------------------------------------------------------------
def test_round_trip_is_bit_exact(path):
    odd = np.array([-0.0, 5e-324, np.inf, -np.inf, np.nan, 1 / 3])
    given = {"f64": odd, "f32": odd.astype(np.float32), "i64": np.array([-2 ** 63, 2 ** 63 - 1]),
             "bool": np.array([True, False]), "0-d": np.float32(7), "none": np.zeros((0, 3)),
             "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "i32": np.int32([1]),
             "strided": np.arange(10.0)[::3], "big": np.arange(3, dtype=">f8"),
             "tensor": ts.ones(2, 2), "l0.weight": ts.zeros(1), "ü": np.int64(3)}
    ts.save(given, path)
    found = ts.load(path)
    assert list(found) == list(given)
    for key, value in given.items():
        wanted = np.asarray(value.array if isinstance(value, ts.Tensor) else value)
        got = found[key].array
        assert got.shape == wanted.shape and got.dtype == wanted.dtype.newbyteorder("=")
        assert got.tobytes() == wanted.astype(wanted.dtype.newbyteorder("=")).tobytes()
        assert got.flags.writeable and not found[key].requires_grad


def test_what_is_no_array_comes_back_as_it_is(path):
    given = {"epoch": 7, "name": "l\u00fcft \ud800", "none": None, "flag": True, "big": 2 ** 70,
             "lr": 0.1, "inf": -np.inf, "betas": (0.9, 0.999), "tags": ["a", ["b", {}], ()],
             "deep": {"er": {0: {"x": 1}, 12: None}}}
    ts.save(given, path)
    assert repr(ts.load(path)) == repr(given)


def test_a_run_goes_on_where_it_was_saved(path):
    def step(model, optimizer):
        optimizer.zero_grad()
        model(ts.arange(6.0).reshape(3, 2)).sum().backward()
        optimizer.step()

    models = [nn.Linear(2, 1), nn.Linear(2, 1)]
    optimizers = [optim.Adam(model.parameters(), lr=0.1) for model in models]
    for _ in range(3):
        step(models[0], optimizers[0])
    ts.save({"model": models[0].state_dict(), "optim": optimizers[0].state_dict()}, path)
    with np.load(path) as read:   # the documented naming
        assert {"model.weight", "model.bias", "optim.state.0.exp_avg"} <= set(read.files)
    found = ts.load(path)
    models[1].load_state_dict(found["model"])
    optimizers[1].load_state_dict(found["optim"])
    for model, optimizer in zip(models, optimizers):
        step(model, optimizer)
    assert models[0].weight.tolist() == models[1].weight.tolist() != [[0.0, 0.0]]


OPTIMIZERS = {"SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True}, "Adam": {"amsgrad": True},
              "AdamW": {}, "RMSprop": {"centered": True, "momentum": 0.5},
              "Adagrad": {"lr_decay": 0.1}, "Adadelta": {}}


def run_begun(name, options):
    """Layers with every kind of dropout, their optimizer and its schedule."""
    ts.manual_seed(3)
    net = nn.ModuleDict({"up": nn.Linear(3, 4), "drop": nn.Dropout(0.3), "rnn": nn.LSTM(
        4, 5, 2, dropout=0.4, recurrent_dropout=0.2, zoneout=0.1)})
    optimizer = getattr(optim, name)(net.parameters(), **options)
    return net, optimizer, optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)


def run_on(net, optimizer, schedule, steps=10):
    for _ in range(steps):
        optimizer.zero_grad()
        y, _ = net["rnn"](net["drop"](net["up"](ts.randn(6, 2, 3))))
        (y * y).mean().backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("end", ["npz", "safetensors"])
def test_ten_steps_a_file_and_ten_more_are_twenty_to_the_bit(tmp_path, name, end):
    if end == "safetensors":
        pytest.importorskip("safetensors")
    path = tmp_path / f"run.{end}"
    whole = run_begun(name, OPTIMIZERS[name])
    run_on(*whole, steps=20)
    first = run_begun(name, OPTIMIZERS[name])
    run_on(*first)
    ts.save({"rng": ts.get_rng_state(), "parts": [part.state_dict() for part in first]}, path)
    again = run_begun(name, {"lr": 0.7})
    ts.rand(5)
    found = ts.load(path)
    for part, state in zip(again, found["parts"]):
        part.load_state_dict(state)
    ts.set_rng_state(found["rng"])
    run_on(*again)
    for a, b in zip(whole[0].parameters(), again[0].parameters()):
        assert a.array.tobytes() == b.array.tobytes()
    assert repr(again[1].state_dict()) == repr(whole[1].state_dict())
    assert again[2].get_last_lr() == whole[2].get_last_lr() != first[2].get_last_lr()


def test_a_state_that_does_not_fit_is_listed_whole_and_changes_nothing(path):
    model = nn.LSTM(2, 3)
    state = {k: v for k, v in model.state_dict().items() if k != "bias_hh_l0"}
    ts.save({**state, "weight_ih_l0": ts.ones(3, 3), "other": ts.ones(1)}, path)
    before = {k: v.tolist() for k, v in model.state_dict().items()}
    with pytest.raises(RuntimeError) as caught:
        model.load_state_dict(ts.load(path))
    for part in ('Missing key(s) in state_dict: "bias_hh_l0"', 'Unexpected key(s) in state_dict: '
                 '"other"', "weight_ih_l0", "torch.Size([3, 3])", "torch.Size([12, 2])"):
        assert part in str(caught.value)
    assert {k: v.tolist() for k, v in model.state_dict().items()} == before
    ts.save({**state, "other": ts.ones(1)}, path)
    keys = model.load_state_dict(ts.load(path), strict=False)
    assert keys.missing_keys == ["bias_hh_l0"] and keys.unexpected_keys == ["other"]


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


LOOP: dict = {}
LOOP["in"] = LOOP


@pytest.mark.parametrize("given, error, text", [
    ({"f": print}, TypeError, "'f'.*builtin"), ({"a": [{"f": print}]}, TypeError, "'a.0.f'"),
    ({"o": np.array([{}])}, TypeError, "'o'.*object"),
    ({3: ts.ones(1)}, TypeError, "3 is a int"), ({"c": np.ones(1) * 1j}, TypeError, "complex"),
    ({"n": {"deep": {1.5: 1}}}, TypeError, "n.deep.1.5 is a float"),
    ({"n": {-1: 1}}, TypeError, "n.-1"), ({"n": {True: 1}}, TypeError, "n.True is a bool"),
    ({"a": {"b": ts.ones(1)}, "a.b": ts.ones(1)}, ValueError, "both be named 'a.b'"),
    (LOOP, ValueError, "'in.in.in.in' is nested deeper"), ({"a/b": 1}, ValueError, "'a/b'"),
    ({"s": {1, 2}}, TypeError, "'s' is a set"), ({"..": 1}, ValueError, "'..'"),
    ({"": 1}, ValueError, "''"), ({"__tinyseq__": 1}, ValueError, "__tinyseq__"),
    ({"many": [np.float32(0)] * 10 ** 4}, ValueError, "10000 arrays"), ([1], TypeError, "list")])
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

    def full(file, arrays, text):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(npz, "write", full)
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
    for name in ("model.pt", b"model.pt"):
        with pytest.raises(ValueError, match="name it model.pt.npz"):
            ts.save({"new": 2}, name)


WRITER = """
import sys
import tinyseq as ts
for k in range(1, 10 ** 6):
    ts.save({"k": k, "all": ts.ones(100_000) * float(k)}, sys.argv[1])
    if k == 1:
        print("ready", flush=True)
"""


def test_killed_while_saving_leaves_a_whole_file(path):
    for k in range(15):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)],
                                 stdout=subprocess.PIPE, cwd=Path(ts.__file__).parents[1])
        assert child.stdout.readline() == b"ready\n"
        time.sleep(0.0037 * k)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        found = ts.load(path)
        assert (found["all"].array == found["k"]).all()
        assert len(os.listdir(path.parent)) <= 2  # what a killed process left is used again
    ts.save({"w": 1}, path)
    assert os.listdir(path.parent) == ["model.npz"]


def test_several_that_save_to_one_path_wait_for_each_other(path):
    def work(k):
        for _ in range(20):
            ts.save({"k": k, "all": ts.ones(1000) * float(k)}, path)

    ts.save({"k": 0, "all": ts.zeros(1000)}, path)
    threads = [threading.Thread(target=work, args=(k,)) for k in (1, 2, 3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        found = ts.load(path)
        assert (found["all"].array == found["k"]).all()
    assert os.listdir(path.parent) == ["model.npz"] and ts.load(path)["k"] in (1, 2, 3)


# -- files that are not what they say ----------------------------------------------------
def test_a_file_cut_off_anywhere_is_refused(path):
    ts.save({"w": np.arange(450.0), "b": 1}, path)
    whole = path.read_bytes()
    assert len(whole) > 4096
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
        assert {k: t.tolist() for k, t in found.items()} == {"w": np.arange(40.0).tolist()}


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
    ("'<f2'", "(4,)"), ("'|b1'", "(8,)"), ("__import__('os').mkdir('canary')", "(1,)")])
def test_headers_are_compared_with_what_is_there(path, kind, shape):
    members(path, ("w.npy", npy(kind, shape, b"\2" * 8)))
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
    members(path, *[(f"{k}.npy", b"") for k in range(tree.MEMBERS)])
    refused(path, "more than")
    members(path, ("w.npy", good), text="")
    refused(path, "__tinyseq__")
    members(path, ("__tinyseq__.npy", npy("'<f8'", "(1,)", bytes(8))), text="")
    refused(path, "no text")
    assert os.listdir(path.parent) == ["model.npz"]


@pytest.mark.parametrize("text, reason", [
    ('{"version": 2, "tree": {}}', "version 2, this tinyseq reads 1: take a newer"),
    ("[1]", "version None"),
    ('{"version": true, "tree": {}}', "version True"), ("{", "no JSON"), ("[" * 3000, "no JSON"),
    ('{"version": 1, "tree": {"dict": []}}', "leaves out 'w'"), ("9" * 5000, ""),
    ('{"version": 1}', "leaves out 'w'"), ('{"version": 1, "tree": {}}', "damaged at ''"),
    *[('{"version": 1, "tree": {"dict": [["w", {}], %s]}}' % part, reason) for part, reason in (
        ('["v", {}]', "damaged at 'v'"), ('["w", 1]', "bad key"), ('["v"]', "bad key"),
        ('[[1], 1]', "bad key"), ('["../v", 1]', "bad key"), ('[null, 1]', "bad key"),
        ('["v", {"set": []}]', "damaged at 'v'"), ('["v", {"list": 3}]', "damaged at 'v'"),
        ('["v", {"list": [], "dict": []}]', "damaged"),
        ('["v", ' + '{"list": [' * 40 + "]}" * 40 + "]", "damaged at 'v.0.0.0"))]])
def test_descriptions_are_compared_with_what_is_there(path, text, reason):
    members(path, ("w.npy", npy("'<f8'", "(1,)", bytes(8))), text=text)
    refused(path, reason)


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
    members(path, text=" " * (tree.TEXT + 1))
    refused(path, "more than 2097152")
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
