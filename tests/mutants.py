"""Wrong derivative rules, made from each right one's own text; and those that are right after all.

A mutant is the rule's syntax tree with one thing changed: a sign, a factor, a term, an argument,
a name, a constant, a comparison, a call left out. A private function that a rule hands its work
to is mutated with it. `planted` puts one in the rule's place: a check that stays silent is none.
"""
from __future__ import annotations

import ast
import copy
import inspect
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np

import tinyseq.ops
from tinyseq.op import Op, asked
from tinyseq.rule import parse


class Mutant(NamedTuple):
    """One wrong rule: whose it is, what was done to it, its text, and the function itself."""

    op: str
    input: str
    family: str
    text: str
    rule: Callable

    def __str__(self) -> str:
        return f"{self.op}, backward of {self.input}, {self.family}: {self.text}"


# Mutants that compute the same: (operation, the mutant's text, why). Stars stand for anything.
EQUIVALENT: list[tuple[str, str, str]] = [
    ("*", "rule(rule(gy))", "a projection: what it has done once it need not do twice"),
    ("relu", "return where(x <= 0.0, 0.0, gy)", "y <= 0 exactly where x <= 0"),
    ("abs", "return where(x < 0.0, -gy, where(y > 0.0, gy, 0.0))", "here x = y"),
    ("maximum", "return where(a == b, 0.5 * gy, where(a <= b, 0.0, gy))", "a < b here"),
    ("maximum", "return where(a == b, 0.5 * gy, where(b <= a, 0.0, gy))", "b < a here"),
    ("maximum", "return where(a == b, 0.5 * gy, where(a < y, 0.0, gy))", "y = b if a < b"),
    ("maximum", "return where(a == b, 0.5 * gy, where(b < y, 0.0, gy))", "y = a if b < a"),
    ("minimum", "return where(a == b, 0.5 * gy, where(b <= a, 0.0, gy))", "b < a here"),
    ("minimum", "return where(a == b, 0.5 * gy, where(a <= b, 0.0, gy))", "a < b here"),
    ("minimum", "return where(a == b, 0.5 * gy, where(y < a, 0.0, gy))", "y = b if b < a"),
    ("minimum", "return where(a == b, 0.5 * gy, where(y < b, 0.0, gy))", "y = a if a < b"),
    ("clamp_min", "return where(x < y, *)", "y = min if x < min, and x else"),
    ("clamp_max", "return where(y < x, *)", "y = max if max < x, and x else"),
    ("hardtanh", "return where(y <= -1.0, 0.0, where(x >= 1.0, 0.0, gy))", "y = -1 if x <= -1"),
    ("hardtanh", "return where(x <= -1.0, 0.0, where(y >= 1.0, 0.0, gy))", "y = 1 if x >= 1"),
    ("elu", "return gy * expm1(clamp_max(0.0, x))", "the smaller of two, in either order"),
    ("softplus", "return gy * sigmoid(x)", "beyond 20 the sigmoid is 1 to 2e-9, and no difference "
     "shows that; the branch makes the derivative that of the branch taken forward"),
    ("softplus", "return where(x >= 20.0, *", "the same"),
    ("softplus", "return where(x > 20.00002, *", "the same"),
    ("softplus", "return where(y > 20.0, *", "the same; beyond 20, y is x to 2e-9"),
    ("leaky_relu", "return where(x >= 0.0, 0.0, gy * x)", "gy x is 0 at 0"),
    ("a???", "shared: *count = wins.sum(dim, keepdims=True)*", "numpy counts truths as ones"),
    ("cat", "start = sum([*]); return *", "the starts are those sums, made once for all"),
    ("norm", "*unit = x / where(y == 0, 1.000001, y)*", "there x is 0"),
    ("norm", "*unit = x / where(x == 0, 1.0, y)*", "0 / y is 0 as well"),
    ("norm", "*size = where(x > 0, unit, where(x < 0, -unit, 1.000001))*", "times 0: the sign's"),
    ("linear", "return matmul2(gy, weight) if * > 1 else row(gy, weight)", "see the next"),
    ("linear", "return matmul2(gy, weight) if gy.ndim ?? 1 else row(gy, weight)", "see the next"),
    ("linear", "return matmul2(gy, weight) if gy.ndim > 0 else row(gy, weight)", "see the next"),
    ("linear", "return matmul2(gy, weight)", "numpy multiplies a vector too; row is for Tensors"),
    ("linear", "row: return matmul2(rows(gy), weight)", "the walk sums over an axis of size 1"),
    ("linear", "row: return reshape(matmul2(gy, weight), (weight.shape[1],))", "see above"),
    ("linear", "rows: return -(*)", "in weight's rule both factors: the signs cancel"),
    ("linear", "rows: return reshape(x, (*))", "a matrix reshaped to its own shape"),
    ("matmul", "if len(b_shape) == 1: *", "the branch for a matrix b saves time only: without "
     "it the walk sums over the batches"),
    ("matmul", "rows: return -(*)", "both factors: the signs cancel"),
    ("matmul", "rows: return x if x.ndim == 1 else *", "no vectors come here, and a matrix is "
     "reshaped to its own shape"),
    ("matmul", "rows: return reshape(x, (*))", "a matrix reshaped to its own shape"),
    ("*", "before: if x.shape[dim] == 0: return ?x; first = *", "an empty x has no values"),
    ("*", "before: if x.shape[dim] == 0: return x ** ?.*; first = *", "an empty x has no values"),
    ("*", "returned: *before(back, dim, 1e-06)*", "a recurrence does not read its first factor"),
    ("binary_cross_entropy", "*clamp_min(1e-12, (1.0 - p) * p)*", "the larger of two, in either "
     "order"),
    ("binary_cross_entropy", "*clamp_min(-100.0, log*", "the same"),
    ("layer_norm", "standard: centred = over(x, axes) - x; *", "in x's rule y stands twice: the "
     "signs cancel"),
    ("prod", "before: *return -cat(*)", "the factors before and after: the signs cancel"),
    ("pow", "return gy * (y * log(where(a == 0.0, b >= 0.0, a)))", "True is 1, and False a's 0"),
]

