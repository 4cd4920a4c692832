"""What recurrent layers can be asked for beyond torch: a variant of the cell, and its needs."""
from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tinyseq import variants
from tinyseq.equations import Cell
from tinyseq.errors import ShapeError
from tinyseq.ops.generator import generator
from tinyseq.ops.noise import check_probability
from tinyseq.tensor import Tensor, wrap

# Where a vector of the cell's text lives among the parameters; those of gates are a gate's rows.
PEEPHOLES = {"p_i": "weight_ci", "p_f": "weight_cf", "p_o": "weight_co"}
NORMS = {"gain_x": "ln_ih_weight", "shift_x": "ln_ih_bias", "gain_h": "ln_hh_weight",
         "shift_h": "ln_hh_bias"}
STATE_NORMS = {"gain_c": "ln_c_weight", "shift_c": "ln_c_bias"}


class Options(NamedTuple):
    """The keyword arguments that the recurrent layers share beyond torch's."""

    layer_norm: bool = False
    recurrent_dropout: float = 0.0
    zoneout: float = 0.0
    learn_init: bool = False

    @staticmethod
    def of(layer_norm: Any, recurrent_dropout: Any, zoneout: Any, learn_init: Any) -> Options:
        """The options, checked: ValueError or TypeError naming the argument."""
        for name, value in (("layer_norm", layer_norm), ("learn_init", learn_init)):
            if not isinstance(value, bool):
                raise TypeError(f"{name} should be of type bool, got: {type(value).__name__}")
        for name, value in (("recurrent_dropout", recurrent_dropout), ("zoneout", zoneout)):
            try:
                check_probability(value)
            except ValueError as error:
                raise ValueError(f"{name}={value!r}: {error}") from error
        return Options(layer_norm, float(recurrent_dropout), float(zoneout), learn_init)

    def variant(self, cell: Cell) -> Cell:
        """The cell with all that was asked for."""
        if self.recurrent_dropout:
            if cell.projected:
                raise ValueError("recurrent_dropout is not defined for a projected state: take "
                                 "proj_size=0")
            cell = variants.recurrent_dropout(cell)
        if self.layer_norm:
            cell = variants.layer_normed(cell)
        return variants.zoneout(cell) if self.zoneout else cell

    def constants(self, cell: Cell, shape: tuple[int, int, int], dtype: Any, training: bool,
                  keep: np.ndarray | None, reverse: bool) -> tuple[Tensor, ...]:
        """What the cell is given at every step, drawn anew in training.

        Shapes: each (T, N, H); `keep` (T, N) is False where a sequence starts anew, which going
            back is felt one step earlier.
        """
        if keep is not None and reverse:
            keep = np.concatenate([keep[1:], np.ones_like(keep[:1])])
        return tuple([wrap(np.ascontiguousarray(np.broadcast_to(
            self.constant(name, shape, dtype, training, keep), shape), dtype))
            for name in cell.given])

    def constant(self, name: str, shape: tuple[int, int, int], dtype: Any, training: bool,
                 keep: np.ndarray | None) -> Any:
        """One of them: a mask for the whole sequence, one for each step, or what to keep."""
        if name == "keep":
            assert keep is not None
            return keep[:, :, None]
        if name == "m_h":
            p = self.recurrent_dropout
            return mask(shape[1:], 1 - p, dtype) / (1 - p) if training and p < 1 else \
                np.asarray(0.0 if training else 1.0, dtype)
        return mask(shape, self.zoneout, dtype) if training else np.asarray(self.zoneout, dtype)


def mask(shape: tuple[int, ...], p: float, dtype: Any) -> np.ndarray:
    """Ones with probability p, else zeros."""
    return (generator.uniform(0.0, 1.0, shape, dtype) < p).astype(dtype)


def home(vector: str, cell: Cell) -> tuple[str, int | None]:
    """(parameter, which gate's rows of it) for a vector of the cell's text."""
    if vector in PEEPHOLES:
        return PEEPHOLES[vector], None
    if vector in STATE_NORMS:
        return STATE_NORMS[vector], None
    for start, name in NORMS.items():
        if vector.startswith(start) and vector.removeprefix(start) in cell.gates:
            return name, cell.gates.index(vector.removeprefix(start))
    return vector, None


def vector_shapes(cell: Cell, H: int) -> dict[str, tuple[int, ...]]:
    """The parameters that hold the cell's vectors, in order."""
    found: dict[str, tuple[int, ...]] = {}
    for vector in cell.vectors:
        name, gate = home(vector, cell)
        found[name] = (H,) if gate is None else (len(cell.gates) * H,)
    return found


def vectors(cell: Cell, get: Callable[[str], Tensor]) -> tuple[Tensor, ...]:
    """The parameters that hold the cell's vectors, which `get` finds by name, in order."""
    return tuple(map(get, homes(cell)))


@lru_cache(maxsize=64)
def homes(cell: Cell) -> tuple[str, ...]:
    """Those parameters' names."""
    return tuple(dict.fromkeys([home(vector, cell)[0] for vector in cell.vectors]))


def flags(name: str, given: Any, T: int, N: int, batch_first: bool) -> np.ndarray:
    """A bool mask over steps and sequences, laid out as the input is, as (T, N).

    Errors: ShapeError naming the argument for another dtype or shape.
    """
    found = given.array if isinstance(given, Tensor) else np.asarray(given)
    wanted = (N, T) if batch_first else (T, N)
    if found.dtype != np.bool_ or found.shape != wanted:
        raise ShapeError(f"{name} must be a bool mask over "
                         f"{'sequences and steps' if batch_first else 'steps and sequences'}, as "
                         f"the input: {wanted}, got {found.dtype} of shape {found.shape}")
    return found.T if batch_first else found


def lengths_of(mask: np.ndarray) -> np.ndarray:
    """How long each sequence is, from a mask (T, N) that is True on its steps.

    Errors: ValueError for a sequence with a gap, naming it.
    """
    (T, N), lengths = mask.shape, mask.sum(axis=0)
    for n in np.flatnonzero(mask != (np.arange(T)[:, None] < lengths))[:1]:
        raise ValueError(f"mask: sequence {int(n) % N} has a gap before step {int(n) // N}: a "
                         "mask must be True from its first step to its last; use reset= for "
                         "several sequences in one row")
    return lengths
