"""One rule as an expression tree: parsed from its own source, substituted, printed, typeset.

The derivative of an elementwise operation is a single `return` of an expression. Fusion, the
documentation and the equations of a cell all read this one text, so none can drift from it.
"""
from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable, Mapping
from functools import lru_cache

from tinyseq.errors import DeclarationError

BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"}
SYMBOLS = {"add": ast.Add, "sub": ast.Sub, "mul": ast.Mult, "div": ast.Div, "pow": ast.Pow}


@lru_cache(maxsize=None)
def parse(function: Callable) -> ast.FunctionDef:
    """The tree of a function's own source text."""
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as error:
        raise DeclarationError(
            f"the source of {getattr(function, '__name__', function)!r} cannot be read, and its "
            "text is its definition: define it in a file or in a notebook cell") from error
    found = ast.parse(text).body[0]
    if not isinstance(found, ast.FunctionDef):
        raise DeclarationError(f"expected a function definition, got {type(found).__name__}")
    return found


def expression(function: Callable) -> ast.expr:
    """The one expression that a rule returns."""
    last = parse(function).body[-1]
    if not isinstance(last, ast.Return) or last.value is None:
        raise DeclarationError(f"the rule {function.__qualname__} must end in one `return`")
    return last.value


class _Substitute(ast.NodeTransformer):
    def __init__(self, values: Mapping[str, ast.expr]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copy.deepcopy(self.values[node.id]) if node.id in self.values else node


def substitute(tree: ast.expr, values: Mapping[str, ast.expr]) -> ast.expr:
    """The same expression with names replaced by expressions."""
    return _Substitute(values).visit(copy.deepcopy(tree))


def names(tree: ast.AST) -> list[str]:
    """The variables an expression reads, each once, in order of appearance."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = [node.id for node in ast.walk(tree)
             if isinstance(node, ast.Name) and id(node) not in called]
    return list(dict.fromkeys(found))


def as_call(tree: ast.expr) -> tuple[str, list[ast.expr]] | None:
    """(operation, operands) of the outermost application, or None for a name or a number."""
    if isinstance(tree, ast.BinOp) and type(tree.op) in BINARY:
        return BINARY[type(tree.op)], [tree.left, tree.right]
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return "neg", [tree.operand]
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
        return tree.func.id, list(tree.args)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Attribute):
        return tree.func.attr, list(tree.args)  # ts.tanh(...)
    return None


def from_text(text: str) -> ast.expr:
    """An expression from how Python writes it."""
    return ast.parse(text, mode="eval").body


def text(tree: ast.AST) -> str:
    """The expression as Python writes it."""
    return ast.unparse(tree)
