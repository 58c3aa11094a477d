"""What the report shows: the tables and charts of a leaderboard and its predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from audiomatch.hookspecs import DISTRIBUTION
from audiomatch.records import FoldSummary, Leaderboard, Row, RunRecord
from audiomatch.records.behaviour import Behaviour
from audiomatch.records.operating import OperatingPoint, PointKind
from audiomatch.report import charts, curves
from audiomatch.report.drawing import Spec, colours, unchecked
from audiomatch.scoring.clip_table import ClipTable
from audiomatch.scoring.clusters import Array
from audiomatch.scoring.summary import summary
from audiomatch.scoring.table import notes

HISTOGRAM_BINS = 20
_WHAT: Mapping[PointKind, str] = {
    "precision": "recall at {share} precision",
    "misses": "false alarms at {share} missed",
    "abstain": "undecided at {share} precision of both verdicts",
    "cost": "cost a clip, one undecided costing {target:g}",
}
_CURVES = ("training_loss",)  # notes that are long


def content_of(leaderboard: Leaderboard, pooled: ClipTable, run: RunRecord) -> dict[str, Any]:
    """Return what the template shows, by its names there."""
    rows = leaderboard.rows
    names = {row.matcher: row.label for row in rows}
    scored = [row for row in rows if row.matcher in pooled.p]
    palette = colours(scored)
    details = [_detail(row, pooled) for row in scored]
    kinds = _kinds(scored, pooled, names)
    with unchecked():
        specs = _specs(scored, pooled, palette)
        if leaderboard.learning:
            specs["learning"] = charts.learning(_learning(leaderboard, names), palette)
        for i, (_, values) in enumerate(kinds):
            specs[f"kind-{i}"] = charts.by_kind(values, palette)
        for i, detail in enumerate(details):
            colour = palette[detail["row"].label]
            specs[f"reliability-{i}"] = charts.reliability(detail["bins"], colour)
            specs[f"histogram-{i}"] = charts.histogram(detail["bars"])
    return {
        "board": leaderboard,
        "rows": rows,
        "summary": summary(leaderboard),
        "board_notes": notes(leaderboard),
        "names": names,
        "palette": palette,
        "matchers": [row for row in scored if row.kind == "matcher"],
        "calibrated": [row for row in rows if row.calibrated],
        "facts": _facts(leaderboard, run),
        "specs": specs,
        "operating": _operating(scored),
        "kinds": [name for name, _ in kinds],
        "breakdowns": [
            table
            for column in ("fold", "task", "grade")
            if (table := _breakdown(column, rows, pooled.clips))
        ],
        "behaving": list(dict.fromkeys(one.matcher for one in leaderboard.behaviours)),
        "behaviours": _behaviours(leaderboard),
        "details": details,
        "agreement": _agreement(scored, pooled),
        "failures": run.failures,
        "setups": _setups(run.results, names),
        "skipped": [*run.data.skipped, *(run.test.skipped if run.test else ()), *run.folds.skipped],
        "warnings": [*run.data.warnings, *(run.test.warnings if run.test else ())],
        "digests": [("data", run.data.digest), ("folds", run.folds.digest)],
        "versions": run.versions,
        "confidence": round(100 * leaderboard.confidence),
    }


def _agreement(rows: Sequence[Row], pooled: ClipTable) -> list[Any]:
    p = {row.matcher: pooled.p[row.matcher] for row in rows}
    return curves.agreement(p) if len(p) > 1 else []


def _specs(rows: Sequence[Row], pooled: ClipTable, palette: Mapping[str, str]) -> dict[str, Spec]:
    """Return the charts of which there is one a page."""
    if not rows:
        return {}
    found = {"losses": charts.losses(rows, palette), "pair": charts.pair()}
    if any(row.seconds is not None for row in rows):
        found["cost"] = charts.cost(rows, palette)
    ratios = {
        row.label: curves.ratios(*_known(pooled, row.matcher))
        for row in rows
        if row.kind == "matcher"
    }
    ratios = {label: curve for label, curve in ratios.items() if curve}
    if ratios:
        points = {label: curves.operating(curve) for label, curve in ratios.items()}
        lines = {label: curves.thinned(curve) for label, curve in ratios.items()}
        for name, axes in (("roc", ("false_alarms", "recall")), ("pr", ("recall", "precision"))):
            found[name] = charts.curve(lines, points, palette, axes)
    return found


def _learning(leaderboard: Leaderboard, names: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"label": names[point.matcher], "n": point.n_train, "loss": point.log_loss}
        | ({} if point.low is None else {"low": point.low, "high": point.high})
        for point in leaderboard.learning
    ]


def _behaviours(leaderboard: Leaderboard) -> list[tuple[str, str, list[Behaviour | None]]]:
    """Return each probe, what is expected of it, and what each matcher did."""
    found = {(one.probe, one.matcher): one for one in leaderboard.behaviours}
    matchers = dict.fromkeys(one.matcher for one in leaderboard.behaviours)
    probes = {one.probe: one.expectation for one in leaderboard.behaviours}
    return [
        (probe, expectation, [found.get((probe, matcher)) for matcher in matchers])
        for probe, expectation in probes.items()
    ]


def _operating(rows: Sequence[Row]) -> list[tuple[Row, OperatingPoint, str]]:
    """Return the operating points of matchers, each with what it is of."""
    matchers = [row for row in rows if row.kind == "matcher"]
    return [
        (row, point, _WHAT[point.kind].format(target=point.target, share=f"{point.target:.0%}"))
        for row in matchers
        for point in row.operating
    ]


def _known(pooled: ClipTable, matcher: str) -> tuple[Array, Array]:
    """Return label and P(match) of the clips that a matcher predicted."""
    known = ~np.isnan(pooled.p[matcher])
    return pooled.y[known], pooled.p[matcher][known]


def asked(rows: Sequence[Row], pooled: ClipTable) -> list[str]:
    """Return the matchers whose errors are worth hearing: all but those that learned nothing."""
    scored = [row for row in rows if row.matcher in pooled.p]
    good = [r for r in scored if r.kind == "matcher" and r.learned_nothing < r.folds_done]
    return [row.matcher for row in good or scored[:1]]


def _kinds(
    rows: Sequence[Row], pooled: ClipTable, names: Mapping[str, str]
) -> list[tuple[str, list[dict[str, Any]]]]:
    matchers = [row.matcher for row in rows if row.kind == "matcher"] or list(pooled.p)
    found = curves.parts(pooled, matchers)
    return [
        (name, [{**value, "label": names[value["matcher"]]} for value in values])
        for name, values in found.items()
    ]


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


def _breakdown(column: str, rows: Sequence[Row], clips: pd.DataFrame) -> dict[str, Any] | None:
    """Return the scores of each matcher for each value of a column; None where there is none."""
    lines = [(row, scores) for row in rows if row.n and (scores := getattr(row, f"by_{column}"))]
    if not lines:
        return None
    sizes = clips[column].fillna("").value_counts()
    values = [getattr(scores, column) for scores in lines[0][1]]
    heads = [
        (f"fold {value + 1}" if column == "fold" else value or "none", int(sizes.get(value, 0)))
        for value in values
    ]
    return {"column": column, "heads": heads, "lines": lines}


def _detail(row: Row, pooled: ClipTable) -> dict[str, Any]:
    """Return the bins of one matcher's charts."""
    y, p = _known(pooled, row.matcher)
    clusters = pooled.clusters
    if len(y) < len(pooled.y):
        clusters = clusters.take(np.flatnonzero(~np.isnan(pooled.p[row.matcher])))
    return {"row": row, "bins": curves.reliability(y, p, clusters), "bars": _bars(y, p)}


def _bars(y: Array, p: Array) -> list[dict[str, Any]]:
    bars = []
    for kind, label, sign in (("match", 1, 1), ("mismatch", 0, -1)):
        counts, edges = np.histogram(p[y == label], bins=HISTOGRAM_BINS, range=(0, 1))
        bars += [
            {"kind": kind, "from": float(edges[i]), "to": float(edges[i + 1]),
             "n": int(n), "height": sign * int(n)}
            for i, n in enumerate(counts) if n
        ]  # fmt: skip
    return bars


def _setups(results: Sequence[FoldSummary], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return how each matcher was set up; of what differs among folds, fold by fold."""
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
            if key not in _CURVES and result.whole and not result.repeat:
                setup["facts"].setdefault(key, {})[f"fold {result.fold + 1}"] = value
    for setup in setups.values():
        setup["facts"] = {key: _alike(by_fold) for key, by_fold in setup["facts"].items()}
    return list(setups.values())


def _alike(by_fold: Mapping[str, Any]) -> Any:
    """Return the value of all folds where they have one."""
    first = next(iter(by_fold.values()))
    return first if all(value == first for value in by_fold.values()) else by_fold
