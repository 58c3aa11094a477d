"""What the score is made of: eight numbers of a text, given the speech and given silence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from audiomatch_whisper.score.targets import TargetBatch

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
        log_p: Tensor,
        silent: Tensor,
        same_position: Tensor,
        batch: TargetBatch,
    ) -> ScoreFeatures:
        """Compute them.

        Args:
            log_p: the log probability of each token of n texts, (n, maximum).
            silent: that given silence, (n, maximum).
            same_position: see `same_position_logit`, (n,).
            batch: the texts.
        """
        gain = log_p - silent
        own = batch.own
        count = own.sum(1)
        return cls(
            mean_log_p=(log_p * own).sum(1) / count,
            least_log_p=log_p.masked_fill(own == 0, torch.inf).amin(1),
            same_position=same_position,
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
    sums = batch.sum_words(values)  # (n, words)
    there = batch.sum_words(torch.ones_like(values)) > 0
    scaled = (-sums / SOFTNESS).masked_fill(~there, -torch.inf)
    return -SOFTNESS * (scaled.logsumexp(1) - there.sum(1).log())
