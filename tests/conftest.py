"""What all tests share: a fixed seed, and skips that say what is missing on this machine."""
from __future__ import annotations

import importlib.util
import random
import shutil
from collections.abc import Iterator

import hypothesis
import numpy as np
import pytest

from tinyseq.scope import State, state

hypothesis.settings.register_profile("tinyseq", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("tinyseq")

collect_ignore = ["course.py"]  # what a student types, with torch: test_notebook.py runs it
STATE = "grad", "scope", "detail", "tape", "watch"
BROWSERS = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"


def missing() -> dict[str, str]:
    """By marker, what this machine lacks; torch is looked for, not imported (it takes seconds)."""
    reasons = {}
    if shutil.which("dot") is None:
        reasons["needs_dot"] = "Graphviz's `dot` is not on PATH"
    if not any(map(shutil.which, BROWSERS)):
        reasons["needs_chromium"] = "neither Chromium nor Chrome is on PATH"
    if importlib.util.find_spec("torch") is None:
        reasons["needs_torch"] = "PyTorch is not installed"
    return reasons


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for marker, reason in missing().items():
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def seed() -> None:
    """Every test starts from the same numbers, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """A test that leaves the engine's state changed would fail others, far from itself."""
    yield
    left = {name: getattr(state, name) for name in STATE
            if getattr(state, name) is not getattr(State, name)}
    for name in left:
        setattr(state, name, getattr(State, name))
    assert left == {}, "the test left the engine's state changed"


@pytest.fixture
def browser() -> str:
    """The path of Chromium or Chrome, for tests marked `needs_chromium`."""
    return next(filter(None, map(shutil.which, BROWSERS)))
