"""The cases on which tinyseq's operations are compared with PyTorch's: one table for both.

A case is a call written once, for either library, and the tensors it is called on, which are
drawn from the case's name. Most are `of("gather", real(3, 4), 1, whole(4, 3, 2))`: the operation's
name and its arguments, among which draws stand for tensors; "F.pad" is nn.functional's, ".view" a
method. `case("name", lambda m, x: ..., real(3))` is for what takes more than one call.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

INF, NAN = float("inf"), float("nan")


class Draw(NamedTuple):
    """A tensor of a case: numbers from low to high in a shape, or given ones."""

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    dtype: str = "float64"
    constant: bool = False  # whether it gets no gradient
    values: Any = None

    def array(self, stream: np.random.RandomState) -> np.ndarray:
        if self.values is not None:
            return np.array(self.values, self.dtype)
        if self.dtype == "float64":
            return np.asarray(stream.uniform(self.low, self.high, self.shape))
        return np.asarray(stream.randint(int(self.low), int(self.high), self.shape), self.dtype)

    def __str__(self) -> str:
        word = {"float64": "", "int64": "int ", "bool": "bool "}[self.dtype]
        if self.values is not None:
            return f"{word}{self.values}" if self.shape else f"{word}0-d {self.values}"
        return word + ("x".join(map(str, self.shape)) or "0-d")


def real(*shape: int) -> Draw:
    """Numbers from -2 to 2."""
    return Draw(shape)


def positive(*shape: int) -> Draw:
    """Numbers from 0.3 to 2."""
    return Draw(shape, 0.3)


def share(*shape: int) -> Draw:
    """Numbers well inside of (0, 1)."""
    return Draw(shape, 0.05, 0.95)


def whole(below: int, *shape: int) -> Draw:
    """Integers from 0."""
    return Draw(shape, 0, below, "int64")


def truth(*shape: int) -> Draw:
    """Truths."""
    return Draw(shape, 0, 2, "bool")


def given(*values: Any, dtype: str = "float64") -> Draw:
    """These numbers; rows as lists."""
    return Draw(np.shape(values), values=list(values), dtype=dtype)


def places(*numbers: Any) -> Draw:
    """These indices; rows as lists."""
    return given(*numbers, dtype="int64")


def number(value: float, dtype: str = "float64") -> Draw:
    """One number, as a 0-d tensor."""
    return Draw((), values=value, dtype=dtype)


def constant(draw: Draw) -> Draw:
    """The same, but without a gradient: torch has none there."""
    return draw._replace(constant=True)


class Case(NamedTuple):
    """One call, `call(library, *tensors)`, of a tensor or several; and what it is called on."""

    family: str
    name: str
    call: Callable[..., Any]
    draws: tuple[Draw, ...]


def case(name: str, call: Callable[..., Any], *draws: Draw) -> Case:
    """A case of any call."""
    return Case("", f"{name}: {', '.join(map(str, draws))}" if draws else name, call, draws)


def of(word: str, *args: Any, **options: Any) -> Case:
    """A case that calls one operation; draws among the arguments stand for tensors."""
    def call(m: Any, *tensors: Any) -> Any:
        rest = iter(tensors)
        operands, more = filled(args, rest), filled(options, rest)
        if word.startswith("."):
            return getattr(operands[0], word[1:])(*operands[1:], **more)
        at, _, name = word.rpartition(".")
        return getattr(m.nn.functional if at else m, name)(*operands, **more)
    said = [shown(a) for a in args] + [f"{key}={shown(a)}" for key, a in options.items()]
    return Case("", f"{word}({', '.join(said)})", call, tuple(draws_in((args, options))))


def draws_in(tree: Any) -> Iterator[Draw]:
    """The draws among nested arguments, from left to right."""
    if isinstance(tree, Draw):
        yield tree
    elif isinstance(tree, (list, tuple, dict)):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from draws_in(part)


def filled(tree: Any, tensors: Iterator) -> Any:
    """The arguments with tensors in the draws' places."""
    if isinstance(tree, Draw):
        return next(tensors)
    if isinstance(tree, dict):
        return {key: filled(part, tensors) for key, part in tree.items()}
    return type(tree)([filled(part, tensors) for part in tree]) \
        if isinstance(tree, (list, tuple)) else tree


def shown(tree: Any) -> str:
    """An argument as a case's name has it."""
    if isinstance(tree, (list, tuple)) and not isinstance(tree, Draw):
        return "[({}"[isinstance(tree, tuple)] + ", ".join(map(shown, tree)) + \
            "])}"[isinstance(tree, tuple)]
    if isinstance(tree, slice):
        parts = [tree.start, tree.stop] + [tree.step] * (tree.step is not None)
        return ":".join("" if part is None else str(part) for part in parts)
    return "..." if tree is Ellipsis else str(tree) if isinstance(tree, Draw) else repr(tree)


# -- element by element ----------------------------------------------------------------------
ANYWHERE = ("abs", "neg", "exp", "expm1", "square", "sin", "cos", "tanh", "sigmoid", "relu", "erf",
            "erfc", "F.elu", "F.gelu", "F.silu", "F.softplus", "F.softsign", "F.hardtanh",
            "F.leaky_relu", "F.logsigmoid", "F.relu", "F.tanh", "F.sigmoid")
ABOVE_0 = "log", "log1p", "sqrt", "rsqrt", "reciprocal"
FLAT = "floor", "ceil", "round", "trunc", "sign", "isnan", "isinf", "isfinite"
PAIRS = [((3,), (3,)), ((2, 3), (3,)), ((2, 3), (2, 1)), ((2, 1), (1, 3)), ((), (2, 3)),
         ((2, 3), ()), ((4, 1, 3), (2, 1)), ((0, 3), (1, 3)), ((), ())]
COMPARED = "eq", "ne", "lt", "le", "gt", "ge"


