"""How well wrong texts of a corpus are found without training: P(match) against a filter by WER.

    python benchmarks/filtering.py DATA --out FOLDER

DATA is labelled speech with a column `speaker` (so762). The numbers that the head of `whisper` is
made of are computed once with the untrained Whisper; the head is fitted on all speakers but a
fifth, in turn, so that every clip is judged by a head that has not heard its speaker. A corpus with
a share of wrong texts is drawn many times: all matches, and so many of the mismatches. The lowest
of it are looked at, by P(match) and by the word error rate of the same Whisper's greedy transcript.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from audiomatch_torch import Compute
from audiomatch_whisper.backbone import transcribe
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.net.weights import load_whisper
from audiomatch_whisper.score.head import Head
from audiomatch_whisper.score.pipeline import Pipeline
from audiomatch_whisper.score.scorer import Scorer
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from audiomatch import Run
from audiomatch.clips import Clips
from audiomatch.inputs import take_in
from audiomatch.prior import CorpusEstimates
from audiomatch.progress import LineProgress
from audiomatch.scoring.metrics import auroc, log_loss
from audiomatch.text import normalise_text

DRAWS = 1000
Floats = NDArray[np.float64]


def listen(clips: Clips, run: Run, file: Path) -> tuple[Floats, list[str]]:
    """Return the head's features of each clip and what the Whisper hears; kept in `file`."""
    if file.is_file():
        kept = np.load(file)
        return kept["features"], kept["heard"].tolist()
    config = WhisperConfig(epochs=0, score="head")
    with Compute(run) as compute:
        scorer = Scorer(load_whisper("auto"), config).place(compute).eval()
        pipeline = Pipeline(scorer, clips, config, compute)
        features = pipeline.features("features")
        heard = [""] * len(pipeline.seconds)

        def hear(recordings: NDArray[np.int64]) -> object:
            import torch

            cache = pipeline.encode(recordings)
            most = [16 + int(10 * pipeline.seconds[i]) for i in recordings]
            said = transcribe(scorer.whisper, cache, [min(m, 400) for m in most])
            for i, one in zip(recordings, said, strict=True):
                heard[i] = scorer.whisper.tokenizer.decode(one.ids).strip()
            return torch.zeros(len(recordings))

        pipeline.each_recording(hear, "transcribe")
    heard = [heard[i] for i in pipeline.recordings]
    np.savez(file, features=features, heard=heard)
    return features, heard


def p_by_others(features: Floats, labels: NDArray[np.int8], speakers: list[str]) -> Floats:
    """Return P(match) of each clip by a head fitted on other speakers."""
    import torch

    p = np.empty(len(labels))
    for train, held_out in GroupKFold(5).split(features, labels, speakers):
        head = Head(features.shape[1])
        head.fit(features[train], labels[train])
        with torch.no_grad():
            p[held_out] = head(torch.from_numpy(features[held_out])).double().sigmoid().numpy()
    return p


def likeness(text: str, heard: str) -> dict[str, float]:
    """Return how alike a text and a transcript are: minus the error rates of words and letters."""
    words, letters = (
        [normalise_text(one).split() for one in (text, heard)],
        [normalise_text(one) for one in (text, heard)],
    )
    wer = Levenshtein.distance(*words) / len(words[0])
    cer = Levenshtein.distance(*letters) / len(letters[0])
    return {"WER": -wer, "WER, at most 1": -min(wer, 1.0), "CER, at most 1": -min(cer, 1.0)}


def lowest(scores: Floats, labels: NDArray[np.int8], share: float) -> dict[str, float]:
    """Return how many of the lowest clips are wrong, and what share of the wrong ones they are.

    Corpora are drawn with all matches and so many mismatches that `share` of the clips are wrong;
    as many of the lowest are looked at. Ties are in random order.
    """
    generator = np.random.default_rng(0)
    right, wrong = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    count = round(share * len(right) / (1 - share))
    found = []
    for _ in range(DRAWS):
        corpus = np.concatenate([right, generator.choice(wrong, count, replace=False)])
        order = np.lexsort((generator.random(len(corpus)), scores[corpus]))
        found.append(float((labels[corpus[order[:count]]] == 0).mean()))
    low, high = np.quantile(found, (0.025, 0.975))
    figures = {"precision": np.mean(found), "low": low, "high": high}
    return {"wrong": count, **{name: round(float(x), 3) for name, x in figures.items()}}


def estimated(p: Floats, labels: NDArray[np.int8], share: float) -> tuple[float, float, float]:
    """Return the share of wrong texts that `CorpusEstimates` finds: its mean and spread."""
    generator = np.random.default_rng(0)
    right, wrong = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    count = round(share * len(right) / (1 - share))
    rates = [
        1 - CorpusEstimates(p[[*right, *generator.choice(wrong, count, False)]], labels.mean()).rate
        for _ in range(100)
    ]
    low, high = np.quantile(rates, (0.025, 0.975))
    return float(np.mean(rates)), float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="Folder for what was computed.")
    parser.add_argument("--share", type=float, default=0.03, help="Share of wrong texts.")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(cache=options.out / "cache", workers=options.workers, progress=LineProgress())
    clips = take_in(options.data, run, labelled=True, limit=options.limit)[0].clips
    features, heard = listen(clips, run, options.out / "evidence.npz")
    labels, speakers = clips.labels, clips["speaker"].tolist()
    p = p_by_others(features, labels, speakers)
    print(f"{len(clips)} clips, {len(set(speakers))} speakers, {labels.mean():.3f} matches")
    print(f"log loss {log_loss(labels, p):.4f}, AUROC {auroc(labels, p):.4f}")
    ways = pd.DataFrame(list(map(likeness, clips.texts, heard))).assign(**{"P(match)": p})
    negatives = clips["negatives"].to_numpy()
    for kind in ("all", "swap", "edit"):
        rows = (labels == 1) | (negatives == kind) | (kind == "all")
        for name in ways:
            scores, own = ways[name].to_numpy()[rows], labels[rows]
            found = lowest(scores, own, options.share)
            print(f"{kind:5} {name:15}", f"AUROC {roc_auc_score(own, scores):.3f}", found)
    print("estimated share of wrong texts", estimated(p, labels, options.share))
    others = p[(labels == 0) & (negatives == "swap")]
    print(f"another's sentence: P under 0.1 in {np.mean(others < 0.1):.3f} of {len(others)}")
    sure = (p >= 0.95) | (p <= 0.05)
    print(f"verdicts {sure.mean():.3f}, right {np.mean((p >= 0.5) == labels, where=sure):.4f}")


if __name__ == "__main__":
    main()
