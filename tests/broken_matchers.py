"""Matchers that break the contract, each in one way; `Sound` is the one that does not."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import ConfigDict, Field, field_validator

from audiomatch import Matcher, Run
from audiomatch.audio import SAMPLE_RATE, load_audio
from audiomatch.clips import Clips
from audiomatch.config import MatcherConfig
from audiomatch.explanation import Explanation, WordEvidence


class SoundConfig(MatcherConfig):
    strength: float = Field(1.0, gt=0, le=10, description="of the regression")
    colour: str = Field("red", pattern="red|blue", description="of no use")


class Sound(Matcher):
    """Logistic regression on letters per second; keeps to the contract."""

    Config = SoundConfig
    weights: Any = None

    def fit(self, train: Clips, run: Run) -> None:
        # By Newton's method: scikit-learn would be imported in each process that a check starts.
        x = np.c_[self.features(train), np.ones(len(train))]
        penalty = np.array([1.0, 1.0, 1.0, 0.0]) / (10 * self.config.strength)
        self.weights = np.zeros(4)
        for _ in range(25):
            p = 1 / (1 + np.exp(-x @ self.weights))
            slope = x.T @ (train.labels - p) - penalty * self.weights
            self.weights += np.linalg.solve((x.T * p * (1 - p)) @ x + np.diag(penalty), slope)

    def features(self, clips: Clips) -> Any:
        rows = []
        for path, text in zip(clips.paths, clips.texts, strict=True):
            seconds = load_audio(path).size / SAMPLE_RATE
            rate = np.log(0.08 * len(text) / seconds)
            rows.append([np.log(seconds), rate, rate**2])
        return np.asarray(rows)

    def predict(self, clips: Clips, run: Run) -> Any:
        weights = self.fitted(self.weights)
        score = (self.features(clips) * weights[:-1]).sum(axis=1) + weights[-1]
        return 1 / (1 + np.exp(-np.clip(score, -30, 30)))

    def save(self, folder: Path) -> None:
        (folder / "sound.json").write_text(json.dumps(self.fitted(self.weights).tolist()))

    def load(self, folder: Path) -> None:
        self.weights = np.asarray(json.loads((folder / "sound.json").read_text()))


class PredictsUnfitted(Sound):
    def predict(self, clips: Clips, run: Run) -> Any:
        return np.full(len(clips), 0.5) if self.weights is None else super().predict(clips, run)


class SavesNothing(Sound):
    def save(self, folder: Path) -> None:
        (folder / "sound.json").write_text(json.dumps(self.weights.tolist()))


class NaN(Sound):
    def predict(self, clips: Clips, run: Run) -> Any:
        return super().predict(clips, run) * np.nan


class OutOfRange(Sound):
    def predict(self, clips: Clips, run: Run) -> Any:
        return super().predict(clips, run) + 1


class WrongShape(Sound):
    def predict(self, clips: Clips, run: Run) -> Any:
        return super().predict(clips, run)[:, None]


class Dropout(Sound):
    def predict(self, clips: Clips, run: Run) -> Any:
        return super().predict(clips, run) * np.random.default_rng().uniform(0.5, 1, len(clips))


class OrderDependent(Sound):
    def predict(self, clips: Clips, run: Run) -> Any:
        return super().predict(clips, run) * np.linspace(0.5, 1, len(clips))


class BatchDependent(Sound):
    def predict(self, clips: Clips, run: Run) -> Any:
        p_match = super().predict(clips, run)
        return p_match / p_match.max()


class LeakyRows(Sound):
    """Each row's number holds some of the row before."""

    def predict(self, clips: Clips, run: Run) -> Any:
        p_match = super().predict(clips, run)
        return (p_match + np.append(0.5, p_match[:-1])) / 2


class NotAlone(Sound):
    def predict(self, clips: Clips, run: Run) -> Any:
        p_match = np.squeeze(super().predict(clips, run))
        return [float(p) for p in p_match]  # a single clip gives no list


