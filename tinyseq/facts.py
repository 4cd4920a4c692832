"""What a study finds out, as study.json holds it and report.html shows it."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict


class TextFacts(TypedDict, total=False):
    """The text: its name, how many characters, how many different ones."""
    name: str
    characters: int
    symbols: int


class Error(TypedDict):
    """The worst error of one tensor or gate, relative to its largest entry."""
    name: str
    error: float


class CheckFacts(TypedDict, total=False):
    """The gradient check: one row per tensor or gate, and a mistake planted on purpose."""
    rows: list[Error]
    passed: bool
    dtype: str
    eps: float
    bug: Error
    bug_caught: bool


class Agreement(TypedDict):
    """How far the engine is from BPTT by hand, relative to the largest entry."""
    cell: str
    gradients: float   # the gradients of weights, inputs and states
    shares: float      # each step's share of each weight's gradient
    total: float       # the sum of the shares against the gradient


class ByHandFacts(TypedDict, total=False):
    """Gradients computed in two ways that share no code, over so many steps."""
    rows: list[Agreement]
    steps: int
    passed: bool


class SeeFacts(TypedDict, total=False):
    """The recorded graph in the pictures."""
    steps: int
    nodes: int


class MeasureFacts(TypedDict, total=False):
    """Norms of dL/dh at each lag, relative to lag 0, by name of the net, and of theory."""
    lags: list[int]
    norms: dict[str, list[float]]
    theory: list[float]     # sigma(1)^lag
    radius: float           # the spectral radius of the simple network's W_hh
    steps: int              # where training truncates, and
    kept: float             # how much of ||dW_hh|| that keeps, 0 to 1


class Point(TypedDict):
    """One measurement on the validation part: nats a character."""
    seconds: float
    updates: int
    nats: float


class TrainFacts(TypedDict, total=False):
    """The training: its course, what to compare it with, and the health of the gradient."""
    uniform: float                      # ln V, the loss of knowing the alphabet only
    first_loss: float
    baselines: Mapping[Any, float]      # order n of the n-gram -> nats a character
    points: list[Point]
    updates: int
    clip: float                         # the largest norm let through
    clipped: float                      # share of updates, 0 to 1
    largest_norm: float
    saturated: float                    # shares of gate values, 0 to 1
    dead: float


class SampleFacts(TypedDict, total=False):
    """What the network wrote, after the characters it was started with."""
    start: str
    text: str
    temperature: float


class Facts(TypedDict, total=False):
    """All that a report can show; what is missing is left out, and the page says so."""
    version: str
    cell: str
    hidden: int
    steps: int
    seed: int
    command: str
    interrupted: bool
    text: TextFacts
    check: CheckFacts
    by_hand: ByHandFacts
    see: SeeFacts
    measure: MeasureFacts
    train: TrainFacts
    sample: SampleFacts
    times: dict[str, float]     # seconds, by section
