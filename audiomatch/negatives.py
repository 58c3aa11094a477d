"""Texts that a clip does not say, made from the one that it says, and mismatches made of them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.errors import UserError, unknown
from audiomatch.folds import Folds
from audiomatch.text import letters

# Words to put in where the texts have too few of their own.
SPARE = ("apple", "window", "seven", "under", "morning", "quickly", "brother", "yellow")
VOWELS = "aeiou"
CONSONANTS = "bdfghjklmnprstvwz"
EDIT = "edit"
_TRIES = 50


class Kind(IntEnum):
    """What is wrong with a text: another text, words replaced, put in, left out or moved, a sound.

    `TRUNCATE` leaves out its last words, `EXTEND` puts words in at its end, `TRANSPOSE` swaps two
    neighbours.
    """

    SWAP = 0
    REPLACE = 1
    INSERT = 2
    DELETE = 3
    SOUND = 4
    TRUNCATE = 5
    EXTEND = 6
    TRANSPOSE = 7


NAMES = (*(kind.name.lower() for kind in Kind), EDIT)

# How often `make` makes each kind: of a text of several words, and of one word.
OF_SEVERAL = {
    Kind.SWAP: 0.2,
    Kind.REPLACE: 0.4,
    Kind.INSERT: 0.15,
    Kind.DELETE: 0.1,
    Kind.SOUND: 0.15,
}
OF_ONE = {Kind.SWAP: 0.3, Kind.REPLACE: 0.3, Kind.SOUND: 0.4}


class Wrong(NamedTuple):
    """A text that is wrong.

    Attributes:
        text: the text.
        kind: what is wrong with it.
        word: the place of the word that is wrong; None where there is no such word.
    """

    text: str
    kind: Kind
    word: int | None


class WrongTexts:
    """Makes wrong texts out of some texts' own words, and whole texts, of the same speech.

    `spare` words are put in too, as if each were said once.
    """

    def __init__(self, texts: Sequence[str], spare: Sequence[str] = SPARE) -> None:
        self._texts = sorted(set(texts))
        words = [word for text in texts for word in text.split() if letters(word)]
        # By how often they are said: a rare word would be known by its rarity.
        self._words = sorted([*words, *spare])

    def make(self, text: str, generator: np.random.Generator, *, swap: bool = True) -> Wrong:
        """Make a text that differs from `text` in what is heard, of any kind or none but `swap`."""
        shares = dict(OF_SEVERAL if len(text.split()) > 1 else OF_ONE)
        if not swap:
            del shares[Kind.SWAP]
        p = np.array([shares.get(kind, 0.0) for kind in Kind])
        return self.make_kind(Kind(generator.choice(len(Kind), p=p / p.sum())), text, generator)

    def make_kind(self, kind: Kind, text: str, generator: np.random.Generator) -> Wrong:
        """Make a wrong text of that kind; where `text` allows none, with a word replaced."""
        ways: Mapping[Kind, Callable[[list[str], np.random.Generator], Wrong]] = {
            Kind.SWAP: self._swap,
            Kind.REPLACE: self._replace,
            Kind.INSERT: self._insert,
            Kind.DELETE: self._delete,
            Kind.SOUND: self._sound,
            Kind.TRUNCATE: self._truncate,
            Kind.EXTEND: self._extend,
            Kind.TRANSPOSE: self._transpose,
        }
        return ways[kind](text.split(), generator)

    def _swap(self, words: list[str], generator: np.random.Generator) -> Wrong:
        own = letters("".join(words))
        for _ in range(8):
            other = self._texts[int(generator.integers(len(self._texts)))]
            if letters(other) != own:
                return Wrong(other, Kind.SWAP, None)
        return self._replace(words, generator)

    def _replace(self, words: list[str], generator: np.random.Generator) -> Wrong:
        at = int(generator.integers(len(words)))
        other = self._other(words[at], generator)
        return Wrong(_joined(words[:at], other, words[at + 1 :]), Kind.REPLACE, at)

    def _insert(self, words: list[str], generator: np.random.Generator) -> Wrong:
        at = int(generator.integers(len(words) + 1))
        beside = words[at] if at < len(words) else words[-1]
        other = self._other(beside, generator)
        return Wrong(_joined(words[:at], other, words[at:]), Kind.INSERT, at)

    def _delete(self, words: list[str], generator: np.random.Generator) -> Wrong:
        if len(words) < 2:
            return self._replace(words, generator)
        at = int(generator.integers(len(words)))
        return Wrong(" ".join([*words[:at], *words[at + 1 :]]), Kind.DELETE, None)

    def _sound(self, words: list[str], generator: np.random.Generator) -> Wrong:
        """Change a letter for another of its kind: roughly one sound for another."""
        places = [
            (i, j)
            for i, word in enumerate(words)
            for j, letter in enumerate(word)  # in lower case a word may be longer: İ
            if letter.lower() in VOWELS or letter.lower() in CONSONANTS
        ]
        if not places:
            return self._replace(words, generator)
        at, place = places[int(generator.integers(len(places)))]
        letter = words[at][place].lower()
        kind = (VOWELS if letter in VOWELS else CONSONANTS).replace(letter, "")
        other = kind[int(generator.integers(len(kind)))]
        changed = words[at][:place] + other + words[at][place + 1 :]
        return Wrong(_joined(words[:at], changed, words[at + 1 :]), Kind.SOUND, at)

    def _truncate(self, words: list[str], generator: np.random.Generator) -> Wrong:
        if len(words) < 2:
            return self._replace(words, generator)
        kept = int(generator.integers(1, len(words)))
        return Wrong(" ".join(words[:kept]), Kind.TRUNCATE, None)

    def _extend(self, words: list[str], generator: np.random.Generator) -> Wrong:
        more = [self._other(words[-1], generator) for _ in range(int(generator.integers(1, 3)))]
        return Wrong(" ".join([*words, *more]), Kind.EXTEND, len(words))

    def _transpose(self, words: list[str], generator: np.random.Generator) -> Wrong:
        unlike = [i for i, (a, b) in enumerate(pairwise(words)) if letters(a + b) != letters(b + a)]
        if not unlike:
            return self._replace(words, generator)
        at = unlike[int(generator.integers(len(unlike)))]
        moved = [*words[:at], words[at + 1], words[at], *words[at + 2 :]]
        return Wrong(" ".join(moved), Kind.TRANSPOSE, at)

    def _other(self, word: str, generator: np.random.Generator) -> str:
        while True:
            other = self._words[int(generator.integers(len(self._words)))]
            if letters(other) != letters(word):
                return other


def _joined(before: list[str], word: str, after: list[str]) -> str:
    return " ".join([*before, word, *after])


def parse_kinds(named: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the kinds of mismatches named, each once. Raises `UserError` for one that is none."""
    names = named.split(",") if isinstance(named, str) else named or ()
    kinds = tuple(dict.fromkeys(name.strip().lower() for name in names))
    for kind in kinds:
        if kind not in NAMES:
            raise unknown("kind of negatives", kind, NAMES)
    return kinds


