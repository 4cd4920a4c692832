"""What all tests share: a fixed seed, and skips that say what is missing on this machine."""
from __future__ import annotations

import importlib.util
import random
import shutil

import hypothesis
import numpy as np
import pytest

hypothesis.settings.register_profile("tinyseq", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("tinyseq")

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


@pytest.fixture
def browser() -> str:
    """The path of Chromium or Chrome, for tests marked `needs_chromium`."""
    return next(filter(None, map(shutil.which, BROWSERS)))
