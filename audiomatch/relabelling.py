"""Labels that a person has corrected, kept in a table beside the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from audiomatch.clips import Clips
from audiomatch.datasets.cells import label_cells
from audiomatch.datasets.tables import read_table
from audiomatch.errors import UserError, brief
from audiomatch.files import Place, user_path

COLUMNS = ("id", "match", "by", "when")  # the last two are for people
_NAMED = 5


def read_labels(place: Place | None) -> dict[str, int]:
    """Return the labels of a table with the columns `id` and `match`; of None there are none.

    Raises `UserError` for a file that is none, a label that is none, and an id that comes twice.
    """
    if place is None:
        return {}
    file: Path = user_path(place)
    table = read_table(file)
    missing = [name for name in COLUMNS[:2] if name not in table.columns]
    if missing:
        raise UserError(f"{file}: no column {missing[0]!r}; needs id and match")
    ids = table["id"].astype(str)
    labels = label_cells(table["match"], lambda row: f"{file}, row {table.index[row]}")
    if ids.duplicated().any():
        second = int(np.argmax(ids.duplicated()))
        where = f"{file}, row {table.index[second]}"
        raise UserError(f"{where}: the id {brief(ids.iloc[second])} has a label already")
    return dict(zip(ids, labels.tolist(), strict=True))


def relabelled(
    clips: Clips, labels: Mapping[str, int], say: Callable[[str], None]
) -> tuple[Clips, int]:
    """Return clips with these labels by id in the place of their own, and how many changed.

    `say` hears of it, and of ids that no clip has.
    """
    if not labels:
        return clips, 0
    old = clips.labels
    new = np.array([labels.get(name, label) for name, label in zip(clips.ids, old, strict=True)])
    changed = int((new != old).sum())
    say(f"--labels: {changed} of {len(clips)} clips of {clips.source} have another label by it")
    unknown = sorted(set(labels) - set(clips.ids))
    if unknown:
        named = ", ".join(brief(name) for name in unknown[:_NAMED])
        more = ", …" if len(unknown) > _NAMED else ""
        say(f"--labels: {len(unknown)} of {len(labels)} ids are not there: {named}{more}")
    return (clips.with_column("match", new.astype(np.int8)) if changed else clips), changed
