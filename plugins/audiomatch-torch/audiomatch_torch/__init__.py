"""What audiomatch's torch plugins share, on Hugging Face accelerate.

A matcher subclasses `TorchMatcher` and its options `TorchConfig`. In `learn` it gives `train` a
function from rows to losses, in `logits` it gives `predict` a function from rows to numbers; what
an encoder that is not trained says of a clip is kept by `encode_once`.
"""

from audiomatch_torch.batches import by_length, chunks, shuffled
from audiomatch_torch.compute import Compute, without_autocast
from audiomatch_torch.config import TorchConfig, option, weights_option
from audiomatch_torch.digests import digest_of
from audiomatch_torch.hub import hub_folder
from audiomatch_torch.matcher import TorchMatcher
from audiomatch_torch.predicting import Encoded, Keep, encode_once, predict
from audiomatch_torch.processors import (
    Tokens,
    read_auto_config,
    read_extractor,
    read_fast_tokenizer,
    tokens_of,
)
from audiomatch_torch.quiet import quiet_transformers
from audiomatch_torch.sizes import build_network, check_config, check_preprocessor
from audiomatch_torch.tensors import load_into, load_pickled, load_tensors, save_tensors
from audiomatch_torch.training import TrainOptions, binary_cross_entropy, train
from audiomatch_torch.transfer import to_device
from audiomatch_torch.weights import (
    Weights,
    first_line,
    model_type,
    packaged_folder,
    read_config,
    resolve_weights,
    tensor_files,
)

__version__ = "0.2.0"

__all__ = [
    "Compute",
    "Encoded",
    "Keep",
    "Tokens",
    "TorchConfig",
    "TorchMatcher",
    "TrainOptions",
    "Weights",
    "binary_cross_entropy",
    "build_network",
    "by_length",
    "check_config",
    "check_preprocessor",
    "chunks",
    "digest_of",
    "encode_once",
    "first_line",
    "hub_folder",
    "load_into",
    "load_pickled",
    "load_tensors",
    "model_type",
    "option",
    "packaged_folder",
    "predict",
    "quiet_transformers",
    "read_auto_config",
    "read_config",
    "read_extractor",
    "read_fast_tokenizer",
    "resolve_weights",
    "save_tensors",
    "shuffled",
    "tensor_files",
    "to_device",
    "tokens_of",
    "train",
    "weights_option",
    "without_autocast",
]
