"""Every option of what users make has an example in its docstring, which the doctests run."""
from __future__ import annotations

import inspect

import pytest

from tinyseq import data, nn, optim
from tinyseq.optim import lr_scheduler

CLASSES = sorted({value for module in (nn, optim, lr_scheduler, data)
                  for value in vars(module).values() if inspect.isclass(value)
                  and value.__module__.startswith("tinyseq")}, key=lambda c: c.__name__)
EVERYWHERE = {"device", "dtype", "last_epoch", "inplace"}  # the same for all that have them
WORKERS = {"pin_memory", "timeout", "worker_init_fn", "multiprocessing_context",
           "prefetch_factor", "persistent_workers", "pin_memory_device", "in_order"}
WITHOUT = {  # what is there to be torch's and is refused or ignored, and what others inherit
    "RNN": {"proj_size"}, "GRU": {"proj_size"}, "DataLoader": WORKERS,
    "Embedding": {"max_norm", "norm_type", "scale_grad_by_freq", "sparse"}}
BASES = {"RNNBase", "Optimizer", "Parameter"}


def options(kind):
    return {p.name for p in inspect.signature(kind).parameters.values()
            if p.default is not p.empty and not p.name.startswith("_")}


def shown(kind):
    """The options that lines of the docstring's examples name."""
    lines = [line for line in (inspect.getdoc(kind) or "").splitlines()
             if line.strip().startswith((">>>", "..."))]
    return {name for name in options(kind) if any(f"{name}=" in line for line in lines)}


@pytest.mark.parametrize("kind", [c for c in CLASSES if c.__name__ not in BASES],
                         ids=lambda c: c.__name__)
def test_every_option_has_an_example(kind):
    excused = EVERYWHERE | WITHOUT.get(kind.__name__, set())
    assert options(kind) - shown(kind) - excused == set()
    assert WITHOUT.get(kind.__name__, set()) <= options(kind)  # and no excuse is out of date


def test_there_is_much_to_look_at_and_a_missing_one_is_seen():
    assert len(CLASSES) > 60 and sum(len(shown(kind)) for kind in CLASSES) > 120

    class Bare(nn.LSTM):
        """An LSTM whose docstring shows one option.

        >>> Bare(2, 3, bias=False)
        """
    assert {"peephole", "zoneout"} <= options(Bare) - shown(Bare) and shown(Bare) == {"bias"}
