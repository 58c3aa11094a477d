"""Is a corpus intelligible? How an untrained Whisper ranks its matches over its mismatches.

    python benchmarks/intelligibility.py [DATA] [--matcher whisper@pad=30s]

The score is the mean next-token log probability of the expected text's tokens given the speech.
AUROC by task, and by voice over the words and sentences, as a Markdown table. DATA is mini-screener
by default.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import torch
from audiomatch_torch import Compute, predict
from audiomatch_whisper.backbone import (
    CrossAttentionCache,
    LogMels,
    encode,
    find_whisper,
    load_whisper,
    score_tokens,
    texts_of,
)
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from audiomatch import Run
from audiomatch.clips import Clips
from audiomatch.datasets import choose_dataset
from audiomatch.machine import default_cache, default_workers
from audiomatch.plugins import registry
from audiomatch.progress import LineProgress
from audiomatch.spec import parse_matcher

NONWORDS = "nonword_repetition"


def mean_log_p(clips: Clips, name: str, run: Run) -> pd.Series:
    """Return the mean log probability of each clip's text under the matcher's untrained Whisper."""
    config = registry().create(parse_matcher(name)).config
    weights = find_whisper(config.weights, config.size)
    compute = Compute(run)
    whisper = load_whisper(weights, config.size).to(compute.device)
    texts = texts_of(clips, whisper)
    mels = LogMels(clips, whisper.extractor, run, config.pad, config.margin)

    def score(rows: NDArray[np.int64]) -> torch.Tensor:
        mel = torch.from_numpy(mels(rows)).to(compute.device)
        cache = CrossAttentionCache.of(whisper.decoder, encode(whisper.encoder, [mel]))
        own = texts.of_clip[rows]
        log_p = score_tokens(whisper, [texts.targets[i] for i in own], cache)
        counts = [len(texts.texts[i].ids) for i in own]
        return torch.stack(
            [tokens[:count].mean() for tokens, count in zip(log_p, counts, strict=True)]
        )

    scores = predict(score, mels.seconds, compute, capacity=120.0)
    print(f"weights {weights.name}, sha256 {weights.digest[:16]}, pad {config.pad}\n")
    return pd.Series(scores, index=clips.frame.index)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--matcher", default="whisper@pad=30s")
    options = parser.parse_args()
    info, path = choose_dataset(registry().datasets(), options.data, None)
    clips = info.open(path, True)
    run = Run(cache=default_cache(), workers=default_workers(), progress=LineProgress())
    table = clips.frame.assign(score=mean_log_p(clips, options.matcher, run))
    known = table[table["task"] != NONWORDS]
    parts = [("words and sentences", known)]
    parts += [(task, part) for task, part in table.groupby("task")]
    if "voice" in table.columns:
        parts += [(f"voice {voice}", part) for voice, part in known.groupby("voice")]
    print("| clips | n | AUROC |\n| --- | --- | --- |")
    for name, part in parts:
        print(f"| {name} | {len(part)} | {roc_auc_score(part['match'], part['score']):.3f} |")


if __name__ == "__main__":
    main()
