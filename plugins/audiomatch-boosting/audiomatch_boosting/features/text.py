"""What a text asks a speaker to say: its size and the sounds it needs, guessed from spelling.

Nothing here tells one text from another of the same size and sounds: folds are grouped by text, so
a remembered text would be of no use, and a remembered prior of one would mislead.
"""

from __future__ import annotations

import re
import unicodedata

from audiomatch.text import text_key

# Classes of sounds: vowel, plosive, sibilant (with affricates), other fricative, nasal,
# approximant, and other for letters of scripts without rules here.
CLASSES = {
    "V": "vowel",
    "P": "plosive",
    "S": "sibilant",
    "F": "fricative",
    "N": "nasal",
    "L": "approximant",
    "O": "other",
}
# Tried in order at each place of a word; English spelling, rough on purpose.
RULES = [
    (re.compile(pattern), sounds)
    for pattern, sounds in (
        (r"tch|dge?(?=$)|sch|sh|ch|ssion|(?<=[aeiou])tion", "S"),
        (r"th|ph", "F"),
        (r"(?<=^)kn|(?<=^)gn|ng(?=$)", "N"),
        (r"(?<=^)wr|wh", "L"),
        (r"ck", "P"),
        (r"qu", "PL"),
        (r"x", "PS"),
        (r"(?<=[aeiou])gh(?=$|t)|mb(?=$)", ""),
        (r"c(?=[eiy])|[szj]", "S"),
        (r"(?<=^)y(?=[aeiou])", "L"),
        (r"(?<=[^aeiouy])e(?=$)", ""),
        (r"(?<=[bcdfgkptz])le(?=$)", "VL"),
        (r"[aeiouy]+?e?(?=[^aeiouy]|$)|[aeiouy]+", "V"),
        (r"[pbtdkgcq]", "P"),
        (r"[fvh]", "F"),
        (r"[mn]", "N"),
        (r"[lrw]", "L"),
        (r"[0-9]", "FVN"),
    )
]
DOUBLE = re.compile(r"([b-df-hj-np-tv-z])\1")


def sounds(word: str) -> str:
    """Return the classes of the sounds of a normalised word, one letter of `CLASSES` a sound."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    plain = DOUBLE.sub(r"\1", plain)
    found, at = [], 0
    while at < len(plain):
        for pattern, classes in RULES:
            match = pattern.match(plain, at)
            if match and match.end() > at:
                found.append(classes)
                at = match.end()
                break
        else:
            found.append("O")
            at += 1
    # A word whose every letter was silent ("e") is still said.
    return "".join(found) or "V"


def syllables(classes: str) -> int:
    """Return the number of syllables of a word given as sounds, at least 1."""
    vowels = classes.count("V")
    other = classes.count("O")
    return max(1, vowels + round(other / 2.5) if other else vowels)


def text_features(text: str) -> dict[str, float]:
    """Return the features of an expected text; counts and shares of sounds, all finite."""
    words = text_key(text).split()
    spoken = [sounds(word) for word in words]
    every = "".join(spoken)
    count = max(1, len(every))
    parts = [syllables(word) for word in spoken]
    features = {
        "text_words": float(len(words)),
        "text_letters": float(sum(map(len, words))),
        "text_syllables": float(sum(parts)),
        "text_phonemes": float(len(every)),
        "text_longest_word": float(max(map(len, words), default=0)),
        "text_most_syllables": float(max(parts, default=0)),
        "text_phonemes_per_syllable": len(every) / max(1, sum(parts)),
        "text_clusters": float(len(re.findall(r"[^V](?=[^V])", every))),
    }
    for code, name in CLASSES.items():
        features[f"text_share_{name}"] = every.count(code) / count
        features[f"text_starts_{name}"] = float(every[:1] == code)
        features[f"text_ends_{name}"] = float(every[-1:] == code)
    return features
