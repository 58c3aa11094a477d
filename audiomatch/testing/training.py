"""Checks that fit anew: seed, held-out labels, clips at the edges, devices; and what is noted."""

from __future__ import annotations

import json

import numpy as np

from audiomatch.clips import Clips
from audiomatch.machine import resolve_device
from audiomatch.offers import Offer
from audiomatch.testing.registry import check
from audiomatch.testing.results import Failed, Skipped
from audiomatch.testing.subject import Subject, require_equal, what_changed


@check("same-seed", "the same seed gives the same numbers")
def same_seed(subject: Subject) -> str:
    """Fit again with the same seed, whatever the global random state has become."""
    np.random.seed(12345)  # noqa: NPY002 - the global state is what is changed
    again = subject.predict(subject.fit(subject.toy.train), subject.toy.held_out)
    change = "fitting again with the same seed"
    return require_equal(again, subject.predicted, subject.same, subject.toy.held_out, change)


@check("no-leak", "nothing changes when the held-out labels are scrambled")
def no_leak(subject: Subject) -> str:
    """Turn the held-out labels round in the data on disk, then fit and predict anew."""
    wanted = subject.predicted
    turned = subject.toy.scrambled()
    try:
        found = subject.predict(subject.fit(turned.train), turned.held_out)
    finally:
        turned.scrambled()  # scrambled twice: the labels as they were
    return require_equal(
        found, wanted, subject.same, turned.held_out, "scrambling the held-out labels"
    )


@check("facts", "what it notes and what decides its numbers can be kept as JSON")
def facts(subject: Subject) -> str:
    """Look at the fingerprint and at the notes of the fit."""
    _ = subject.fitted
    for name, content in (
        ("fingerprint", subject.make().fingerprint()),
        ("notes", subject.notes),
    ):
        try:
            json.dumps(content, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise Failed(f"its {name} cannot be kept as JSON: {error}") from error
    return f"notes: {', '.join(subject.notes) or 'none'}"


@check("clips", "fit and predict leave the clips that they are given as they are")
def clips(subject: Subject) -> None:
    """Look at what the fits so far were given, and at what one more prediction is."""
    matcher = subject.fitted
    before = subject.toy.held_out.unlabelled().only(matcher.further_columns).normalised()
    given = before.normalised()
    matcher.predict(given, subject.own_run())
    for name, changed in (("fit", subject.changed), ("predict", what_changed(given, before))):
        if changed:
            raise Failed(f"{name} changes the {changed} of its clips; change a copy instead")


def _declares_none(offer: Offer) -> str:
    return "" if offer.info.columns else "it declares no columns, and is given none"


@check("columns", "works where data lack the columns that it declares", _declares_none)
def columns(subject: Subject) -> str:
    """Fit and predict clips of which no more is known than of every clip."""
    matcher = subject.fit(subject.few.only(()))
    subject.predict(matcher, subject.toy.held_out.only(()))
    return f"without {', '.join(subject.info.columns)}"


@check("fits-edges", "fits on a training part that holds such clips")
def fits_edges(subject: Subject) -> str:
    """Fit on some of the toy corpus and all of the edges, and predict the edges."""
    edges = list(subject.edges.values())
    train = Clips.concat([subject.few, *edges])
    matcher = subject.fit(train)
    edge_clips = train.take((train["voice"] == "edge").to_numpy())
    subject.predict(matcher, edge_clips)
    return f"{len(edge_clips)} of {len(train)} clips"


@check("cpu", "fits and predicts on the CPU")
def cpu(subject: Subject) -> str | None:
    """Fit on half of the training part, unless all the checks run there."""
    if subject.run.device == "cpu":
        return _all_run_there(subject)
    return _on(subject, "cpu", "fp32")


@check("cuda", "fits and predicts on CUDA")
def cuda(subject: Subject) -> str | None:
    """Fit on half of the training part, unless all the checks run there."""
    if subject.run.device.startswith("cuda"):
        return _all_run_there(subject)
    if resolve_device("auto") != "cuda":
        raise Skipped("no CUDA device here")
    return _on(subject, "cuda", "auto")


def _all_run_there(subject: Subject) -> str:
    _ = subject.predicted
    return "as do all these checks"


def _on(subject: Subject, device: str, precision: str) -> str:
    run = subject.own_run(device=device, precision=precision)
    p_match = subject.predict(subject.fit(subject.few, run), subject.toy.held_out, run)
    return f"{len(p_match)} clips"
