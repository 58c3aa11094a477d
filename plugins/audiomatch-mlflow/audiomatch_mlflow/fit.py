"""A fitted and saved model as an MLflow run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from audiomatch import plugins
from audiomatch.hookspecs import PROJECT
from audiomatch.machine import versions
from audiomatch.records import FitRecord, ModelCard
from audiomatch.running.identity import code_digests
from audiomatch.running.provenance import typed_command
from audiomatch.spec import parse_matcher
from audiomatch_mlflow.bench import curves, facts, words
from audiomatch_mlflow.server import PREFIX, Experiment, Point, track


def track_fit(folder: Path, card: ModelCard) -> None:
    """Write a fit; each is a run of its own, also into a folder that has been written before."""
    fit = card.fit
    if fit is None:
        return

    def write(experiment: Experiment) -> None:
        run = experiment.run(card.matcher, {f"{PREFIX}kind": "fit"}, goes_on=False)
        run.params({**_params(folder, fit), **card.config})
        module = plugins.registry().offer(parse_matcher(card.matcher)).plugin.module
        run.tags(
            {
                **facts(versions(), code_digests([PROJECT, module]), fit.device),
                f"{PREFIX}matcher": card.matcher,
                f"{PREFIX}plugin": f"{card.plugin.distribution} {card.plugin.version}",
                f"{PREFIX}command": words(typed_command()),
                **{f"{PREFIX}{name}": fit.notes[name] for name in _NOTES if name in fit.notes},
            }
        )
        run.metrics([*_figures(card, fit), *curves(fit.notes)])
        run.artifacts(folder)
        run.finish()

    track(write)


_NOTES = ("weights", "weights_commit", "weights_digest", "warning")


def _params(folder: Path, fit: FitRecord) -> dict[str, str | int | None]:
    return {
        "model": str(folder.resolve()),
        "data_digest": fit.data_digest,
        "clips": fit.clips,
        "group": fit.group,
        "split": fit.split or "",
        "negatives": ",".join(fit.negatives),
        "seed": fit.seed,
        "precision": fit.precision,
    }


def _figures(card: ModelCard, fit: FitRecord) -> Iterator[Point]:
    yield Point("seconds", fit.seconds)
    if fit.match_rate is not None:
        yield Point("match_rate", fit.match_rate)
    if card.thresholds:
        yield Point("threshold_match", card.thresholds.match)
        yield Point("threshold_mismatch", card.thresholds.mismatch)
