"""From clips to what an audit found: what `audiomatch audit` does, and `bench` in part."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiomatch.auditing.copies import copies
from audiomatch.auditing.files import file_facts
from audiomatch.auditing.probing import Answer, Labels, Question, ask
from audiomatch.auditing.questions import (
    cheap_questions,
    finding_of,
    floor_questions,
    heard_questions,
    rate_question,
    text_questions,
)
from audiomatch.auditing.record import ORDER, AuditRecord, Finding, Probe
from audiomatch.auditing.shared import (
    copy_findings,
    group_facts,
    group_findings,
    labels_disagree,
    shared_findings,
)
from audiomatch.auditing.sound import Heard, listen
from audiomatch.caller import caller_state
from audiomatch.clips import Clips
from audiomatch.files import Place
from audiomatch.floors.features import audio_features
from audiomatch.folds import BY_TEXT, Folds, deal_folds
from audiomatch.inputs import Data
from audiomatch.machine import make_run
from audiomatch.matcher import Run
from audiomatch.progress import Progress
from audiomatch.running.design import FOLDS, Design, Reading

PROBED = 10_000  # clips at most by which the label is told, whole groups of them
_HEARD_AT_ONCE = 5_000  # clips whose fingerprints cost little
_OWN_FOLDS = 5


@dataclass(frozen=True, eq=False)
class _Sample:
    """The clips that are probed, and the rows of the whole that they are."""

    clips: Clips
    rows: NDArray[np.int64]
    labels: Labels


def audit(
    data: Data | None,
    *,
    folds: int = FOLDS,
    group: str = BY_TEXT,
    split: str | None = None,
    test: Data | None = None,
    given: Collection[str] = (),
    run: Place | None = None,
    dataset: str | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    seed: int = 0,
    workers: int | None = None,
    cache: Place | None = None,
    progress: bool | Progress = False,
) -> AuditRecord:
    """Look for what would make the figures of a comparison untrue; raises `UserError`.

    Args:
        data: what `audiomatch.compare` takes, with labels.
        folds: as `compare` takes it, and so are `group`, `split` and `test`.
        group: as above.
        split: as above.
        test: as above.
        given: columns that a matcher is given (`MatcherInfo.columns`) beside those of every clip.
        run: a run folder of `compare` on these data, whose matchers may contradict labels.
        dataset: the layout of a path, else told by the path.
        columns: which columns of the data are ours, as in `{"audio": "path", "match": "label"}`.
        limit: draw that many clips by the seed.
        skip_bad: go on without clips that cannot be used.
        seed: the source of every random number.
        workers: CPU workers, else as many as cores.
        cache: folder for what is kept between runs, else `$AUDIOMATCH_CACHE`, else the user's own.
        progress: whether to show how far the work has come.
    """
    from audiomatch.auditing.contradicted import contradicted

    design = Design(folds, group, (), split, test)
    with caller_state():
        settings = make_run("cpu", "auto", seed, workers, cache, progress)
        reading = Reading(columns=columns, limit=limit, skip_bad=skip_bad)
        made, _ = design.open(data, settings, reading, dataset)
        found = full_audit(made, settings, given)
    return found if run is None else contradicted(found, made.clips, run)


def full_audit(folds: Folds, run: Run, given: Collection[str] = ()) -> AuditRecord:
    """Return all that is found of the folds, by listening to every clip too."""
    heard = listen(folds.clips, run)
    return _audit(folds, run, given, heard, audio_features(folds.clips, run))


def cheap_audit(folds: Folds, run: Run, given: Collection[str] = ()) -> AuditRecord:
    """Return what is found without listening, and without the floors, which `bench` runs anyway.

    The sound is looked at where an audit remembered it in `run.cache`.
    """
    few = len(folds.clips) <= _HEARD_AT_ONCE
    heard = listen(folds.clips, run, known_only=True) if few else None
    return _audit(folds, run, given, heard, None)


def _audit(
    folds: Folds,
    run: Run,
    given: Collection[str],
    heard: list[Heard] | None,
    statistics: NDArray[np.float64] | None,
) -> AuditRecord:
    clips = folds.clips
    facts = group_facts(clips)
    several = int((pd.Series(clips.groups).value_counts() > 1).sum())
    findings = [*shared_findings(folds), *labels_disagree(clips), *group_findings(facts, several)]
    if heard is not None:
        findings += copy_findings(folds, copies([one.marks for one in heard]))
    answers = probe(folds, run, heard, statistics)
    findings += [one for answer in answers if (one := finding_of(answer, given))]
    return AuditRecord(
        source=clips.source,
        clips=len(clips),
        matches=int(clips.labels.sum()),
        group=folds.group,
        split=folds.fixed,
        folds=folds.k,
        groups=facts,
        findings=tuple(sorted(findings, key=_worst_first)),
        probes=tuple(_probe(answer) for answer in answers),
        permutations=max((answer.permutations for answer in answers), default=0),
        listened=heard is not None,
    )


def probe(
    folds: Folds,
    run: Run,
    heard: Sequence[Heard] | None = None,
    statistics: NDArray[np.float64] | None = None,
) -> list[Answer]:
    """Return how well each thing tells the label; none where there is nothing to tell.

    Args:
        folds: the clips with their groups and folds.
        run: its seed and its progress.
        heard: of each clip (`sound.listen`); without it nothing is asked of the sound.
        statistics: of each clip (`floors.features`), shape (n, d); without it no floor is asked.
    """
    sample = _sample(folds, run.seed)
    if sample is None:
        return []
    with run.progress.task("probing labels", total=1, unit="reports") as task:
        questions = list(_questions(sample, len(folds.clips), heard, statistics))
        answers = ask(questions, sample.labels)
        task.advance()
    return answers


def _worst_first(finding: Finding) -> tuple[int, float]:
    return ORDER.index(finding.severity), -abs((finding.auroc or 0.5) - 0.5)


def _probe(answer: Answer) -> Probe:
    asked = answer.question
    return Probe(id=asked.id, subject=asked.subject, auroc=answer.auroc, p=answer.p, by=answer.by)


def _questions(
    sample: _Sample,
    n: int,
    heard: Sequence[Heard] | None,
    statistics: NDArray[np.float64] | None,
) -> Iterator[Question]:
    clips, labels = sample.clips, sample.labels
    own = None if heard is None else [heard[row] for row in sample.rows]
    facts = file_facts(clips)
    yield from cheap_questions(clips, facts, sample.rows, n)
    yield rate_question(facts, own)
    yield from text_questions(clips, labels.groups)
    if own is not None:
        yield from heard_questions(own)
    if statistics is not None:
        yield from floor_questions(clips, statistics[sample.rows], labels.of, labels.seed)


def _sample(folds: Folds, seed: int) -> _Sample | None:
    """Return clips to probe: whole groups of what is learned from, up to about `PROBED` clips.

    None where labels are of the core's own making, of one class, or in fewer than two groups.
    """
    if folds.made is not None:
        return None
    rows = np.flatnonzero(folds.of < 0) if folds.fixed else np.arange(len(folds.clips))
    every = np.asarray(folds.clips.groups, dtype=object)
    rows = _whole_groups(rows, _codes(every[rows].tolist()), seed)
    part = folds.clips.take(rows)
    groups = _codes(part.groups)
    k = min(_OWN_FOLDS, int(groups.max(initial=0)) + 1)
    if k < 2 or np.unique(part.labels).size < 2:
        return None
    of = deal_folds(part, k, "", seed).of if folds.fixed else folds.of[rows]
    of = np.unique(of, return_inverse=True)[1].astype(np.int64)
    if of.max() < 1:
        return None
    return _Sample(part, rows, Labels(part.labels, groups, of, seed))


def _whole_groups(
    rows: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    if len(rows) <= PROBED:
        return rows
    turn = np.random.default_rng(seed).permutation(int(groups.max()) + 1)[groups]
    return rows[turn < max(1, int(np.sort(turn)[PROBED]))]


def _codes(values: Sequence[str]) -> NDArray[np.int64]:
    return pd.factorize(pd.Series(list(values), dtype=object))[0].astype(np.int64)
