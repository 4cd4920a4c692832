"""The charts: numbers kept, gaps left, labels apart, strange values survived."""
from __future__ import annotations

import itertools
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyseq.draw import Picture, Scene, Series, heat_strip, line_chart, share_chart
from tinyseq.draw.axes import APART, Span, keep_apart
from tinyseq.draw.colours import BLANK, SERIES
from tinyseq.draw.scene import Edge, Swatch, Text
from tinyseq.draw.text import text_width, words

floats = st.floats(allow_nan=True, allow_infinity=True)


def texts(scene: Scene) -> dict[str, Text]:
    return {item.id: item for item in scene.walk() if isinstance(item, Text)}


def lines(scene: Scene, start: str) -> list[Edge]:
    return [e for e in scene.walk() if isinstance(e, Edge) and e.id.startswith(start)]


def swatches(scene: Scene, start: str) -> list[Swatch]:
    return [s for s in scene.walk() if isinstance(s, Swatch) and s.id.startswith(start)]


def labels_overlap(scene: Scene) -> list[tuple[str, str]]:
    areas = []
    for text in texts(scene).values():
        w = text_width(text.runs, text.size)
        left = text.x - {"start": 0.0, "middle": w / 2, "end": w}[text.anchor]
        areas.append((text.id, left, text.y - 0.4 * text.size, left + w, text.y + 0.4 * text.size))
    return [(a[0], b[0]) for a, b in itertools.combinations(areas, 2)
            if a[1] < b[3] and b[1] < a[3] and a[2] < b[4] and b[2] < a[4]]


def test_every_point_stands_where_its_numbers_say() -> None:
    ys = [0.5, 1.0, 4.0]
    scene = line_chart("t", [Series("a", [0, 5, 10], ys)], "x", "y")
    ticks = texts(scene)
    zero = next(t.y for k, t in ticks.items() if k.startswith("tick.y") and words(t.runs) == "0")
    one = next(t.y for k, t in ticks.items() if k.startswith("tick.y") and words(t.runs) == "1")
    points = swatches(scene, "series0.point")
    assert [float(dict(p.data)["y"]) for p in points] == ys
    for point, y in zip(points, ys):
        assert point.y + point.h / 2 == pytest.approx(zero + y * (one - zero))
    (line,) = lines(scene, "series0")
    assert [y for _, y in line.points] == [pytest.approx(p.y + p.h / 2) for p in points]
    xs = [x for x, _ in line.points]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1])


def test_log_axis_is_in_decades_down_to_1e_300() -> None:
    ys = [1.0, 1e-100, 1e-300]
    scene = line_chart("t", [Series("a", [0, 1, 2], ys)], "x", "y", log_y=True)
    heights = [p.y for p in swatches(scene, "series0.point")]
    assert heights[1] - heights[0] == pytest.approx((heights[2] - heights[0]) / 3)
    ticks = [t for k, t in texts(scene).items() if k.startswith("tick.y")]
    assert 3 <= len(ticks) <= 8
    assert {t.runs[0] for t in ticks} == {("10", "")} and ticks[0].runs[1] == ("−300", "sup")


def test_zeros_and_nans_are_gaps_and_never_moved() -> None:
    ys = [1.0, 0.1, 0.0, 0.01, math.nan, None, 0.1, 1.0, math.inf, 10.0]
    linear, log = (line_chart("t", [Series("a", range(10), ys)], "x", "y", log_y=log_y)
                   for log_y in (False, True))
    assert [len(e.points) for e in lines(linear, "series0")] == [4, 2]
    assert [len(e.points) for e in lines(log, "series0")] == [2, 2]
    assert len(swatches(linear, "series0.point")) == 7
    assert len(swatches(log, "series0.point")) == 6
    long = line_chart("t", [Series("a", range(60), [1.0, None] * 30)], "x", "y")
    assert not lines(long, "series0") and len(swatches(long, "series0.single")) == 30


def test_what_cannot_be_drawn_says_so() -> None:
    scene = line_chart("t", [Series("a", [0, 1], [1, 2]), Series("dead", [0, 1], [0.0, 0.0])],
                       "x", "y", log_y=True, references=[("floor", 0.0), ("real", 1.5)])
    shown = {words(t.runs) for t in texts(scene).values()}
    assert {"a", "real", "dead: nothing to draw", "floor: 0, off this axis"} <= shown
    assert len(lines(scene, "reference")) == 1
    assert "nothing to draw" in Picture(line_chart("t", [], "x", "y"), "x").svg()


def test_end_labels_never_overlap_and_keep_their_order() -> None:
    series = [Series(f"curve {k}", [0, 1], [1, 2 + k * 1e-3]) for k in range(12)]
    references = [(f"level {k}", 2.0 + k * 1e-4) for k in range(12)]
    scene = line_chart("t", series, "x", "y", references=references)
    assert labels_overlap(scene) == []
    found = texts(scene)
    heights = [found[f"label{12 + k}"].y for k in range(12)]
    assert heights == sorted(heights, reverse=True)
    assert all(t.y <= scene.height for t in found.values())
    assert [found[f"label{12 + k}"].fill for k in range(len(SERIES))] == list(SERIES)


@given(st.lists(st.floats(-50, 400), max_size=20))
def test_keep_apart_keeps_apart(wanted: list[float]) -> None:
    placed = keep_apart(wanted, 0.0, 300.0)
    ranked = sorted(placed)
    assert all(b - a >= APART - 1e-6 for a, b in zip(ranked, ranked[1:]))
    assert all(-1e-6 <= y <= 300.0 + 1e-6 for y in placed)
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    assert [placed[i] for i in order] == ranked


