"""The two loops over time around a cell's stages: all steps forward, all steps back.

What stands between two stages is a product: of a state or a line with the rows of its gates, or
with weight_hr. Back in time the same products are taken with the same rows, the other way round.
"""
from __future__ import annotations

import textwrap
from typing import Any

STEP_BACK = "t in range(Wx.shape[0] - 1, -1, -1)"


def forward(emitter: Any) -> str:
    """The source of the kernel that runs all steps."""
    cell = emitter.cell
    packs, body, n = [], [], 0
    stages = Stages([emitter.stage(k) for k in range(len(emitter.stages))])
    for item in cell.schedule:
        if hasattr(item, "tree"):
            body += stages.line()
            continue
        stages.fresh = True
        source = rows_of(emitter, item.operand)
        if not item.gates:
            packs.append("    p = packed(hr, 0, hr.shape[0], True)")
            body.append(f"        product({source}, 0 * H, p, {cell.states[0]}_all[t + 1], 0 * H, "
                        "hr.shape[0], False)")
        for first, last in cuts(cell, item.gates):
            packs.append(f"    w{n} = packed(hh, {first} * H, {last} * H, True)")
            body.append(f"        product({source}, 0 * H, w{n}, Wh[{emitter.step}], {first} * H, "
                        f"{last - first} * H, False)")
            n += 1
    return whole(emitter, "forward", emitter.arguments(False), "All steps.", packs,
                 "t in range(Wx.shape[0])", body)


def backward(emitter: Any) -> str:
    """The source of the kernel that goes back through all steps."""
    cell = emitter.cell
    packs, body, n = [], [], 0
    stages = Stages(emitter.stages_back())
    for item in reversed(cell.schedule):
        if hasattr(item, "tree"):
            body += stages.line()
            continue
        stages.fresh = True
        target, add = target_of(emitter, item)
        if not item.gates:
            packs.append("    p = packed(hr, 0, hr.shape[0], False)")
            body += [f"        g_out[t] = carry_{cell.states[0]} + gy[t]",
                     f"        product(g_out[t], 0 * H, p, {target}, 0 * H, H, False)"]
        for first, last in cuts(cell, item.gates):
            packs.append(f"    w{n} = packed(hh, {first} * H, {last} * H, False)")
            body.append(f"        product(g_Wh[t], {first} * H, w{n}, {target}, 0 * H, "
                        f"hh.shape[1], {add})")
            n, add = n + 1, True
    return whole(emitter, "backward", emitter.arguments(True) + ", g_out",
                 "All steps, in reverse.", packs, STEP_BACK, body)


class Stages:
    """Puts each stage's text once, where its first line stands in the schedule."""

    def __init__(self, texts: list[list[str]]) -> None:
        self.texts, self.fresh = iter(texts), True

    def line(self) -> list[str]:
        """The text, if the line at hand begins a stage."""
        if not self.fresh:
            return []
        self.fresh = False
        return ["    " + line for line in "\n".join(next(self.texts)).split("\n")]


def whole(emitter: Any, kind: str, arguments: str, says: str, packs: list[str], over: str,
          body: list[str]) -> str:
    """A kernel: its head, the packed weights, the loop."""
    start = f"def {emitter.cell.name}_{kind}("
    head = textwrap.fill(f"{start}hh, hr, {arguments}):", 99, subsequent_indent=" " * len(start))
    gates = f"    N, H = Wx.shape[1], Wx.shape[2] // {len(emitter.cell.gates)}"
    return "\n".join([head, f'    """{says}"""', gates, *packs, f"    for {over}:", *body]) + "\n"


def cuts(cell: Any, gates: tuple[str, ...]) -> list[tuple[int, int]]:
    """(first, last) of each run of neighbouring gates among the rows."""
    joined: list[tuple[int, int]] = []
    for k in (cell.gates.index(gate) for gate in gates):
        if joined and joined[-1][1] == k:
            joined[-1] = joined[-1][0], k + 1
        else:
            joined.append((k, k + 1))
    return joined


def rows_of(emitter: Any, name: str) -> str:
    """Step t's rows (N, H) of a state before the step, or of a line."""
    cell = emitter.cell
    if name in cell.states:
        return f"{name}_all[t]"
    if name in cell.returns:
        return f"{cell.states[cell.returns.index(name)]}_all[t + 1]"
    return f"lines[t, {emitter.kept.index(name)}]"


def target_of(emitter: Any, item: Any) -> tuple[str, bool]:
    """Where the gradient of a product's operand goes, and whether something is there already."""
    if item.operand in emitter.cell.states:
        return f"carry_{item.operand}", item.operand in emitter.used
    return f"through[{emitter.by_product.index(item.operand)}]", False
