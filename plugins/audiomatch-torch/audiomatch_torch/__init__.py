"""What audiomatch's torch plugins share, on Hugging Face accelerate.

A matcher makes one `Compute` of its `Run`, gives `train` a function from rows to losses, gives
`predict` a function from rows to numbers, and keeps its weights with `save_tensors`.
"""

from audiomatch_torch.batches import by_length, chunks, shuffled
from audiomatch_torch.compute import Compute
from audiomatch_torch.predicting import predict
from audiomatch_torch.tensors import load_into, load_tensors, save_tensors
from audiomatch_torch.training import TrainOptions, train
from audiomatch_torch.weights import (
    Weights,
    digest_of,
    packaged_folder,
    read_config,
    resolve_weights,
)

__version__ = "0.2.0"

__all__ = [
    "Compute",
    "TrainOptions",
    "Weights",
    "by_length",
    "chunks",
    "digest_of",
    "load_into",
    "load_tensors",
    "packaged_folder",
    "predict",
    "read_config",
    "resolve_weights",
    "save_tensors",
    "shuffled",
    "train",
]
