"""The report: whole, self-contained, in order, escaped; never half written; honest about gaps."""
from __future__ import annotations

import copy
import json
import math
import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tinyseq.draw import Series, heat_strip, line_chart
from tinyseq.draw.svg import svg_text
from tinyseq.markup import number, percent
from tinyseq.report import PICTURES, SECTIONS, page, write_report, write_text

MISSING = "This part is missing"
FACTS: Any = {
    "version": "0.1.0", "cell": "lstm", "hidden": 64, "steps": 25, "seed": 7,
    "command": "tinyseq study --seed 7",
    "text": {"name": "a book", "characters": 123456, "symbols": 77},
    "check": {"rows": [{"name": "weight_hh[f]", "error": 2.6e-10},
                       {"name": "bias_ih", "error": 1.4e-11}], "passed": True,
              "dtype": "float64", "eps": 1e-5,
              "bug": {"name": "missing transpose", "error": 0.217}, "bug_caught": True},
    "by_hand": {"rows": [{"cell": "lstm", "gradients": 4.2e-16, "shares": 3.3e-16,
                          "total": 2.1e-16}], "steps": 25, "passed": True},
    "see": {"steps": 4, "nodes": 1310},
    "measure": {"lags": [1, 10, 100], "norms": {"rnn": [.612, .0123, 1.3e-16],
                                                "gru": [.7, .05, 6.6e-9]},
                "theory": [.7311, .0436, 2.4e-14], "radius": .987, "steps": 25, "kept": .972},
    "train": {"uniform": math.log(77), "first_loss": 4.37,
              "baselines": {1: 3.238, 2: 2.318, 3: 1.712, 4: 1.404},
              "points": [{"seconds": 5.0, "updates": 1420, "nats": 2.31},
                         {"seconds": 10.0, "updates": 2840, "nats": 1.61}],
              "updates": 2840, "clip": 5.0, "clipped": .031, "largest_norm": 41.2,
              "saturated": .06, "dead": 0.0},
    "sample": {"start": "The ", "text": "statement\n    is < what & it", "temperature": .7},
    "times": {"check": 1.9, "train": 20.0},
}


def pictures() -> dict[str, str]:
    """A small picture for every name, wide and narrow ones, one as a file with a declaration."""
    found = {name: svg_text(line_chart(f"{name} <&>", [Series("a", [0, 1], [k, 2.0])], "x", "y"))
             for k, name in enumerate(PICTURES)}
    found["gates"] = svg_text(heat_strip("gates", {"f": [.5] * 80}, ["m"] * 80, 0, 1))
    found["lag"] = '<?xml version="1.0"?>\n<!-- -->\n' + found["lag"]
    return found


