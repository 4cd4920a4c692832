"""Optimizers: how parameters change after backward, under torch's names."""
from tinyseq.optim.adam import Adam
from tinyseq.optim.optimizer import Optimizer
from tinyseq.optim.sgd import SGD

__all__ = ["Adam", "Optimizer", "SGD"]
