"""`grad`, `vjp` and `jvp` of a function: one recording, walked backward or pushed forward."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinyseq import tree
from tinyseq.autograd.gradient import walk_to
from tinyseq.errors import ShapeError
from tinyseq.forward import push
from tinyseq.graph import Node, collect
from tinyseq.mode import enable_grad, set_grad_enabled
from tinyseq.ops import reshape
from tinyseq.scope import state
from tinyseq.tensor import Tensor, wrap
from tinyseq.batching import ground, lifted, regrounded


class Recording(NamedTuple):
    """A function's outputs, the twins of its inputs that it was run on, and whether results are
    to have a history (an input, or something the function used, requires grad outside)."""

    y: Any                 # the function's result as it returned it
    aux: Any
    twins: list[Tensor]    # one for each tensor among the differentiated arguments
    attached: bool

    @property
    def outputs(self) -> list[Tensor]:
        """The tensors of the result."""
        return tree.leaves(self.y)

    @property
    def sources(self) -> list[Any]:
        """Where the twins' gradients gather: leaves, or nodes tied to what came before."""
        return [ground(t).node or ground(t) for t in self.twins]


def twin(t: Any) -> Any:
    """A tensor to differentiate with respect to, tied to t's own history if it has one."""
    if not isinstance(t, Tensor):
        raise TypeError(f"cannot differentiate with respect to a {type(t).__name__}: give a "
                        "Tensor, or a tuple, list or dict of them")
    full = lifted(t)
    plain = ground(full)
    own = reshape(plain, plain.shape) if plain.requires_grad else plain.detach().requires_grad_()
    return regrounded(own, full)


def recorded(function: Callable, args: tuple, chosen: tuple[int, ...],
             has_aux: bool = False) -> Recording:
    """Run a function on twins of the chosen arguments, recording whatever the mode outside is."""
    held = list(args)
    outside = state.grad
    with enable_grad():
        for k in chosen:
            held[k] = tree.mapped(twin, args[k])
        y = function(*held)
    aux = None
    if has_aux:
        if not (isinstance(y, tuple) and len(y) == 2):
            raise TypeError("has_aux=True: the function must return (output, aux)")
        y, aux = y
    twins = [t for k in chosen for t in tree.leaves(held[k])]
    for k, t in enumerate(tree.leaves(y)):
        if not isinstance(t, Tensor):
            raise TypeError(f"the function must return tensors, got {type(t).__name__} as "
                            f"output {k}")
    made = Recording(y, aux, twins, False)
    return made._replace(attached=outside and reaches_beyond(made))


def reaches_beyond(made: Recording) -> bool:
    """Whether the outputs depend on something outside that requires grad as well."""
    inner = set(made.sources)
    order = collect(ground(t).node for t in made.outputs if ground(t).node is not None)
    if any(type(source) is Node for source in inner):
        return True
    return any(p is not None and type(p) is not Node and p not in inner
               for node in order for p in node.inputs)


def settled(t: Tensor, attached: bool) -> Tensor:
    """A result, with its history or without."""
    return t if attached or not t.requires_grad else t.detach()


def pulled(made: Recording, cotangents: list[Any], retain: bool = False) -> list[Tensor]:
    """The twins' gradients for one cotangent of each output; zeros where none arrives."""
    asked = [(ground(y), ground(g)) for y, g in zip(made.outputs, cotangents)
             if ground(y).requires_grad]
    found: dict[Any, Any] = {}
    if asked:
        with set_grad_enabled(made.attached):
            found = walk_to(set(made.sources), [y for y, _ in asked], [g for _, g in asked],
                            retain or made.attached, made.attached)
    results = []
    for source, t in zip(made.sources, made.twins):
        g = found.get(source)
        plain = wrap(np.zeros_like(ground(t).array)) if g is None else \
            g if isinstance(g, Tensor) else wrap(np.array(g))
        results.append(regrounded(plain, t))
    return results


def grad(function: Callable, argnums: int | tuple[int, ...] = 0,
         has_aux: bool = False) -> Callable:
    """The gradient of a function with a scalar output, as a function of the same arguments.

    Shapes: the gradient has the shape (or the structure) of the argument.
    Errors: RuntimeError when the output is not one number.
    Example:
        >>> import tinyseq as ts
        >>> slope = grad(lambda x: x ** 3.0)
        >>> slope(ts.tensor(2.0)), grad(slope)(ts.tensor(2.0))
        (tensor(12.), tensor(12.))
    """
    with_value = value_and_grad(function, argnums, has_aux)

    def gradient(*args: Any) -> Any:
        value, found = with_value(*args)
        return (found, value[1]) if has_aux else found
    return gradient


