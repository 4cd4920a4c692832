"""Training the character model by truncated BPTT, measuring it on unseen text; sampling."""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyseq.data.ngram import LARGEST_VALIDATION
from tinyseq.data.text import Text, streams
from tinyseq.errors import NonFiniteError
from tinyseq.mode import no_grad
from tinyseq.nn.functional import cross_entropy
from tinyseq.nn.utils import clip_grad_norm_
from tinyseq.ops import log_softmax
from tinyseq.optim import Adam
from tinyseq.probe import first_nonfinite
from tinyseq.study.model import CharacterModel, detached
from tinyseq.study.options import Options

STREAMS = 32          # how many places of the text are read at once
RATE = 4e-3           # Adam's learning rate, until the last third of the training
CLIP = 5.0            # the largest gradient norm that is let through
CHECKPOINTS = 4       # how often the validation loss is measured


@dataclass
class Training:
    """The course of a training: nats a character, seconds of training, updates."""

    start: float = math.nan           # on the validation part, before the first update
    first_loss: float = math.nan      # of the first training window
    points: list[dict[str, float]] = field(default_factory=list)
    updates: int = 0
    clipped: int = 0
    largest_norm: float = 0.0
    seconds: float = 0.0

    @property
    def nats(self) -> float:
        return self.points[-1]["nats"] if self.points else math.nan


def train(model: CharacterModel, text: Text, options: Options, course: Training,
          say: Callable[[str], None]) -> Iterator[dict[str, float]]:
    """Train until the budget is spent; yields each measured point of the validation curve."""
    course.start = validate(model, text)
    optimizer = Adam(model.parameters(), lr=RATE)
    windows = streams(text.train, width(text.train, options.steps), options.steps)
    states: Any = None
    spent, began, measured = 0.0, time.perf_counter(), 0
    for x, y, restart in windows:
        states = None if restart else states
        done = progress(options, course.updates, spent)
        if done >= (measured + 1) / CHECKPOINTS:
            measured += 1
            course.seconds = spent
            course.points.append({"seconds": spent, "updates": course.updates,
                                  "nats": validate(model, text)})
            yield course.points[-1]
            if measured == CHECKPOINTS:
                return
            began = time.perf_counter() - spent
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, 3.05 * (1.0 - done) + 0.05)
        loss, states = update(model, optimizer, x, y, states, course)
        if course.updates == 0:
            course.first_loss = loss
        course.updates += 1
        spent = time.perf_counter() - began
        if course.updates % 25 == 0:
            say(f"train  {spent:5.1f} s  update {course.updates}  loss {loss:.2f} nats")


def warm_up(model: CharacterModel, text: Text, options: Options) -> None:
    """One update's work, with a step of length 0: whatever has to be compiled is compiled here."""
    x, y, _ = next(streams(text.train, width(text.train, options.steps), options.steps))
    logits, _ = model(x)
    cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1)).backward()
    Adam(model.parameters(), lr=0.0).step()
    model.zero_grad()


def width(codes: np.ndarray, steps: int) -> int:
    """How many streams a text is long enough for."""
    return max(1, min(STREAMS, (len(codes) - 1) // (steps + 1)))


def progress(options: Options, updates: int, spent: float) -> float:
    """How far the training is, from 0 to 1."""
    return updates / options.updates if options.updates else spent / options.budget


def update(model: CharacterModel, optimizer: Adam, x: np.ndarray, y: np.ndarray, states: Any,
           course: Training) -> tuple[float, Any]:
    """One update: forward over a window, backward through it, clip, step."""
    def forward() -> tuple[Any, Any]:
        logits, after = model(x, states)
        return cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1)), after

    loss, after = forward()
    value = loss.item()
    optimizer.zero_grad()
    try:
        if not math.isfinite(value):
            raise NonFiniteError(f"the loss is {value}")
        loss.backward()
        norm = float(clip_grad_norm_(model.parameters(), CLIP))
        optimizer.step()
    except NonFiniteError as error:
        where = first_nonfinite(lambda: forward()[0])
        raise NonFiniteError(f"training stopped at update {course.updates}: {error}; "
                             f"{where or 'op by op everything is finite'}") from error
    course.clipped += norm > CLIP
    course.largest_norm = max(course.largest_norm, norm)
    return value, detached(after)


def validate(model: CharacterModel, text: Text, window: int = 200) -> float:
    """Nats a character on the validation part, read by a few streams from start to end."""
    codes = text.validation[:LARGEST_VALIDATION]  # what the n-grams are measured on
    N = width(codes, window) if len(codes) > 2 * window else 1
    length = (len(codes) - 1) // N
    x = codes[:N * length].reshape(N, length).T                      # (length, N)
    y = codes[1:N * length + 1].reshape(N, length).T
    total, states = 0.0, None
    with no_grad():
        for start in range(0, length, window):
            logits, states = model(x[start:start + window], states)
            total += cross_entropy(logits.reshape(-1, logits.shape[-1]),
                                   y[start:start + window].reshape(-1), reduction="sum").item()
    return total / (N * length)


def sample(model: CharacterModel, text: Text, start: str, length: int, seed: int,
           temperature: float = 0.7) -> str:
    """Text written by the model: each next character drawn from its own prediction."""
    rng = np.random.default_rng(seed)
    known = [text.symbols.index(c) for c in start if c in text.symbols] or [0]
    written, states = list(known), None
    feed = np.array(known)[:, None]
    with no_grad():
        for _ in range(length):
            logits, states = model(feed, states)
            p = np.exp(log_softmax(logits[-1, 0] * (1 / temperature), dim=0).array.astype(float))
            feed = np.array([[int(rng.choice(len(p), p=p / p.sum()))]])
            written.append(int(feed[0, 0]))
    return text.decode(np.array(written))
