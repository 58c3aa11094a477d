"""Whether all of a text was said, and nothing else: what a Whisper's completing hides.

A decoder that has read half a sentence finds the other half likely, said or not. That a word was
not reached shows elsewhere: the decoder held the end likely before it, and its attention, which
moves on with the speech, leaves the word no time. What was said beside the text shows there too: a
word is given more time than it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.net.decoder import CrossAttentionCache
from audiomatch_whisper.score.alignment import FollowingHeads, token_starts
from audiomatch_whisper.score.features import ScoreFeatures
from audiomatch_whisper.score.head import Head, ProductHead
from audiomatch_whisper.score.insertions import Insertions
from audiomatch_whisper.score.targets import Target, TargetBatch
from audiomatch_whisper.sound.log_mel import FRAMES_A_SECOND

NEVER = -15.0  # nats, where a text has one word: it cannot have ended before
FASTEST = 0.01  # seconds a letter, beside which faster is the same
LONGEST_LEFT = 2.0  # seconds


class Reached(NamedTuple):
    """Whether each word of a text was reached, each (n,).

    Attributes:
        end_log_p: the most log probability that the text ends before one of its words.
        end_lead: log sum over its words, without the first, of how many times likelier the end is
            than the word.
        log_pace: log of the least seconds a letter that a word takes, by the alignment.
    """

    end_log_p: Tensor
    end_lead: Tensor
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

    Measured (benchmarks/results/whisper-evidence.md): where the first word is attended to, and the
    widest gap between two, cost who hesitates more than they show.

    Attributes:
        log_slowest: log of the most seconds a letter that a word takes, by the alignment.
        log_slowest_sound: the same of seconds with sound; who pauses has said nothing else.
    """

    log_slowest: Tensor
    log_slowest_sound: Tensor


class Times(NamedTuple):
    """What the alignment says of a text, in seconds or their logs.

    The attributes are those of `Reached`, `NothingLeft` and `NothingSkipped`.
    """

    log_pace: float
    seconds_left: float
    log_slowest: float
    log_slowest_sound: float


# The columns of what `complete_features` returns: of the words, and of each class above.
WIDTHS = tuple(len(part._fields) for part in (ScoreFeatures, Reached, NothingLeft, NothingSkipped))
# Those of `Insertions`, a part for each: within a text gains are larger than before it.
INSERTIONS = (1,) * len(Insertions._fields)


def head_of(config: WhisperConfig) -> Head | ProductHead | None:
    """Return a head for the score that is asked for, yet to be fitted; None where it has none."""
    if config.score == "complete":
        if config.insertions == "read":
            return ProductHead(WIDTHS, INSERTIONS)
        return ProductHead(WIDTHS if config.expect == "exact" else WIDTHS[:2])
    return Head(len(ScoreFeatures._fields)) if config.score == "head" else None


def complete_features(
    words: ScoreFeatures,
    log_p: Tensor,
    lead: Tensor,
    times: Tensor,
    batch: TargetBatch,
) -> Tensor:
    """Return the numbers of all parts side by side: (n, sum of `WIDTHS`).

    Args:
        words: of the same texts.
        log_p: the log probability of each token, (n, maximum).
        lead: how many nats likelier the end is in place of each token, (n, maximum).
        times: what `speaking_times` gives.
        batch: the texts.
    """
    starts_word = _starts_of_later_words(batch)
    before = (log_p + lead).masked_fill(~starts_word, NEVER).amax(1)
    leads = torch.where(starts_word, lead, -torch.inf).logsumexp(1).clamp(min=NEVER)
    pace, left, *skipped = times.unbind(1)
    reached = Reached(before, leads, pace)
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
    """Return the `Times` of each text: (n, 4), constants for the gradient.

    Args:
        following: what the decoder attended to.
        targets: n texts.
        batch: of the same texts.
        cache: of the clips, with the bounds of their sound and how much comes before.
    """
    assert cache.bounds is not None
    paths, found = batch.paths.cpu().numpy(), []
    edges = np.flatnonzero(np.diff(batch.owner)) + 1
    for own in np.split(np.arange(len(targets)), edges):  # texts of a clip
        clip, prompt = batch.owner[own[0]], len(targets[0].prompt)
        bounds = tuple(cache.bounds[clip])
        weights = [following.of(paths[i, : len(targets[i].read)]) for i in own]
        starts = token_starts(weights, prompt, bounds)
        for i, each in zip(own, starts, strict=True):
            found.append(_time(each, targets[i], bounds, cache.sound_before[clip]))
    return torch.tensor(found, dtype=torch.float32).to(batch.tokens.device)


def _time(
    starts: NDArray[np.float64],
    target: Target,
    bounds: tuple[float, float],
    sound_before: NDArray[np.float64],
) -> Times:
    first = np.flatnonzero(np.diff(target.words, prepend=-1))
    edges = np.array([*starts[first], starts[-1]])
    seconds = np.diff(edges)
    frames = np.arange(len(sound_before)) / FRAMES_A_SECOND
    sound = np.diff(np.interp(edges, frames, sound_before))
    letters = np.array(target.letters)
    pace = np.log(seconds / np.maximum(letters, 1) + FASTEST)
    return Times(
        log_pace=float(pace.min()),
        seconds_left=float(np.clip(bounds[1] - starts[-1], 0, LONGEST_LEFT)),
        log_slowest=float(np.log(seconds / (letters + 1) + FASTEST).max()),
        log_slowest_sound=float(np.log(sound / (letters + 1) + FASTEST).max()),
    )
