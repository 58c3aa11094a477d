"""Whether all of a text was said, and nothing else: what a Whisper's completing hides.

A decoder that has read half a sentence finds the other half likely, said or not. That a word was
not reached shows elsewhere: the decoder held the end likely before it, and its attention, which
moves on with the speech, leaves the word no time. What was said beside the text shows in the
attention too: it begins late, or jumps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiomatch_whisper.net.decoder import CrossAttentionCache
from audiomatch_whisper.score.alignment import FollowingHeads, mean_places, token_starts
from audiomatch_whisper.score.features import ScoreFeatures
from audiomatch_whisper.score.targets import Target, TargetBatch

NEVER = -15.0  # nats, where a text has one word: it cannot have ended before
FASTEST = 0.01  # seconds a letter, beside which faster is the same
LONGEST_LEFT = 2.0  # seconds
LONGEST_SKIPPED = 3.0  # seconds


class Reached(NamedTuple):
    """Whether each word of a text was reached, each (n,).

    Attributes:
        end_log_p: the most log probability that the text ends before one of its words.
        end_lead: log sum over its words, without the first, of how many times likelier the end is
            than the word.
        last_word_gain: the last word's gain over silence.
        log_pace: log of the least seconds a letter that a word takes, by the alignment.
    """

    end_log_p: Tensor
    end_lead: Tensor
    last_word_gain: Tensor
    log_pace: Tensor


class NothingLeft(NamedTuple):
    """Whether the speech was over when the text was, each (n,).

    Attributes:
        end_log_p: log probability that the text ends where it does.
        seconds_left: how long after its end there is sound, by the alignment.
    """

    end_log_p: Tensor
    seconds_left: Tensor


class NothingSkipped(NamedTuple):
    """Whether there was no other speech before the text or within it, each (n,).

    Places are mean places of attention.

    Attributes:
        seconds_before: from where the sound begins to the place of the text's first token.
        log_slowest: log of the most seconds a letter that a word takes, by the alignment.
        widest_gap: the most seconds between the places of neighbouring tokens.
    """

    seconds_before: Tensor
    log_slowest: Tensor
    widest_gap: Tensor


class Times(NamedTuple):
    """What the alignment and the places of attention say of a text, in seconds or their logs.

    The attributes are those of `Reached`, `NothingLeft` and `NothingSkipped`.
    """

    log_pace: float
    seconds_left: float
    seconds_before: float
    log_slowest: float
    widest_gap: float


# The columns of what `complete_features` returns: of the words, and of each class above.
WIDTHS = tuple(len(part._fields) for part in (ScoreFeatures, Reached, NothingLeft, NothingSkipped))


def complete_features(
    words: ScoreFeatures,
    log_p: Tensor,
    silent: Tensor,
    lead: Tensor,
    times: Tensor,
    batch: TargetBatch,
) -> Tensor:
    """Return the numbers of all parts side by side: (n, sum of `WIDTHS`).

    Args:
        words: of the same texts.
        log_p: the log probability of each token, (n, maximum).
        silent: that given silence, (n, maximum).
        lead: how many nats likelier the end is in place of each token, (n, maximum).
        times: what `speaking_times` gives.
        batch: the texts.
    """
    starts_word = _starts_of_later_words(batch)
    gain = (log_p - silent) * batch.own
    last_word = batch.words == batch.words.gather(1, (batch.last - 1).clamp(min=0))
    before = (log_p + lead).masked_fill(~starts_word, NEVER).amax(1)
    leads = torch.where(starts_word, lead, -torch.inf).logsumexp(1).clamp(min=NEVER)
    pace, left, *skipped = times.unbind(1)
    reached = Reached(before, leads, (gain * last_word).sum(1), pace)
    nothing_left = NothingLeft(log_p.gather(1, batch.last).squeeze(1), left)
    parts = [words, reached, nothing_left, NothingSkipped(*skipped)]
    return torch.stack([column for part in parts for column in part], dim=1)


def _starts_of_later_words(batch: TargetBatch) -> Tensor:
    """Say of each token whether it begins a word, but the text's first: (n, maximum)."""
    new = batch.words[:, 1:] != batch.words[:, :-1]
    first = torch.zeros_like(new[:, :1])
    return torch.cat([first, new], 1) & (batch.own > 0)


def speaking_times(
    following: FollowingHeads,
    targets: Sequence[Target],
    batch: TargetBatch,
    cache: CrossAttentionCache,
) -> Tensor:
    """Return the `Times` of each text: (n, 5), constants for the gradient.

    Args:
        following: what the decoder attended to.
        targets: n texts.
        batch: of the same texts.
        cache: of the clips, with the bounds of their sound.
    """
    assert cache.bounds is not None
    paths, found = batch.paths.cpu().numpy(), []
    for path, target, clip in zip(paths, targets, batch.owner, strict=True):
        weights = following.of(path[: len(target.read)])
        found.append(_time(weights, target, tuple(cache.bounds[clip])))
    return torch.tensor(found, dtype=torch.float32).to(batch.tokens.device)


def _time(weights: NDArray[np.float32], target: Target, bounds: tuple[float, float]) -> Times:
    count, prompt = len(target.tokens) - 1, len(target.prompt)
    starts = token_starts(weights, prompt, count, bounds)  # (count + 1,)
    first = np.flatnonzero(np.diff(target.words, prepend=-1))
    seconds = np.diff([*starts[first], starts[-1]])
    pace = np.log(seconds / np.maximum(target.letters, 1) + FASTEST)
    slowness = np.log(seconds / (np.array(target.letters) + 1) + FASTEST)
    places = mean_places(weights)[prompt - 1 : -1]
    between = np.diff(places, prepend=bounds[0])
    return Times(
        log_pace=float(pace.min()),
        seconds_left=float(np.clip(bounds[1] - starts[-1], 0, LONGEST_LEFT)),
        seconds_before=float(np.clip(between[0], -LONGEST_SKIPPED, LONGEST_SKIPPED)),
        log_slowest=float(slowness.max()),
        widest_gap=float(np.clip(between.max(), 0, LONGEST_SKIPPED)),
    )
