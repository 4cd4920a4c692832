"""The generated pages are what the declarations say, and the comparison would notice if not."""
from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tinyseq
from tinyseq.op import OPS

ROOT = Path(__file__).resolve().parent.parent
TOOL = ROOT / "tools" / "make_docs.py"
NAMES = [name for name, op in OPS.items() if op.block.__module__.startswith("tinyseq.ops.")]


@pytest.fixture
def tool() -> Any:
    spec = importlib.util.spec_from_file_location("make_docs", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_pages_are_up_to_date_in_every_order_of_sets(seed):
    done = subprocess.run([sys.executable, str(TOOL), "--check"], capture_output=True, text=True,
                          encoding="utf-8", env={**os.environ, "PYTHONHASHSEED": seed})
    assert done.returncode == 0, done.stdout + done.stderr


def copied(tool: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder / "docs").mkdir()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(readme, encoding="utf-8")
    monkeypatch.setattr(tool, "ROOT", folder)
    return folder


def test_check_names_what_is_stale_and_writing_mends_it(tool, tmp_path, monkeypatch, capsys):
    folder = copied(tool, tmp_path, monkeypatch)
    assert tool.main([]) == 0 and tool.main(["--check"]) == 0
    page = folder / "docs" / "ops.md"
    right = page.read_text(encoding="utf-8")
    for name, old, new in (("docs/ops.md", "gy * b", "gy + b"), ("README.md", "`sub`", "`sup`")):
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")
        capsys.readouterr()
        assert tool.main(["--check"]) == 1
        assert f"stale: {name}: type tools/make_docs.py" in capsys.readouterr().out
        assert tool.main([]) == 0 and tool.main(["--check"]) == 0
    assert page.read_text(encoding="utf-8") == right


def test_a_rule_that_changes_makes_the_page_stale(tool, tmp_path, monkeypatch):
    copied(tool, tmp_path, monkeypatch)
    tool.main([])
    monkeypatch.setattr(OPS["exp"], "rules", OPS["log"].rules)
    assert tool.main(["--check"]) == 1


def test_a_readme_without_its_markers_is_refused(tool, tmp_path, monkeypatch):
    folder = copied(tool, tmp_path, monkeypatch)
    (folder / "README.md").write_text("# tinyseq\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="ops:begin"):
        tool.main([])


@pytest.mark.parametrize("name", NAMES)
def test_an_operation_is_described_once_and_wholly(tool, name):
    entry = "".join(tool.operation(OPS[name]))
    assert tool.ops_page().count(f"### `{name}`\n") == 1
    (latex,) = re.findall(r"\$\$(.+)\$\$", entry)
    assert latex.count("{") == latex.count("}") and "{{" not in latex
    for part in ("**Shapes.**", "**Saves.**", ">>> ", "```text"):
        assert part in entry, f"{name} lacks {part}"
    for rule in OPS[name].rules:
        assert rule is None or f"def {rule.__name__}(" in entry
    for kink in OPS[name].kinks:
        assert re.search(rf"\*\*Kinks\.\*\*.*{re.escape(str(kink))}", entry)


def test_what_the_readme_lists_can_be_called(tool):
    listed = re.findall(r"`(\w+)`", tool.table())
    assert len(listed) == len(set(listed)) > 60
    for name in listed:
        homes = (tinyseq, tinyseq.ops, tinyseq.nn.functional, tinyseq.Tensor)
        assert any(hasattr(home, name) for home in homes), name
    assert all(len(row) < 600 for row in tool.table().splitlines())
