"""The cell-level pictures: geometry, congruence, the numbers, thresholds, cuts."""
from __future__ import annotations

import itertools
import math
import re
import xml.etree.ElementTree as ET

import pytest

from tinyseq.draw import Picture, TimeGrid, draw_grid
from tinyseq.draw.colours import Scale, ramp, stroke
from tinyseq.draw.grid import loss_formula
from tinyseq.draw.scene import Box, Edge, Group, Swatch, Text
from tinyseq.draw.text import clip, plain, text_width, words

SVG = "{http://www.w3.org/2000/svg}"


def norms(count: int, start: float = 0.01) -> list[float | None]:
    return [start * 1.1 ** (k % 40) for k in range(count)]


def lstm(steps: int = 4, title: str = "LSTM", cuts: frozenset[int] = frozenset(),
         mode: str = "forward", cell: str = "LSTM") -> TimeGrid:
    return TimeGrid(title, cell, steps,
                    {"c": norms(steps + 1), "h": norms(steps + 1, 0.02)}, norms(steps, 0.03),
                    norms(steps, 0.2), [1.0] * steps, cuts, mode)


GRIDS = {
    "four": lstm(), "one": lstm(1), "twelve": lstm(12), "thirteen": lstm(13), "long": lstm(3000),
    "backward": lstm(5, mode="backward"), "both": lstm(5, mode="both"),
    "cut": lstm(6, cuts=frozenset({0, 3})), "cut far": lstm(100, cuts=frozenset({50, 98})),
    "three lanes": TimeGrid("x", "X", 3, {n: norms(4) for n in "abc"}, norms(3)),
    "no lanes": TimeGrid("x", "Dense", 3, {}, norms(3), norms(3)),
    "last loss": TimeGrid("x", "RNN", 20, {"h": norms(21)}, norms(20), [*[None] * 19, 0.5],
                          [*[None] * 19, 1.0]),
    "wide labels": TimeGrid("x", "RNN", 30_000, {"state": [1.7e-123] * 30_001}, norms(30_000)),
    "no gradient": TimeGrid("x", "RNN", 2, {"h": [None] * 3}, [None] * 2),
}


def edges(box: Box) -> tuple[float, float, float, float]:
    return (box.x - box.w / 2, box.y - box.h / 2, box.x + box.w / 2, box.y + box.h / 2)


def text_edges(text: Text) -> tuple[float, float, float, float]:
    w = text_width(text.runs, text.size)
    left = text.x - {"start": 0.0, "middle": w / 2, "end": w}[text.anchor]
    return left, text.y - 0.4 * text.size, left + w, text.y + 0.4 * text.size


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@pytest.mark.parametrize("name", GRIDS)
def test_boxes_and_labels_keep_apart(name: str) -> None:
    scene = draw_grid(GRIDS[name])
    solid = [(b.id, edges(b)) for b in scene.boxes()]
    labels = [(t.id, text_edges(t)) for t in scene.walk() if isinstance(t, Text)]
    for (one, a), (other, b) in itertools.combinations(solid + labels, 2):
        assert not overlap(a, b), f"{one} overlaps {other}"
    for name_, (left, top, right, bottom) in solid + labels:
        assert 0 <= left and right <= scene.width and 0 <= top and bottom <= scene.height, name_


@pytest.mark.parametrize("name", GRIDS)
def test_no_label_stands_on_a_line_and_no_line_crosses_a_box(name: str) -> None:
    scene = draw_grid(GRIDS[name])
    for edge in (e for e in scene.walk() if isinstance(e, Edge)):
        (x0, y0), (x1, y1) = edge.points
        half = edge.width / 2
        line = (min(x0, x1) - (half if x0 == x1 else 0), min(y0, y1) - (half if y0 == y1 else 0),
                max(x0, x1) + (half if x0 == x1 else 0), max(y0, y1) + (half if y0 == y1 else 0))
        for item in scene.walk():
            if isinstance(item, Text):
                assert not overlap(line, text_edges(item)), f"{item.id} stands on {edge.id}"
            if isinstance(item, Box):
                left, top, right, bottom = edges(item)
                inside = (left + 0.01, top + 0.01, right - 0.01, bottom - 0.01)
                assert not overlap(line, inside), f"{edge.id} runs through {item.id}"


def test_lines_end_at_the_boxes_they_name() -> None:
    scene = draw_grid(lstm(6, mode="both"))
    boxes = {box.id: edges(box) for box in scene.boxes()}
    joined = [e for e in scene.walk() if isinstance(e, Edge) and e.tail]
    assert len(joined) == 2 * 6 * 6  # 2 lanes, x, y, y -> L, L -> sum, in both directions
    for edge in joined:
        for name, (x, y) in ((edge.tail, edge.points[0]), (edge.head, edge.points[-1])):
            left, top, right, bottom = boxes[name]
            near = (left - 0.01 <= x <= right + 0.01) and (top - 0.01 <= y <= bottom + 0.01)
            assert near and min(abs(x - left), abs(x - right), abs(y - top),
                                abs(y - bottom)) < 0.01, edge.id