ORDER = {ast.LtE: ast.Lt, ast.Lt: ast.LtE, ast.GtE: ast.Gt, ast.Gt: ast.GtE, ast.Eq: ast.NotEq,
         ast.NotEq: ast.Eq}
SIGN = {ast.Add: ast.Sub, ast.Sub: ast.Add}
SYMMETRIC = {"add": 0, "mul": 0, "maximum": 0, "minimum": 0, "transpose": 1}  # in two arguments
CASTS = {"int", "float", "bool", "tuple", "list", "len", "tolist", "item", "copy"}  # no sums
TINY = 1e-6


# -- one change of one node -----------------------------------------------------------------
def changes(node: ast.AST, names: list[str]) -> Iterator[tuple[str, ast.AST]]:
    """(family, what to put in the node's place) for everything that can be wrong at one node."""
    if isinstance(node, ast.BinOp):
        yield from of_product(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        if not isinstance(node.operand, ast.Constant):
            yield "sign flipped", node.operand
    elif isinstance(node, ast.Call):
        yield from of_call(node)
    elif isinstance(node, ast.Attribute) and node.attr in ("T", "mT"):
        yield "transposition omitted", node.value
    elif isinstance(node, ast.Constant):
        yield from of_constant(node.value)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        for other in names:
            if other != node.id:
                yield "another saved value", ast.Name(other, ast.Load())
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in ORDER:
        yield "boundary", ast.Compare(node.left, [ORDER[type(node.ops[0])]()], node.comparators)
    elif isinstance(node, ast.IfExp):
        yield "branch dropped", node.body
        yield "branch dropped", node.orelse
        yield "branches swapped", ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.If):
        yield "condition negated", ast.If(ast.UnaryOp(ast.Not(), node.test), node.body,
                                          node.orelse)


