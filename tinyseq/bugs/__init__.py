"""The wrong ways to go back through time: known mistakes, whose they were, and which one is yours.

    f = bugs.fixture("lstm")             numbers to run your own backward pass on
    print(bugs.diagnose(grads, "lstm"))  which known mistake your gradients equal, if any
    bugs.exhibits()                      those that stood in public code
"""
from __future__ import annotations

from tinyseq.bugs.diagnosis import Diagnosis, diagnose
from tinyseq.bugs.mistake import Mistake, network
from tinyseq.bugs.museum import KNOWN, Exhibit, checkable, exhibits, train
from tinyseq.bugs.stacked import Fixture, Network, fixture

__all__ = ["KNOWN", "Diagnosis", "Exhibit", "Fixture", "Mistake", "Network", "checkable",
           "diagnose", "exhibits", "fixture", "network", "train"]
