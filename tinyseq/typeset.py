"""Equations as text and as LaTeX: how an expression, a variable, a whole cell is written."""
from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from tinyseq import rule
from tinyseq.errors import DeclarationError

SIGNS = {ast.Lt: "<", ast.LtE: r"\le", ast.Gt: ">", ast.GtE: r"\ge", ast.Eq: "="}
GREEK = {"sigmoid": r"\sigma", "tanh": r"\tanh", "relu": r"\mathrm{relu}", "exp": r"\exp",
         "log": r"\log"}


def latex(tree: ast.expr, symbol: Callable[[str], str] = str) -> str:
    """The expression as a textbook sets it; `symbol` says how a variable is written."""
    if isinstance(tree, ast.Name):
        return symbol(tree.id)
    if isinstance(tree, ast.Attribute):
        return symbol(rule.text(tree))
    if isinstance(tree, ast.Constant):
        return format(tree.value, "g")  # type: ignore[str-bytes-safe, arg-type]
    if isinstance(tree, ast.UnaryOp):
        return "-" + _bracketed(tree.operand, symbol)
    if isinstance(tree, ast.BinOp):
        left, right = tree.left, tree.right
        if isinstance(tree.op, ast.Div):
            return rf"\frac{{{latex(left, symbol)}}}{{{latex(right, symbol)}}}"
        if isinstance(tree.op, ast.Pow):
            return rf"{{{_bracketed(left, symbol)}}}^{{{latex(right, symbol)}}}"
        if isinstance(tree.op, ast.MatMult):  # rows in the text are columns on the page
            if isinstance(left, ast.Attribute) and left.attr == "T":
                return rf"{latex(left.value, symbol)} {{{latex(right, symbol)}}}^\top"
            return rf"{latex(right, symbol)}^\top {latex(left, symbol)}"
        if isinstance(tree.op, ast.Mult):
            return rf"{_bracketed(left, symbol)} \odot {_bracketed(right, symbol)}"
        minus = isinstance(tree.op, ast.Sub)
        tail = _bracketed(right, symbol) if minus else latex(right, symbol)
        return f"{latex(left, symbol)} {'-' if minus else '+'} {tail}"
    if isinstance(tree, ast.Compare):
        return (f"{latex(tree.left, symbol)} {SIGNS[type(tree.ops[0])]} "
                f"{latex(tree.comparators[0], symbol)}")
    if isinstance(tree, ast.Call) and rule.text(tree.func) == "where":
        condition, a, b = [latex(argument, symbol) for argument in tree.args]
        return (rf"\begin{{cases}} {a} & {condition} \\ {b} & \text{{otherwise}} "
                r"\end{cases}")
    if isinstance(tree, ast.Call):
        inside = ", ".join(latex(argument, symbol) for argument in tree.args)
        name = rule.text(tree.func)
        if name == "sqrt":
            return rf"\sqrt{{{inside}}}"
        word = GREEK.get(name, r"\mathrm{" + name + "}")
        return rf"{word}\left({inside}\right)"
    raise DeclarationError(f"no way to typeset {rule.text(tree)!r}")


def _bracketed(tree: ast.expr, symbol: Callable[[str], str]) -> str:
    inside = latex(tree, symbol)
    sums = isinstance(tree, ast.Attribute) or (  # v.gate stands for a product plus a bias
        isinstance(tree, ast.BinOp) and isinstance(tree.op, (ast.Add, ast.Sub)))
    return rf"\left({inside}\right)" if sums else inside


def equations(cell: Any, format: str, bias: bool = True) -> str:
    """A cell's lines as text, or as LaTeX with time indices."""
    if format == "text":
        return "\n".join(f"{name} = {rule.text(tree)}" + (f"  # {note}" if note else "")
                         for name, tree, note in cell.written)
    if format != "latex":
        raise ValueError(f"format must be 'text' or 'latex', got {format!r}")
    return aligned([f"{symbol(cell, name)} &= "
                    + latex(tree, lambda name: symbol(cell, name, bias=bias))
                    for name, tree, _ in cell.written])


def aligned(rows: list[str]) -> str:
    """Equations under each other, their signs at one place."""
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def symbol(cell: Any, name: str, *, bias: bool = True, bar: bool = False, mark: str = "") -> str:
    r"""A variable as a textbook writes it: h_t, c_{t-1}, W_{xi} x_t + b_{xi}; with a bar, marked.
    """
    if "." in name:
        operand, gate = name.split(".")
        side = "x" if operand == "x" else "h"
        product = rf"W_{{{side}{gate}}} {symbol(cell, operand)}"
        return product + (rf" + b_{{{side}{gate}}}" if bias else "")
    if name == "H":
        return name
    word, _, rest = name.partition("_")
    if name in cell.states:
        rest = ""
    elif name in cell.returns:
        word, rest = cell.states[cell.returns.index(name)].split("_")[0], ""
    letter = word if len(word) == 1 else rf"\mathrm{{{word}}}"
    letter = rf"\bar{{{letter}}}" if bar else letter
    if name in cell.vectors:
        return letter + (f"_{{{rest}}}" if rest else "")
    rest = mark or (rest if len(rest) < 2 else rf"\mathrm{{{rest}}}".replace("_", r"\,"))
    return letter + (f"^{{{rest}}}" if rest else "") + (
        "_{t-1}" if name in cell.states else "_t")