def value_and_grad(function: Callable, argnums: int | tuple[int, ...] = 0,
                   has_aux: bool = False) -> Callable:
    """A function's value and its gradient: `(value, gradient)`, or `((value, aux), gradient)`.

    Example:
        >>> import tinyseq as ts
        >>> value_and_grad(lambda x: (x * x).sum())(ts.tensor([1.0, 2.0]))
        (tensor(5.), tensor([2., 4.]))
    """
    chosen = argnums if isinstance(argnums, tuple) else (argnums,)

    def both(*args: Any) -> Any:
        made = recorded(function, args, chosen, has_aux)
        y = made.y
        if not isinstance(y, Tensor) or y.numel() != 1:
            raise RuntimeError("grad needs a function with a single output of one element, got "
                               + (f"shape {y.shape}" if isinstance(y, Tensor) else "several: "
                                  "reduce it, or use vjp or jacrev"))
        seed = wrap(np.ones_like(ground(y).array))
        flat = iter(pulled(made, [seed]))
        found = [tree.mapped(lambda _: next(flat), args[k]) for k in chosen]
        value = settled(y, made.attached)
        return ((value, made.aux) if has_aux else value,
                tuple(found) if isinstance(argnums, tuple) else found[0])
    return both


def grad_and_value(function: Callable, argnums: int | tuple[int, ...] = 0,
                   has_aux: bool = False) -> Callable:
    """As `value_and_grad`, in torch's order: `(gradient, value)`."""
    both = value_and_grad(function, argnums, has_aux)
    return lambda *args: both(*args)[::-1]


def vjp(function: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """The value, and the function v -> v^T J that pulls a cotangent back to the inputs.

    Shapes: v as the output; one gradient for each input, with its shape.
    Example:
        >>> import tinyseq as ts
        >>> y, pull = vjp(lambda x: x * x, ts.tensor([1.0, 2.0]))
        >>> y, pull(ts.tensor([1.0, 10.0]))
        (tensor([1., 4.]), (tensor([ 2., 40.]),))
    """
    made = recorded(function, primals, tuple(range(len(primals))), has_aux)

    def pull(*cotangents: Any) -> tuple:
        given = cotangents[0] if len(cotangents) == 1 else cotangents
        gys = matched(tree.leaves(given), made.outputs, "cotangent", "output")
        flat = iter(pulled(made, gys, retain=True))
        return tuple([tree.mapped(lambda _: next(flat), primal) for primal in primals])

    value = tree.mapped(lambda t: settled(t, made.attached), made.y)
    return (value, pull, made.aux) if has_aux else (value, pull)


def jvp(function: Callable, primals: tuple, tangents: tuple, *, has_aux: bool = False) -> tuple:
    """The value, and J u: how the outputs move when the inputs move along `tangents`.

    Forward mode: tangents are pushed through the recorded graph, oldest node first.
    Shapes: each tangent as its primal; the result as the outputs.
    Errors: ShapeError for tangents that do not fit the primals.
    Example:
        >>> import tinyseq as ts
        >>> jvp(lambda x: x * x, (ts.tensor([1.0, 2.0]),), (ts.tensor([1.0, 10.0]),))
        (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    if not (isinstance(primals, tuple) and isinstance(tangents, tuple)):
        raise TypeError("jvp takes a tuple of primals and a tuple of tangents: type jvp(f, (x,), "
                        "(u,))")
    made = recorded(function, primals, tuple(range(len(primals))), has_aux)
    ways = matched(tree.leaves(tangents), made.twins, "tangent", "primal")
    attached = made.attached or (state.grad and any(ground(u).requires_grad for u in ways))
    with set_grad_enabled(attached):
        moved = push([ground(t) for t in made.outputs],
                     {source: ground(u) for source, u in zip(made.sources, ways)})
    moved = [regrounded(t, y) for t, y in zip(moved, made.outputs)]
    value = tree.mapped(lambda t: settled(t, made.attached), made.y)
    found = tree.refilled(made.y, moved)
    return (value, found, made.aux) if has_aux else (value, found)


def matched(given: list, wanted: list[Tensor], what: str, of: str) -> list[Tensor]:
    """One tensor for each of `wanted`, of its shape and dtype; batched as it is."""
    if len(given) != len(wanted):
        raise ShapeError(f"expected {len(wanted)} {what}s, one for each {of}, got {len(given)}")
    found = []
    for k, (g, t) in enumerate(zip(given, wanted)):
        if not isinstance(g, Tensor) or g.shape != t.shape or g.dtype != t.dtype:
            got = f"{g.shape} and {g.dtype}" if isinstance(g, Tensor) else type(g).__name__
            raise ShapeError(f"the {what} of {of} {k} must have its shape {t.shape} and dtype "
                             f"{t.dtype}, got {got}")
        found.append(lifted(g) if t is not ground(t) else g)
    return found
