"""`Function`: an operation of the user's own, with a backward written by hand."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinyseq.errors import GraphError
from tinyseq.graph import Node
from tinyseq.layer import PORT
from tinyseq.mode import no_grad
from tinyseq.op import Plan
from tinyseq.refusals import stamp
from tinyseq.scope import births, state
from tinyseq.tensor import Tensor, wrap

NO_PLAN = Plan((), (), -1)


class Context:
    """`ctx`: what a Function's forward hands to its backward."""

    def __init__(self, needs: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs
        self.kept: tuple[Tensor | None, ...] = ()
        self.fixed: tuple[Tensor, ...] = ()
        self.materialize = True
        self.outputs: dict[int, int] = {}  # which of the kept are outputs

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs for backward, where `ctx.saved_tensors` has them again."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError("save_for_backward can only save tensors, got "
                                f"{type(t).__name__}: set it as an attribute, ctx.name = value")
        self.kept = tensors

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Say that no gradient goes through some outputs (indices, counts)."""
        self.fixed = outputs

    def set_materialize_grads(self, value: bool) -> None:
        """Whether an output that got no gradient shows up as zeros (the default) or as None."""
        self.materialize = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` kept."""
        return self.kept


class Function:
    """An operation with a derivative of your own: subclass it, then call `YourName.apply(...)`.

    `forward(ctx, *inputs)` computes under no_grad; `backward(ctx, *grads)` returns one gradient
    for each input of forward (None for what is no tensor). Written with tensor operations,
    backward can itself be differentiated. torch's newer form works too: `forward(*inputs)` with
    `setup_context(ctx, inputs, output)`.
    Errors: GraphError when backward returns the wrong number, shape or dtype, naming the input.
    Example:
        >>> import tinyseq as ts
        >>> class Cube(ts.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x * x * x
        ...     @staticmethod
        ...     def backward(ctx, gy):
        ...         x, = ctx.saved_tensors
        ...         return gy * 3.0 * x * x
        >>> x = ts.tensor(2.0, requires_grad=True)
        >>> Cube.apply(x).backward()
        >>> x.grad
        tensor(12.)
    """

    setup_context: Any = None

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Any:
        """The value; `ctx` may keep what backward needs."""
        raise NotImplementedError("a Function needs a static method forward(ctx, *inputs)")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """One gradient for each input of forward."""
        raise NotImplementedError("this Function has no backward: give it a static method "
                                  "backward(ctx, *grads) that returns a gradient for each input")

    @classmethod
    def apply(cls, *inputs: Any) -> Any:
        """Compute, and record one node if a gradient is wanted."""
        needs = tuple([isinstance(t, Tensor) and t.requires_grad for t in inputs])
        ctx = Context(needs)
        operation = Handwritten(cls, inputs, ctx)
        with no_grad():
            y = operation.value(ctx, inputs)
        several = isinstance(y, tuple)
        outputs = list(y) if several else [y]
        for k, t in enumerate(outputs):
            if not isinstance(t, Tensor):
                raise TypeError(f"{cls.__name__}.forward must return tensors, got "
                                f"{type(t).__name__} as output {k}")
            if any(t is given for given in inputs):  # handed through: a tensor of its own
                outputs[k] = wrap(t.array, None, t.version)
        if state.grad and any(needs):
            operation.record(inputs, y if several else (y,), outputs, several)
        return tuple(outputs) if several else outputs[0]


