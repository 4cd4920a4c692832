"""Who is to blame for a wrong gradient: the search, and how it is said."""
from __future__ import annotations

from tinyseq.culprit.search import INNOCENT, Evidence, find_culprit, pull
from tinyseq.culprit.words import step_of

__all__ = ["INNOCENT", "Evidence", "find_culprit", "pull", "step_of"]
