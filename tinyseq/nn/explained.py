"""What a recurrent layer computes, to be read: its cell's equations, and where names live."""
from __future__ import annotations

from typing import Any

from tinyseq.equations import Cell
from tinyseq.nn.options import Options, home
from tinyseq.tensor import Parameter


class Explained:
    """What is to be read of a recurrent layer: its equations, its weights' names, its repr."""

    def equations(self: Any, format: str = "text") -> str:
        """What this very object computes, forward and backward, as "text" or "latex".

        Every layer and direction computes the same with weights of its own. The text is what one
        would write for numpy: a row is a sequence, weight_ih.v are the rows of the gate v, x.v is
        the product of x with them; mean and sum are over the units.
        Example:
            >>> import tinyseq as ts
            >>> print(ts.nn.RNN(3, 4, bias=False).equations())
            x.h = x @ weight_ih.h.T
            h.h = h @ weight_hh.h.T
            h_next = tanh(x.h + h.h)
            <BLANKLINE>
            # backward, from the last step to the first: g_v is dL/dv, gy what the loss adds to it,
            # g_h on the right what the step after left; += adds up all steps and sequences
            g_h_next = gy + g_h
            g_x.h = g_h.h = g_h_next * (1.0 - h_next * h_next)
            g_weight_ih.h += g_x.h.T @ x
            g_weight_hh.h += g_h.h.T @ h
            g_x = g_x.h @ weight_ih.h
            g_h = g_h.h @ weight_hh.h
        """
        found = self.cell.equations(format, backward=True, bias=self.bias)
        if format != "text":
            return found
        notes = [*parameters(self.cell), *masks(self.cell, self.options)]
        return "\n".join([found, *[f"# {note}" for note in notes]])

    @property
    def _all_weights(self: Any) -> list[list[str]]:
        """The names of the parameters, a list for each layer and direction; torch's users ask."""
        names = [name for name, _ in self.named_parameters()]
        return [[name for name in names if name.endswith(f"_l{layer}{suffix}")]
                for layer, _, suffix in self.lanes()]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters, a list for each layer and direction.

        Example:
            >>> import tinyseq as ts
            >>> [len(weights) for weights in ts.nn.GRU(3, 4, bidirectional=True).all_weights]
            [4, 4]
        """
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def extra_repr(self: Any) -> str:
        defaults = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False,
                    "dropout": 0.0, "bidirectional": False, **self.extras()}
        shown = [f"{self.input_size}, {self.hidden_size}"]
        shown += [f"{name}={getattr(self, name)}" for name, default in defaults.items()
                  if getattr(self, name) != default]
        shown += [f"{name}={value}" for name, value in self.options._asdict().items() if value]
        return ", ".join(shown)

    def extras(self) -> dict[str, Any]:
        """Further arguments that the repr shows, with their defaults."""
        return {}


def parameters(cell: Cell) -> list[str]:
    """Which parameter each vector of the cell's text is; a gate's rows of it as NAME.v."""
    found: dict[str, list[str]] = {}
    for vector in cell.vectors:
        name, gate = home(vector, cell)
        if gate is None:
            found[f"{vector} is the parameter {name}"] = []
        else:
            short = vector.removesuffix(cell.gates[gate])
            found.setdefault(f"{short}v is the parameter {name}.v", []).append(cell.gates[gate])
    return [f"{says}, v: {' '.join(gates)}" if gates else says for says, gates in found.items()]


def masks(cell: Cell, options: Options) -> list[str]:
    """What is drawn at random, how often, and what stands for it after training."""
    p, z = options.recurrent_dropout, options.zoneout
    says = {"m_h": f"m_h in training is 0 with probability {p:g}, else 1 / (1 - {p:g}), drawn "
                   "once a sequence; in eval 1"}
    for name in ("z_h", "z_c"):
        says[name] = (f"{name} in training is 1 with probability {z:g}, else 0, drawn at every "
                      f"step; in eval {z:g}")
    return [says.get(name, f"{name} is given at every step") for name in cell.given]