def shape(group: Group, x: float) -> list[tuple[str, object]]:
    """The geometry of a step relative to its cell, without what the numbers change."""
    found: list[tuple[str, object]] = []
    for item in group.items:
        name = item.id.split(".", 1)[1]
        if isinstance(item, Box):
            found.append((name, (round(item.x - x, 6), item.y, item.w, item.h)))
        elif isinstance(item, Edge):
            found.append((name, tuple((round(px - x, 6), y) for px, y in item.points)))
        elif isinstance(item, Text):
            found.append((name, (round(item.x - x, 6), item.y, item.size)))
    return found


@pytest.mark.parametrize("mode", ["forward", "backward", "both"])
@pytest.mark.parametrize("shown", [None, "all", [3, 4, 9]])
def test_every_step_is_congruent_and_time_runs_to_the_right(mode: str, shown: object) -> None:
    scene = draw_grid(lstm(14, mode=mode), shown=shown)  # type: ignore[arg-type]
    centres = {b.id: b.x for b in scene.boxes()}
    steps = [g for g in scene.items if isinstance(g, Group) and re.fullmatch(r"t\d+", g.id)]
    assert len(steps) == (3 if isinstance(shown, list) else 14 if shown == "all" else 6)
    xs = [centres[f"{g.id}.cell"] for g in steps]
    assert all(a < b for a, b in zip(xs, xs[1:]))
    assert sorted(int(g.id[1:]) for g in steps) == [int(g.id[1:]) for g in steps]
    first = shape(steps[0], xs[0])
    assert len(first) >= 12
    for group, x in zip(steps, xs):
        assert shape(group, x) == first


def test_the_numbers_drawn_are_the_numbers_given() -> None:
    grid = lstm(7, mode="both")
    root = ET.fromstring(Picture(draw_grid(grid), "x").svg())
    drawn = {e.get("id", "").split("-", 1)[1]: float(e.get("data-norm", "nan"))
             for e in root.iter(SVG + "g") if e.get("data-norm")}
    for t in range(7):
        assert drawn[f"t{t}.lane0"] == grid.lanes["c"][t]
        assert drawn[f"t{t}.lane1"] == grid.lanes["h"][t]
        assert drawn[f"t{t}.input.wire"] == grid.inputs[t]
        assert grid.outputs and grid.losses
        assert drawn[f"t{t}.output.wire"] == drawn[f"t{t}.loss.wire"] == grid.outputs[t]
        assert drawn[f"t{t}.loss.sum"] == grid.losses[t]
    assert len(drawn) == 7 * 6
    labels = {e.get("id", "").split("-", 1)[1]: "".join(e.itertext())
              for e in root.iter(SVG + "text") if e.get("id")}
    assert labels["t0.lane1.label"] == "hinit 0.02" and labels["t3.lane0.label"] == "c2 0.013"


def test_strip_holds_every_norm_or_the_largest_of_each_bin() -> None:
    grid = lstm(100)
    cells = [s for s in draw_grid(grid).walk()
             if isinstance(s, Swatch) and s.id.startswith("strip1.k")]
    assert [float(s.data[0][1]) for s in cells] == grid.lanes["h"][1:]
    long = TimeGrid("x", "RNN", 20_000, {"h": [None, *norms(20_000)]}, [None] * 20_000)
    scene = draw_grid(long)
    cells = [s for s in scene.walk() if isinstance(s, Swatch) and s.id.startswith("strip0.k")]
    largest = [max(v or 0 for v in long.lanes["h"][1 + 20 * k:21 + 20 * k]) for k in range(1000)]
    assert [float(s.data[0][1]) for s in cells] == largest
    assert "each cell of the strip: the largest norm of 20 steps" in Picture(scene, "x").svg()


def test_thresholds_of_elision_and_the_count_of_steps_left_out() -> None:
    def cells(grid: TimeGrid, shown: object = None) -> list[str]:
        scene = draw_grid(grid, shown=shown)  # type: ignore[arg-type]
        return [b.id for b in scene.boxes() if b.role == "cell"]
    assert len(cells(lstm(12))) == 12 and len(cells(lstm(13))) == 6
    assert len(cells(lstm(30), "all")) == 30
    assert cells(lstm(30), [29, 0, 7]) == ["t0.cell", "t7.cell", "t29.cell"]
    svg = Picture(draw_grid(lstm(100)), "x").svg()
    assert "… 94 more …" in svg and "strip0.k99" in svg
    assert "strip" not in Picture(draw_grid(lstm(12)), "x").svg()
    for wrong in ([], [-1], [30], "some"):
        with pytest.raises(ValueError, match="steps from 0 to 29"):
            draw_grid(lstm(30), shown=wrong)


