"""Plants the answers of probes in matches: clips to predict, and files to listen to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from audiomatch.audio import MAX_SECONDS, SAMPLE_RATE
from audiomatch.clips import Clips
from audiomatch.datasets.held import HeldFolder
from audiomatch.errors import PluginError, UserError, blame_on
from audiomatch.intake import admit
from audiomatch.matcher import Run
from audiomatch.probing.answers import Answer, Others
from audiomatch.probing.info import Probe
from audiomatch.text import letters, normalise_text

if TYPE_CHECKING:
    from audiomatch.probing.info import Plant

SCALE = 2**15 - 1  # of 16 bits


@dataclass(frozen=True, eq=False)
class Planted:
    """Clips with planted answers.

    Attributes:
        clips: without labels; their groups are those of the matches, their ids `ID/PROBE`. Those
            whose sound is as recorded are in the files of the matches.
        probes: the name of each clip's probe, (n,).
        rows: which match each was planted in, (n,).
        problems: a line for each probe that failed, by its name.
        missing: likewise for those that lack a package.
    """

    clips: Clips
    probes: NDArray[np.object_]
    rows: NDArray[np.int64]
    problems: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    def take(self, positions: NDArray[np.bool_]) -> Planted:
        """Return some of them."""
        probes, rows = self.probes[positions], self.rows[positions]
        return replace(self, clips=self.clips.take(positions), probes=probes, rows=rows)


def plant(matches: Clips, probes: Sequence[Probe], most: int, run: Run) -> Planted:
    """Plant each probe in at most `most` of the matches, drawn by the seed.

    What is drawn and changed depends on the seed, the probe and what the clip holds, not on the
    order of rows. A probe whose code fails is left out and named. Raises `UserError` where no probe
    can be planted.
    """
    folder = HeldFolder()
    planter = _Planter(matches, probes, most, run.seed, folder.path)
    order = sorted(range(len(matches)), key=lambda i: planter.key(i, "order"))
    with run.progress.task("planting", total=len(matches)) as task:
        for row in order:
            planter.plant_all(row)
            task.advance()
    planted = planter.found()
    planted.clips.held = (folder, *matches.held)
    return replace(planted, clips=admit(planted.clips, run).clips)


@dataclass
class _Row:
    """A planted clip: in which match, by which probe, what it says, and where its sound is."""

    match: int
    probe: str
    text: str
    file: Path | None


class _Planter:
    def __init__(
        self, matches: Clips, probes: Sequence[Probe], most: int, seed: int, folder: Path
    ) -> None:
        self._matches, self._most, self._seed, self._folder = matches, most, seed, folder
        self._others = Others(matches)
        self._sounds, self._texts = matches.sounds, matches.normalised().texts
        self._rows: dict[str, list[_Row]] = {probe.info.name: [] for probe in probes}
        self.problems: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        self._plants: dict[str, tuple[Probe, Plant]] = {}
        for probe in probes:
            with self._noting(probe):
                self._plants[probe.info.name] = probe, probe.function()

    def key(self, row: int, use: str) -> str:
        """Return what random numbers of a match for one use are drawn by."""
        content = f"{self._seed}\0{use}\0{self._sounds[row]}\0{letters(self._texts[row])}"
        return hashlib.sha256(content.encode()).hexdigest()

    def plant_all(self, row: int) -> None:
        """Plant every probe that still wants matches in one."""
        wanted = [one for name, one in self._plants.items() if len(self._rows[name]) < self._most]
        answer = self._others.answer(row) if wanted else None
        for probe, function in wanted:
            assert answer is not None
            with self._noting(probe):
                self._plant(probe, function, answer, row)

    def _plant(self, probe: Probe, function: Plant, answer: Answer, row: int) -> None:
        name = probe.info.name
        rng = np.random.default_rng(int(self.key(row, name), 16))
        with blame_on(f"{probe} failed on {self._matches.where(row)}"):
            changed = _checked(function(answer, rng))
        if changed is None or len(changed.samples) > MAX_SECONDS * SAMPLE_RATE:
            return
        file = None
        if changed.samples is not answer.samples:
            file = self._folder / name / f"{len(self._rows[name]):04}.wav"
            write_wav(file, changed.samples)
        self._rows[name].append(_Row(row, name, normalise_text(changed.text), file))

    @contextmanager
    def _noting(self, probe: Probe) -> Iterator[None]:
        """Go on without a probe that fails or lacks a package."""
        try:
            yield
        except UserError as error:
            name = probe.info.name
            lines = self.problems if isinstance(error, PluginError) else self.missing
            lines[name] = " ".join(str(error).split())
            self._plants.pop(name, None)
            self._rows[name] = []

    def found(self) -> Planted:
        """Return what was planted, probe by probe."""
        rows = [row for rows in self._rows.values() for row in rows]
        if not rows:
            why = next(iter([*self.problems.values(), *self.missing.values()]), None)
            reason = why or "none of the matches allows one of the probes"
            raise UserError(f"{self._matches.source}: nothing was planted: {reason}")
        at = np.array([row.match for row in rows])
        clips = self._matches.take(at).unlabelled()
        files = [row.file for row in rows]
        kept = [
            path if file is None else file for path, file in zip(clips.paths, files, strict=True)
        ]
        whole = np.array([file is not None for file in files])
        start, end = np.where(whole[:, None], np.nan, clips.segments).T
        ids = [f"{name}/{row.probe}" for name, row in zip(clips.ids, rows, strict=True)]
        clips = clips.with_column("expected_text", [row.text for row in rows])
        clips = clips.with_column("audio", [str(path) for path in kept])
        clips = clips.with_column("id", ids).with_segments(start, end)
        names = np.array([row.probe for row in rows], dtype=object)
        return Planted(clips, names, at, self.problems, self.missing)


def _checked(changed: object) -> Answer | None:
    """Return what a probe gave, where it is an answer that can be kept and said."""
    if changed is None:
        return None
    if not isinstance(changed, Answer):
        raise TypeError(f"gave {changed!r}; must be an Answer or None")
    samples = changed.samples
    if samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
        raise ValueError(f"gave samples of shape {samples.shape}; must be (n,), finite")
    if not normalise_text(changed.text):
        raise ValueError(f"gave the text {changed.text!r}, which has no word to say")
    return changed


def write_wav(file: Path, samples: NDArray[np.float32]) -> None:
    """Write samples at 16 kHz with 16 bits."""
    file.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(file, SAMPLE_RATE, np.round(np.clip(samples, -1, 1) * SCALE).astype(np.int16))
