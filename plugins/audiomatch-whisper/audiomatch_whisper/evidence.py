"""What a Whisper says of a text, given the speech."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import WhisperForConditionalGeneration

NAMES = ("mean log p", "min log p", "mean same-position logit", "log tokens", "end log p")


def encode(model: WhisperForConditionalGeneration, mel: Tensor) -> Tensor:
    """Run the encoder on log-mel of any length up to 30 s: (n, mels, frames) to (n, frames/2, d).

    transformers' own `forward` takes exactly 30 s; on those it gives the same.
    """
    encoder = model.model.encoder
    x = functional.gelu(encoder.conv1(mel))
    x = functional.gelu(encoder.conv2(x)).transpose(1, 2)
    x = x + encoder.embed_positions.weight[: x.shape[1]]
    x = functional.dropout(x, encoder.dropout, encoder.training)
    for layer in encoder.layers:
        x = layer(x, None)
    out: Tensor = encoder.layer_norm(x)
    return out


def pad_ids(texts: Sequence[NDArray[np.int64]], padding: int) -> tuple[Tensor, Tensor]:
    """Stack ids of unequal number: ids (n, most) and a mask (n, most) that is 1 where they are."""
    most = max(map(len, texts))
    ids = torch.full((len(texts), most), padding)
    mask = torch.zeros(len(texts), most)
    for i, text in enumerate(texts):
        ids[i, : len(text)] = torch.from_numpy(text)
        mask[i, : len(text)] = 1
    return ids, mask


def decode(model: WhisperForConditionalGeneration, ids: Tensor, states: Tensor) -> Tensor:
    """Run the decoder: ids (n, t) and encoder states (n, s, d) to hidden states (n, t, d).

    What pads the ids lies after them, where the causal mask hides it.
    """
    hidden: Tensor = model.model.decoder(
        input_ids=ids, encoder_hidden_states=states, use_cache=False
    ).last_hidden_state
    return hidden


def same_position(
    model: WhisperForConditionalGeneration, hidden: Tensor, ids: Tensor, mask: Tensor, prompt: int
) -> Tensor:
    """Mean over the text's tokens of the logit of each token at its own position, shape (n,).

    The row of the output matrix that belongs to the token, times the hidden state: what the whole
    vocabulary's logits hold at that place.
    """
    with torch.autocast(hidden.device.type, enabled=False):
        rows = model.proj_out.weight[ids[:, prompt:]].float()
        logits = (hidden[:, prompt:].float() * rows).sum(-1)
        own = mask[:, prompt:]
        return (logits * own).sum(1) / own.sum(1)


def next_token(
    model: WhisperForConditionalGeneration, hidden: Tensor, ids: Tensor, mask: Tensor, prompt: int
) -> Tensor:
    """Log probability of each of the text's tokens after those before it: (n, t - prompt).

    0 where the mask is. Only the text's own positions are multiplied with the output matrix.
    """
    own = mask[:, prompt:].bool()
    wanted = ids[:, prompt:][own]
    logits = model.proj_out(hidden[:, prompt - 1 : -1][own]).float()
    out = torch.zeros_like(mask[:, prompt:])
    log_p = -functional.cross_entropy(logits, wanted, reduction="none")
    return out.masked_scatter(own, log_p)


def evidence(
    model: WhisperForConditionalGeneration, hidden: Tensor, ids: Tensor, mask: Tensor, prompt: int
) -> Tensor:
    """Return the numbers of `NAMES` for each text, shape (n, 5); each text closes with its end.

    The end's own log probability says whether speech is left when the text is over.
    """
    last = mask.sum(1, keepdim=True).long() - 1
    text = mask.scatter(1, last, 0.0)
    log_p = next_token(model, hidden, ids, mask, prompt)
    end = log_p.gather(1, last - prompt).squeeze(1)
    own = text[:, prompt:]
    count = own.sum(1)
    mean = (log_p * own).sum(1) / count
    least = log_p.masked_fill(own == 0, torch.inf).amin(1)
    same = same_position(model, hidden, ids, text, prompt)
    return torch.stack([mean, least, same, count.log(), end], dim=1)
