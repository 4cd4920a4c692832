"""Wrong derivatives inside the generated kernels, which run as plain Python here.

The text that the emitter writes for a cell is parsed, one expression of its backward kernel is
changed, and the kernel is run by the very code that runs the compiled one (tinyseq.fused), with
Python's functions in the place of numba's. It must then differ from the equations op by op.
"""
from __future__ import annotations

import ast
import copy
import math
import re
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np

import tinyseq as ts
from fixtures import signed
from mutants import changes, clipped
from tinyseq import emit, kernels
from tinyseq.cells import CELLS
from tinyseq.equations import Cell, Product
from tinyseq.fused import Fused
from tinyseq.layer import Weights
from tinyseq.op import OPS
from tinyseq.probe import taped
from tinyseq.tensor import Tensor
from tinyseq.walk import differentiate
from tinyseq.variants import layer_normed, projected, zoneout

# The shipped cells, and one of each further kind of stage: a row norm, a projection, masks.
ALL: dict[str, Cell] = {**CELLS, **{cell.name: cell for cell in (
    layer_normed(CELLS["rnn_tanh"]), projected(CELLS["lstm"]), zoneout(CELLS["rnn_tanh"]))}}
T, N, I, H, P = 3, 2, 2, 3, 2  # noqa: E741
KINK = ("constant off", "boundary")  # beside a rectifier's kink: for the operation's own check
MEMORY = {"N", "H", "t", "b", "j", "real", "np", "range"}


class KernelMutant(NamedTuple):
    """One changed statement: its place, what it computes (`g_f`), what was done to it."""

    cell: str
    place: int
    target: str
    family: str
    right: str
    wrong: str

    def __str__(self) -> str:
        return f"{self.cell}, {self.target}, {self.family}: {self.wrong} for {self.right}"


# Mutants that compute the same: (cell, target, wrong text, why). Stars stand for anything.
EQUIVALENT: list[tuple[str, str, str, str]] = [
    ("*", "e?", "*= _clipped(tanh(*))", "tanh is within [-1, 1]"),
    ("*", "*", "*through[-1, b, j]", "one product stands inside the step: first and last"),
    ("*_norm", "s_?_mean", "*s_?_variance *", "sum (x - mean) is 0, so it does not matter what "
     "it is multiplied with"),
    ("*_norm", "s_?_mean", "pass", "what was left out is sum (x - mean), which is 0"),
    ("*_norm", "s_?_variance", "s_?_variance = *", "the only contribution to a sum from 0 on"),
    ("*_norm", "?_variance", "?_variance += (*) * (*)", "sum mean (x - mean) is 0: one of the two "
     "factors may be x + mean, or x"),
]


# -- plain Python in the place of numba ---------------------------------------------------------
def packed(W: np.ndarray, first: int, last: int, transposed: bool) -> np.ndarray:
    """The right factor of a product, as tile.packed has it in panels."""
    return W[first:last].T.copy() if transposed else W[first:last].copy()


def product(A: np.ndarray, a: int, B: np.ndarray, C: np.ndarray, c: int, width: int,
            add: bool) -> None:
    """C[:, c:c+width] = A[:, a:a+K] B, or += if `add`."""
    found = A[:, a:a + len(B)] @ B
    C[:, c:c + width] = C[:, c:c + width] + found if add else found


def sigmoid(x: float) -> float:
    return 0.5 * math.tanh(0.5 * x) + 0.5


AROUND: dict[str, Any] = {"np": np, "real": float, "packed": packed, "product": product,
                          "sigmoid": sigmoid, "tanh": math.tanh, "exp": math.exp,
                          "log": math.log, "erf": math.erf, "erfc": math.erfc,
                          "_clipped": clipped}


@lru_cache(maxsize=None)
def trees(name: str) -> dict[str, ast.FunctionDef]:
    """The functions of a cell's emitted kernels, as syntax trees."""
    text = emit.source(ALL[name], OPS)
    return {f.name: f for f in ast.parse(text).body if isinstance(f, ast.FunctionDef)}


