"""The unrolled network at cell level: one column per step, time strictly from left to right.

One step is drawn and stamped along the time axis, so every step looks like the first. A row's
pieces take its height as an argument: a second layer is the same call, higher up.
"""
from __future__ import annotations

import math
from collections.abc import Iterable

from tinyseq.draw.colours import CUT, GREY, LABEL, PALE, ROLES, stroke
from tinyseq.draw.heat import legend, strips
from tinyseq.draw.layout import MARGIN, STATE_W, Norms, Plan, TimeGrid
from tinyseq.draw.layout import lane_label, shown_steps
from tinyseq.draw.scene import Box, Edge, Group, Item, Point, Scene, Text, norm_data
from tinyseq.draw.text import Runs, bold, clip, plain, short, sub, text_width

SMALL_H, BAR_H = 31.0, 28.0
APART = 4.5       # how far forward and backward lines step aside in "both"
MOST_TERMS = 8    # of the sum in the loss bar

__all__ = ["TimeGrid", "draw_grid"]


def draw_grid(grid: TimeGrid, *, shown: str | Iterable[int] | None = None,
              width: float | None = None) -> Scene:
    """Return the time grid as a scene.

    `width`, in points, spreads the columns; they never get narrower than their labels.
    Example:
    >>> rnn = TimeGrid("RNN", "RNN", 2, {"h": [0.1, 0.2, 0.4]}, [0.1, 0.3])
    >>> [box.id for box in draw_grid(rnn).boxes()]
    ['init.lane0', 't0.cell', 't0.input', 't1.cell', 't1.input']
    """
    plan = Plan(grid, shown_steps(grid.steps, shown), width)
    items: list[Item] = [Text("title", MARGIN, 28, clip(
        grid.title, plan.width - 2 * MARGIN, 18, "b"), 18, anchor="start", title=grid.title)]
    if any(grid.has_loss(t) for t in plan.shown):
        items.append(_loss_bar(plan))
    items.append(_initial_states(plan, plan.cell_y))
    for t in sorted([*plan.shown, *plan.gaps]):
        items.append(_gap(plan, t) if t in plan.gaps else _step(plan, t))
    items += _cuts(plan)
    items += _time_axis(plan)
    y = plan.axis_y + 40
    if len(plan.shown) < grid.steps and grid.lanes:
        group, y = strips(grid.lanes, grid.cuts, plan.left, y, plan.right - plan.left, plan.scale)
        items.append(group)
        y += 14
    keys = [key for key, present in (
        ("forward", grid.mode == "both"), ("dead", bool(grid.cuts)),
        ("none", any(not norm for norm in grid.norms())),
        ("strange", any(norm is not None and not abs(norm) < float("inf")
                        for norm in grid.norms()))) if present]
    x = plan.left if plan.width - plan.left > 320 else MARGIN
    group, y = legend(x, y, plan.scale, keys, plan.width - x)
    items.append(group)
    return Scene(plan.width, y + 14, tuple(items), grid.title, _sentence(plan))


def _sentence(plan: Plan) -> str:
    grid = plan.grid
    drawn = "" if len(plan.shown) == grid.steps else f" ({len(plan.shown)} of them drawn)"
    return (f"{grid.cell} unrolled over {grid.steps} steps{drawn}, {grid.mode}; "
            "lines coloured by gradient norm")


def _step(plan: Plan, t: int) -> Group:
    """Return everything of step t: the lanes that enter it, its cell, its input and output."""
    x, y = plan.x[t], plan.cell_y
    items = _lanes(plan, t, x - plan.cell_w / 2 - plan.gap, y)
    items.append(_cell(plan, t, y))
    items += _input(plan, t, y)
    if plan.grid.has_output(t) or plan.grid.has_loss(t):
        items += _output(plan, t, y)
    return Group(f"t{t}", tuple(items), title=f"step {t}")


def _box(plan: Plan, name: str, role: str, x: float, y: float, runs: Runs, title: str) -> Box:
    """Return a small box with one line of words."""
    fill, edge = ROLES[role]
    w = STATE_W if role == "state" else plan.small_w
    size = 15.0 if role == "state" else 16.0
    h = 26.0 if role == "state" else SMALL_H
    return Box(name, x, y, w, h, role, (Text(f"{name}.words", x, y, runs, size),), fill, edge,
               8.0, title)