class Learnless(Sound):
    def predict(self, clips: Clips, run: Run) -> Any:
        return 0.5 + 0.01 * super().predict(clips, run)


class Deaf(Sound):
    """Does not look at the text, and doesn't say so."""

    def features(self, clips: Clips) -> Any:
        seconds = np.asarray([load_audio(path).size for path in clips.paths]) / SAMPLE_RATE
        return np.stack([seconds, seconds**2, np.log(seconds)], axis=1)


class Unseeded(Sound):
    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        self.weights = self.weights + np.random.default_rng().normal(0, 0.1, self.weights.size)


class GlobalRandom(Sound):
    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        self.weights = self.weights + np.random.normal(0, 0.1, self.weights.size)


class Peeks(Sound):
    """Reads the labels of what it is to predict from the manifest beside the clips."""

    def predict(self, clips: Clips, run: Run) -> Any:
        with (clips.paths[0].parent / "manifest.csv").open() as file:
            label = {row["id"]: int(row["match"]) for row in csv.DictReader(file)}
        p_match = super().predict(clips, run)
        return np.asarray(
            [(p + label.get(i, p)) / 2 for i, p in zip(clips.ids, p_match, strict=True)]
        )


class NotesSets(Sound):
    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        run.note(tasks=set(train["task"]))


class TurnsLabels(Sound):
    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        train.frame["match"] = 1 - train.frame["match"]


class EmptiesTexts(Sound):
    def predict(self, clips: Clips, run: Run) -> Any:
        p_match = super().predict(clips, run)
        clips.frame["expected_text"] = ""
        return p_match


class NeedsFrames(Sound):
    """Cannot do without half a second of audio."""

    def features(self, clips: Clips) -> Any:
        for path in clips.paths:
            if load_audio(path).size < SAMPLE_RATE // 2:
                raise ValueError("no frames")
        return super().features(clips)


class TenSeconds(Sound):
    def features(self, clips: Clips) -> Any:
        for path in clips.paths:
            np.zeros(10 * SAMPLE_RATE)[: load_audio(path).size] += load_audio(path)
        return super().features(clips)


class DividesByLevel(Sound):
    def predict(self, clips: Clips, run: Run) -> Any:
        level = np.asarray([np.abs(load_audio(path)).max() for path in clips.paths])
        with np.errstate(invalid="ignore"):
            return super().predict(clips, run) * (level / level)


class RefusesClipping(Sound):
    def predict(self, clips: Clips, run: Run) -> Any:
        for path in clips.paths:
            assert np.abs(load_audio(path)).max() < 0.99, "too loud"
        return super().predict(clips, run)


class AsciiOnly(Sound):
    def features(self, clips: Clips) -> Any:
        for text in clips.texts:
            text.encode("ascii")
        return super().features(clips)


class CannotFitSilence(Sound):
    def fit(self, train: Clips, run: Run) -> None:
        for path in train.paths:
            assert np.abs(load_audio(path)).max() > 0, "log of zero"
        super().fit(train, run)


class NoCpu(Sound):
    def fit(self, train: Clips, run: Run) -> None:
        raise RuntimeError("only CUDA will do")


class NoCuda(Sound):
    def fit(self, train: Clips, run: Run) -> None:
        if run.device == "cuda":
            raise RuntimeError("only a CPU will do")
        super().fit(train, run)


class LaxConfig(SoundConfig):
    model_config = ConfigDict(extra="ignore")


class Lax(Sound):
    Config = LaxConfig


class ClampingConfig(SoundConfig):
    @field_validator("strength", mode="before")
    @classmethod
    def _clamp(cls, value: Any) -> Any:
        return min(max(float(value), 0.1), 10)


class Clamping(Sound):
    Config = ClampingConfig


class RangelessConfig(SoundConfig):
    rounds: int = Field(3, description="as many as you like")


class Rangeless(Sound):
    Config = RangelessConfig


