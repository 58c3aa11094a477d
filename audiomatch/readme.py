"""The README of a model folder: its card for people, in the format of the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from audiomatch.errors import printable, shortened
from audiomatch.hookspecs import DISTRIBUTION
from audiomatch.private import without_folders
from audiomatch.records import FitRecord, ModelCard, Thresholds
from audiomatch.spec import parse_matcher
from audiomatch.verdicts import thresholds

README = "README.md"
_MARKUP = re.compile(r"([\\`*_\[\]<>|~&$#!])")

_PAGE = """\
---
library_name: audiomatch
pipeline_tag: audio-classification
tags:
- audio
- speech
- {name}
# license: yours to choose, as in license: mit
---

# {title}

Does a recording say a text? This model of [audiomatch](https://pypi.org/project/audiomatch-toolkit/)
gives the probability that it does.

## Use

```
pip install {packages}
audiomatch predict MODEL clips.csv --out predictions.csv
```

`MODEL` is this folder, or `hf:OWNER/NAME` where it is published. `clips.csv` has the columns
`audio` and `expected_text`.

## What it was trained on

{training}

## Options

{options}

## Figures

{figures}

## Verdicts

{verdicts}

## Limits

A probability is as good as the clips that it was learned from. For other speakers, texts, languages
or microphones, first run `audiomatch evaluate MODEL labelled.csv` on clips that the model has not
seen.
"""


def readme_of(card: ModelCard, fit: FitRecord) -> str:
    """Return the README of the model that `card` describes, as Markdown after a YAML header.

    Text from options and clips is escaped; of absolute paths the last part is left.
    """
    packages = dict.fromkeys([DISTRIBUTION, card.plugin.distribution])
    return _PAGE.format(
        name=parse_matcher(card.matcher).name,
        title=_escaped(card.matcher),
        packages=" ".join(one for one in packages if re.fullmatch(r"[\w.-]+", one)),
        training=_table(_training(card, fit)),
        options=_table(card.config.items()) if card.config else "None.",
        figures=_figures(card),
        verdicts=_verdicts(card.thresholds or thresholds()),
    )


def _training(card: ModelCard, fit: FitRecord) -> Iterator[tuple[str, object]]:
    yield "clips", fit.clips
    if fit.match_rate is not None:
        yield "share of matches", f"{fit.match_rate:.3f}"
    yield "clips left out", len(fit.skipped)
    yield "SHA-256 of the clips", fit.data_digest
    yield "mismatches made of matches", ", ".join(fit.negatives) or "none"
    yield "kept together in inner splits", fit.group
    for name in ("weights", "weights_commit", "weights_digest"):
        if fit.notes.get(name):
            yield name.replace("_", " "), fit.notes[name]
    yield "seed", fit.seed
    yield "device", f"{fit.device}, precision {fit.precision}"
    yield "seconds", f"{fit.seconds:.1f}"
    if card.origin:
        yield "loaded from", card.origin
    yield "plugin", f"{card.plugin.distribution} {card.plugin.version}"
    yield "audiomatch", card.audiomatch


def _figures(card: ModelCard) -> str:
    lines = []
    held = card.thresholds.held_out if card.thresholds else None
    calibration = card.calibration
    if held is not None:
        said = (
            ("match", held.match_precision, held.match_recall),
            ("mismatch", held.mismatch_precision, held.mismatch_recall),
        )
        lines += [
            f"- Verdict `{verdict}` on {held.clips} held-out clips: "
            + ("never given" if precision is None else f"precision {precision:.3f}")
            + f", recall {recall:.3f}"
            for verdict, precision, recall in said
        ]
    if calibration is not None:
        gained = calibration.difference
        by = "" if gained is None else f"; log loss changes by {gained:+.4f} on held-out clips"
        parted = f" by {calibration.by}" if calibration.by else ""
        lines.append(f"- Calibration: {calibration.method}{parted}{by}")
    return "\n".join(lines) or "None were taken when it was fitted."


def _verdicts(cut: Thresholds) -> str:
    if cut.held_out is not None:
        why = f"chosen on held-out clips for a precision of {cut.held_out.target_precision:g}"
    elif cut.listen_cost is not None:
        why = f"for a cost of listening of {cut.listen_cost:g}, where a wrong verdict costs 1"
    else:
        why = "as given"
    return (
        f"`mismatch` up to {cut.mismatch:.4g}, `match` from {cut.match:.4g}, "
        f"`listen` in between: {why}."
    )


def _table(rows: Iterable[tuple[str, object]]) -> str:
    lines = (f"| {_escaped(name)} | {_escaped(value)} |" for name, value in rows)
    return "\n".join(["| | |", "|---|---|", *lines])


def _escaped(value: object) -> str:
    """Return a value as one line of Markdown that shows it as it is."""
    line = printable(" ".join(str(value).split()))
    text = shortened(without_folders(line), 300)
    return _MARKUP.sub(r"\\\1", text)
