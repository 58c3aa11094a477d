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

from audiomatch_whisper.net.decoder import CrossAttentionCache, Follow, decode
from audiomatch_whisper.net.modules import WhisperNetwork
from audiomatch_whisper.net.prefix_tree import PrefixTree

FRAME_SECONDS = 0.02  # of an encoder state


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
    """Return the attention of the alignment heads to the states of a clip, (t, s, heads).

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
    asked = following.asked if follow else None
    return decode(model.model.decoder, tree, cache, follow=asked), following


class FollowingHeads:
    """The attention of the alignment heads, taken while the decoder runs.

    Attributes:
        asked: what `decode` is to follow.
    """

    def __init__(self, model: WhisperNetwork) -> None:
        self._found: list[Tensor] = []  # of each layer, (nodes, heads, s)
        heads: dict[int, list[int]] = {}
        for layer, head in alignment_heads(model):
            heads.setdefault(layer, []).append(head)
        self.asked = {layer: Follow(own, self._found.append) for layer, own in heads.items()}

    @cached_property
    def _weights(self) -> NDArray[np.float32]:
        found = torch.cat(self._found, 1).float()  # (nodes, heads, s)
        return np.asarray(found.transpose(1, 2).contiguous().cpu().numpy())

    def of(self, nodes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return what the heads attend to at some nodes, (nodes, s, heads)."""
        return self._weights[nodes]


def token_starts(
    weights: Sequence[NDArray[np.float32]], prompt: int, bounds: tuple[float, float]
) -> list[NDArray[np.float64]]:
    """Return when each token of some texts of a clip, and their end, begins: (tokens + 1,) each.

    Args:
        weights: of each text the attention of each head, (t, s, heads), for prompt and text.
        prompt: how many tokens come before a text.
        bounds: when the sound begins and ends, in seconds; no word is said outside.
    """
    low = min(int(bounds[0] / FRAME_SECONDS), weights[0].shape[1] - 1)
    high = max(low + 1, round(bounds[1] / FRAME_SECONDS))
    mean = np.full(weights[0].shape[2], 1 / weights[0].shape[2])  # over heads
    costs = []
    for each in weights:  # one by one, so that a CPU's caches hold it
        own = each[:, low:high].astype(np.float64)  # (t, columns, heads)
        own -= own.mean(axis=0)
        own /= np.maximum(np.sqrt(np.square(own).mean(axis=0)), 1e-9)
        # The row of a position says where the decoder looks for the token after it.
        costs.append(-(smoothed(own[prompt - 1 :].swapaxes(0, 1)) @ mean).T)
    longest = max(map(len, costs))
    filled = [np.pad(cost, ((0, longest - len(cost)), (0, 0))) for cost in costs]
    paths = time_warp(np.stack(filled), np.array([len(cost) - 1 for cost in costs]))
    return [
        np.clip((low + path[: len(cost)]) * FRAME_SECONDS, *bounds)
        for path, cost in zip(paths, costs, strict=True)
    ]


def smoothed(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each value and three on either side, along the first axis.

    Three neighbours are put in order once for both windows of seven that they begin and end. The
    first axis, so that all operands are contiguous.
    """
    weights = np.ascontiguousarray(weights)
    padded = weights[np.pad(np.arange(len(weights)), 3, mode="symmetric")]
    first, second, third = padded[:-2], padded[1:-1], padded[2:]
    less, more = np.minimum(first, second), np.maximum(first, second)
    rest = np.maximum(less, third)
    triples = np.minimum(less, third), np.minimum(more, rest), np.maximum(more, rest)
    a, b, c = (own[:-4] for own in triples)  # a <= b <= c: those before a value
    d, e, f = (own[4:] for own in triples)  # d <= e <= f: those after
    # Of these six the third and the fourth, between which the median of all seven lies.
    low = np.minimum(np.minimum(c, f), np.minimum(np.maximum(b, d), np.maximum(a, e)))
    high = np.maximum(np.maximum(a, d), np.maximum(np.minimum(b, f), np.minimum(c, e)))
    return np.minimum(np.maximum(padded[3:-3], low), high)


def time_warp(cost: NDArray[np.float64], last: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first column that each row meets on the cheapest path from corner to corner.

    Steps go down, right, or both, so the columns never fall. Row by row: a row's best is the best
    way to enter it plus the running sum within it.

    Args:
        cost: of n texts, (n, rows, columns).
        last: the last row of each, (n,); what follows it is passed over.

    Returns:
        (n, rows).
    """
    n, rows, columns = cost.shape
    run = np.cumsum(cost, axis=2)
    total = run.copy()
    for i in range(1, rows):
        enter = total[:, i - 1].copy()
        np.minimum(enter[:, 1:], total[:, i - 1, :-1], out=enter[:, 1:])
        enter += cost[:, i] - run[:, i]
        total[:, i] += np.minimum.accumulate(enter, axis=1)
    diagonal, above = total[:, :-1, :-1], total[:, :-1, 1:]
    enters = total[:, 1:, :-1] >= np.minimum(diagonal, above)  # (n, rows - 1, columns - 1)
    # Where the path that is in a column has entered its row; in the first column from above.
    entered = np.zeros((n, rows - 1, columns), dtype=np.int64)
    np.maximum.accumulate(enters * np.arange(1, columns), axis=2, out=entered[..., 1:])
    aslant = np.zeros(entered.shape, dtype=np.bool_)
    aslant[..., 1:] = diagonal <= above
    first = np.zeros((n, rows), dtype=np.int64)
    text, column = np.arange(n), np.full(n, columns - 1)
    for i in range(rows - 1, 0, -1):
        own = entered[text, i - 1, column]
        first[:, i] = own
        column = np.where(i <= last, own - aslant[text, i - 1, own], column)
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
