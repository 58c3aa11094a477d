"""What a file is, told by its first bytes: its name does not count."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

HEAD = 65_536  # bytes that tell


class Kind(NamedTuple):
    """What a file is.

    Attributes:
        name: what people call it; empty where it is not known.
        reader: `soundfile`, `av`, or empty for what is no audio.
        advice: what to do with what is no audio.
    """

    name: str = ""
    reader: str = "soundfile"
    advice: str = ""


MP3, OGG, FLAC, WAV = Kind("MP3"), Kind("Ogg"), Kind("FLAC"), Kind("WAV")
_UNPACK = "unpack it"
# (offset, bytes there, what it is); the first that fits.
_SIGNATURES = (
    (8, b"WAVE", WAV),
    (0, b"fLaC", FLAC),
    (0, b"OggS", OGG),
    (0, b"ID3", MP3),
    (0, b"FORM", Kind("AIFF")),
    (0, b".snd", Kind("AU")),
    (0, b"riff\x2e\x91\xcf\x11", Kind("Wave64")),
    (0, b"caff", Kind("CAF")),
    (0, b"NIST_1A", Kind("SPHERE")),
    (0, b"\x1a\x45\xdf\xa3", Kind("WebM or Matroska", "av")),
    (4, b"ftyp3g", Kind("3GP", "av")),
    (4, b"ftyp", Kind("MP4 or M4A", "av")),
    (0, b"#!AMR", Kind("AMR", "av")),
    (0, b"FLV\x01", Kind("FLV", "av")),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Kind("WMA or ASF", "av")),
    (8, b"AVI ", Kind("AVI", "av")),
    (0, b"\xff\xf1", Kind("AAC", "av")),
    (0, b"\xff\xf9", Kind("AAC", "av")),
    (0, b"version https://git-lfs", Kind("a Git LFS pointer", "", "git lfs pull fetches the file")),
    (0, b"PK\x03\x04", Kind("a zip archive", "", _UNPACK)),
    (0, b"\x1f\x8b", Kind("a gzip file", "", _UNPACK)),
    (0, b"7z\xbc\xaf", Kind("a 7z archive", "", _UNPACK)),
    (0, b"Rar!", Kind("a RAR archive", "", _UNPACK)),
    (257, b"ustar", Kind("a tar archive", "", _UNPACK)),
    (0, b"%PDF", Kind("a PDF document", "")),
    (0, b"\x89PNG", Kind("a PNG picture", "")),
    (0, b"\xff\xd8\xff", Kind("a JPEG picture", "")),
    (0, b"GIF8", Kind("a GIF picture", "")),
    (0, b"\x93NUMPY", Kind("a NumPy array", "")),
    (0, b"PAR1", Kind("a Parquet table", "")),
    (0, b"SQLite format", Kind("an SQLite database", "")),
)
_DOWNLOAD = "download the recording itself"
_TEXTS = (
    (("<!doctype html", "<html"), Kind("an HTML page", "", _DOWNLOAD)),
    (("<?xml", "<"), Kind("XML text", "", _DOWNLOAD)),
    (("{", "["), Kind("JSON text", "", _DOWNLOAD)),
)


_MP3_SYNC = re.compile(rb"\xff[\xe2-\xfb]")


def kind_of(head: bytes) -> Kind:
    """Return what a file that begins with `head` is."""
    for offset, mark, kind in _SIGNATURES:
        if head.startswith(mark, offset):
            return kind
    if not head.strip(b"\0"):
        return Kind("a file of zero bytes only", "", "it was never written; copy it again")
    text = _text(head)
    if text is None:
        return MP3 if _MP3_SYNC.match(head) else Kind()
    text = text.lstrip("\ufeff \t\r\n").lower()
    return next((kind for starts, kind in _TEXTS if text.startswith(starts)), Kind("text", ""))


def mangled(head: bytes) -> str:
    """Say how a transfer as text spoilt a binary file, or nothing.

    In sound a line feed is no likelier after a carriage return than elsewhere.
    """
    at = head.find(b"\n")
    if at > 0 and head[at - 1 : at] == b"\r" and head.count(b"\n") == head.count(b"\r\n") >= 8:
        return "every line feed in it follows a carriage return"
    try:
        replaced = _decoded(head, "utf-8").count("\ufffd")
    except UnicodeDecodeError:
        return ""
    return "bytes in it were replaced by U+FFFD" if replaced > max(8, len(head) // 200) else ""


def _text(head: bytes) -> str | None:
    """Return the text that a file begins with, None where it is none."""
    try:
        text = _decoded(head, "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")
    except UnicodeDecodeError:
        return None
    return None if any(ord(c) < 32 and c not in "\t\r\n\f" for c in text) else text


def _decoded(head: bytes, encoding: str) -> str:
    """Decode what may end amid a character."""
    return codecs.getincrementaldecoder(encoding)().decode(head)
