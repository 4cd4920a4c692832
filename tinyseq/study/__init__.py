"""`tinyseq study`: BPTT checked, done by hand, drawn, measured, and training on real text."""
from __future__ import annotations

from tinyseq.study.command import run
from tinyseq.study.options import Options

__all__ = ["Options", "run"]
