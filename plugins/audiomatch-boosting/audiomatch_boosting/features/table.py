"""The table of features that the boosting libraries see."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audiomatch import Run
from audiomatch.audio import SAMPLE_RATE
from audiomatch.clips import Clips
from audiomatch_boosting.features.agreement import agreement_features
from audiomatch_boosting.features.audio import audio_features
from audiomatch_boosting.features.cache import audio_columns, audio_table
from audiomatch_boosting.features.text import text_features

if TYPE_CHECKING:  # needs torch
    from audiomatch_boosting.features.asr import Hearing

MOST_CATEGORIES = 32
KINDERGARTEN = {"k": 0.0, "kg": 0.0, "kindergarten": 0.0, "pk": -1.0, "prek": -1.0}


@dataclass(frozen=True)
class Categories:
    """The tasks and grades seen in training; any other counts as none of them."""

    tasks: tuple[str, ...]
    grades: tuple[str, ...]

    @classmethod
    def of(cls, train: Clips) -> Categories:
        """Take the categories of `train`, the most frequent 32 of each."""
        return cls(_frequent(train["task"].tolist()), _frequent(train["grade"].tolist()))


def _frequent(values: list[str]) -> tuple[str, ...]:
    counts = Counter(value for value in values if value)
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    return tuple(sorted(ranked[:MOST_CATEGORIES]))


def feature_table(
    clips: Clips,
    categories: Categories,
    run: Run,
    features: str = "audio",
    hearing: Hearing | None = None,
) -> tuple[NDArray[np.float32], list[str]]:
    """Return the features of `clips`, float32 of shape (n, columns), and the columns' names.

    `features` is the option of that name; `asr` and `both` need `hearing`.
    Finite but for `grade_order`, which is NaN (missing, to both libraries) where a grade is not a
    number or kindergarten. Raises `ClipError` that names a clip that cannot be used.
    """
    rows: list[dict[str, float]] = [{} for _ in range(len(clips))]
    if features != "asr":
        audio = audio_table(clips, run).tolist()
        rows = [dict(zip(audio_columns(), values, strict=True)) for values in audio]
    texts = {text: text_features(text) for text in set(clips.texts)}
    for row, text, task, grade in zip(
        rows, clips.texts, clips["task"], clips["grade"], strict=True
    ):
        if row:
            row |= agreement_features(row, texts[text])
        row |= texts[text]
        row |= {f"task_{i}": float(task == name) for i, name in enumerate(categories.tasks)}
        row |= {f"grade_{i}": float(grade == name) for i, name in enumerate(categories.grades)}
        row["grade_order"] = _order(grade)
    if hearing is not None:
        from audiomatch_boosting.features.asr import columns

        for row, values in zip(rows, hearing.table(clips, run).tolist(), strict=True):
            row |= dict(zip(columns(), values, strict=True))
    return np.array([list(row.values()) for row in rows], np.float32), list(rows[0])


def probe() -> dict[str, float]:
    """Return the features of audio and text of a made clip: they tell one version from another."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    wave = np.sin(2 * np.pi * (180 + 40 * time) * time) * np.sin(2 * np.pi * 2.5 * time) ** 2
    wave = wave + 0.2 * np.random.default_rng(0).standard_normal(time.size) * (time > 0.7)
    audio = audio_features((0.3 * wave).astype(np.float32))
    text = text_features("The baby has a soft blanket.")
    return audio | text | agreement_features(audio, text)


def _order(grade: str) -> float:
    plain = grade.strip().casefold().replace("-", "")
    if plain in KINDERGARTEN:
        return KINDERGARTEN[plain]
    try:
        number = float(plain)
    except ValueError:
        return float("nan")
    return number if abs(number) < 1e6 else float("nan")
