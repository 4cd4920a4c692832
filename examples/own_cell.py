#!/usr/bin/env python3
"""A cell of your own: write its equations once; have it run, fused, checked and printed."""
import numpy as np

import tinyseq as ts
from tinyseq import sigmoid, tanh  # noqa: F401  (the words of the equations)
from tinyseq.gradcheck import check


@ts.cell(gates="u c", source="a minimal gated unit, after Zhou et al. 2016, arXiv 1603.09420")
def minimal(x, h):
    u = sigmoid(x.u + h.u)           # one gate that both forgets and updates
    a = u * h                        # what of the state the candidate sees
    c = tanh(x.c + a.c)              # candidate
    h_next = (1 - u) * h + u * c
    return h_next


print(minimal.equations())

rng = np.random.default_rng(0)
T, N, I, H = 5, 3, 3, 4
shapes = {"x": (T, N, I), "h": (N, H), "weight_ih": (2 * H, I), "weight_hh": (2 * H, H),
          "bias_ih": (2 * H,), "bias_hh": (2 * H,)}
tensors = {name: ts.tensor(rng.normal(0, 0.5, shape), requires_grad=True)
           for name, shape in shapes.items()}


def run(x, h, *weights):
    y, (last,) = ts.unroll(minimal, x, (h,), ts.Weights(*weights))
    return y, last


print(check(run, tensors))                                  # every line at every step
results = {}
for name in ("gates", "layers"):
    with ts.detail(name):
        y, last = run(*tensors.values())
    y.sum().backward()
    results[name] = tensors["weight_hh"].grad.array.copy()
    tensors["weight_hh"].grad = None
print("fused against op by op:", np.abs(results["gates"] - results["layers"]).max())
