"""speechocean762 (Zhang et al. 2021): non-native English, scored by five experts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from audiomatch.clips import Clips
from audiomatch.datasets.manifest import clips_of_table
from audiomatch.datasets.tables import read_text
from audiomatch.errors import UserError, brief
from audiomatch_datasets.kaldi import read_pairs, read_utterances

SENTENCE = ("accuracy", "completeness", "fluency", "prosodic", "total")
# From here on the paper's scale of a sentence's accuracy says "good".
GOOD = 7


def open_clips(path: Path, labelled: bool | None, columns: Mapping[str, str] | None) -> Clips:
    """Read both halves; `split` says which a clip is of.

    `match` is 1 where the sentence's accuracy (0 to 10) is 7 or more: the paper's "good" and
    "excellent". All scores are columns, those of words and phones as the published JSON in `words`.
    """
    scores = _scores(path / "resource" / "scores.json")
    halves = [half for half in ("train", "test") if (path / half / "wav.scp").is_file()]
    if not halves:
        raise UserError(f"{path}: no train/wav.scp and no test/wav.scp; speechocean762 has both")
    frame = pd.concat([_half(path, half, scores) for half in halves])
    if "match" not in (columns or {}):
        frame["match"] = [int(accuracy >= GOOD) for accuracy in frame["accuracy"]]
    return clips_of_table(frame, path, path.name, labelled, columns)


def _half(path: Path, half: str, scores: Mapping[str, Any]) -> pd.DataFrame:
    frame = read_utterances(path / half, path)
    if "speaker" not in frame:
        raise UserError(f"{path / half}: no utt2spk; speechocean762 has it")
    frame.index = pd.Index([f"{row}, {half}" for row in frame.index])
    found = [_of_utterance(scores, name) for name in frame["id"]]
    for name in SENTENCE:
        frame[name] = [float(score[name]) for score in found]
    frame["words"] = [json.dumps(score["words"]) for score in found]
    for fact in ("age", "gender"):
        file = path / half / f"spk2{fact}"
        if file.is_file():
            pairs = read_pairs(file)
            frame[fact] = [pairs.get(speaker, (0, ""))[1] for speaker in frame["speaker"]]
    return frame.assign(split=half)


def _scores(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_text(file))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: not readable as JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{file}: must be an object with the scores of each utterance")
    return found


def _of_utterance(scores: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    score = scores.get(name)
    if not isinstance(score, dict) or not {*SENTENCE, "words"} <= score.keys():
        raise UserError(f"scores.json: no full scores of the utterance {brief(name)}")
    if not all(isinstance(score[one], int | float) and 0 <= score[one] <= 100 for one in SENTENCE):
        raise UserError(
            f"scores.json: a score of the utterance {brief(name)} is no number from 0 to 100"
        )
    return score
