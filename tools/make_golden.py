#!/usr/bin/env python3
"""Write tests/goldens/recurrent.npz: what PyTorch computes for its recurrent layers, in float64.

    tools/make_golden.py            needs torch (pip install torch==2.13.0); the tests do not

For each layer and bias: input, initial states, weights and cotangents, and torch's outputs, final
states and all gradients. tests/test_golden.py compares tinyseq with them at every detail.
"""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "goldens" / "recurrent.npz"
T, N, I, H = 6, 3, 4, 5  # noqa: E741  (all different)
KINDS = {"rnn_tanh": ("RNN", {}, 1), "rnn_relu": ("RNN", {"nonlinearity": "relu"}, 1),
         "lstm": ("LSTM", {}, 2), "gru": ("GRU", {}, 1)}


def golden() -> dict[str, np.ndarray]:
    """All arrays by name: kind.bias.what."""
    import torch
    found: dict[str, np.ndarray] = {"torch": np.array(torch.__version__.split("+")[0])}
    for kind, (name, more, count) in KINDS.items():
        for bias in (True, False):
            torch.manual_seed(3)
            layer = getattr(torch.nn, name)(I, H, bias=bias, dtype=torch.float64, **more)
            values = run(torch, layer, count)
            found |= {f"{kind}.{'bias' if bias else 'nobias'}.{key}": value
                      for key, value in values.items()}
    return found


def run(torch: Any, layer: Any, count: int) -> dict[str, np.ndarray]:
    """One layer forward and backward, with random cotangents on all it returns."""
    x = torch.randn(T, N, I, dtype=torch.float64, requires_grad=True)
    states = [torch.randn(1, N, H, dtype=torch.float64, requires_grad=True) for _ in range(count)]
    y, finals = layer(x, tuple(states) if count > 1 else states[0])
    finals = finals if count > 1 else (finals,)
    gy, gs = torch.randn_like(y), [torch.randn_like(s) for s in finals]
    torch.autograd.backward([y, *finals], [gy, *gs])
    values = {"x": x, "y": y, "gy": gy, "grad.x": x.grad}
    for k in range(count):
        values |= {f"state{k}": states[k], f"final{k}": finals[k], f"gfinal{k}": gs[k],
                   f"grad.state{k}": states[k].grad}
    for name, p in layer.named_parameters():
        values |= {name: p, f"grad.{name}": p.grad}
    return {key: value.detach().numpy() for key, value in values.items()}


def main() -> int:
    GOLDEN.parent.mkdir(exist_ok=True)
    np.savez_compressed(GOLDEN, **golden())
    print(f"wrote {GOLDEN.name}: {GOLDEN.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
