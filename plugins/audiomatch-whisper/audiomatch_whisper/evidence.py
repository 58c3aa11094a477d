"""What a Whisper says of a text, given the speech."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from transformers import WhisperForConditionalGeneration

from audiomatch_whisper.network import Memory, decode
from audiomatch_whisper.normaliser import log_normaliser
from audiomatch_whisper.texts import TextBatch

Normalise = Callable[[Tensor], Tensor]

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
    logits = _logits(hidden[texts.at], model.proj_out.weight[texts.wanted])
    own = texts.own
    return (logits * own).sum(1) / own.sum(1)


def next_token(
    model: WhisperForConditionalGeneration,
    hidden: Tensor,
    texts: TextBatch,
    normalise: Normalise | None = None,
) -> Tensor:
    """Log probability of each of the text's tokens and of its end, after those before it.

    Shape (n, most), 0 where the mask is. The softmax is normalised by `normalise`, or plainly where
    it is None; only after the prompt, and where texts share a beginning, once.
    """
    normalise = normalise or partial(log_normaliser, matrix=model.proj_out.weight)
    expects = torch.nonzero(texts.reading.places >= texts.prompt - 1)[:, 0]
    normaliser = torch.zeros(len(hidden), device=hidden.device)
    normaliser[expects] = normalise(hidden[expects])
    logits = _logits(hidden[texts.before], model.proj_out.weight[texts.wanted])
    # A normaliser that is not exact may be less than what it is made of.
    log_p = (logits - normaliser[texts.before]).clamp(max=0)
    return log_p.masked_fill(texts.mask == 0, 0.0)


def _logits(hidden: Tensor, rows: Tensor) -> Tensor:
    with torch.autocast(hidden.device.type, enabled=False):
        return (hidden.float() * rows.float()).sum(-1)


def log_p_in_silence(
    model: WhisperForConditionalGeneration,
    texts: TextBatch,
    silence: Memory,
    normalise: Normalise | None = None,
) -> Tensor:
    """Log probability of each token where the decoder hears nothing: (n, most).

    Args:
        model: the Whisper.
        texts: all read against one clip.
        silence: of that clip.
        normalise: see `next_token`.
    """
    return next_token(model, decode(model, texts.reading, silence), texts, normalise)


def evidence(
    model: WhisperForConditionalGeneration,
    texts: TextBatch,
    memory: Memory,
    unheard: Tensor,
    normalise: Normalise | None = None,
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
        normalise: see `next_token`.
    """
    hidden = decode(model, texts.reading, memory)
    log_p = next_token(model, hidden, texts, normalise)
    gain = log_p - unheard
    own = texts.own
    count = own.sum(1)
    return torch.stack(
        [
            (log_p * own).sum(1) / count,
            log_p.masked_fill(own == 0, torch.inf).amin(1),
            same_position(model, hidden, texts),
            count.log(),
            log_p.gather(1, texts.last).squeeze(1),
            (gain * own).sum(1) / count,
            least_word(log_p, texts),
            least_word(gain, texts),
        ],
        dim=1,
    )


def least_word(values: Tensor, texts: TextBatch) -> Tensor:
    """Soft minimum over words of the sum of a word's values: (n, most) to (n,).

    -τ log mean exp(-x/τ) over the words, with τ = `SOFTNESS`.
    """
    own = texts.own
    most = int(texts.words.max()) + 1
    zeros = torch.zeros(len(values), most, device=values.device)
    sums = zeros.scatter_add(1, texts.words, values * own)
    there = zeros.scatter_add(1, texts.words, own) > 0
    scaled = (-sums / SOFTNESS).masked_fill(~there, -torch.inf)
    return -SOFTNESS * (scaled.logsumexp(1) - there.sum(1).log())
