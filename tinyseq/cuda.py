"""What code written for torch asks of `torch.cuda`: there is none, and nothing fails for asking.

    device = ts.device("cuda" if ts.cuda.is_available() else "cpu")
"""
from __future__ import annotations


def is_available() -> bool:
    """Whether there is a GPU to compute on: tinyseq computes on the CPU."""
    return False


def device_count() -> int:
    """How many GPUs there are: none."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing, as in torch without a GPU; `ts.manual_seed` is the CPU's."""


def manual_seed_all(seed: int) -> None:
    """Nothing, as in torch without a GPU."""


def empty_cache() -> None:
    """Nothing, as in torch without a GPU; `ts.release_workspaces` frees what tinyseq keeps."""
