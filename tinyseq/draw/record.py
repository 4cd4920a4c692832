"""From a recorded graph to a picture: `ts.draw(loss)`."""
from __future__ import annotations

from collections.abc import Iterable

from tinyseq.draw.grid import draw_grid
from tinyseq.draw.layout import TimeGrid
from tinyseq.draw.picture import Picture
from tinyseq.flow import Flow, flow
from tinyseq.tensor import Tensor

LEVELS = ("cell",)
TITLES = {"rnn_tanh": "RNN", "rnn_relu": "RNN", "lstm": "LSTM", "gru": "GRU",
          "gru_textbook": "GRU"}


def draw(loss: Tensor | Flow, level: str = "cell", *, mode: str = "forward",
         title: str | None = None, layer: str | None = None,
         steps: str | Iterable[int] | None = None, width: float | None = None) -> Picture:
    """The unrolled network behind a loss: columns are time steps, colours gradient norms.

    `mode` is "forward", "backward" or "both" (the way the arrows point); `steps` is "all" or the
    steps to show, where long sequences are shortened by default. Nothing changes in the graph.
    Errors: GraphError when nothing was recorded op by op (`with ts.detail("gates"):`).
    Example:
        >>> import tinyseq as ts
        >>> rnn = ts.nn.RNN(2, 3)
        >>> with ts.detail("gates"):
        ...     y, h = rnn(ts.ones(4, 1, 2))
        >>> ts.draw(h.sum())
        <Picture RNN, T = 4: cell level, 9 boxes>
    """
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}, got {level!r}")
    found = loss if isinstance(loss, Flow) else flow(loss, layer)
    cell = TITLES.get(found.cell.name, found.cell.name)
    name = title or f"{cell}, T = {found.steps}: {level} level"
    grid = TimeGrid(name, cell, found.steps, found.lanes, found.inputs, found.outputs,
                    found.losses, mode=mode)
    return Picture(draw_grid(grid, shown=steps, width=width), name)
