"""Greedy decoding, several clips at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from audiomatch_whisper.net.decoder import CrossAttentionCache, SelfAttentionCache, decode
from audiomatch_whisper.net.modules import WhisperNetwork
from audiomatch_whisper.net.prefix_tree import PrefixTree
from audiomatch_whisper.net.softmax import vocabulary_log_p

TIMES = 10  # that few tokens are said in turn before the decoder is taken to be caught in a loop


@dataclass
class Transcript:
    """What was heard in a clip.

    Attributes:
        ids: the tokens, without the end.
        log_p: the log probability of each, and of the end where it was reached.
        ended: whether the end was reached.
    """

    ids: list[int] = field(default_factory=list)
    log_p: list[float] = field(default_factory=list)
    ended: bool = False


def decode_greedily(
    model: WhisperNetwork,
    prompt: Sequence[int],
    end: int,
    cache: CrossAttentionCache,
    maximum: Sequence[int],
) -> list[Transcript]:
    """Take the likeliest token after each, at most `maximum` of each clip.

    On silence and noise a decoder may never end. Where it begins to say the same again, as it is
    prone to on short clips, it is stopped, and what it says twice is given once.
    """
    device = cache.layers[0][0].device
    out = [Transcript() for _ in maximum]
    stopped = [limit < 1 for limit in maximum]
    past = SelfAttentionCache()
    new = torch.tensor([list(prompt)] * len(out)).to(device)
    while not all(stopped):
        tree = PrefixTree.of_rows(new, past.tokens)
        hidden = decode(model.model.decoder, tree, cache, past=past)[tree.paths[:, -1]]
        log_p = vocabulary_log_p(model.proj_out, hidden)  # (clips, vocabulary)
        # Special tokens other than the end are no text; all have higher ids than it.
        best = log_p[:, : end + 1].max(-1)
        for i, (token, value) in enumerate(
            zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ):
            if stopped[i]:
                continue
            one = out[i]
            one.log_p.append(value)
            one.ended = token == end
            if not one.ended:
                one.ids.append(token)
                if again := repeated(one.ids):
                    del one.ids[-again:], one.log_p[-again:]
                    stopped[i] = True
            stopped[i] = stopped[i] or one.ended or len(one.ids) >= maximum[i]
        new = best.indices[:, None]
    return out


def repeated(ids: list[int]) -> int:
    """Return how many of the last ids say again what those before them say; 0 where none do.

    Four or more, of three kinds at least: people do say "no no no". Of fewer, what is said for the
    `TIMES`th time.
    """
    for count in range(1, 4):
        said = TIMES * count
        if len(ids) >= said and ids[-said:] == ids[-count:] * TIMES:
            return said - count
    for count in range(4, len(ids) // 2 + 1):
        last = ids[-count:]
        if last == ids[-2 * count : -count] and len(set(last)) >= 3:
            return count
    return 0
