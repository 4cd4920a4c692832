"""The generated tasks by name: functions of sizes and a seed that return arrays."""
from tinyseq.data.reber import reber
from tinyseq.data.synthetic import adding, copy, echo, order, parity
from tinyseq.data.words import dates, opinions

__all__ = ["adding", "copy", "dates", "echo", "opinions", "order", "parity", "reber"]
