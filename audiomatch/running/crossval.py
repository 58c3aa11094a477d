"""Cross-validation: every matcher on the same folds, one after another, each fold kept at once."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.folds import Folds
from audiomatch.intake import data_digest
from audiomatch.machine import peak_memory_mb, reset_peak_memory
from audiomatch.matcher import Matcher, Run
from audiomatch.plugins import Offer, Registry
from audiomatch.running.folder import FoldKey, RunFolder
from audiomatch.spec import MatcherSpec

Result = dict[str, Any]


@dataclass
class Entrant:
    """A matcher that takes part, checked and ready before any work starts."""

    label: str
    offer: Offer
    make: Callable[[], Matcher]
    config: dict[str, Any]
    fingerprint: dict[str, str]
    further_data: list[str]


def enter(registry: Registry, specs: Sequence[MatcherSpec]) -> list[Entrant]:
    """Check names, options and weights of all matchers, floors first. Raises `UserError`."""
    floors = [
        MatcherSpec(offer.info.name)
        for offer in registry.matchers().values()
        if offer.info.kind == "floor"
    ]
    entrants = []
    for spec in dict.fromkeys([*floors, *specs]):
        matcher = registry.create(spec)
        entrants.append(
            Entrant(
                label=str(spec),
                offer=registry.offer(spec),
                make=lambda spec=spec: registry.create(spec),  # type: ignore[misc]
                config=matcher.config.model_dump(mode="json"),
                fingerprint=matcher.fingerprint(),
                further_data=matcher.further_data(),
            )
        )
    return entrants


def cross_validate(
    entrants: Sequence[Entrant],
    folds: Folds,
    run: Run,
    folder: RunFolder,
    fold_done: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Fit and predict every fold of every matcher; return one result for each.

    A finished fold found in `folder` is replayed. A fold that raises becomes a result with
    `status` `failed` and its `error`, and the others go on; an interrupt stops all, with every
    finished fold kept. `fold_done` hears each result.
    """
    splits = [folds.split(fold) for fold in range(folds.k)]
    digests = [(data_digest(train), data_digest(held_out)) for train, held_out in splits]
    results = []
    for entrant in entrants:
        with run.progress.task(entrant.label, total=folds.k, unit="folds") as task:
            for fold, (train, held_out) in enumerate(splits):
                key = FoldKey(
                    matcher=entrant.label,
                    fold=fold,
                    train=digests[fold][0],
                    held_out=digests[fold][1],
                    config=entrant.config,
                    plugin=entrant.offer.plugin,
                    fingerprint=entrant.fingerprint,
                    seed=run.seed,
                    device=run.device,
                    precision=run.precision,
                )
                result = folder.replay(key)
                if result is None:
                    result = _compute(entrant, fold, train, held_out, run)
                    if result["status"] == "done":
                        folder.keep(key, result)
                results.append(result)
                fold_done(result)
                task.advance()
    return results


def _compute(entrant: Entrant, fold: int, train: Clips, held_out: Clips, run: Run) -> Result:
    own = replace(run, notes={})
    gc.collect()
    reset_peak_memory()
    result: Result = {
        "matcher": entrant.label,
        "kind": entrant.offer.info.kind,
        "fold": fold,
        "status": "done",
        "replayed": False,
        "config": entrant.config,
        "plugin": entrant.offer.plugin.distribution,
        "version": entrant.offer.plugin.version,
        "fingerprint": entrant.fingerprint,
        "clips_fit": len(train),
        "clips_predict": len(held_out),
    }
    try:
        matcher = entrant.make()
        start = time.perf_counter()
        matcher.fit(train, own)
        fitted = time.perf_counter()
        p_match = checked_predictions(matcher.predict(held_out, own), held_out)
        predicted = time.perf_counter()
    except Exception as error:
        message = " ".join(str(error).split())
        known = isinstance(error, UserError)
        return {
            **result,
            "status": "failed",
            "error": message if known else f"{type(error).__name__}: {message}",
            "traceback": traceback.format_exc(),
            "notes": own.notes,
        }
    return {
        **result,
        "ids": held_out.ids,
        "p_match": p_match.tolist(),
        "seconds_fit": fitted - start,
        "seconds_predict": predicted - fitted,
        "peak_memory_mb": peak_memory_mb(),
        "notes": own.notes,
    }


def checked_predictions(p_match: Any, clips: Clips) -> NDArray[np.float64]:
    """Return predictions as float64 of shape (n,), or raise `ValueError` naming a bad one."""
    checked = np.asarray(p_match, dtype=np.float64)
    if checked.shape != (len(clips),):
        raise ValueError(f"predict gave shape {checked.shape} for {len(clips)} clips")
    bad = ~((checked >= 0) & (checked <= 1))
    if bad.any():
        at = int(np.argmax(bad))
        raise ValueError(f"predict gave {checked[at]} for {clips.where(at)}; must be in [0, 1]")
    return checked


def pooled_predictions(results: Sequence[Result], folds: Folds) -> pd.DataFrame:
    """Return the held-out predictions of all finished folds, with what the report needs of clips.

    Columns: id, matcher, fold, group, match, p_match, task, grade, expected_text.
    """
    of_clip = ["group", "match", "task", "grade", "expected_text"]
    facts = folds.clips.frame.set_index("id")[of_clip]
    parts = [
        pd.DataFrame(
            {
                "id": result["ids"],
                "matcher": result["matcher"],
                "fold": result["fold"],
                "p_match": result["p_match"],
            }
        )
        for result in results
        if result["status"] == "done"
    ]
    columns = ["id", "matcher", "fold", "group", "match", "p_match", *of_clip[2:]]
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True).join(facts, on="id")[columns]
