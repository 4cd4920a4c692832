"""Saving and loading: `save`, `load`; the naming, the files and the two formats."""
from tinyseq.io.files import load, save

__all__ = ["load", "save"]
