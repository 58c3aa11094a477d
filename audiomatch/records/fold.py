"""One fold of one matcher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, JsonValue, model_validator

from audiomatch.matcher import Kind
from audiomatch.records.base import FileRecord, FoldStatus, Record
from audiomatch.records.calibration import CalibrationRecord
from audiomatch.records.training import ALL

Probability = Annotated[float, Field(ge=0, le=1)]


class FoldSummary(Record):
    """One fold of one matcher: what ran, how it went and what it cost."""

    matcher: str = Field(description="as named on the command line")
    kind: Kind = Field(default="matcher", description="`matcher` or `floor`")
    untrained: str = Field(
        default="",
        description="the floor that is this matcher without training, as named; empty where its "
        "plugin names none",
    )
    fold: int = Field(ge=0, description="the fold that was held out, from 0")
    repeat: int = Field(
        default=0, ge=0, description="of the cross-validation, from 0; see `--repeats`"
    )
    train_size: int = Field(
        default=ALL,
        ge=ALL,
        description="clips of the training part that were asked for; -1 for all, 0 for a ready "
        "model",
    )
    status: FoldStatus = Field(
        description="`done`, `failed`, or `skipped` where the matcher cannot be had as it was named"
    )
    replayed: bool = Field(default=False, description="whether it was taken from the run folder")
    config: dict[str, JsonValue] = Field(default={}, description="every option with its value")
    plugin: str = Field(default="", description="the distribution that offers the matcher")
    version: str = Field(default="", description="the version of that distribution")
    fingerprint: dict[str, str] = Field(
        default={}, description="what else decides the numbers, such as the digest of the weights"
    )
    clips_fit: int = Field(default=0, ge=0, description="clips of the training part")
    clips_predict: int = Field(default=0, ge=0, description="clips held out")
    seconds_fit: float | None = Field(
        default=None,
        ge=0,
        description="what fitting took when it was computed; null where it failed",
    )
    seconds_predict: float | None = Field(default=None, ge=0, description="what predicting took")
    seconds_features: float = Field(
        default=0.0,
        ge=0,
        description="of both, what features took that are kept between runs and were not there",
    )
    seconds_cached: float = Field(
        default=0.0,
        ge=0,
        description="beside both, what features that were there took when they were computed",
    )
    side_by_side: bool = Field(
        default=False,
        description="whether other folds were under way too: such seconds do not compare with "
        "those of folds one after another",
    )
    peak_memory_mb: float | None = Field(
        default=None,
        ge=0,
        description="peak resident memory of its process and all it started, in MiB, where the "
        "system tells it",
    )
    base_memory_mb: float | None = Field(
        default=None,
        ge=0,
        description="what its process had resident, with the matcher's code, before its first "
        "fold, in MiB (Linux)",
    )
    notes: dict[str, JsonValue] = Field(
        default={},
        description="what the matcher noted: `weights`, `weights_digest`, `weights_commit`, "
        "`peak_gpu_memory_mb`, `warning`, and its own",
    )
    calibration: CalibrationRecord | None = Field(
        default=None, description="what was learned of its probabilities; null where nothing was"
    )
    uncalibrated: str | None = Field(
        default=None, description="why it could not be calibrated, where that was asked for"
    )
    error: str | None = Field(default=None, description="why it failed or was skipped, in one line")
    traceback: str | None = Field(default=None, description="where it failed")

    @model_validator(mode="after")
    def _says_how_it_went(self) -> Self:
        timed = self.seconds_fit is not None and self.seconds_predict is not None
        if self.done and (self.error or not timed):
            raise ValueError("a finished fold has its seconds and no error")
        if not self.done and not self.error:
            raise ValueError("a fold that failed or was skipped has an error")
        return self

    @property
    def done(self) -> bool:
        """Whether it finished."""
        return self.status == "done"

    @property
    def whole(self) -> bool:
        """Whether the whole training part was learned from."""
        return self.train_size == ALL

    @property
    def which(self) -> str:
        """Of what repeat and size it is, in words after a comma; empty for the first and all."""
        less = f", {self.train_size} clips" if self.train_size else ", ready"
        again = f", repeat {self.repeat + 1}" if self.repeat else ""
        return again + ("" if self.whole else less)

    @property
    def seconds(self) -> float:
        """Seconds of fitting and predicting, when they were computed; 0 where it failed."""
        return (self.seconds_fit or 0.0) + (self.seconds_predict or 0.0)

    @property
    def own_memory_mb(self) -> float | None:
        """What the peak has beyond what the process had before its first fold."""
        if self.peak_memory_mb is None or self.base_memory_mb is None:
            return None
        return max(0.0, self.peak_memory_mb - self.base_memory_mb)

    @property
    def weights(self) -> str | None:
        """What the matcher says that it started from; `scratch` for no pretrained weights."""
        return str(self.notes["weights"]) if self.notes.get("weights") else None

    @property
    def warning(self) -> str | None:
        """What the matcher warned of."""
        return str(self.notes["warning"]) if self.notes.get("warning") else None

    @property
    def peak_gpu_memory_mb(self) -> float | None:
        """Peak memory of the GPU in MB, where the matcher noted a number."""
        noted = self.notes.get("peak_gpu_memory_mb")
        return float(noted) if isinstance(noted, int | float) else None


class FoldResult(FoldSummary):
    """One fold of one matcher, with its predictions."""

    ids: tuple[str, ...] = Field(default=(), description="the clips held out, in order")
    p_match: tuple[Probability, ...] = Field(default=(), description="P(match) of each of them")
    p_calibrated: tuple[Probability, ...] | None = Field(
        default=None, description="the same calibrated; null where nothing was learned of it"
    )

    @model_validator(mode="after")
    def _predicts_every_clip(self) -> Self:
        held_out = self.clips_predict if self.done else 0
        if not len(self.ids) == len(self.p_match) == held_out:
            raise ValueError(
                f"{len(self.ids)} ids and {len(self.p_match)} predictions for {held_out} clips"
            )
        return self

    def summary(self) -> FoldSummary:
        """Return it without the predictions."""
        return FoldSummary(**{name: getattr(self, name) for name in FoldSummary.model_fields})


class KeptFold(FoldSummary, FileRecord):
    """What `folds/*.parquet` says of a finished fold, kept to be replayed, beside its numbers."""

    key: str = Field(description="SHA-256 of all that decides the fold's numbers")
    seal: str = Field(description="SHA-256 of the rest of this record, the ids and the numbers")

    def result(self, ids: Sequence[str], p_match: Sequence[float]) -> FoldResult:
        """Return the fold that was kept, with its predictions."""
        facts = {name: getattr(self, name) for name in FoldSummary.model_fields}
        return FoldResult(**facts, ids=tuple(ids), p_match=tuple(p_match))
