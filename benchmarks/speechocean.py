"""How P(said) of a model goes with the scores that experts gave in speechocean762.

    python benchmarks/speechocean.py FOLDER --model phones:ready --half test

FOLDER is the corpus as it is published (openslr.org/101): `train/` and `test/` with `wav.scp`,
`text` and `utt2spk`, and `resource/scores.json`. Prints the correlations of P(match) with the
accuracy of sentences (0 to 10) and their mean by speaker, of P(said) with that of words (0 to 10)
and, where the model explains to the phone, of phones (0 to 2). A phone counts where the experts'
pronunciation of its word is the one that the model found. A model that learned from this corpus
is measured on what it knows: `--half test` is right for one that learned from the other half.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

import audiomatch
from audiomatch.clips import Clips
from audiomatch.explanation import Explanation, WordEvidence
from audiomatch.inputs import take_in

Pairs = list[tuple[float, float]]  # the model's and the experts'
FEWEST = 3


def phones_of(word: Mapping[str, Any]) -> list[str]:
    """Return the phones of a word of scores.json without stress; a list, or one string of them."""
    phones = word["phones"]
    names = phones.split() if isinstance(phones, str) else phones
    return [name.rstrip("0123456789") for name in names]


def compare_words(
    found: Sequence[WordEvidence], scored: Sequence[Mapping[str, Any]]
) -> tuple[Pairs, Pairs, int]:
    """Return pairs of words, pairs of phones, and how many words are said in another way."""
    words: Pairs = []
    phones: Pairs = []
    other = 0
    for word, score in zip(found, scored, strict=True):
        words.append((word.probability, float(score["accuracy"])))
        if [phone.phone for phone in word.phones] == phones_of(score):
            given = map(float, score["phones-accuracy"])
            phones += zip((phone.probability for phone in word.phones), given, strict=True)
        else:
            other += 1
    return words, phones, other


def correlate(found: Sequence[Explanation], clips: Clips) -> dict[str, Pairs]:
    """Return the pairs of sentences, speakers, words and phones."""
    by_speaker: dict[str, Pairs] = defaultdict(list)
    pairs: dict[str, Pairs] = {"sentences": [], "speakers": [], "words": [], "phones": []}
    skipped = other = 0
    for one, speaker, accuracy, words in zip(
        found, clips["speaker"], clips["accuracy"], clips["words"], strict=True
    ):
        pairs["sentences"].append((one.p_match, float(accuracy)))
        by_speaker[speaker].append(pairs["sentences"][-1])
        scored = json.loads(words)
        if len(scored) != len(one.words):
            skipped += 1
            continue
        of_words, of_phones, differ = compare_words(one.words, scored)
        pairs["words"] += of_words
        pairs["phones"] += of_phones
        other += differ
    means = [np.mean(own, axis=0) for own in by_speaker.values()]
    pairs["speakers"] = [(float(a), float(b)) for a, b in means]
    print(
        f"{skipped} sentences are scored in other words; {other} words in another pronunciation\n"
    )
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="phones:ready")
    parser.add_argument("--half", default="test", choices=("train", "test", "both"))
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    model = audiomatch.load(options.model, progress=True, workers=1)
    clips = take_in(options.folder, model.run, True, dataset="speechocean762")[0].clips
    if options.half != "both":
        clips = clips.take(np.flatnonzero(np.array(clips["split"].tolist()) == options.half))
    clips = clips.take(np.arange(min(len(clips), options.limit or len(clips))))
    pairs = correlate(model.explain(clips), clips)
    print(
        f"{options.model}, {len(clips)} clips\n\n| of | n | Spearman | Pearson |\n|:--|--:|--:|--:|"
    )
    for name, both in pairs.items():
        if len(both) < FEWEST or len({b for _, b in both}) < 2:
            print(f"| {name} | {len(both)} | | |")
            continue
        a, b = np.array(both).T
        print(f"| {name} | {len(both)} | {spearmanr(a, b)[0]:.3f} | {pearsonr(a, b)[0]:.3f} |")


if __name__ == "__main__":
    main()
