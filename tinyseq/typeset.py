"""Equations as text and as LaTeX: how an expression, a variable, a whole cell is written."""
from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from tinyseq import rule
from tinyseq.errors import DeclarationError

GREEK = {"sigmoid": r"\sigma", "tanh": r"\tanh", "relu": r"\mathrm{relu}", "exp": r"\exp",
         "log": r"\log", "sqrt": r"\sqrt"}


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
            return rf"{_bracketed(left, symbol)}^{{{latex(right, symbol)}}}"
        if isinstance(tree.op, ast.Mult):
            return rf"{_bracketed(left, symbol)} \odot {_bracketed(right, symbol)}"
        minus = isinstance(tree.op, ast.Sub)
        tail = _bracketed(right, symbol) if minus else latex(right, symbol)
        return f"{latex(left, symbol)} {'-' if minus else '+'} {tail}"
    if isinstance(tree, ast.Call):
        inside = ", ".join(latex(argument, symbol) for argument in tree.args)
        name = rule.text(tree.func)
        word = GREEK.get(name, r"\mathrm{" + name + "}")
        return rf"{word}\left({inside}\right)"
    raise DeclarationError(f"no way to typeset {rule.text(tree)!r}")


def _bracketed(tree: ast.expr, symbol: Callable[[str], str]) -> str:
    inside = latex(tree, symbol)
    sums = isinstance(tree, ast.Attribute) or (  # v.gate stands for a product plus a bias
        isinstance(tree, ast.BinOp) and isinstance(tree.op, (ast.Add, ast.Sub)))
    return rf"\left({inside}\right)" if sums else inside


def equations(cell: Any, format: str) -> str:
    """A cell's lines as text, or as LaTeX with time indices."""
    if format == "text":
        return "\n".join(f"{name} = {rule.text(tree)}" + (f"  # {note}" if note else "")
                         for name, tree, note in cell.written)
    if format != "latex":
        raise ValueError(f"format must be 'text' or 'latex', got {format!r}")
    rows = [rf"{symbol(cell, name)} &= {latex(tree, lambda name: symbol(cell, name))}"
            for name, tree, _ in cell.written]
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def symbol(cell: Any, name: str) -> str:
    """A variable as a textbook writes it: h_t, c_{t-1}, W_{xi} x_t + b_{xi}."""
    if "." in name:
        operand, gate = name.split(".")
        weight = "x" if operand == "x" else "h"
        return rf"W_{{{weight}{gate}}} {symbol(cell, operand)} + b_{{{weight}{gate}}}"
    if name in cell.states:
        return rf"{name.split('_')[0]}_{{t-1}}"
    if name in cell.returns:
        return rf"{cell.states[cell.returns.index(name)].split('_')[0]}_t"
    return name if name in cell.vectors else rf"{name.replace('_', '')}_t"
