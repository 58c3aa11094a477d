"""A network as it was before it was trained, beside the one that is.

A Whisper that is trained to judge words says less well whether all of a text was said, and what it
says of the clips that it was trained on is no evidence. What training leaves alone is shared.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy

from audiomatch_torch import load_into
from torch import Tensor

from audiomatch_whisper.net.modules import WhisperNetwork


def kept_beside(model: WhisperNetwork, trained: Collection[str] | None = None) -> WhisperNetwork:
    """Return the network as it is now, with parameters of its own for what is trained.

    Args:
        model: the network.
        trained: names of parameters; those that have gradients where None.
    """
    shared = {
        id(parameter): parameter
        for name, parameter in model.named_parameters()
        if not (parameter.requires_grad if trained is None else name in trained)
    }
    return deepcopy(model, shared).requires_grad_(requires_grad=False)


def tensors_beside(untrained: WhisperNetwork, model: WhisperNetwork) -> dict[str, Tensor]:
    """Return the parameters that `untrained` does not share with `model`."""
    trained = dict(model.named_parameters())
    own = untrained.named_parameters()
    return {name: parameter.detach() for name, parameter in own if parameter is not trained[name]}


def restored_beside(
    model: WhisperNetwork, tensors: Mapping[str, Tensor], source: str
) -> WhisperNetwork:
    """Return the network that gave `tensors_beside`; raises `WeightsError` with the source."""
    untrained = kept_beside(model, tensors)
    load_into(untrained, {**untrained.state_dict(), **tensors}, source)
    return untrained