def _cell(plan: Plan, t: int, y: float) -> Box:
    x, name, step = plan.x[t], clip(plan.grid.cell, plan.cell_w - 12, 16, "b"), f"t = {t}"
    lines = (Text(f"t{t}.cell.name", x, y - 10, name, 16),
             Text(f"t{t}.cell.step", x, y + 11, plain(step), 14, GREY))
    return Box(f"t{t}.cell", x, y, plan.cell_w, plan.cell_h, "cell", lines, *ROLES["cell"], 9.0,
               f"{plan.grid.cell}, step {t}")


def _wires(plan: Plan, name: str, start: Point, end: Point, norm: float | None, what: str,
           ends: tuple[str, str], dead: bool = False) -> list[Item]:
    """Return the line from `start` to `end`, horizontal or vertical, as the mode draws it."""
    mode = plan.grid.mode
    title = f"‖∂L/∂{what}‖ = {short(norm) or 'none'}"
    if dead:
        title, norm = f"{what}: cut, no gradient passes", None
    colour, width = (PALE, 1.3) if dead else stroke(norm, plan.scale)
    across = (0.0, APART) if start[1] == end[1] else (APART, 0.0)
    aside = 1.0 if mode == "both" else 0.0
    lines: list[Item] = []
    if mode == "both":
        lines.append(Edge(f"{name}.forward", _shifted(start, end, across, -aside), PALE, 1.3,
                          tail=ends[0], head=ends[1], title=what))
    if mode == "forward":
        lines.append(Edge(name, (start, end), colour, width, dashed=dead, tail=ends[0],
                          head=ends[1], title=title, data=norm_data(norm)))
    else:
        lines.append(Edge(name, _shifted(end, start, across, aside), colour, width, dashed=dead,
                          tail=ends[1], head=ends[0], title=title, data=norm_data(norm)))
    return lines


def _shifted(start: Point, end: Point, across: Point, by: float) -> tuple[Point, Point]:
    dx, dy = across[0] * by, across[1] * by
    return (start[0] + dx, start[1] + dy), (end[0] + dx, end[1] + dy)


def _lanes(plan: Plan, t: int, left: float, y: float) -> list[Item]:
    """Return the states that enter step t, drawn from `left` over one label column."""
    grid = plan.grid
    ends = (f"t{t - 1}.cell" if t - 1 in plan.x else "", f"t{t}.cell" if t in plan.x else "")
    dead = t in grid.cuts
    above, below = (16.0, 20.0) if grid.mode == "both" else (15.0, 15.0)
    items: list[Item] = []
    heights = plan.lane_ys(y)
    for i, (lane, norms) in enumerate(grid.lanes.items()):
        lane_y = heights[i]
        name = f"lane{i}" if t in plan.x else f"lane{i}.stub"
        what = f"{lane}_{t - 1}" if t else f"{lane}_init"
        tail = ends[0] if t else f"init.lane{i}"
        items += _wires(plan, f"t{t}.{name}", (left, lane_y), (left + plan.gap, lane_y),
                        norms[t], what, (tail, ends[1]), dead)
        last = i == len(heights) - 1 and i > 0
        label = lane_label(lane, t, None if dead else norms[t])
        # A dead lane's label stands to the left of the cut.
        items.append(Text(f"t{t}.{name}.label", left + (6 if dead else plan.gap / 2 - 3),
                          lane_y + (below if last else -above), label, 12, LABEL,
                          "start" if dead else "middle", halo=True))
    return items


def _input(plan: Plan, t: int, y: float) -> list[Item]:
    x, below, norm = plan.x[t], plan.input_y, plan.grid.inputs[t]
    start, end = (x, below - SMALL_H / 2), (x, y + plan.cell_h / 2)
    return [_box(plan, f"t{t}.input", "input", x, below, sub("x", t), f"input of step {t}"),
            *_wires(plan, f"t{t}.input.wire", start, end, norm, f"x_{t}",
                    (f"t{t}.input", f"t{t}.cell")),
            *_beside(f"t{t}.input.label", x, (start[1] + end[1]) / 2, norm)]


def _beside(name: str, x: float, y: float, norm: float | None) -> list[Item]:
    """Return the number to the right of a vertical line."""
    return [] if norm is None else [Text(name, x + 14, y, plain(short(norm)), 11, LABEL, "start")]


