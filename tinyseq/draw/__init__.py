"""Pictures of networks over time: one geometry (a `Scene`), written as SVG and as DOT.

    picture = Picture(draw_grid(TimeGrid("LSTM", "LSTM", 4, lanes, inputs)), "LSTM T=4 cell level")
    picture.save("lstm.svg")

The SVG is our own and needs no program; `dot` only turns the same geometry into .png or .pdf.
"""
from __future__ import annotations

from tinyseq.draw.chart import Series, heat_strip, line_chart, share_chart
from tinyseq.draw.grid import draw_grid
from tinyseq.draw.layout import TimeGrid
from tinyseq.draw.picture import Picture
from tinyseq.draw.scene import Scene

__all__ = ["Picture", "Scene", "Series", "TimeGrid", "draw_grid", "heat_strip", "line_chart",
           "share_chart"]
