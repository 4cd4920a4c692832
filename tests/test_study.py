"""The main job: small runs of everything, repeatable, interruptible; the command line."""
from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.cli import main
from tinyseq.errors import NonFiniteError
from tinyseq.study import train as training
from tinyseq.study.check import checked, planted
from tinyseq.study.model import CharacterModel
from tinyseq.study.options import CELLS, OptionError, Options

TEXT = "".join(f"{n} bottles of {'red' if n % 3 else 'white'} wine; " for n in range(400))
SMALL = ["--hidden", "8", "--steps", "6", "--updates", "12"]


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text(TEXT)
    return path


def command(*arguments, **more):
    return subprocess.run([sys.executable, "-m", "tinyseq", *map(str, arguments)],
                          capture_output=True, text=True, **more)


@pytest.mark.parametrize("cell", CELLS)
def test_a_study_of_every_cell(cell, book, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["study", "--cell", cell, "--text", str(book), "--out", str(out), *SMALL]) == 0
    printed = capsys.readouterr().out
    for part in ("[1/5] check", "[2/5] by hand", "[3/5] see", "[4/5] measure", "[5/5] train",
                 "caught", "guilty: l0.fwd/t=4/W", "sample", "wrote"):
        assert part in printed
    facts = json.loads((out / "study.json").read_text())
    assert facts["check"]["passed"] and facts["check"]["bug_caught"]
    assert max(row["error"] for row in facts["check"]["rows"]) <= 1e-7
    assert facts["check"]["bug"]["error"] > 1e-2
    assert facts["by_hand"]["passed"]
    V = facts["text"]["symbols"]
    assert abs(facts["train"]["first_loss"] / math.log(V) - 1) < 0.05
    assert [p["updates"] for p in facts["train"]["points"]] == [3, 6, 9, 12]
    for name in ("unrolled", "long", "lag", "shares", "loss", "gates"):
        ET.parse(out / f"{name}.svg")
    assert (out / "unrolled.dot").read_text().startswith("digraph")
    model = CharacterModel(cell, V, 8)
    model.load_state_dict(ts.load(out / "model.npz"))
    assert (out / "report.html").read_text().count("<svg") == 6


def test_the_same_seed_gives_the_same_facts(book, tmp_path, capsys):
    found = []
    for name in "ab":
        out = tmp_path / name
        main(["study", "--text", str(book), "--out", str(out), "--seed", "5", *SMALL])
        facts = json.loads((out / "study.json").read_text())
        facts.pop("times")
        for point in facts["train"]["points"]:
            point.pop("seconds")
        found.append((facts, ts.load(out / "model.npz")["layer.weight_hh_l0"].array.tobytes()))
    assert found[0] == found[1]


def test_ctrl_c_leaves_a_usable_folder(book, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "tinyseq", "study", "--text", str(book), "--out", str(out),
         "--hidden", "8", "--steps", "6", "--budget", "60"], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "nats a character" in line or "kernels ready" in line:
            break
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "by Ctrl-C" in rest and "report.html" in rest
    facts = json.loads((out / "study.json").read_text())
    assert facts["interrupted"] and facts["train"]["updates"] > 0
    assert {"report.html", "model.npz", "unrolled.svg"} <= set(os.listdir(out))


@pytest.mark.parametrize("arguments,said", [
    (["--hidden", "-3"], "--hidden must be between 1"),
    (["--steps", "0"], "--steps must be between 1"),
    (["--budget", "nan"], "--budget must be more than 0"),
    (["--updates", "0"], "--updates must be between 1"),
    (["--seed", "-1"], "--seed must be between 0"),
    (["--text", "no/such/file"], "no/such/file"),
])
def test_bad_options_are_one_line_and_exit_2(arguments, said, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["study", "--out", str(out), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and said in captured.err
    assert captured.err.startswith("tinyseq: error: ") and captured.err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("content,said", [
    (b"", "empty"), (b"aaaa" * 500, "nothing but the"), (b"ab\0cd" * 500, "byte 2"),
    (b"\xff\xfe" * 500, "UTF-8"),
    (b"short", "characters")])
def test_bad_texts_are_one_line_and_exit_2(content, said, tmp_path, capsys):
    path, out = tmp_path / "t.txt", tmp_path / "out"
    path.write_bytes(content)
    assert main(["study", "--text", str(path), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert said.lower() in error.lower() and str(path) in error and error.count("\n") == 1
    assert not out.exists()


def test_unknown_cells_and_commands_exit_2():
    for arguments in (["study", "--cell", "transformer"], ["fly"], []):
        done = command(*arguments)
        assert done.returncode == 2 and done.stdout == "" and "usage" in done.stderr


def test_an_output_folder_that_is_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "f").write_text("x")
    assert main(["study", "--out", str(tmp_path / "f")]) == 2
    assert "choose a folder" in capsys.readouterr().err
    with pytest.raises(OptionError, match="cannot be written"):
        Options(out=str(tmp_path / "f" / "below")).folder()


def test_help_version_and_doctor():
    done = command("--version")
    assert done.returncode == 0 and done.stdout.strip() == f"tinyseq {ts.__version__}"
    assert command("study", "--help").returncode == 0
    code = "import sys, tinyseq.cli; tinyseq.cli.parser(); print('numba' in sys.modules)"
    light = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert light.stdout.strip() == "False"
    doctor = command("doctor")
    assert doctor.returncode == 0
    for word in ("numpy", "numba", "kernels", "cache", "dot"):
        assert f"\n{word}" in doctor.stdout


def test_nan_in_training_stops_with_the_scope(monkeypatch):
    ts.manual_seed(0)
    model = CharacterModel("rnn", 5, 4)
    with ts.no_grad():
        model.readout.weight[0, 0] = float("nan")
    course, x = training.Training(), np.zeros((3, 2), np.int64)
    with pytest.raises(NonFiniteError, match="update 0.*<linear at readout>"):
        training.update(model, training.Adam(model.parameters()), x, x, None, course)


def test_a_wrong_rule_fails_the_check_and_says_where():
    with planted():
        report = checked("lstm", 0)
    assert not report.ok and report.worst > 1e-2 and "linear" in report.culprit
    assert checked("lstm", 0).ok


def test_sampling_is_repeatable_and_in_the_alphabet():
    from tinyseq.data.text import Text
    text = Text.of(TEXT)
    ts.manual_seed(1)
    model = CharacterModel("gru", len(text.symbols), 6)
    first = training.sample(model, text, "1 bo", 40, seed=3)
    assert first == training.sample(model, text, "1 bo", 40, seed=3)
    assert len(first) == 44 and first.startswith("1 bo") and set(first) <= set(text.symbols)