class BadDefaultConfig(SoundConfig):
    rounds: int = Field(0, ge=1, description="its own default is out of range")


class BadDefault(Sound):
    Config = BadDefaultConfig


class ForgetsOnSave(Sound):
    def load(self, folder: Path) -> None:
        super().load(folder)
        self.weights[-1] = 0.0


class KeepsInMemory(Sound):
    """Saves nothing, but finds it again in the same process."""

    kept: ClassVar[dict[str, Any]] = {}

    def save(self, folder: Path) -> None:
        self.kept["weights"] = self.weights

    def load(self, folder: Path) -> None:
        self.weights = self.kept["weights"]


class WritesInCwd(Sound):
    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        Path("training.log").write_text("done")


class WritesInHome(Sound):
    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        (Path.home() / ".sound").mkdir()


class WritesBesideClips(Sound):
    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        np.save(train.paths[0].with_suffix(".npy"), self.weights)


class WritesFar(Sound):
    """Writes to a place that nobody watches, and takes it away again."""

    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        far = Path(__file__).with_name(f".stray-{os.getpid()}")
        far.write_text("here")
        far.unlink()


class LeavesTemporary(Sound):
    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        os.close(tempfile.mkstemp()[0])


class WritesNatively(Sound):
    """Writes as a library in C does, unseen by Python."""

    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        import soundfile

        soundfile.write("native.wav", np.zeros(8), SAMPLE_RATE)


class Tidy(Sound):
    """Uses its cache and a temporary folder as it may."""

    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        run.cache.mkdir(parents=True, exist_ok=True)
        (run.cache / "sound.txt").write_text("kept")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "passing").write_text("gone soon")


class Explains(Sound):
    """As sure of each word as of the text, at even distances; keeps to the contract."""

    def explain(self, clips: Clips, run: Run) -> list[Explanation]:
        p_match = self.predict(clips, run)
        return [self.one(clips, i, float(p_match[i])) for i in range(len(clips))]

    def one(self, clips: Clips, i: int, p_match: float) -> Explanation:
        seconds = load_audio(clips.paths[i]).size / SAMPLE_RATE
        said = clips.texts[i].split()
        words = tuple(
            self.word(word, p_match, seconds * n / len(said), seconds * (n + 1) / len(said))
            for n, word in enumerate(said)
        )
        return Explanation(clips.ids[i], clips.texts[i], p_match, "", words)

    def word(self, word: str, p: float, start: float, end: float) -> WordEvidence:
        return WordEvidence(word, p, float(np.log(p)), start, end, (), "", "")


class KnowsById(Explains):
    """Finds the text as it was typed, by the id of its clip."""

    def predict(self, clips: Clips, run: Run) -> Any:
        return super().predict(clips, run) / [len(name) for name in clips.ids]


class SaysOtherWords(Explains):
    def word(self, word: str, p: float, start: float, end: float) -> WordEvidence:
        return super().word(word.upper(), p, start, end)


class TimesFall(Explains):
    def word(self, word: str, p: float, start: float, end: float) -> WordEvidence:
        return super().word(word, p, 1 - start, 1 - start)


class TimesAfterTheClip(Explains):
    def word(self, word: str, p: float, start: float, end: float) -> WordEvidence:
        return super().word(word, p, start, end + 0.02)


class SureBeyondOne(Explains):
    def word(self, word: str, p: float, start: float, end: float) -> WordEvidence:
        return super().word(word, 1.5, start, end)


class ExplainsAnother(Explains):
    def one(self, clips: Clips, i: int, p_match: float) -> Explanation:
        return super().one(clips, i, p_match / 2)


class ExplainsNaN(Explains):
    def one(self, clips: Clips, i: int, p_match: float) -> Explanation:
        return replace(super().one(clips, i, p_match), p_match=float("nan"))


class ExplainsAtRandom(Explains):
    def word(self, word: str, p: float, start: float, end: float) -> WordEvidence:
        return super().word(word, np.random.default_rng().uniform(0.1, 0.9), start, end)
