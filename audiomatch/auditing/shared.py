"""What the training part shares with the clips held out, and how clips lie in groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiomatch.auditing.codings import as_texts
from audiomatch.auditing.record import SHOWN, Finding, GroupFacts, Severity
from audiomatch.clips import Clips
from audiomatch.folds import BY_TEXT, NO_GROUPS, Folds
from audiomatch.scoring.clusters import LEAST_GROUPS

# Names of columns that say who speaks.
SPEAKERS = (
    "speaker", "speaker_id", "spk", "spk_id", "client_id", "voice", "child", "child_id", "student",
    "student_id", "participant", "participant_id", "reader", "reader_id", "user_id",
)  # fmt: skip
FEW_GROUPS = 15
LARGE = 0.2


def in_both(values: Sequence[str], of: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which held-out clips have a value that a clip of another fold has too; not ''."""
    table = pd.DataFrame({"value": list(values), "fold": of})
    folds = table.groupby("value")["fold"].transform("nunique").to_numpy()
    named = (table["value"] != "").to_numpy()
    return np.asarray((folds > 1) & (of >= 0) & named)


def rows_of(clips: Clips, which: NDArray[np.bool_]) -> tuple[int | str, ...]:
    """Return some rows of these clips, as a finding names them."""
    return rows_at(clips, np.flatnonzero(which)[:SHOWN])


def rows_at(clips: Clips, positions: NDArray[np.int64]) -> tuple[int | str, ...]:
    """Return the rows of clips at some positions, as a finding names them."""
    rows = clips.frame.index[positions].tolist()
    return tuple(row if isinstance(row, int) else str(row) for row in rows)


def shared_findings(folds: Folds) -> list[Finding]:
    """Return what of texts, recordings and speakers is on both sides of a fold."""
    clips = folds.clips
    by = folds.group.split("+")
    found = []
    if folds.group == NO_GROUPS and not folds.fixed:
        found.append(
            Finding(
                id="folds-by-row",
                severity="error",
                effect="--group none deals the clips of one text to several folds",
                remedy="take --group expected_text, or another column",
            )
        )
    found += _across(folds, "texts", "", clips.text_groups, "warning", BY_TEXT)
    found += _across(folds, "recordings", "", clips.sounds, "error", "audio")
    for column in clips.frame.columns:
        if str(column).lower() in SPEAKERS and column not in by:
            values = as_texts(clips[column]).tolist()
            found += _across(folds, "speakers", str(column), values, "note", str(column))
    return found


def copy_findings(folds: Folds, recording: NDArray[np.int64]) -> list[Finding]:
    """Return where copies of a recording, by `copies`, are on both sides of a fold.

    Equal sound has its own finding.
    """
    equal = in_both(folds.clips.sounds, folds.of)
    which = in_both([str(one) for one in recording], folds.of) & ~equal
    if not which.any():
        return []
    effect = f"{which.sum()} held-out clips are copies of others in another fold: one recording "
    return [
        Finding(
            id="copies-across-folds",
            severity="error",
            effect=effect + "with another gain, codec, cut or shift, by their fingerprints",
            remedy="give the clips of a recording one value in a column, and --group by it",
            count=int(which.sum()),
            rows=rows_of(folds.clips, which),
        )
    ]


def _across(
    folds: Folds, what: str, subject: str, values: Sequence[str], severity: Severity, column: str
) -> list[Finding]:
    which = in_both(values, folds.of)
    if not which.any():
        return []
    held_out = int((folds.of >= 0).sum())
    one = what.removesuffix("s")
    remedy = f"make a split that keeps them apart, or fold by --group {column}"
    if not folds.fixed:
        together = "+".join(dict.fromkeys([*folds.group.split("+"), column]))
        remedy = f"--group {together.removeprefix(f'{NO_GROUPS}+')} keeps them apart"
    return [
        Finding(
            id=f"{what}-across-folds",
            severity=severity,
            subject=subject,
            effect=f"the {one} of {which.sum()} of {held_out} held-out clips is learned from too",
            remedy=remedy,
            count=int(which.sum()),
            rows=rows_of(folds.clips, which),
        )
    ]


def labels_disagree(clips: Clips) -> list[Finding]:
    """Return where one recording with one text has both labels."""
    key = pd.Series(list(zip(clips.sounds, clips.text_groups, strict=True)))
    which = (pd.Series(clips.labels).groupby(key).transform("nunique") > 1).to_numpy()
    if not which.any():
        return []
    return [
        Finding(
            id="labels-disagree",
            severity="error",
            effect=f"{which.sum()} clips are a recording and text that another row labels "
            "otherwise",
            remedy="listen, and keep the label that is right",
            count=int(which.sum()),
            rows=rows_of(clips, which),
        )
    ]


def group_facts(clips: Clips) -> GroupFacts:
    """Return how the clips are spread over their groups."""
    table = pd.DataFrame({"group": clips.groups, "match": clips.labels}).groupby("group")["match"]
    sizes = table.size().to_numpy(np.float64)
    one_class = (table.nunique().to_numpy() == 1) & (sizes > 1)
    return GroupFacts(
        groups=len(sizes),
        effective=float(sizes.sum() ** 2 / (sizes**2).sum()),
        largest=float(sizes.max() / sizes.sum()),
        one_class=int(one_class.sum()),
    )


def group_findings(facts: GroupFacts, several: int) -> list[Finding]:
    """Return what of the groups makes figures uncertain; `several` have two clips or more."""
    found = []
    if facts.effective < FEW_GROUPS:
        found.append(
            Finding(
                id="few-groups",
                severity="warning",
                effect=f"{facts.groups} groups weigh as much as {facts.effective:.1f} of one size; "
                f"intervals are wide, and with fewer than {LEAST_GROUPS} there are none",
                remedy="gather more groups, or group by a finer column",
            )
        )
    if facts.largest > LARGE:
        found.append(
            Finding(
                id="large-group",
                severity="warning",
                effect=f"one group holds {facts.largest:.0%} of the clips",
                remedy="group by a finer column, or limit the clips of a group",
            )
        )
    if several and facts.one_class > several / 2:
        found.append(
            Finding(
                id="one-class-groups",
                severity="note",
                effect=f"{facts.one_class} of {several} groups of several clips have one label "
                "alone: what tells groups apart tells labels",
                remedy="gather both labels in a group; see the floors",
            )
        )
    return found
