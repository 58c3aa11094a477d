"""What a model folder says of its model."""

from __future__ import annotations

from pydantic import Field, JsonValue

from audiomatch.records.base import FileRecord, Record
from audiomatch.records.calibration import CalibrationRecord


class PluginRecord(Record):
    """The plugin that offers a matcher."""

    distribution: str = Field(description="what to install")
    version: str = Field(description="its version when the model was saved")


class FitRecord(Record):
    """What a model was fitted on, and how."""

    clips: int = Field(description="clips that it learned from")
    match_rate: float | None = Field(default=None, description="share of matches among them")
    skipped: tuple[str, ...] = Field(default=(), description="a line for each clip left out")
    warnings: tuple[str, ...] = Field(
        default=(), description="a line for each clip that is used and may not be what was meant"
    )
    data_digest: str = Field(description="SHA-256 of the clips, audio by content")
    group: str = Field(
        description="the column whose values splits inside the matcher keep together"
    )
    split: str | None = Field(
        default=None, description="the column of which only the rows of `train` were learned from"
    )
    negatives: tuple[str, ...] = Field(
        default=(), description="kinds of mismatches made of matches; empty for those of the data"
    )
    seed: int = Field(description="the source of every random number")
    device: str = Field(description="`cpu`, `cuda`, `cuda:N` or `mps`")
    precision: str = Field(description="`auto`, `fp32`, `bf16` or `fp16`")
    seconds: float = Field(description="what fitting took")
    notes: dict[str, JsonValue] = Field(
        default={},
        description="what the matcher noted: `weights`, `weights_digest`, "
        "`weights_commit` and its own",
    )


class HeldOut(Record):
    """How verdicts went on clips that were held out of the fit, each once."""

    target_precision: float = Field(
        description="the precision of each verdict that the thresholds were chosen for"
    )
    folds: int = Field(description="number of folds, groups kept together")
    clips: int = Field(description="clips that were held out")
    match_precision: float | None = Field(
        description="share of matches among verdicts `match`; null where none was given"
    )
    match_recall: float = Field(description="share of the matches that had the verdict `match`")
    mismatch_precision: float | None = Field(
        description="share of mismatches among verdicts `mismatch`; null where none was given"
    )
    mismatch_recall: float = Field(
        description="share of the mismatches that had the verdict `mismatch`"
    )


class Thresholds(Record):
    """When P(match) is a verdict."""

    mismatch: float = Field(description="at most this: `mismatch`")
    match: float = Field(description="at least this: `match`; between the two, `listen`")
    listen_cost: float | None = Field(
        default=None,
        description="what listening to a clip costs, where a wrong verdict costs 1; null where "
        "held-out clips decided",
    )
    held_out: HeldOut | None = Field(
        default=None, description="the held-out clips that decided; null where the cost did"
    )


class ModelCard(FileRecord):
    """`audiomatch.json`: which matcher a model folder holds, and how it was fitted."""

    matcher: str = Field(description="as named on the command line")
    config: dict[str, JsonValue] = Field(description="every option with its value")
    plugin: PluginRecord = Field(description="what offers the matcher")
    audiomatch: str = Field(description="the version of audiomatch that saved it")
    fit: FitRecord | None = Field(
        default=None, description="how it was fitted; none for a member of an ensemble"
    )
    thresholds: Thresholds | None = Field(
        default=None, description="when P(match) is a verdict; none for those of the default cost"
    )
    calibration: CalibrationRecord | None = Field(
        default=None, description="what P(match) of the matcher goes through; none as it gives it"
    )
    needs_speech: bool = Field(
        default=False,
        description="whether a clip in which nobody speaks is no match, whatever the matcher "
        "says: so where nearly all matches that it learned from hold speech",
    )
    origin: str | None = Field(
        default=None,
        description="where it was loaded from on the hub, as `hf:owner/name@COMMIT`; none of a "
        "model that was fitted here",
    )
    files: dict[str, str] | None = Field(
        default=None,
        description="SHA-256 of each file of the folder by its path in it, checked by `load`; none "
        "in a model of an older release",
    )
