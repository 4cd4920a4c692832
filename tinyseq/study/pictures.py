"""The study's pictures, each saved as SVG, the unrolled net as DOT and (where dot is) PNG too."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyseq.draw.chart import Series, heat_strip, line_chart, share_chart
from tinyseq.draw.picture import Picture
from tinyseq.draw.program import find_dot
from tinyseq.draw.record import draw
from tinyseq.errors import RenderError
from tinyseq.mode import detail
from tinyseq.nn.functional import cross_entropy
from tinyseq.ops import manual_seed, stack
from tinyseq.probe import values
from tinyseq.scope import scope
from tinyseq.study.measure import Measurement
from tinyseq.study.model import CharacterModel
from tinyseq.tensor import Tensor, wrap

N_GRAMS = {1: "unigram", 2: "bigram", 3: "trigram"}
CHARACTERS = 80  # how many the gate strip shows


def unrolled(cell: str, hidden: int, seed: int, steps: int = 4) -> Tensor:
    """A small net over a few steps with a loss at each: the graph of the first picture."""
    manual_seed(seed)
    rng = np.random.default_rng(seed)
    V, N = 16, 4
    model = CharacterModel(cell, V, hidden)
    codes = rng.integers(0, V, (steps + 1, N))
    states = [wrap(np.zeros((1, N, hidden), np.float32)).requires_grad_() for _ in range(2)]
    with detail("gates"):
        y, _ = model.layer(model.embedding(codes[:-1]),
                           tuple(states) if cell == "lstm" else states[0])
    losses = []
    for t in range(steps):
        with scope(f"t={t}"):
            with scope("y"):
                logits = model.readout(y[t])
            with scope("L"):
                losses.append(cross_entropy(logits, codes[t + 1]))
    return stack(losses).sum()


def see(folder: Path, loss: Tensor) -> dict[str, str]:
    """unrolled.svg, unrolled.dot, and unrolled.png where a dot program is found."""
    picture = draw(loss, mode="both")
    picture.save(folder / "unrolled.dot")
    if find_dot():
        try:
            picture.save(folder / "unrolled.png")
        except RenderError:
            pass  # a broken dot costs the PNG and nothing else
    return keep(folder, "unrolled", picture)


def keep(folder: Path, name: str, picture: Picture) -> dict[str, str]:
    """Save a picture as SVG; {name: its text} for the report."""
    picture.save(folder / f"{name}.svg")
    return {name: picture.svg()}


def lag(folder: Path, found: Measurement) -> dict[str, str]:
    """The norms by lag, the shares of dW, and the long net shortened, with its strip."""
    lags = list(range(found.steps + 1))
    series = [Series(name, lags, norms) for name, norms in found.curves.items()]
    series.append(Series("theory: σ(1)^lag", lags, found.theory, dashed=True))
    chart = line_chart("How far back the gradient reaches", series, "lag (steps back)",
                       "‖dL/dh‖ relative to lag 0", log_y=True)
    bars = share_chart("Each step's share of dL/dW_hh (norms, relative to the whole)",
                       found.shares, found.kept, "lag (steps back from the loss)")
    return (keep(folder, "lag", Picture(chart, "lag"))
            | keep(folder, "shares", Picture(bars, "shares"))
            | keep(folder, "long", draw(found.grid, mode="backward",
                                        title="Loss at the last step only: the way back")))


def loss_curve(folder: Path, points: Sequence[dict[str, float]], start: float,
               baselines: dict[int, float]) -> dict[str, str]:
    """The validation loss while training, over the n-gram lines."""
    xs = [0.0] + [p["seconds"] for p in points]
    series = [Series("tinyseq", xs, [start] + [p["nats"] for p in points])]
    lines = [(N_GRAMS.get(n, f"{n}-gram"), nats) for n, nats in baselines.items()]
    chart = line_chart("Loss on text it has not seen", series, "seconds of training",
                       "nats a character", references=lines)
    return keep(folder, "loss", Picture(chart, "loss"))


def gates(folder: Path, model: CharacterModel, codes: np.ndarray,
          symbols: str) -> tuple[dict[str, str], dict[str, float]]:
    """The gate strip over some characters, and how many gate values are saturated."""
    read = liveliest(codes)
    found = values(lambda: model(read[:, None]), "layer/l0.fwd/t=*/*")
    lines: dict[str, list[np.ndarray]] = {}
    for path, value in found.items():
        lines.setdefault(path.rsplit("/", 1)[1], []).append(value)
    squashed = {name: np.array(rows) for name, rows in lines.items() if name in "ifogrz"}
    if "g" in squashed:
        squashed["|g|"] = np.abs(squashed.pop("g"))
    if not squashed:  # the vanilla net has no gates: show its state
        squashed = {"h": np.abs(np.array(lines["h_next"]))}
    means: dict[str, Sequence[float | None]] = {
        name: [float(row.mean()) for row in rows] for name, rows in squashed.items()}
    characters = [symbols[c] if symbols[c].isprintable() else "·" for c in read]
    strip = heat_strip("The gates while it reads (mean over the units)", means, characters, 0.0,
                       1.0)
    flat = [(rows > 0.99) | (rows < 0.01)  # where a sigmoid's slope is below 0.01: (T, 1, H)
            for name, rows in squashed.items() if name != "|g|"]
    health = {"saturated": float(np.mean(flat)), "dead": float(np.mean(np.all(flat, axis=(1, 2))))}
    return keep(folder, "gates", Picture(strip, "gates")), health


def liveliest(codes: np.ndarray) -> np.ndarray:
    """The stretch of the first few pages with the most different characters: the most to see."""
    stretches = [codes[k:k + CHARACTERS] for k in range(0, max(1, min(len(codes), 8_000)
                                                               - CHARACTERS), CHARACTERS // 2)]
    return max(stretches, key=lambda stretch: len(np.unique(stretch)))
