"""Arithmetic, element by element, broadcasting; undoing that is the walker's work, no rule's."""
from __future__ import annotations

from typing import Any

import numpy as np

from tinyseq.calling import operand, promoted
from tinyseq.errors import ShapeError
from tinyseq.op import elementwise, structural
from tinyseq.ops.truth import eq, ge, gt, le, lt, ne
from tinyseq.samples import real
from tinyseq.tensor import Tensor


@elementwise
class add:
    """Sum, element by element.

    Equation: y = a + b
    Shapes: a and b broadcast, y has the broadcast shape.
    Example:
        >>> import tinyseq as ts
        >>> ts.add(ts.tensor([1.0, 2.0]), 3.0)
        tensor([4., 5.])
    """

    latex = "{a} + {b}"
    samples = real(-2, 2, count=2)

    def forward(a, b): return a + b
    def backward_a(gy): return gy
    def backward_b(gy): return gy


@elementwise
class sub:
    """Difference, element by element.

    Equation: y = a - b
    Shapes: a and b broadcast, y has the broadcast shape.
    Example:
        >>> import tinyseq as ts
        >>> ts.sub(ts.tensor([1.0, 2.0]), 3.0)
        tensor([-2., -1.])
    """

    latex = "{a} - {b}"
    samples = real(-2, 2, count=2)

    def forward(a, b): return a - b
    def backward_a(gy): return gy
    def backward_b(gy): return -gy


@elementwise
class mul:
    """Product, element by element.

    Equation: y = a b
    Shapes: a and b broadcast, y has the broadcast shape.
    Example:
        >>> import tinyseq as ts
        >>> ts.mul(ts.tensor([1.0, 2.0]), 3.0)
        tensor([3., 6.])
    """

    latex = r"{a} \odot {b}"
    samples = real(-2, 2, count=2)

    def forward(a, b): return a * b
    def backward_a(gy, b): return gy * b
    def backward_b(gy, a): return gy * a


@elementwise
class div:
    """Quotient, element by element; division by zero gives inf or nan, as IEEE has it.

    Equation: y = a / b
    Shapes: a and b broadcast, y has the broadcast shape.
    Example:
        >>> import tinyseq as ts
        >>> ts.div(ts.tensor([1.0, 2.0]), 4.0)
        tensor([0.25, 0.5 ])
    """

    latex = r"\frac{{{a}}}{{{b}}}"
    samples = real(0.5, 2, count=2)

    @np.errstate(divide="ignore", invalid="ignore", over="ignore")
    def forward(a, b): return a / b
    def backward_a(gy, b): return gy / b
    def backward_b(gy, b, y): return -gy * y / b


@elementwise
class neg:
    """The negative, element by element.

    Equation: y = -x
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.neg(ts.tensor([1.0, -2.0]))
        tensor([-1.,  2.])
    """

    latex = "-{x}"
    samples = real(-2, 2)

    def forward(x): return -x
    def backward(gy): return -gy


@elementwise
class pow:
    """A power, element by element; 0 ** 0 is 1, with a gradient of 0 for both, as in torch.

    Equation: y = a^b
    Shapes: a and b broadcast, y has the broadcast shape. Either may be a number.
    Example:
        >>> import tinyseq as ts
        >>> ts.pow(ts.tensor([1.0, 3.0]), 2), 2 ** ts.tensor([1.0, 3.0])
        (tensor([1., 9.]), tensor([2., 8.]))
    """

    latex = "{a}^{{{b}}}"
    samples = real(0.5, 2, count=2)

    @np.errstate(divide="ignore", invalid="ignore", over="ignore")
    def forward(a, b): return raised(a, b)
    def backward_a(gy, a, b): return gy * where(b == 0.0, 0.0, b * pow(a, b - 1.0))

    def backward_b(gy, a, b, y):  # the log of 1 where a = 0: a zero times minus infinity is 0 here
        return gy * (y * log(where(a == 0.0, where(b >= 0.0, 1.0, a), a)))


