"""Variants of a cell, made by rewriting its text: norms, masks, projection, zoneout.

Each takes a cell and gives another one, with its equations, kernels, pictures and checks.
"""
from __future__ import annotations

import ast
import copy
from collections.abc import Callable
from functools import lru_cache

from tinyseq import rule
from tinyseq.equations import EPSILON, Cell, Parser
from tinyseq.errors import CellError
from tinyseq.rule import from_text

Text = list[tuple[str, ast.expr, str]]  # name, expression, comment


def rewritten(cell: Cell, word: str, lines: Text, *, vectors: tuple[str, ...] = (),
              given: tuple[str, ...] = (), returns: tuple[str, ...] = (),
              source: str = "") -> Cell:
    """The cell with other lines; `vectors` and `given` are added to what it has."""
    name = f"{cell.name}_{word}"
    body: list[ast.stmt] = [ast.Expr(ast.Constant(f"{cell.doc} [{word}]"))]
    body += [ast.Assign([ast.Name(line)], copy.deepcopy(tree)) for line, tree, _ in lines]
    last = ast.Tuple([ast.Name(s) for s in returns or cell.returns])
    arguments = ast.arguments([], [ast.arg(a) for a in ("x", *cell.states)], defaults=[],
                              kwonlyargs=[], kw_defaults=[])
    tree = ast.FunctionDef(name, arguments, [*body, ast.Return(last)], [], None, None)
    ast.fix_missing_locations(tree)
    notes = {line: note for line, _, note in lines if note}
    return Parser(tree, notes, list(cell.gates), [*cell.vectors, *vectors],
                  [*cell.given, *given], "; ".join(filter(None, (cell.source, source)))).parse()


class Replace(ast.NodeTransformer):
    """Replaces parts of an expression, recognised by their text."""

    def __init__(self, swap: Callable[[ast.expr], ast.expr | None]) -> None:
        self.swap = swap

    def visit(self, node: ast.AST) -> ast.AST:
        found = self.swap(node) if isinstance(node, ast.expr) else None
        return self.generic_visit(node) if found is None else found


def replaced(tree: ast.expr, swap: Callable[[ast.expr], ast.expr | None]) -> ast.expr:
    """An expression with some of its parts replaced; `swap` returns None for what stays."""
    found = Replace(swap).visit(copy.deepcopy(tree))
    assert isinstance(found, ast.expr)
    return found


