"""The positions of the marks of each chart; the template draws them as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from audiomatch.records import Row
from audiomatch.scoring.clusters import Array
from audiomatch.scoring.reliability import CALIBRATION_BINS, calibration_bin

SIZE = 200  # side of the plotting area, in the units of the small charts
HISTOGRAM_BINS = 20
_ROW = 40


def whiskers(rows: Sequence[Row]) -> dict[str, Any]:
    """Return log loss with interval of each scored row; x in percent, so that any width serves.

    The axis starts at 0. A matcher far beyond the others is cut off (`cut`) rather than allowed to
    squeeze them together.
    """
    scored = [(row, row.log_loss) for row in rows if row.log_loss is not None]
    if not scored:
        return {"rows": [], "ticks": [], "height": 0, "band": None}
    ends = [row.log_loss_high or loss for row, loss in scored]
    losses = sorted(loss for _, loss in scored)
    most = max(min(max(ends), max(1.0, 3 * losses[len(losses) // 2])), 1e-6)
    step = _step(most)
    end = step * math.ceil(most / step - 1e-9)

    def x(value: float) -> float:
        return float(round(1 + 97 * min(value, end) / end, 2))

    marks = [
        {
            "label": row.label,
            "kind": row.kind,
            "status": row.status,
            "verdict": row.verdict,
            "value": loss,
            "y": 14 + _ROW * i,
            "x": x(loss),
            "low": x(row.log_loss_low) if row.log_loss_low is not None else None,
            "high": x(row.log_loss_high) if row.log_loss_high is not None else None,
            "cut": (row.log_loss_high or loss) > end,
        }
        for i, (row, loss) in enumerate(scored)
    ]
    ticks = [(x(i * step), f"{i * step:.3g}") for i in range(round(end / step) + 1)]
    first, band = scored[0][0], None
    if first.log_loss_low is not None and first.log_loss_high is not None:
        low, high = x(first.log_loss_low), x(first.log_loss_high)
        band = (low, round(high - low, 2))
    return {"rows": marks, "ticks": ticks, "height": _ROW * len(marks), "band": band}


def reliability(y: Array, p: Array) -> dict[str, Any]:
    """Return the share of matches against the mean probability in each bin that holds clips.

    The bins are those of the calibration error; a dot's area grows with its clips.
    """
    bins = calibration_bin(p)
    dots = []
    for i in range(CALIBRATION_BINS):
        inside = bins == i
        n = int(inside.sum())
        if n:
            mean, share = float(p[inside].mean()), float(y[inside].mean())
            dots.append(
                {
                    "x": round(SIZE * mean, 1),
                    "y": round(SIZE * (1 - share), 1),
                    "r": round(2 + 7 * math.sqrt(n / len(p)), 1),
                    "n": n,
                    "p": mean,
                    "share": share,
                }
            )
    return {"dots": dots, "line": " ".join(f"{dot['x']},{dot['y']}" for dot in dots)}


def histogram(y: Array, p: Array) -> dict[str, Any]:
    """Return how the probabilities lie: matches as bars upwards, mismatches downwards."""
    counts = [np.histogram(p[y == label], bins=HISTOGRAM_BINS, range=(0, 1))[0] for label in (1, 0)]
    most = max(int(max(c.max() for c in counts)), 1)
    half, width = SIZE / 2, SIZE / HISTOGRAM_BINS
    bars = []
    for kind, count in zip(("match", "mismatch"), counts, strict=True):
        for i, n in enumerate(count.tolist()):
            height = (half - 4) * n / most
            if n:
                bars.append(
                    {
                        "kind": kind,
                        "x": round(i * width + 0.5, 1),
                        "y": round(half - height, 1) if kind == "match" else half,
                        "width": round(width - 1, 1),
                        "height": round(height, 1),
                    }
                )
    return {"bars": bars, "most": most, "matches": int((y == 1).sum()), "n": len(y)}


def _step(most: float) -> float:
    """Return a round distance of ticks that gives four to eight of them."""
    rough = most / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return float(min((s * power for s in (1, 2, 5, 10)), key=lambda s: abs(s - rough)))
