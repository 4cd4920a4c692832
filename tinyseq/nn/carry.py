"""`detached`: a state that is carried on from window to window, and its history is not."""
from __future__ import annotations

from typing import Any

from tinyseq import tree
from tinyseq.tensor import Tensor


def detached(state: Any) -> Any:
    """The same state without its history: where backpropagation through time stops.

    Takes what a recurrent layer or cell returned or takes as hx: a Tensor, tuples of them, None.
    Example:
        >>> import tinyseq as ts
        >>> lstm, state = ts.nn.LSTM(3, 4), None
        >>> for window in ts.ones(10, 2, 3).split(5):
        ...     y, state = lstm(window, detached(state))
        ...     y.sum().backward()
        >>> state[0].requires_grad, detached(state)[0].requires_grad
        (True, False)
    """
    return tree.mapped(lambda t: t.detach() if isinstance(t, Tensor) else t, state)
