"""Weights from and to other frameworks, each conversion with a numeric proof: `load`, `export`.

Weights are dicts of arrays under the framework's own names, in its own layout. A stack of layers
is a list of them, the first layer first (a PyTorch state_dict holds them all).

    torch     layer.state_dict()
    keras     {w.name: w.numpy() for w in layer.weights}: kernel, recurrent_kernel, bias; in both
              directions a dict of two such, forward_layer and backward_layer
    flax      the params of a linen SimpleCell, OptimizedLSTMCell or LSTMCell, GRUCell; in both
              directions those of nn.Bidirectional: {"forward_rnn": {"cell": ...}, ...}
    equinox   a cell's weight_ih, weight_hh, bias, and a GRUCell's bias_n
    onnx      a node's inputs W, R, B and P, as arrays, and its attributes

What arrays do not say stands beside them, under the framework's own name; where nothing is said
the framework's default is meant: keras "reset_after" (a bias tells it as well) and "activation",
flax "activation_fn", torch "nonlinearity", onnx "linear_before_reset", "activations", "direction".
Dropout, a matter of training, is not converted.

Gate order: torch and Equinox i f g o, r z n; Keras i f c o, z r h; ONNX i o f c, z r h.
"""
from tinyseq.convert.converting import export, load
from tinyseq.convert.frameworks import LAYOUTS

__all__ = ["LAYOUTS", "export", "load"]
