"""Layers: modules that own parameters, under torch's names."""
from tinyseq.nn import functional, init, utils
from tinyseq.nn.activations import (ELU, GELU, Hardsigmoid, Hardtanh, LeakyReLU, LogSigmoid,
                                    LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Softplus, Softsign,
                                    Tanh)
from tinyseq.nn.carry import detached
from tinyseq.nn.cells import GRUCell, LSTMCell, RNNCell
from tinyseq.nn.containers import (ModuleDict, ModuleList, ParameterDict, ParameterList,
                                   Sequential)
from tinyseq.nn.dropout import Dropout, Flatten, Identity
from tinyseq.nn.embedding import Embedding
from tinyseq.nn.linear import Bilinear, Linear
from tinyseq.nn.losses import (BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, KLDivLoss,
                               L1Loss, MSELoss, NLLLoss, SmoothL1Loss)
from tinyseq.nn.module import Module
from tinyseq.nn.norm import LayerNorm
from tinyseq.nn.packing import last_output
from tinyseq.nn.recurrent import GRU, LSTM, RNN, Recurrent
from tinyseq.nn.rnnbase import RNNBase
from tinyseq.tensor import Parameter

__all__ = ["BCELoss", "BCEWithLogitsLoss", "Bilinear", "CrossEntropyLoss", "Dropout", "ELU",
           "Embedding", "Flatten", "GELU", "GRU", "GRUCell", "Hardsigmoid", "Hardtanh",
           "HuberLoss", "Identity", "KLDivLoss", "L1Loss", "LSTM", "LSTMCell", "LayerNorm",
           "LeakyReLU", "Linear", "LogSigmoid", "LogSoftmax", "MSELoss", "Module", "ModuleDict",
           "ModuleList", "NLLLoss", "Parameter", "ParameterDict", "ParameterList", "RNN",
           "RNNBase", "RNNCell", "ReLU", "Recurrent", "Sequential", "SiLU", "Sigmoid",
           "SmoothL1Loss", "Softmax", "Softplus", "Softsign", "Tanh", "detached", "functional",
           "init", "last_output", "utils"]
