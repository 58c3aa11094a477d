"""How probable the tokens of a text are, given the speech."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from audiomatch_torch import without_autocast
from torch import Tensor

from audiomatch_whisper.net.decoder import CrossAttentionCache, decode
from audiomatch_whisper.net.modules import WhisperNetwork
from audiomatch_whisper.net.softmax import log_normaliser
from audiomatch_whisper.score.spellings import spread
from audiomatch_whisper.score.targets import TargetBatch

Normalise = Callable[[Tensor], Tensor]


class Reading(NamedTuple):
    """What the decoder makes of some texts.

    Attributes:
        log_p: the log probability of each token after those before it, (n, maximum), 0 where the
            mask is. A word has that of all its spellings, shared out among its tokens.
        likeliest: the number of each word's likeliest spelling, (n, words), 0 where that is the
            one that is written; None where no word has another.
    """

    log_p: Tensor
    likeliest: Tensor | None


def score_tokens(
    model: WhisperNetwork,
    batch: TargetBatch,
    cache: CrossAttentionCache,
    normalise: Normalise | None = None,
) -> Tensor:
    """Return the log probability of each token after those before it, given the speech.

    Shape (n, maximum), 0 where the mask is; see `Reading`.
    """
    hidden = decode(model.model.decoder, batch.tree, cache)
    return read_tokens(model, hidden, batch, normalise).log_p


def read_tokens(
    model: WhisperNetwork,
    hidden: Tensor,
    batch: TargetBatch,
    normalise: Normalise | None = None,
) -> Reading:
    """Say how probable each token is after those before it.

    The softmax is normalised only after the prompt, and where texts share a beginning, once.

    Args:
        model: the Whisper.
        hidden: of the batch's nodes, (nodes, d), as `decode` gives it.
        batch: the tokens.
        normalise: log Σ exp of the logits of each state, (n, d) to (n,); exact where it is None.
    """
    normalise = normalise or partial(log_normaliser, matrix=model.proj_out.weight)
    normaliser = torch.zeros(len(hidden), device=hidden.device)
    normaliser[batch.expects] = normalise(hidden[batch.expects])

    def log_p_of(nodes: Tensor, tokens: Tensor) -> Tensor:
        # A normaliser that is not exact may be less than what it is made of.
        return (_logits(model, hidden, nodes, tokens) - normaliser[nodes]).clamp(max=0)

    log_p = log_p_of(batch.before, batch.tokens).masked_fill(batch.mask == 0, 0.0)
    spellings = batch.spellings
    if spellings is None:
        return Reading(log_p, None)
    written = batch.sum_words(log_p)  # (n, words)
    each = spellings.log_p(written, log_p_of(spellings.before, spellings.tokens))
    heard = spread(log_p, batch.words, written, each.logsumexp(2))
    return Reading(torch.where(batch.own > 0, heard, log_p), each.argmax(2))


def same_position_logit(model: WhisperNetwork, hidden: Tensor, batch: TargetBatch) -> Tensor:
    """Return the mean over each text's tokens of the logit of a token at its own position: (n,).

    The last token of a target is left out. `hidden` is that of `read_tokens`.
    """
    own = batch.own
    return (_logits(model, hidden, batch.at, batch.tokens) * own).sum(1) / own.sum(1)


def end_logit_lead(model: WhisperNetwork, hidden: Tensor, batch: TargetBatch) -> Tensor:
    """Return how many nats likelier the end of text is in place of each token: (n, maximum).

    `hidden` is that of `read_tokens`.
    """
    return logit_lead(model, hidden, batch.before, batch.tokens.gather(1, batch.last), batch.tokens)


def logit_lead(
    model: WhisperNetwork, hidden: Tensor, nodes: Tensor, tokens: Tensor, others: Tensor
) -> Tensor:
    """Return how many nats likelier each token is than another at a node, in the shape of nodes.

    The arguments are broadcast; `hidden` is that of `read_tokens`.
    """
    weight = model.proj_out.weight
    with without_autocast(hidden.device):
        rows = weight[tokens].float() - weight[others].float()  # (…, d)
        lead: Tensor = (hidden[nodes].float() * rows).sum(-1)
        return lead


def _logits(model: WhisperNetwork, hidden: Tensor, nodes: Tensor, tokens: Tensor) -> Tensor:
    """Return the logit of each token at a node, in the shape of both.

    The row of the output matrix that belongs to the token, times the hidden state: what the whole
    vocabulary's logits hold at that place.
    """
    states, rows = hidden[nodes], model.proj_out.weight[tokens]  # (…, d)
    with without_autocast(hidden.device):
        logits: Tensor = (states.float() * rows.float()).sum(-1)
        return logits