def products(cell: Cell) -> dict[str, list[str]]:
    """The gates whose rows each operand is multiplied with, in the order of the rows."""
    asked = {(rule.text(node.value), node.attr) for _, tree, _ in cell.written
             for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    operands = dict.fromkeys(operand for operand, _ in sorted(asked))
    return {v: [g for g in cell.gates if (v, g) in asked] for v in operands}


@lru_cache(maxsize=32)
def layer_normed(cell: Cell) -> Cell:
    """Each projection, with its bias, normalised over all its units; and the new cell state.

    Equation: LN(v) = (v - mean) / sqrt(variance + 1e-5) * gain + shift, over all gates' units
        together (for a product inside the step over the gates it serves); h = o tanh(LN(c)).
    Source: Ba, Kiros and Hinton 2016, arXiv 1607.06450, supplement, equations 20 to 22.
    Example:
        >>> from tinyseq.cells import rnn_tanh
        >>> print(layer_normed(rnn_tanh).equations().splitlines()[0])
        h_mean = mean(h.h)
    """
    lines: Text = []
    gates, begun, stage = products(cell), dict.fromkeys((cell.states[0],), ""), ""
    for name, tree, note in cell.written:
        for v in sorted(read(tree), key="x".__eq__):    # x last: its means belong to what follows
            if v != "x" and v not in begun:             # a product inside the step: from here on
                begun, stage = {}, stage + "_later"     # another kernel, with means of its own
            if begun.get(v) != stage or not any(line == f"{v}_mean{stage}" for line, *_ in lines):
                begun[v] = stage
                lines += statistics(v, gates[v], stage)
        tree = replaced(tree, lambda node: normed(node, stage))
        if name == cell.returns[0] and "c" in cell.returns:  # what reads the new cell state
            tree = replaced(tree, lambda node: from_text("norm(c, gain_c, shift_c)")
                            if rule.text(node) == "c" else None)
        elif isinstance(tree, ast.Call) and name not in cell.returns:  # sigmoid(...), tanh(...):
            lines.append((f"a_{name}", tree.args[0], ""))  # its argument's gradient serves many
            tree = ast.Call(tree.func, [ast.Name(f"a_{name}")], [])
        lines.append((name, tree, note))
    vectors = [f"{kind}_{side}{gate}" for side in "xh" for kind in ("gain", "shift")
               for gate in cell.gates]
    vectors += ["gain_c", "shift_c"] if "c" in cell.returns else []
    return rewritten(cell, "norm", lines, vectors=tuple(vectors), source="Ba et al. 2016")


def read(tree: ast.expr) -> set[str]:
    """The operands whose products an expression reads."""
    return {rule.text(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def normed(node: ast.expr, stage: str) -> ast.expr | None:
    """A product with its mean taken off, scaled and shifted."""
    if not isinstance(node, ast.Attribute):
        return None
    v, gate = rule.text(node.value), node.attr
    side = "x" if v == "x" else "h"
    return from_text(f"({v}.{gate} - {v}_mean{stage}) * {v}_scale{stage} * gain_{side}{gate} + "
                     f"shift_{side}{gate}")


def statistics(v: str, gates: list[str], stage: str) -> Text:
    """The lines that compute the mean and the variance of all gates' products of one operand."""
    mean, K = f"{v}_mean{stage}", len(gates)
    parts = (" + ".join(f"{v}.{g}" for g in gates),
             " + ".join(f"({v}.{g} - {mean}) * ({v}.{g} - {mean})" for g in gates))
    over = [from_text(f"mean(({part}) / {K})" if K > 1 else f"mean({part})") for part in parts]
    return [(mean, over[0], ""), (f"{v}_variance{stage}", over[1], ""),
            (f"{v}_scale{stage}", from_text(f"1 / sqrt({v}_variance{stage} + {EPSILON})"), "")]


@lru_cache(maxsize=32)
def recurrent_dropout(cell: Cell) -> Cell:
    """The old state multiplied with a given mask `m_h` wherever a product reads it.

    Equation: v.gate becomes hm.gate with hm = m_h h; the mask is one for the whole sequence.
    Source: Gal and Ghahramani 2016, arXiv 1512.05287, equation 7.
    Example:
        >>> from tinyseq.cells import rnn_tanh
        >>> print(recurrent_dropout(rnn_tanh).equations())
        hm = m_h * h  # the state through its mask
        h_next = tanh(x.h + hm.h)
    """
    h = cell.states[0]
    lines: Text = [("hm", from_text(f"m_h * {h}"), "the state through its mask")]

    def swap(node: ast.expr) -> ast.expr | None:
        if isinstance(node, ast.Attribute) and rule.text(node.value) == h:
            return from_text(f"hm.{node.attr}")
        return None

    lines += [(name, replaced(tree, swap), note) for name, tree, note in cell.written]
    return rewritten(cell, "dropout", lines, given=("m_h",), source="Gal and Ghahramani 2016")


@lru_cache(maxsize=32)
def zoneout(cell: Cell) -> Cell:
    """Each new state keeps the old value where a given mask `z_...` says so.

    Equation: s_t = z s_{t-1} + (1 - z) s_new; in training z is 0 or 1, afterwards the probability
    Source: Krueger et al. 2017, arXiv 1606.01305, equation 2.
    Example:
        >>> from tinyseq.cells import rnn_tanh
        >>> print(zoneout(rnn_tanh).equations())
        h_new = tanh(x.h + h.h)
        h_next = z_h * h + (1 - z_h) * h_new  # kept in part
    """
    if cell.projected:
        raise CellError(f"cell {cell.name!r}: zoneout of a projected state is not defined: take "
                        "proj_size=0")
    fresh = {name: f"{state.split('_')[0]}_new" for state, name in zip(cell.states, cell.returns)}
    lines: Text = []
    for name, tree, note in cell.written:
        lines.append((fresh.get(name, name), replaced(
            tree, lambda node: from_text(fresh[node.id])
            if isinstance(node, ast.Name) and node.id in fresh else None), note))
    given = []
    for state, name in zip(cell.states, cell.returns):
        short = state.split("_")[0]
        given.append(f"z_{short}")
        lines.append((name, from_text(f"z_{short} * {state} + (1 - z_{short}) * {short}_new"),
                      "kept in part"))
    return rewritten(cell, "zoneout", lines, given=tuple(given), source="Krueger et al. 2017")


@lru_cache(maxsize=32)
def resettable(cell: Cell) -> Cell:
    """Every old state multiplied with a given `keep` first: 0 where a sequence starts anew.

    Equation: each s_{t-1} is read as keep s_{t-1}
    Example:
        >>> from tinyseq.cells import rnn_tanh
        >>> print(resettable(rnn_tanh).equations())
        h_kept = keep * h
        h_next = tanh(x.h + h_kept.h)
    """
    kept = {state: f"{state.split('_')[0]}_kept" for state in cell.states}
    lines: Text = [(new, from_text(f"keep * {state}"), "") for state, new in kept.items()]
    lines += [(name, replaced(tree, lambda node: ast.Name(kept[node.id])
                              if isinstance(node, ast.Name) and node.id in kept else None), note)
              for name, tree, note in cell.written]
    return rewritten(cell, "reset", lines, given=("keep",))


@lru_cache(maxsize=32)
def projected(cell: Cell) -> Cell:
    """The output and the first state projected to fewer units by weight_hr.

    Equation: h_t = W_hr h_new
    Source: Sak et al. 2014, arXiv 1402.1128.
    Example:
        >>> from tinyseq.cells import lstm
        >>> print(projected(lstm).equations().splitlines()[-1])
        h_next = project(o * tanh(c))
    """
    if any(cell.states[0] in rule.names(replaced(tree, product_as_word))
           for _, tree, _ in cell.written):
        raise CellError(f"cell {cell.name!r} adds its old state to the new one, which a "
                        "projection makes narrower: only cells that read it in products can be "
                        "projected")
    lines = [(name, ast.Call(ast.Name("project"), [tree], []) if name == cell.returns[0] else tree,
              note) for name, tree, note in cell.written]
    return rewritten(cell, "projected", lines, source="Sak et al. 2014")


def product_as_word(node: ast.expr) -> ast.expr | None:
    """`h.i` as one word, so that what is left of h stands by itself."""
    return ast.Name("product") if isinstance(node, ast.Attribute) else None
