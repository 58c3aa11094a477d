"""Keeps clips, texts and answers in a folder, where the user asks for it."""

from __future__ import annotations

import json
from pathlib import Path

import soundfile

from audiomatch.audio import SAMPLE_RATE
from audiomatch.files import atomic_file
from audiomatch_serve.answers import Answer
from audiomatch_serve.judge import Recording

MANIFEST = "answers.jsonl"


def keep(folder: Path, recording: Recording, answer: Answer) -> None:
    """Write the clip as ID.flac and add a line to answers.jsonl, which is a manifest.

    Raises `UserError` where the disk refuses.
    """
    audio = folder / f"{answer.id}.flac"
    with atomic_file(audio) as temporary:
        soundfile.write(temporary, recording.samples, SAMPLE_RATE, "PCM_24", format="FLAC")
    line = {"audio": audio.name, "expected_text": recording.text, **answer.model_dump()}
    with (folder / MANIFEST).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