class Reader(HTMLParser):
    """Every tag closed in turn; the words and the attributes."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words = ""
        self.feed(content)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in ("meta", "br", "link", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def part(content: str, name: str) -> str:
    """The HTML of one section."""
    return content[content.index(f'<section id="{name}">'):].split("</section>")[0]


def test_the_page_is_whole_and_self_contained():
    content = page(FACTS, pictures())
    read = Reader(content)
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(read.tags)
    for name, value in read.attributes:
        assert not name.startswith("on") and name not in ("src", "srcset")
        assert name != "href" or value.startswith("#")
    style = content[content.index("<style>"):content.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert "prefers-color-scheme: dark" in style and "@media print" in style
    ids = [value for name, value in read.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for name, value in read.attributes if name == "href"} <= set(ids)
    drawn = re.findall(r"<svg\b.*?</svg>", content, re.DOTALL)
    assert len(drawn) == len(PICTURES)
    for svg in drawn:
        assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert "<?xml" not in content and MISSING not in content


def test_sections_stand_in_order_with_their_pictures():
    content = page(FACTS, pictures())
    assert re.findall(r'<section id="(\w+)">', content) == list(SECTIONS)
    for name, (section, words) in PICTURES.items():
        assert f"<code>{name}.svg</code>" in part(content, section) and words in content


@pytest.mark.parametrize("name, words", [
    ("check", ["weight_hh[f]", "2.6×10", "1.4×10", "planted: missing transpose", "0.217",
               "right, worst error 2.6", "was caught", "float64", "1×10−5"]),
    ("by_hand", ["agrees", "4.2×10", "3.3×10", "2.1×10", "25 steps"]),
    ("see", ["1,310 recorded operations over 4 steps"]),
    ("measure", ["rnn", "0.612", "0.0123", "1.3×10−16", "6.6×10−9", "σ(1)lag", "2.4×10−14",
                 "0.987", "97 %"]),
    ("train", ["1.61 nats, below the trigram", "unigram", "4-gram", "1.40", "1,420", "5.00 char",
               "4.37", "4.34", "clipped to 5 in 3.1 % of", "41.2", "6.0 %"]),
    ("sample", ["The statement\n    is < what & it", "0.7"]),
])
def test_every_number_is_shown(name, words):
    read = Reader(part(page(FACTS, {}), name) + "</section>").words
    assert [word for word in words if word not in read] == []


def test_the_head_names_the_run():
    words = Reader(page(FACTS, {})).words
    for word in ("a book", "123,456", "77", "0.1.0", "LSTM with 64 hidden units",
                 "tinyseq study --seed 7", "check 1.9 s, train 20.0 s; 21.9 s in all"):
        assert word in words


def test_the_network_stands_on_its_rung():
    rows = re.findall(r'<tr[^>]*><th scope="row">(.*?)</th>', part(page(FACTS, {}), "train"))
    assert rows[:6] == ["the alphabet only: ln V", "unigram", "bigram", "trigram",
                        "this network", "4-gram"]


def test_nothing_given_becomes_markup():
    facts = copy.deepcopy(FACTS)
    evil = "</pre><script>alert(1)</script>&amp;\"'$check${check}\x00\x1b\ud800"
    facts["text"]["name"] = facts["command"] = facts["cell"] = facts["version"] = evil
    facts["sample"] |= {"text": evil, "start": evil}
    facts["check"]["rows"][0]["name"] = facts["check"]["bug"]["name"] = evil
    facts["check"]["dtype"] = facts["by_hand"]["rows"][0]["cell"] = evil
    facts["measure"]["norms"] = {evil: [1, 2, 3]}
    facts["times"] = {evil: 1.0}
    content = page(facts, {})
    read = Reader(content)
    assert "script" not in read.tags
    assert read.words.count("<script>alert(1)</script>&amp;\"'$check${check}") == 14
    assert not re.search("[\x00\x1b\ud800]", content)
    content.encode()


@pytest.mark.parametrize("name", SECTIONS)
def test_a_part_that_was_not_reached_is_named(name):
    facts = {key: value for key, value in FACTS.items() if key != name}
    content = page({**facts, "interrupted": True}, {})
    Reader(content)
    assert "was interrupted" in content and "was interrupted" not in page(FACTS, {})
    assert [key for key in SECTIONS if MISSING in part(content, key)] == [name]


def test_an_interrupted_training_still_shows_its_baselines():
    facts = {"train": {"baselines": {1: 3.2, 2: 2.3}, "points": []}}
    words = Reader(part(page(facts, {}), "train") + "</section>").words
    assert "bigram" in words and "this network" not in words and MISSING not in words


def test_the_least_is_a_page_too():
    assert page({}, {}).count(MISSING) == len(SECTIONS)
    Reader(page({}, {}))
    Reader(page({"cell": "rnn", **{name: {} for name in SECTIONS}}, {}))
    Reader(page({name: {"rows": [], "points": []} for name in SECTIONS}, pictures()))


def verdicts(changes: dict[str, dict]) -> list[tuple[str, str]]:
    facts = {**FACTS, **{name: {**FACTS[name], **change} for name, change in changes.items()}}
    return re.findall(r'<span class="(verdict(?: bad)?)">(\D*)', page(facts, {}))


def test_failures_are_told():
    good = [("verdict", "right, worst error "), ("verdict", "agrees</span>\n")]
    assert [v for v, _ in verdicts({})] == ["verdict"] * 3
    assert verdicts({})[0] == good[0]
    assert verdicts({"check": {"passed": False}})[0] == ("verdict bad", "failed, worst error ")
    assert verdicts({"check": {"bug_caught": False}})[0][0] == "verdict bad"
    assert "not caught" in page({"check": {**FACTS["check"], "bug_caught": False}}, {})
    assert verdicts({"by_hand": {"passed": False}})[1][1].startswith("does not agree")
    points = [{"seconds": 1.0, "updates": 9, "nats": 3.9}]
    assert verdicts({"train": {"points": points}})[2][0] == "verdict bad"
    nan = [{"seconds": 1.0, "updates": 9, "nats": math.nan}]
    assert verdicts({"train": {"points": nan}})[2][0] == "verdict bad"


def test_json_gives_the_same_page():
    assert page(json.loads(json.dumps(FACTS)), pictures()) == page(FACTS, pictures())


def test_numbers():
    assert [re.sub("</?sup>", "", number(value)) for value in
            (0, 1, 1.32013, 41.24, 1497.2, 0.00123, 3.14e-10, -2.5e-7, 1e6, math.nan, -math.inf)
            ] == ["0", "1.00", "1.32", "41.2", "1,497", "0.00123", "3.1×10−10", "−2.5×10−7",
                  "1.0×106", "not a number", "−∞"]
    assert [percent(share) for share in (0, .031, .972, 1)] == ["0 %", "3.1 %", "97 %", "100 %"]


def test_the_file(tmp_path):
    path = write_report(tmp_path, FACTS, pictures())
    assert path == tmp_path / "report.html" and os.listdir(tmp_path) == ["report.html"]
    assert path.read_bytes() == page(FACTS, pictures()).encode()


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["write_bytes", "replace"])
def test_an_old_report_survives_a_failure(tmp_path, monkeypatch, failure, step):
    (tmp_path / "report.html").write_text("old")

    def fail(*_):
        raise failure
    monkeypatch.setattr(Path if step == "write_bytes" else os, step, fail)
    with pytest.raises(type(failure)):
        write_report(tmp_path, FACTS)
    assert os.listdir(tmp_path) == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "old"


def test_a_broken_picture_is_named_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="'lag' has no <svg>"):
        write_report(tmp_path, FACTS, {"lag": "nothing"})
    with pytest.raises(OSError, match="No such file"):
        write_report(tmp_path / "none", FACTS)
    assert os.listdir(tmp_path) == []


@pytest.mark.needs_chromium
def test_a_narrow_window_does_not_scroll_sideways(tmp_path, browser):
    """Wide pictures and tables scroll in boxes of their own."""
    path = write_report(tmp_path, FACTS, pictures())
    measure = ("<script>document.title = [document.documentElement.scrollWidth, innerWidth,"
               "document.querySelector('#sample .picture').scrollWidth]</script></body>")
    write_text(path, path.read_text("utf-8").replace("</body>", measure))
    shown = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=500,900",
         f"--user-data-dir={tmp_path}/profile", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=120).stdout
    found = re.search(r"<title>(\d+),(\d+),(\d+)</title>", shown)
    assert found, shown[:300]
    whole, window, picture = map(int, found.groups())
    assert whole <= window < picture
