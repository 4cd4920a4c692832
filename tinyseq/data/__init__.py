"""Text, tasks and datasets to train on, and loaders of them; nothing is downloaded."""
from __future__ import annotations

from tinyseq.data import tasks
from tinyseq.data.dataset import (ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset,
                                  random_split)
from tinyseq.data.loader import DataLoader, default_collate, default_convert
from tinyseq.data.ngram import LARGEST_VALIDATION, baselines
from tinyseq.data.sampler import (BatchSampler, RandomSampler, Sampler, SequentialSampler,
                                  SubsetRandomSampler, WeightedRandomSampler)
from tinyseq.data.stream import Batch, StreamLoader
from tinyseq.data.text import Text, Window, load_text, streams

__all__ = ["Batch", "BatchSampler", "ConcatDataset", "DataLoader", "Dataset", "IterableDataset",
           "LARGEST_VALIDATION", "RandomSampler", "Sampler", "SequentialSampler", "StreamLoader",
           "Subset", "SubsetRandomSampler", "TensorDataset", "Text", "WeightedRandomSampler",
           "Window", "baselines", "default_collate", "default_convert", "load_text",
           "random_split", "streams", "tasks"]
