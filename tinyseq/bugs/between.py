"""The published mistakes between layers and directions, whatever the cell."""
from __future__ import annotations

from tinyseq.bugs.mistake import Mistake, mistake

BETWEEN: tuple[Mistake, ...] = (
    mistake("one state for all layers", "layer 0's first state in every layer",
            "first = [s[n] for s in f.state]", "first = [s[0] for s in f.state]",
            "found[name][n] += value", "found[name][0] += value",
            source="pclucas14/GansFallingShort PR 2", forward=True, layers=2),
    mistake("dy overwritten", "a middle layer's dx in place of its dy at the reverse direction",
            "half = np.split(g, D, axis=2)[d]",
            "half = np.split(gx if d and 0 < layer < top else g, D, axis=2)[d]",
            source="apache/mxnet#17898 and PR 18203", layers=3),
    mistake("output for input", "a middle layer's output in place of its input in weight_ih's "
            "gradient", "x, gx = below[layer], np.zeros_like(below[layer])",
            "x, gx = below[layer + (0 < layer < top)], np.zeros_like(below[layer])",
            source="apache/mxnet#17898 and PR 18203", layers=3),
)
