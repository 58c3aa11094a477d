"""From a model and data to what probes show: what `audiomatch probe` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiomatch import plugins
from audiomatch.audio import load_clip
from audiomatch.caller import caller_state
from audiomatch.clips import Clips
from audiomatch.contract import refused_clips
from audiomatch.errors import UserError, unknown
from audiomatch.files import Place, atomic_folder, user_path
from audiomatch.fitted import Model, load
from audiomatch.folds import BY_TEXT, group_clips
from audiomatch.inputs import Data
from audiomatch.intake import data_digest
from audiomatch.probing.info import Probe
from audiomatch.probing.measuring import behaviours
from audiomatch.probing.planting import Planted, plant, write_wav
from audiomatch.probing.record import Expect, ProbeRecord
from audiomatch.scoring.behaviours import THRESHOLD

MOST = 100  # matches in which a probe is planted


@dataclass(frozen=True, eq=False)
class Probed:
    """What probes showed, and the clips that were planted.

    Attributes:
        record: the figures.
        matches: the matches that there are.
        planted: the clips planted in them.
        p_match: what the model gave of each, NaN where it takes no such clip.
        summaries: what each probe plants.
    """

    record: ProbeRecord
    matches: Clips
    planted: Planted
    p_match: NDArray[np.float64]
    summaries: Mapping[str, str]

    def keep(self, folder: Place) -> Path:
        """Write each planted clip as a WAV file, and a manifest, into a new folder to listen to.

        The manifest is DATA as the commands take it: `match` is 1 for what is to stay.
        """
        from audiomatch.datasets.cells import without_formulas
        from audiomatch.datasets.tables import write_table

        place, clips = user_path(folder), self.planted.clips
        table = self._table()
        with atomic_folder(place) as temporary:
            for i, (source, name) in enumerate(zip(clips.paths, table["audio"], strict=True)):
                target = temporary / name
                if target.exists():
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                if self._own(i):
                    target.write_bytes(source.read_bytes())
                else:
                    write_wav(target, load_clip(clips, i))
            write_table(temporary / "manifest.csv", without_formulas(table, ("id", "p_match")))
        return place

    def _own(self, i: int) -> bool:
        """Whether a planted clip has a file of its own, and not that of its match."""
        return self.planted.clips.paths[i] != self.matches.paths[int(self.planted.rows[i])]

    def _table(self) -> pd.DataFrame:
        planted, rows = self.planted, self.planted.rows
        expectation = {one.probe: one.expectation for one in self.record.behaviours}
        wanted = [expectation[name] for name in planted.probes]
        files = [
            f"{planted.probes[i]}/{planted.clips.paths[i].name}"
            if self._own(i)
            else f"as-recorded/{rows[i]:05}.wav"
            for i in range(len(rows))
        ]
        ids, said = np.array(self.matches.ids, object), np.array(self.matches.texts, object)
        return pd.DataFrame(
            {
                "id": planted.clips.ids,
                "audio": files,
                "expected_text": planted.clips.texts,
                "match": [{"stay": "1", "fall": "0"}.get(one, "") for one in wanted],
                "probe": planted.probes,
                "expectation": wanted,
                "planted_in": ids[rows],
                "said": said[rows],
                "p_match": self.p_match,
            }
        )


def probe(
    model: Model | Place,
    data: Data | None,
    *,
    expect: Expect = "exact",
    only: Sequence[str] = (),
    most: int = MOST,
    threshold: float = THRESHOLD,
    group: str = BY_TEXT,
    dataset: str | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
) -> Probed:
    """Plant answers in matches of `data`, and show what a model does with them.

    Args:
        model: a model, its folder, `NAME:ready` or `hf:owner/name`.
        data: what `compare` takes; its matches are used, and for an honest answer none that the
            model was fitted on. Data without labels are taken as matches.
        expect: `exact` where nothing but the text may be said, `contains` where more may be.
        only: the probes to plant, by their names; else all.
        most: in how many matches each is planted, drawn by the model's seed.
        threshold: P(match) from which on a clip is confirmed.
        group: the column whose values intervals are over.
        dataset: the layout of a path, else told by the path.
        columns: which columns of the data are ours, as `audiomatch.fit` takes them.
        limit: draw that many clips by the model's seed, before matches are taken.
        skip_bad: go on without clips that cannot be used.

    Raises:
        UserError: the model or the data cannot be used.
    """
    model = model if isinstance(model, Model) else load(model)
    probes = chosen(only)
    with caller_state():
        intake, opened = model.take_in(
            data, None, dataset=dataset, columns=columns, skip_bad=skip_bad, limit=limit
        )
        matches = matches_of(group_clips(intake.clips, group))
        planted = plant(matches, probes, most, model.run)
        p_match = _predict(model, planted.clips)
    found = behaviours(model.name, planted, p_match, probes, expect, threshold)
    fit = model.card.fit
    same = fit is not None and fit.data_digest == data_digest(intake.clips)
    refused = int(np.isnan(p_match).sum())
    warnings = {
        f"{model.name}: these are the clips that it was fitted on": same,
        f"{model.name} cannot take {refused} of the planted clips; they are left out": refused,
        f"{matches.source}: no column 'match'; each clip is taken as a match": (
            not intake.clips.labelled
        ),
    }
    record = ProbeRecord(
        model=model.name,
        source=opened.source,
        expect=expect,
        threshold=threshold,
        matches=len(matches),
        groups=len(set(planted.clips.groups)),
        group=group,
        seed=model.run.seed,
        behaviours=tuple(found),
        problems=tuple(planted.problems.values()),
        missing=tuple(f"{name}: {why}" for name, why in planted.missing.items()),
        warnings=tuple(line for line, holds in warnings.items() if holds),
    )
    return Probed(record, matches, planted, p_match, summaries(probes))


def chosen(only: Sequence[str] = ()) -> list[Probe]:
    """Return the probes that are named, or all, in the order of the table. Raises `UserError`."""
    offered = plugins.registry().probes()
    for name in only:
        if name not in offered:
            raise unknown("probe", name, offered)
    return [probe for name, probe in offered.items() if not only or name in only]


def summaries(probes: Sequence[Probe]) -> dict[str, str]:
    """Return what each probe plants."""
    return {probe.info.name: probe.info.summary for probe in probes}


def matches_of(clips: Clips) -> Clips:
    """Return the clips that are matches, all where there are no labels. Raises `UserError`."""
    if not clips.labelled:
        return clips
    rows = clips.labels == 1
    if not rows.any():
        raise UserError(f"{clips.source}: no match to plant answers in")
    return clips.take(rows)


def _predict(model: Model, clips: Clips) -> NDArray[np.float64]:
    """Return P(match) of each clip, NaN where the model takes no such clip."""
    refused = refused_clips(model.matcher, clips, model.run)
    good = np.array([not why for why in refused])
    p_match = np.full(len(clips), np.nan)
    p_match[good] = model.predict(clips.take(good))
    return p_match