def one_operand() -> Iterator[Case]:
    """Functions of one number."""
    for draw, words in ((real, ANYWHERE), (positive, ABOVE_0), (real, FLAT)):
        for word in words:
            yield from (of(word, draw(3, 4)), of(word, draw()), of(word, draw(0, 3)))
            if "." not in word:
                yield of("." + word, draw(2, 1, 3))
    for word in ANYWHERE:  # far out
        yield of(word, given(-30.0, -9.0, -4.0, 4.0, 9.0, 30.0))
    # (Torch's derivative of hardsigmoid is 1/6 as a float32 has it: only that of 0 is compared.)
    yield from (of("F.hardsigmoid", x) for x in (
        constant(real(3, 4)), constant(real()), given(-4.0, -3.0, 3.0, 5.0)))
    yield from (of("F.gelu", real(5), approximate="tanh"), of("round", real(5), decimals=1),
                of(".__neg__", real(4)), of(".__abs__", real(4)))
    yield from (of("F.leaky_relu", real(5), 0.3), of("F.leaky_relu", real(5), negative_slope=-0.2),
                of("F.elu", real(5), 0.5), of("F.elu", real(5), alpha=2.0),
                of("F.softplus", real(5), 2.0), of("F.softplus", real(5), beta=3.0, threshold=2.0),
                of("F.hardtanh", real(5), -0.5, 1.5), of("F.hardtanh", real(5), min_val=-1.5))


def two_operands() -> Iterator[Case]:
    """Arithmetic: shapes that broadcast, numbers on either side, powers, remainders."""
    for word in ("add", "sub", "mul", "div", "maximum", "minimum"):
        yield from (of(word, real(*a), positive(*b)) for a, b in PAIRS)
        yield from (of("." + word, real(2, 3), positive(2, 3)),
                    of(word, input=real(3), other=positive(3)))
    for word in ("remainder", "fmod"):
        yield from (of(word, real(*a), positive(*b)) for a, b in PAIRS[:4])
        yield from (of(word, real(5), 0.7), of(word, real(5), -0.7), of("." + word, real(5), 0.7))
    yield from (of("pow", positive(*a), real(*b)) for a, b in PAIRS)
    yield from (of("pow", real(5), n) for n in (0, 1, 2, 3, -1, -2))
    yield from (of("pow", positive(5), n) for n in (0.5, -0.5, 2.5))
    yield from (of("pow", 2.0, real(4)), of(".pow", positive(4), 1.5),
                of("pow", positive(3), exponent=2), of(".pow", positive(3), exponent=real(3)))
    for word in ("add", "sub", "mul", "truediv", "pow"):
        yield from (of(f".__{word}__", positive(2, 3), n) for n in (2.5, -3, 1))
        yield from (of(f".__r{word}__", positive(2, 3), n) for n in (2.5, 3))
        yield of(f".__{word}__", positive(2, 3), real(3))
    yield from (of("add", real(2, 3), real(3), alpha=0.5), of("sub", real(3), real(3), alpha=-2),
                of(".add", real(2, 3), real(3), alpha=0.5), of(".sub", real(3), 1.5, alpha=2))
    for mode in ("floor", "trunc"):
        yield from (of("div", real(5), positive(5), rounding_mode=mode),
                    of(".div", real(2, 3), -0.6, rounding_mode=mode),
                    of("div", places(7, -7, 6, 0), places(2, 2, -3, 5), rounding_mode=mode))
    for a, b in (((3,), (3,)), ((2, 1), (3,)), ((), (2,))):
        yield of("floor_divide", constant(real(*a)), constant(positive(*b)))
        yield from (of(word, real(*a), real(*b)) for word in COMPARED)
    yield from (of(f".__{word}__", whole(4, 6), 2) for word in (*COMPARED, "floordiv", "mod"))
    for word in ("logical_and", "logical_or", "logical_xor"):
        yield of(word, truth(5), truth(5))
    yield from (of("logical_not", truth(5)), of("isclose", real(5), real(5), rtol=0.5))


def choices() -> Iterator[Case]:
    """where, clamp, lerp, masked_fill."""
    yield from (of("where", truth(*c), real(*a), real(*b)) for c, a, b in (
        ((3,), (3,), (3,)), ((2, 3), (3,), (2, 1)), ((3,), (2, 1), ()), ((), (3,), (3,)),
        ((0, 3), (3,), (1, 3))))
    yield from (of("where", truth(2, 3), real(3), 0.5), of("where", truth(3), 1.5, real(2, 1)),
                of(".where", real(2, 3), truth(3), real(2, 1)), of("where", truth(3), 1.0, 2.0),
                of("where", condition=truth(3), input=real(3), other=real(3)))
    for bounds in ({"min": -0.5}, {"max": 0.5}, {"min": -0.5, "max": 0.5}, {"min": 1, "max": -1}):
        yield from (of("clamp", real(3, 4), **bounds), of(".clamp", real(5), **bounds))
    yield from (of("clamp", real(3, 4), min=real(4)), of("clamp", real(3, 4), max=real(3, 1)),
                of("clamp", real(3, 4), real(3, 4), real(4)), of("clamp", real(), -1, 1),
                of("clamp", real(0, 3), -1, 1))
    for word in ("clamp_min", "clamp_max"):
        yield from (of(word, real(3, 4), 0.25), of(word, real(3, 4), real(4)))
    yield from (of("lerp", real(2, 3), real(3), 0.3), of("lerp", real(3), real(3), share(3)),
                of("lerp", real(2, 3), real(2, 1), share(3)), of(".lerp", real(3), real(3), 0.8))
    yield from (of("masked_fill", real(2, 3), truth(2, 3), 0.5),
                of("masked_fill", real(2, 3), truth(3), -1),
                of(".masked_fill", real(3), mask=truth(3), value=2.0),
                of("masked_fill", real(2, 3), truth(2, 1), number(1.5)),
                of("masked_fill", real(2, 3), truth(3), real()))


# -- axes ------------------------------------------------------------------------------------
DIMS = None, 0, 1, -1, (0, 2), (-1, 0), (0, 1, 2)


