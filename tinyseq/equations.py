"""`@cell`: a recurrent cell as a short function of named lines, parsed once and read by everyone.

    @cell(gates="i f g o")
    def lstm(x, h, c_prev):
        i = sigmoid(x.i + h.i)           # input gate
        ...
        return h_next, c

The arguments are the input and the states; the first state is also the output. `v.gate` is the
product of v with that gate's rows of its weight, plus bias: weight_ih for the input, weight_hh
for anything else. `norm(v, gain, bias)` normalises a row over the units, a line `m = mean(...)`
is one number a row, `project(v)` multiplies with weight_hr. The return order is the order of the
state arguments. A named line is saved, drawn, checked and can be probed; an unnamed temporary is
recomputed in backward.
"""
from __future__ import annotations

import ast
import copy
import hashlib
import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tinyseq import derivation, rule, typeset
from tinyseq.errors import CellError
from tinyseq.op import OPS

RESERVED = re.compile(r"W.*|g_.*|s_.*|e\d+|b[xh](_.*)?|carry_.*|.*_all|[tbjNH]|real|np|lines|"
                      r"vectors|scratch|through|gy")
EPSILON = 1e-5  # what norm adds to a variance, as torch's LayerNorm does


@dataclass(frozen=True)
class Line:
    """One line: its name, its expression, and whether it is one number a row, perhaps a mean."""

    name: str
    tree: ast.expr
    scalar: bool = False
    mean: bool = False
    named: bool = True  # whether the cell's author wrote it, or an expansion did


@dataclass(frozen=True)
class Product:
    """A product inside the step: `operand` with the rows of `gates` (no gates: with weight_hr)."""

    operand: str
    gates: tuple[str, ...]


