#!/usr/bin/env python3
"""Recurrent layers as a notebook written for torch calls them: only the import line is another."""
import tinyseq as torch
from tinyseq import nn

_ = torch.manual_seed(0)
inputs = torch.randn(1, 10, 5)                   # one sequence of ten steps with five features

# A recurrent net over a whole sequence: the output of every step, and the last state
rnn = nn.RNN(5, 8, batch_first=True)
outputs, status = rnn(inputs)
print("RNN", outputs.shape, status.shape)

# Two layers: the outputs are the upper layer's, the states those of both
rnn = nn.RNN(5, 8, num_layers=2, batch_first=True)
outputs, status = rnn(inputs)
print("RNN, two layers", outputs.shape, status.shape)

# In both directions: the features are twice as many, and there is a state for each way
rnn = nn.RNN(5, 8, num_layers=2, batch_first=True, bidirectional=True)
outputs, status = rnn(inputs)
print("RNN, two layers, both ways", outputs.shape, status.shape)

# An LSTM has two states, a GRU one
lstm = nn.LSTM(5, 8, num_layers=2, batch_first=True, bidirectional=True)
outputs, (hidden, cell) = lstm(inputs)
print("LSTM, two layers, both ways", outputs.shape, hidden.shape, cell.shape)
gru = nn.GRU(5, 8, num_layers=2, batch_first=True, bidirectional=True)
outputs, status = gru(inputs)
print("GRU, two layers, both ways", outputs.shape, status.shape)

# One step at a time
step = nn.LSTMCell(5, 8)
hidden, cell = step(inputs[:, 0])
print("LSTMCell", hidden.shape, cell.shape)

# The parameters have their usual names and shapes
for name, parameter in nn.GRU(5, 8).named_parameters():
    print(name, parameter.shape)
