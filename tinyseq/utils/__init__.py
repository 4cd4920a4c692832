"""torch's names for what lives elsewhere in tinyseq: `utils.data`, `utils.checkpoint`."""
from tinyseq.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
