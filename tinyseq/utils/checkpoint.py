"""torch's name for recomputing in backward instead of keeping: it lives in `tinyseq.recompute`."""
from tinyseq.recompute import checkpoint

__all__ = ["checkpoint"]
