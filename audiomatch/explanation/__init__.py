"""Where the error is: what a matcher says of every word of the expected text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from audiomatch.errors import UserError
from audiomatch.text import text_key

if TYPE_CHECKING:
    from audiomatch.clips import Clips

SAID = 0.5  # P(said) from which a word counts as said
Outcome = Literal["said", "other", "nothing"]


@dataclass(frozen=True)
class TokenEvidence:
    """A token of a word.

    Attributes:
        token: the characters it stands for, with its leading space.
        log_prob: natural log of its probability, given the speech and the text before it.
        start: where it begins, in seconds.
        end: where it ends.
    """

    token: str
    log_prob: float
    start: float
    end: float


@dataclass(frozen=True)
class PhoneEvidence:
    """A phone of a word.

    Attributes:
        phone: its name in ARPAbet.
        probability: that the speech says it in this place, in [0, 1].
        start: where it begins, in seconds.
        end: where it ends, at or after `start`; there where it was not found.
        heard: the phones in its place of what the matcher heard.
    """

    phone: str
    probability: float
    start: float
    end: float
    heard: str


@dataclass(frozen=True)
class WordEvidence:
    """A word of the expected text.

    Attributes:
        word: a word of the text's normal form from a matcher; users see it as the text writes it,
            punctuation included.
        probability: that the speech says it in this place, in [0, 1].
        log_prob: sum over its tokens.
        start: where it begins, in seconds from the start of the clip.
        end: where it ends, at or after `start`.
        tokens: what it is made of; their text, joined, is the word in its normal form. None from a
            matcher that goes by phones.
        heard: the words in its place of what the matcher heard; empty where it heard none.
        rather: what the matcher would rather put after the text before it.
        phones: what it sounds like, from a matcher that goes by phones.
    """

    word: str
    probability: float
    log_prob: float
    start: float
    end: float
    tokens: tuple[TokenEvidence, ...]
    heard: str
    rather: str
    phones: tuple[PhoneEvidence, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """What became of the word: it was `said`, or an `other` was heard, or `nothing` was."""
        if self.probability >= SAID:
            return "said"
        return "other" if self.instead else "nothing"

    @property
    def instead(self) -> str:
        """What was heard in place of the word, empty where that was nothing or the word itself."""
        return "" if text_key(self.heard) in ("", text_key(self.word)) else self.heard


@dataclass(frozen=True)
class Explanation:
    """What a matcher says of a clip and its expected text.

    Attributes:
        id: of the clip.
        text: the expected text.
        p_match: P(the speech says the text), as `predict` gives it.
        heard: all that the matcher heard, without regard to the expected text.
        words: in the order of the text.
    """

    id: str
    text: str
    p_match: float
    heard: str
    words: tuple[WordEvidence, ...]

    @property
    def worst(self) -> int:
        """The place of the least probable word."""
        return min(range(len(self.words)), key=lambda i: self.words[i].probability)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values, `worst` among them."""
        content = asdict(self)
        pairs = zip(content.pop("words"), self.words, strict=True)
        words = [{**each, "outcome": word.outcome} for each, word in pairs]
        return {**content, "worst": self.worst, "words": words}

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a word, for a table; `worst` is 1 for the least probable one."""
        return [
            {
                "id": self.id,
                "position": i,
                "word": word.word,
                "probability": word.probability,
                "worst": int(i == self.worst),
                "log_prob": word.log_prob,
                "start": word.start,
                "end": word.end,
                "heard": word.heard,
                "rather": word.rather,
                "outcome": word.outcome,
                "p_match": self.p_match,
            }
            for i, word in enumerate(self.words)
        ]


def checked_explanations(found: Sequence[Explanation], clips: Clips) -> list[Explanation]:
    """Return `found`, or raise `UserError` where a matcher does not keep to the contract."""
    if [one.id for one in found] != clips.ids:
        raise UserError(f"explain gave {len(found)} explanations for {len(clips)} clips, or mixed")
    for i, one in enumerate(found):
        problem = _problem(one)
        if problem:
            raise UserError(f"{clips.where(i)}: explain gave {problem}")
    return list(found)


def _problem(one: Explanation) -> str:
    if not one.words:
        return "no words"
    if "".join("".join(word.word.split()) for word in one.words) != "".join(one.text.split()):
        return "words that are not those of the text"
    last = 0.0
    for word in one.words:
        if not 0 <= word.probability <= 1:
            return f"{word.word!r} the probability {word.probability}"
        if not (math.isfinite(word.log_prob) and last <= word.start <= word.end):
            return f"{word.word!r} the time {word.start} to {word.end} s"
        last = word.start
    return ""
