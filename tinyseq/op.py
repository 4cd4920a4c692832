"""The declaration of an operation: one block that autograd, fusion, checks and docs all read.

    @elementwise
    class mul:
        \"\"\"Product, element by element ...\"\"\"
        latex = r"{a} \\odot {b}"
        samples = real(-2, 2, count=2)
        def forward(a, b): return a * b
        def backward_a(gy, b): return gy * b
        def backward_b(gy, a): return gy * a

The signature of a backward rule is its save list: an input's name saves that input, `y` the
output, `x_shape` the shape of input x, an attribute's name the attribute; nothing else is kept
alive. Rules are polymorphic: run on arrays they are the fast backward; run on Tensors the same
text records the gradient's own graph. An operation called on plain arrays records nothing.
"""
from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinyseq.calling import binary, general, shape_of, unary
from tinyseq.errors import DeclarationError
from tinyseq.graph import Node
from tinyseq.refusals import stamp
from tinyseq.scope import births, state
from tinyseq.tensor import Tensor, wrap

OPS: dict[str, Op] = {}  # every declared operation, by name, in order of declaration
INPUT, OUTPUT, SHAPE, ATTRIBUTE = range(4)  # what a rule can ask to be saved


class Plan(NamedTuple):
    """For one choice of inputs that need a gradient: what to save, and which rules to run."""

    save: tuple[tuple[int, Any], ...]
    calls: tuple[tuple[int, Callable, tuple[int, ...]], ...]  # (input, rule, where its saved are)
    output: int  # where `y` stands among the saved, or -1


class Op:
    """One declared operation. `forward` works on arrays; `rules[k]` differentiates input k."""

    slot = False  # whether this is the port of a node with several outputs

    def __init__(self, block: type, inputs: tuple[str, ...], variadic: bool = False) -> None:
        self.name: str = block.__dict__.get("name", block.__name__)
        self.doc: str = inspect.getdoc(block) or ""
        self.block = block
        self.inputs = inputs
        self.variadic = variadic
        self.forward: Callable = forward_of(block)
        self.call: Any = None  # what users call
        self.fast: Callable | None = None  # a compiled forward for large arrays, if one wins
        self.latex: str = getattr(block, "latex", "")
        self.samples: Any = getattr(block, "samples", None)
        self.kinks: tuple = getattr(block, "kinks", ())
        self.elementwise = False
        self.linear: bool = getattr(block, "linear", False)  # in all its inputs together
        self.rules = [self._rule(name) for name in inputs]  # None: takes no gradient
        self.plans: dict[int, Plan] = {}
        self.attributes = {name: p.default for name, p
                           in inspect.signature(self.forward).parameters.items()
                           if name not in inputs and p.kind is not p.VAR_POSITIONAL}
        self._refuse_incomplete()
        OPS[self.name] = self

    def __repr__(self) -> str:
        return f"<operation {self.name}({', '.join(self.inputs)})>"

    def _rule(self, name: str) -> Callable | None:
        """The block's rule for one input; `backward_name = None`: no gradient goes there."""
        parts = self.block.__dict__
        if f"backward_{name}" not in parts and "backward" not in parts:
            raise DeclarationError(f"operation {self.name!r} has no rule for its input {name!r}: "
                                   f"write `def backward_{name}(gy): ...`, or `backward_{name} = "
                                   "None` if no gradient goes there")
        return parts.get(f"backward_{name}", parts.get("backward"))

    def _refuse_incomplete(self) -> None:
        missing = [what for what, there in (("a docstring", self.doc), ("latex", self.latex),
                                            ("samples", self.samples)) if not there]
        if missing:
            raise DeclarationError(f"operation {self.name!r} is declared without "
                                   f"{', '.join(missing)}: add it to the block")
        for word in self.block.__dict__:
            if word.startswith("backward_") and word[9:] not in self.inputs:
                raise DeclarationError(f"operation {self.name!r} has a rule {word!r}, but no "
                                       f"input {word[9:]!r}, only {', '.join(self.inputs)}")
        for k, rule in enumerate(self.rules):
            for name in asked(rule):
                self._source(name, k)

    def plan(self, mask: int) -> Plan:
        """What to save and run when the inputs of the bits in `mask` need a gradient."""
        if mask not in self.plans:
            wanted: dict[tuple[int, Any], int] = {}
            calls = []
            for k in range(mask.bit_length()):
                rule = self.rules[0 if self.variadic else k]
                if mask >> k & 1 and rule is not None:
                    sources = [self._source(name, k) for name in asked(rule)]
                    at = tuple(wanted.setdefault(source, len(wanted)) for source in sources)
                    calls.append((k, rule, at))
            self.plans[mask] = Plan(tuple(wanted), tuple(calls), wanted.get((OUTPUT, None), -1))
        return self.plans[mask]

    def _source(self, name: str, k: int) -> tuple[int, Any]:
        if name == "y":
            return OUTPUT, None
        if name in self.attributes:
            return ATTRIBUTE, name
        own = {"place": (ATTRIBUTE, ("place", k)), "shapes": (SHAPE, None)}
        if self.variadic and name in own:  # its own `place`, or all the `shapes`
            return own[name]
        if name in self.inputs and not self.variadic:
            return INPUT, self.inputs.index(name)
        if name.removesuffix("_shape") in self.inputs and not self.variadic:
            return SHAPE, self.inputs.index(name.removesuffix("_shape"))
        raise DeclarationError(f"{self.name}: the rule for {self.inputs[k]!r} asks for {name!r}, "
                               "which is neither gy, y, an input, a shape nor an attribute")

    def record(self, operands: tuple, y: np.ndarray, attrs: Any = None,
               version: list | None = None) -> Tensor:
        """Make the node for one application; called only when some operand requires a gradient."""
        mask = 0
        parents: list[Any] = []
        for k, t in enumerate(operands):
            if isinstance(t, Tensor) and t.requires_grad:
                mask |= 1 << k
                parents.append(t if t.node is None else t.node)
            else:
                parents.append(None)
        plan = self.plans.get(mask) or self.plan(mask)
        out = wrap(y, None, version)
        saved = []
        for kind, which in plan.save:
            if kind == INPUT:
                saved.append(operands[which])
            elif kind == OUTPUT:
                saved.append(wrap(out.array, None, out.version))
            elif kind == SHAPE:
                saved.append(shape_of(operands[which]) if which is not None
                             else [shape_of(t) for t in operands])
            else:
                saved.append(which[1] if type(which) is tuple else attrs[which])
        kept = tuple(saved)
        out.node = Node(self, tuple(parents), plan, kept, stamp(kept), attrs, out.array.shape,
                        out.array.dtype, next(births), state.scope)
        out.requires_grad = True
        if state.tape is not None:
            state.tape.append((out, operands))
        return out

    def pull(self, node: Node, gy: Any, graph: bool) -> Iterator[tuple[int, Any]]:
        """(input, dL/d(input)) for every input that needs one."""
        saved = self.saved(node, graph)
        for k, rule, at in node.plan.calls:
            yield k, rule(gy, saved[at[0]]) if len(at) == 1 else rule(gy, *[saved[p] for p in at])

    @staticmethod
    def saved(node: Node, graph: bool) -> list:
        """What the rules asked for: as arrays, or as Tensors with their history."""
        if not graph:
            return [s.array if isinstance(s, Tensor) else s for s in node.saved]
        saved = list(node.saved)
        if node.plan.output >= 0:
            y = saved[node.plan.output]
            saved[node.plan.output] = wrap(y.array, node, y.version)
        return saved


