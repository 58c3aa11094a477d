"""What an audit found."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from audiomatch.records.base import FileRecord, Record

Severity = Literal["error", "warning", "note"]
ORDER: tuple[Severity, ...] = ("error", "warning", "note")
SHOWN = 10  # rows that a finding names

# Every finding that there may be.
IDS = {
    "folds-by-row": "`--group none`: the clips of one text are dealt to several folds",
    "texts-across-folds": "a text of the held-out part is in the training part too",
    "recordings-across-folds": "a recording, by its decoded samples, is in both parts",
    "copies-across-folds": "a recording with another gain, codec, cut or shift is in both parts",
    "speakers-across-folds": "a speaker, by a column that says who speaks, is in both parts",
    "near-texts-agree": "texts one word or letter apart, of different groups, have like labels",
    "labels-disagree": "two rows of one recording and text have different labels",
    "label-in-id": "the id tells the label",
    "label-in-file-name": "the name of the file does",
    "label-in-folder": "the folder of the file does",
    "label-in-row-order": "the order of the rows does",
    "label-in-format": "the container, coding or channels of the file do",
    "label-in-sample-rate": "the sample rate of the file, or the bandwidth of the sound, does",
    "label-in-size": "the size of the file does",
    "label-in-duration": "the duration of the clip does",
    "label-in-level": "the level does: RMS, peak, or of the quietest frames",
    "label-in-silence": "the silence does: leading, trailing, or in all",
    "label-in-column": "a column does",
    "label-in-sound": "simple statistics of the waveform do, as of the floor `audio-only`",
    "label-in-text": "the expected text alone does, as of the floor `text-only`",
    "few-groups": "the groups weigh as much as fewer than 15 of one size",
    "large-group": "a group holds more than a fifth of the clips",
    "one-class-groups": "most groups of several clips have one label alone",
    "labels-contradicted": "matchers of a run confidently contradict labels out of fold",
}


class Finding(Record):
    """One thing that an audit found."""

    id: str = Field(description="what it is, the same in every release")
    severity: Severity = Field(
        description="`error`: the figures would be untrue; `warning`: look at it; `note`: know it"
    )
    subject: str = Field(default="", description="the column or the like, where there are several")
    effect: str = Field(description="what was found, with the number")
    remedy: str = Field(description="what to do about it")
    count: int = Field(default=0, description="clips that it is about; 0 where it is about all")
    rows: tuple[int | str, ...] = Field(
        default=(), description="some of their rows, as an editor counts lines"
    )
    auroc: float | None = Field(
        default=None, description="cross-fitted, of telling the label by this alone"
    )
    p: float | None = Field(
        default=None, description="of chance telling it as well; Holm's, over all probes"
    )

    @property
    def line(self) -> str:
        """It in one line."""
        of = f" ({self.subject})" if self.subject else ""
        return f"{self.id}{of}: {self.effect}; {self.remedy}"


class Probe(Record):
    """One thing by which the label was sought to be told, found or not."""

    id: str = Field(description="the finding that it would be")
    subject: str = Field(default="", description="the column, where there are several")
    auroc: float = Field(description="cross-fitted over group-disjoint folds; 0.5 is chance")
    p: float = Field(description="of chance telling it as well, Holm's over all probes")
    by: str = Field(description="by what of it the label was told best")


class Suspect(Record):
    """A label that matchers contradict out of fold."""

    row: int | str = Field(description="the clip's row, as an editor counts lines")
    id: str = Field(description="the clip")
    expected_text: str = Field(description="its text")
    match: int = Field(description="its label")
    p_match: float = Field(description="the mean P(match) of the matchers")


class GroupFacts(Record):
    """How the clips are spread over groups."""

    groups: int = Field(description="number of groups")
    effective: float = Field(
        description="Kish's effective number: clips squared over sum of squares"
    )
    largest: float = Field(description="the share of clips in the largest group")
    one_class: int = Field(description="groups of several clips that have one label alone")


class AuditRecord(FileRecord):
    """All that an audit found, the worst first."""

    source: str = Field(description="the data")
    clips: int = Field(description="how many")
    matches: int = Field(description="how many of them have match 1")
    group: str = Field(description="the column whose values are kept together")
    split: str = Field(default="", description="the option that fixed the split, where one did")
    folds: int = Field(description="number of folds")
    groups: GroupFacts = Field(description="how the clips are spread over groups")
    findings: tuple[Finding, ...] = Field(description="what was found")
    probes: tuple[Probe, ...] = Field(description="everything that was tried to tell the label by")
    permutations: int = Field(description="most permutations of the labels that a p rests on")
    listened: bool = Field(description="whether the sound of the clips was looked at too")
    suspects: tuple[Suspect, ...] = Field(
        default=(), description="labels that a run's matchers contradict, worst first"
    )

    def of(self, severity: Severity) -> list[Finding]:
        """Return the findings of a severity."""
        return [finding for finding in self.findings if finding.severity == severity]

    def sheet(self) -> str:
        """Return a model info sheet in Markdown, filled in as far as the audit knows."""
        from audiomatch.auditing.sheet import model_info_sheet

        return model_info_sheet(self)
