"""The derivative of one line, by substituting the operations' own rules into each other."""
from __future__ import annotations

import ast
from typing import Any

from tinyseq import rule

HOISTED = ("tanh", "sigmoid", "exp", "log", "sqrt")  # worth computing once a line, not once a use


def adjoints(tree: ast.expr, gy: ast.expr, y: ast.expr, ops: Any) -> list[tuple[str, ast.expr]]:
    """(variable, its share of the gradient) for every use of a variable in an expression.

    `gy` is the gradient of the expression, `y` how its value is written; `ops` the declarations.
    """
    if isinstance(tree, ast.Name):
        return [(tree.id, gy)]
    call = rule.as_call(tree)
    if call is None:
        return []
    name, operands = call
    op = ops[name]
    values = dict(zip(op.inputs, operands), y=y, gy=gy)
    found = []
    for k, operand in enumerate(operands):
        if rule.names(operand):
            share = rule.substitute(rule.expression(op.rules[k]), values)
            found += adjoints(operand, share, operand, ops)
    return found


def shares(line: Any, ops: Any) -> dict[str, ast.expr]:
    """The gradient of each variable of a line, all its uses added, in terms of g_line."""
    gy = ast.Name(f"s_{line.name}" if line.scalar else f"g_{line.name}")  # a mean's is one number
    y = line.tree if line.scalar else ast.Name(line.name)
    found: dict[str, ast.expr] = {}
    for name, share in adjoints(line.tree, gy, y, ops):
        found[name] = share if name not in found else ast.BinOp(found[name], ast.Add(), share)
    return found


def hoisted(found: dict[str, ast.expr], scalars: set[str]
            ) -> tuple[dict[str, ast.expr], dict[str, ast.expr]]:
    """Transcendental parts under names e0, e1 ...; and the shares with those names in place."""
    parts: dict[str, ast.expr] = {}
    for share in found.values():
        for node in ast.walk(share):
            if isinstance(node, ast.Call) and rule.text(node.func) in HOISTED \
                    and not set(rule.names(node)) <= scalars:
                parts.setdefault(rule.text(node), node)
    names = {text: f"e{n}" for n, text in enumerate(parts)}
    swap = Swap(names)
    return ({names[text]: node for text, node in parts.items()},
            {name: swap.visit(share) for name, share in found.items()})


class Swap(ast.NodeTransformer):
    """Replaces whole calls, recognised by their text, with a name."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Call(self, node: ast.Call) -> ast.expr:
        text = rule.text(node)
        if text in self.names:
            return ast.Name(self.names[text])
        return self.generic_visit(node)  # type: ignore[return-value]