def function(tree: ast.FunctionDef) -> Callable:
    """A tree as a function (nothing is executed)."""
    code = compile(ast.fix_missing_locations(ast.Module([tree], [])), "<kernel>", "exec")
    body = next(c for c in code.co_consts if isinstance(c, types.CodeType))
    return types.FunctionType(body, dict(AROUND), tree.name)


# -- the mutants --------------------------------------------------------------------------------
Spot = tuple[list[ast.stmt], int]  # a statement, as its list and its place there


@lru_cache(maxsize=None)
def spots(name: str) -> list[Spot]:
    """Everything that computes in a backward kernel: assignments in its loops, and products."""
    tree = trees(name)[f"{name}_backward"]
    found = [(loop.body, k) for loop in ast.walk(tree) if isinstance(loop, ast.For)
             for k, node in enumerate(loop.body) if computes(node)]
    return sorted(found, key=lambda spot: spot[0][spot[1]].lineno)


def computes(node: ast.stmt) -> bool:
    """Whether a statement computes something: neither a view of a row, nor a sum's first 0."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    return isinstance(node, (ast.Assign, ast.AugAssign)) and bool(words(node.value)) \
        and not isinstance(node.value, ast.Subscript) or is_copy(node)


def is_copy(node: ast.stmt) -> bool:
    """Whether a statement copies one element: `g_a[j] = through[0, b, j]`."""
    return isinstance(node, (ast.Assign, ast.AugAssign)) \
        and isinstance(node.value, ast.Subscript) and "j" in ast.unparse(node.value.slice)


def words(tree: ast.AST) -> list[str]:
    """The rows and numbers that an expression reads, each once."""
    named = dict.fromkeys(n.id for n in ast.walk(tree) if isinstance(n, ast.Name))
    return [n for n in named if n not in AROUND and n not in MEMORY]


def stage(name: str, body: list[ast.stmt]) -> list[ast.stmt]:
    """The loop over the batch that a loop over the units stands in, or that itself."""
    for loop in ast.walk(trees(name)[f"{name}_backward"]):
        if isinstance(loop, ast.For) and any(isinstance(inner, ast.For) and inner.body is body
                                             for inner in loop.body) and "b in" in head(loop):
            return loop.body
    return body


def head(loop: ast.For) -> str:
    """A loop's first line, `b in range(N)`."""
    return f"{ast.unparse(loop.target)} in {ast.unparse(loop.iter)}"


@lru_cache(maxsize=None)
def made_of(name: str) -> dict[KernelMutant, ast.stmt]:
    """Every change of every statement of a cell's backward kernel, each text once."""
    found = {}
    for place, (body, k) in enumerate(spots(name)):
        right, seen = ast.unparse(body[k]), {plain(ast.unparse(body[k]))}
        for family, made in wrong(body[k], stage(name, body)):
            text = " ".join(ast.unparse(ast.fix_missing_locations(made)).split())
            if plain(text) in seen or family in KINK and " if " in right:
                continue
            seen.add(plain(text))
            found[KernelMutant(name, place, aim(body[k]), family, right, text)] = made
    return found


def plain(text: str) -> str:
    """A statement with `real(1)` and `1.0` written alike."""
    return re.sub(r"real\(([\d.e-]+)\)|\b\d+\.?[\de.-]*",
                  lambda m: repr(float(m[1] or m[0])) if m[1] or "." in m[0] else m[0], text)


def kernel_mutants(name: str) -> list[KernelMutant]:
    """The mutants of a cell's backward kernel."""
    return list(made_of(name))


def built(mutant: KernelMutant) -> Callable:
    """The backward kernel with the mutant in it."""
    body, k = spots(mutant.cell)[mutant.place]
    right, body[k] = body[k], made_of(mutant.cell)[mutant]
    try:
        return function(trees(mutant.cell)[f"{mutant.cell}_backward"])
    finally:
        body[k] = right


