"""A cell's backward, written out: its operations' own rules, substituted and put in order.

Nobody has written these derivatives down: they come of the lines' text, as the kernels' do.
"""
from __future__ import annotations

import ast
import copy
from collections import Counter
from typing import Any, NamedTuple

from tinyseq import rule, typeset
from tinyseq.adjoint import HOISTED, Swap, adjoints
from tinyseq.op import OPS

HEAD = """
# backward, from the last step to the first: g_v is dL/dv, gy what the loss adds to it,
# {later} on the right what the step after left; += adds up all steps and sequences"""
NORM = "# norm(v, gain, shift) = (v - mean(v)) / sqrt(mean((v - mean(v))^2) + 1e-5) * gain + shift"


class Assignment(NamedTuple):
    """What some variables are; `over`, if given, are the gates that the letter v stands for."""

    targets: tuple[str, ...]
    tree: ast.expr
    adds: bool = False
    over: tuple[str, ...] = ()


class Backward:
    """Goes through a cell's schedule in reverse and collects the shares of every gradient."""

    def __init__(self, cell: Any) -> None:
        self.cell = cell
        self.scalars = {line.name for line in cell.lines if line.scalar}
        self.found: dict[str, list[ast.expr]] = {}  # a variable, and the shares of its gradient
        self.made: list[Assignment] = []
        self.parts: dict[str, str] = {}             # what has a name e0, e1 ... of its own
        self.begins: dict[str, str] = {}            # a product or a vector, and its first reader
        for line in cell.lines:
            for name in rule.names(line.tree):
                self.begins.setdefault(name, line.name)
        self.products = [("x", gate) for gate in cell.gates] + [
            (item.operand, gate) for item in cell.schedule if not hasattr(item, "tree")
            for gate in item.gates]

    def assignments(self) -> list[Assignment]:
        """Every gradient in the order in which it is known; the weights', the input's, last."""
        cell = self.cell
        self.share(cell.returns[0], ast.Name("gy"))
        for state, name in zip(cell.states, cell.returns):
            self.share(name, ast.Name(f"later_{state}"))
        for item in reversed(cell.schedule):
            (self.line if hasattr(item, "tree") else self.product)(item)
        known = {target for one in self.made for target in one.targets}
        self.products = [(v, gate) for v, gate in self.products if f"g_W{v}_{gate}" in known]
        self.weights()
        for v in ("x", *cell.states):
            self.settle(v)
        return self.made

    def share(self, name: str, tree: ast.expr) -> None:
        self.found.setdefault(name, []).append(tree)

    def settle(self, *names: str, adds: bool = False) -> bool:
        """All shares of a gradient are found: write it down. False where there are none."""
        totals = [total(self.found.pop(name)) for name in names if name in self.found]
        names = tuple([f"g_{name}" for name in names])
        if len({rule.text(tree) for tree in totals}) == 1 and len(totals) == len(names):
            self.made.append(Assignment(names, totals[0], adds))
            return True
        for name, tree in zip(names, totals):
            self.made.append(Assignment((name,), tree, adds))
        return bool(totals)

    def line(self, line: Any) -> None:
        """Hand a line's gradient on to what it was made of; what it read first is then known."""
        if self.settle(line.name):
            gy: ast.expr = ast.Name(f"g_{line.name}")
            if line.mean:
                gy = ast.BinOp(gy, ast.Div(), ast.Name("H"))
            y = line.tree if line.mean else ast.Name(line.name)
            shares: dict[str, list[ast.expr]] = {}
            for name, tree in adjoints(line.tree, gy, y, OPS):
                shares.setdefault(name, []).append(self.short(Infix().visit(tree)))
            for name, trees in shares.items():
                if name in self.scalars and (line.mean or not line.scalar):
                    trees = [ast.Call(ast.Name("sum"), [total(trees)], [])]  # it served all units
                for tree in trees:
                    self.share(name, tree)
        begun = [name for name, first in self.begins.items() if first == line.name]
        for name in begun:
            if name in self.cell.vectors:
                self.settle(name, adds=True)
        for gate in self.cell.gates:
            both = [f"W{v}_{g}" for v, g in self.products if g == gate and f"W{v}_{g}" in begun
                    and f"W{v}_{g}" in self.found]
            if both:
                self.settle(*both)

    def short(self, tree: ast.expr) -> ast.expr:
        """The expression with names for functions of more than one variable, which come again."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and rule.text(node.func) in HOISTED \
                    and not isinstance(node.args[0], ast.Name):
                text = rule.text(node)
                if text not in self.parts:
                    self.parts[text] = f"e{len(self.parts)}"
                    self.made.append(Assignment((self.parts[text],), node))
        return Swap(self.parts).visit(tree)

    def product(self, item: Any) -> None:
        """The gradient of what was multiplied with rows of weight_hh, or with weight_hr."""
        if not item.gates:
            name = self.cell.returns[0]
            self.settle(name)
            self.share(item.operand, times(f"g_{name}", "weight_hr"))
        known = {target for one in self.made for target in one.targets}
        for gate in item.gates:
            if f"g_W{item.operand}_{gate}" in known:
                self.share(item.operand, times(f"g_W{item.operand}_{gate}", f"weight_hh.{gate}"))

    def weights(self) -> None:
        """The gradients of the weights, for all gates with one operand at once; the input's."""
        sides = dict.fromkeys(v for v, _ in self.products)
        for v in sides:
            gates = tuple([gate for operand, gate in self.products if operand == v])
            side, gate = "ih" if v == "x" else "hh", gates[0] if len(gates) == 1 else "v"
            over = gates if len(gates) > 1 else ()
            gradient = ast.Name(f"g_W{v}_{gate}")
            outer = ast.BinOp(ast.Attribute(gradient, "T"), ast.MatMult(), ast.Name(v))
            for name, tree in ((f"g_weight_{side}.{gate}", outer), (f"g_bias_{side}.{gate}",
                                                                    gradient)):
                self.made.append(Assignment((name,), tree, True, over))
            if v == "x":
                self.found["x"] = [times(f"g_Wx_{g}", f"weight_ih.{g}") for g in gates]
        if self.cell.projected:
            made = ast.Attribute(ast.Name(f"g_{self.cell.returns[0]}"), "T")
            self.made.append(Assignment(("g_weight_hr",), ast.BinOp(
                made, ast.MatMult(), ast.Name(self.cell.projected)), True))


