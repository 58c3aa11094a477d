"""Answers planted in the held-out matches of each fold, for `bench --probe`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.folds import Folds
from audiomatch.intake import leave_out
from audiomatch.matcher import Run
from audiomatch.probing.info import Probe
from audiomatch.probing.measuring import expected
from audiomatch.probing.planting import Planted, plant
from audiomatch.probing.prober import MOST, chosen, matches_of
from audiomatch.records import FoldResult


@dataclass(frozen=True, eq=False)
class FoldProbes:
    """What is planted in the folds of a comparison.

    Attributes:
        probes: all of them.
        planted: the planted clips of all folds.
        of: the fold of each clip, (n,).
    """

    probes: Sequence[Probe]
    planted: Planted
    of: NDArray[np.int64]

    def clips(self, fold: int) -> Clips:
        """Return what is planted in one fold."""
        return self.planted.clips.take(self.of == fold)

    def apart(self, result: FoldResult) -> FoldResult:
        """Return a fold's result without the clips that were planted.

        Of the seconds that predicting took its clips have their share.
        """
        own = [not one for one in pd.Index(result.ids).isin(self.planted.clips.ids)]
        kept = {
            name: tuple(one for one, is_own in zip(values, own, strict=True) if is_own)
            for name, values in (("ids", result.ids), ("p_match", result.p_match))
        }
        share = sum(own) / max(len(own), 1)
        seconds = None if result.seconds_predict is None else result.seconds_predict * share
        facts = {"clips_predict": sum(own), "seconds_predict": seconds} if result.done else {}
        return result.model_copy(update={**kept, **facts})

    def predictions(self, results: Sequence[FoldResult]) -> pd.DataFrame:
        """Return what matchers gave of the planted clips: a row a clip and matcher.

        Columns: id, matcher, fold, probe, expectation, group, expected_text, p_match.
        """
        clips = self.planted.clips
        expectation = {p.info.name: expected(p.info.expectation, "exact") for p in self.probes}
        facts = pd.DataFrame(
            {
                "fold": self.of,
                "probe": self.planted.probes,
                "expectation": [expectation[name] for name in self.planted.probes],
                "group": clips.groups,
                "expected_text": clips.texts,
            },
            index=pd.Index(clips.ids, name="id"),
        )
        given = [
            pd.DataFrame({"id": one.ids, "matcher": one.matcher, "p_match": one.p_match})
            for one in results
            if one.done and one.whole
        ]
        columns = ["id", "matcher", *facts.columns, "p_match"]
        if not given:
            return pd.DataFrame(columns=columns)
        return pd.concat(given, ignore_index=True).join(facts, on="id", how="inner")[columns]

    @property
    def problems(self) -> list[str]:
        """A line for each probe that failed."""
        return list(self.planted.problems.values())


def plant_in_folds(
    folds: Folds, run: Run, refuses: Callable[[Clips], list[str | None]]
) -> FoldProbes:
    """Plant all probes in matches of each fold, each in `MOST` matches of all folds together.

    What is borrowed, such as another sentence, comes from the same fold. Clips that a matcher
    refuses are left out. Raises `UserError` where nothing can be planted.
    """
    probes, parts, of = chosen(), [], []
    for fold in range(folds.k):
        held_out = folds.clips.take(folds.of == fold)
        if not held_out.labels.any():
            continue
        planted = plant(matches_of(held_out), probes, -(-MOST // folds.k), run)
        reasons = refuses(planted.clips)
        _, refused = leave_out(planted.clips, reasons, skip_bad=True)
        if refused:
            run.progress.say(f"left out {len(refused)} planted clips; the first: {refused[0]}")
        parts.append(planted.take(np.array([not why for why in reasons])))
        of += [fold] * len(parts[-1].rows)
    if not parts:
        raise UserError(f"--probe: {folds.clips.source} holds out no match to plant answers in")
    for name, why in parts[0].missing.items():
        run.progress.say(f"probe {name} is left out: {why}")
    whole = replace(
        parts[0],
        clips=Clips.concat(part.clips for part in parts),
        probes=np.concatenate([part.probes for part in parts]),
        rows=np.concatenate([part.rows for part in parts]),
        problems={name: why for part in parts for name, why in part.problems.items()},
        missing={name: why for part in parts for name, why in part.missing.items()},
    )
    return FoldProbes(probes, whole, np.array(of, np.int64))
