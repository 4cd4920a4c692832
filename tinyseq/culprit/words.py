"""A culprit in words: where it stands, its equation and its rule as they are in the code."""
from __future__ import annotations

import ast
import copy
import inspect
import re
from typing import Any

from tinyseq import rule, typeset
from tinyseq.equations import Cell, Product
from tinyseq.errors import DeclarationError
from tinyseq.fused import Fused
from tinyseq.replay import Step
from tinyseq.scope import Scope


class Words(dict):
    """What the LaTeX of a declaration fills in: every word, an attribute's as well, as itself."""

    def __missing__(self, word: str) -> str:
        return word


def sentence(step: Step, place: int, at: tuple[int, ...], a: float, n: float, same: bool) -> str:
    """The culprit by scope, with its equation and its rule as they stand in the code."""
    op = step.node.op
    ratio = f"ratio analytic/numeric {a / n:.4g}{' everywhere' if same else ''}" if n else \
        f"analytic {a:.4g} where 0 is right"
    lines = [f"guilty: {scope(step)}  {op.name}.backward w.r.t. {title(op, place)}"
             f"{gate_of(step, place, at)} at {at}: "
             f"{ratio} ({a:.9g} for {n:.9g})"]
    lines += line_of(step.node.scope)
    if isinstance(op, Fused):
        return "\n".join([*lines, *["  " + line for line in op.cell.equations().splitlines()]])
    equation = re.search(r"Equation: *((?:.+\n?)(?: {4,}\S.*\n?)*)", op.doc)
    lines += [f"  equation: {' '.join(equation[1].split())}"] if equation else []
    latex = getattr(op, "latex", "")
    lines += [f"  LaTeX: y = {latex.format_map(Words())}"] if latex else []
    return "\n".join([*lines, *written(rule_of(op, place))])


def written(function: Any) -> list[str]:
    """The text of a rule, without its docstring."""
    try:
        tree = copy.deepcopy(rule.parse(inspect.unwrap(function)))
        tree.body, tree.decorator_list = tree.body[ast.get_docstring(tree) is not None:], []
        text = rule.text(tree).splitlines()
    except (DeclarationError, SyntaxError, TypeError, AttributeError, IndexError):
        return [f"  derivative: {function!r}"]
    if len(text) == 2:
        return [f"  derivative: {text[0]} {text[1].strip()}"]
    return ["  derivative:", *[f"    {line}" for line in text]]


def line_of(here: Scope) -> list[str]:
    """The line of the cell that an operation is part of, as text and as LaTeX."""
    _, cell = step_of(here)

    def symbol(word: str) -> str:
        return typeset.symbol(cell, word)

    return [f"  in the line {name} = {rule.text(tree)}, "
            f"{symbol(name)} = {typeset.latex(tree, symbol)}"
            for name, tree, _ in (cell.written if cell is not None else ()) if name == here.gate]


def step_of(here: Scope) -> tuple[Scope | None, Cell | None]:
    """(the scope of the time step that a scope lies in, the cell that was unrolled there)."""
    at: Scope | None = here if here.time is not None else None
    while at is not None and not at.name.startswith("t="):
        at = at.parent
    return at, None if at is None or at.parent is None else at.parent.cell


def gate_of(step: Step, place: int, at: tuple[int, ...]) -> str:
    """`[f]`, where the element is in one gate's rows of a step's weight."""
    here, cell = step_of(step.node.scope)
    word = step.node.scope.name.removeprefix("W")
    if cell is None or step.node.scope.parent is not here or step.node.op.name != "linear" \
            or place == 0:
        return ""
    served = {"x": cell.gates} | {item.operand: item.gates for item in cell.schedule
                                  if isinstance(item, Product)}
    gates = served.get(word, ())
    H = step.operands[place].shape[0] // max(1, len(gates))
    return f"[{gates[at[0] // H]}]" if len(gates) > 1 else ""


def scope(step: Step) -> str:
    """Where a step stands."""
    return str(step.node.scope) or "top level"


def rule_of(op: Any, place: int) -> Any:
    """The derivative rule of one operand, as it was declared; a fused layer has its kernels."""
    if isinstance(op, Fused):
        return op.backward
    return op.rules[0 if op.variadic else place]


def title(op: Any, place: int) -> str:
    """What an operation calls one of its operands."""
    if isinstance(op, Fused):
        words = ("x", *op.cell.states, "weight_ih", "weight_hh", "bias_ih", "bias_hh",
                 *op.cell.vectors, "weight_hr", *op.cell.given)
        return words[place]
    return f"{op.inputs[0]}[{place}]" if op.variadic else op.inputs[place]
