"""What decoders pass over in silence: several recordings in one file, and files cut short."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from io import BufferedReader
from typing import NamedTuple

from audiomatch.decoding.signatures import FLAC, MP3, OGG, WAV, Kind, kind_of

_UNKNOWN = 0x7FFF0000  # sizes from here on stand for one that was not known when it was written
_BEGINNING, _LAST = 2, 4  # flags of an Ogg page (RFC 3533)
_PREFIX = 65_536  # bytes before a header that are looked through
_MAGIC = re.compile(rb"RIFF....WAVE|fLaC\0\0\0\x22|OggS\0\x02", re.DOTALL)
# The tag of an encoder lies in the first frame of an MP3, after its header and side information.
_FIRST_FRAME = 2_048  # bytes in which the tag is, padding before it included
_MP3_TAGS, _MP3_BEFORE = (b"Xing", b"Info"), (36, 21, 13)


class Parts(NamedTuple):
    """The recordings that a file holds one after another, and what is to be said of it."""

    parts: list[bytes]
    warnings: list[str]


def tagged(head: bytes) -> bool:
    """Return whether an MP3 has its encoder's tag, which says how long it is."""
    first = _after_id3(head)
    return bool(_mp3_frames(head[first : first + _FIRST_FRAME]))


def split(data: bytes, kind: Kind) -> Parts:
    """Return the recordings in a whole file of this kind."""
    skipped: list[str] = []
    found = _MAGIC.search(data, 0, _PREFIX) if _has_prefix(data, kind) else None
    if found:
        skipped = [f"{found.start()} bytes before its header were passed over"]
        data = data[found.start() :]
        kind = kind_of(data[:16])
    parts, warnings = _SPLITTERS.get(kind, _one)(data)
    return Parts(parts, skipped + warnings)


def _has_prefix(data: bytes, kind: Kind) -> bool:
    after = _after_id3(data)
    return _MAGIC.match(data, after) is not None if after else not kind.name


def _after_id3(data: bytes) -> int:
    """Return where an ID3 tag at the start ends; 0 where there is none."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    return 10 + (data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9])


def _one(data: bytes) -> Parts:
    promised = _promised(data)
    return Parts([data], cut_short(len(data), promised, "bytes") if promised > len(data) else [])


def cut_short(there: int, promised: int, unit: str) -> list[str]:
    """Say that only so much is there of what a header promises."""
    return [f"is cut short: {there} of the {promised} {unit} that its header promises are there"]


def _promised(data: bytes) -> int:
    """Return how many bytes the header of an AIFF, AU, Wave64 or RF64 file promises; else 0."""

    def number(place: int, size: int, order: str) -> int:
        return int.from_bytes(data[place : place + size], "little" if order == "<" else "big")

    size = 0
    if data[:4] == b"FORM":
        size = 8 + number(4, 4, ">")
    elif data[:4] == b".snd":
        size = number(4, 4, ">") + number(8, 4, ">")
    elif data[:4] == b"riff":
        size = number(16, 8, "<")
    elif data[:4] == b"RF64":
        size = 8 + number(20, 8, "<")
    return size if size < _UNKNOWN else 0


def _wav(data: bytes) -> Parts:
    """WAV: chunks of a name, a size and so many bytes, padded to even."""
    place, end = 12, len(data)
    while place + 8 <= end and data[place : place + 4] != b"data":
        place += 8 + int.from_bytes(data[place + 4 : place + 8], "little")
        place += place % 2
    if place + 8 > end or data[:4] != b"RIFF":
        return _one(data)
    size, there = int.from_bytes(data[place + 4 : place + 8], "little"), end - place - 8
    if size == 0 and there:  # written into a pipe, or never finished
        return Parts([data[: place + 4] + b"\xff" * 4 + data[place + 8 :]], [])
    if size > there:
        return Parts([data], cut_short(there, size, "bytes") if size < _UNKNOWN else [])
    rest = data[place + 8 + size + size % 2 :]
    if kind_of(rest[:16]) == WAV:
        more, warnings = _wav(rest)
        return Parts([data[: end - len(rest)], *more], warnings)
    if len(rest) > 8 and not re.match(rb"[ -~]{4}", rest):
        return Parts([data], [f"{len(rest)} bytes after its sound were passed over"])
    return Parts([data], [])


def _flac(data: bytes) -> Parts:
    return Parts(_cut_at(data, list(_places(data, b"fLaC\0\0\0\x22"))), [])


def _mp3(data: bytes) -> Parts:
    return Parts(_cut_at(data, _mp3_frames(data)[1:]), [])


def _mp3_frames(data: bytes) -> list[int]:
    """Return where the frames with an encoder's tag begin."""
    tags = (place for tag in _MP3_TAGS for place in _places(data, tag))
    return sorted(
        place - before
        for place in tags
        for before in _MP3_BEFORE
        if place >= before and re.match(rb"\xff[\xe2-\xfb]", data[place - before : place])
    )


def _places(data: bytes, mark: bytes) -> Iterator[int]:
    place = data.find(mark)
    while place >= 0:
        yield place
        place = data.find(mark, place + 1)


def _ogg(data: bytes) -> Parts:
    """Ogg: pages; a chain of streams where pages that begin a stream follow others."""
    places: list[int] = []
    expected, flags, damaged = 0, _BEGINNING, False
    for place, size, now in pages(data):
        damaged |= place != expected
        if now & _BEGINNING and not flags & _BEGINNING:
            places.append(place)
        expected, flags = place + size, now
    warnings = ["is damaged: not all of it is Ogg pages"] if damaged else []
    if expected > len(data):
        warnings.append("is cut short: its last Ogg page is not whole")
    elif not flags & _LAST:
        warnings.append("may be cut short: its Ogg stream has no last page")
    return Parts(_cut_at(data, places), warnings)


def pages(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Give place, size and flags of each Ogg page."""
    place = data.find(b"OggS")
    while place >= 0 and place + 27 <= len(data):
        segments = data[place + 26]
        size = 27 + segments + sum(data[place + 27 : place + 27 + segments])
        yield place, size, data[place + 5]
        place = data.find(b"OggS", place + size)


def chained(file: BufferedReader) -> bool:
    """Return whether an Ogg file holds several streams one after another."""
    file.seek(0)
    flags, tail = _BEGINNING, b""
    while block := file.read(2**20):
        block = tail + block
        for found in re.finditer(rb"OggS\0(.)", block, re.DOTALL):
            now = found[1][0]
            if now & _BEGINNING and not flags & _BEGINNING:
                return True
            flags = now
        tail = block[-5:] if b"OggS\0" not in block[-6:-1] else b""
    return False


def _cut_at(data: bytes, places: list[int]) -> list[bytes]:
    if not any(places):
        return [data]
    edges = [0, *(place for place in places if place), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


_SPLITTERS = {WAV: _wav, FLAC: _flac, MP3: _mp3, OGG: _ogg}