def aim(statement: ast.stmt) -> str:
    """What a statement computes: the row's name, or where a product goes."""
    if isinstance(statement, ast.Expr):
        assert isinstance(statement.value, ast.Call)
        return ast.unparse(statement.value.args[3]).split("[")[0]
    assert isinstance(statement, (ast.Assign, ast.AugAssign))
    target = statement.target if isinstance(statement, ast.AugAssign) else statement.targets[0]
    return ast.unparse(target).split("[")[0]


def wrong(statement: ast.stmt, body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """What can be wrong with one statement of a stage, whose rows are viewed in `body`."""
    if isinstance(statement, ast.Expr):
        yield from wrong_product(statement)
        return
    assert isinstance(statement, (ast.Assign, ast.AugAssign))
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add):
        yield "overwritten", ast.Assign([statement.target], statement.value, lineno=1)
        yield "sign flipped", ast.AugAssign(statement.target, ast.Sub(), statement.value)
        yield "left out", ast.Pass()
    elif isinstance(statement, ast.AugAssign):  # a mean's division
        yield "left out", ast.Pass()
    else:
        yield "zero", with_value(statement, ast.Constant(0.0))
        yield "sign flipped", with_value(statement, ast.UnaryOp(ast.USub(), statement.value))
    for factor, family in ((2.0, "counted twice"), (1 + 1e-6, "scale off")):
        yield family, with_value(statement, ast.BinOp(statement.value, ast.Mult(),
                                                      ast.Constant(factor)))
    yield "clipped at 1", with_value(statement, ast.Call(ast.Name("_clipped", ast.Load()),
                                                         [statement.value], []))
    rows = [n for n in views_of(body) if n in words(statement.value) or not n.startswith("g_")]
    for place, node in enumerate(ast.walk(statement.value)):
        if isinstance(node, ast.Subscript) and ast.unparse(node.slice) == "j":
            for other in rows:
                yield "another saved value", with_value(statement, swapped(
                    statement.value, place, ast.parse(f"{other}[j]", mode="eval").body))
        elif not (isinstance(node, ast.Call) and ast.unparse(node.func) == "real"):
            for family, new in changes(node, []):
                yield family, with_value(statement, swapped(statement.value, place, new))


def views_of(body: list[ast.stmt]) -> list[str]:
    """The rows that a stage may read: what it has of the forward pass, and its own gradients."""
    return [node.targets[0].id for node in body if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Subscript)
            and not node.targets[0].id.startswith(("bx_", "bh_"))]


def wrong_product(statement: ast.Expr) -> Iterator[tuple[str, ast.stmt]]:
    """A product added for overwritten or the other way round, left out, or of another step."""
    call = statement.value
    assert isinstance(call, ast.Call)
    flag = call.args[-1]
    assert isinstance(flag, ast.Constant)
    yield "flag flipped", ast.Expr(ast.Call(call.func, [*call.args[:-1],
                                                        ast.Constant(not flag.value)], []))
    yield "left out", ast.Pass()
    yield "another step", ast.parse(ast.unparse(call).replace("[t]", "[max(t - 1, 0)]")).body[0]


def with_value(statement: ast.Assign | ast.AugAssign, value: ast.expr) -> ast.stmt:
    """The statement with another right side."""
    if isinstance(statement, ast.AugAssign):
        return ast.AugAssign(statement.target, statement.op, value)
    return ast.Assign(statement.targets, value, lineno=1)


