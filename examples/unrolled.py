#!/usr/bin/env python3
"""An unrolled LSTM with a loss at every step: columns are time steps, colours gradient norms.

    examples/unrolled.py [FILE]        writes unrolled.svg (or FILE: .svg, .dot, .png, .pdf)
"""
import sys

import tinyseq as ts

ts.manual_seed(0)
T, N, V, H = 4, 8, 10, 16
symbols = ts.randint(0, V, (T + 1, N))
embedding, lstm, readout = ts.nn.Embedding(V, 12), ts.nn.LSTM(12, H), ts.nn.Linear(H, V)
start = [ts.zeros(1, N, H, requires_grad=True) for _ in "hc"]

with ts.detail("gates"):                      # every operation a node that knows its time and gate
    y, (h, c) = lstm(embedding(symbols[:-1]), tuple(start))
losses = []
for t in range(T):
    with ts.scope(f"t={t}"):
        with ts.scope("y"):
            logits = readout(y[t])
        with ts.scope("L"):
            losses.append(ts.nn.functional.cross_entropy(logits, symbols[t + 1]))
loss = ts.stack(losses).sum()

picture = ts.draw(loss, mode="both", title="LSTM, four steps")
picture.save(sys.argv[1] if len(sys.argv) > 1 else "unrolled.svg")
print(picture)
print("||dL/dh|| after each step:", [f"{v:.3f}" for v in ts.bptt.flow(loss).lanes["h"][1:]])
print("shares of dL/dW_hh add up:", abs(ts.bptt.shares(loss, lstm.weight_hh_l0).sum(0)).max())