class Infix(ast.NodeTransformer):
    """Writes add(a, b) as a + b again, and so on."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        name = rule.text(node.func)
        if name in rule.SYMBOLS:
            return ast.BinOp(node.args[0], rule.SYMBOLS[name](), node.args[1])
        return ast.UnaryOp(ast.USub(), node.args[0]) if name == "neg" else node


def times(gradient: str, weight: str) -> ast.expr:
    """A gradient through a product: with the same weight, the other way round."""
    return ast.BinOp(ast.Name(gradient), ast.MatMult(), rule.from_text(weight))


def total(terms: list[ast.expr]) -> ast.expr:
    """The sum of some terms, equal ones counted, those with a minus last."""
    counts = Counter([rule.text(tree) for tree in terms])
    once = {rule.text(tree): tree for tree in terms}
    first, *rest = sorted([tree if counts[text] == 1 else ast.BinOp(
        ast.Constant(counts[text]), ast.Mult(), tree) for text, tree in once.items()],
        key=lambda tree: positive(tree) is not None)
    for tree in rest:
        lost = positive(tree)
        first = ast.BinOp(first, ast.Add(), tree) if lost is None \
            else ast.BinOp(first, ast.Sub(), lost)
    return first


def positive(tree: ast.expr) -> ast.expr | None:
    """The term without the minus that it begins with; None where it has none."""
    if isinstance(tree, ast.UnaryOp):
        return tree.operand
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, (ast.Mult, ast.Div)):
        left = positive(tree.left)
        if left is None and isinstance(tree.left, ast.Constant):  # a count of equal terms
            right = positive(tree.right)
            return None if right is None else ast.BinOp(tree.left, tree.op, right)
        return None if left is None else ast.BinOp(left, tree.op, tree.right)
    return None


def equations(cell: Any, format: str, bias: bool) -> str:
    """Forward and backward, as "text" or "latex"."""
    if format == "text":
        return text(cell, bias)
    return typeset.equations(cell, format, bias) + "\n" + latex(cell, bias)


# -- as text ------------------------------------------------------------------------------
def text(cell: Any, bias: bool) -> str:
    """Forward and backward of one step, as one would write them for numpy.

    Rows are sequences; x.v is an attribute, as are the rows weight_ih.v of a weight; mean and sum
    are over the units of each sequence.
    """
    written = {name: (tree, note) for name, tree, note in cell.written}
    rows = [product_text("x", cell.gates, "ih", bias)]
    for item in cell.schedule:
        if not hasattr(item, "tree") and item.gates:
            rows.append(product_text(item.operand, item.gates, "hh", bias))
        elif not hasattr(item, "tree"):
            rows.append(row(cell.returns[0], *written[cell.returns[0]]))
            rows.append("# project(v) = v @ weight_hr.T")
        elif item.named:
            rows.append(row(item.name, *written[item.name]))
    if any(line.name.endswith("_variance") and not line.named for line in cell.lines):
        rows.append(NORM)
    backward = Backward(cell)
    made = backward.assignments()
    places = {f"{before}W{v}_{gate}": rule.from_text(f"{before}{v}.{gate}")
              for v in ("x", *[v for v, _ in backward.products]) for gate in (*cell.gates, "v")
              for before in ("", "g_")}
    places |= {f"later_{state}": ast.Name(f"g_{state}") for state in cell.states}
    rows += HEAD.format(later=", ".join([f"g_{state}" for state in cell.states])).split("\n")
    rows += [row(line.name, call_mean(line), "") for line in cell.lines if not line.named]
    for one in made:
        if bias or not one.targets[0].startswith("g_bias"):
            names = [rule.text(places.get(target, ast.Name(target))) for target in one.targets]
            rows.append(f"{' = '.join(names)} {'+=' if one.adds else '='} "
                        f"{rule.text(rule.substitute(one.tree, places))}" + letters(one.over))
    return "\n".join(rows)


def row(name: str, tree: ast.expr, note: str) -> str:
    """One line and its comment."""
    return f"{name} = {rule.text(tree)}" + (f"  # {note}" if note else "")


def call_mean(line: Any) -> ast.expr:
    """A line's expression; a mean's with the word for it."""
    tree = Infix().visit(copy.deepcopy(line.tree))
    return ast.Call(ast.Name("mean"), [tree], []) if line.mean else tree


def product_text(v: str, gates: tuple[str, ...], side: str, bias: bool) -> str:
    """The products of one operand, all gates' in one line."""
    gate = gates[0] if len(gates) == 1 else "v"
    return (f"{v}.{gate} = {v} @ weight_{side}.{gate}.T" + f" + bias_{side}.{gate}" * bias
            + letters(gates if len(gates) > 1 else ()))


