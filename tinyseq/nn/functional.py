"""The operations under the names that torch.nn.functional gives them."""
from tinyseq.ops import (cross_entropy, dropout, embedding, linear, log_softmax, mse_loss,
                         nll_loss, relu, sigmoid, softmax, tanh)

__all__ = ["cross_entropy", "dropout", "embedding", "linear", "log_softmax", "mse_loss",
           "nll_loss", "relu", "sigmoid", "softmax", "tanh"]