def raised(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a ** b; one whole power for all elements is far faster than numpy's general one."""
    power = b if np.ndim(b) else b.item()
    if power is not b and power == 3:
        return a * a * a
    y = a ** power  # numpy itself squares by a product
    return y if y.dtype != np.int8 else y != 0  # (numpy's power of bools)


@elementwise
class log:
    """The natural logarithm; log(0) = -inf and log of a negative number is nan, without a warning.

    Equation: y = ln x
    Shapes: y as x. Units: nats, where x is a probability.
    Example:
        >>> import tinyseq as ts
        >>> ts.log(ts.tensor([1.0, 2.0]))
        tensor([0.       , 0.6931472])
    """

    latex = r"\ln {x}"
    samples = real(0.5, 4)

    @np.errstate(divide="ignore", invalid="ignore")
    def forward(x): return np.log(x)
    def backward(gy, x): return gy / x


@elementwise
class sqrt:
    """Square root, element by element; its derivative at 0 is inf, as torch has it.

    Equation: y = sqrt(x)
    Shapes: y as x.
    Example:
        >>> import tinyseq as ts
        >>> ts.sqrt(ts.tensor([4.0, 9.0]))
        tensor([2., 3.])
    """

    latex = r"\sqrt{{{x}}}"
    samples = real(0.5, 4)

    @np.errstate(invalid="ignore")
    def forward(x): return np.sqrt(x)
    def backward(gy, y): return gy / (2.0 * y)


@structural
class where:
    """Elements of a where the condition holds, of b elsewhere.

    The one not taken still hands on its derivative times 0, and 0 times an infinity is nan: for a
    logarithm write `where(x > 0, log(where(x > 0, x, 1.0)), 0.0)`, twice, as in torch.

    Equation: y = a if condition else b
    Shapes: all three broadcast; a and b may be numbers. The condition is bool, and takes no
        gradient.
    Errors: TypeError for a condition that is not bool; ShapeError naming the three shapes.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([1.0, -2.0])
        >>> ts.where(x > 0, x, 0.0)
        tensor([1., 0.])
    """

    latex = r"\mathrm{{where}}({condition}, {a}, {b})"
    samples = real(-1, 1, (3, 4), (3, 4), (3, 4))

    def forward(condition, a, b):
        if not isinstance(condition, bool) and condition.dtype.kind != "b":
            raise TypeError(f"where takes a bool condition, got {condition.dtype}: type c != 0")
        known = {t.dtype for t in (a, b) if hasattr(t, "dtype")}
        if len(known) != 1 or min(known).kind != "f":
            a, b = (t if isinstance(t, np.ndarray) else operand(t, u) for t, u in ((a, b), (b, a)))
            dtype = promoted(a, b)
            a, b = a.astype(dtype), b.astype(dtype)
        try:
            return np.where(condition, a, b)
        except ValueError as error:
            shapes = " and ".join(str(np.shape(t)) for t in (condition, a, b))
            raise ShapeError(f"where of shapes {shapes}: they do not broadcast") from error

    backward_condition = None
    def backward_a(gy, condition): return where(condition, gy, 0.0)
    def backward_b(gy, condition): return where(condition, 0.0, gy)


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """A point between two: input + weight (end - input).

    Example:
        >>> import tinyseq as ts
        >>> ts.lerp(ts.tensor([0.0, 1.0]), ts.tensor([4.0, 5.0]), 0.25)
        tensor([1., 2.])
    """
    return input + weight * (end - input)


def compared(call: Any) -> Any:
    """A comparison as an operator: what is no operand is not equal, and not to be ordered."""
    def method(a: Any, b: Any) -> Any:
        known = isinstance(b, (Tensor, np.ndarray, np.generic, bool, int, float))
        return call(a, b) if known else NotImplemented
    method.__name__, method.__doc__ = call.name, call.__doc__
    return method


COMPARISONS = {f"__{call.name}__": compared(call) for call in (eq, ne, lt, le, gt, ge)}