def letters(gates: tuple[str, ...]) -> str:
    """What the letter v stands for."""
    return f"  # v: {' '.join(gates)}" if gates else ""


# -- as LaTeX -----------------------------------------------------------------------------
def latex(cell: Any, bias: bool) -> str:
    r"""The same for a page: \bar{v} is dL/dv, with a plus what comes from later steps only."""
    backward = Backward(cell)
    made = backward.assignments()
    places = {f"W{v}_{gate}": rule.from_text(f"{v}.{gate}") for v, gate in backward.products}
    made = [Assignment((line.name,), call_mean(line)) for line in cell.lines
            if not line.named] + made
    rows = []
    for one in made:
        if not bias and one.targets[0].startswith("g_bias"):
            continue
        names = [symbol(cell, target, backward.products) for target in one.targets]
        value = typeset.latex(rule.substitute(one.tree, places),
                              lambda name: symbol(cell, name, backward.products, bias))
        over = r",\quad v \in \{" + ", ".join(one.over) + r"\}" if one.over else ""
        rows.append(" = ".join(names) + (r" &= \sum_t " if one.adds else " &= ") + value + over)
    return typeset.aligned(rows)


def symbol(cell: Any, name: str, products: list[tuple[str, str]], bias: bool = True) -> str:
    """How a gradient, a weight or a variable is written."""
    for v in ("x", *[v for v, _ in products]):
        if name.startswith(f"g_W{v}_"):
            gate = name.removeprefix(f"g_W{v}_")
            return rf"\delta^{{{'x' if v == 'x' else 'h'}{gate}}}_t"
    if name == "gy":
        return r"\bar{y}_t"
    bar = name.startswith("g_")
    word = name.removeprefix("g_").removeprefix("later_")
    for start, letter in (("weight_ih", "W"), ("weight_hh", "W"), ("bias_ih", "b"),
                          ("bias_hh", "b"), ("weight_hr", "W")):
        if word.startswith(start):
            side = {"ih": "x", "hh": "h", "hr": "hr"}[start[-2:]]
            letter = rf"\bar{{{letter}}}" if bar else letter
            return rf"{letter}_{{{side}{word.removeprefix(start).removeprefix('.')}}}"
    if name.startswith("later_"):
        if word not in cell.returns:  # (a state that is handed on as it is)
            word = cell.returns[cell.states.index(word)]
        return typeset.symbol(cell, word, bar=True, mark="+")
    if bar:
        return typeset.symbol(cell, word, bar=True, mark="+" * (word in cell.states))
    return typeset.symbol(cell, name, bias=bias)
