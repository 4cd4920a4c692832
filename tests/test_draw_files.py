"""Pictures as files: escaping, SVG and DOT texts, the `dot` program and its failures, saving."""
from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tinyseq.draw import Picture, Scene, TimeGrid, draw_grid
from tinyseq.draw.dot import dot_text
from tinyseq.draw.program import find_dot, run_dot
from tinyseq.draw.scene import Box, Swatch, Text
from tinyseq.draw.text import plain
from tinyseq.errors import RenderError

HOSTILE = ["<b>x</b>", "<lambda> <map>", 'a"b', "abc\\", "\\", '\\\\" shape=box]', "a\nb", "{a|b}",
           "a:b", "&lt;", "&amp;amp;", "</text><script>", "<IMG SRC=x>", "\\N \\G \\l", "graph",
           "node", "->", "]]>", "<!-- x -->", "&#65;", "a\\\"b", "x\x00y", "\ud800q", "\\n",
           "\u05de\u05d6\u05dc\u202eabc", "é✓", "onload=alert(1)", "' onclick='x", "q" * 10_000]
SVG = "{http://www.w3.org/2000/svg}"


def lstm(steps: int, mode: str = "forward", cuts: frozenset[int] = frozenset()) -> TimeGrid:
    states: list[float | None] = [0.01 * 1.1 ** (k % 40) for k in range(steps + 1)]
    return TimeGrid("LSTM", "LSTM", steps, {"c": states, "h": states}, states[1:], states[1:],
                    [1.0] * steps, cuts, mode)


GRIDS = {"four": lstm(4), "both": lstm(5, "both"), "cut": lstm(6, cuts=frozenset({0, 3})),
         "elided": lstm(100, cuts=frozenset({50, 98}))}


def programs() -> list[str]:
    """Every program on this machine that renders DOT."""
    beside = sysconfig.get_path("scripts")
    found = [os.environ.get("TINYSEQ_DOT"), shutil.which("dot"),
             shutil.which("graphviz-pure", path=beside), shutil.which("graphviz-pure")]
    return list(dict.fromkeys(filter(None, found)))


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_words(name: str) -> None:
    grid = TimeGrid(name, name, 2, {name: [0.1, 0.2, 0.3]}, [0.1, 0.2], cuts=frozenset({1}))
    picture = Picture(draw_grid(grid), name)
    svg = picture.svg()
    svg.encode("utf-8")
    root = ET.fromstring(svg)
    kept = re.sub("[\x00\ud800]", "", name)
    assert root[0].text == kept  # the title, in full
    assert all(e.tag.removeprefix(SVG) in ("svg", "title", "desc", "rect", "g", "path", "polygon",
                                           "text", "tspan") for e in root.iter())
    for element in root.iter():
        assert not any(key.startswith("on") or "href" in key for key in element.keys())
    assert "\n" not in repr(picture) and len(repr(picture)) < 150
    harmless = Picture(draw_grid(TimeGrid(
        "x", "x", 2, {"h": [0.1, 0.2, 0.3]}, [0.1, 0.2], cuts=frozenset({1}))), "x").svg()
    found, expected = (re.findall(r' id="\w+-([a-z0-9.]+)"', text) for text in (svg, harmless))
    assert found == expected and len(found) > 20  # no id is made of a name


def hostile_scene(name: str) -> Scene:
    box = Box("b", 50, 50, 80, 30, "cell", (Text("b.words", 50, 50, plain(name)),), title=name)
    return Scene(200, 100, (box, Text("t", 100, 20, ((name, "b"),), anchor="start")), name)


