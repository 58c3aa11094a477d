"""Recordings that are one recording: copies with another gain, codec, cut or length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

FEWEST = 12  # landmarks that lie alike
SHARE = 0.06  # of the landmarks of the clip that has fewer
MOST = 10_000_000  # landmarks of all clips; of more every second, third … is left out
_COMMON = 30  # places of one landmark that are compared with those after it


def copies(marks: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return which recording each clip is, numbered from 0, by its landmarks (`sound.Heard`).

    Two clips are one recording where as many of their landmarks as `FEWEST` and `SHARE` say lie the
    same number of frames apart, within one: gain, codecs, trimming and shifts leave that so.
    """
    n = len(marks)
    first, second, alike = _aligned(marks)
    sizes = np.array([len(one) for one in marks])
    sample = -(-int(sizes.sum()) // MOST)
    least = np.maximum(FEWEST, SHARE * np.minimum(sizes[first], sizes[second]) / sample)
    enough = alike >= least
    edges = np.ones(int(enough.sum())), (first[enough], second[enough])
    graph = sparse.coo_array(edges, shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _aligned(
    marks: Sequence[NDArray[np.int64]],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of clips, and how many of their landmarks lie the same frames apart."""
    clip = np.repeat(np.arange(len(marks)), [len(one) for one in marks])
    number, frame = np.concatenate([*marks, np.empty((0, 2), np.int64)]).T
    sample = -(-len(number) // MOST)
    if sample > 1:  # the same landmarks of every clip
        kept = (number * 2_654_435_761 % 2**32) % sample == 0
        clip, number, frame = clip[kept], number[kept], frame[kept]
    order = np.lexsort((clip, number))
    clip, number, frame = clip[order], number[order], frame[order]
    longest = int(frame.max(initial=0)) + 1
    width = 2 * longest  # of the shifts
    pairs = [np.empty(0, np.int64)]
    for step in range(1, _COMMON):
        same = np.flatnonzero(number[step:] == number[: len(number) - step])
        same = same[clip[same + step] != clip[same]]
        shift = frame[same + step] - frame[same] + longest
        pairs.append((clip[same] * len(marks) + clip[same + step]) * width + shift)
    found, counts = np.unique(np.concatenate(pairs), return_counts=True)
    counts[:-1] += np.where(np.diff(found) == 1, counts[1:], 0)  # within one frame
    pair = found // width
    starts = np.flatnonzero(np.diff(pair, prepend=-1))
    most = np.maximum.reduceat(counts, starts) if len(starts) else counts
    return pair[starts] // len(marks), pair[starts] % len(marks), most
