"""Checks that how a text is typed moves nothing, and that words are shown as they are written."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping

import numpy as np

from audiomatch.clips import Clips
from audiomatch.contract import explain_clips
from audiomatch.testing.registry import check
from audiomatch.testing.results import Failed
from audiomatch.testing.subject import Subject, require_equal
from audiomatch.testing.words import does_not_explain

PLAIN = "the old dog didn't stop at the café"
SPELLINGS: Mapping[str, Callable[[str], str]] = {
    "plain": str,
    "capitals": str.upper,
    "a sentence": lambda text: f"{text.capitalize()}.",
    "quoted": lambda text: f"\u201c{text}!\u201d",
    "typographic apostrophes": lambda text: text.replace("'", "\u2019"),
    "apostrophes of cp1252": lambda text: text.replace("'", "\x92"),
    "dashes": lambda text: text.replace(" ", " \u2014 ", 1).replace(" the", "\u2013the"),
    "double spaces": lambda text: f"  {text.replace(' ', '  ')}\n",
    "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "a byte order mark": lambda text: f"\ufeff{text}",
    "soft hyphens": lambda text: text.replace("d", "\u00add"),
    "direction marks": lambda text: "\u200e" + text.replace(" ", " \u200b") + "\u202c",
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "full width": lambda text: text.translate({i: i + 0xFEE0 for i in range(0x21, 0x7F)}),
}


@check("spellings", "how the expected text is typed moves no prediction")
def spellings(subject: Subject) -> str:
    """Predict one clip under each spelling of a text: capitals, quotes, spaces, invisible marks."""
    clips = spelt(subject.toy.held_out, PLAIN)
    found = subject.predict(subject.fitted, clips)
    wanted = np.full(len(found), found[0])
    measured = require_equal(found, wanted, subject.noise, clips, "another spelling of its text")
    return f"{len(found)} spellings, {measured}"


@check("explain-spellings", "words are shown as the text writes them", does_not_explain)
def explain_spellings(subject: Subject) -> str:
    """Explain one clip under each spelling of a text."""
    clips = spelt(subject.toy.held_out, PLAIN)
    found = explain_clips(subject.fitted, clips, subject.own_run())
    for i, (one, text) in enumerate(zip(found, clips.texts, strict=True)):
        written = "".join("".join(word.word.split()) for word in one.words)
        if written != "".join(text.split()):
            raise Failed(f"{clips.where(i)}: the words are not those of the text {text!r}")
    said = [np.array([word.probability for word in one.words]) for one in found]
    apart = np.array([np.abs(p - said[0]).max() for p in said])
    zeros = np.zeros(len(apart))
    measured = require_equal(apart, zeros, subject.noise, clips, "another spelling of its text")
    return f"{len(found)} clips, P(said) {measured}"


def spelt(clips: Clips, text: str) -> Clips:
    """Return the first of some clips once for each spelling of `text`, which is its id."""
    names = list(SPELLINGS)
    one = clips.take(np.zeros(len(names), dtype=np.int64)).with_column("id", names)
    return one.with_column("expected_text", [SPELLINGS[name](text) for name in names])