def reductions() -> Iterator[Case]:
    """Sums, means, extremes, spreads, norms: over no axis, one or several."""
    for word, dims in {"sum": DIMS, "mean": DIMS, "var": DIMS, "std": DIMS, "amax": DIMS[1:],
                       "amin": DIMS[1:], "norm": DIMS[1:-1]}.items():
        for dim in dims:
            yield from (of(word, real(2, 3, 4), dim=dim, keepdim=keep) for keep in (False, True))
        yield from (of(word, real(2, 3, 4)), of(f".{word}", real(3, 2)),
                    of(f".{word}", real(3, 2), dim=1))
    for word in ("sum", "mean", "prod", "amax", "amin", "norm", "max", "min"):
        yield of(word, real())
    for word in ("sum", "prod"):
        yield from (of(word, real(0)), of(word, real(0, 3), dim=0), of(word, real(3, 0), dim=-1),
                    of(word, whole(5, 2, 3)), of(word, whole(5, 2, 3), dim=0), of(word, truth(4)))
    yield from (of("mean", real(0)), of("mean", real(0, 3), dim=0), of("var", real(3), 0, False),
                of(".sum", real(2, 3), (0, 1), True), of("sum", real(2, 3), ()),
                of("sum", real(2, 3), axis=0, keepdims=True), of("mean", real(2, 3), axis=1))
    for word in ("var", "std"):
        yield from (of(word, real(2, 3, 4), dim, **more) for dim in (1, (1, 2)) for more in (
            {"unbiased": False}, {"correction": 0}, {"correction": 2, "keepdim": True}))
        yield from (of(word, real(4), unbiased=False), of(word, real(4), correction=0))
    for dim, keep in ((0, False), (0, True), (-1, False), (-1, True)):
        yield from (of(word, real(2, 3, 4), dim, keepdim=keep) for word in
                    ("prod", "max", "min", "argmax", "argmin"))
    yield from (of("prod", real(2, 3)), of("prod", given(2.0, 0.0, 3.0)), of(".prod", real(5)),
                of("prod", given(0.0, 5.0, 0.0)), of("prod", given([0.0, 2.0], [3.0, 0.0]), 1))
    for word in ("max", "min"):
        yield from (of(word, real(3, 4)), of(f".{word}", real(5)), of(f".{word}", real(3, 4), 1),
                    of(word, real(2, 3), real(2, 3)), of(word, real(2, 3), real(3)),
                    of(f"arg{word}", real(3, 4)))
    for p in (0, 1, 2, 3, 2.5, 0.5, INF, -INF, "fro"):
        yield from (of("norm", real(3, 4), p), of("norm", real(3, 4), p, -1))
    yield from (of("norm", real(2, 3, 4), 2, (0, 2), True), of("norm", real(2, 3, 4), 1, (1, 2)),
                of("norm", real(3, 4), INF, (0, 1)), of(".norm", real(5), 3))
    for word in ("all", "any"):
        yield from (of(word, truth(3, 4)), of(word, truth(3, 4), 1), of(word, truth(0)),
                    of(word, truth(3, 4), dim=0, keepdim=True), of(f".{word}", truth(3)),
                    of(word, whole(2, 3, 4), dim=1))
    for word in ("sum", "prod", "mean"):
        yield case(f"{word} in float64", lambda m, x, word=word: getattr(m, word)(
            x, dtype=m.float64), whole(5, 4))


def exponentials() -> Iterator[Case]:
    """softmax, log_softmax, logsumexp."""
    for word in ("softmax", "log_softmax", "logsumexp"):
        yield from (of(word, real(2, 3, 4), dim) for dim in (0, 1, 2, -1, -3))
        yield from (of(f".{word}", real(3, 4), dim=1), of(word, real(4), 0), of(word, real(), 0),
                    of(word, real(2, 0, 3), 0), of(word, given([1e4, -1e4], [0.0, 800.0]), 1))
    yield from (of("logsumexp", real(2, 3, 4), dim, keepdim=keep) for dim in (0, (0, 2), (-1, 1))
                for keep in (False, True))
    yield from (of("F.softmax", real(3, 4), dim=-1), of("F.log_softmax", real(3, 4), dim=0),
                case("softmax of integers", lambda m, x: m.softmax(x, 0, dtype=m.float64),
                     whole(5, 4)))


def runs_and_order() -> Iterator[Case]:
    """cumsum, cumprod, sort, argsort, topk."""
    for word in ("cumsum", "cumprod"):
        yield from (of(word, real(2, 3, 4), dim) for dim in (0, 1, -1))
        yield from (of(word, real(4), 0), of(word, real(), 0), of(word, real(0, 3), 0),
                    of(word, real(2, 0), 1), of(f".{word}", real(3, 4), dim=1),
                    of(word, whole(5, 2, 3), 1), of(word, given([2.0, 0.0, 3.0, 0.0, 1.0]), 1))
    for options in ({}, {"dim": 0}, {"dim": 1}, {"descending": True},
                    {"dim": 0, "descending": True}):
        yield from (of("sort", real(3, 4), **options), of("argsort", real(3, 4), **options),
                    of("sort", given([1.0, 0.0, 1.0, 0.0], [3.0, 3.0, 0.0, 1.0]), stable=True,
                       **options))
    yield from (of("sort", real()), of(".sort", real(5)), of("sort", real(0, 3), 0),
                of("sort", whole(9, 4), stable=True))
    for k, options in ((1, {}), (2, {"dim": 0}), (3, {"dim": -1}), (2, {"largest": False}),
                       (2, {"dim": 0, "largest": False}), (0, {}), (4, {})):
        yield of("topk", real(3, 4), k, **options)
    yield from (of(".topk", real(5), 2), of("topk", real(), 1))


