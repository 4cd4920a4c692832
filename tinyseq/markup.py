"""Pieces of a page: tables, bars, and numbers, as HTML."""
from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from tinyseq.draw.text import clean


def table(head: Sequence[str], rows: Sequence[Sequence[str]], marks: Sequence[str] = ()) -> str:
    """A table in a box that scrolls; the cells are HTML, `marks` the classes of the rows."""
    if not rows:
        return ""
    top = "".join(f'<th scope="col">{safe(word)}</th>' for word in head)
    body = []
    for k, (first, *others) in enumerate(rows):
        mark = f' class="{marks[k]}"' if marks and marks[k] else ""
        cells = "".join(cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in others)
        body.append(f'<tr{mark}><th scope="row">{first}</th>{cells}</tr>')
    return (f'<div class="scroll"><table><thead><tr>{top}</tr></thead>'
            f"<tbody>{''.join(body)}</tbody></table></div>")


def bar(share: float) -> str:
    """A table cell with a bar, `share` (0 to 1) of its width."""
    share = 1.0 if math.isnan(share) else min(max(share, 0.01), 1.0)
    return f'<td class="bar"><i style="width:{100 * share:.1f}%"></i></td>'


def log_bar(error: float) -> str:
    """A bar for an error, from 1e-16 (empty) to 1, or not a number at all (full)."""
    return bar(1 + math.log10(error) / 16 if error != 0 else 0.0)


def number(value: float, figures: int = 3) -> str:
    """A number to three figures; a very small or large one to two, with a power of ten.

    Example:
        >>> number(1.3201), number(3.1e-10), number(0)
        ('1.32', '3.1×10<sup>−10</sup>', '0')
    """
    if value == 0 or not math.isfinite(value):
        return {"nan": "not a number", "inf": "∞", "-inf": "−∞"}.get(f"{value}", "0")
    if 1e-3 <= abs(value) < 1e5:
        return f"{value:,.{max(0, figures - 1 - math.floor(math.log10(abs(value))))}f}"
    mantissa, exponent = f"{value:.{max(0, figures - 2)}e}".split("e")
    return f"{mantissa}×10<sup>{int(exponent)}</sup>".replace("-", "\N{MINUS SIGN}")


def percent(share: float) -> str:
    """A share of 1 as a percentage."""
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def safe(text: str) -> str:
    """A text as HTML: nothing in it is markup, and what no page can hold is left out."""
    return escape(clean(text))
