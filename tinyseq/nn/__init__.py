"""Layers: modules that own parameters, under torch's names."""
from tinyseq.nn import functional, init, utils
from tinyseq.nn.cells import GRUCell, LSTMCell, RNNCell
from tinyseq.nn.embedding import Embedding
from tinyseq.nn.linear import Linear
from tinyseq.nn.module import Module
from tinyseq.nn.recurrent import GRU, LSTM, RNN, RNNBase
from tinyseq.tensor import Parameter

__all__ = ["Embedding", "GRU", "GRUCell", "LSTM", "LSTMCell", "Linear", "Module", "Parameter",
           "RNN", "RNNBase", "RNNCell", "functional", "init", "utils"]
