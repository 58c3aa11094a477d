"""Collects what `report.html` shows, and writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from audiomatch.files import atomic_file
from audiomatch.hookspecs import DISTRIBUTION
from audiomatch.records import FoldSummary, Leaderboard, Row, RunRecord
from audiomatch.report.charts import histogram, reliability, whiskers
from audiomatch.scoring.metrics import clip_losses
from audiomatch.scoring.table import notes

WORST = 10


def write_report(
    folder: Path, leaderboard: Leaderboard, predictions: pd.DataFrame, run: RunRecord
) -> None:
    """Write `report.html` into the run folder: one page without scripts or outside requests.

    Args:
        folder: the run folder.
        leaderboard: what `build_leaderboard` gave.
        predictions: what it was made of; `expected_text`, where there, is shown for wrong clips.
        run: what `run.json` holds.
    """
    page = (
        _environment().get_template("report.html").render(_content(leaderboard, predictions, run))
    )
    with atomic_file(folder / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("audiomatch.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["signed"] = lambda value: "–" if value is None else f"{value:+.3f}"
    environment.filters["options"] = _options
    return environment


def _content(leaderboard: Leaderboard, predictions: pd.DataFrame, run: RunRecord) -> dict[str, Any]:
    rows = leaderboard.rows
    names = {row.matcher: row.label for row in rows}
    parts = dict(iter(predictions.groupby("matcher", sort=False)))
    return {
        "board": leaderboard,
        "rows": rows,
        "board_notes": notes(leaderboard),
        "names": names,
        "facts": _facts(leaderboard, run),
        "whiskers": whiskers(rows),
        "breakdowns": [
            table
            for column in ("fold", "task", "grade")
            if (table := _breakdown(column, rows, predictions))
        ],
        "details": [_detail(row, parts[row.matcher]) for row in rows if row.matcher in parts],
        "failures": run.failures,
        "setups": _setups(run.results, names),
        "skipped": [*run.data.skipped, *(run.test.skipped if run.test else ()), *run.folds.skipped],
        "warnings": [*run.data.warnings, *(run.test.warnings if run.test else ())],
        "digests": [("data", run.data.digest), ("folds", run.folds.digest)],
        "versions": run.versions,
    }


def _facts(leaderboard: Leaderboard, run: RunRecord) -> list[tuple[str, str]]:
    """Return what was compared, as names and values."""
    n, matches = leaderboard.n, leaderboard.matches
    share = f", {100 * matches / n:.0f} % of them matches" if n else ""
    minutes = f", {run.data.seconds_of_audio / 60:.0f} min of speech"
    facts = [
        ("Data", " · ".join(dict.fromkeys((run.data.dataset, run.data.source)))),
        ("Clips", f"{n:,}{share}{minutes if run.data.seconds_of_audio else ''}"),
        ("Folds", f"{leaderboard.folds}, of {leaderboard.groups:,} groups"),
        ("Split", run.folds.split),
        ("Predicted", run.test.source if run.test else ""),
        ("Mind", run.folds.warning),
        ("Mismatches made", ", ".join(run.folds.negatives)),
        ("Groups by", run.folds.group),
        ("Device", f"{run.device} · {run.precision}"),
        ("Seed", str(run.seed)),
        ("audiomatch", run.versions.get(DISTRIBUTION, "")),
        ("Started", run.started.replace("T", " ").replace("Z", " UTC")),
        ("Took", f"{run.seconds / 60:.1f} min"),
    ]
    return [(name, value) for name, value in facts if value]


def _breakdown(
    column: str, rows: Sequence[Row], predictions: pd.DataFrame
) -> dict[str, Any] | None:
    """Return the scores of each matcher for each value of a column; None where there is none."""
    lines = [(row, scores) for row in rows if row.n and (scores := getattr(row, f"by_{column}"))]
    if not lines:
        return None
    sizes = predictions.drop_duplicates("id")[column].fillna("").value_counts()
    values = [getattr(scores, column) for scores in lines[0][1]]
    heads = [
        (f"fold {value + 1}" if column == "fold" else value or "none", int(sizes.get(value, 0)))
        for value in values
    ]
    return {"column": column, "heads": heads, "lines": lines}


def _detail(row: Row, part: pd.DataFrame) -> dict[str, Any]:
    """Return the charts and the most wrong clips of one matcher."""
    y = part["match"].to_numpy(np.float64)
    p = part["p_match"].to_numpy(np.float64)
    worst = np.argsort(-clip_losses(y, p), kind="stable")[:WORST]
    text = "expected_text" if "expected_text" in part else "group"
    return {
        "row": row,
        "reliability": reliability(y, p),
        "histogram": histogram(y, p),
        "worst": [
            {"id": clip["id"], "text": clip[text], "p": clip["p_match"], "match": clip["match"]}
            for clip in part.iloc[worst].to_dict("records")
        ],
    }


def _setups(results: Sequence[FoldSummary], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return how each matcher was set up, taken from its first fold that says so."""
    setups: dict[str, dict[str, Any]] = {}
    for result in results:
        setup = setups.setdefault(
            result.matcher,
            {
                "label": names.get(result.matcher, result.matcher),
                "plugin": f"{result.plugin} {result.version}".strip(),
                "config": result.config,
                "facts": {},
            },
        )
        for key, value in {**result.fingerprint, **result.notes}.items():
            setup["facts"].setdefault(key, value)
    return list(setups.values())


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _options(config: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for key, value in config.items()
    )
