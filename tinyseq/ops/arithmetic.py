"""Arithmetic, element by element, broadcasting; undoing that is the walker's work, no rule's."""
from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from tinyseq.array import default_dtype
from tinyseq.errors import ShapeError
from tinyseq.op import elementwise, structural
from tinyseq.samples import real
from tinyseq.tensor import Tensor, wrap


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


@structural
class pow:
    """A constant power, element by element.

    Equation: y = x^exponent
    Shapes: y as x; the exponent is a number.
    Errors: TypeError for an exponent that is not a number.
    Example:
        >>> import tinyseq as ts
        >>> ts.pow(ts.tensor([1.0, 3.0]), 2)
        tensor([1., 9.])
    """

    latex = "{x}^{{{exponent}}}"
    samples = real(0.5, 2, (3, 4), exponent=3) + real(0.5, 2, (3, 4), exponent=0.5)
    inputs = "x"

    @np.errstate(divide="ignore", invalid="ignore", over="ignore")
    def forward(x, exponent):
        if not isinstance(exponent, Real):
            raise TypeError("pow takes a number as the exponent, got "
                            f"{type(exponent).__name__}: write exp(b * log(a)) for a tensor")
        if isinstance(exponent, float) and x.dtype.kind != "f":
            x = x.astype(default_dtype())
        return x ** (exponent.item() if isinstance(exponent, np.generic) else exponent)

    def backward(gy, x, exponent):
        return gy * 0.0 if exponent == 0 else gy * (exponent * x ** (exponent - 1))


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

    Equation: y = a if condition else b
    Shapes: all three broadcast. The condition is bool and takes no gradient.
    Example:
        >>> import tinyseq as ts
        >>> x = ts.tensor([1.0, -2.0])
        >>> ts.where(x > 0, x, 0.0)
        tensor([1., 0.])
    """

    latex = r"\mathrm{{where}}({condition}, {a}, {b})"
    samples = real(-1, 1, (3, 4), (3, 4), (3, 4))

    def forward(condition, a, b):
        try:
            return np.where(condition, a, b)
        except ValueError as error:
            shapes = " and ".join(str(np.shape(t)) for t in (condition, a, b))
            raise ShapeError(f"where of shapes {shapes}: they do not broadcast") from error

    backward_condition = None
    def backward_a(gy, condition): return where(condition, gy, 0.0)
    def backward_b(gy, condition): return where(condition, 0.0, gy)


def comparison(ufunc: np.ufunc, word: str) -> Any:
    """A comparison as a method: bool, and without a gradient."""
    def compare(a: Any, b: Any) -> Tensor:
        return wrap(ufunc(a.array, b.array if isinstance(b, Tensor) else b))
    compare.__name__ = ufunc.__name__
    compare.__doc__ = f"Whether a is {word} b, element by element: a bool Tensor, no gradient."
    return compare


COMPARISONS = {f"__{short}__": comparison(ufunc, word) for short, ufunc, word in (
    ("eq", np.equal, "equal to"), ("ne", np.not_equal, "different from"),
    ("lt", np.less, "less than"), ("le", np.less_equal, "at most"),
    ("gt", np.greater, "greater than"), ("ge", np.greater_equal, "at least"))}