def reshaping() -> Iterator[Case]:
    """The same elements in another shape, or with their axes in another order."""
    for sizes in ((6, 4), (2, -1), (24,), (-1,), (2, 1, 3, 4), (4, 3, 2)):
        yield from (of("reshape", real(2, 3, 4), sizes), of(".reshape", real(2, 3, 4), *sizes),
                    of(".view", real(2, 3, 4), *sizes), of(".view", real(2, 3, 4), sizes))
    yield from (of("reshape", real(), (1, 1)), of("reshape", real(1), ()),
                of("reshape", real(0, 3), (3, 0)), of("reshape", real(0, 3), (0,)),
                of("reshape", real(2, 3), shape=(3, 2)),
                case("x.T.reshape", lambda m, x: x.T.reshape(6), real(2, 3)),
                case("view_as", lambda m, x, y: x.view_as(y), real(6), real(2, 3)))
    yield from (of("flatten", real(2, 3, 4), *dims) for dims in ((), (1,), (0, 1), (-2, -1)))
    yield from (of(".flatten", real(2, 3), 0), of("flatten", real()),
                of("flatten", real(2, 3, 4), start_dim=1, end_dim=2))
    for dims in ((0, 1), (-1, 0), (1, 2), (1, 1)):
        yield from (of("transpose", real(2, 3, 4), *dims), of(".transpose", real(2, 3, 4), *dims))
    yield from (of("permute", real(2, 3, 4), dims) for dims in ((2, 0, 1), (0, 2, 1), (-1, 0, -2)))
    yield from (of(".permute", real(2, 3, 4), 1, 2, 0), of(".permute", real(2, 3), (1, 0)),
                of("permute", real(), ()), of("transpose", real(), 0, 0),
                of("permute", real(2, 3), dims=(1, 0)),
                of("transpose", real(2, 3), dim0=0, dim1=1),
                case("x.T", lambda m, x: x.T, real(2, 3)),
                case("x.mT", lambda m, x: x.mT, real(4, 2, 3)),
                of(".t", real(2, 3)), of(".t", real(3)))
    yield from (of("squeeze", real(1, 3, 1), *dims) for dims in ((), (0,), (1,), (-1,), ((0, 2),)))
    yield from (of("unsqueeze", real(2, 3), dim) for dim in (0, 1, 2, -1, -3))
    yield from (of(".squeeze", real(1, 3)), of(".squeeze", real(1, 3), 0), of("squeeze", real()),
                of(".unsqueeze", real(3), -1), of("unsqueeze", real(), 0))
    for size in ((2, 3), (4, 2, 3), (2, -1), (-1, 3)):
        yield from (of(".expand", real(2, 1), *size), of(".expand", real(2, 1), size))
    yield from (of("broadcast_to", real(3), (2, 3)), of("broadcast_to", real(), (2, 2)),
                of("broadcast_to", real(2, 1), (0, 2, 3)), of(".broadcast_to", real(1, 3), (2, 3)),
                of("broadcast_to", real(3), size=(2, 3)), of(".expand", real(3), size=(2, 3)),
                case("expand_as", lambda m, x, y: x.expand_as(y), real(3), real(2, 3)))
    yield from (of(".contiguous", real(2, 3)), of(".clone", real(2, 3)), of("clone", real(2)),
                case("x.T.contiguous", lambda m, x: x.T.contiguous(), real(2, 3)))


def moving() -> Iterator[Case]:
    """repeat, tile, flip, roll, tril, triu, diagonal, pad."""
    for sizes in ((2,), (2, 3), (1, 2, 2), (0,), (2, 0)):
        yield from (of(".repeat", real(3), *sizes), of("tile", real(2, 3), sizes))
    yield from (of(".repeat", real(2, 3), (2, 1)), of(".tile", real(2, 3), (2,)),
                of(".repeat", real(), 3), of("tile", real(), (2, 2)), of("tile", real(2, 3), ()),
                of(".repeat", real(3), repeats=(2,)), of("tile", real(3), dims=(2,)))
    yield from (of("flip", real(2, 3, 4), dims) for dims in ((0,), (0, 2), (-1,), ()))
    yield from (of(".flip", real(2, 3), 0, 1), of(".flip", real(2, 3), (1,)),
                of("flip", real(), (0,)), of("flip", real(2, 3), dims=[0]))
    for shifts, dims in ((1, ()), (-2, 0), (5, 1), ((1, 2), (0, 1)), ((1, 1), (0, 0)), (0, -1)):
        yield of("roll", real(3, 4), shifts, dims)
    yield from (of(".roll", real(5), 2), of(".roll", real(2, 3), 1, 0),
                of("roll", real(0, 3), 1, 0), of("roll", real(2, 3), shifts=1, dims=1))
    for word in ("tril", "triu"):
        yield from (of(word, real(3, 4), k) for k in (0, 1, -1, 5))
        yield from (of(word, real(2, 3, 3)), of(f".{word}", real(3, 3), diagonal=-2))
    yield from (of("diagonal", real(3, 4), k) for k in (0, 1, -2, 4))
    yield from (of("diagonal", real(2, 3, 4), 1, 0, 2), of("diagonal", real(2, 3, 4), 0, -1, -2),
                of(".diagonal", real(3, 3)), of("diagonal", real(2, 3, 3), dim1=1, dim2=2))
    for counts in ((1, 2), (0, 1, 2, 0), (-1, 1), (-1, -1, 1, 0), (1, 0, 0, 1, 2, 2), (0, 0)):
        yield from (of("F.pad", real(2, 3, 4), counts),
                    of("F.pad", real(2, 3, 4), counts, value=1.5))
    yield from (of("F.pad", real(0, 3), (1, 1, 1, 0)),
                of("F.pad", real(2, 3), (1, 1), "constant", -1.0))
    for mode in ("reflect", "replicate", "circular"):
        yield from (of("F.pad", real(2, 3, 4), counts, mode=mode)
                    for counts in ((1, 2), (0, 3), (2, 1, 1, 0), (2, -1)))
    yield of("F.pad", real(1, 3), (5, 4), "replicate")


def pieces() -> Iterator[Case]:
    """cat, stack, split, chunk, unbind, narrow, select."""
    yield from (of("cat", [real(2, 3), real(1, 3), real(2, 3)]),
                of("cat", (real(2, 3), real(2, 1)), 1), of("cat", [real(3)]),
                of("cat", [real(2, 3), real(2, 2)], dim=-1), of("cat", [real(0), real(2, 3)]),
                of("cat", tensors=[real(0, 3), real(2, 3)], dim=0),
                case("cat of one twice", lambda m, x: m.cat([x, x * 2.0, x]), real(2)))
    yield from (of("stack", [real(2, 3), real(2, 3)], dim) for dim in (0, 1, 2, -1))
    yield from (of("stack", [real(), real(), real()]), of("stack", (real(0), real(0)), 1))
    yield from (of("split", real(5, 4), n, dim) for n, dim in (
        (2, 0), (3, 1), (5, 0), ([1, 4], 0), ([2, 0, 2], -1), ([1, 3], 1)))
    yield from (of(".split", real(5), 2), of(".split", real(5), [4, 1]),
                of(".split", real(2, 4), 2, dim=1), of("split", real(0, 3), 1))
    yield from (of("chunk", real(5, 4), n, dim) for n, dim in ((2, 0), (3, 1), (7, 0), (1, -1)))
    yield from (of(".chunk", real(6), 4), of(".chunk", real(2, 6), 4, -1))
    yield from (of("unbind", real(2, 3), dim) for dim in (0, 1, -1))
    yield from (of(".unbind", real(3)), of(".unbind", real(2, 3), 1),
                case("iteration", lambda m, x: [2.0 * row for row in x], real(3, 2)))
    yield from (of("narrow", real(5, 4), *to)
                for to in ((0, 1, 3), (1, 0, 4), (-1, -2, 2), (0, 5, 0)))
    yield from (of("select", real(3, 4), *to) for to in ((0, 1), (1, -1), (-2, 0)))
    yield from (of(".narrow", real(5), 0, 2, 2), of(".select", real(3, 4), 1, 2))