@given(st.lists(floats, max_size=8), st.booleans())
def test_any_numbers_give_a_picture_inside_its_page(ys: list[float], log_y: bool) -> None:
    scene = line_chart("t", [Series("a", range(len(ys)), ys)], "x", "y", log_y=log_y,
                       references=[("r", y) for y in ys[:2]])
    ET.fromstring(Picture(scene, "x").svg())
    for edge in lines(scene, "series"):
        for x, y in edge.points:
            assert 0 <= x <= scene.width and 0 <= y <= scene.height
    assert len([k for k in texts(scene) if k.startswith("tick.y")]) <= 9


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=5))
def test_ticks_are_few_even_and_hold_the_data(values: list[float]) -> None:
    span = Span.of(values)
    assert all(-1e-6 <= span.share(v) <= 1 + 1e-6 for v in values)
    shares = [share for share, _ in span.ticks()]
    assert 2 <= len(shares) <= 9 and all(-1e-6 <= s <= 1 + 1e-6 for s in shares)
    labels = [words(runs) for _, runs in span.ticks()]
    gaps = [b - a for a, b in zip(shares, shares[1:])]
    assert gaps == pytest.approx([gaps[0]] * len(gaps)) and len(labels) == len(shares)


def test_series_of_two_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="series 'a': 2 xs and 1 ys"):
        Series("a", [0, 1], [1.0])
    with pytest.raises(ValueError, match="2 shares and 1 cumulative"):
        share_chart("t", [0.5, 0.5], [1.0], "k")


@pytest.mark.parametrize("shares", [[0.5, 0.25, 0.25], [1.0], [], [1 / 300] * 300, [1.2, -0.2]])
def test_share_chart_draws_bars_and_their_running_sum(shares: Sequence[float]) -> None:
    sums = [float(s) for s in itertools.accumulate(shares)]
    scene = share_chart("t", shares, sums, "steps back")
    bars = swatches(scene, "bar")
    assert [float(b.data[0][1]) for b in bars] == list(shares)
    if shares and shares[0] > 0:
        for bar in bars:
            share = float(bar.data[0][1])
            assert bar.h / bars[0].h == pytest.approx(abs(share) / shares[0])
    assert all(a.x + a.w <= b.x + 1e-6 for a, b in zip(bars, bars[1:]))
    assert sum(len(e.points) for e in lines(scene, "series0")) == (
        len(sums) if len(sums) > 1 else 0)
    assert labels_overlap(scene) == []


def test_heat_strip_keeps_every_value_and_wraps_after_eighty() -> None:
    text = "to be or\nnot" * 9
    values = [k / len(text) for k in range(len(text))]
    scene = heat_strip("gates", {"i": values, "f": values[::-1]}, list(text), 0.0, 1.0)
    cells = swatches(scene, "row0.k")
    assert [float(c.data[0][1]) for c in cells] == values
    assert len({round(c.y, 3) for c in cells}) == 2
    assert [words(texts(scene)[f"column{k}"].runs) for k in (0, 2, 8)] == ["t", "·", "¶"]
    assert labels_overlap(scene) == []
    dark = [sum(int(c.fill[i:i + 2], 16) for i in (1, 3, 5)) for c in cells]
    assert dark == sorted(dark, reverse=True) and dark[0] > 2 * dark[-1]


def test_heat_strip_leaves_blank_what_is_no_number() -> None:
    scene = heat_strip("t", {"a": [None, math.nan, 5.0, -5.0, 0.5]}, list("abcde"), 0, 1, "signed")
    fills = [c.fill for c in swatches(scene, "row0.k")]
    assert fills[:2] == [BLANK, BLANK] and fills[2] == "#b2182b" and fills[3] == "#2166ac"


@pytest.mark.parametrize("change, text", [
    ({"rows": {"a": [1.0]}}, "row 'a' has 1 values, expected 2"),
    ({"lo": 1.0}, "expected lo below hi"), ({"hi": math.nan}, "expected lo below hi"),
    ({"colours": "pretty"}, "expected one of gate, signed, gradient")])
def test_wrong_heat_strips_are_refused(change: dict[str, object], text: str) -> None:
    good: dict[str, object] = {"rows": {"a": [1.0, 2.0]}, "columns": list("ab"), "lo": 0.0,
                               "hi": 1.0}
    with pytest.raises(ValueError, match=text):
        heat_strip("t", **(good | change))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["<b>x</b>", 'a"b', "\\", "a\nb", "x\x00y", "\ud800", "]]>",
                                  "</text><script>alert(1)</script>", "\u202eabc", "w" * 10_000])
def test_hostile_names_stay_words(name: str) -> None:
    kept = re.sub("[\x00\ud800]", "", name)
    for scene in (line_chart(name, [Series(name, [0, 1], [1, 2])], name, name,
                             references=[(name, 1.0)]),
                  share_chart(name, [1.0], [1.0], name),
                  heat_strip(name, {name: [0.5]}, [name], 0, 1)):
        root = ET.fromstring(Picture(scene, name).svg())
        assert (root[0].text or "") == kept
        assert {e.tag.split("}")[1] for e in root.iter()} <= {
            "svg", "title", "desc", "rect", "g", "path", "text", "tspan"}
        Picture(scene, name).dot().encode("utf-8")


def test_a_heat_strip_is_wide_enough_for_its_title():
    """Few columns under a long title: the title is whole, up to a bound."""
    for title in ("GRU(3, 4, num_layers=2, bidirectional=True): relative error, log10", "w" * 300):
        scene = heat_strip(title, {"a": [1.0, 2.0]}, ["t=0", "t=1"], 0.0, 2.0, "gradient")
        shown = next(item for item in scene.items if getattr(item, "id", "") == "title")
        assert words(shown.runs) == title or len(title) == 300 and scene.width <= 900
