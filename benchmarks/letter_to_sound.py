"""Learns how letters sound from CMUdict, and measures that on words held out.

    python benchmarks/letter_to_sound.py             # phone and word error on a tenth held out
    python benchmarks/letter_to_sound.py --write     # and the model of all words, for the plugin

Letters are aligned with phones by expectation maximisation, a letter with none, one or two phones;
the n-grams of the best alignments are counted. A held-out word is right where any of its
pronunciations is given; phone errors are edits to the nearest one.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from audiomatch_phones.letters import EDGE, FILE, ORDER, Graphone, LetterModel

from audiomatch.pronunciations import dictionary

PLUGIN = Path(__file__).parents[1] / "plugins/audiomatch-phones/audiomatch_phones"
FOR_ALIGNMENT = 5_000  # pronunciations
ROUNDS = 5
LEAST = 1e-7  # of a letter's sound
CHUNKS = (0, 1, 2)  # phones of a letter
FEWEST = 2  # of an n-gram longer than LONG to be kept
LONG = 2
Example = tuple[str, tuple[str, ...]]
Sounds = dict[str, dict[str, float]]


def examples() -> list[Example]:
    """Return the words of CMUdict that are letters alone, with each of their pronunciations."""
    return [
        (word, tuple(sound.split()))
        for word, sounds in dictionary().items()
        if word.isascii() and word.isalpha()
        for sound in sounds
        if len(sound.split()) <= 2 * len(word)
    ]


def _steps(word: str, phones: tuple[str, ...]) -> Iterator[tuple[int, int, int, str]]:
    """Give each letter, phones before it, how many are its own, and these."""
    for i in range(len(word)):
        for j in range(len(phones) + 1):
            for count in CHUNKS:
                if j + count <= len(phones):
                    yield i, j, count, " ".join(phones[j : j + count])


def learn_sounds(words: list[Example]) -> Sounds:
    """Return the probability of each letter's phones, by expectation maximisation."""
    sounds: Sounds = defaultdict(lambda: defaultdict(lambda: 0.01))
    for _ in range(ROUNDS):
        counts: Sounds = defaultdict(lambda: defaultdict(float))
        for word, phones in words:
            end = len(word), len(phones)
            forward: dict[tuple[int, int], float] = defaultdict(float, {(0, 0): 1.0})
            backward: dict[tuple[int, int], float] = defaultdict(float, {end: 1.0})
            steps = [(i, j, n, s, sounds[word[i]][s]) for i, j, n, s in _steps(word, phones)]
            for i, j, n, _, p in steps:
                forward[i + 1, j + n] += forward[i, j] * p
            for i, j, n, _, p in reversed(steps):
                backward[i, j] += backward[i + 1, j + n] * p
            if forward[end] > 0:
                for i, j, n, sound, p in steps:
                    share = forward[i, j] * p * backward[i + 1, j + n] / forward[end]
                    counts[word[i]][sound] += share
        sounds = defaultdict(lambda: defaultdict(lambda: LEAST))
        for letter, own in counts.items():
            total = sum(own.values())
            kept = {s: max(n / total, LEAST) for s, n in own.items() if n / total > LEAST}
            sounds[letter] = defaultdict(lambda: LEAST, kept)
    return sounds


def split(word: str, phones: tuple[str, ...], sounds: Sounds) -> list[Graphone]:
    """Return the most probable graphones of a word."""
    best: dict[tuple[int, int], float] = defaultdict(lambda: -math.inf, {(0, 0): 0.0})
    came: dict[tuple[int, int], tuple[int, str]] = {}
    for i, j, n, sound in _steps(word, phones):
        score = best[i, j] + math.log(sounds[word[i]][sound])
        if score > best[i + 1, j + n]:
            best[i + 1, j + n] = score
            came[i + 1, j + n] = (j, sound)
    found, j = [], len(phones)
    for i in range(len(word), 0, -1):
        j, sound = came[i, j]
        found.append((word[i - 1], sound))
    return found[::-1]


def train(chains: Iterable[list[Graphone]]) -> LetterModel:
    """Return the model of words as graphones."""
    counts: dict[tuple[Graphone, ...], Counter[Graphone]] = defaultdict(Counter)
    for chain in chains:
        for i in range(1, len(chain)):
            for length in range(min(ORDER, i + 1)):
                counts[tuple(chain[i - length : i])][chain[i]] += 1
    kept: dict[tuple[Graphone, ...], dict[Graphone, int]] = {}
    for context in sorted(counts, key=len):
        fewest = FEWEST if len(context) >= LONG else 1
        own = {g: n for g, n in sorted(counts[context].items()) if n >= fewest}
        if own and (not context or context[1:] in kept):
            kept[context] = own
    return LetterModel(kept)


def measure(model: LetterModel, held_out: dict[str, list[tuple[str, ...]]]) -> dict[str, float]:
    """Return phone and word error, and word error where three ways are given."""
    wrong = errors = phones = three = 0
    for word, right in held_out.items():
        ways = model.pronounce(word, 3)
        distance, length = min((_edits(ways[0], one), len(one)) for one in right)
        errors, phones = errors + distance, phones + length
        wrong += distance > 0
        three += not set(ways) & set(right)
    n = len(held_out)
    return {"phone error": errors / phones, "word error": wrong / n, "none of three": three / n}


def _edits(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--words", type=int, default=3000, help="How many held out are measured.")
    options = parser.parse_args()
    every = examples()
    rng = np.random.default_rng(options.seed)
    words = rng.permutation(sorted({word for word, _ in every})).tolist()
    held_out = set(words[: len(words) // 10])
    known = [one for one in every if one[0] not in held_out]
    some = rng.permutation(len(known))[:FOR_ALIGNMENT]
    sounds = learn_sounds([known[i] for i in some])
    chains = {one: [EDGE, *split(*one, sounds), EDGE] for one in every}
    model = train(chains[one] for one in known)
    right: dict[str, list[tuple[str, ...]]] = {}
    for word, phones in every:
        if word in held_out:
            right.setdefault(word, []).append(phones)
    start = time.process_time()
    for name, value in measure(model, dict([*right.items()][: options.words])).items():
        print(f"{name}: {100 * value:.1f} %")
    print(f"{options.words / (time.process_time() - start):.0f} words a CPU second")
    if options.write:
        np.savez_compressed(PLUGIN / FILE, **train(chains.values()).to_arrays())
        print(f"{PLUGIN / FILE}: {(PLUGIN / FILE).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
