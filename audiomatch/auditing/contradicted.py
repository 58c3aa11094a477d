"""Labels that matchers contradict out of fold: confident learning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiomatch.auditing.record import SHOWN, AuditRecord, Finding, Suspect
from audiomatch.auditing.shared import rows_at
from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.files import Place, user_path
from audiomatch.records import Leaderboard, deaf_floors

MOST = 200  # suspects that are named


def contradicted(found: AuditRecord, clips: Clips, run: Place) -> AuditRecord:
    """Return the audit with the labels that the matchers of a run folder contradict.

    Of the matchers that beat every floor the mean P(match) counts. A label is contradicted where
    the other class has at least the mean probability that it has where it is the label, and the
    clip's own class has less than its own (Northcutt, Jiang and Chuang, 2021, "Confident
    learning", JAIR 70). Raises `UserError` where the run is of other clips.
    """
    p_match = _out_of_fold(clips, user_path(run))
    y = clips.labels.astype(np.int64)
    which = contradictions(y, p_match)
    wrong = np.where(y == 1, 1 - p_match, p_match)
    order = np.argsort(-wrong, kind="stable")
    order = order[which[order]]
    worst = order[:MOST]
    rows = rows_at(clips, worst)
    suspects = tuple(_suspect(clips, i, row, p_match) for i, row in zip(worst, rows, strict=True))
    if not suspects:
        return found
    finding = Finding(
        id="labels-contradicted",
        severity="warning",
        effect=f"matchers confidently contradict {len(order)} of {len(clips)} labels out of fold",
        remedy="listen to them, worst first, and mend what is wrong",
        count=len(order),
        rows=rows[:SHOWN],
    )
    errors = len(found.of("error"))
    findings = (*found.findings[:errors], finding, *found.findings[errors:])
    return found.model_copy(update={"findings": findings, "suspects": suspects})


def contradictions(y: NDArray[np.int64], p_match: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which labels are contradicted; a clip without a prediction (NaN) is not."""
    known = ~np.isnan(p_match)
    which = np.zeros(len(y), dtype=bool)
    if np.unique(y[known]).size < 2:
        return which
    usual = float(p_match[known & (y == 1)].mean()), float(1 - p_match[known & (y == 0)].mean())
    with np.errstate(invalid="ignore"):
        which |= (y == 0) & (p_match >= usual[0]) & (1 - p_match < usual[1])
        which |= (y == 1) & (1 - p_match >= usual[1]) & (p_match < usual[0])
    return which


def _out_of_fold(clips: Clips, place: Path) -> NDArray[np.float64]:
    """Return the mean P(match) of each clip by the matchers that beat every floor."""
    board = Leaderboard.read(place / "leaderboard.json")
    try:
        table = pd.read_parquet(place / "predictions.parquet")
    except (OSError, ValueError) as error:
        raise UserError(f"--run {place}: no predictions can be read: {error}") from None
    losses = {row.matcher: row.log_loss for row in board.rows if row.log_loss is not None}
    floors = [losses[row.matcher] for row in deaf_floors(board.rows) if row.matcher in losses]
    good = [
        row.matcher
        for row in board.rows
        if row.kind != "floor" and losses.get(row.matcher, np.inf) < min(floors, default=np.inf)
    ]
    if not good:
        raise UserError(f"--run {place}: no matcher of it beats the floors; none can be believed")
    mean = table[table["matcher"].isin(good)].groupby("id")[["p_match", "match"]].mean()
    found = mean.reindex(clips.ids)
    labels = found["match"].to_numpy(np.float64)
    known = ~np.isnan(labels)
    if not known.any() or (labels[known] != clips.labels[known]).any():
        raise UserError(f"--run {place}: is of other clips or labels; name the run of these data")
    return found["p_match"].to_numpy(np.float64)


def _suspect(clips: Clips, i: int, row: int | str, p_match: NDArray[np.float64]) -> Suspect:
    return Suspect(
        row=row,
        id=clips.ids[i],
        expected_text=clips.texts[i],
        match=int(clips.labels[i]),
        p_match=float(p_match[i]),
    )
