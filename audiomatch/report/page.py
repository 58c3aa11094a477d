"""Collects what `report.html` shows, and writes it."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, Template, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from audiomatch.clips import Clips
from audiomatch.decimals import decimal
from audiomatch.explanation import Explanation
from audiomatch.files import atomic_file
from audiomatch.private import hider
from audiomatch.records import Leaderboard, RunRecord
from audiomatch.report import listening
from audiomatch.report.content import asked, content_of
from audiomatch.report.drawing import CONFIG
from audiomatch.report.vega import vega_script
from audiomatch.report.words import read_words
from audiomatch.scoring.clip_table import ClipTable

SECTIONS = {
    "leaderboard": "Leaderboard",
    "failures": "Failures",
    "cost": "Cost",
    "thresholds": "Thresholds",
    "learning": "More labels",
    "kinds": "By kind of clip",
    "behaviours": "Behaviours",
    "recipes": "Recipes",
    "calibration": "Calibrated",
    "matchers": "Each matcher",
    "pairs": "Any two",
    "clips": "The clips",
    "provenance": "Provenance",
}


def write_report(
    folder: Path,
    leaderboard: Leaderboard,
    predictions: pd.DataFrame,
    run: RunRecord,
    clips: Clips | None = None,
) -> None:
    """Write `report.html` into the run folder: one page that asks nothing of others.

    Args:
        folder: the run folder.
        leaderboard: what `build_leaderboard` gave.
        predictions: what it was made of; `expected_text`, where there, is shown for clips.
        run: what `run.json` holds.
        clips: what was predicted, to be heard: the worst are embedded, the others linked to where
            they lie near the folder.
    """
    pooled = clip_table(predictions, leaderboard)
    heard: dict[str, Any] = {}
    if clips is not None:
        worst = listening.embedded(pooled, clips, asked(leaderboard.rows, pooled))
        heard = {"sounds": worst, "addresses": listening.links(clips, folder)}
    page = report_page(leaderboard, pooled, run, words=read_words(folder), **heard)
    with atomic_file(folder / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")


def clip_table(predictions: pd.DataFrame, leaderboard: Leaderboard) -> ClipTable:
    """Return the predictions of a run, of its first repeat where it has several."""
    if "repeat" in predictions:
        predictions = predictions[predictions["repeat"] == 0]
    return ClipTable(predictions, leaderboard.cluster)


def report_page(
    leaderboard: Leaderboard,
    pooled: ClipTable,
    run: RunRecord,
    *,
    sounds: Mapping[str, str] | None = None,
    addresses: Mapping[str, str] | None = None,
    most: int = listening.LISTED,
    marks: Collection[str] | None = None,
    words: Mapping[str, Explanation] | None = None,
) -> str:
    """Return the page.

    Args:
        leaderboard: what `build_leaderboard` gave.
        pooled: the predictions.
        run: what `run.json` holds.
        sounds: embedded sound by the clips' ids, as base64.
        addresses: of the sound of clips, by their ids.
        most: how many clips are listed.
        marks: ids of clips whose label was marked as wrong; None where there is no server to take
            marks.
        words: what is known of the words of clips, by their ids.
    """
    content = content_of(leaderboard, pooled, run)
    hide = hider([one.source for one in (run.data, run.test) if one])
    matchers = [row.matcher for row in leaderboard.rows if row.matcher in pooled.p]
    heard = listening.Heard(sounds or {}, addresses or {}, marks or (), words or {})
    listed = listening.clip_list(pooled, matchers, heard, hide, most)
    data = {
        "charts": content["specs"],
        "config": CONFIG,
        "clips": listed,
        "labels": content["names"],
        "worth": asked(leaderboard.rows, pooled),
        "pairs": [pair.model_dump() for pair in leaderboard.comparisons],
        "scatter": listening.scatter(pooled, hide),
        "marking": marks is not None,
    }
    return _template().render(
        content,
        hide=hide,
        data=Markup(_script_json(data)),  # noqa: S704 - no `<` is left in it
        vega=Markup(vega_script()),  # noqa: S704 - it is not of the data
        listed=listed,
        sounds=len(sounds or {}),
        linked=bool(addresses),
        explained=any(row["words"] for row in listed["rows"]),
        sections=_sections(content, listed),
        marking=marks is not None,
    )


def _sections(content: Mapping[str, Any], listed: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the parts that the page has, by their anchors."""
    there = {
        "failures": content["failures"],
        "cost": "cost" in content["specs"],
        "thresholds": "roc" in content["specs"],
        "learning": "learning" in content["specs"],
        "kinds": content["kinds"],
        "behaviours": content["board"].behaviours,
        "recipes": content["board"].recipe,
        "calibration": content["calibrated"],
        "matchers": content["details"],
        "pairs": content["board"].comparisons,
        "clips": listed["rows"],
    }
    return [(name, title) for name, title in SECTIONS.items() if there.get(name, True)]


def _script_json(data: Any) -> str:
    """Return JSON that can stand in a script element."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("audiomatch.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_hidden,
    )
    environment.filters["number"] = functools.partial(decimal, none="–", thousands=",")
    environment.filters["signed"] = lambda value: "–" if value is None else f"{value:+.3f}"
    environment.filters["options"] = _options
    return environment.get_template("report.html")


@pass_context
def _hidden(context: Context, value: Any) -> Any:
    return context["hide"](value) if type(value) is str else value


def _options(config: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for key, value in config.items()
    )
