"""The operations under the names that torch.nn.functional gives them."""
from tinyseq.ops import (bilinear, dropout, elu, embedding, gelu, hardsigmoid, hardtanh,
                         leaky_relu, linear, log_softmax, logsigmoid, one_hot, pad, relu, sigmoid,
                         silu, softmax, softplus, softsign, tanh)
from tinyseq.ops.loss import cross_entropy, nll_loss
from tinyseq.ops.normalise import layer_norm
from tinyseq.ops.regression import (binary_cross_entropy, binary_cross_entropy_with_logits,
                                    huber_loss, kl_div, l1_loss, mse_loss, smooth_l1_loss)

__all__ = ["bilinear", "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy",
           "dropout", "elu", "embedding", "gelu", "hardsigmoid", "hardtanh", "huber_loss",
           "kl_div", "l1_loss", "layer_norm", "leaky_relu", "linear", "log_softmax", "logsigmoid",
           "mse_loss", "nll_loss", "one_hot", "pad", "relu", "sigmoid", "silu", "smooth_l1_loss",
           "softmax", "softplus", "softsign", "tanh"]