# -- products --------------------------------------------------------------------------------
RANKS = [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((2, 3, 4), (4, 5)),
         ((2, 3, 4), (4,)), ((4,), (2, 4, 3)), ((3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 6)),
         ((2, 3, 4), (2, 4, 5)), ((2, 3, 4), (1, 4, 5)), ((0, 3), (3, 2)), ((2, 0), (0, 3)),
         ((0,), (0,)), ((0, 2, 3), (3, 2)), ((1, 1), (1, 1))]
LETTERS: list[tuple[Any, ...]] = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ij,ij->", (2, 3), (2, 3)),
    ("ij,ij->ij", (2, 3), (2, 3)), ("i,i->", (4,), (4,)), ("i,j->ij", (2,), (3,)),
    ("ij->ji", (2, 3)), ("ij->", (2, 3)), ("ij->j", (2, 3)), ("ba", (2, 3)), ("ii->i", (3, 3)),
    ("ii", (3, 3)), ("iji->j", (2, 3, 2)), ("ijk->kji", (2, 3, 4)), ("i,->i", (3,), ()),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)), ("bij,jk->bik", (2, 3, 4), (4, 5)),
    ("bhid,bhjd->bhij", (2, 2, 3, 4), (2, 2, 5, 4)), ("tbi,oi->tbo", (2, 3, 4), (5, 4)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)), ("i,j,k->ijk", (2,), (3,), (4,)),
    ("bi,oij,bj->bo", (2, 3), (4, 3, 5), (2, 5)), ("...ij,...jk->...ik", (2, 3, 4), (4, 5)),
    ("...i,i->...", (2, 3, 4), (4,)), ("...->...", (2, 3)), ("i...->...i", (2, 3, 4)),
    ("...a,...b->...ab", (2, 3), (2, 4)), ("ij,j->i", (2, 3), (3,)),
    ("ij,ik->jk", (3, 2), (3, 4)), ("ij,ij->i", (2, 1), (2, 3)), ("ij,kj->ik", (0, 3), (2, 3))]


def products() -> Iterator[Case]:
    """matmul, mm, bmm, mv, dot, outer, addmm, linear, einsum."""
    for a, b in RANKS:
        yield from (of("matmul", real(*a), real(*b)), of(".__matmul__", real(*a), real(*b)))
    yield from (of(".matmul", real(2, 3), real(3)), of("matmul", real(2, 3), other=real(3)))
    for dot in ("", "."):
        yield from (of(dot + "mm", real(2, 3), real(3, 4)), of(dot + "mv", real(2, 3), real(3)),
                    of(dot + "bmm", real(2, 3, 4), real(2, 4, 2)),
                    of(dot + "dot", real(4), real(4)), of(dot + "outer", real(2), real(3)),
                    of(dot + "addmm", real(2, 4), real(2, 3), real(3, 4)))
    yield from (of("addmm", real(4), real(2, 3), real(3, 4), beta=0.5, alpha=-2),
                of("addmm", real(2, 1), real(2, 3), real(3, 4), beta=0),
                of("mm", real(0, 3), real(3, 2)), of("bmm", real(0, 2, 3), real(0, 3, 2)),
                of("dot", real(0), real(0)), of("outer", real(0), real(3)))
    for shape in ((3,), (2, 3), (4, 2, 3), (0, 3)):
        yield from (of("F.linear", real(*shape), real(5, 3)),
                    of("F.linear", real(*shape), real(5, 3), real(5)))
    yield from (of("einsum", equation, *[real(*s) for s in operands])
                for equation, *operands in LETTERS)
    yield of("einsum", "ij,jk->ik", [real(2, 3), real(3, 2)])


# -- places ----------------------------------------------------------------------------------
MASK = given([True, False, True, False], [False] * 4, [True] * 4, dtype="bool")
ROWS = given(True, False, True, dtype="bool")
EVERY = slice(None)
INDICES: list[Any] = [  # into a tensor of shape (3, 4, 5)
    0, -1, (1, 2), (EVERY, 1), (..., 0), (0, ..., -1), slice(1, 3), slice(None, None, 2),
    (slice(0, 2), slice(1, None)), (EVERY, slice(-2, None)), slice(2, 2), None, (EVERY, None),
    (None, 0, None), ..., (), places(0, 2), (places(0, 1), places(2, 3)),
    (places(0, 1), EVERY, places(1, 0)), (0, places(1, 2)), (places(0, 1), 1),
    (slice(1, 3), places(0, 2)), (None, places(0, 1)), (..., places(3, 1)),
    (places([0], [1]), places(1, 2, 3)), ROWS, MASK, (MASK, 2), (ROWS, slice(1, 3)),
    (EVERY, given(True, False, False, True, dtype="bool")), (ROWS, places(0, 3)), [0, 2],
    given(False, False, False, dtype="bool"), places(), (EVERY, [1, 3])]
REPEATED: list[Any] = [  # (which of several values stays, torch does not promise)
    places(0, 0, -1), (EVERY, places(1, 1)), (EVERY, 1, places(0, 4, 4)), places([0, 1], [2, 0])]


def indices() -> Iterator[Case]:
    """Reading at every form of index, and writing there: a number, and a tensor's own part."""
    for index in (*INDICES, *REPEATED):
        yield of(".__getitem__", real(3, 4, 5), index)
        yield case(f"x[{shown(index)}] = number", assigned(index, lambda z, at: 1.5),
                   real(3, 4, 5), constant(real()), *draws_in(index))
    for index in INDICES:
        yield case(f"x[{shown(index)}] = z[...]", assigned(index, lambda z, at: z[at]),
                   real(3, 4, 5), real(3, 4, 5), *draws_in(index))
    yield from (of(".__getitem__", real(), index) for index in ((), None, ...))
    yield from (case("a row for all", assigned(EVERY, lambda z, at: z), real(2, 3), real(3)),
                case("masked by itself", lambda m, x: x[x > 0], real(3, 4)))


