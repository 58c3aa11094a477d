"""Damage by a seed: of bytes, of JSON, of the numbers in a text, of a file, of a folder."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import struct
from pathlib import Path

from audiomatch.model import CARD

# What is put in the place of a value, and in the middle of bytes.
VALUES = (
    *(None, True, -1, 0, 1, 2.5, 7, 65_536, 2**31 - 1, 2**40, 1e308, 10**30, 10**400),
    *(
        "",
        "\0",
        "x" * 10_000,
        "NaN",
        "../../x",
        "os:system",
        "=1+1",
        "[red]",
        "<script>",
        "\x1b[2J",
    ),
    *([], {}, [[]], [1] * 1_000, {"a": {"b": {}}}),
)
BYTES = (
    *(b"\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b'"', b"\n", b"\r", b"\xef\xbb\xbf", b","),
    *(b"\x1b[31m", b"=1+1", b"\xe2\x80\xae", b"1e999", b"]" * 500, b"[" * 5_000, b"\xff" * 8),
)
NUMBERS = ("0", "1", "-1", "2", "7", "-2147483648", "2147483647", "99999999999999999999",
           "1e308", "nan", "inf", "")  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?")


def damaged(good: bytes, rng: random.Random) -> bytes:
    """Return bytes that were changed in up to four places, mostly near the start."""
    data = bytearray(good)
    for _ in range(rng.randint(1, 4)):
        at = min(
            int(rng.expovariate(1 / 60)) if rng.random() < 0.6 else rng.randrange(len(data) + 1),
            len(data),
        )
        how = rng.randrange(5)
        if how == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif how == 1:
            data[at:at] = rng.choice(BYTES)
        elif how == 2:
            del data[at : at + rng.randint(1, 64)]
        elif how == 3:
            data[at:at] = data[at : at + rng.randint(1, 200)]
        elif rng.random() < 0.3:
            del data[at:]
        else:
            data[at : at + 4] = rng.choice(BYTES)[:4]
    return bytes(data)


def overwritten(good: bytes, rng: random.Random) -> bytes:
    """Return bytes of which up to three numbers of four bytes are others, mostly at the start."""
    data = bytearray(good)
    for _ in range(rng.randint(1, 3)):
        most = len(data) if rng.random() < 0.3 else min(len(data), 400)
        at = rng.randrange(max(1, most))
        data[at : at + 4] = rng.choice((b"\0" * 4, b"\1\0\0\0", b"\xff" * 4, rng.randbytes(4)))
    return bytes(data)


def replaced(content: object, rng: random.Random) -> object:
    """Return JSON in which one value, at a depth by chance, is another or is gone."""
    if isinstance(content, dict) and content and rng.random() < 0.9:
        key = rng.choice(list(content))
        if rng.random() < 0.1:
            return {name: value for name, value in content.items() if name != key}
        return {**content, key: replaced(content[key], rng)}
    if isinstance(content, list) and content and rng.random() < 0.8:
        at = rng.randrange(len(content))
        return [*content[:at], replaced(content[at], rng), *content[at + 1 :]]
    return rng.choice(VALUES)


def damaged_json(good: bytes, rng: random.Random) -> bytes:
    """Return JSON with one or two other values, or its bytes damaged."""
    try:
        content = replaced(json.loads(good), rng)
    except ValueError:  # JSON lines
        return damaged(good, rng)
    if rng.random() < 0.2:
        return damaged(good, rng)
    return json.dumps(replaced(content, rng) if rng.random() < 0.3 else content).encode()


def other_numbers(good: bytes, rng: random.Random) -> bytes:
    """Return a text in which up to three numbers are others."""
    for _ in range(rng.randint(1, 3)):
        found = list(_NUMBER.finditer(good))
        if found:
            one = rng.choice(found)
            good = good[: one.start()] + rng.choice(NUMBERS).encode() + good[one.end() :]
    return good


def damaged_safetensors(good: bytes, rng: random.Random) -> bytes:
    """Return safetensors with another header, or damaged bytes."""
    (size,) = struct.unpack("<Q", good[:8])
    if rng.random() < 0.2:
        return damaged(good, rng)
    header = damaged_json(good[8 : 8 + size], rng)
    length = len(header) if rng.random() < 0.8 else rng.choice((0, 2**31, 2**63 - 1))
    return struct.pack("<Q", length) + header + good[8 + size :]


def damaged_file(name: str, good: bytes, rng: random.Random) -> bytes:
    """Return the content of a file damaged as its kind goes."""
    if name.endswith(".json"):
        return damaged_json(good, rng)
    if name.endswith(".safetensors"):
        return damaged_safetensors(good, rng)
    if name.endswith(".txt") and rng.random() < 0.6:
        return other_numbers(good, rng)
    if rng.random() < 0.5:
        return overwritten(good, rng)
    return damaged(good, rng)


class Folder:
    """A good folder, of which damaged copies are made at one place."""

    def __init__(self, good: Path, place: Path) -> None:
        self.good, self.place = good, place
        self.files = sorted(file for file in good.rglob("*") if file.is_file())
        self.content = {file: file.read_bytes() for file in self.files}

    def damaged(self, rng: random.Random) -> Path:
        """Return a copy in which a file is damaged, missing, in another's place, or a folder.

        What is not touched is linked.
        """
        shutil.rmtree(self.place, ignore_errors=True)
        chosen, how = rng.choice(self.files), rng.random()
        for file in self.files:
            target = self.place / file.relative_to(self.good)
            target.parent.mkdir(parents=True, exist_ok=True)
            if file != chosen:
                os.link(file, target)
            elif how < 0.9:
                target.write_bytes(damaged_file(file.name, self.content[file], rng))
            elif how < 0.94:
                target.write_bytes(self.content[rng.choice(self.files)])
            elif how < 0.96:
                target.mkdir()
        return self.place


def without_seals(model: Path) -> Path:
    """Take the digests out of the cards of a model folder, as one who knows of them would."""
    for file in model.rglob(CARD):
        card = json.loads(file.read_bytes())
        file.write_text(json.dumps({**card, "files": None}))
    return model
