"""What a click beside soft speech does to a ready model.

    python benchmarks/clicks.py [phones:ready]

Ten matches of mini-screener with a second of silence on either side, at a peak of -40 dB, in noise
at -85 dB. A click of 2 or 20 ms at full scale comes before the speech, behind it, or in the middle.
Prints P(match) without a click, and with each.
"""

from __future__ import annotations

import sys

import numpy as np

import audiomatch
from audiomatch.audio import SAMPLE_RATE, load_audio
from audiomatch.datasets.mini_screener import open_mini_screener

MODEL = sys.argv[1] if sys.argv[1:] else "phones:ready"
PEAK, NOISE = 0.01, 10 ** (-85 / 20)


def main() -> None:
    """Print a line for each match and a count."""
    clips, model = open_mini_screener(None, labelled=True), audiomatch.load(MODEL)
    sentences = np.array(clips["task"].tolist()) == "sentence_repetition"
    found = []
    for row in np.flatnonzero(sentences & (clips.labels == 1))[:40:4]:
        rng = np.random.default_rng(0)
        samples = np.pad(load_audio(clips.paths[row]), SAMPLE_RATE)
        soft = samples * (PEAK / np.abs(samples).max()) + NOISE * rng.normal(size=len(samples))
        versions = [soft]
        for at in (4_000, len(soft) - 4_000, len(soft) // 2):
            for milliseconds in (2, 20):
                struck, length = soft.copy(), milliseconds * SAMPLE_RATE // 1000
                struck[at : at + length] = rng.choice([-1, 1], length)
                versions.append(struck)
        text = clips.texts[row]
        found.append(
            [model.predict_one(x.astype(np.float32), text, rate=SAMPLE_RATE) for x in versions]
        )
        print(" ".join(f"{p:.3f}" for p in found[-1]), text, flush=True)
    table = np.array(found)
    ratio = table[:, 1:] / table[:, :1]
    moved = np.abs(table[:, 1:] - table[:, :1])
    print(
        f"without {table[:, 0].min():.3f} to {table[:, 0].max():.3f}; of {ratio.size} with a click "
        f"{(table[:, 1:] < 0.05).sum()} are under 0.05, {(moved <= 0.02).sum()} move by 0.02 at "
        f"most; the lowest is {ratio.min():.2f} of what it was"
    )


if __name__ == "__main__":
    main()
