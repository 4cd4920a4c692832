"""The page on gradient checks: its code runs and prints what it shows; its tables are measured."""
from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fixtures import differing, hand_slopes

from tinyseq import bugs
from tinyseq.bugs.lstm import LSTM
from tinyseq.op import OPS

ROOT = Path(__file__).resolve().parent.parent
TOOL, PAGE = ROOT / "tools" / "make_gradcheck_docs.py", ROOT / "docs" / "gradcheck.md"
TEXT = PAGE.read_text(encoding="utf-8")

spec = importlib.util.spec_from_file_location("make_gradcheck_docs", TOOL)
assert spec is not None and spec.loader is not None
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)

SMALL = "```python\nprint({})\n```\n\n<!-- output -->\n```text\n1.5 is old\n```\n<!-- end -->\n"


def rows(name: str) -> list[list[str]]:
    """The cells of a measured table on the page, without its head."""
    (part,) = re.findall(rf"<!-- measured: {name} -->\n(.*?)<!-- end -->", TEXT, re.DOTALL)
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


# -- the page -----------------------------------------------------------------------------------
def test_the_code_runs_and_says_what_the_page_shows():
    done = subprocess.run([sys.executable, str(TOOL), "--check"], capture_output=True, text=True,
                          encoding="utf-8", cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == ""


def test_every_picture_is_shown_and_can_be_read():
    shown = re.findall(r"\]\(gradcheck/(\w+\.svg)\)", TEXT)
    assert sorted(shown) == sorted(p.name for p in (ROOT / "docs" / "gradcheck").iterdir())
    assert len(shown) == 5
    for name in shown:
        root = ElementTree.parse(ROOT / "docs" / "gradcheck" / name).getroot()
        texts = ["".join(e.itertext()) for e in root.iter() if e.tag.endswith("}text")]
        assert len(texts) > 8 and not any("…" in text for text in texts)
    assert "(docs/gradcheck.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_guilty_gate_stands_out_at_the_last_step():
    root = ElementTree.parse(ROOT / "docs" / "gradcheck" / "wrong.svg").getroot()
    last = {}
    for e in root.iter():
        if e.tag.endswith("}title") and (found := re.match(r"(\S+\[\w\]), 4 t=4: (\S+)",
                                                           e.text or "")):
            last[found[1]] = float(found[2].replace("−", "-"))
    assert len(last) == 16
    assert all((error > -3) == name.endswith("[f]") and (error > -3 or error < -12)
               for name, error in last.items())


# -- the comparison -----------------------------------------------------------------------------
def test_output_is_made_anew_and_only_numbers_may_differ():
    old = SMALL.format("2.5, 'is old'")
    new = tool.made(old)
    assert "2.5 is old" in new and "1.5" not in new
    assert list(tool.differences(old, {}, new, {})) == []
    other = tool.made(SMALL.format("2.5, 'is new'"))
    stale = list(tool.differences(SMALL.format("2.5, 'is new'"), {}, other, {}))
    assert stale == ["docs/gradcheck.md: -# is old", "docs/gradcheck.md: +# is new"]


def test_code_that_fails_is_not_hidden_and_markers_need_code():
    with pytest.raises(ZeroDivisionError):
        tool.made(SMALL.format("1 / 0"))
    for text in ("<!-- output -->\n<!-- end -->\n", "<!-- measured: nothing -->\n<!-- end -->\n"):
        with pytest.raises(SystemExit, match="nothing makes"):
            tool.made(text)


def test_pictures_are_compared_by_what_they_say():
    svg = "<svg><title>error 3e-11</title><text>best <tspan>h</tspan></text></svg>"
    same, other = svg.replace("3e-11", "4e-10"), svg.replace("best", "worst")
    text = "![A picture](gradcheck/a.svg)\n"
    assert list(tool.differences(text, {"a.svg": svg}, text, {"a.svg": same})) == []
    for drawn, word in (({"a.svg": other}, "says something else"), ({}, "nothing makes it")):
        (said,) = tool.differences(text, {"a.svg": svg}, text, drawn)
        assert said == f"docs/gradcheck/a.svg: {word}"
    assert [s.split(": ")[1] for s in tool.differences("", {}, "", {"b.svg": svg})] == [
        "missing", "not shown on the page"]


# -- the tables ---------------------------------------------------------------------------------
def test_the_fixtures_catch_as_many_as_by_measured_slopes():
    shown = {name: int(count) for name, count, _ in rows("fixtures")}
    found = {}
    for name, f in tool.places().items():
        wanted = hand_slopes(bugs.network("lstm"), f)
        found[name] = sum(bool(differing(bugs.network("lstm", [m]).gradients(f), wanted))
                          for m in LSTM)
    assert found == shown
    assert found[tool.LAST] == len(LSTM) == 55 > found["T=1"] > found["T=1, zero state, loss on y"]


def test_fast_mode_misses_more_than_a_comparison_of_every_element():
    shown = {name: [int(rate.removesuffix(" %")) for rate in rates]
             for name, *rates in rows("fast")}
    assert len(shown) == 4
    for name, rates in shown.items():
        if "fast" in name:
            assert rates == sorted(rates) and rates[0] <= 5 < rates[-1]
    full = shown["16 x 16, every element"]
    assert full[0] == 0 and max(full) <= 5 and full[-1] < shown["16 x 16, fast"][-1] / 4
    assert shown["64 x 64, fast"][-1] > shown["4 x 4, fast"][-1]


def test_what_is_planted_is_taken_away_again():
    right = OPS["matmul"].rules[1]
    assert tool.passes(4, 0.0, 0, False) and tool.passes(4, 0.0, 0, True)
    assert not tool.passes(4, 1e-2, 0, False)
    assert OPS["matmul"].rules[1] is right and tool.passes(4, 0.0, 0, False)


def test_float32_is_worse_by_what_its_digits_are():
    (_, h64, best64, near64), (_, h32, best32, near32) = [
        [row[0], *map(float, row[1:])] for row in rows("float32")]
    assert best32 > 1e4 * best64 and h32 > 100 * h64 and near32 > 1e-3 > 1e-9 > near64
