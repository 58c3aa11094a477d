"""How a comparison is laid out: folds or a fixed split, and mismatches where there are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.folds import BY_TEXT, Folds, check_classes, deal_folds, group_clips
from audiomatch.inputs import Data, Opened, offering_skip_bad, say_skipped, take_in
from audiomatch.intake import Intake, data_digest, leave_out
from audiomatch.matcher import Run
from audiomatch.negatives import with_mismatches
from audiomatch.records import DataRecord
from audiomatch.relabelling import relabelled

FOLDS = 5
TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class Reading:
    """How data are read: what `take_in` takes for the training part and for the test part alike.

    `labels` by id stand in the place of those of the data.
    """

    columns: Mapping[str, str] | None = None
    limit: int | None = None
    skip_bad: bool = False
    refuses: Callable[[Clips], list[str | None]] | None = None
    labels: Mapping[str, int] = field(default_factory=dict)

    def take_in(
        self, data: Data | None, run: Run, labelled: bool | None, dataset: str | None
    ) -> tuple[Intake, Opened]:
        """Open data and check their clips; see `audiomatch.inputs.take_in`."""
        own: dict[str, Any] = {**vars(self), "dataset": dataset}
        own.pop("labels")
        return take_in(data, run, labelled, **own)


@dataclass(frozen=True)
class Design:
    """What matchers are fitted on, and what they predict.

    Attributes:
        folds: how many, where no split is fixed.
        group: the column whose values are kept together.
        negatives: the kinds of mismatches to make where the data are matches alone.
        split: a column; matchers are fitted on the rows where it is `train` and predict those where
            it is `test`, and the others are left out.
        test: data to predict with matchers that are fitted on all of the others.
    """

    folds: int = FOLDS
    group: str = BY_TEXT
    negatives: tuple[str, ...] = ()
    split: str | None = None
    test: Data | None = None

    def __post_init__(self) -> None:
        """Raise `UserError` for what cannot go together."""
        given = {
            "--folds": self.folds != FOLDS,
            "--split": self.split is not None,
            "--test": self.test is not None,
        }
        named = [option for option, is_given in given.items() if is_given]
        if len(named) > 1:
            raise UserError(f"{named[0]} and {named[1]} cannot go together")

    def take(
        self, data: Data | None, run: Run, reading: Reading, dataset: str | None = None
    ) -> tuple[Clips, DataRecord]:
        """Open data with labels; where mismatches are made, data without any are all matches."""
        labelled = None if self.negatives else True
        intake, opened = reading.take_in(data, run, labelled, dataset)
        clips = intake.clips
        if not clips.labelled:
            run.progress.say(f"{clips.source}: no column 'match'; each clip is taken as a match")
            clips = clips.with_column("match", np.ones(len(clips), np.int8))
        clips, changed = relabelled(clips, reading.labels, run.progress.say)
        record = DataRecord(
            dataset=opened.dataset,
            source=opened.source,
            digest=data_digest(clips if changed else intake.clips),
            relabelled=changed,
            clips=len(clips),
            seconds_of_audio=float(clips.seconds.sum()),
            limit=reading.limit,
            skipped=tuple(map(str, intake.skipped)),
            warnings=tuple(intake.warnings),
        )
        return clips, record

    def check_fold(self, fold: int | None) -> None:
        """Raise `UserError` for a fold, from 1, that is none."""
        k = self.folds if self.split is None and self.test is None else 1
        if fold is not None and not 1 <= fold <= k:
            raise UserError(f"--fold {fold}: must be from 1 to {k}")

    def open(
        self, data: Data | None, run: Run, reading: Reading, dataset: str | None = None
    ) -> tuple[Folds, list[DataRecord]]:
        """Return the folds, and the record of the data, and of the test data where there are any.

        `dataset` is the layout of the data; that of test data is told by their path.
        """
        clips, record = self.take(data, run, reading, dataset)
        if self.test is None:
            return self.lay_out(clips, None, run, reading), [record]
        test, other = self.take(self.test, run, reading)
        if other.digest == record.digest:
            raise UserError(
                "--test: these are the clips that matchers are fitted on; of a drivendata folder "
                "name the half: FOLDER/test_metadata.csv"
            )
        return self.lay_out(clips, test, run, reading), [record, other]

    def lay_out(self, clips: Clips, test: Clips | None, run: Run, reading: Reading) -> Folds:
        """Return the folds; a fixed split is one fold, and clips of none to learn from."""
        if test is not None:
            folds = _fixed(_joined(clips, test), self.group, "--test")
        elif self.split is not None:
            folds = _fixed(_by_column(clips, self.split, run), self.group, f"--split {self.split}")
        else:
            folds = deal_folds(clips, self.folds, self.group, run.seed)
        if folds.warning:
            run.progress.say(folds.warning)
        return self._with_both_classes(folds, run, reading)

    def training_part(
        self, clips: Clips, run: Run, reading: Reading
    ) -> tuple[Clips, tuple[str, ...]]:
        """Return what is learned from where nothing is predicted: all, or the rows of `train`.

        With it the lines for mismatches that were made and left out, see `Folds.skipped`.
        """
        if self.split is None:
            every = np.full(len(clips), -1)
            folds = Folds(group_clips(clips, self.group), every, 0, self.group)
            folds = self._with_both_classes(folds, run, reading)
            return folds.clips, folds.skipped
        folds = self.lay_out(clips, None, run, reading)
        return folds.split(0)[0], folds.skipped

    def _with_both_classes(self, folds: Folds, run: Run, reading: Reading) -> Folds:
        if self.negatives:
            folds = with_mismatches(folds, self.negatives, run.seed)
            folds = _without_refused(folds, run, reading)
        check_classes(folds)
        return folds


def _without_refused(folds: Folds, run: Run, reading: Reading) -> Folds:
    """Leave out the mismatches that were made and that a matcher cannot take."""
    if reading.refuses is None or folds.made is None:
        return folds
    reasons: list[str | None] = [None] * len(folds.clips)
    rows = np.flatnonzero(folds.made != "")
    for i, why in zip(rows, reading.refuses(folds.clips.take(rows)), strict=True):
        reasons[i] = f"a mismatch made of it ({folds.made[i]}): {why}" if why else None
    with offering_skip_bad():
        clips, bad = leave_out(folds.clips, reasons, reading.skip_bad)
    say_skipped(run, bad)
    kept = np.array([not why for why in reasons])
    of, made, skipped = folds.of[kept], folds.made[kept], tuple(map(str, bad))
    return replace(folds, clips=clips, of=of, made=made, skipped=skipped)


def _by_column(clips: Clips, column: str, run: Run) -> tuple[Clips, NDArray[np.int64]]:
    """Return the rows that a column names `train` or `test`, and the fold of each: none, or 0."""
    if column not in clips.frame.columns:
        columns = ", ".join(map(str, clips.frame.columns))
        raise UserError(f"--split {column}: {clips.source} has no such column; it has {columns}")
    part = clips[column].fillna("").astype(str).str.strip().str.lower()
    sizes = part.replace("", "(empty)").value_counts()
    found = ", ".join(f"{name} ({size})" for name, size in sizes.head(8).items())
    for name in (TRAIN, TEST):
        if name not in sizes:
            raise UserError(
                f"--split {column}: no row of {clips.source} has {name!r} there; it has {found}"
            )
    kept = part.isin([TRAIN, TEST]).to_numpy(bool)
    if not kept.all():
        run.progress.say(f"--split {column}: {found}; only {TRAIN} and {TEST} are used")
    return clips.take(kept), np.where(part[kept] == TEST, 0, -1)


def _joined(train: Clips, test: Clips) -> tuple[Clips, NDArray[np.int64]]:
    """Return both; an id of the training part that the test part has too is told apart."""
    taken = set(test.ids)
    train = train.with_column("id", [f"{TRAIN}/{i}" if i in taken else i for i in train.ids])
    both = Clips.concat([train, test])
    both.source = f"{train.source} and {test.source}"
    return both, np.repeat([-1, 0], [len(train), len(test)])


def _fixed(parts: tuple[Clips, NDArray[np.int64]], group: str, split: str) -> Folds:
    clips, of = parts
    folds = Folds(group_clips(clips, group), of, 1, group, fixed=split)
    train, test = folds.split(0)
    texts, recordings = set(train.text_groups), set(train.sounds)
    shared = {
        "the text": sum(text in texts for text in test.text_groups),
        "the recording": sum(recording in recordings for recording in test.sounds),
    }
    counts = " and ".join(f"{what} of {count}" for what, count in shared.items() if count)
    if not counts:
        return folds
    warning = f"{split}: of {len(test)} test clips {counts} are in the training part too"
    return replace(folds, warning=warning)
