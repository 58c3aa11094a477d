"""What a Whisper says of a text, given the speech."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import WhisperForConditionalGeneration

from audiomatch_whisper.network import Memory, decode
from audiomatch_whisper.normaliser import token_log_p
from audiomatch_whisper.texts import TextBatch

# Measured (benchmarks/results/whisper-evidence.md): what is not here did not pay for itself.
NAMES = (
    "mean log p",
    "least log p",
    "mean same-position logit",
    "log tokens",
    "end log p",
    "mean gain over silence",
    "least word, log p",
    "least word, gain over silence",
)
# Temperature of the soft minimum over words, in nats.
SOFTNESS = 2.0


def same_position(
    model: WhisperForConditionalGeneration, hidden: Tensor, texts: TextBatch
) -> Tensor:
    """Mean over the text's tokens of the logit of each token at its own position, shape (n,).

    The row of the output matrix that belongs to the token, times the hidden state: what the whole
    vocabulary's logits hold at that place.
    """
    with torch.autocast(hidden.device.type, enabled=False):
        rows = model.proj_out.weight[texts.ids[:, texts.prompt :]].float()
        logits = (hidden[:, texts.prompt :].float() * rows).sum(-1)
        own = texts.own
        return (logits * own).sum(1) / own.sum(1)


def next_token(
    model: WhisperForConditionalGeneration,
    hidden: Tensor,
    texts: TextBatch,
    matrix: Tensor | None = None,
) -> Tensor:
    """Log probability of each of the text's tokens and of its end, after those before it.

    Shape (n, most - prompt), 0 where the mask is. Only the text's own positions are multiplied with
    the output matrix, or with `matrix`, which stands for it.
    """
    own = texts.mask[:, texts.prompt :].bool()
    wanted = texts.ids[:, texts.prompt :][own]
    matrix = model.proj_out.weight if matrix is None else matrix
    log_p = token_log_p(hidden[:, texts.prompt - 1 : -1][own], matrix, wanted)
    return torch.zeros(own.shape, device=own.device).masked_scatter(own, log_p)


def log_p_in_silence(
    model: WhisperForConditionalGeneration,
    texts: TextBatch,
    silence: Memory,
    matrix: Tensor | None = None,
) -> Tensor:
    """Log probability of each token where the decoder hears nothing: (n, t - prompt)."""
    hidden = decode(model, texts.ids, silence, np.zeros(len(texts.ids), dtype=np.int64))
    return next_token(model, hidden, texts, matrix)


def evidence(
    model: WhisperForConditionalGeneration,
    texts: TextBatch,
    memory: Memory,
    unheard: Tensor,
    owner: NDArray[np.int64] | None = None,
    matrix: Tensor | None = None,
) -> Tensor:
    """Return the numbers of `NAMES` for each text, shape (n, names).

    The end's own log probability says whether speech is left when the text is over. The gain over
    silence is the log probability less that of the same decoder listening to silence: the pointwise
    mutual information of speech and token, without what the text alone makes likely.

    Args:
        model: the Whisper.
        texts: (n, …).
        memory: of the clips.
        unheard: what `log_p_in_silence` gives for these texts.
        owner: see `network.decode`.
        matrix: see `next_token`.
    """
    hidden = decode(model, texts.ids, memory, owner)
    log_p = next_token(model, hidden, texts, matrix)
    gain = log_p - unheard
    own = texts.own
    count = own.sum(1)
    return torch.stack(
        [
            (log_p * own).sum(1) / count,
            log_p.masked_fill(own == 0, torch.inf).amin(1),
            same_position(model, hidden, texts),
            count.log(),
            log_p.gather(1, texts.last - texts.prompt).squeeze(1),
            (gain * own).sum(1) / count,
            least_word(log_p, texts),
            least_word(gain, texts),
        ],
        dim=1,
    )


def least_word(values: Tensor, texts: TextBatch) -> Tensor:
    """Soft minimum over words of the sum of a word's values: (n, t - prompt) to (n,).

    -τ log mean exp(-x/τ) over the words, with τ = `SOFTNESS`.
    """
    own = texts.own
    most = int(texts.words.max()) + 1
    zeros = torch.zeros(len(values), most, device=values.device)
    sums = zeros.scatter_add(1, texts.words, values * own)
    there = zeros.scatter_add(1, texts.words, own) > 0
    scaled = (-sums / SOFTNESS).masked_fill(~there, -torch.inf)
    return -SOFTNESS * (scaled.logsumexp(1) - there.sum(1).log())
