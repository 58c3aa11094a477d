"""When each token is said, by the decoder's attention to the encoder.

The method is that of OpenAI's whisper/timing.py: of a few heads whose attention follows the speech,
the weights are standardised over the tokens, smoothed over time by a median, and averaged; dynamic
time warping then finds the monotone path through them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiomatch_whisper.net.decoder import CrossAttentionCache, decode
from audiomatch_whisper.net.modules import WhisperNetwork
from audiomatch_whisper.net.prefix_tree import PrefixTree

FRAME_SECONDS = 0.02  # of an encoder state
# Of seven values: afterwards the fourth is the median (a sorting network cut down to it).
MEDIAN_OF_SEVEN = (
    (0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4), (1, 3),
    (3, 4),
)  # fmt: skip


def alignment_heads(model: WhisperNetwork) -> list[tuple[int, int]]:
    """Return (layer, head) of the heads that follow the speech.

    Those that come with the weights, else all of the last half of the decoder's layers.
    """
    config = model.config
    layers, heads = config.decoder_layers, config.decoder_attention_heads
    known = getattr(config, "alignment_heads", None)
    if known:
        return [(int(layer), int(head)) for layer, head in known]
    return [(layer, head) for layer in range(layers // 2, layers) for head in range(heads)]


def cross_attention(
    model: WhisperNetwork, ids: Sequence[int], cache: CrossAttentionCache
) -> NDArray[np.float32]:
    """Return the attention of the alignment heads to the states of a clip, (heads, t, s).

    Args:
        model: the Whisper.
        ids: t tokens, prompt and text.
        cache: of the one clip that they are read against.
    """
    tree = PrefixTree.of_rows(torch.tensor([list(ids)]).to(model.device))
    _, following = decode_following(model, tree, cache)
    return following.of(np.arange(len(ids)))


def decode_following(
    model: WhisperNetwork, tree: PrefixTree, cache: CrossAttentionCache, *, follow: bool = True
) -> tuple[Tensor, FollowingHeads]:
    """Run the decoder: hidden states of every node, (nodes, d), and what it attended to.

    Without `follow` nothing is kept of that.
    """
    following = FollowingHeads(model)
    take = following.take if follow else None
    return decode(model.model.decoder, tree, cache, on_attention=take), following


class FollowingHeads:
    """The attention of the alignment heads, taken while the decoder runs."""

    def __init__(self, model: WhisperNetwork) -> None:
        self._heads: dict[int, list[int]] = {}
        for layer, head in alignment_heads(model):
            self._heads.setdefault(layer, []).append(head)
        self._found: list[Tensor] = []

    def take(self, layer: int, attention: Tensor) -> None:
        """Keep what the heads of a layer attend to; `attention` is (nodes, heads, s)."""
        self._found += [attention[:, head] for head in self._heads.get(layer, ())]  # (nodes, s)

    @cached_property
    def _weights(self) -> NDArray[np.float32]:
        found = torch.stack(self._found, 1).float()  # (nodes, heads, s)
        return np.asarray(found.cpu().numpy())

    def of(self, nodes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return what the heads attend to at some nodes, (heads, nodes, s)."""
        return self._weights[nodes].transpose(1, 0, 2)


def token_starts(
    weights: NDArray[np.float32], prompt: int, tokens: int, bounds: tuple[float, float]
) -> NDArray[np.float64]:
    """Return when each of a text's tokens and its end token begin: float64 of (tokens + 1,).

    Args:
        weights: attention of each head, shape (heads, t, s), for prompt and text.
        prompt: how many tokens come before the text.
        tokens: how many the text has.
        bounds: when the sound begins and ends, in seconds; no word is said outside.
    """
    low = min(int(bounds[0] / FRAME_SECONDS), weights.shape[2] - 1)
    high = max(low + 1, round(bounds[1] / FRAME_SECONDS))
    own = weights[:, : prompt + tokens, low:high].astype(np.float64)
    deviation = own.std(axis=1, keepdims=True)
    own = (own - own.mean(axis=1, keepdims=True)) / np.maximum(deviation, 1e-9)
    own = smoothed(own)
    # The row of a position says where the decoder looks for the token after it.
    path = time_warp(-own.mean(axis=0)[prompt - 1 :])
    starts: NDArray[np.float64] = np.clip((low + path) * FRAME_SECONDS, *bounds)
    return starts


def smoothed(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each value and three on either side, along the last axis.

    Six times as fast as scipy's.
    """
    padded = np.pad(weights, ((0, 0), (0, 0), (3, 3)), mode="symmetric")
    count = weights.shape[2]
    near = [padded[..., i : i + count] for i in range(7)]
    for i, j in MEDIAN_OF_SEVEN:
        near[i], near[j] = np.minimum(near[i], near[j]), np.maximum(near[i], near[j])
    return near[3]


def time_warp(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the first column that each row meets on the cheapest path from corner to corner.

    Steps go down, right, or both, so the columns never fall. Row by row: a row's best is the best
    way to enter it plus the running sum within it.
    """
    rows, columns = cost.shape
    total = np.empty((rows, columns))
    total[0] = np.cumsum(cost[0])
    for i in range(1, rows):
        above = total[i - 1]
        enter = np.minimum(above, np.concatenate(([np.inf], above[:-1])))
        run = np.cumsum(cost[i])
        total[i] = run + np.minimum.accumulate(enter - run + cost[i])
    first = np.zeros(rows, dtype=np.int64)
    best = total.tolist()  # whose numbers are at hand sooner than an array's
    i, j = rows - 1, columns - 1
    while i and j:
        diagonal, above, before = best[i - 1][j - 1], best[i - 1][j], best[i][j - 1]
        if before < min(diagonal, above):
            j -= 1
            continue
        first[i] = j
        i -= 1
        j -= diagonal <= above
    return first


def word_spans(starts: NDArray[np.float64], first: Sequence[int]) -> list[tuple[float, float]]:
    """Return start and end of each word, in seconds.

    A word ends where the next begins, the last one with the end token. The path takes all of the
    sound, so, as in OpenAI's timing, neither the first nor the last word lasts over twice the
    median.
    """
    edges = [float(starts[i]) for i in (*first, len(starts) - 1)]
    if len(first) > 2:
        maximum = 2 * float(np.median(np.diff(edges)))
        edges[0] = max(edges[0], edges[1] - maximum)
        edges[-1] = min(edges[-1], edges[-2] + maximum)
    return list(pairwise(edges))