def test_cut_lanes_are_dead_and_the_cut_is_drawn() -> None:
    scene = draw_grid(lstm(6, cuts=frozenset({3})))
    lanes = {e.id: e for e in scene.walk() if isinstance(e, Edge)}
    assert lanes["t3.lane0"].dashed and lanes["t3.lane0"].data == ()
    assert not lanes["t2.lane0"].dashed and lanes["t2.lane0"].data
    x = lanes["cut3"].points[0][0]
    cells = {b.id: b.x for b in scene.boxes()}
    assert cells["t2.cell"] < x < cells["t3.cell"]
    assert sum(e.id.startswith("cut") for e in lanes.values()) == 1


def test_backward_arrows_run_against_time() -> None:
    for mode, sign in (("forward", 1), ("backward", -1)):
        lanes = [e for e in draw_grid(lstm(5, mode=mode)).walk()
                 if isinstance(e, Edge) and re.fullmatch(r"t\d\.lane\d", e.id)]
        assert len(lanes) == 10
        assert all(sign * (e.points[-1][0] - e.points[0][0]) > 0 for e in lanes)


def test_width_spreads_the_columns_but_never_squeezes_the_labels() -> None:
    natural = draw_grid(lstm(4)).width
    assert draw_grid(lstm(4), width=1200).width == pytest.approx(1200)
    assert draw_grid(lstm(50), shown=[3, 30], width=1500).width == pytest.approx(1500)
    assert draw_grid(lstm(4), width=100).width == natural


def test_wrong_grids_are_refused() -> None:
    good = {"title": "x", "cell": "RNN", "steps": 2, "lanes": {"h": [0.1] * 3},
            "inputs": [0.1] * 2}
    assert TimeGrid(**good).steps == 2  # type: ignore[arg-type]
    for change, text in (({"steps": 0}, "at least 1"), ({"mode": "sideways"}, "'sideways'"),
                         ({"lanes": {"h": [0.1] * 2}}, "lane 'h' has 2 norms, expected 3"),
                         ({"inputs": []}, "inputs has 0"), ({"losses": [1.0]}, "losses has 1"),
                         ({"cuts": frozenset({2})}, "from 0 to 1")):
        with pytest.raises(ValueError, match=text):
            TimeGrid(**(good | change))  # type: ignore[arg-type]


def test_scale_is_whole_decades_and_at_least_four() -> None:
    assert Scale.of([0.08, 0.6]) == Scale(-4, 0)
    assert Scale.of([6e-21, 0.07, None, 0.0, math.nan]) == Scale(-21, -1)
    assert Scale.of([0.0, None, math.inf]) is None
    scale = Scale(-4, 0)
    assert stroke(1.0, scale) == (ramp(1.0), 6.0)
    assert stroke(1e-4, scale) == (ramp(0.0), 0.7)
    widths = [stroke(10.0 ** -k, scale)[1] for k in range(5)]
    assert widths == sorted(widths, reverse=True) and len(set(widths)) == 5
    assert stroke(None, scale) == stroke(0.0, scale) and stroke(math.nan, scale)[1] == 3.0


def test_the_colour_ramp_darkens_all_the_way() -> None:
    def light(colour: str) -> float:
        red, green, blue = (int(colour[i:i + 2], 16) for i in (1, 3, 5))
        return 0.3 * red + 0.59 * green + 0.11 * blue
    lights = [light(ramp(k / 50)) for k in range(51)]
    assert all(a > b for a, b in zip(lights, lights[1:]))


def test_loss_formula_says_sum_mean_or_neither() -> None:
    assert words(loss_formula([1.0, None, 1.0])) == "L = L0 + L2"
    assert words(loss_formula([0.25] * 4)) == "L = (L0 + L1 + L2 + L3) / 4"
    assert words(loss_formula([0.1, 0.2])) == "L from L0, L1"
    assert words(loss_formula([1.0] * 100)) == "L = L0 + L1 + … + L99"


def test_clip_shortens_to_the_room_there_is() -> None:
    long = clip("W" * 10_000, 100, 12)
    assert text_width(long, 12) <= 100 and words(long).endswith("…")
    assert clip("short", 100, 12) == plain("short")


def test_elided_pictures_cost_little_however_long_the_sequence() -> None:
    for steps in (13, 20_000):
        scene = draw_grid(lstm(steps))
        assert len(scene.boxes()) == 27  # 6 x (cell, x, y, L), the sum, two initial states
    assert sum(1 for _ in scene.walk()) < 2_400