def swapped(tree: ast.expr, place: int, new: ast.AST) -> ast.expr:
    """The expression with its `place`-th node changed."""
    made = copy.deepcopy(tree)
    target = list(ast.walk(made))[place]

    class Put(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            return copy.deepcopy(new) if node is target else self.generic_visit(node)

    return Put().visit(made)


def excuse(mutant: KernelMutant) -> tuple[str, str, str, str] | None:
    """The entry of the table that says why a mutant is no mistake, or None."""
    for entry in EQUIVALENT:
        cell, target, text, _ = entry
        if fnmatchcase(mutant.cell, cell) and fnmatchcase(mutant.target, target) \
                and fnmatchcase(mutant.wrong, text.replace("[", "[[]")):
            return entry
    return None


# -- the check ----------------------------------------------------------------------------------
class Trial(NamedTuple):
    """A cell on one fixture: its operands, and the equations' own gradients op by op."""

    x: Tensor
    states: tuple[Tensor, ...]
    weights: Weights
    cotangents: list[np.ndarray]
    wanted: dict[str, np.ndarray]


def leaves(x: Tensor, states: tuple[Tensor, ...], weights: Weights, cell: Cell
           ) -> dict[str, Tensor]:
    names = ["x", *cell.states, "weight_ih", "weight_hh", "bias_ih", "bias_hh", *cell.vectors,
             "weight_hr"]
    flat = [x, *states, *weights.flat()]
    return {n: t for n, t in zip(names, flat) if t is not None}


@lru_cache(maxsize=None)
def trial(name: str, steps: int = T, batch: int = N) -> Trial:
    """Random operands, and what the equations give, every operation a node."""
    cell, rng = ALL[name], np.random.default_rng(7)
    K, S = len(cell.gates), P if cell.projected else H

    def leaf(*shape: int) -> Tensor:
        return ts.tensor(rng.normal(0.2, 0.8, shape), requires_grad=True)

    states = tuple([leaf(batch, H if k else S) for k in range(len(cell.states))])
    x = leaf(steps, batch, I)
    weights = Weights(leaf(K * H, I), leaf(K * H, S), leaf(K * H), leaf(K * H),
                      tuple([leaf(H) for _ in cell.vectors]),
                      leaf(P, H) if cell.projected else None,
                      tuple([ts.tensor(rng.uniform(0.2, 0.9, (steps, batch, H)))
                             for _ in cell.given]))
    with ts.detail("gates"):
        y, finals = ts.unroll(cell, x, states, weights)
    outputs = [y, *finals]
    cotangents = [1000 * signed(rng, t.shape) for t in outputs]
    at = leaves(x, states, weights, cell)
    return Trial(x, states, weights, cotangents, {
        n: g for n, g in zip(at, pulled(outputs, cotangents, at))})


def pulled(outputs: list[Tensor], cotangents: list[np.ndarray],
           at: dict[str, Tensor]) -> list[np.ndarray]:
    """The gradients of some leaves."""
    found = ts.autograd.grad(outputs, list(at.values()), [ts.tensor(g) for g in cotangents],
                             allow_unused=True)
    return [np.zeros(t.shape) if g is None else g.array for g, t in zip(found, at.values())]


def gradients(name: str, backward: Callable, steps: int = T, batch: int = N
              ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(the gradients by a kernel in plain Python, the arrays that the kernel wrote)."""
    cell, t = ALL[name], trial(name, steps, batch)
    inside: dict[str, np.ndarray] = {}

    def watched(*arguments: Any) -> None:
        backward(*arguments)
        code = backward.__code__
        inside.update(zip(code.co_varnames[:code.co_argcount], arguments))

    made = {f"{name}_forward": function(trees(name)[f"{name}_forward"]),
            f"{name}_backward": watched}
    at = leaves(t.x, t.states, t.weights, cell)
    with in_python(made), ts.detail("layers"):
        y, finals = ts.unroll(cell, t.x, t.states, t.weights)
        found = pulled([y, *finals], t.cotangents, at)
    return dict(zip(at, found)), inside


@contextmanager
def in_python(made: dict[str, Callable]) -> Iterator[None]:
    """Fused layers call these functions in the place of compiled ones while the block runs."""
    before = Fused.compiled, kernels.available
    Fused.compiled = lambda self, dtype: made  # type: ignore[method-assign, assignment]
    kernels.available = lambda: True
    try:
        yield
    finally:
        Fused.compiled, kernels.available = before  # type: ignore[method-assign]


def differing(name: str, backward: Callable, steps: int = T, batch: int = N) -> list[str]:
    """The leaves at which the kernel and the equations differ, or what it raised."""
    try:
        with np.errstate(all="ignore"):
            found, _ = gradients(name, backward, steps, batch)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    return [n for n, g in trial(name, steps, batch).wanted.items()
            if not np.abs(found[n] - g).max() <= 1e-13 * np.abs(g).max()]


# -- naming -------------------------------------------------------------------------------------
@lru_cache(maxsize=None)
def arrivals(name: str) -> dict[str, np.ndarray]:
    """What arrives at each line and cut of one step of one sequence, by the equations."""
    cell, t = ALL[name], trial(name, 1, 1)
    with taped() as tape:
        y, finals = ts.unroll(cell, t.x, t.states, t.weights)
        differentiate([y, *finals], list(t.cotangents), True, False, keep="**")
    return {str(out.node.scope).partition("t=0/")[2]: out.node.gy
            for out, _ in tape if out.node.gy is not None}


def wanted(name: str) -> dict[str, np.ndarray]:
    """What a kernel's rows must hold after one step of one sequence, by the rows' names."""
    cell, came, leaf = ALL[name], arrivals(name), trial(name, 1, 1).wanted
    found = {f"g_{at}": g for at, g in came.items() if "/" not in at}
    for at, g in came.items():
        if re.fullmatch(r"\w+/\w+\.\w+", at):  # f/x.f
            found["g_W" + at.partition("/")[2].replace(".", "_")] = g
    products = [("x", cell.gates), *[(item.operand, item.gates) for item in cell.schedule
                                     if isinstance(item, Product)]]
    found |= {f"g_W{v}_{gates[0]}": came[f"W{v}"] for v, gates in products if len(gates) == 1}
    found |= {f"{kind}_{s}": leaf[s] for s in cell.states for kind in ("g", "carry")}
    return {**found, "g_out": came[cell.returns[0]], **{f"g_{v}": leaf[v] for v in cell.vectors}}


def views(name: str) -> dict[str, str]:
    """Where a kernel's rows lie in its arrays: `g_z` is `scratch[1, 0]`."""
    found = {"g_out": "g_out[0]", **{f"carry_{s}": f"carry_{s}" for s in ALL[name].states}}
    for node in ast.walk(trees(name)[f"{name}_backward"]):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript) \
                and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = ast.unparse(node.value)
    return found


def named(mutant: KernelMutant) -> bool:
    """Whether the first row that is wrong after one step is what the mutant computes.

    (Or what is made of it, if it is a part that several rows share.)
    """
    with np.errstate(all="ignore"):
        try:
            _, arrays = gradients(mutant.cell, built(mutant), 1, 1)
        except Exception:
            return False
    around = {**arrays, "t": 0, "b": 0, "N": 1, "H": H}
    right, where = wanted(mutant.cell), views(mutant.cell)
    made = [body[k] for body, k in spots(mutant.cell)]
    same = {f"g_{s}": f"carry_{s}" for s in ALL[mutant.cell].states}  # one memory, two names
    last = {same.get(aim(s), aim(s)): k for k, s in enumerate(made)}
    for row in sorted(last, key=lambda row: last[row]):  # whichever is complete first
        if row in right and row in where:
            found = np.asarray(eval(where[row], {}, around))  # our own text
            if not np.abs(found - right[row]).max() <= 1e-13 * np.abs(right[row]).max():
                return same.get(mutant.target, mutant.target) in parts(row, made, right)
    only = differing(mutant.cell, built(mutant))  # what takes more than one step to show
    return [f"g_{name}" for name in only] == [mutant.target]


def parts(row: str, made: list[ast.stmt], rows: dict[str, np.ndarray]) -> set[str]:
    """A row, and all that it is made of that is no row itself: means, scales, shared parts."""
    found, ahead = {row}, [row]
    while ahead:
        name = ahead.pop()
        for statement in made:
            new = set(words(statement)) - found - set(rows) if aim(statement) == name else set()
            found |= new
            ahead += sorted(new)
    return found
