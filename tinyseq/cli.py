"""The command line: `tinyseq study`, `check`, `doctor`; also `python -m tinyseq`.

Exit status 0 on success, 1 when something fails, 2 for bad arguments, 130 after Ctrl-C; an error
is one line on stderr, and a traceback only with --debug.
"""
from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from tinyseq import __version__
from tinyseq.checks.options import CheckOptions, add_options
from tinyseq.errors import TextError
from tinyseq.study.options import CELLS, OptionError, Options


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="tinyseq", description="A microscope for backpropagation through time.")
    top.add_argument("--version", action="version", version=f"tinyseq {__version__}")
    top.add_argument("--debug", action="store_true", help="show a traceback when something fails")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    study(commands.add_parser(
        "study", help="check, draw and measure BPTT, and train on real text (about a minute)",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter))
    add_options(commands.add_parser(
        "check", help="check the gradients of a cell, a model, a function, or your own",
        formatter_class=argparse.RawDescriptionHelpFormatter))
    commands.add_parser("doctor", help="say versions, kernels, cache folder, which dot is found")
    return top


def study(command: argparse.ArgumentParser) -> None:
    """The options of `tinyseq study`."""
    base = Options()
    add = command.add_argument
    add("--cell", default=base.cell, choices=CELLS, help="the recurrent cell")
    add("--text", metavar="FILE", help="a text to train on (default: your Python's own manual)")
    add("--hidden", type=int, default=base.hidden, metavar="H", help="hidden units")
    add("--steps", type=int, default=base.steps, metavar="T", help="steps of truncated BPTT")
    add("--budget", type=float, default=base.budget, metavar="SECONDS", help="time to train for")
    add("--updates", type=int, metavar="N", help="train for N updates instead: repeatable")
    add("--seed", type=int, default=base.seed, help="the seed of all random numbers")
    add("--out", default=base.out, metavar="FOLDER", help="where the report goes")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = parser().parse_args(arguments)
    try:
        return COMMANDS[given.command](given)
    except (OptionError, TextError) as error:
        return complain(error, 2, given.debug)
    except KeyboardInterrupt:
        print("tinyseq: stopped by Ctrl-C", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone: nothing more to say to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return complain(error, 1, given.debug)


def complain(error: Exception, status: int, debug: bool) -> int:
    """One line about an error; with --debug the whole traceback before it."""
    if debug:
        import traceback
        traceback.print_exception(error)
    line = " ".join(str(error).split()) or type(error).__name__
    print(f"tinyseq: error: {line}", file=sys.stderr)
    return status


def run_study(given: argparse.Namespace) -> int:
    """`tinyseq study`."""
    from tinyseq.study import run
    names = Options.__dataclass_fields__
    return run(Options(**{name: getattr(given, name) for name in names}))


def run_check(given: argparse.Namespace) -> int:
    """`tinyseq check`."""
    from tinyseq.checks.command import run
    names = CheckOptions.__dataclass_fields__
    values = {name: getattr(given, name) for name in names}
    return run(CheckOptions(**{**values, "more": tuple(given.more)}))


def run_doctor(given: argparse.Namespace) -> int:
    """`tinyseq doctor`."""
    from tinyseq.doctor import examine
    print(examine())
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "study": run_study, "check": run_check, "doctor": run_doctor}
