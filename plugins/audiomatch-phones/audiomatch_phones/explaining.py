"""Which word and which phone of a text a clip does not say: P(said), times, and what was heard.

P(said) is by two logistic regressions, of words and of phones. They learn from matches, as they are
and with one word of the text, or one phone of a word, exchanged for another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from audiomatch.clips import Clips
from audiomatch.explanation import Explanation, PhoneEvidence, WordEvidence
from audiomatch.linear import Linear, standard
from audiomatch.matcher import Run
from audiomatch_phones.alignment import Phones, Words
from audiomatch_phones.evidence import PHONES, Evidence, evidence
from audiomatch_phones.features import OF_PHONE, OF_WORD, phone_features, word_features
from audiomatch_phones.norms import Norms

Vector = NDArray[np.float64]
VOWELS = frozenset(phone for phone in PHONES if phone[0] in "AEIOU")
PENALTY = 1.0  # C of scikit-learn
FEWEST = 2  # of words, or phones, of which P(said) can be learned
LEAST = 1e-6  # of a probability, whose logarithm is given
Rows = list[tuple[Vector, Vector]]  # features of words or phones, and whether they were said


@dataclass(frozen=True)
class Explainer:
    """Says how probable each word and phone of a clip's evidence is.

    Attributes:
        norms: of phones that are said right.
        words: the logistic of `OF_WORD`.
        phones: the logistic of `OF_PHONE`.
    """

    norms: Norms
    words: Linear
    phones: Linear

    @classmethod
    def learn(cls, matches: Clips, texts: Sequence[Words], norms: Norms, run: Run) -> Explainer:
        """Learn from matches and the words that they say."""
        rng = np.random.default_rng(run.seed)
        swapped = [with_other_word(words, texts, rng) for words in texts]
        changed = [with_other_phone(words, rng) for words in texts]
        every = [*texts, *(words for words, _ in swapped), *(words for words, _, _ in changed)]
        n = len(texts)
        found = evidence(matches, every, run, [*range(n)] * 3)
        words: Rows = [
            (word_features(one, norms), np.unique(one.word) != wrong)
            for one, wrong in zip(found[: 2 * n], [-1] * n + [at for _, at in swapped], strict=True)
        ]
        phones: Rows = [(phone_features(one, norms), np.ones(len(one.phone))) for one in found[:n]]
        for one, (_, word, phone) in zip(found[2 * n :], changed, strict=True):
            # The neighbours suffer too, and teach nothing.
            wrong = np.flatnonzero(one.word == word)[phone : phone + 1]
            phones.append((phone_features(one, norms)[wrong], np.zeros(len(wrong))))
        return cls(norms, _fit(words), _fit(phones))

    def explain(self, name: str, text: str, p_match: float, one: Evidence) -> Explanation:
        """Return what is said of each word of a text and of its phones."""
        spoken = np.unique(one.word).tolist()
        p_words = dict(
            zip(spoken, self._probabilities(self.words, one, word_features), strict=True)
        )
        p_phones = self._probabilities(self.phones, one, phone_features)
        words: list[WordEvidence] = []
        now = 0.0
        for place, word in enumerate(text.split()):
            rows = np.flatnonzero(one.word == place).tolist()
            phones = tuple(_phone(one, i, p_phones[i]) for i in rows)
            p = p_words.get(place, LEAST)
            start, end = (phones[0].start, phones[-1].end) if phones else (now, now)
            heard = one.heard_in(one.span[rows[0], 0], one.span[rows[-1], 1]) if rows else []
            words.append(
                WordEvidence(word, p, float(np.log(p)), start, end, (), " ".join(heard), "", phones)
            )
            now = end
        return Explanation(
            name, text, p_match, " ".join(one.heard_in(0, len(one.heard))), tuple(words)
        )

    def _probabilities(self, linear: Linear, one: Evidence, features: Any) -> list[float]:
        p = expit(linear(features(one, self.norms))) if len(one.phone) else np.zeros(0)
        return list(np.clip(p, LEAST, 1.0).tolist())

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        return {"words": self.words.to_json(), "phones": self.phones.to_json()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], norms: Norms) -> Explainer:
        """Return what `to_json` was asked of; raises `ValueError` for anything else."""
        return cls(
            norms,
            Linear.from_json(content["words"], len(OF_WORD)),
            Linear.from_json(content["phones"], len(OF_PHONE)),
        )


def examples_of(train: Clips, most: int, seed: int) -> Clips:
    """Return up to `most` matches of a training part, without labels."""
    drawn = train.draw(np.flatnonzero(train.labels == 1), most, seed)
    return train.take(np.sort(drawn)).unlabelled()


def with_other_word(
    words: Words, texts: Sequence[Words], rng: np.random.Generator
) -> tuple[Words, int]:
    """Return a text with one word exchanged for a word of the texts, and its place; -1 for none."""
    at = int(rng.integers(len(words)))
    every = (ways for text in texts for ways in text if ways)
    others = [ways for ways in every if not {*ways} & {*words[at]}]
    if not words[at] or not others:
        return words, -1
    other = others[int(rng.integers(len(others)))]
    return [*words[:at], other, *words[at + 1 :]], at


def with_other_phone(words: Words, rng: np.random.Generator) -> tuple[Words, int, int]:
    """Return a text with one phone of its usual way exchanged, the place of word and phone.

    A vowel becomes another vowel, a consonant another consonant. The place is -1 without phones.
    """
    spoken = [i for i, ways in enumerate(words) if ways]
    if not spoken:
        return words, -1, 0
    at = spoken[int(rng.integers(len(spoken)))]
    usual = words[at][0]
    place = int(rng.integers(len(usual)))
    alike = [p for p in PHONES if (p in VOWELS) == (usual[place] in VOWELS) and p != usual[place]]
    other: Phones = (*usual[:place], alike[int(rng.integers(len(alike)))], *usual[place + 1 :])
    return [*words[:at], [other], *words[at + 1 :]], at, place


def _fit(rows: Rows) -> Linear:
    features = np.concatenate([own for own, _ in rows])
    said = np.concatenate([own for _, own in rows]).astype(np.int64)
    mean, scale = standard(features)
    if len(set(said.tolist())) < FEWEST:
        return Linear(mean, scale, np.zeros(features.shape[1]), 0.0)
    from sklearn.linear_model import LogisticRegression  # predicting needs none

    # Both are taken as often, so that P(said) does not lean on how many were exchanged.
    model = LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=1000)
    model.fit((features - mean) / scale, said)
    return Linear(mean, scale, model.coef_[0].astype(np.float64), float(model.intercept_[0]))


def _phone(one: Evidence, i: int, probability: float) -> PhoneEvidence:
    start, end = one.seconds(i)
    heard = " ".join(one.heard_in(*one.span[i]))
    return PhoneEvidence(PHONES[int(one.phone[i])], probability, start, end, heard)
