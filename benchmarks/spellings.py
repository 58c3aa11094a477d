"""How much the way texts are typed moves a matcher's log loss, with the normal form and without.

    python benchmarks/spellings.py DATA --matcher whisper --folds 3 --limit 150

One matcher is fitted in each fold; it predicts the held-out clips under each spelling of their
texts, first as the core gives them to it (in their normal form), then as they are typed. The last
line is of a matcher that is fitted on sentences, with a capital and a period, and judges such.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.contract import fit_matcher, predict_matches
from audiomatch.folds import make_folds
from audiomatch.inputs import take_in
from audiomatch.machine import make_run
from audiomatch.matcher import Matcher
from audiomatch.plugins import registry
from audiomatch.scoring import log_loss
from audiomatch.spec import parse_matcher
from audiomatch.testing.spellings import SPELLINGS

AS_WRITTEN = "plain"
SENTENCE = "a sentence"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--matcher", default="whisper")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--workers", type=int)
    asked = parser.parse_args()
    run = make_run("auto", "auto", 0, asked.workers, None, progress=False)
    intake, _ = take_in(asked.data, run, labelled=True, limit=asked.limit)
    folds = make_folds(intake.clips, asked.folds)
    labels = folds.clips.labels
    normal = {name: np.empty(len(labels)) for name in SPELLINGS}
    typed = {name: np.empty(len(labels)) for name in SPELLINGS}
    sentences = np.empty(len(labels))

    def make() -> Matcher:
        return registry().create(parse_matcher(asked.matcher))

    for fold in range(folds.k):
        train, held_out = folds.split(fold)
        rows = folds.of == fold
        matcher = make()
        fit_matcher(matcher, train, run)
        for name, spell in SPELLINGS.items():
            clips = held_out if name == AS_WRITTEN else spelt(held_out, spell)
            normal[name][rows] = predict_matches(matcher, clips, run)
            typed[name][rows] = matcher.predict(clips, run)
        other = make()
        other.fit(spelt(train, SPELLINGS[SENTENCE]), run)
        sentences[rows] = other.predict(spelt(held_out, SPELLINGS[SENTENCE]), run)

    def loss(p_match: NDArray[np.float64]) -> float:
        return log_loss(labels.astype(np.float64), p_match) or 0.0

    print(f"{asked.matcher}, {len(labels)} clips, {folds.k} folds\n")
    print("| text | in its normal form | as it is typed |\n| --- | --- | --- |")
    for name in SPELLINGS:
        shown = "as written" if name == AS_WRITTEN else name
        print(f"| {shown} | {loss(normal[name]):.4f} | {loss(typed[name]):.4f} |")
    print(f"| sentences, fitted on such | | {loss(sentences):.4f} |")


def spelt(clips: Clips, spell: Callable[[str], str]) -> Clips:
    """Return the clips with their texts typed otherwise."""
    texts = [spell(text) for text in clips.normalised().texts]
    return clips.with_column("expected_text", texts)


if __name__ == "__main__":
    main()
