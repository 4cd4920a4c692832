"""torch's names for datasets, samplers and loaders; they live in `tinyseq.data`."""
from tinyseq.data import (BatchSampler, ConcatDataset, DataLoader, Dataset, IterableDataset,
                          RandomSampler, Sampler, SequentialSampler, Subset, SubsetRandomSampler,
                          TensorDataset, WeightedRandomSampler, default_collate, default_convert,
                          random_split)

__all__ = ["BatchSampler", "ConcatDataset", "DataLoader", "Dataset", "IterableDataset",
           "RandomSampler", "Sampler", "SequentialSampler", "Subset", "SubsetRandomSampler",
           "TensorDataset", "WeightedRandomSampler", "default_collate", "default_convert",
           "random_split"]
