"""What an audit tries to tell the label by, and what it says where that can be done."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from audiomatch.auditing import codings
from audiomatch.auditing.features import linear_scores, neighbour_scores, text_features
from audiomatch.auditing.files import FileFacts, folders
from audiomatch.auditing.permuting import Codes
from audiomatch.auditing.probing import FALSE_ALARMS, LEAST, Answer, Question
from audiomatch.auditing.record import Finding, Severity
from audiomatch.auditing.sound import FACTS, Heard
from audiomatch.clips import TYPED, Clips

STRONG, CLEAR = 0.9, 0.75  # AUROC
COLUMN, ORDER, NEAR = "label-in-column", "label-in-row-order", "near-texts-agree"
# What a matcher of speech has no cause to read.
UNREAD = (ORDER, "label-in-id", "label-in-file-name", "label-in-folder")
_OWN = ("id", "audio", "expected_text", "match")  # columns that are not asked as columns
_REMEDIES = {
    "label-in-id": "give clips ids that say nothing; a matcher is given them",
    "label-in-file-name": "rename the files; a matcher is given their paths",
    "label-in-folder": "put the files of both labels into one folder; a matcher is given the paths",
    ORDER: "shuffle the rows, and look whether what was recorded when differs in more",
    "label-in-format": "convert all files alike, from the rawest there are",
    "label-in-sample-rate": "convert all files alike, to the lowest rate there is",
    "label-in-size": "convert all files alike; then see label-in-duration",
    "label-in-duration": "cut all clips by one rule; a matcher need not listen",
    "label-in-level": "record or normalise all clips alike; a matcher need not listen",
    "label-in-silence": "trim all clips alike; a matcher need not listen",
    "label-in-sound": "record both labels in one way; look at the floor audio-only",
    "label-in-text": "ask each text of both labels alike; look at the floor text-only",
    COLUMN: "declare it for no matcher (MatcherInfo.columns)",
    NEAR: "keep near texts together: a column for them, and --group by it",
}


def cheap_questions(
    clips: Clips, facts: Sequence[FileFacts], rows: NDArray[np.int64], n: int
) -> Iterator[Question]:
    """Give what can be asked without listening; the clips stand at `rows` of `n`."""
    paths = clips.paths
    stems = [path.stem for path in paths]
    if not all(str(p).endswith(i) or p.stem == i for p, i in zip(paths, clips.ids, strict=True)):
        yield Question("label-in-id", codings=codings.of_names(clips.ids))
    yield Question("label-in-file-name", codings=codings.of_names(stems))
    yield Question("label-in-folder", codings={"its name": codings.of_values(folders(paths))})
    yield Question(ORDER, codings={by: c[rows] for by, c in codings.of_order(n).items()})
    formats = codings.of_values([one.format for one in facts])
    yield Question("label-in-format", codings={"container and coding": formats})
    sizes = np.array([one.size for one in facts])
    yield Question("label-in-size", codings={"bytes": codings.of_numbers(sizes)})
    yield Question("label-in-duration", codings={"seconds": codings.of_numbers(clips.seconds)})
    for name in clips.frame.columns:
        if name not in _OWN and codings.as_texts(clips[name]).nunique() > 1:
            yield Question(COLUMN, str(name), codings.of_column(clips[name]))


def rate_question(facts: Sequence[FileFacts], heard: Sequence[Heard] | None) -> Question:
    """Return the question of the sample rate: of the file, and of the sound where it is heard."""
    found = {"of the file": codings.of_values([one.rate for one in facts])}
    if heard is not None:
        bandwidth = np.array([one.facts[FACTS.index("bandwidth")] for one in heard])
        found["the highest frequency"] = codings.of_numbers(bandwidth)
    return Question("label-in-sample-rate", codings=found)


def heard_questions(heard: Sequence[Heard]) -> Iterator[Question]:
    """Give what can be asked of level and silence."""
    facts = dict(zip(FACTS, np.stack([one.facts for one in heard]).T, strict=True))
    for name, parts in {
        "label-in-level": ("level", "peak", "quietest"),
        "label-in-silence": ("leading silence", "trailing silence", "silence"),
    }.items():
        yield Question(name, codings={part: codings.of_numbers(facts[part]) for part in parts})


def text_questions(clips: Clips, groups: Codes) -> Iterator[Question]:
    """Give what can be asked of near texts, where there are any in different groups."""
    near = neighbour_scores(clips.text_groups, groups)
    if near is not None:
        yield Question(NEAR, f"{len(near[1])} pairs", scores=near[0])


def floor_questions(
    clips: Clips, statistics: NDArray[np.float64], of: Codes, seed: int
) -> Iterator[Question]:
    """Give the floors: all that is known of the sound alone, and of the text alone."""
    yield Question("label-in-sound", scores=linear_scores(statistics, of))
    texts = text_features(clips.text_groups, seed)
    yield Question("label-in-text", scores=linear_scores(texts, of))


def finding_of(answer: Answer, given: Collection[str]) -> Finding | None:
    """Return what an answer amounts to; `given` are further columns that a matcher is given."""
    if answer.p > FALSE_ALARMS or abs(answer.auroc - 0.5) < LEAST:
        return None
    asked = answer.question
    effect = f"{answer.by} alone tells the label: AUROC {answer.auroc:.3f}, p {answer.p:.2g}"
    if answer.auroc < 0.5:
        effect = (
            f"what {answer.by} tells of the label in other groups is turned round: "
            f"AUROC {answer.auroc:.3f}, p {answer.p:.2g}"
        )
    if asked.id == NEAR:
        effect = (
            f"texts one word or letter apart are in different groups and have like labels: "
            f"AUROC {answer.auroc:.3f}, p {answer.p:.2g}"
        )
    return Finding(
        id=asked.id,
        severity=_severity(answer, given),
        subject=asked.subject,
        effect=effect,
        remedy=_REMEDIES[asked.id],
        auroc=answer.auroc,
        p=answer.p,
    )


def _severity(answer: Answer, given: Collection[str]) -> Severity:
    """Return `error` for what tells a matcher nearly all; less for less, or what none reads."""
    asked = answer.question
    seen = asked.subject in {*TYPED, *given} if asked.id == COLUMN else asked.id not in UNREAD
    if answer.strength >= STRONG:
        return "error" if seen else "warning"
    return "warning" if answer.strength >= CLEAR and seen else "note"
