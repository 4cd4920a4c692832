"""What a study is asked to do, refused in one line where it cannot be done."""
from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

CELLS = ("rnn", "lstm", "gru", "gru-textbook")


class OptionError(ValueError):
    """An option that cannot be used: one line saying what is wrong and what to type instead."""


@dataclass(frozen=True)
class Options:
    """The options of `tinyseq study`; `updates` in place of `budget` makes a run repeatable."""

    cell: str = "lstm"
    text: str | None = None
    hidden: int = 64
    steps: int = 25
    budget: float = 20.0        # seconds of training
    updates: int | None = None
    seed: int = 0
    out: str = "study"

    def check(self) -> None:
        """Refuse what cannot be run, before anything is computed or written."""
        if self.cell not in CELLS:
            raise OptionError(f"unknown cell {self.cell!r}: choose one of {', '.join(CELLS)}")
        for name, least, most in (("hidden", 1, 4096), ("steps", 1, 10_000),
                                  ("seed", 0, 2 ** 32 - 1)):
            value = getattr(self, name)
            if not least <= value <= most:
                raise OptionError(f"--{name} must be between {least} and {most}, got {value}")
        if not 0 < self.budget <= 86_400:
            raise OptionError(f"--budget must be more than 0 and at most 86400 seconds, got "
                              f"{self.budget:g}")
        if self.updates is not None and not 1 <= self.updates <= 10_000_000:
            raise OptionError(f"--updates must be between 1 and 10000000, got {self.updates}")

    def folder(self) -> Path:
        """The output folder, made and shown to be writable."""
        path = Path(self.out)
        if path.exists() and not path.is_dir():
            raise OptionError(f"--out {self.out}: there is a file of that name; choose a folder")
        try:
            path.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path)
            os.close(handle)
            os.unlink(name)
        except OSError as error:
            raise OptionError(f"--out {self.out}: cannot be written to ({error.strerror}); choose "
                              "another folder, such as --out ~/study") from error
        return path
