"""The toy corpus: made on the fly, learnable by ear, by length and by letters."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiomatch.audio import SAMPLE_RATE
from audiomatch.clips import Clips
from audiomatch.datasets.manifest import open_manifest
from audiomatch.folds import Folds, make_folds

TEXTS = ("moon", "paper boat", "little green hat", "the dog ran over the hill")
VOICES = 9
FOLDS = 3
SEED = 1  # of the folds; some others leave voices to learn from that hoarseness alone tells
LETTER = 0.08  # seconds
GAP = 0.04  # seconds, a space
EDGE_TEXT = "Zażółć 蓝色 naïve"


@dataclass(frozen=True)
class Toy:
    """A corpus on disk, `manifest.csv` and the clips beside it, split by voice."""

    folder: Path
    folds: Folds

    @property
    def train(self) -> Clips:
        """The training part, labelled: six voices."""
        return self.folds.split(0)[0]

    @property
    def held_out(self) -> Clips:
        """The held-out part without labels: three other voices, the same texts."""
        return self.folds.split(0)[1]

    @property
    def labels(self) -> NDArray[np.int8]:
        """The labels of the held-out part, which no matcher is given."""
        return self.folds.clips.take(self.folds.of == 0).labels

    def scrambled(self) -> Toy:
        """Turn the held-out labels round, in the manifest on disk too, and open it again."""
        held_out = set(self.held_out.ids)
        file = self.folder / "manifest.csv"
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        for row in rows:
            if row["id"] in held_out:
                row["match"] = str(1 - int(row["match"]))
        _write_manifest(self.folder, rows)
        return _open(self.folder)


def make_toy(folder: Path, seed: int = 0) -> Toy:
    """Write the corpus: 72 clips of 4 texts by 9 voices, half of them matches.

    A match is its text spelled in tones, a pair of formants a letter. A mismatch is another text's,
    much shorter or longer; most are hoarse as well. So a matcher may learn from the letters,
    from the length against the text, or (less well) from the sound alone; the two shorter texts
    match in two thirds of their clips, the others in one.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for voice in range(VOICES):
        pitch = 110 * 2 ** (voice / VOICES)
        for number, text in enumerate(TEXTS):
            # In a third of the voices the shorter texts match, so that a text tells a little.
            leaning = (int(number < 2),) * 2
            for match in leaning if voice % 3 == 0 else (1, 0):
                spoken = text if match else TEXTS[(number + 2) % len(TEXTS)]
                hoarse = not match and (voice + number) % 6 != 0
                rows.append(
                    {
                        "id": f"{rng.integers(1 << 40):010x}",
                        "expected_text": text,
                        "match": str(match),
                        "task": "toy",
                        "grade": str(voice % 2),
                        "voice": f"v{voice}",
                        "samples": say(spoken, pitch, rng, hoarse),
                    }
                )
    # Ids and order tell nothing of the labels.
    rows = [rows[i] for i in rng.permutation(len(rows))]
    for row in rows:
        row["audio"] = f"{row['id']}.wav"
        soundfile.write(folder / str(row["audio"]), row.pop("samples"), SAMPLE_RATE)
    _write_manifest(folder, rows)
    return _open(folder)


def make_edges(folder: Path, seed: int = 0) -> dict[str, Clips]:
    """Write the clips at the edges of what is allowed; returns one each, labelled, by name."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    moon = say("moon", 150, rng)
    long = np.tile(say(TEXTS[-1], 150, rng), 30)[: int(29.9 * SAMPLE_RATE)]
    sounds: dict[str, tuple[NDArray[Any], str, int]] = {
        "short": (moon[: SAMPLE_RATE // 10], "moon", 0),
        "long": (long, "moon", 0),
        "silence": (np.zeros(SAMPLE_RATE), "moon", 0),
        "clipping": (np.clip(100 * moon, -1, 1), "moon", 1),
        "non-ascii": (say(EDGE_TEXT, 150, rng), EDGE_TEXT, 1),
    }
    rows = []
    for name, (samples, text, match) in sounds.items():
        soundfile.write(folder / f"{name}.wav", samples, SAMPLE_RATE)
        facts = {"task": "toy", "grade": "0", "voice": "edge"}
        rows.append(
            {"id": name, "audio": f"{name}.wav", "expected_text": text, "match": match, **facts}
        )
    _write_manifest(folder, rows)
    clips = open_manifest(folder, labelled=True)
    clips = clips.with_groups(clips["voice"].tolist())
    return {name: clips.take([i]) for i, name in enumerate(sounds)}


def say(
    text: str, pitch: float, rng: np.random.Generator, hoarse: bool = False
) -> NDArray[np.float64]:
    """Return samples at 16 kHz that spell `text`, 80 ms a letter at `pitch` Hz.

    A letter is a harmonic tone with two resonances that its code point decides; hoarse, noise under
    the same envelope takes the place of half the tone.
    """
    parts = [np.zeros(SAMPLE_RATE // 20)]
    for letter in text.lower():
        if letter.isspace():
            parts.append(np.zeros(int(GAP * SAMPLE_RATE)))
            continue
        size = int(LETTER * SAMPLE_RATE * rng.uniform(0.9, 1.0))
        tone = _tone(ord(letter) % 26, pitch)[:size]
        if hoarse:
            tone = 0.3 * tone + 0.7 * rng.uniform(-1, 1, size)
        parts.append(tone * np.hanning(size))
    parts.append(np.zeros(SAMPLE_RATE // 20))
    wave = 0.4 * np.concatenate(parts)
    return wave + rng.normal(0, 1e-3, wave.size)


@functools.lru_cache(maxsize=1024)
def _tone(code: int, pitch: float) -> NDArray[np.float64]:
    time = np.arange(int(LETTER * SAMPLE_RATE)) / SAMPLE_RATE
    hertz = pitch * np.arange(1, 25)
    formants = np.array([[300 + 100 * (code % 6)], [1000 + 300 * (code // 6)]])
    gains = np.exp(-(((hertz - formants) / 150) ** 2)).sum(axis=0)
    tone = gains @ np.sin(2 * np.pi * hertz[:, None] * time)
    scaled: NDArray[np.float64] = tone / np.abs(tone).max()
    return scaled


def _open(folder: Path) -> Toy:
    clips = open_manifest(folder, labelled=True)
    return Toy(folder, make_folds(clips, FOLDS, "voice", SEED))


def _write_manifest(folder: Path, rows: list[dict[str, Any]]) -> None:
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
