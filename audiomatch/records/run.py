"""What a run was: its data, its folds, its settings."""

from __future__ import annotations

from pydantic import Field, JsonValue

from audiomatch.records.base import FileRecord, Record
from audiomatch.records.fold import FoldSummary


class FoldsRecord(FileRecord):
    """`folds.json`: which fold holds each clip out."""

    folds: int = Field(description="number of folds")
    group: str = Field(description="the column whose values are kept together")
    digest: str = Field(description="SHA-256 of ids, texts, groups and folds")
    split: str = Field(default="", description="the option that fixed the split, where one did")
    negatives: tuple[str, ...] = Field(
        default=(), description="kinds of mismatches made of matches; empty for those of the data"
    )
    made: dict[str, str] = Field(
        default={}, description="of each mismatch made, by its id, what was made: `swap`, `insert`…"
    )
    fold_of: dict[str, int] = Field(
        description="the fold of each clip's id; -1 for one that is only learned from"
    )

    @property
    def design(self) -> str:
        """What it is, in a few words."""
        made = f" with --negatives {','.join(self.negatives)}" if self.negatives else ""
        return (self.split or f"{self.folds} folds") + f" by {self.group}{made}"


class DataRecord(Record):
    """What was compared on."""

    dataset: str = Field(description="the layout that the data was read by")
    source: str = Field(description="the path of the data, or the name of what ships with it")
    beside: str = Field(
        default="", description="the path as seen from the run folder; empty where it is none"
    )
    digest: str = Field(description="SHA-256 of the clips, audio by content")
    clips: int = Field(description="clips that can be used")
    seconds_of_audio: float = Field(description="how long they are together")
    limit: int | None = Field(
        default=None, description="clips that were drawn, where a limit was set"
    )
    relabelled: int = Field(default=0, description="clips that have another label by `--labels`")
    skipped: tuple[str, ...] = Field(default=(), description="a line for each clip left out")
    warnings: tuple[str, ...] = Field(
        default=(), description="a line for each clip that is used and may not be what was meant"
    )


class FoldsMade(Record):
    """How the folds were made."""

    k: int = Field(description="number of folds")
    group: str = Field(description="the column whose values are kept together")
    digest: str = Field(description="SHA-256 of ids, texts, groups and folds")
    split: str = Field(default="", description="the option that fixed the split, where one did")
    warning: str = Field(
        default="", description="what the parts of a fixed split share; audit errors allowed"
    )
    negatives: tuple[str, ...] = Field(
        default=(), description="kinds of mismatches made of matches; empty for those of the data"
    )
    skipped: tuple[str, ...] = Field(
        default=(), description="a line for each made mismatch that a matcher cannot take"
    )


class MachineRecord(Record):
    """What a run was computed on."""

    processor: str = Field(default="", description="its name; empty where the system tells none")
    instructions: tuple[str, ...] = Field(
        default=(), description="its vector instructions, where the system tells them (Linux)"
    )
    cores: int = Field(default=0, description="cores that the run might use; 0 where not known")
    threads: dict[str, str] = Field(
        default={}, description="the variables that bound threads (`OMP_NUM_THREADS`, …), where set"
    )
    gpus: tuple[str, ...] = Field(default=(), description="names of its GPUs, by the CUDA driver")


class RunRecord(FileRecord):
    """`run.json`: all that is needed to tell where a leaderboard comes from."""

    data: DataRecord = Field(description="what was compared on")
    test: DataRecord | None = Field(
        default=None, description="what was predicted, where that was other data"
    )
    folds: FoldsMade = Field(description="how the folds were made")
    groups: int = Field(description="number of groups")
    seed: int = Field(description="the source of every random number")
    device: str = Field(description="`cpu`, `cuda`, `cuda:N` or `mps`")
    precision: str = Field(description="`auto`, `fp32`, `bf16` or `fp16`")
    workers: int = Field(description="CPU workers")
    versions: dict[str, str] = Field(
        description="of Python, the system, audiomatch, its plugins and the libraries that compute"
    )
    packages: dict[str, str] = Field(
        default={},
        description="the version of every distribution that is installed, imported or not: "
        "matchers run in processes of their own",
    )
    code: dict[str, str] = Field(
        default={},
        description="SHA-256 of the code of the core, of each plugin that takes part, and of the "
        "plugin packages that these need",
    )
    machine: MachineRecord = Field(default=MachineRecord(), description="what it was computed on")
    command: tuple[str, ...] = Field(
        default=(),
        description="the command as it was typed, a word each; empty where Python called `compare`",
    )
    working_folder: str = Field(
        default="", description="where it was asked, as seen from the run folder"
    )
    arguments: dict[str, JsonValue] = Field(
        default={},
        description="the arguments of `audiomatch.compare` that decide figures, beside data, "
        "matchers and device; none in a run of an earlier release",
    )
    started: str = Field(description="UTC, as in ISO 8601")
    seconds: float = Field(description="how long the whole took")
    results: tuple[FoldSummary, ...] = Field(
        description="each fold of each matcher, without the predictions"
    )
    listener_errors: tuple[str, ...] = Field(
        default=(), description="a line for each plugin whose hook failed"
    )

    @property
    def failures(self) -> list[FoldSummary]:
        """The folds that failed, and one of each matcher that was skipped."""
        return [
            result
            for result in self.results
            if result.status == "failed" or (result.status == "skipped" and result.fold == 0)
        ]