def forward_of(block: type) -> Callable:
    """The block's forward, or the error that it has none."""
    if "forward" not in block.__dict__:
        raise DeclarationError(f"operation {block.__name__!r} is declared without forward: write "
                               "`def forward(x): ...` in the block")
    return block.__dict__["forward"]


def asked(rule: Callable | None) -> list[str]:
    """What a rule wants saved: its parameters after the cotangent."""
    return [] if rule is None else list(inspect.signature(rule).parameters)[1:]


# -- the decorators ----------------------------------------------------------------------
def elementwise(block: type) -> Callable:
    """Declare an operation that acts on each element alone; its rules are single expressions."""
    names = tuple(inspect.signature(forward_of(block)).parameters)
    if len(names) not in (1, 2):
        raise DeclarationError(f"operation {block.__name__!r}: an elementwise operation has one "
                               f"or two inputs, not {len(names)}: declare it @structural")
    op = Op(block, names)
    op.elementwise = True
    return finish(op, {1: unary, 2: binary}[len(names)](op))


def structural(block: type) -> Callable:
    """Declare an operation on whole tensors. Its inputs are `forward`'s parameters without a
    default, or the block's own `inputs`; the others are attributes."""
    parameters = inspect.signature(forward_of(block)).parameters
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    names = tuple(name for name, p in parameters.items()
                  if p.kind is p.VAR_POSITIONAL or p.default is p.empty)
    op = Op(block, tuple(getattr(block, "inputs", "").split()) or names, variadic)
    return finish(op, general(op))


def finish(op: Op, call: Any) -> Callable:
    """Give the caller the block's name and text, so that `help(ts.tanh)` shows the declaration."""
    call.__name__ = call.__qualname__ = op.name
    call.__doc__ = op.doc
    call.__module__ = op.block.__module__
    call.op = op
    op.call = call
    if not op.elementwise:  # (those are called as torch names their operands: input, other)
        call.__signature__ = inspect.signature(op.forward)
    return call
