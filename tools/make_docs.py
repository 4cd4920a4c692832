#!/usr/bin/env python3
"""Write docs/ops.md and README's table of operations from the declarations; `--check` compares.

    tools/make_docs.py            writes what is not up to date, naming it
    tools/make_docs.py --check    writes nothing; exit 1, naming the files, if one is stale
"""
from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import tinyseq.nn.functional  # noqa: E402
import tinyseq.ops  # noqa: E402
from tinyseq.op import OPS, Op, asked  # noqa: E402
from tinyseq.ops import METHODS  # noqa: E402

BEGIN, END = "<!-- ops:begin -->", "<!-- ops:end -->"
SECTIONS = ("Equation", "Shapes", "Units", "Errors", "Source", "Example")
GREEK = {"alpha", "beta", "gamma", "delta", "epsilon", "lambda"}
HEAD = """# The operations

Written by `tools/make_docs.py` from the declarations in `tinyseq/ops/`; do not edit. The rules are
the code that runs. What a rule's signature names is what is saved for backward, and nothing else:
an input by its name, `y` the result, `x_shape` a shape, or an attribute. `gy` is the derivative of
the loss with respect to y; sums over broadcast axes are the walk's work, no rule's.

"""


class Words(dict):
    """What the LaTeX of a declaration fills in: names as a textbook sets them."""

    def __missing__(self, name: str) -> str:
        if name in GREEK:
            return "\\" + name
        return name if len(name) == 1 else rf"\mathrm{{{name}}}".replace("_", r"\_")


def sections(doc: str) -> dict[str, str]:
    """A docstring by section; what stands before the first is "", dedented."""
    found: dict[str, list[str]] = {"": []}
    current = ""
    for line in doc.splitlines():
        word = re.match(rf"({'|'.join(SECTIONS)}):\s*(.*)", line)
        if word:
            current = word[1]
            found[current] = [word[2]] if word[2] else []
        else:
            found[current].append(line)
    return {name: "\n".join(lines[:1] + [textwrap.dedent("\n".join(lines[1:]))]).strip("\n")
            if name != "Example" else textwrap.dedent("\n".join(lines)).strip("\n")
            for name, lines in found.items()}


def modules() -> list[str]:
    """The modules of the operations in order of declaration, then the others by name."""
    declared = [op.block.__module__ for op in OPS.values()]
    public = [getattr(tinyseq.ops, name) for name in tinyseq.ops.__all__]
    others = sorted({f.__module__ for f in public if callable(f)} - set(declared))
    return [name for name in [*dict.fromkeys(declared), *others]
            if name.startswith("tinyseq.ops.")]


def title(module: str) -> str:
    """A module's docstring, up to its first full stop or colon."""
    first = (inspect.getdoc(importlib.import_module(module)) or module).splitlines()[0]
    return re.split(r"[.;:]", first)[0]


# -- docs/ops.md ----------------------------------------------------------------------------
def operation(op: Op) -> Iterator[str]:
    """The entry of one operation."""
    said = sections(op.doc)
    yield f"### `{op.name}`\n"
    yield said[""].strip() + "\n"
    yield f"$$y = {op.latex.format_map(Words())}$$\n"
    if "Equation" in said:
        yield "```text\n" + said["Equation"] + "\n```\n"
    for name in SECTIONS[1:-1]:
        if name in said:
            yield f"**{name}.** " + " ".join(said[name].split()) + "\n"
    if op.kinks:
        yield f"**Kinks.** The derivative is a convention at {', '.join(map(str, op.kinks))}.\n"
    yield "```python\n" + "\n".join(rules(op)) + "\n```\n"
    yield f"**Saves.** {'; '.join(saves(op))}.\n"
    yield "```pycon\n" + said["Example"] + "\n```\n"


def rules(op: Op) -> list[str]:
    """The rules' source text, as it stands."""
    return ["backward_" + name + " = None" if rule is None
            else textwrap.dedent(inspect.getsource(inspect.unwrap(rule))).rstrip()
            for name, rule in zip(op.inputs, op.rules)]


def saves(op: Op) -> list[str]:
    """What each rule has saved, from its signature."""
    found = []
    for name, rule in zip(op.inputs, op.rules):
        wanted = ", ".join(f"`{word}`" for word in asked(rule)) or "nothing"
        found.append(f"for `{name}`: " + ("no gradient" if rule is None else wanted))
    return found


def ops_page() -> str:
    """docs/ops.md."""
    parts = [HEAD]
    for module in modules():
        declared = [op for op in OPS.values() if op.block.__module__ == module]
        if declared:
            name = module.removeprefix("tinyseq.").replace(".", "/")
            parts.append(f"## {title(module)} (`{name}.py`)\n\n")
            parts += [line + "\n" for op in declared for line in operation(op)]
    return "".join(parts).rstrip("\n") + "\n"


# -- the README's table ---------------------------------------------------------------------
def home(call: Any) -> str:
    """The module a function or method comes from."""
    return getattr(getattr(call, "fget", call), "__module__", "")


def listed(names: Iterator[str] | list[str]) -> str:
    return " ".join(f"`{name}`" for name in names) or " "


def table() -> str:
    """One row for each module: what it offers as functions, and which methods besides."""
    functions = {name: home(getattr(tinyseq.ops, name)) for name in tinyseq.ops.__all__
                 if inspect.isfunction(getattr(tinyseq.ops, name))}
    inner = {name: home(f) for name, f in vars(tinyseq.nn.functional).items()
             if inspect.isfunction(f) and not name.startswith("_")}
    methods = {name: home(call) for name, call in METHODS.items() if not name.startswith("__")}
    rows = ["| | functions | further methods of a Tensor |", "|---|---|---|"]
    for module in modules():
        own = {n for n, m in {**functions, **inner}.items() if m == module}
        more = [n for n, m in methods.items() if m == module and n not in own]
        if own or more:
            rows.append(f"| {title(module)} | {listed(sorted(own))} | {listed(more)} |")
    rest = sorted(n for n, m in methods.items() if m not in modules() and n not in functions)
    in_place = [n for n in rest if n.endswith("_")]
    rows.append(f"| Of the Tensor itself |   | {listed(n for n in rest if n not in in_place)} |")
    rows.append(f"| In place, recorded where there is a history |   | {listed(in_place)} |")
    return "\n".join([*rows, "", f"{len(OPS)} operations are declared "
                      "([docs/ops.md](docs/ops.md): equation, rule, what is saved); the others "
                      "are put together of them."])


def readme() -> str:
    """README with its table replaced."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"tools/make_docs.py: README.md must hold {BEGIN} and {END} once each")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


def pages() -> dict[str, str]:
    """Every generated page by its path in the project."""
    return {"docs/ops.md": ops_page(), "README.md": readme()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the generated documentation.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 if one differs")
    check = parser.parse_args(arguments).check
    stale = []
    for name, text in pages().items():
        path = ROOT / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if stale:
        print(f"tools/make_docs.py: {'stale' if check else 'wrote'}: {', '.join(stale)}"
              + (": type tools/make_docs.py" if check else ""))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