@dataclass(frozen=True, eq=False)  # a cell is itself: hashing must cost nothing
class Cell:
    """A parsed cell. `schedule` is the order of work in one step: products and lines.

    Example:
        >>> from tinyseq.cells import gru
        >>> gru.gates, gru.states, [line.name for line in gru.lines]
        (('r', 'z', 'n'), ('h',), ['r', 'z', 'n', 'h_next'])
    """

    name: str
    gates: tuple[str, ...]
    states: tuple[str, ...]
    returns: tuple[str, ...]
    vectors: tuple[str, ...]  # parameters of one value a unit
    given: tuple[str, ...]    # constants of every step, such as masks
    source: str
    doc: str
    lines: tuple[Line, ...]
    schedule: tuple[Line | Product, ...]
    written: tuple[tuple[str, ast.expr, str], ...] = field(repr=False)  # name, text, comment

    def __deepcopy__(self, memo: dict) -> Cell:
        return self  # nothing in it ever changes, and its kernels are found by what it is

    @property
    def projected(self) -> str | None:
        """The line that `project` multiplies to make the first state, or None."""
        return next((item.operand for item in self.schedule
                     if isinstance(item, Product) and not item.gates), None)

    @property
    def fingerprint(self) -> str:
        """A hash of everything that decides what the cell computes."""
        parts = [self.name, *self.gates, "|", *self.states, "|", *self.returns, "|", *self.vectors]
        parts += ["|", *self.given] if self.given else []
        parts += [f"{line.name}={rule.text(line.tree)}" for line in self.lines]
        parts += [repr(item) for item in self.schedule if isinstance(item, Product)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def equations(self, format: str = "text", backward: bool = False, bias: bool = True) -> str:
        """The lines as text, or as LaTeX with time indices; with what backward computes, if asked.

        Example:
            >>> from tinyseq.cells import rnn_tanh
            >>> print(rnn_tanh.equations())
            h_next = tanh(x.h + h.h)
            >>> print(rnn_tanh.equations(backward=True).splitlines()[7])
            g_x.h = g_h.h = g_h_next * (1.0 - h_next * h_next)
        """
        if backward:
            return derivation.equations(self, format, bias)
        return typeset.equations(self, format, bias)


def cell(gates: str, *, vectors: str = "", given: str = "",
         source: str = "") -> Callable[[Callable], Cell]:
    """Parse a function of named lines into a Cell; see the module's text for the notation.

    `vectors` names parameters of one value a unit, `given` constants of every step (masks).

    Errors: CellError naming the cell, the line and the cure.
    Example:
        >>> from tinyseq.cells import rnn_tanh
        >>> rnn_tanh.returns
        ('h_next',)
    """
    def parsed(function: Callable) -> Cell:
        tree, text = rule.parse(function), inspect.getsource(function)
        notes = dict(re.findall(r"^\s*(\w+)\s*=[^=#\n]*#\s*(.*?)\s*$", text, re.M))
        return Parser(tree, notes, gates.split(), vectors.split(), given.split(), source).parse()
    return parsed


class Parser:
    """Turns the text of one cell into lines and a schedule."""

    def __init__(self, tree: ast.FunctionDef, notes: dict[str, str], gates: list[str],
                 vectors: list[str], given: list[str], source: str) -> None:
        self.tree, self.name, self.notes = tree, tree.name, notes
        self.gates, self.vectors, self.given, self.source = gates, vectors, given, source
        arguments = [a.arg for a in self.tree.args.args]
        if len(arguments) < 2:
            self.fail("", "a cell takes the input and at least one state: def f(x, h): ...")
        self.x, *self.states = arguments
        for name in (*arguments, *vectors, *given):
            if RESERVED.fullmatch(name) or (name == "x" and name != self.x):
                self.fail("", f"the name {name!r} is used by the generated kernels: take another")
        if self.x != "x":
            self.fail("", f"the input is called x, not {self.x!r}")
        self.known = {*arguments, *vectors, *given}
        self.lines: list[Line] = []
        self.schedule: list[Line | Product] = []
        self.rows_of: dict[str, str] = {}  # hidden gate -> the operand whose product it is

    def fail(self, line: str, why: str) -> None:
        raise CellError(f"cell {self.name!r}{f', line {line!r}' if line else ''}: {why}")

    def parse(self) -> Cell:
        written: list[tuple[str, ast.expr, str]] = []
        returns: tuple[str, ...] = ()
        state_gates = self.used_by(self.states[0])
        if state_gates:
            self.multiply(self.states[0], state_gates)
        for statement in self.tree.body[1 if ast.get_docstring(self.tree) else 0:]:
            if isinstance(statement, ast.Return):
                returns = self.returned(statement)
                break
            name = self.target(statement)
            assert isinstance(statement, ast.Assign)
            written.append((name, statement.value, self.notes.get(name, "")))
            self.line(name, copy.deepcopy(statement.value))
        if not returns:
            self.fail("", "it must end in `return` of the new states, in the states' order")
        return Cell(self.name, tuple(self.gates), tuple(self.states), returns,
                    tuple(self.vectors), tuple(self.given), self.source,
                    ast.get_docstring(self.tree) or "", tuple(self.lines), tuple(self.schedule),
                    tuple(written))

    def target(self, statement: ast.stmt) -> str:
        text = rule.text(statement)
        if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1
                and isinstance(statement.targets[0], ast.Name)):
            self.fail(text, "write one name on the left: `i = sigmoid(x.i + h.i)`")
        name = statement.targets[0].id  # type: ignore[attr-defined]
        if RESERVED.fullmatch(name):
            self.fail(text, f"the name {name!r} is used by the generated kernels: take another")
        if name in self.known:
            self.fail(text, f"{name!r} is already taken; a line has a name of its own")
        return name

    def returned(self, statement: ast.Return) -> tuple[str, ...]:
        value = statement.value
        names = [rule.text(e) for e in value.elts] if isinstance(value, ast.Tuple) \
            else [rule.text(value)] if value is not None else []
        if len(names) != len(self.states) or not set(names) <= self.known:
            self.fail(rule.text(statement), f"return {len(self.states)} line names, one for each "
                      f"of the states {', '.join(self.states)}")
        return tuple(names)

    # -- one line -------------------------------------------------------------------------
    def line(self, name: str, tree: ast.expr) -> None:
        """Check one line, expand what it is made of, and put it into the schedule."""
        if isinstance(tree, ast.Call) and rule.text(tree.func) == "project":
            inner = f"{name}_in"
            self.add(Line(inner, self.resolved(name, tree.args[0]), named=False))
            self.schedule.append(Product(inner, ()))
            self.known.add(name)
            return
        if isinstance(tree, ast.Call) and rule.text(tree.func) == "mean":
            self.add(Line(name, self.resolved(name, tree.args[0]), True, True))
            return
        names, scalars = set(rule.names(tree)), {one.name for one in self.lines if one.scalar}
        self.add(Line(name, self.resolved(name, tree), bool(names) and names <= scalars))

    def add(self, line: Line) -> None:
        self.lines.append(line)
        self.schedule.append(line)
        self.known.add(line.name)

    def resolved(self, name: str, tree: ast.expr) -> ast.expr:
        """The expression with `v.gate` as a product's name, norm expanded, all else checked."""
        if isinstance(tree, ast.Attribute):
            return self.product(name, tree)
        if isinstance(tree, ast.Name):
            if tree.id not in self.known:
                self.fail(name, f"{tree.id!r} is not known here: a line may use the states, the "
                          "vectors, numbers, and the lines above it")
            if tree.id == self.x:
                self.fail(name, f"a bare {self.x!r} has the input's width: use {self.x}.gate")
            return tree
        if isinstance(tree, ast.Constant) and isinstance(tree.value, (int, float)):
            return tree
        call = rule.as_call(tree)
        if call is None:
            self.fail(name, f"{rule.text(tree)!r} is not in the notation: use + - * /, numbers, "
                      "lines, v.gate, norm, project and elementwise operations")
        operation, operands = call  # type: ignore[misc]
        if operation == "norm":
            return self.norm(name, operands)
        if operation not in OPS or not OPS[operation].elementwise \
                or len(OPS[operation].inputs) != len(operands):
            self.fail(name, f"{operation!r} with {len(operands)} operands is not an elementwise "
                      "operation: use one of "
                      + ", ".join(n for n, op in OPS.items() if op.elementwise))
        done = [self.resolved(name, operand) for operand in operands]
        return ast.Call(ast.Name(operation), done, [])

    def product(self, name: str, tree: ast.Attribute) -> ast.expr:
        operand, gate = rule.text(tree.value), tree.attr
        if gate not in self.gates:
            self.fail(name, f"{gate!r} is not one of the gates {' '.join(self.gates)}")
        if operand not in self.known or operand in (*self.vectors, *self.given):
            self.fail(name, f"{operand!r} is not known here")
        if operand != self.x:
            if self.rows_of.get(gate, operand) != operand:
                self.fail(name, f"the rows of gate {gate!r} are multiplied with "
                          f"{self.rows_of[gate]!r} already")
            if gate not in self.rows_of:
                self.multiply(operand, self.used_by(operand))
        return ast.Name(f"W{operand}_{gate}")

    def multiply(self, operand: str, gates: Iterable[str]) -> None:
        wanted = tuple(gates)
        for gate in wanted:
            if gate in self.rows_of:
                self.fail(f"{operand}.{gate}", f"the rows of gate {gate!r} are multiplied with "
                          f"{self.rows_of[gate]!r} already")
            self.rows_of[gate] = operand
        self.schedule.append(Product(operand, wanted))

    def used_by(self, operand: str) -> list[str]:
        """The gates that the whole cell asks of one operand, in the order of the rows."""
        asked = {node.attr for node in ast.walk(self.tree)
                 if isinstance(node, ast.Attribute) and rule.text(node.value) == operand}
        return [gate for gate in self.gates if gate in asked]

    def norm(self, name: str, operands: list[ast.expr]) -> ast.expr:
        """(v - mean) / sqrt(variance + eps) * gain + bias, its two means as lines of their own."""
        if len(operands) != 3:
            self.fail(name, "norm takes three operands: norm(v, gain, bias)")
        v, gain, bias = [f"({rule.text(operand)})" for operand in operands]
        mean, variance, scale = f"{name}_mean", f"{name}_variance", f"{name}_scale"
        for line, text in ((mean, v), (variance, f"({v} - {mean}) * ({v} - {mean})"),
                           (scale, f"1 / sqrt({variance} + {EPSILON})")):
            self.add(Line(line, self.resolved(name, rule.from_text(text)), True, line != scale,
                          named=False))
        return self.resolved(name, rule.from_text(f"({v} - {mean}) * {scale} * {gain} + {bias}"))
