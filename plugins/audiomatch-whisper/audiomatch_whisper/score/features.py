"""What the score is made of: eight numbers of a text, given the speech and given silence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from transformers import WhisperForConditionalGeneration

from audiomatch_whisper.net.decoder import CrossAttentionCache, decode
from audiomatch_whisper.score.targets import TargetBatch
from audiomatch_whisper.score.tokens import Normalise, next_token_log_p, same_position_logit

# Temperature of the soft minimum over words, in nats.
SOFTNESS = 2.0


class ScoreFeatures(NamedTuple):
    """The features of some texts, each (n,), in the order in which the head takes them.

    Measured (benchmarks/results/whisper-evidence.md): what is not here did not pay for itself. The
    end's own log probability says whether speech is left when the text is over. The gain over
    silence is the log probability less that of the same decoder given silence: the pointwise mutual
    information of speech and token, without what the text alone makes likely.

    Attributes:
        mean_log_p: mean log probability of the text's tokens.
        least_log_p: that of the least probable token.
        same_position: mean logit of each token at its own position.
        log_tokens: log of how many tokens there are.
        end_log_p: log probability that the text ends there.
        mean_gain: mean gain over silence.
        least_word_log_p: soft minimum over words of a word's log probability.
        least_word_gain: soft minimum over words of a word's gain over silence.
    """

    mean_log_p: Tensor
    least_log_p: Tensor
    same_position: Tensor
    log_tokens: Tensor
    end_log_p: Tensor
    mean_gain: Tensor
    least_word_log_p: Tensor
    least_word_gain: Tensor

    @classmethod
    def of(
        cls,
        model: WhisperForConditionalGeneration,
        batch: TargetBatch,
        cache: CrossAttentionCache,
        silent: Tensor,
        normalise: Normalise | None = None,
    ) -> ScoreFeatures:
        """Compute them.

        Args:
            model: the Whisper.
            batch: n texts.
            cache: of the clips.
            silent: the log probability of each token given silence, (n, maximum).
            normalise: see `next_token_log_p`.
        """
        hidden = decode(model.model.decoder, batch.tree, cache)  # (nodes, d)
        log_p = next_token_log_p(model, hidden, batch, normalise)  # (n, maximum)
        gain = log_p - silent
        own = batch.own
        count = own.sum(1)
        return cls(
            mean_log_p=(log_p * own).sum(1) / count,
            least_log_p=log_p.masked_fill(own == 0, torch.inf).amin(1),
            same_position=same_position_logit(model, hidden, batch),
            log_tokens=count.log(),
            end_log_p=log_p.gather(1, batch.last).squeeze(1),
            mean_gain=(gain * own).sum(1) / count,
            least_word_log_p=least_word(log_p, batch),
            least_word_gain=least_word(gain, batch),
        )

    def stacked(self) -> Tensor:
        """Return them as (n, features)."""
        return torch.stack(self, dim=1)


def least_word(values: Tensor, batch: TargetBatch) -> Tensor:
    """Soft minimum over words of the sum of a word's values: (n, maximum) to (n,).

    -τ log mean exp(-x/τ) over the words, with τ = `SOFTNESS`.
    """
    own = batch.own
    words = int(batch.words.max()) + 1
    zeros = torch.zeros(len(values), words, device=values.device)
    sums = zeros.scatter_add(1, batch.words, values * own)  # (n, words)
    there = zeros.scatter_add(1, batch.words, own) > 0
    scaled = (-sums / SOFTNESS).masked_fill(~there, -torch.inf)
    return -SOFTNESS * (scaled.logsumexp(1) - there.sum(1).log())
