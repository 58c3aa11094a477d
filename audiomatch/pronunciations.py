"""How English words are said, by CMUdict, and which of them sound the same.

The dictionary is the one that comes with pocketsphinx: 126,000 words with all their
pronunciations, in ARPAbet without stress.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from audiomatch.errors import UserError

_FILE = "model/en-us/cmudict-en-us.dict"


def dictionary() -> Mapping[str, Sequence[str]]:
    """Return how each word, in lower case, may be said, as in `T UW`: the usual way first.

    Raises `UserError` without pocketsphinx.
    """
    return _lexicons()[0]


@lru_cache(maxsize=1 << 14)
def homophones(word: str) -> tuple[str, ...]:
    """Return the other words in lower case that sound like this one, in alphabetical order.

    One of the two is then said in its usual way: that `are` and `or` may both be reduced to `er`
    does not make them alike. Raises `UserError` without pocketsphinx.
    """
    said, spelled = _lexicons()
    own = said.get(word, ())
    alike = {
        other
        for sound in own
        for other in spelled[sound]
        if sound in (own[0], said[other][0]) and not other.endswith(".")
    }
    return tuple(sorted(alike - {word}))


class _Lists(Mapping[str, Sequence[str]]):
    """Lists of strings, each kept as one: 250,000 lists would busy the garbage collector."""

    def __init__(self) -> None:
        self._joined: dict[str, str] = {}

    def append(self, key: str, value: str) -> None:
        """Add a string without line breaks to the list of a key."""
        joined = self._joined
        joined[key] = f"{joined[key]}\n{value}" if key in joined else value

    def __getitem__(self, key: str) -> Sequence[str]:
        return self._joined[key].split("\n")

    def __iter__(self) -> Iterator[str]:
        return iter(self._joined)

    def __len__(self) -> int:
        return len(self._joined)


@lru_cache(maxsize=1)
def _lexicons() -> tuple[_Lists, _Lists]:
    """Return the pronunciations of each word, and the words of each pronunciation."""
    found = find_spec("pocketsphinx")  # its folder: it is not imported
    if found is None or not found.submodule_search_locations:
        raise UserError("pronunciations need the library pocketsphinx: pip install pocketsphinx")
    file = Path(found.submodule_search_locations[0], _FILE)
    said, spelled = _Lists(), _Lists()
    for line in file.read_text(encoding="utf-8").splitlines():
        entry, _, sound = line.partition(" ")
        word = entry.partition("(")[0]  # a further pronunciation is that of word(2)
        said.append(word, sound)
        spelled.append(sound, word)
    return said, spelled