def with_mismatches(folds: Folds, kinds: Sequence[str], seed: int) -> Folds:
    """Return the folds with one mismatch made of each match: its recording, a text it doesn't say.

    Kinds take turns, so that each is made equally often. Clips are dealt to folds first: the texts
    and words that go into a made text come from the clips of the same fold, or of the same part of
    a fixed split, so that nothing is borrowed of what is held out. A made mismatch is of the group
    of its recording. What is drawn depends on the seed, on what the clip holds, and on the other
    texts of its fold, not on the order of rows.

    Args:
        folds: folds of matches alone; of a fixed split also parts that have mismatches of their
            own, which stay as they are.
        kinds: of `NAMES`; `edit` stands for one word or letter edited.
        seed: of the draws.

    Raises:
        UserError: there are mismatches already, or a fold has no other text to swap in.
    """
    clips, texts = folds.clips, folds.clips.texts
    said: dict[str, set[str]] = {}
    for recording, text, match in zip(clips.sounds, texts, clips.labels, strict=True):
        said.setdefault(recording, set()).update([letters(text)] if match else [])
    wrong: dict[int, Wrong] = {}
    for rows in _parts_of_matches(folds):
        wrong |= _make(clips.take(rows), rows, said, kinds, seed)
    rows = np.repeat(np.arange(len(clips)), [1 + (row in wrong) for row in range(len(clips))])
    made = np.append(False, rows[1:] == rows[:-1])
    pairs = list(zip(rows.tolist(), made.tolist(), strict=True))
    ids, fresh = clips.ids, _fresh_ids(clips.ids)
    both = clips.take(rows).with_column("match", clips.labels[rows] * ~made)
    both = both.with_column("expected_text", [wrong[i].text if m else texts[i] for i, m in pairs])
    both = both.with_column("id", [fresh[i] if m else ids[i] for i, m in pairs])
    names = [wrong[i].kind.name.lower() if m else "" for i, m in pairs]
    return replace(
        folds, clips=both, of=folds.of[rows], negatives=tuple(kinds), made=np.array(names, object)
    )


