"""Reading of the `spoken` notation, and ARPAbet in the alphabets of the synthesisers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

PAUSE = " ... "
_FIRST = re.compile(r"(?P<said>.*) \[first (?P<percent>\d+) %\]")


def _table(pairs: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in pairs.split())


ESPEAK = _table(r"""
    AA=A: AE=a AH=V AO=O: AW=aU AY=aI EH=E ER=3: EY=eI IH=I IY=i: OW=oU OY=OI UH=U UW=u:
    B=b CH=tS D=d DH=D F=f G=g HH=h JH=dZ K=k L=l M=m N=n NG=N P=p R=r S=s SH=S T=t TH=T V=v W=w
    Y=j Z=z ZH=Z
""")
VOWELS = frozenset(list(ESPEAK)[:15])
# Pico's dialect ties diphthongs and affricates with an underscore and escapes the backslash.
XSAMPA = ESPEAK | _table(r"AE={ AW=a_U AY=a_I EY=e_I OW=o_U OY=O_I CH=t_S JH=d_Z R=r\\")


@dataclass(frozen=True)
class Part:
    """A stretch said in one go: words, or ARPAbet phonemes with stress digits.

    `share` is the part of its time after which it breaks off.
    """

    words: str = ""
    phonemes: tuple[str, ...] = ()
    share: float = 1.0


def parse_spoken(spoken: str) -> list[Part]:
    """Split the `spoken` notation at its pauses."""
    return [_parse_part(part) for part in spoken.split(PAUSE)]


def _parse_part(part: str) -> Part:
    share = 1.0
    if first := _FIRST.fullmatch(part):
        part, share = first["said"], int(first["percent"]) / 100
    if part.startswith("/") and part.endswith("/"):
        return Part(phonemes=tuple(part.strip("/").split()), share=share)
    return Part(words=part, share=share)


def split_stress(phoneme: str) -> tuple[str, int]:
    """Split ``AH0`` into ``AH`` and 0; consonants have the stress -1."""
    if phoneme[-1].isdigit():
        return phoneme[:-1], int(phoneme[-1])
    return phoneme, -1


def syllables(phonemes: tuple[str, ...]) -> list[tuple[list[str], int]]:
    """Group phonemes into syllables of (bare phonemes, stress).

    A single consonant goes with the vowel after it; of a cluster between vowels the last consonant
    does, with a liquid or glide taking the stop or fricative before it along.
    """
    nuclei = [i for i, phoneme in enumerate(phonemes) if split_stress(phoneme)[1] >= 0]
    starts = [0]
    for before, nucleus in pairwise(nuclei):
        start = max(before + 1, nucleus - 1)
        if start - 1 > before and phonemes[start] in ("L", "R", "W", "Y"):
            start -= 1
        starts.append(start)
    groups = []
    for start, end in zip(starts, [*starts[1:], len(phonemes)], strict=True):
        group = [split_stress(phoneme) for phoneme in phonemes[start:end]]
        groups.append(([bare for bare, _ in group], max(stress for _, stress in group)))
    return groups


def to_espeak(phonemes: tuple[str, ...]) -> str:
    """Write ARPAbet in espeak-ng's mnemonics, to stand between double brackets."""
    said = []
    for bare, stress in map(split_stress, phonemes):
        symbol = ESPEAK[bare]
        if stress == 0:
            symbol = {"AH": "@", "ER": "3"}.get(bare, symbol)
        said.append({1: "'", 2: ","}.get(stress, "") + symbol)
    # The separator keeps neighbours such as t and S from reading as one affricate.
    return "|".join(said)


def to_xsampa(phonemes: tuple[str, ...]) -> str:
    """Write ARPAbet in the X-SAMPA that SVOX Pico reads, stress marks before the syllables."""
    said = ""
    for group, stress in syllables(phonemes):
        said += {1: '"', 2: "%"}.get(stress, "")
        for bare in group:
            symbol = XSAMPA[bare]
            said += {"AH": "@", "ER": "@`"}.get(bare, symbol) if stress <= 0 else symbol
    return said


def to_festival(phonemes: tuple[str, ...]) -> str:
    """Write ARPAbet as the syllables of a Festival lexicon entry."""
    said = []
    for group, stress in syllables(phonemes):
        names = ["ax" if bare == "AH" and stress <= 0 else bare.lower() for bare in group]
        said.append(f"(({' '.join(names)}) {int(stress > 0)})")
    return f"({' '.join(said)})"


def to_flite(phonemes: tuple[str, ...]) -> str:
    """Write ARPAbet as the phone list that flite -p takes."""
    said = []
    for bare, stress in map(split_stress, phonemes):
        name = "ax" if bare == "AH" and stress == 0 else bare.lower()
        said.append(name + (str(int(stress > 0)) if stress >= 0 else ""))
    return " ".join(said)
