"""What `tinyseq check` is asked to do, refused in one line where it cannot be done."""
from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import Any

from tinyseq.study.options import OptionError

CELLS = ("rnn", "rnn-relu", "lstm", "lstm-peephole", "gru", "gru-textbook")
METHODS = ("auto", "complex", "four-point", "central", "forward")
SUFFIXES = (".txt", ".html", ".svg")
EPILOG = """\
MODULE:NAME is looked up from the current directory; FILE.py:NAME works as well. A function given
to --fn takes nothing and returns a loss, or (function, inputs); or every parameter of it has a
tensor as its default. It is checked in float64. --model reads the recurrent layers of a state_dict
off its names and shapes. A file for --grads has arrays by these names: the weights (weight_ih_l0
and so on), x (T, N, I) and, unless zero, h_0 and c_0; the cotangents grad.y, grad.h_n and grad.c_n
(at least one); and the gradients to be judged, grad.weight_ih_l0, grad.x and so on.
Exit status: 0 when all is right, 1 when something is wrong, 2 for bad arguments."""


@dataclass(frozen=True)
class CheckOptions:
    """The options of `tinyseq check`."""

    cell: str | None = None
    fn: str | None = None
    model: str | None = None
    grads: str | None = None
    bug: str | None = None
    method: str = "auto"
    layers: int = 1
    bidirectional: bool = False
    steps: int = 5
    hidden: int = 4
    inputs: int = 3
    batch: int = 3
    seed: int = 0
    order: int = 1
    fast: bool = False
    kernels: bool = False
    more: tuple[str, ...] = ()
    out: str | None = None

    def check(self) -> None:
        """Refuse what cannot be run, before anything is computed or written."""
        given = [f"--{name}" for name in ("fn", "model", "grads", "bug") if getattr(self, name)]
        if len(given) > 1 or (self.fn and self.cell):
            raise OptionError(f"{' and '.join(given if len(given) > 1 else ['--cell', '--fn'])}: "
                              "give one of them")
        if self.cell is not None and self.cell not in CELLS and ":" not in self.cell:
            raise OptionError(f"unknown cell {self.cell!r}: choose one of {', '.join(CELLS)}, or "
                              "MODULE:NAME for a cell of your own")
        for name, most in (("layers", 20), ("steps", 1000), ("hidden", 1024), ("inputs", 1024),
                           ("batch", 1024)):
            if not 1 <= getattr(self, name) <= most:
                raise OptionError(f"--{name} must be between 1 and {most}, got "
                                  f"{getattr(self, name)}")
        if not 0 <= self.seed < 2 ** 32:
            raise OptionError(f"--seed must be between 0 and {2 ** 32 - 1}, got {self.seed}")
        self.refuse_output()

    def refuse_output(self) -> None:
        """Refuse a report that could not be written."""
        if self.out is None:
            return
        folder = os.path.dirname(self.out) or "."
        if os.path.splitext(self.out)[1].lower() not in SUFFIXES:
            raise OptionError(f"-o {self.out}: expected a name that ends in {', '.join(SUFFIXES)}")
        if os.path.isdir(self.out) or not os.path.isdir(folder):
            raise OptionError(f"-o {self.out}: expected the name of a file in a folder that is "
                              "there")
        if not os.access(self.out if os.path.exists(self.out) else folder, os.W_OK):
            raise OptionError(f"-o {self.out}: cannot be written to")

    def keywords(self) -> dict[str, Any]:
        """What `--with` says, as keyword arguments: NAME is True, NAME=VALUE a number or word."""
        found: dict[str, Any] = {}
        for word in self.more:
            name, _, value = word.partition("=")
            found[name] = number(value) if "=" in word else True
        return found


def number(word: str) -> Any:
    """A whole number, a number, True, False or the word itself."""
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            pass
    return {"True": True, "False": False}.get(word, word)


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of `tinyseq check`."""
    base, add = CheckOptions(), command.add_argument
    command.epilog = EPILOG
    add("--cell", metavar="NAME", help=f"one of {', '.join(CELLS)}, or MODULE:NAME of a cell "
        "written with @ts.cell (default: lstm)")
    add("--fn", metavar="MODULE:FUNCTION", help="a function or a module of your own instead")
    add("--model", metavar="FILE", help="the weights of a saved state_dict instead (.npz, "
        ".safetensors)")
    add("--grads", metavar="FILE", help="judge gradients made elsewhere (.npz, names below)")
    add("--bug", metavar="NAME", help="check a network with a known mistake of tinyseq.bugs")
    add("--method", choices=METHODS, default=base.method, help="how slopes are measured (auto)")
    add("--layers", type=int, default=base.layers, metavar="L", help="layers (1)")
    add("--bidirectional", action="store_true", help="in both directions")
    add("--steps", type=int, default=base.steps, metavar="T", help="time steps (5)")
    add("--hidden", type=int, default=base.hidden, metavar="H", help="units (4)")
    add("--inputs", type=int, default=base.inputs, metavar="I", help="width of the input (3)")
    add("--batch", type=int, default=base.batch, metavar="N", help="sequences (3)")
    add("--with", dest="more", action="append", default=[], metavar="NAME[=VALUE]",
        help="a keyword argument of the layer, such as layer_norm or zoneout=0.1; repeatable")
    add("--order", type=int, choices=(1, 2), default=base.order, help="2: second derivatives")
    add("--fast", action="store_true", help="random directions instead of every element")
    add("--kernels", action="store_true", help="compile the fused kernels of cells that are not "
        "shipped, and compare them as well")
    add("--seed", type=int, default=base.seed, help="the seed of all random numbers (0)")
    add("-o", dest="out", metavar="FILE", help="also write the report: .html, .svg or .txt")