def _output(plan: Plan, t: int, y: float) -> list[Item]:
    """Return y_t and L_t above a cell, as far as the step has them, and their lines."""
    grid, x, items = plan.grid, plan.x[t], list[Item]()
    source, start = f"t{t}.cell", y - plan.cell_h / 2
    norm = None
    if grid.outputs is not None and grid.has_output(t):
        norm, name = grid.outputs[t], f"t{t}.output"
        end = plan.output_y + SMALL_H / 2
        items.append(_box(plan, name, "output", x, plan.output_y, sub("y", t),
                          f"output of step {t}"))
        items += _wires(plan, f"{name}.wire", (x, start), (x, end), norm, f"y_{t}",
                        (source, name))
        items += _beside(f"{name}.label", x, (start + end) / 2, norm)
        source, start = name, plan.output_y - SMALL_H / 2
    if grid.losses is not None and grid.has_loss(t):
        name, end = f"t{t}.loss", plan.loss_y + SMALL_H / 2
        items.append(_box(plan, name, "loss", x, plan.loss_y, sub("L", t), f"loss of step {t}"))
        items += _wires(plan, f"{name}.wire", (x, start), (x, end), norm, f"y_{t}",
                        (source, name))
        items += _wires(plan, f"{name}.sum", (x, plan.loss_y - SMALL_H / 2),
                        (x, plan.bar_y + BAR_H / 2), grid.losses[t], f"L_{t}", (name, "loss"))
    return items


def loss_formula(losses: Norms) -> Runs:
    """Return L in terms of its steps: a sum, a mean, or (other weights) what it is made of."""
    steps = [t for t, norm in enumerate(losses) if norm is not None]
    weights = [norm for norm in losses if norm is not None]
    count = len(steps)
    mean = count > 1 and all(math.isclose(w, 1 / count, rel_tol=1e-6) for w in weights)
    total = all(math.isclose(w, 1, rel_tol=1e-6) for w in weights)
    between = " + " if mean or total else ", "
    kept = steps if count <= MOST_TERMS else [*steps[:2], -1, steps[-1]]
    runs: list[tuple[str, str]] = [("L = (" if mean else "L = " if total else "L from ", "b")]
    for i, t in enumerate(kept):
        before = between if i else ""
        runs += [(before + "…", "b")] if t < 0 else sub(before + "L", t, "b")
    return (*runs, (f") / {count:,}", "b")) if mean else tuple(runs)


def _loss_bar(plan: Plan) -> Box:
    """Return the total loss as one wide bar instead of many converging lines."""
    x, w = (plan.left + plan.right) / 2, plan.right - plan.left
    formula = loss_formula(plan.grid.losses or [])
    if text_width(formula, 15) > w - 16:
        formula = bold("L")
    return Box("loss", x, plan.bar_y, w, BAR_H, "loss",
               (Text("loss.words", x, plan.bar_y, formula, 15),), *ROLES["loss"], 8.0, "the loss")


def _initial_states(plan: Plan, y: float) -> Group:
    """Return a box for the initial state of each lane, where the lane begins."""
    x = MARGIN + STATE_W / 2
    return Group("init", tuple(
        _box(plan, f"init.lane{i}", "state", x, lane_y, sub(clip(lane, 16, 15)[0][0], "init"),
             f"initial {lane}")
        for i, (lane, lane_y) in enumerate(zip(plan.grid.lanes, plan.lane_ys(y)))))


def _gap(plan: Plan, first: int) -> Group:
    """Return the lanes that stop at a gap of steps not drawn, and how many there are."""
    centre, count = plan.gaps[first]
    items = _lanes(plan, first, plan.gap_starts[first], plan.cell_y)
    items.append(Text(f"gap{first}.words", centre, plan.cell_y, count, 15, "#444444"))
    return Group(f"gap{first}", tuple(items), title="steps that are not drawn")


def _cuts(plan: Plan) -> list[Item]:
    """Return a red dashed line through each column of lanes where truncation cuts."""
    starts = {t: x - plan.cell_w / 2 - plan.gap for t, x in plan.x.items()} | plan.gap_starts
    top, bottom = plan.cell_y - plan.cell_h / 2, plan.cell_y + plan.cell_h / 2
    names = ", ".join(plan.grid.lanes)
    room = plan.cell_w + plan.gap - plan.small_w - 12
    items: list[Item] = []
    for t in sorted(plan.grid.cuts & starts.keys()):
        x = starts[t] + 0.5 * plan.gap
        items += [Edge(f"cut{t}", ((x, top - 34), (x, bottom + 30)), CUT, 2.0, arrow=False,
                       dashed=True, title=f"truncated between the steps {t - 1} and {t}"),
                  Text(f"cut{t}.words", x, top - 46, clip(f"cut: detach({names})", room, 12.5),
                       12.5, CUT, halo=True)]
    return items


def _time_axis(plan: Plan) -> list[Item]:
    y, end = plan.axis_y, plan.right
    return [Edge("time", ((plan.left, y), (end - 34, y)), PALE, 1.0, title="time"),
            Text("time.words", end - 28, y, plain("time"), 12, GREY, "start")]