def assigned(index: Any, value: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """x[index] = value(z, index) on a copy of x; the copy."""
    def call(m: Any, x: Any, z: Any, *tensors: Any) -> Any:
        copy, at = x.clone(), filled(index, iter(tensors))
        copy[at] = value(z, at)
        return copy
    return call


def gathering() -> Iterator[Case]:
    """gather, scatter, index_select, take_along_dim, masked_select, index_put, embedding."""
    for dim, index in ((0, whole(3, 2, 4)), (1, whole(4, 3, 6)), (-1, whole(4, 2, 2)),
                       (0, whole(3, 0, 4))):
        yield from (of("gather", real(3, 4), dim, index), of(".gather", real(3, 4), dim, index))
    yield from (of("gather", real(5), 0, whole(5, 7)), of("gather", real(), 0, number(0, "int64")),
                of("gather", real(2, 3, 4), dim=1, index=whole(3, 2, 2, 4)))
    for word in ("scatter", "scatter_add", ".scatter", ".scatter_add"):
        yield from (of(word, real(3, 4), 0, places([0, 1, 2, 0], [2, 0, 1, 1]), real(2, 4)),
                    of(word, real(5), -1, places(4, 0), real(2)),
                    # (Torch fails to differentiate with respect to a src larger than its index.)
                    of(word, real(3, 4), 1, places([3], [0], [1]), constant(real(3, 2))))
    for word in ("scatter", "scatter_add"):
        yield from (of(word, real(3, 4), 0, whole(3, 0, 4), constant(real(2, 4))),
                    of(word, real(2, 3, 2), 1, places([[2, 0]], [[1, 1]]), real(2, 1, 2)),
                    of(word, real(3, 2), dim=1, index=places([1, 0]), src=real(1, 2)))
    yield from (of("scatter", real(3, 4), 1, places([1, 3], [0, 2]), 2.5),
                of("scatter", real(3, 4), 0, places([1, 0]), value=-1.0),
                of("scatter_add", real(4), 0, places(1, 1, 1, 3), real(4)),
                of("scatter_add", real(3, 4), 1, places([0, 0, 0], [3, 3, 1]), real(2, 3)))
    for dot in ("", "."):
        yield from (of(dot + "index_select", real(3, 4), 0, places(2, 0, 2)),
                    of(dot + "index_select", real(3, 4), dim=-1, index=places(1)))
    yield from (of("index_select", real(2, 3, 4), 1, places(0, 0)),
                of("index_select", real(3), 0, whole(3, 0)))
    yield from (of("take_along_dim", real(3, 4), whole(4, 3, 2), 1),
                of("take_along_dim", real(3, 4), whole(3, 1, 4), 0),
                of("take_along_dim", real(3, 4), whole(12, 5)),
                of("take_along_dim", real(1, 4), whole(4, 3, 2), dim=1),
                of(".take_along_dim", real(3, 4), indices=whole(4, 3, 1), dim=-1),
                case("x at its argsort", lambda m, x: m.take_along_dim(x, m.argsort(x, dim=1), 1),
                     real(3, 4)))
    yield from (of("masked_select", real(3, 4), MASK), of("masked_select", real(2, 3), ROWS),
                of(".masked_select", real(3), ROWS), of("masked_select", real(1, 3), truth(2, 1)))
    yield from (of("index_put", real(3, 4), (places(0, 2),), real(4)),
                of("index_put", real(3, 4), (places(0, 2), places(1, 3)), real(2)),
                of("index_put", real(3, 4), (places(0, 0, 2),), real(3, 4), True),
                of("index_put", real(3, 4), (places(1, 1), places(2, 2)), real(2),
                   accumulate=True),
                of("index_put", real(3, 4), (MASK,), real(6)),
                of("index_put", real(3, 4), indices=(ROWS,), values=real()),
                of(".index_put", real(5), (places(3, 1),), real(2)))
    table = real(5, 2)
    yield from (of("F.embedding", index, table) for index in (
        whole(5, 3), whole(5, 2, 3), places(1, 1, 4, 1), whole(5, 0), number(3, "int64")))
    yield from (of("F.embedding", places(1, 0, 4, 0), table, padding_idx=0),
                of("F.embedding", places(4, 1, 4), table, padding_idx=-1),
                of("F.one_hot", places(0, 2, 1)), of("F.one_hot", whole(4, 2, 3), 4),
                of("F.one_hot", whole(3, 0), num_classes=3))


# -- nn.functional ---------------------------------------------------------------------------
REDUCTIONS = "mean", "sum", "none"


def losses_of_classes() -> Iterator[Case]:
    """cross_entropy, nll_loss: weights, ignored targets, smoothing, probabilities, more axes."""
    weight = constant(positive(3))  # (torch has no gradient for it)
    for r in REDUCTIONS:
        for word in ("F.cross_entropy", "F.nll_loss"):
            yield from (
                of(word, real(4, 3), whole(3, 4), reduction=r),
                of(word, real(3), number(2, "int64"), reduction=r),
                of(word, real(2, 3, 4), whole(3, 2, 4), reduction=r),
                of(word, real(2, 3, 2, 2), whole(3, 2, 2, 2), reduction=r),
                of(word, real(4, 3), whole(3, 4), weight=weight, reduction=r),
                of(word, real(2, 3, 4), whole(3, 2, 4), weight, reduction=r),
                of(word, real(4, 3), places(1, -100, 0, -100), reduction=r),
                of(word, real(4, 3), places(1, 2, 0, 2), ignore_index=2, reduction=r),
                of(word, real(4, 3), places(1, -1, 0, 2), weight=weight, ignore_index=-1,
                   reduction=r))
            if r != "mean":
                yield of(word, real(0, 3), whole(3, 0), reduction=r)
        for smoothing in (0.1, 1.0):
            options: dict[str, Any] = {"label_smoothing": smoothing, "reduction": r}
            yield from (
                of("F.cross_entropy", real(4, 3), whole(3, 4), **options),
                of("F.cross_entropy", real(2, 3, 4), whole(3, 2, 4), **options),
                of("F.cross_entropy", real(4, 3), places(1, -100, 0, 2), weight=weight, **options),
                of("F.cross_entropy", real(4, 3), share(4, 3), **options))
        yield from (of("F.cross_entropy", real(4, 3), share(4, 3), reduction=r),
                    of("F.cross_entropy", real(3), share(3), reduction=r),
                    of("F.cross_entropy", real(2, 3, 4), share(2, 3, 4), reduction=r),
                    of("F.cross_entropy", real(4, 3), share(4, 3), weight=weight, reduction=r))
    yield of("F.cross_entropy", given([0.0, -INF, 1.0]), places(2))


def losses_of_numbers() -> Iterator[Case]:
    """mse, l1, smooth l1, huber, binary cross-entropies, kl_div."""
    bce, logits = "F.binary_cross_entropy", "F.binary_cross_entropy_with_logits"
    for r in REDUCTIONS:
        for word in ("F.mse_loss", "F.l1_loss", "F.smooth_l1_loss", "F.huber_loss"):
            yield from (of(word, real(3, 4), real(3, 4), reduction=r),
                        of(word, real(), real(), reduction=r),
                        of(word, given(0.0, 1.0, -1.0), given(0.0, 0.0, 0.0), reduction=r))
            if r != "mean":
                yield of(word, real(0, 3), real(0, 3), reduction=r)
            if word != "F.smooth_l1_loss":
                yield of(word, real(3, 4), real(3, 4), weight=positive(3, 4), reduction=r)
        yield from (of("F.smooth_l1_loss", real(6), real(6), reduction=r, beta=beta)
                    for beta in (0, 0.3, 2.5))
        yield from (of("F.huber_loss", real(6), real(6), reduction=r, delta=delta)
                    for delta in (0.3, 2.5))
        yield from (of(bce, share(3, 4), share(3, 4), reduction=r),
                    of(bce, share(3, 4), share(3, 4), constant(positive(3, 4)), reduction=r),
                    of(bce, share(3, 4), share(3, 4), weight=constant(positive(4)), reduction=r),
                    of(bce, given(0.0, 1.0, 0.5), constant(given(0.0, 1.0, 1.0)), reduction=r),
                    # (where certain and wrong, torch divides by 1e-12 as a float32 has it)
                    of(bce, constant(given(1.0, 0.0)), constant(given(0.0, 1.0)), reduction=r))
        yield from (of(logits, real(3, 4), share(3, 4), reduction=r),
                    of(logits, real(3, 4), share(3, 4), constant(positive(4)), reduction=r),
                    of(logits, real(3, 4), share(3, 4), pos_weight=constant(positive(4)),
                       reduction=r),
                    of(logits, given(1e4, -1e4, 50.0), share(3), reduction=r))
        yield from (of("F.kl_div", real(3, 4), share(3, 4), reduction=r),
                    of("F.kl_div", real(3, 4), real(3, 4), reduction=r, log_target=True),
                    of("F.kl_div", real(3), constant(given(0.0, 1.0, 0.5)), reduction=r))
    yield from (of("F.kl_div", real(3, 4), share(3, 4), reduction="batchmean"),
                of("F.kl_div", real(3, 4), real(3, 4), reduction="batchmean", log_target=True))


def layers() -> Iterator[Case]:
    """layer_norm, dropout that drops nothing or all, and a few operations in a row."""
    for n in ((4,), (3, 4), (2, 3, 4)):
        yield from (of("F.layer_norm", real(2, 3, 4), n),
                    of("F.layer_norm", real(2, 3, 4), n, real(*n)),
                    of("F.layer_norm", real(2, 3, 4), n, real(*n), real(*n)),
                    of("F.layer_norm", real(2, 3, 4), n, None, real(*n), 0.1))
    yield from (of("F.layer_norm", real(4), [4]),
                of("F.layer_norm", real(0, 4), (4,), real(4), real(4)),
                of("F.layer_norm", given([2.0, 2.0, 2.0], [1.0, 2.0, 3.0]), (3,), eps=1e-3))
    for shape in ((3, 4), (0, 2), ()):
        yield from (of("F.dropout", real(*shape), 0.0), of("F.dropout", real(*shape), 1.0),
                    of("F.dropout", real(*shape), 0.5, False),
                    of("F.dropout", real(*shape), p=1.0, training=False))
    yield case("dropout from a seed", lambda m, x: [m.manual_seed(1),
                                                    m.nn.functional.dropout(x)][1], real(7, 5))
    yield case("a tanh step", lambda m, x, h, w, u, b: m.tanh(x @ w.T + h @ u.T + b),
               real(2, 3), real(2, 4), real(4, 3), real(4, 4), real(4))
    yield case("an attention", lambda m, q, k, v: m.softmax(q @ k.mT / 2.0, -1) @ v,
               real(2, 3, 4), real(2, 5, 4), real(2, 5, 4))
    yield case("to float32", lambda m, x: x.float(), given(0.5, 1.25, -3.0))
    yield case("and back", lambda m, x: x.float().double() * 2.0, given(0.5, 1.25, -3.0))
    yield case("one used often", lambda m, x: (x * x + x / x - x) @ x, positive(3))


# -- the edges -------------------------------------------------------------------------------
ENDLESS = given(-1.0, 0.0, INF, -INF, NAN)


def ties_and_kinks() -> Iterator[Case]:
    """Where a derivative is a convention, infinite, or not a number."""
    for word in ("abs", "relu", "sqrt", "log", "rsqrt", "reciprocal", "norm", "F.leaky_relu",
                 "F.elu", "F.softsign", "std", "sign"):
        yield of(word, given(0.0, 0.0))
    yield from (of("F.hardtanh", given(-1.0, 1.0)), of("F.softplus", given(20.0, 20.1)))
    for p in (1, 2, 3, INF, 0):
        yield from (of("norm", given([0.0, 0.0], [0.0, 1.0], [-2.0, 2.0]), p, 1),
                    of("norm", given(3.0, 0.0, -3.0), p))
    for word in ("amax", "amin", "max", "min"):
        yield of(word, given(1.0, 3.0, 1.0, 3.0))
        yield from (of(word, given([1.0, 3.0, 3.0], [1.0, 1.0, 3.0]), dim) for dim in (0, 1, -1))
    for word in ("max", "min"):
        yield from (of(word, given(1.0, NAN, 3.0)), of(word, given(1.0, NAN, 3.0), 0),
                    of(f"a{word}", given([1.0, 3.0, 3.0], [1.0, 1.0, 3.0]), (0, 1)))
    for word in ("maximum", "minimum"):
        yield from (of(word, given(1.0, 2.0, NAN, 1.0), given(1.0, 3.0, 1.0, NAN)),
                    case(f"{word} of one twice",
                         lambda m, x, word=word: getattr(m, word)(x, x), real(3)))
    yield from (of("clamp", given(-1.0, 1.0, 0.0), -1.0, 1.0),
                of("clamp", given(-1.0, 1.0, 2.0), min=given(-1.0, 1.0, 2.0)))
    yield from (of("pow", given(0.0, 0.0, 2.0), n) for n in (0, 1, 2, 0.5, -1))
    yield from (of("pow", number(0.0), given(0.0, 1.0, 2.0)), of("pow", given(-2.0, -1.0), 3),
                of("pow", given(0.0, 2.0, 0.0), given(2.0, 0.0, 0.0)),
                of("div", given(0.0, 1.0, -1.0), given(0.0, 0.0, 0.0)))
    yield from (of(word, ENDLESS) for word in (
        "log", "sqrt", "exp", "tanh", "sigmoid", "abs", "sin", "relu", "erf", "log1p", "expm1",
        "square"))
    yield from (of(word, given([-INF, -INF], [0.0, -INF], [NAN, 0.0]), 1)
                for word in ("logsumexp", "softmax", "log_softmax"))
    yield from (of(word, given(-1e4, 1e4)) for word in (
        "tanh", "sigmoid", "F.softplus", "F.logsigmoid", "F.silu", "F.gelu", "F.elu"))
    yield from (case("log behind where", lambda m, x: m.where(x > 0, m.log(x), 0.0),
                     given(0.0, 1.0)),
                case("where twice", lambda m, x: m.where(
                    x > 0, m.log(m.where(x > 0, x, 1.0)), 0.0), given(0.0, 1.0)))


CHANGES: list[tuple[str, tuple]] = [
    *[(word, ()) for word in (
        "abs_", "neg_", "exp_", "expm1_", "square_", "sin_", "cos_", "tanh_", "sigmoid_", "relu_",
        "erf_", "floor_", "ceil_", "round_", "trunc_", "sign_", "zero_", "reciprocal_")],
    *[(word, (positive(2, 4),)) for word in (
        "add_", "sub_", "mul_", "div_", "copy_", "remainder_", "fmod_")],
    ("add_", (0.5,)), ("mul_", (-2,)), ("fill_", (3.5,)), ("clamp_", (-0.5, 1.0)),
    ("clamp_min_", (0.0,)), ("clamp_max_", (0.0,)), ("pow_", (2,)),
    ("masked_fill_", (truth(4), 1.0)), ("__iadd__", (real(4),)), ("__isub__", (1.5,)),
    ("__imul__", (real(2, 1),)), ("__itruediv__", (2.0,))]


def in_place() -> Iterator[Case]:
    """Operations on a tensor's own storage, with a history."""
    for word, args in CHANGES:
        yield case(f"{word}{shown(args)}", changed(word, args), real(2, 4), *draws_in(args))
    for word in ("log_", "sqrt_", "rsqrt_", "log1p_"):
        yield case(word, changed(word, ()), positive(3))
    yield case("add_ with alpha", lambda m, x, y: x.clone().add_(y, alpha=0.5), real(3), real(3))
    yield case("a step through data", lambda m, x: stepped(x.detach().clone()), real(3))


def changed(word: str, args: tuple) -> Callable[..., Any]:
    """One change of a copy; the copy."""
    def call(m: Any, x: Any, *tensors: Any) -> Any:
        return getattr(x.clone(), word)(*filled(args, iter(tensors)))
    return call


def stepped(t: Any) -> Any:
    """A step of a training loop, written through `data`."""
    t.data -= 0.1 * t.data
    return t


def creation() -> Iterator[Case]:
    """Tensors of numbers that are not drawn."""
    for name, call in {
            "zeros": lambda m: m.zeros(2, 3), "ones": lambda m: m.ones((2, 3), dtype=m.float64),
            "full": lambda m: m.full((2, 2), 1.5), "full of ints": lambda m: m.full((2,), 7),
            "eye": lambda m: m.eye(3), "eye 2x4": lambda m: m.eye(2, 4, dtype=m.float64),
            "arange": lambda m: m.arange(5), "arange in steps": lambda m: m.arange(1, 2, 0.25),
            "arange down": lambda m: m.arange(5, 0, -2),
            "arange in float64": lambda m: m.arange(3, dtype=m.float64),
            "linspace": lambda m: m.linspace(-1, 1, 7, dtype=m.float64),
            "linspace of one": lambda m: m.linspace(3, 9, 1),
            "tensor": lambda m: m.tensor([[1, 2], [3, 4]]), "of floats": lambda m: m.tensor([1.5]),
            "of truths": lambda m: m.tensor([True, False])}.items():
        yield case(name, call)
    yield from (of("zeros_like", real(2, 3)), of("ones_like", real(2, 3)),
                of("full_like", real(2), 2.5), of("full_like", whole(4, 2), 3))


FAMILIES: dict[str, Callable[[], Iterator[Case]]] = {
    "one operand": one_operand, "arithmetic, comparisons": two_operands,
    "where, clamp, lerp, masked_fill": choices, "reductions, norms": reductions,
    "softmax, logsumexp": exponentials, "cumsum, cumprod, sort, topk": runs_and_order,
    "reshape, transpose, expand": reshaping, "flip, roll, repeat, pad, tril": moving,
    "cat, stack, split, narrow": pieces, "matmul, linear, einsum": products,
    "indexing and assignment": indices, "gather, scatter, embedding": gathering,
    "losses of classes": losses_of_classes, "losses of numbers": losses_of_numbers,
    "layer_norm, dropout, mixtures": layers, "ties, kinks, infinities": ties_and_kinks,
    "in place": in_place, "creation": creation}
CASES = [one._replace(family=family) for family, made in FAMILIES.items() for one in made()]
