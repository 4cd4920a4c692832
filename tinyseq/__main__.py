"""`python -m tinyseq` is `tinyseq`."""
from __future__ import annotations

import sys

from tinyseq.cli import main

if __name__ == "__main__":
    sys.exit(main())
