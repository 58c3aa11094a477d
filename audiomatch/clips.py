"""Clips: the one table that goes from datasets to matchers and scoring."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from audiomatch.datasets.cells import check_column_names, label_cells, text_cells
from audiomatch.errors import UserError, brief
from audiomatch.text import key_of_normal, normalise_text, of_each

REQUIRED = ("id", "audio", "expected_text")
TYPED = (*REQUIRED, "task", "grade", "match")
# Names in `Clips.known`.
GROUPS, SEGMENTS, NORMAL = "groups", "segments", "normal"
SECONDS, DIGESTS, SOUNDS = "seconds", "digests", "sounds"  # of the audio, known after intake


class Clips:
    """A typed data frame, a row a clip. Immutable by convention: methods return new ones.

    Columns: `id` (str, unique), `audio` (str, an absolute path), `expected_text` (str), `task` and
    `grade` (str, empty where unknown), `match` (int8: 1 the speech says the text, 0 not; absent
    where unknown), and any further columns of the dataset. The frame's index holds the row of the
    source file, counted as an editor counts lines. What the core itself knows of a clip (`groups`,
    `segments`, `seconds`, `digests`, `sounds`) is no column, whatever the dataset calls its own.
    """

    def __init__(self, frame: pd.DataFrame, source: str = "clips") -> None:
        """Check and type `frame`; `source` names the file in errors. Raises `UserError`."""
        self.source = source
        self.held: tuple[object, ...] = ()  # what has to live as long as they: their files
        self.withheld = False  # whether they have labels, which were taken out
        self.known: dict[str, NDArray[Any]] = {}
        missing = [name for name in REQUIRED if name not in frame.columns]
        if missing:
            raise UserError(
                f"{source}: no column {missing[0]!r}; "
                f"needs {', '.join(REQUIRED[1:])}, has {', '.join(map(str, frame.columns))}"
            )
        check_column_names([str(name) for name in frame.columns], source)
        frame = frame.copy()
        for name in (*REQUIRED, "task", "grade"):
            cells = frame[name] if name in frame.columns else [""] * len(frame)
            texts = text_cells(cells, name, self._row(frame), loose=name in ("task", "grade"))
            frame[name] = pd.Series(texts, index=frame.index, dtype=object)
        self.frame = frame
        self._check_text()
        if "match" in frame.columns:
            frame["match"] = label_cells(frame["match"], self.where)

    def _check_text(self) -> None:
        normal = of_each(normalise_text, self.texts)
        if "" in normal:
            at = normal.index("")
            text = self.texts[at].strip()
            problem = f"is {brief(text)}, which has no word to say" if text else "is empty"
            raise UserError(f"{self.where(at)}: expected_text {problem}")
        self.known[NORMAL] = np.array(normal, dtype=object)
        unnamed = self.frame["id"] == ""
        if unnamed.any():
            raise UserError(f"{self.where(int(np.argmax(unnamed)))}: id is empty")
        repeated = self.frame["id"].duplicated(keep="first")
        if repeated.any():
            second = int(np.argmax(repeated))
            first = int(np.argmax(self.frame["id"] == self.frame["id"].iloc[second]))
            raise UserError(
                f"{self.where(second)}: the id is already that of row {self.frame.index[first]}; "
                "ids must be unique"
            )

    def _row(self, frame: pd.DataFrame) -> Callable[[int], str]:
        return lambda position: f"{self.source}, row {frame.index[position]}"

    def where(self, position: int) -> str:
        """Return the place of a clip in its source, for an error message."""
        return f"{self.source}, row {self.frame.index[position]} (id {brief(self.ids[position])})"

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, column: str) -> pd.Series:
        if column not in self.frame.columns:
            raise UserError(
                f"{self.source}: no column {column!r} here; there is "
                f"{', '.join(map(str, self.frame.columns))} (a matcher is given columns beyond "
                f"{', '.join(TYPED)} where MatcherInfo.columns names them)"
            )
        return self.frame[column]

    @property
    def ids(self) -> list[str]:
        """The clips' ids, in order."""
        return self.frame["id"].tolist()

    @property
    def texts(self) -> list[str]:
        """The expected texts, in order."""
        return self.frame["expected_text"].tolist()

    @property
    def paths(self) -> list[Path]:
        """The audio files, in order."""
        return [Path(path) for path in self.frame["audio"]]

    @property
    def labelled(self) -> bool:
        """Whether `match` is there."""
        return "match" in self.frame.columns

    @property
    def labels(self) -> NDArray[np.int8]:
        """The labels, int8 of shape (n,); raises `UserError` where there are none."""
        if not self.labelled:
            raise UserError(f"{self.source}: no column 'match'; these clips have no labels")
        return self.frame["match"].to_numpy(np.int8)

    @property
    def groups(self) -> list[str]:
        """The group of each clip: what `with_groups` gave, else `text_groups`."""
        if GROUPS in self.known:
            groups: list[str] = self.known[GROUPS].tolist()
            return groups
        return self.text_groups

    @property
    def text_groups(self) -> list[str]:
        """The expected text of each clip as `text_key` folds it."""
        return of_each(key_of_normal, self._normal().tolist())

    def _normal(self) -> NDArray[np.object_]:
        """Return the expected texts in their normal form, as they were checked where they are."""
        if NORMAL in self.known:
            return self.known[NORMAL]
        return np.array(of_each(normalise_text, self.texts), dtype=object)

    @property
    def segments(self) -> NDArray[np.float64]:
        """Where in its file each clip starts and ends, in seconds, float64 of shape (n, 2).

        NaN is the file's own start or end.
        """
        if SEGMENTS in self.known:
            return self.known[SEGMENTS]
        return np.full((len(self), 2), np.nan)

    @property
    def admitted(self) -> bool:
        """Whether intake has checked the clips: seconds, digests and sounds are known."""
        return DIGESTS in self.known

    @property
    def seconds(self) -> NDArray[np.float64]:
        """How long each clip is, shape (n,); found out now where intake has not.

        Raises `ClipError` with the clip's row.
        """
        if self.admitted:
            return self.known[SECONDS]
        from audiomatch.audio import seconds_now

        return np.asarray(seconds_now(self), np.float64)

    @property
    def digests(self) -> list[str]:
        """The SHA-256 of each clip's file and segment, in hexadecimal.

        Taken now where intake has not. What is computed from audio is kept under it. Raises
        `ClipError` with the clip's row.
        """
        if self.admitted:
            digests: list[str] = self.known[DIGESTS].tolist()
            return digests
        from audiomatch.audio import digests_now

        return digests_now(self)

    @property
    def sounds(self) -> list[str]:
        """The SHA-256 of each clip's decoded samples: equal sound in any file is one recording.

        Found out now where intake has not. Raises `ClipError` with the clip's row.
        """
        if self.admitted:
            sounds: list[str] = self.known[SOUNDS].tolist()
            return sounds
        from audiomatch.audio import sounds_now

        return sounds_now(self)

    def take(self, positions: Sequence[int] | NDArray[Any]) -> Clips:
        """Return the clips at `positions` (integers, or a boolean mask), in that order."""
        index = np.asarray(positions)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.int64)
        known = {name: values[index] for name, values in self.known.items()}
        return self._like(self.frame.iloc[index], known)

    def draw(self, rows: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
        """Draw at most `most` of some rows.

        The same clips in whatever order the rows are, and mostly the same where a few others are
        among them, as from fold to fold.
        """
        seeds = self.seeds(seed)
        return np.array(sorted(rows, key=lambda row: seeds[row])[:most], dtype=np.int64)

    def seeds(self, seed: int) -> list[int]:
        """Return a seed for each clip, by `seed` and its id: the same in whatever row it is."""
        named = (f"{seed}\0{name}".encode() for name in self.ids)
        return [int.from_bytes(hashlib.sha256(content).digest()) for content in named]

    def unlabelled(self) -> Clips:
        """Return the same clips with `match` taken out."""
        bare = self._like(self.frame.drop(columns="match", errors="ignore"), self.known)
        bare.withheld = self.withheld or self.labelled
        return bare

    def normalised(self) -> Clips:
        """Return the same clips, each `expected_text` in its normal form, as matchers see them."""
        normal = self._normal()
        return self._like(self.frame.assign(expected_text=normal), {**self.known, NORMAL: normal})

    def only(self, columns: Iterable[str]) -> Clips:
        """Return the same clips with the columns that every clip has, and those named, alone."""
        named = {*TYPED, *columns}
        kept = [name for name in self.frame.columns if name in named]
        return self._like(self.frame[kept], self.known)

    def with_column(self, name: str, values: Any) -> Clips:
        """Return the same clips with a column added or replaced."""
        decided = {"audio": (SEGMENTS, SECONDS, DIGESTS, SOUNDS), "expected_text": (NORMAL,)}
        known = self._known_but(*decided.get(name, ()))
        return self._like(self.frame.assign(**{name: values}), known)

    def with_files(self, paths: Sequence[str | Path]) -> Clips:
        """Return the same clips in copies of their files, which have these paths."""
        other = self._like(self.frame.assign(audio=[str(path) for path in paths]), self.known)
        other.held = ()
        return other

    def with_segments(self, starts: ArrayLike, ends: ArrayLike) -> Clips:
        """Return the same clips as parts of their files, from `starts` to `ends`, in seconds.

        NaN is the file's own start or end. Whether a file has such a part is told where it is read.
        """
        segments = np.stack(np.broadcast_arrays(starts, ends), axis=1).astype(np.float64)
        if segments.shape != (len(self), 2):
            raise UserError(f"{self.source}: {len(segments)} segments for {len(self)} clips")
        return self._like(
            self.frame, {**self._known_but(SECONDS, DIGESTS, SOUNDS), SEGMENTS: segments}
        )

    def with_groups(self, groups: Sequence[str]) -> Clips:
        """Return the same clips with `groups` of their own; folds keep each of them together."""
        return self._like(self.frame, {**self.known, GROUPS: np.array(groups, dtype=object)})

    def with_audio_facts(
        self, seconds: Sequence[float], digests: Sequence[str], sounds: Sequence[str]
    ) -> Clips:
        """Return the same clips with what was found out of their files."""
        facts = {
            SECONDS: np.array(seconds, np.float64),
            DIGESTS: np.array(digests, dtype=object),
            SOUNDS: np.array(sounds, dtype=object),
        }
        return self._like(self.frame, {**self.known, **facts})

    @classmethod
    def concat(cls, parts: Iterable[Clips]) -> Clips:
        """Return the clips of all parts, in order; raises `UserError` where ids repeat."""
        parts = list(parts)
        whole = cls(pd.concat([part.frame for part in parts], ignore_index=True))
        whole.held = tuple(held for part in parts for held in part.held)
        names = set.intersection(*(set(part.known) for part in parts))
        known = {name: np.concatenate([part.known[name] for part in parts]) for name in names}
        if any(SEGMENTS in part.known for part in parts):
            known[SEGMENTS] = np.concatenate([part.segments for part in parts])
        return whole._like(whole.frame, known)

    def _known_but(self, *names: str) -> dict[str, NDArray[Any]]:
        return {name: values for name, values in self.known.items() if name not in names}

    def _like(self, frame: pd.DataFrame, known: dict[str, NDArray[Any]]) -> Clips:
        other = object.__new__(Clips)
        other.source, other.held, other.withheld = self.source, self.held, self.withheld
        for values in known.values():
            values.flags.writeable = False  # they are shared by what is made of these clips
        other.frame, other.known = frame, known
        return other
