"""How probable the tokens of a text are, given the speech."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from audiomatch_torch import without_autocast
from torch import Tensor
from transformers import WhisperForConditionalGeneration

from audiomatch_whisper.net.decoder import CrossAttentionCache, decode
from audiomatch_whisper.net.softmax import log_normaliser
from audiomatch_whisper.score.targets import TargetBatch

Normalise = Callable[[Tensor], Tensor]


def score_tokens(
    model: WhisperForConditionalGeneration,
    batch: TargetBatch,
    cache: CrossAttentionCache,
    normalise: Normalise | None = None,
) -> Tensor:
    """Return the log probability of each token after those before it, given the speech.

    Shape (n, maximum), 0 where the mask is; see `next_token_log_p`.
    """
    hidden = decode(model.model.decoder, batch.tree, cache)
    return next_token_log_p(model, hidden, batch, normalise)


def next_token_log_p(
    model: WhisperForConditionalGeneration,
    hidden: Tensor,
    batch: TargetBatch,
    normalise: Normalise | None = None,
) -> Tensor:
    """Return the log probability of each token after those before it: (n, maximum).

    It is 0 where the mask is. The softmax is normalised only after the prompt, and where texts
    share a beginning, once.

    Args:
        model: the Whisper.
        hidden: of the batch's nodes, (nodes, d), as `decode` gives it.
        batch: the tokens.
        normalise: log Σ exp of the logits of each state, (n, d) to (n,); exact where it is None.
    """
    normalise = normalise or partial(log_normaliser, matrix=model.proj_out.weight)
    expects = torch.nonzero(batch.tree.depths >= batch.prompt - 1)[:, 0]
    normaliser = torch.zeros(len(hidden), device=hidden.device)
    normaliser[expects] = normalise(hidden[expects])
    # A normaliser that is not exact may be less than what it is made of.
    log_p = (_logits(model, hidden, batch.before, batch) - normaliser[batch.before]).clamp(max=0)
    return log_p.masked_fill(batch.mask == 0, 0.0)


def same_position_logit(
    model: WhisperForConditionalGeneration, hidden: Tensor, batch: TargetBatch
) -> Tensor:
    """Return the mean over each text's tokens of the logit of a token at its own position: (n,).

    The last token of a target is left out. `hidden` is that of `next_token_log_p`.
    """
    own = batch.own
    return (_logits(model, hidden, batch.at, batch) * own).sum(1) / own.sum(1)


def _logits(
    model: WhisperForConditionalGeneration, hidden: Tensor, nodes: Tensor, batch: TargetBatch
) -> Tensor:
    """Return the logit of each token at a node: (n, maximum).

    The row of the output matrix that belongs to the token, times the hidden state: what the whole
    vocabulary's logits hold at that place.
    """
    states, rows = hidden[nodes], model.proj_out.weight[batch.tokens]  # (n, maximum, d)
    with without_autocast(hidden.device):
        logits: Tensor = (states.float() * rows.float()).sum(-1)
        return logits
