"""The report of a check: what was found, and the forms in which a person reads it."""
from __future__ import annotations

import os

from tinyseq.gradcheck import table
from tinyseq.gradcheck.outcome import Outcome


class Report(Outcome):
    """What a check found: printed as text, shown in notebooks, saved as a page or a heat map.

    Example:
        >>> import tinyseq as ts
        >>> report = ts.gradcheck_report(ts.nn.RNN(3, 4), steps=2, shares=False)
        >>> print(str(report).splitlines()[-2].split()[:3])
        ['line', 't=0', 't=1']
    """

    def __str__(self) -> str:
        return table.text(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report as .txt, as a page (.html) or as a heat map of the errors (.svg).

        Errors: ValueError for another suffix; OSError where the file cannot be written.
        """
        table.written(self, path)

    def _repr_html_(self) -> str:
        return table.html(self)
