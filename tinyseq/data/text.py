"""A text as numbers: the reader's own Python manual or a UTF-8 file; and windows over it."""
from __future__ import annotations

import inspect
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import NamedTuple

import numpy as np

from tinyseq.errors import TextError

LARGEST_FILE = 256 * 2**20  # bytes
LARGEST_ALPHABET = 10_000   # symbols; a long Chinese novel has about 6,000
PIECE = 2**22               # characters turned into numbers at a time, to bound memory
TEN_MODULES = ("argparse", "asyncio", "collections", "datetime", "decimal", "functools",
               "logging", "pathlib", "random", "statistics")
INSTEAD = "type --text FILE with a UTF-8 text file, or leave --text out for the Python manual"


@dataclass(frozen=True)
class Text:
    """A text as numbers: its name, its symbols in code-point order, and one code per character.

    The last tenth, in one piece, is for validation: the part before it is for training.

    Shapes: codes (characters,), uint8 where there are at most 256 symbols, else uint16.
    Example:
        >>> text = Text.of("abracadabra", name="a spell")
        >>> text.symbols, text.codes[:5].tolist(), text.decode(text.validation)
        ('abcdr', [0, 1, 4, 0, 2], 'ra')
    """
    name: str
    symbols: str
    codes: np.ndarray

    @classmethod
    def of(cls, content: str, name: str = "text") -> Text:
        """The text of a string."""
        pieces = range(0, len(content), PIECE)
        seen = np.zeros(sys.maxunicode + 1, bool)
        for start in pieces:
            seen[points(content[start:start + PIECE])] = True
        found = np.flatnonzero(seen)
        if len(found) > LARGEST_ALPHABET:
            raise TextError(f"{name} has {len(found):,} different characters, more than the "
                            f"{LARGEST_ALPHABET:,} that a character model takes; {INSTEAD}")
        code = np.zeros(len(seen), np.uint8 if len(found) <= 256 else np.uint16)
        code[found] = np.arange(len(found))
        codes = np.empty(len(content), code.dtype)
        for start in pieces:
            codes[start:start + PIECE] = code[points(content[start:start + PIECE])]
        return cls(name, "".join(map(chr, found.tolist())), codes)

    @property
    def characters(self) -> int:
        """How many characters the text has."""
        return len(self.codes)

    @property
    def train(self) -> np.ndarray:
        """The codes of the first nine tenths."""
        return self.codes[:self.characters * 9 // 10]

    @property
    def validation(self) -> np.ndarray:
        """The codes of the last tenth."""
        return self.codes[self.characters * 9 // 10:]

    def decode(self, codes: np.ndarray) -> str:
        """The characters of some codes."""
        return "".join(self.symbols[code] for code in np.asarray(codes).ravel().tolist())


def points(content: str) -> np.ndarray:
    """The code point of every character."""
    return np.frombuffer(content.encode("utf-32-le"), "<u4")


def load_text(path: str | None = None, steps: int = 1) -> Text:
    r"""The text of a UTF-8 file, or, without a path, of the Python manual that runs this.

    Line ends are read as "\n" and a byte order mark is dropped; all else stays as it is. The
    validation tenth must hold one window of `steps` characters and the one after it.

    Errors: TextError for what cannot be trained on, naming the file, the reason and the way out.
    """
    if path is None:
        content, name = manual()
        subject = name
    else:
        content, name, subject = content_of(path), printable(os.path.basename(path)), repr(path)
    if not content:
        raise TextError(f"{subject} is empty; {INSTEAD}")
    if content.count(content[0]) == len(content):
        raise TextError(f"{subject} holds nothing but the character {content[0]!r}, so there is "
                        f"nothing to predict; {INSTEAD}")
    needed = 10 * steps + 1  # the last tenth, rounded up, is then steps + 1
    if len(content) < needed:
        raise TextError(f"{subject} has {len(content):,} characters and --steps {steps} needs "
                        f"{needed:,}; type a smaller --steps or name a longer text")
    return Text.of(content, name)


def printable(name: str) -> str:
    """A name fit for a line of output and for a UTF-8 file."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


def content_of(path: str) -> str:
    """The characters of a regular UTF-8 file; a TextError says why there are none."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise TextError(f"{path!r} is a folder; {INSTEAD}")
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device could keep us waiting for ever
            raise TextError(f"{path!r} is a pipe or a device, not a file; {INSTEAD}")
        with open(path, "rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise TextError(f"{path!r} cannot be read: {error.strerror}; {INSTEAD}") from None
    except ValueError as error:
        if isinstance(error, TextError):
            raise
        raise TextError(f"{path!r} is no file name: {error}; {INSTEAD}") from None
    if len(raw) > LARGEST_FILE:
        raise TextError(f"{path!r} is larger than {LARGEST_FILE // 2**20} MB; type "
                        "--text FILE with a part of it")
    return decoded(raw, path)


def decoded(raw: bytes, path: str) -> str:
    """The characters of a file's bytes; a TextError names the first byte that is none."""
    zero = raw.find(b"\0")
    if zero >= 0:
        raise TextError(f"{path!r} is binary or UTF-16, not UTF-8 text: byte {zero:,} is zero; "
                        f"{INSTEAD}")
    try:
        content = raw.decode()
    except UnicodeDecodeError as error:
        raise TextError(f"{path!r} is not UTF-8 text: byte {error.start:,} is "
                        f"0x{raw[error.start]:02x} ({error.reason}); {INSTEAD}") from None
    return content.removeprefix("\ufeff").replace("\r\n", "\n")


def manual() -> tuple[str, str]:
    """The topics of the manual inside this Python, in the order of their keys, and its name."""
    version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    try:
        topics = import_module("pydoc_data.topics").topics
    except ImportError:
        topics = {}
    if topics:
        return "\n".join(topics[key] for key in sorted(topics)), f"{version} manual"
    name = f"docstrings of {len(TEN_MODULES)} {version} modules (the manual is not installed)"
    return "\n\n".join(docstrings()), name


def docstrings() -> Iterator[str]:
    """Every docstring of ten standard modules once: of modules, classes, functions and methods."""
    seen: set[str] = set()
    for name in TEN_MODULES:
        module = import_module(name)
        owners = [module, *(vars(module)[key] for key in sorted(vars(module))
                            if inspect.isclass(vars(module)[key]))]
        for owner in owners:
            for member in (owner, *(vars(owner)[key] for key in sorted(vars(owner)))):
                documented = inspect.ismodule(member) or callable(member)
                doc = inspect.getdoc(member) if documented else None
                if doc and doc not in seen:
                    seen.add(doc)
                    yield doc


class Window(NamedTuple):
    """T steps of N streams: characters x, the ones after them y, whether the state starts anew.

    Shapes: x, y (T, N), int64.
    """
    x: np.ndarray
    y: np.ndarray
    restart: bool


def streams(codes: np.ndarray, N: int, T: int, passes: int | None = None) -> Iterator[Window]:
    """Windows for truncated BPTT: N parallel streams, read on from window to window.

    Column n of one window continues column n of the window before, so the state may be carried
    over; where `restart` is set, the streams have begun again and the state must be reset. With
    `passes` it ends after so many readings, else never. What does not fill a window is left out.

    Shapes: codes (characters,).
    Errors: TextError where a stream is shorter than one window and the character after it.
    Example:
        >>> for x, y, restart in streams(np.arange(10), N=2, T=2, passes=1):
        ...     print(x.tolist(), y.tolist(), restart)
        [[0, 5], [1, 6]] [[1, 6], [2, 7]] True
        [[2, 7], [3, 8]] [[3, 8], [4, 9]] False
    """
    if N < 1 or T < 1:
        raise ValueError(f"streams needs N >= 1 streams of T >= 1 steps, got N={N} and T={T}")
    length = len(codes) // N
    if length < T + 1:
        raise TextError(f"{len(codes):,} characters are too few for {N} streams of windows of {T} "
                        f"steps, which need {N * (T + 1):,}; take fewer streams or fewer steps")
    return windows(codes[:N * length].reshape(N, length).T, T, passes)


def windows(rows: np.ndarray, T: int, passes: int | None) -> Iterator[Window]:
    """The windows of streams that stand side by side, rows (length, N)."""
    done = 0
    while passes is None or done < passes:
        for start in range(0, len(rows) - T, T):
            part = rows[start:start + T + 1].astype(np.int64)  # (T+1, N)
            yield Window(part[:-1], part[1:], start == 0)
        done += 1
