"""From a cell's lines to the source of its kernels: one loop for each line, forward and backward.

A kernel works on one time step. It goes over the batch row by row, and over a row once for each
line, so that every loop touches few arrays (LLVM vectorises those) and all of them stay in the
first cache. The backward kernel is the same lines in reverse, each operand's derivative taken
from the operations' own rules by substitution: nobody writes a gate's derivative by hand.

The arrays: Wx (T, N, K*H) and Wh (1 or T, N, K*H) the products, without the biases bx and bh
(K*H); a state s as s_all (T+1, N, H), entry 0 the initial one; lines (T, M, N, H) the named lines
that are not states, and after them what is given; vectors (number of vectors, H). In backward
g_Wx and g_Wh as Wx and Wh; carry_s (N, H) dL/ds of this step, replaced by that of the step
before; through (P, N, H) what arrives through products inside the step; g_vectors as vectors;
scratch (M', N or 1, H), one row for each g_line.
"""
from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable
from typing import Any

from tinyseq import rule, sweep
from tinyseq.adjoint import HOISTED, hoisted
from tinyseq.errors import CellError
from tinyseq.places import Places

INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**"}
NATIVE = {"sqrt": "np.sqrt", "erf": "erf", "erfc": "erfc", **{name: f"np.{name}" for name in (
    "abs", "log1p", "expm1", "sin", "cos", "remainder", "fmod", "floor_divide", "trunc")}}


