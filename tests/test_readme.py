"""What README shows works as pasted, and the examples run."""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(code_or_path: list[str], folder: Path) -> str:
    done = subprocess.run([sys.executable, *code_or_path], cwd=folder, capture_output=True,
                          text=True, encoding="utf-8",
                          env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_ten_lines_work_as_pasted(tmp_path):
    code = re.search(r"```python\n(import tinyseq.*?)```", README, re.S)
    assert code is not None
    printed = run(["-c", code[1]], tmp_path)
    assert "c = f * c_prev + i * g" in printed and "(6, 20, 5)" in printed
    assert "sigmoid at l0.fwd/t=3/f" in printed
    assert (tmp_path / "lstm.svg").read_text(encoding="utf-8").startswith("<svg")


def test_the_cell_in_the_readme_is_the_one_that_runs():
    from tinyseq.cells import lstm
    shown = re.search(r"def lstm.*?return h_next, c", README, re.S)
    assert shown is not None
    for name, _, note in lstm.written:
        assert re.search(rf"^    {name} = ", shown[0], re.M) and note in shown[0]


def test_what_the_readme_points_at_is_there():
    for path in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / path).is_file(), path
    for command in ("tools/run", "tools/test"):
        assert f"    {command}" in README and os.access(ROOT / command, os.X_OK)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(path, tmp_path):
    assert run([str(path)], tmp_path)


def test_the_picture_in_the_readme_is_what_the_example_draws(tmp_path):
    run([str(ROOT / "examples" / "unrolled.py"), "again.svg"], tmp_path)
    drawn = (tmp_path / "again.svg").read_text(encoding="utf-8")
    shown = (ROOT / "docs" / "unrolled.svg").read_text(encoding="utf-8")
    numbers = re.compile(r"\bts[0-9a-f]{8}|\d+\.?\d*(?:e[-−]?\d+)?")  # (both vary by CPU)
    assert numbers.sub("", drawn)[:2000] == numbers.sub("", shown)[:2000]