def _parts_of_matches(folds: Folds) -> list[NDArray[np.int64]]:
    """Return the rows of each fold, or of each part of a fixed split that is of matches alone."""
    labels = folds.clips.labels
    parts = [np.flatnonzero(folds.of == part) for part in np.unique(folds.of)]
    matches = [rows for rows in parts if labels[rows].all()]
    if not matches or (folds.k > 1 and len(matches) < len(parts)):
        raise UserError(
            f"{folds.clips.source}: {int((labels == 0).sum())} of {len(labels)} clips are "
            "mismatches already; --negatives makes them where every clip is a match"
        )
    return matches


def _make(
    clips: Clips,
    rows: NDArray[np.int64],
    said: Mapping[str, Collection[str]],
    kinds: Sequence[str],
    seed: int,
) -> dict[int, Wrong]:
    """Return a wrong text for each of a fold's clips, by their `rows` in the whole."""
    ids, texts, recordings = clips.ids, clips.texts, clips.sounds
    own = {letters(word) for text in texts for word in text.split()}
    # Spare words are in the mismatches of every fold, so that texts alone would tell them.
    maker, pool = WrongTexts(texts, SPARE if len(own) < len(SPARE) else ()), sorted(texts)
    content = zip(recordings, texts, strict=True)
    keys = [hashlib.sha256(f"{seed}\0{r}\0{letters(t)}".encode()).hexdigest() for r, t in content]
    made = {}
    for turn, i in enumerate(sorted(range(len(clips)), key=lambda i: (keys[i], ids[i]))):
        kind, generator = kinds[turn % len(kinds)], np.random.default_rng(int(keys[i], 16))
        if kind == "swap":
            wrong = _another(pool, said[recordings[i]], generator)
        else:
            wrong = _edited(maker, kind, texts[i], said[recordings[i]], generator)
        if wrong is None:
            raise UserError(
                f"{clips.where(i)}: none of the {len(clips)} clips of its fold has another text "
                f"to make a mismatch ({kind}) of; take fewer folds, or --negatives edit"
            )
        made[int(rows[i])] = wrong
    return made


def _another(
    pool: Sequence[str], said: Collection[str], generator: np.random.Generator
) -> Wrong | None:
    """Draw another clip's text, each as often as it is said: a rare text gives nothing away."""
    for _ in range(_TRIES):
        other = pool[int(generator.integers(len(pool)))]
        if letters(other) not in said:
            return Wrong(other, Kind.SWAP, None)
    left = [text for text in pool if letters(text) not in said]
    return Wrong(left[int(generator.integers(len(left)))], Kind.SWAP, None) if left else None


def _edited(
    maker: WrongTexts, kind: str, text: str, said: Collection[str], generator: np.random.Generator
) -> Wrong | None:
    """Draw an edit of `text` whose letters are none of what is said."""
    for turn in range(_TRIES):
        if turn == _TRIES // 2 and kind != EDIT:  # few texts are made of a short one
            kind = Kind.REPLACE.name
        if kind == EDIT:
            wrong = maker.make(text, generator, swap=False)
        else:
            wrong = maker.make_kind(Kind[kind.upper()], text, generator)
        if letters(wrong.text) and letters(wrong.text) not in said:
            return wrong
    return None


def _fresh_ids(ids: Sequence[str]) -> list[str]:
    """Return an id for a second clip of each recording: `ID#2`, or the next number free."""
    taken = set(ids)
    numbered = ((f"{name}#{number}" for number in itertools.count(2)) for name in ids)
    return [next(new for new in choices if new not in taken) for choices in numbered]