class Emitter(Places):
    """Emits the kernels of one cell. `ops` gives the declaration of an operation by its name."""

    # -- text -----------------------------------------------------------------------------
    def element(self, tree: ast.expr) -> str:
        """One element of an expression, as the inner loop computes it."""
        if isinstance(tree, ast.Name):
            return self.variable(tree.id)
        if isinstance(tree, ast.Constant):
            return f"real({tree.value!r})"
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
            return f"(-{self.element(tree.operand)})"
        if isinstance(tree, ast.Compare):
            signs = {ast.LtE: "<=", ast.Lt: "<", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "=="}
            return (f"{self.element(tree.left)} {signs[type(tree.ops[0])]} "
                    f"{self.element(tree.comparators[0])}")
        if isinstance(tree, ast.Call) and rule.text(tree.func) == "np.maximum":
            a, b = (self.element(operand) for operand in tree.args)
            return f"({b} if {a} <= {b} else {a})"  # a NaN in a stays
        if isinstance(tree, ast.Call) and rule.text(tree.func) == "np.minimum":
            a, b = (self.element(operand) for operand in tree.args)
            return f"({b} if {a} >= {b} else {a})"
        call = rule.as_call(tree)
        if call is None:
            raise CellError(f"cell {self.cell.name!r}: no kernel for {rule.text(tree)!r}")
        name, operands = call
        if name in INFIX:
            left, right = (self.element(operand) for operand in operands)
            return f"({left} {INFIX[name]} {right})"
        if name == "where":
            condition, a, b = (self.element(operand) for operand in operands)
            return f"({a} if {condition} else {b})"
        if name in HOISTED or name in NATIVE:
            inside = ", ".join([self.element(operand) for operand in operands])
            return f"{NATIVE.get(name, name)}({inside})"
        if name == "neg":
            return f"(-{self.element(operands[0])})"
        op = self.ops[name]
        return self.element(rule.substitute(rule.expression(op.forward),
                                            dict(zip(op.inputs, operands))))

    def variable(self, name: str) -> str:
        if name in self.products:
            side = "x" if name.startswith("Wx_") else "h"
            return f"({name}[j] + b{side}_{self.products[name][1]}[j])"
        if name in self.scalars or name.startswith("s_"):
            return name
        return f"{name}[j]"

    def reads(self, trees: Iterable[ast.expr]) -> list[str]:
        return [name for tree in trees for name in rule.names(tree)]

    # -- forward --------------------------------------------------------------------------
    def arguments(self, backward: bool) -> str:
        states = [f"{s}_all" for s in self.cell.states]
        names = ["Wx", "Wh", "bx", "bh", *states, "lines", "vectors"]
        if backward:
            names += ["gy", *[f"carry_{s}" for s in self.cell.states], "g_Wx", "g_Wh",
                      "scratch", "through", "g_vectors"]
        return ", ".join(names)

    def stage(self, k: int) -> list[str]:
        """Stage k's lines for every row of the batch, in order."""
        stage = self.stages[k]
        text = ["    for b in range(N):"]
        text += self.views([*self.reads(line.tree for line in stage),
                            *[line.name for line in stage]])
        for line in stage:
            text += self.evaluate(line)
        return text

    def evaluate(self, line: Any) -> list[str]:
        element, note = self.element(line.tree), self.note(line)
        if line.scalar and not line.mean:
            return [f"        {line.name} = {element}"]
        if line.mean:
            return [f"        {line.name} = real(0)  # the mean of {rule.text(line.tree)}",
                    "        for j in range(H):", f"            {line.name} += {element}",
                    f"        {line.name} /= real(H)"]
        return [f"        for j in range(H):  # {line.name} = {note}",
                fold(f"            {line.name}[j] = {element}")]

    def note(self, line: Any) -> str:
        """The line as its author wrote it, or as the expansion of norm or project made it."""
        return self.texts.get(line.name, rule.text(line.tree))

    # -- backward -------------------------------------------------------------------------
    def stages_back(self) -> list[list[str]]:
        """All stages in reverse, the last one first."""
        seen: set[str] = set()
        return [self.stage_back(k, seen) for k in reversed(range(len(self.stages)))]

    def stage_back(self, k: int, seen: set[str]) -> list[str]:
        """Stage k's lines in reverse; `seen` are the gradients already begun."""
        stage = self.stages[k]
        loops: list[str] = []
        touched: list[str] = []
        for line in stage:
            if line.scalar:  # not saved: computed again
                loops += [*self.evaluate(line), f"        s_{line.name} = real(0)"]
                touched += self.reads([line.tree])
        if k == len(self.stages) - 1:
            loops += self.arrivals(seen, touched)
        for operand in self.by_product:
            if any(line.name == operand for line in stage):
                at = self.by_product.index(operand)
                loops += self.loop(f"g_{operand}", f"through[{at}, b, j]", operand in seen,
                                   f"through the product of {operand}")
                seen.add(operand)
                touched.append(f"g_{operand}")
        for line in reversed(stage):
            loops += self.differentiate(line, seen, touched)
        return ["    for b in range(N):", *self.views(touched), *loops]

    def arrivals(self, seen: set[str], touched: list[str]) -> list[str]:
        """The gradients that reach the new states from the loss and from the step after."""
        loops = []
        for state, name in zip(self.cell.states, self.cell.returns):
            if name not in self.rows:
                continue  # a projected state: its gradient arrives through p
            source = f"carry_{state}[b, j]" + (" + gy[t, b, j]" if state == self.cell.states[0]
                                               else "")
            loops += self.loop(f"g_{name}", source, name in seen, "from later steps and the loss")
            seen.add(name)
            touched.append(f"g_{name}")
        return loops

    def loop(self, target: str, source: str, add: bool, note: str) -> list[str]:
        sign = "+=" if add else "="
        return [f"        for j in range(H):  # {note}",
                fold(f"            {target}[j] {sign} {source}")]

    def differentiate(self, line: Any, seen: set[str], touched: list[str]) -> list[str]:
        """The loops that hand line's gradient on to the variables it was made of."""
        loops, found = self.hoist(self.shares(line))
        note = f"{line.name} = {self.note(line)}"
        if line.mean:
            loops.insert(0, f"        s_{line.name} /= real(H)")
        touched += self.reads(found.values()) + self.reads(self.hoisted)
        sums: dict[str, str] = {}
        for name, share in found.items():
            if name in self.scalars and line.scalar and not line.mean:
                loops.append(f"        s_{name} += {self.element(share)}")
                continue
            if name in self.scalars:
                sums[name] = f"            s_{name} += {self.element(share)}"
                continue
            if self.shared and name in self.products and not name.startswith("Wx_"):
                continue  # the same numbers as x's, in the same array
            begun = name in seen or name in self.cell.vectors
            loops += self.loop(f"g_{name}", self.element(share), begun, f"{name} in {note}")
            seen.add(name)
            touched.append(f"g_{name}")
        if sums:  # they write no array, so that one loop for all is vectorised
            loops += [f"        for j in range(H):  # {', '.join(sums)} in {note}", *sums.values()]
        return loops

    def hoist(self, found: dict[str, ast.expr]) -> tuple[list[str], dict[str, ast.expr]]:
        """Loops that fill a row of scratch for each part several shares need; the new shares."""
        parts, swapped = hoisted(found, set(self.scalars))
        self.hoisted = list(parts.values())
        row = "b" if len(self.stages) > 1 else "0"
        loops: list[str] = []
        for name, tree in parts.items():
            at = len(self.rows) + int(name[1:])
            loops += [f"        {name} = scratch[{at}, {row}]",
                      f"        for j in range(H):  # {name} = {rule.text(tree)}",
                      f"            {name}[j] = {self.element(tree)}"]
        return loops, swapped


def fold(line: str) -> str:
    """A long statement over several lines; its right side is in brackets, so it may break."""
    return textwrap.fill(line, 95, subsequent_indent=" " * 16, break_long_words=False)


def source(cell: Any, ops: Any) -> str:
    """The whole module of a cell's kernels, as committed under kernels/ or kept in the cache."""
    emitter = Emitter(cell, ops)
    parts = [f'"""Kernels of the cell {cell.name}, generated by tools/make_kernels; do not edit.'
             '\n\n' + cell.equations() + f'\n\nfingerprint: '
             f'{cell.fingerprint}\n"""\n']
    kernels = [sweep.forward(emitter), sweep.backward(emitter)]
    if any("erf" in text for text in kernels):
        parts.append("from math import erf, erfc\n")
    return "\n\n".join(parts + kernels)
