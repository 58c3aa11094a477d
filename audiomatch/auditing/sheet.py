"""A model info sheet, filled in as far as an audit knows.

Kapoor and Narayanan (2023), "Leakage and the reproducibility crisis in machine-learning-based
science", Patterns 4(9), ask of each kind of leak why it is not there; the questions are theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from audiomatch.errors import printable

if TYPE_CHECKING:
    from audiomatch.auditing.record import AuditRecord

_FIT_INSIDE = (
    "Matchers, their calibration and their thresholds are fitted on the training part of each "
    "fold; held-out labels are never handed over."
)
_LEGITIMATE = (
    "label-in-id", "label-in-file-name", "label-in-folder", "label-in-row-order",
    "label-in-format", "label-in-sample-rate", "label-in-size", "label-in-duration",
    "label-in-level", "label-in-silence", "label-in-column", "label-in-sound", "label-in-text",
)  # fmt: skip
# The kinds of leak, each with the findings that speak of it.
_QUESTIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("L1.1 No test set", "Each clip is predicted by a matcher that did not learn from it.", ()),
    ("L1.2 Pre-processing on training and test set", _FIT_INSIDE, ()),
    ("L1.3 Feature selection on training and test set", _FIT_INSIDE, ()),
    (
        "L1.4 Duplicates",
        "Recordings are compared by decoded samples",
        ("recordings-across-folds", "copies-across-folds", "labels-disagree"),
    ),
    (
        "L2 Features that are not legitimate",
        "A matcher is given id, audio, text, task and grade, and columns that it declares.",
        _LEGITIMATE,
    ),
    ("L3.1 Temporal leakage", "Not known to audiomatch: were the test clips recorded later?", ()),
    (
        "L3.2 Training and test samples depend on each other",
        "",
        ("folds-by-row", "texts-across-folds", "speakers-across-folds", "near-texts-agree"),
    ),
    (
        "L3.3 Sampling bias in the test distribution",
        "Not known to audiomatch: whom and what are these clips to stand for?",
        ("few-groups", "large-group", "one-class-groups"),
    ),
    ("Labels", "", ("labels-contradicted",)),
)


def model_info_sheet(found: AuditRecord) -> str:
    """Return the sheet as Markdown."""
    how = f"fixed by {found.split}" if found.split else f"{found.folds} folds"
    lines = [
        f"# Model info sheet: {_one_line(found.source)}",
        "",
        f"- {found.clips} clips, {found.matches} of them matches.",
        f"- Split: {how}, groups by {found.group}: {found.groups.groups} groups, effective "
        f"{found.groups.effective:.1f}, the largest {found.groups.largest:.0%} of the clips.",
        f"- {len(found.probes)} things by which the label was sought to be told; the chance that "
        "any is found where there is none is at most 5 %.",
    ]
    for title, known, ids in _QUESTIONS:
        lines += ["", f"## {title}", "", *_answers(found, known, ids)]
    return "\n".join(lines) + "\n"


def _answers(found: AuditRecord, known: str, ids: Sequence[str]) -> list[str]:
    if "copies-across-folds" in ids:
        known += " and by fingerprints." if found.listened else "; fingerprints were not taken."
    lines = [known] if known else []
    told = [f"- {one.severity}: {_one_line(one.line)}" for one in found.findings if one.id in ids]
    if ids and not told:
        told = ["- The audit found nothing."]
    return [*lines, *([""] if lines and told else []), *told]


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
