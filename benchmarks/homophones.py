"""What a homophone in the place of a word does to a match, by sound and by spelling.

    python benchmarks/homophones.py DATA --limit 600

In each text that allows it one word is spelled as a common one that sounds the same (one token of
tiny.en). The eight numbers of the untrained `whisper` are computed of all texts once, under each
`spelling`; the head is fitted on the texts as they are written, in folds by text, and judges the
others. The seconds are the CPU's, to compute the numbers of the texts as they are written.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from audiomatch_torch import Compute
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.net.weights import load_whisper
from audiomatch_whisper.score.head import Head
from audiomatch_whisper.score.pipeline import Pipeline
from audiomatch_whisper.score.scorer import Scorer
from audiomatch_whisper.text.tokenizer import WhisperTokenizer
from numpy.typing import NDArray

from audiomatch.folds import make_folds
from audiomatch.inputs import take_in
from audiomatch.machine import make_run
from audiomatch.pronunciations import homophones
from audiomatch.scoring import auroc, log_loss

Floats = NDArray[np.float64]


def main() -> None:
    """Print a row for each spelling."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--folds", type=int, default=3)
    asked = parser.parse_args()
    run = make_run("auto", "auto", 0, None, None, progress=False)
    intake, _ = take_in(asked.data, run, labelled=True, limit=asked.limit)
    folds = make_folds(intake.clips, asked.folds)
    clips = folds.clips
    print("| spelling | log loss | AUROC | matches | as written | homophone | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for spelling in ("strict", "sound"):
        config = WhisperConfig.model_validate({"epochs": 0, "score": "head", "spelling": spelling})
        with Compute(run) as compute:
            scorer = Scorer(load_whisper("auto"), config).place(compute).eval()
            texts = respelled(clips.texts, scorer.whisper.tokenizer)
            rows = np.flatnonzero([text is not None for text in texts] & (clips.labels == 1))
            Pipeline(scorer, clips.take(rows[:2]), config, compute).features("warm")
            pipeline = Pipeline(scorer, clips, config, compute)
            began = time.process_time()
            written = pipeline.features("as written")
            seconds = time.process_time() - began
            others = clips.take(rows).with_column("expected_text", [texts[i] for i in rows])
            changed = Pipeline(scorer, others, config, compute).features("homophones")
        p, q = np.empty(len(clips)), np.empty(len(rows))
        for fold in range(folds.k):
            held_out = folds.of == fold
            head = Head(written.shape[1])
            head.fit(written[~held_out], clips.labels[~held_out])
            p[held_out] = judged(head, written[held_out])
            q[held_out[rows]] = judged(head, changed[held_out[rows]])
        labels = clips.labels.astype(np.float64)
        print(
            f"| {spelling} | {log_loss(labels, p):.4f} | {auroc(labels, p):.4f} | {len(rows)} "
            f"| {match_figures(p[rows])} | {match_figures(q)} | {seconds:.0f} |",
            flush=True,
        )


def respelled(texts: list[str], tokenizer: WhisperTokenizer) -> list[str | None]:
    """Spell a word of each text as a common one that sounds the same; None where none does."""
    generator = np.random.default_rng(0)
    out: list[str | None] = []
    for text in texts:
        words = text.split()
        found = {i: common_homophones(word, tokenizer) for i, word in enumerate(words)}
        places = [i for i, others in found.items() if others]
        if places:
            at = places[int(generator.integers(len(places)))]
            words[at] = found[at][int(generator.integers(len(found[at])))]
        out.append(" ".join(words) if places else None)
    return out


def common_homophones(word: str, tokenizer: WhisperTokenizer) -> list[str]:
    """Return the homophones of two letters or more that are one token."""
    encode = tokenizer.tokenizer.encode
    alike = (one for one in homophones(word) if len(one) > 1)
    return [one for one in alike if len(encode(f" {one}", add_special_tokens=False).ids) == 1]


def judged(head: Head, features: Floats) -> Floats:
    with torch.no_grad():
        return np.asarray(head(torch.from_numpy(features)).double().sigmoid().numpy())


def match_figures(p: Floats) -> str:
    """Say the log loss of matches, and how many are over 0.5."""
    return f"{-np.log(p).mean():.3f}, {(p > 0.5).mean():.1%}"


if __name__ == "__main__":
    main()
