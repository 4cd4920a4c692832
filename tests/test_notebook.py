"""The notebook's cells: the shapes they print, and that torch prints the same."""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CODE = (ROOT / "examples" / "notebook.py").read_text(encoding="utf-8")


def printed(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    return re.sub(r"torch\.Size\(\[(.*?),?\]\)", lambda m: f"({m[1]}{',' * (',' not in m[1])})",
                  done.stdout).splitlines()


def test_the_cells_print_the_shapes_that_they_should():
    lines = printed(CODE)
    assert lines[:6] == [
        "RNN (1, 10, 8) (1, 1, 8)", "RNN, two layers (1, 10, 8) (2, 1, 8)",
        "RNN, two layers, both ways (1, 10, 16) (4, 1, 8)",
        "LSTM, two layers, both ways (1, 10, 16) (4, 1, 8) (4, 1, 8)",
        "GRU, two layers, both ways (1, 10, 16) (4, 1, 8)", "LSTMCell (1, 8) (1, 8)"]
    assert len(lines) == 10


@pytest.mark.needs_torch
def test_torch_prints_the_same_when_it_is_imported_instead():
    lines = "import tinyseq as torch\nfrom tinyseq import nn\n"
    assert lines in CODE
    assert printed(CODE) == printed(CODE.replace(lines, "import torch\nfrom torch import nn\n"))


# -- what courses do with recurrent layers, with the import lines of torch ------------------
COURSE = (ROOT / "tests" / "course.py").read_text(encoding="utf-8")
IMPORTS = re.compile(r"^(import|from) torch\b", re.M)
OURS = IMPORTS.sub(lambda m: f"{m[1]} tinyseq", COURSE).replace(
    "import tinyseq\n", "import tinyseq as torch\n")

SAID = """\
Forecast(
  (lstm): LSTM(1, 16, num_layers=2, batch_first=True, dropout=0.2)
  (fc): Linear(in_features=16, out_features=1, bias=True)
)
forecast 0.4474, lr 0.0100
forecast 0.2758, lr 0.0050
forecast 0.2010, lr 0.0050
(20, 1) 0.816
names 0.4428 1 1
sentiment 0.7287, right 0.375
sentiment 0.7036, right 0.500
sentiment 0.6405, right 0.750
characters 0.5060
'ee, hello th'
translation 2.2390"""   # as torch 2.13.0 prints it


def parted(lines: list[str]) -> tuple[list[str], list[float]]:
    """The words, and the numbers that have a point, of some lines."""
    text, number = "\n".join(lines), r"\d+\.\d+"
    return re.split(number, text), [float(n) for n in re.findall(number, text)]


def test_courses_notebooks_print_what_torch_prints():
    assert len(IMPORTS.findall(COURSE)) == 7 and not IMPORTS.search(OURS)
    words, numbers = parted(printed(OURS))
    wanted_words, wanted = parted(SAID.splitlines())
    assert words == wanted_words and numbers == pytest.approx(wanted, rel=2e-3)


@pytest.mark.needs_torch
def test_torch_prints_it_too():
    words, numbers = parted(printed(COURSE))
    wanted_words, wanted = parted(SAID.splitlines())
    assert words == wanted_words and numbers == pytest.approx(wanted, rel=2e-3)