class Handwritten:
    """The operation behind one application of a Function."""

    slot = elementwise = linear = variadic = False

    def __init__(self, function: type[Function], inputs: tuple, ctx: Context) -> None:
        self.function, self.name, self.ctx = function, function.__name__, ctx
        self.places = [k for k, t in enumerate(inputs) if isinstance(t, Tensor)]
        self.others = tuple([None if isinstance(t, Tensor) else t for t in inputs])
        self.inputs = tuple([f"number {k}" for k in self.places])
        self.rules = [function.backward] * len(self.places)
        self.doc = function.__doc__ or ""

    def value(self, ctx: Context, inputs: tuple) -> Any:
        """The user's forward, in either of torch's two forms."""
        if self.function.setup_context is None:
            return self.function.forward(ctx, *inputs)
        y = self.function.forward(*inputs)
        self.function.setup_context(ctx, inputs, y)
        return y

    def forward(self, *arrays: np.ndarray) -> Any:
        """The value from arrays: what replays and checks of a recorded graph call."""
        inputs = list(self.others)
        for k, array in zip(self.places, arrays):
            inputs[k] = wrap(array)
        with no_grad():
            y = self.value(Context(self.ctx.needs_input_grad), tuple(inputs))
        return [t.array for t in y] if isinstance(y, tuple) else y.array

    def record(self, inputs: tuple, returned: tuple, outputs: list[Tensor],
               several: bool) -> None:
        """One node; with several outputs a port for each."""
        ctx = self.ctx
        operands = tuple([inputs[k] for k in self.places])
        parents = tuple([(t.node or t) if t.requires_grad else None for t in operands])
        kept = list(ctx.kept)
        for n, t in enumerate(kept):
            at = next((k for k, y in enumerate(returned) if y is t), None)
            if t is not None and at is not None:  # an output: kept without its node, or a circle
                ctx.outputs[n] = at
                kept[n] = wrap(t.array, None, outputs[at].version)
        shapes = tuple([y.shape for y in outputs])
        node = Node(self, parents, NO_PLAN, tuple(kept), stamp(tuple(kept)), None,
                    shapes if several else shapes[0], outputs[0].dtype, next(births), state.scope)
        ctx.kept = ()
        for k, y in enumerate(outputs):
            if y.dtype.kind == "f" and not any(returned[k] is t for t in ctx.fixed):
                y.node = port(node, k) if several else node
                y.requires_grad = True
        if state.tape is not None:
            state.tape.append((outputs if several else outputs[0], operands))

    def pull(self, node: Node, gy: Any, graph: bool) -> Iterator[tuple[int, Any]]:
        """(input, gradient) for each tensor input, as the user's backward says; checked."""
        several = type(gy) is list
        gys = [g if g is None or isinstance(g, Tensor) else wrap(g)
               for g in (gy if several else [gy])]
        if self.ctx.materialize and several:
            gys = [wrap(np.zeros(shape, node.dtype)) if g is None else g
                   for g, shape in zip(gys, node.shape)]
        self.ctx.kept = tuple([self.restored(node, n, t, several) if graph else t
                               for n, t in enumerate(node.saved)])
        try:
            found = self.function.backward(self.ctx, *gys)
        finally:
            self.ctx.kept = ()
        found = found if isinstance(found, tuple) else (found,)
        if len(found) != len(self.others):
            raise GraphError(f"<{node.where()}>: backward returned an incorrect number of "
                             f"gradients (expected {len(self.others)}, one for each input of "
                             f"forward, got {len(found)})")
        for place, (k, parent) in enumerate(zip(self.places, node.inputs)):
            if parent is not None:
                yield place, self.checked(node, k, found[k], parent, graph)

    def restored(self, node: Node, n: int, t: Any, several: bool) -> Any:
        """A saved tensor with its history, where it was an output."""
        if t is None or n not in self.ctx.outputs:
            return t
        return wrap(t.array, port(node, self.ctx.outputs[n]) if several else node, t.version)

    def checked(self, node: Node, k: int, g: Any, parent: Any, graph: bool) -> Any:
        """One returned gradient, or the error that says which input it does not fit."""
        shape, dtype = parent.shape, parent.dtype
        if not isinstance(g, Tensor) or g.shape != shape or g.dtype != dtype:
            got = f"{g.shape} and {g.dtype}" if isinstance(g, Tensor) else type(g).__name__
            raise GraphError(f"<{node.where()}>: backward must return for input {k} a gradient "
                             f"of shape {shape} and dtype {dtype}, got {got}")
        return g if graph else g.array


def port(node: Node, k: int) -> Node:
    """Output k of a node with several."""
    return Node(PORT, (node,), NO_PLAN, (), 0, k, node.shape[k], node.dtype, next(births),
                state.scope)


def once_differentiable(backward: Any) -> Any:
    """Mark a backward that cannot itself be differentiated: asking for it is then an error."""
    def guarded(ctx: Context, *grads: Any) -> Any:
        if state.grad:
            raise RuntimeError("trying to differentiate twice a function that was marked with "
                               "@once_differentiable")
        return backward(ctx, *grads)
    return guarded