@pytest.mark.needs_dot
@pytest.mark.parametrize("program", programs())
def test_hostile_names_appear_literally_through_dot(
        program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYSEQ_DOT", program)
    for name in HOSTILE[:-1]:
        root = ET.fromstring(run_dot(dot_text(hostile_scene(name)), "svg"))
        shown = ["".join(e.itertext()).replace("\xa0", " ") for e in root.iter(SVG + "text")]
        expected = re.sub("[\x00\ud800]", "", name).replace("\n", " ")
        assert shown == [expected, expected], name
        tips = [value for e in root.iter() for key, value in e.items() if key.endswith("title")]
        assert re.sub("[\x00\ud800]", "", name) in tips, name


@pytest.mark.needs_dot
@pytest.mark.parametrize("program", programs())
@pytest.mark.parametrize("name", GRIDS)
def test_dot_keeps_our_positions(name: str, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYSEQ_DOT", program)
    scene = draw_grid(GRIDS[name])
    lines = run_dot(dot_text(scene), "plain").decode().splitlines()
    height = float(lines[0].split()[3])
    placed = {}
    for line in lines:
        if line.startswith('node "t') or line.startswith("node t"):
            _, node, x, y, w, h = line.split()[:6]
            placed[node.strip('"')] = (float(x), height - float(y), float(w), float(h))
    boxes = [b for b in scene.boxes() if b.id.startswith("t")]
    dx, dy = (placed[boxes[0].id][i] - (boxes[0].x, boxes[0].y)[i] / 72 for i in (0, 1))
    for box in boxes:
        assert placed[box.id] == pytest.approx(
            (box.x / 72 + dx, box.y / 72 + dy, box.w / 72, box.h / 72), abs=0.002)


@pytest.mark.needs_dot
def test_dot_writes_png_and_pdf(tmp_path: Path) -> None:
    picture = Picture(draw_grid(lstm(20)), "LSTM")
    assert picture.save(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert picture.save(tmp_path / "a.PDF").read_bytes().startswith(b"%PDF")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.PDF", "a.png"]


def test_the_same_bytes_in_every_process() -> None:
    code = ("from tests.test_draw_files import *; p = Picture(draw_grid(GRIDS['elided']), 'x');"
            "import sys; sys.stdout.buffer.write((p.svg() + p.dot()).encode())")
    root = Path(__file__).parent.parent
    outputs = {subprocess.run([sys.executable, "-c", code], cwd=root, check=True,
                              capture_output=True,
                              env=os.environ | {"PYTHONHASHSEED": seed}).stdout
               for seed in ("0", "1", "4242")}
    assert len(outputs) == 1 and len(outputs.pop()) > 10_000


def test_ids_are_unique_and_differ_between_pictures() -> None:
    one, two = (Picture(draw_grid(lstm(n)), "x").svg() for n in (4, 5))
    found = [set(re.findall(r' id="([^"]*)"', svg)) for svg in (one, two)]
    assert not found[0] & found[1] and len(found[0]) == one.count(' id="')
    with pytest.raises(ValueError, match="that no other item has"):
        Scene(1, 1, (Swatch("a", 0, 0, 1, 1, "#000000"), Swatch("a", 0, 0, 1, 1, "#000000")), "x")
    with pytest.raises(ValueError, match="expected an id"):
        Scene(1, 1, (Swatch('a"b', 0, 0, 1, 1, "#000000"),), "x")


def fake_dot(folder: Path, body: str) -> str:
    path = folder / "fake-dot"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.skipif(os.name == "nt", reason="the fake programs are shell scripts")
@pytest.mark.parametrize("body, said", [
    ("echo broken >&2; exit 3", r"exit code 3: broken.*pip install tinyseq\[dot\]"),
    ("echo surprise", "no .png"),
    ("true", "0 bytes"),
    ("kill -9 $$", "killed by signal 9"),
    ("(while :; do :; done); true", r"stopped after 0.5 seconds \(19 boxes\)"),
    ("printf '%03000d' 0 >&2; exit 1", "exit code 1: 0{500};"),
])
def test_a_failing_dot_leaves_the_old_picture(
        body: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYSEQ_DOT", fake_dot(tmp_path, body))
    target = tmp_path / "old.png"
    target.write_bytes(b"old")
    start = time.perf_counter()
    with pytest.raises(RenderError, match=said):
        Picture(draw_grid(lstm(4)), "x").save(target, limit=0.5 if "while" in body else 20)
    assert time.perf_counter() - start < 15  # what hangs is ended, not waited for
    assert target.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fake-dot", "old.png"]


def test_without_dot_svg_and_dot_work_and_png_names_the_cure(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINYSEQ_DOT", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    picture = Picture(draw_grid(lstm(4)), "x")
    assert find_dot() is None
    assert picture.save(tmp_path / "a.svg").read_text(encoding="utf-8") == picture.svg()
    assert picture.save(tmp_path / "a.dot").read_text(encoding="utf-8") == picture.dot()
    for name in ("a.png", "a.pdf"):
        with pytest.raises(RenderError, match=r"`dot`.*apt install graphviz.*tinyseq\[dot\].*svg"):
            picture.save(tmp_path / name)
    monkeypatch.setenv("TINYSEQ_DOT", str(tmp_path / "absent"))
    with pytest.raises(RenderError, match="TINYSEQ_DOT"):
        picture.save(tmp_path / "a.png")


@pytest.mark.skipif(os.name == "nt", reason="the fake programs are shell scripts")
def test_the_order_in_which_programs_are_found(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside, path = tmp_path / "beside", tmp_path / "path"
    beside.mkdir()
    path.mkdir()
    monkeypatch.delenv("TINYSEQ_DOT", raising=False)
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(beside))
    for program in (path / "graphviz-pure", beside / "graphviz-pure", path / "dot"):
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        assert find_dot() == str(program)
    monkeypatch.setenv("TINYSEQ_DOT", "chosen")
    assert find_dot() == "chosen"


def test_a_picture_is_replaced_in_one_move(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, moved = tmp_path / "a.svg", []
    replace = os.replace

    def seen(source: Path, goal: Path) -> None:
        moved.append((source.parent, goal, source.read_text(encoding="utf-8")))
        replace(source, goal)
    monkeypatch.setattr(os, "replace", seen)
    picture = Picture(draw_grid(lstm(2)), "x")
    picture.save(target)
    assert moved == [(tmp_path.resolve(), target.resolve(), picture.svg())]
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_leaves_the_old_picture(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, write = tmp_path / "old.svg", Path.write_bytes
    target.write_bytes(b"old")

    def half(path: Path, content: bytes) -> int:
        write(path, content[:len(content) // 2])
        raise OSError(28, "No space left on device", str(path))
    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space left on device.*old.svg"):
        Picture(draw_grid(lstm(2)), "x").save(target)
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


def test_saving_to_the_wrong_place_names_the_path(tmp_path: Path) -> None:
    picture = Picture(draw_grid(lstm(2)), "x")
    (tmp_path / "folder.svg").mkdir()
    for name, error in (("a.bmp", ValueError), ("a", ValueError), ("folder.svg", OSError),
                        ("missing/a.svg", FileNotFoundError)):
        with pytest.raises(error, match=re.escape(name)):
            picture.save(tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.svg"]


@pytest.mark.skipif(os.name == "nt", reason="permissions and links as on Unix")
def test_saved_files_obey_the_umask_and_links_stay_links(tmp_path: Path) -> None:
    picture = Picture(draw_grid(lstm(2)), "x")
    (tmp_path / "link.svg").symlink_to(tmp_path / "real.svg")
    picture.save(tmp_path / "link.svg")
    assert (tmp_path / "link.svg").is_symlink() and (tmp_path / "real.svg").is_file()
    plain_file = tmp_path / "other"
    plain_file.write_text("x")
    mode = stat.S_IMODE((tmp_path / "real.svg").stat().st_mode)
    assert mode == stat.S_IMODE(plain_file.stat().st_mode)


def test_too_wide_for_png_is_refused_and_says_svg() -> None:
    with pytest.raises(RenderError, match="save .svg"):
        Picture(Scene(40_000, 10, (), "wide"), "x").save("never.png")


def test_notebooks_get_svg_html_and_words_and_never_an_error() -> None:
    picture = Picture(draw_grid(lstm(4)), "LSTM T=4 cell level")
    assert repr(picture) == "<Picture LSTM T=4 cell level, 19 boxes>"
    bundle = picture._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", "image/svg+xml"}
    assert bundle["image/svg+xml"] == picture.svg()
    ET.fromstring(bundle["text/html"])
    assert bundle["text/html"].startswith('<div style="overflow-x:auto">')
    assert set(picture._repr_mimebundle_(include={"text/plain"})) == {"text/plain"}
    assert "text/html" not in picture._repr_mimebundle_(exclude={"text/html"})
    broken = Picture(None, "x")  # type: ignore[arg-type]
    assert set(broken._repr_mimebundle_()) == {"text/plain"}


def test_to_graphviz_carries_the_same_dot() -> None:
    graphviz = pytest.importorskip("graphviz")
    picture = Picture(draw_grid(lstm(4)), "x")
    source = picture.to_graphviz()
    assert isinstance(source, graphviz.Source) and source.source == picture.dot()