def of_product(node: ast.BinOp) -> Iterator[tuple[str, ast.AST]]:
    kind = type(node.op)
    family = "a term dropped" if kind in SIGN else "a factor dropped"
    if kind in SIGN:
        yield "sign flipped", ast.BinOp(node.left, SIGN[kind](), node.right)
    yield family, node.left
    yield family, (ast.BinOp(ast.Constant(1.0), ast.Div(), node.right)
                   if kind is ast.Div else node.right)
    if kind not in (ast.Add, ast.Mult):
        yield "arguments swapped", ast.BinOp(node.right, node.op, node.left)


def of_call(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    called = node.func.id if isinstance(node.func, ast.Name) else ""
    if isinstance(node.func, ast.Attribute):
        if ast.unparse(node.func.value) != "np" and node.func.attr not in CASTS:
            yield "call omitted", node.func.value
    for argument in node.args if called not in CASTS else []:
        if not isinstance(argument, (ast.Constant, ast.Starred)):
            yield "call omitted", argument
    for k in range(len(node.args) - 1):
        if SYMMETRIC.get(called) != k:
            swapped = [*node.args[:k], node.args[k + 1], node.args[k], *node.args[k + 2:]]
            yield "arguments swapped", ast.Call(node.func, swapped, node.keywords)


def of_constant(value: Any) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(value, bool):
        yield "flag flipped", ast.Constant(not value)
    elif isinstance(value, float):
        yield "constant off", ast.Constant(value * (1 + TINY) if value else TINY)
    elif isinstance(value, int):
        yield "off by one", ast.Constant(value + 1)
        yield "off by one", ast.Constant(value - 1)


# -- whole results --------------------------------------------------------------------------
def wrong_results(result: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """What can be wrong with the returned value as a whole."""
    def times(factor: float) -> ast.expr:
        return ast.BinOp(result, ast.Mult(), ast.Constant(factor))
    yield "sign flipped", ast.UnaryOp(ast.USub(), result)
    yield "zero", times(0.0)
    yield "counted twice", times(2.0)
    yield "scale off", times(1 + TINY)
    clipped = ast.parse("_clipped(0)", mode="eval").body
    assert isinstance(clipped, ast.Call)
    clipped.args = [result]
    yield "clipped at 1", clipped


def clipped(g: Any) -> Any:
    """A gradient cut off at 1, as a careless rule might."""
    return np.clip(g, -1.0, 1.0)


def statements(tree: ast.FunctionDef) -> list[ast.stmt]:
    """The body without its docstring."""
    return tree.body[ast.get_docstring(tree) is not None:]


def spots(tree: ast.FunctionDef) -> Iterator[ast.AST]:
    for statement in statements(tree):
        yield from ast.walk(statement)


def replaced(tree: ast.FunctionDef, place: int, new: ast.AST) -> ast.FunctionDef:
    """A copy with the `place`-th node of its body changed."""
    made = copy.deepcopy(tree)
    target = list(spots(made))[place]

    class Put(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return copy.deepcopy(new) if node is target else self.generic_visit(node)

    return Put().visit(made)


def twisted(tree: ast.FunctionDef, names: list[str]) -> Iterator[tuple[str, ast.FunctionDef]]:
    """(family, changed tree) for every change of every node, each text once."""
    seen = {written(tree)}
    found = []
    for place, node in enumerate(spots(tree)):
        found += [(family, replaced(tree, place, new)) for family, new in changes(node, names)]
        if isinstance(node, ast.Return) and node.value is not None:
            found += [(family, replaced(tree, place, ast.Return(new)))
                      for family, new in wrong_results(node.value)]
    for family, made in found:
        if written(made) not in seen:
            seen.add(written(made))
            yield family, made


def written(tree: ast.FunctionDef) -> str:
    """The text of a body, in one line."""
    return "; ".join(" ".join(ast.unparse(ast.fix_missing_locations(s)).split())
                     for s in statements(tree))


def function(tree: ast.FunctionDef, names: list[str], like: Callable, **more: Any) -> Callable:
    """The tree as a function of those parameters, where `like` lives (nothing is executed)."""
    made = copy.deepcopy(tree)
    made.decorator_list = []
    made.args = ast.arguments([], [ast.arg(n) for n in names], None, [], [], None,
                              made.args.defaults)
    code = compile(ast.fix_missing_locations(ast.Module([made], [])), "<mutant>", "exec")
    body = next(c for c in code.co_consts if isinstance(c, types.CodeType))
    plain = inspect.unwrap(like)
    closed = inspect.getclosurevars(plain).nonlocals
    around = {**plain.__globals__, **closed, "_clipped": clipped, **more}
    return types.FunctionType(body, around, made.name, plain.__defaults__)


# -- all mutants of an operation ------------------------------------------------------------
def mutants(op: Op) -> Iterator[Mutant]:
    """Every mutant of every rule of an operation, a rule that serves several inputs for each."""
    for k, rule in enumerate(op.rules):
        if rule is None:
            continue
        tree = parse(inspect.unwrap(rule))
        gy = tree.args.args[0].arg
        own, arrays = [gy, *asked(rule)], [gy, *([] if op.variadic else [*op.inputs, "y"])]
        for family, made in twisted(tree, arrays):
            wanted = [gy, *[n for n in dict.fromkeys([*own, *arrays])
                            if n != gy and reads(made, n)]]
            yield Mutant(op.name, op.inputs[k], family, written(made),
                         function(made, wanted, rule))
        yield Mutant(op.name, op.inputs[k], "differentiated twice", "rule(rule(gy))",
                     twice(rule))
        for helper in helpers(tree, rule):
            inner = parse(helper)
            parameters = [a.arg for a in inner.args.args]
            shared = [n for n in parameters if n in arrays]
            if not {*arrays, "x"} & set(parameters):  # it computes a shape
                continue
            for family, made in twisted(inner, shared):
                wrong = function(made, parameters, helper)
                wrong.__globals__[helper.__name__] = wrong
                yield Mutant(op.name, op.inputs[k], family, f"{helper.__name__}: {written(made)}",
                             function(tree, own, rule, **{helper.__name__: wrong}))


def reads(tree: ast.FunctionDef, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in spots(tree))


def twice(rule: Callable) -> Callable:
    """The rule applied to its own result."""
    def again(gy: Any, *saved: Any) -> Any:
        return rule(rule(gy, *saved), *saved)
    again.__signature__ = inspect.signature(rule)  # type: ignore[attr-defined]
    return again


def helpers(tree: ast.FunctionDef, rule: Callable) -> list[Any]:
    """The private functions of the operations' modules that a rule calls; operations are not."""
    around = inspect.unwrap(rule).__globals__
    called = [around.get(node.func.id) for node in spots(tree)
              if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    public = {id(getattr(tinyseq.ops, name)) for name in tinyseq.ops.__all__}
    return [f for f in dict.fromkeys(called) if isinstance(f, types.FunctionType)
            and f.__module__.startswith("tinyseq.ops.") and not hasattr(f, "op")
            and id(f) not in public]


@contextmanager
def planted(op: Op, mutant: Mutant) -> Iterator[None]:
    """The mutant in its rule's place while the block runs."""
    right, plans = list(op.rules), dict(op.plans)
    op.rules[op.inputs.index(mutant.input)] = mutant.rule
    op.plans.clear()
    try:
        yield
    finally:
        op.rules[:] = right
        op.plans.clear()
        op.plans.update(plans)


def excuse(mutant: Mutant) -> tuple[str, str, str] | None:
    """The entry of the table that says why a mutant is no mistake, or None."""
    for entry in EQUIVALENT:
        if fnmatchcase(mutant.op, entry[0]) \
                and fnmatchcase(mutant.text, entry[1].replace("[", "[[]")):
            return entry
    return None
