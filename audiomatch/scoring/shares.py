"""A share of clips with its interval."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from audiomatch.scoring.clusters import CONFIDENCE, Clusters, Interval


def share_interval(hits: ArrayLike, clusters: Clusters) -> Interval:
    """Return the share of `hits`, booleans (n,), with its 95 % interval; None of no clips.

    Wilson's (1927), with t for the groups' degrees of freedom, and in the place of n the clips that
    would tell as much were they independent (Franco, Little, Louis and Slud, 2019, "Comparative
    study of confidence intervals for proportions in complex sample surveys"). They are no more than
    n, and no fewer than where clips of one group are wholly alike, as is assumed where all clips
    agree. No interval where groups are too few.
    """
    found = np.asarray(hits, np.float64)
    n = len(found)
    if not n:
        return Interval(None)
    share = float(found.mean())
    if clusters.problem:
        return Interval(share)
    variance = float(clusters.covariance((found - share)[:, None])[0, 0])
    alike = 1 + clusters.freedom
    effective = share * (1 - share) / variance if variance > 1e-12 else alike
    effective = min(max(effective, alike), n)
    t = float(stats.t.ppf((1 + CONFIDENCE) / 2, clusters.freedom))
    centre = (share + t * t / (2 * effective)) / (1 + t * t / effective)
    half = (
        t / (1 + t * t / effective)
        * math.sqrt(share * (1 - share) / effective + t * t / (4 * effective**2))
    )  # fmt: skip
    # The share lies within by the formula, but for rounding.
    return Interval(share, min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share))
