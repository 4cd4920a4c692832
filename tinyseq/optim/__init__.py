"""Optimizers: how parameters change after backward, under torch's names."""
from tinyseq.optim import lr_scheduler
from tinyseq.optim.adam import Adam, AdamW
from tinyseq.optim.adaptive import Adadelta, Adagrad, RMSprop
from tinyseq.optim.optimizer import Optimizer
from tinyseq.optim.sgd import SGD

__all__ = ["Adadelta", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "SGD", "lr_scheduler"]
