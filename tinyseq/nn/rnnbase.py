"""`RNNBase`: what the recurrent layers share: arguments, parameters, checks, stacked layers.

The equations stand in cells.py, the loop over time in unroll.py, and one layer in one direction
over sequences of unequal lengths in lanes.py.
"""
from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tinyseq.equations import Cell
from tinyseq.errors import ShapeError
from tinyseq.layer import Weights
from tinyseq.nn import init
from tinyseq.nn.cells import flag, projection, same_dtype, tensor, unpacked
from tinyseq.nn.explained import Explained
from tinyseq.nn.lanes import lane
from tinyseq.nn.linear import blank, size
from tinyseq.nn.module import Module
from tinyseq.nn.options import Options, flags, lengths_of, vector_shapes, vectors
from tinyseq.nn.packing import PackedSequence, pack_padded_sequence, pad_packed_sequence
from tinyseq.ops import cat, dropout, expand, getitem, reshape, stack, transpose, unsqueeze
from tinyseq.ops.noise import check_probability
from tinyseq.scope import state
from tinyseq.tensor import Tensor, wrap
from tinyseq.variants import resettable

DIRECTIONS = ("fwd", ""), ("rev", "_reverse")  # the scope's word, the suffix of the parameters


class RNNBase(Explained, Module):
    """What the three layers share: arguments, parameters, checks, and the loop over layers.

    L layers in D directions; P is proj_size, or H without a projection. `lengths` (N) says how
    long each sequence of a padded batch is: outputs beyond are 0, final states are each
    sequence's own, and what stands in the padding does not matter. `dropout` zeroes elements of
    every layer's output but the last's, each step anew, in training only. `mask` says the same
    as `lengths`, and `reset` is True where a sequence starts anew within its row: both are bool,
    (T, N), or (N, T) if batch_first.
    Shapes: input (T, I), (T, N, I), (N, T, I) if batch_first, or a PackedSequence; output like
        the input with D*P in place of I; h (D*L, P) or (D*L, N, P), c likewise with H, never
        batch first: layer 0 forward, layer 0 reverse, layer 1 forward ...
    Errors: ValueError, TypeError and RuntimeError with torch's texts.
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 proj_size: int = 0, device: Any = None, dtype: Any = None,
                 options: Options = Options()) -> None:
        super().__init__()
        self.__dict__["options"] = options
        check_probability(dropout)
        if dropout > 0 and num_layers == 1:
            warnings.warn("dropout option adds dropout after all but last recurrent layer, so "
                          "non-zero dropout expects num_layers greater than 1, but got "
                          f"dropout={dropout} and num_layers={num_layers}", stacklevel=3)
        self.bias = flag("bias", bias)
        self.batch_first = flag("batch_first", batch_first)
        self.input_size = size("input_size", input_size)
        self.hidden_size = size("hidden_size", hidden_size)
        self.num_layers = size("num_layers", num_layers)
        self.dropout = float(dropout)
        self.bidirectional = flag("bidirectional", bidirectional)
        self.proj_size = projection(proj_size, hidden_size)
        for layer, _, suffix in self.lanes():
            self._register(f"_l{layer}{suffix}", layer, device, dtype)
        for k, name in enumerate(self.cell.states if options.learn_init else ()):
            shape = (len(self.lanes()), hidden_size if k else self.proj_size or hidden_size)
            setattr(self, f"{name.split('_')[0]}_0", blank(shape, device, dtype))
        self.reset_parameters()

    @property
    def plain(self) -> Cell:
        """The equations that this layer is named after."""
        raise NotImplementedError(f"{type(self).__name__} names no cell")

    @property
    def cell(self) -> Cell:
        """The equations that this very layer computes, with all its options."""
        return self.options.variant(self.plain)

    def width(self, layer: int) -> int:
        """How many units a layer has."""
        return self.hidden_size

    # -- parameters -----------------------------------------------------------------------
    def lanes(self) -> list[tuple[int, str, str]]:
        """(layer, direction, suffix) in torch's order: layers outside, directions inside."""
        return [(layer, *direction) for layer in range(self.num_layers)
                for direction in DIRECTIONS[:1 + self.bidirectional]]

    def _register(self, lane: str, layer: int, device: Any, dtype: Any) -> None:
        H = self.width(layer)
        P, below = self.proj_size or H, self.proj_size or self.width(layer - 1)
        rows = len(self.cell.gates) * H
        width = (1 + self.bidirectional) * below if layer else self.input_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, width), "weight_hh": (rows, P)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (P, H)
        shapes |= vector_shapes(self.cell, H)
        for name, shape in shapes.items():
            setattr(self, name + lane, blank(shape, device, dtype))

    def reset_parameters(self) -> None:
        """Draw all parameters anew from U(-1/sqrt(H), 1/sqrt(H)), in their order.

        Norms start as no change, initial states as zeros.
        """
        for name, parameter in self.named_parameters():
            if name.startswith("ln_") or name in ("h_0", "c_0"):
                init.constant_(parameter, float("weight" in name))
            else:
                bound = 1 / math.sqrt(self.width(int(name.rpartition("_l")[2].split("_")[0])))
                init.uniform_(parameter, -bound, bound)

    def weights(self, lane: str) -> Weights:
        """The parameters of one layer in one direction, `lane` being "_l0" and so on."""
        def get(name: str) -> Any:
            return self._parameters.get(name + lane)
        return Weights(get("weight_ih"), get("weight_hh"), get("bias_ih"), get("bias_hh"),
                       vectors(self.cell, get), get("weight_hr"))

    def flatten_parameters(self) -> None:
        """Nothing: torch's layers lay out their memory for a GPU here, and code calls it."""

    # -- forward --------------------------------------------------------------------------
    def forward(self, input: Any, hx: Any = None, *, lengths: Any = None, mask: Any = None,
                reset: Any = None) -> tuple[Any, Any]:
        if lengths is not None or mask is not None:
            return self.padded(input, hx, lengths, mask, reset)
        packed = isinstance(input, PackedSequence)
        x = self.checked(input.data if packed else input, hx, packed)
        if packed:
            pieces = input.pieces()
        elif x.ndim == 2:
            pieces = [unsqueeze(x, 1)]
        else:
            pieces = [transpose(x, 0, 1) if self.batch_first else x]
        states = self.states(hx, pieces[0], batched=packed or x.ndim == 3)
        T, N = sum([piece.shape[0] for piece in pieces]), pieces[0].shape[1]
        keep = None if reset is None else ~flags(
            "reset", reset, T, N, self.batch_first and x.ndim == 3)
        sort = packed and input.sorted_indices is not None
        if sort:
            states = [[getitem(s, index=(input.order,)) for s in kind] for kind in states]
            keep = None if keep is None else keep[:, input.order]
        pieces, finals = self.layers(pieces, states, keep)
        if sort:
            back = input.unsorted_indices.array
            finals = [[getitem(s, index=(back,)) for s in kind] for kind in finals]
        last = [self.joined(kind, packed or x.ndim == 3) for kind in finals]
        if packed:
            rows = [reshape(y, (-1, y.shape[-1])) for y in pieces]
            return input._replace(data=cat(rows) if len(rows) > 1 else rows[0]), hidden(last)
        if x.ndim == 2:
            return pieces[0][:, 0], hidden(last)
        return transpose(pieces[0], 0, 1) if self.batch_first else pieces[0], hidden(last)

    def padded(self, input: Any, hx: Any, lengths: Any, mask: Any,
               reset: Any) -> tuple[Tensor, Any]:
        """The same for a padded batch whose sequences have lengths of their own."""
        if isinstance(input, PackedSequence):
            raise TypeError("a PackedSequence knows its lengths: leave lengths and mask out")
        if lengths is not None and mask is not None:
            raise TypeError("give lengths or mask, not both: they say the same")
        x = self.checked(input, hx, False)
        if x.ndim == 2:
            raise ShapeError("lengths are for a batch of sequences, but the input is one sequence "
                             f"of shape {x.shape}: leave lengths out, or pass input[:{len(x)}]")
        T, N = x.shape[:2][::-1] if self.batch_first else x.shape[:2]
        given = lengths_of(flags("mask", mask, T, N, self.batch_first)) if lengths is None \
            else lengths
        packed = pack_padded_sequence(x, given, self.batch_first, enforce_sorted=False)
        inside = None if reset is None else flags(
            "reset", reset, T, N, self.batch_first)[:len(packed.batch_sizes)]
        output, last = self.forward(packed, hx, reset=inside)
        return pad_packed_sequence(output, self.batch_first, total_length=T)[0], last

    def layers(self, pieces: list[Tensor], states: list[list[Tensor]],
               keep: Any) -> tuple[list[Tensor], list[list[Tensor]]]:
        """All layers over one batch in pieces: the last one's outputs, all final states."""
        here, finals, directions = state.scope, [], 1 + self.bidirectional
        cell = self.cell if keep is None else resettable(self.cell)
        T, N = sum([piece.shape[0] for piece in pieces]), pieces[0].shape[1]
        try:
            for k, (layer, direction, suffix) in enumerate(self.lanes()):
                if k % directions == 0:
                    below = pieces if k == 0 else self.between(pieces, here.child("dropout"))
                    sides = []
                state.scope = here.child(f"l{layer}.{direction}")
                given = self.options.constants(cell, (T, N, self.width(layer)), below[0].dtype,
                                               self.training, keep, direction == "rev")
                weights = self.weights(f"_l{layer}{suffix}")._replace(given=given)
                y, final = lane(cell, below, tuple([kind[k] for kind in states]), weights,
                                direction == "rev")
                sides.append(y)
                finals.append(final)
                state.scope = here
                pieces = y if len(sides) == 1 else [cat(both, -1) for both in zip(*sides)]
        finally:
            state.scope = here
        self._ran.gave([*pieces, *[s for final in finals for s in final]])
        return pieces, [list(kind) for kind in zip(*finals)]     # for each state: (N, H or P) ...

    def joined(self, lanes: list[Tensor], batched: bool) -> Any:
        """The final values of one state as one tensor (D*L, N, H or P), or (D*L, H or P)."""
        whole = stack(lanes) if len(lanes) > 1 else unsqueeze(lanes[0], 0)
        return whole if batched else whole[:, 0]

    def between(self, pieces: list[Tensor], scope: Any) -> list[Tensor]:
        """What one layer hands to the next."""
        if not (self.dropout and self.training):
            return pieces
        state.scope = scope
        return [dropout(y, self.dropout) for y in pieces]

    # -- what is given, checked -----------------------------------------------------------
    def checked(self, input: Any, hx: Any, packed: bool) -> Tensor:
        """The input as a Tensor: refused unless its rank, dtype and width fit."""
        word = type(self).__name__
        x = tensor(input, word)
        if packed and x.ndim != 2:
            raise ShapeError(f"{word}: a PackedSequence's data must be (rows, {self.input_size}), "
                             f"got {x.shape}")
        if not packed and x.ndim not in (2, 3):
            raise ShapeError(f"{word}: Expected input to be 2D or 3D, got {x.ndim}D "
                             f"{'tensor ' if word == 'RNN' else ''}instead")
        self.check_ranks(hx, 3 if packed else x.ndim)
        same_dtype(x, self.weight_ih_l0, "input")
        if x.shape[-1] != self.input_size:
            raise ShapeError("input.size(-1) must be equal to input_size. Expected "
                             f"{self.input_size}, got {x.shape[-1]}")
        return x

    def check_ranks(self, hx: Any, rank: int) -> None:
        """Refuse states whose number or rank does not fit the input's."""
        if hx is None:
            return
        given = unpacked(hx, len(self.cell.states))
        if any(s.ndim != rank for s in given):
            kind = "batched 3-D" if rank == 3 else "unbatched 2-D"
            ranks = ", ".join(f"{s.ndim}-D" for s in given)
            names, got = ("hx", f"{ranks} tensor") if len(given) == 1 else \
                ("hx and cx", f"({ranks}) tensors")
            raise ShapeError(f"For {kind} input, {names} should also be {rank}-D but got {got}")

    def states(self, hx: Any, x: Tensor, batched: bool) -> list[list[Tensor]]:
        """For each state the first values of all lanes, each (N, H or P), checked."""
        count, lanes, (T, N) = len(self.cell.states), len(self.lanes()), x.shape[:2]
        sizes = [(N, (self.proj_size or self.hidden_size) if k == 0 else self.hidden_size)
                 for k in range(count)]
        if hx is None:
            return [self.initial(name, own, x) for name, own in zip(self.cell.states, sizes)]
        found = []
        for k, (s, own) in enumerate(zip(unpacked(hx, count), sizes)):
            name, shape = "hidden" if count == 1 else f"hidden[{k}]", (lanes, *own)
            s = s if batched else unsqueeze(s, 1)
            if s.shape != shape:
                hint = f": the input is read as T={T}, N={N}: is batch_first what you mean?" \
                    if s.shape == (lanes, T, shape[2]) else ""
                raise ShapeError(f"Expected {name} size {shape}, got {list(s.shape)}{hint}")
            same_dtype(s, self.weight_ih_l0, "hx")
            found.append([s[k] for k in range(lanes)])
        return found

    def initial(self, state: str, size: tuple[int, int], x: Tensor) -> list[Tensor]:
        """What a state starts from where none is given: zeros, or what has been learned."""
        if not self.options.learn_init:
            return [wrap(np.zeros(size, x.dtype))] * len(self.lanes())
        learned = getattr(self, f"{state.split('_')[0]}_0")
        return [expand(learned[k], shape=size) for k in range(len(self.lanes()))]


def hidden(last: list[Tensor]) -> Any:
    """The final states as a layer returns them: one Tensor, or an LSTM's (h_n, c_n)."""
    return last[0] if len(last) == 1 else tuple(last)
