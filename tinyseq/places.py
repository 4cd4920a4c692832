"""Where the rows of a cell's variables lie in the arrays that its kernels work on."""
from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from tinyseq import rule
from tinyseq.adjoint import shares


class Places:
    """Which rows a cell's kernels read and write, and where in the arrays they lie."""

    def __init__(self, cell: Any, ops: Any) -> None:
        self.cell, self.ops = cell, ops
        self.rows = [line.name for line in cell.lines if not line.scalar]
        self.kept = [name for name in self.rows if name not in cell.returns]
        self.scalars = [line.name for line in cell.lines if line.scalar]
        self.products = {f"W{v}_{gate}": (v, gate) for v in ("x", *cell.states, *self.rows)
                         for gate in cell.gates}
        self.texts = {name: rule.text(tree) for name, tree, _ in cell.written}
        self.by_product = [item.operand for item in cell.schedule
                           if not hasattr(item, "tree") and item.operand in self.rows]
        self.operand_of = {gate: item.operand for item in cell.schedule
                           if not hasattr(item, "tree") for gate in item.gates}
        self.stages = self._stages()
        self.shared = self._shared()

    def _stages(self) -> list[list[Any]]:
        """The lines between two products, in order."""
        stages: list[list[Any]] = [[]]
        for item in self.cell.schedule:
            if hasattr(item, "tree"):
                stages[-1].append(item)
            elif stages[-1]:
                stages.append([])
        return [stage for stage in stages if stage]

    # -- what the derivatives need --------------------------------------------------------
    def shares(self, line: Any) -> dict[str, ast.expr]:
        return {name: share for name, share in shares(line, self.ops).items()
                if name not in self.cell.given}

    def _shared(self) -> bool:
        """Whether both products of a gate always get one gradient, so that one array serves."""
        for gate, operand in self.operand_of.items():
            texts = [[rule.text(share) for line in self.cell.lines
                      for name, share in self.shares(line).items() if name == f"W{v}_{gate}"]
                     for v in ("x", operand)]
            if texts[0] != texts[1]:
                return False
        return len(self.operand_of) == len(self.cell.gates)

    @cached_property
    def saves_products(self) -> bool:
        """Whether backward reads the hidden products again (torch's GRU does, through r)."""
        return any(name in self.products and not name.startswith("Wx_")
                   for line in self.cell.lines for share in self.shares(line).values()
                   for name in rule.names(share))

    @property
    def step(self) -> str:
        """Where step t's hidden products stand in Wh: all steps' are kept, or only the last."""
        return "t" if self.saves_products else "0"

    @cached_property
    def used(self) -> set[str]:
        """Every variable that gets a gradient: what is missing here must start as zero."""
        return {name for line in self.cell.lines for name in self.shares(line)}

    # -- places ----------------------------------------------------------------------
    def views(self, names: Iterable[str], indent: str = "        ") -> list[str]:
        """The row of each variable that the loops of one batch row read or write."""
        found, cell = [], self.cell
        for name in dict.fromkeys(names):
            at = self.place(name)
            if at:
                found.append(f"{indent}{name} = {at}")
                if name in self.products:
                    gate = self.products[name][1]
                    k = cell.gates.index(gate)
                    side = "x" if name.startswith("Wx_") else "h"
                    found.append(f"{indent}b{side}_{gate} = b{side}[{k} * H:{k + 1} * H]")
        return found

    def place(self, name: str) -> str:
        """Where the row of a variable lies, at step t and batch row b."""
        cell = self.cell
        if name.startswith("g_"):
            return self.gradient_place(name[2:])
        if name in self.products:
            k = cell.gates.index(self.products[name][1])
            time = "t" if name.startswith("Wx_") else self.step
            side = "x" if name.startswith("Wx_") else "h"
            return f"W{side}[{time}, b, {k} * H:{k + 1} * H]"
        if name in cell.states:
            return f"{name}_all[t, b]"
        if name in cell.returns:
            return f"{cell.states[cell.returns.index(name)]}_all[t + 1, b]"
        if name in self.kept:
            return f"lines[t, {self.kept.index(name)}, b]"
        if name in cell.given:
            return f"lines[t, {len(self.kept) + cell.given.index(name)}, b]"
        if name in cell.vectors:
            return f"vectors[{cell.vectors.index(name)}]"
        return ""

    def gradient_place(self, name: str) -> str:
        cell = self.cell
        if name in self.products:
            k = cell.gates.index(self.products[name][1])
            side = "x" if name.startswith("Wx_") else "h"
            return f"g_W{side}[t, b, {k} * H:{k + 1} * H]"
        if name in cell.states:
            return f"carry_{name}[b]"
        if name in self.rows:
            row = "b" if len(self.stages) > 1 else "0"
            return f"scratch[{self.rows.index(name)}, {row}]"
        if name in cell.vectors:
            return f"g_vectors[{cell.vectors.index(name)}]"
        return ""
