"""Text and tasks to train on; nothing is downloaded."""
from __future__ import annotations

from tinyseq.data.ngram import LARGEST_VALIDATION, baselines
from tinyseq.data.text import Text, Window, load_text, streams

__all__ = ["LARGEST_VALIDATION", "Text", "Window", "baselines", "load_text", "streams"]
