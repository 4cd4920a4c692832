"""Words on a picture: runs of text, how wide they are in Arial, and how to shorten them.

A label is a tuple of runs, each a string with a style ("", "b" bold, "sub", "sup"). Subscripts
are runs and not Unicode glyphs, because many fonts lack U+2080 and its neighbours.
"""
from __future__ import annotations

import math
import re

Run = tuple[str, str]
Runs = tuple[Run, ...]

SMALL = 0.72  # a subscript's size as a share of its line's
MINUS = "\u2212"

# Advance widths in 1/1000 of the font size; Helvetica and Liberation Sans share them.
_REGULAR = {
    191: "'", 222: "ijl", 260: "|", 278: " !,./:;I[\\]ft·", 333: "()-`r‖", 334: "{}", 355: '"',
    389: "*", 400: "°", 469: "^", 494: "∂", 500: "Jcksvxyz↑↓", 549: "±≤≥≈",
    556: "#$0123456789?L_abdeghnopqu–", 584: "+<=>~−×", 611: "FTZ", 618: "Σ", 667: "&ABEKPSVXY",
    722: "CDHNRUw", 778: "GOQ", 833: "Mm", 889: "%", 944: "W", 1000: "…→←", 1015: "@",
}
_BOLD = {
    238: "'", 278: " ,./I\\ijl·", 280: "|", 333: "!()-:;[]`ft‖", 389: "*r{}", 400: "°",
    474: '"', 494: "∂", 500: "z↑↓", 549: "±≤≥≈", 556: "#$0123456789J_aceksvxy–",
    584: "+<=>^~−×", 600: "Σ", 611: "?FLTZbdghnopqu", 667: "EPSVXY", 722: "&ABCDHKNRU",
    778: "GOQw", 833: "M", 889: "%m", 944: "W", 975: "@", 1000: "…→←",
}
_WIDTHS = {bold: {char: width for width, chars in table.items() for char in chars}
           for bold, table in ((False, _REGULAR), (True, _BOLD))}
_UNKNOWN = 700  # most other letters are narrower
_WIDE = 1000    # ideographs and emoji

# What XML 1.0 cannot hold, escaped or not; lone surrogates cannot even be encoded.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """Return `text` without the characters that XML 1.0 forbids (NUL, most controls)."""
    return _FORBIDDEN.sub("", text)


def plain(text: str) -> Runs:
    """Return `text` as one ordinary run."""
    return ((text, ""),)


def bold(text: str) -> Runs:
    """Return `text` as one bold run."""
    return ((text, "b"),)


def sub(base: str, below: object, style: str = "") -> Runs:
    """Return `base` with `below` as its subscript: `sub("h", 3)` is h₃."""
    return ((base, style), (str(below), "sub"))


def power_of_ten(exponent: int) -> Runs:
    """Return 10 with `exponent` as its superscript and a true minus sign."""
    return (("10", ""), (str(exponent).replace("-", MINUS), "sup"))


def words(runs: Runs) -> str:
    """Return the characters of `runs` without their styles."""
    return "".join(text for text, _ in runs)


def text_width(runs: Runs | str, size: float) -> float:
    """Return how wide `runs` is at `size` points.

    Example:
    >>> round(text_width("tanh", 10), 2)
    19.46
    """
    total = 0.0
    for text, style in plain(runs) if isinstance(runs, str) else runs:
        table = _WIDTHS[style == "b"]
        scale = SMALL if style in ("sub", "sup") else 1.0
        total += scale * sum(table.get(char, _UNKNOWN if char < "\u2e80" else _WIDE)
                             for char in text)
    return total * size / 1000


def clip(text: str, room: float, size: float, style: str = "") -> Runs:
    """Return `text` as one run, shortened with "…" when it is wider than `room` points."""
    if text_width(((text, style),), size) <= room:
        return ((text, style),)
    room -= text_width(((" …", style),), size)
    table, used, kept = _WIDTHS[style == "b"], 0.0, 0
    for char in text:
        used += table.get(char, _UNKNOWN if char < "\u2e80" else _WIDE) * size / 1000
        if used > room:
            break
        kept += 1
    return ((text[:kept].rstrip() + "…", style),)


def short(value: float | None) -> str:
    """Return a number as a label shows it: two digits, `nan` and `inf` by name, "" for None.

    Example:
    >>> [short(v) for v in (0.0713, 1.0, 6e-21, 1234.5, 0.0, None)]
    ['0.071', '1', '6e−21', '1200', '0', '']
    """
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(float(value))
    if value == 0:
        return "0"
    rounded = float(f"{value:.1e}")
    if 1e-3 <= abs(rounded) < 1e4:
        return f"{rounded:.6f}".rstrip("0").rstrip(".")
    mantissa, exponent = f"{rounded:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}".replace("-", MINUS)
