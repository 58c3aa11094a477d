"""What `phones` tells without training, and how well it finds a phone that was not said.

    python benchmarks/phones.py DATA --group speaker --limit 900 --probed 150

A third of the groups is held out. Untrained, the score of a clip is the mean goodness of its phones
plus half of that of its worst word. The rest of the groups fits the matcher, whose P(said) is asked
of matches held out: as they are; with one phone of the pronunciation exchanged for another of its
kind; with an S after the last word; and with the speech cut off after half of the words. Prints
Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
from audiomatch_phones.alignment import Words
from audiomatch_phones.evidence import PHONES, Evidence, evidence, measure
from audiomatch_phones.explaining import Explainer, examples_of, with_other_phone
from audiomatch_phones.features import by_word, phone_features, word_features
from audiomatch_phones.head import Head
from audiomatch_phones.pronouncing import pronunciations
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from audiomatch.audio import SAMPLE_RATE, load_clip
from audiomatch.clips import Clips
from audiomatch.folds import deal_folds
from audiomatch.inputs import take_in
from audiomatch.machine import make_run

FOLDS = 3
HISSES = ("S", "Z", "SH", "ZH", "CH", "JH")
Vector = NDArray[np.float64]


def words_of(clips: Clips) -> list[Words]:
    """Return the pronunciations of each clip's words."""
    return [[pronunciations(word) for word in text.split()] for text in clips.texts]


def as_found(one: Evidence) -> list[list[tuple[str, ...]]]:
    """Return a text with each word in the one way that was found."""
    names = np.array(PHONES)[one.phone]
    return [[tuple(names[one.word == word].tolist())] for word in range(one.word.max() + 1)]


def untrained(one: Evidence) -> float:
    """Return the score of a clip by no more than its goodness."""
    words = by_word(one, one.goodness)[:, 0]
    return float(one.goodness[:, 0].mean() + words.min() / 2) if len(words) else 0.0


def p_phones(explainer: Explainer, one: Evidence) -> Vector:
    """Return P(said) of each phone."""
    return np.asarray(expit(explainer.phones(phone_features(one, explainer.norms))))


def p_words(explainer: Explainer, one: Evidence) -> Vector:
    """Return P(said) of each word."""
    return np.asarray(expit(explainer.words(word_features(one, explainer.norms))))


def print_scores(title: str, clips: Clips, scores: Sequence[float], p: Vector) -> None:
    """Print a row for all clips and one for each way their mismatches were made."""
    kinds = clips["negatives"].tolist() if "negatives" in clips.frame else [""] * len(clips)
    every, values = np.array(kinds), np.array(scores)
    for kind in ["", *sorted({*kinds} - {""})]:
        own = (every == kind) | (kind == "")
        y = clips.labels[own]
        print(
            f"| {title}{', ' + kind if kind else ''} | {own.sum()} | "
            f"{roc_auc_score(y, values[own]):.3f} | {roc_auc_score(y, p[own]):.3f} | "
            f"{log_loss(y, p[own]):.3f} |"
        )


def probe(explainer: Explainer, clips: Clips, seed: int) -> None:
    """Print what P(said) of phones and words does where something is not said."""
    rng = np.random.default_rng(seed)
    hit = near = chance = 0.0
    as_is, own, others, s_said, s_others = [], [], [], [], []
    read, unread, before = [], [], []
    for i, words in enumerate(words_of(clips)):
        samples = load_clip(clips, i)
        [first] = measure(samples, [words])
        fixed = as_found(first)
        changed, word, place = with_other_phone(fixed, rng)
        hissed = fixed[-1][0][-1] in HISSES
        with_s = [*fixed[:-1], [(*fixed[-1][0], "S")]]
        plain, other, longer = measure(samples, [fixed, changed, with_s])
        a, b, c = (p_phones(explainer, one) for one in (plain, other, longer))
        at = int(np.flatnonzero(plain.word == word)[place])
        hit += b.argmin() == at
        near += abs(int(b.argmin()) - at) <= 1
        chance += 1 / len(b)
        as_is += a.tolist()
        own.append(b[at])
        others += np.delete(a - b, at).tolist()
        if not hissed:
            s_said.append(c[-1])
            s_others += (a - c[:-1]).tolist()
        count = len(words) // 2
        if count:
            end = plain.span[plain.word < count, 1].max() / 100
            [half] = measure(samples[: int(end * SAMPLE_RATE)], [fixed])
            p, whole = p_words(explainer, half), p_words(explainer, plain)
            read += p[:count].tolist()
            before += whole[:count].tolist()
            unread += p[count:].tolist()
    n = len(clips)
    labels = np.r_[np.ones(len(as_is)), np.zeros(len(own))]
    print(f"\nP(said), {n} matches held out, {len(as_is)} phones:\n\n| | |\n|:--|--:|")
    for name, value in {
        "phones as they are, mean": np.mean(as_is),
        "the phone exchanged, mean": np.mean(own),
        "the phone exchanged is under 0.5": np.mean(np.array(own) < 0.5),
        "phones as they are, under 0.5": np.mean(np.array(as_is) < 0.5),
        "AUROC of phones exchanged against phones as they are": roc_auc_score(
            labels, [*as_is, *own]
        ),
        "the phone exchanged is the worst of its text": hit / n,
        "… or its neighbour is": near / n,
        "… by chance it would be": chance / n,
        "the other phones fall by, median": np.median(others),
        "an S that was not said, mean": np.mean(s_said),
        "an S that was not said is under 0.5": np.mean(np.array(s_said) < 0.5),
        "the other phones fall by then, median": np.median(s_others),
        "words of the half that is heard, mean": np.mean(read),
        "the same words in the whole speech, mean": np.mean(before),
        "words of the half that is cut off, mean": np.mean(unread),
        "words cut off are under 0.5": np.mean(np.array(unread) < 0.5),
    }.items():
        print(f"| {name} | {value:.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?")
    parser.add_argument("--group", default="expected_text")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--probed", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache")
    options = parser.parse_args()
    run = make_run(seed=options.seed, workers=1, cache=options.cache)
    intake, _ = take_in(options.data, run, True, limit=options.limit)
    folds = deal_folds(intake.clips, FOLDS, options.group, options.seed)
    clips, start = folds.clips, time.process_time()
    found = evidence(clips, words_of(clips), run)
    seconds = time.process_time() - start
    held = np.flatnonzero(folds.of == 0)
    rest = np.flatnonzero(folds.of != 0)
    train = clips.take(rest)
    head = Head.fit([found[i] for i in rest], train, run)
    p = head([found[i] for i in held])
    print(f"{len(clips) / seconds:.1f} clips a CPU second (many where the cache had them)\n")
    print("| clips | n | AUROC untrained | AUROC fitted | log loss fitted |\n|:--|--:|--:|--:|--:|")
    every = [untrained(one) for one in found]
    print(f"| all {len(clips)} | {len(clips)} | {roc_auc_score(clips.labels, every):.3f} | | |")
    print_scores("held out", clips.take(held), [every[i] for i in held], p)
    examples = examples_of(train, 200, options.seed)
    explainer = Explainer.learn(examples, words_of(examples), head.norms, run)
    matches = held[clips.labels[held] == 1][: options.probed]
    probe(explainer, clips.take(matches), options.seed)


if __name__ == "__main__":
    main()
