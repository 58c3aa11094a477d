"""What the core itself offers, through the same hooks as any plugin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiomatch.datasets import DatasetInfo, find_manifest
from audiomatch.hookspecs import hookimpl
from audiomatch.matcher import MatcherInfo
from audiomatch.probing.builtin import own_probes
from audiomatch.probing.info import ProbeInfo
from audiomatch.running.executors import ExecutorInfo

if TYPE_CHECKING:
    import pandas as pd

    from audiomatch.clips import Clips


@hookimpl
def audiomatch_matchers() -> list[MatcherInfo]:
    """Offer the floors and the ensemble."""
    return [
        MatcherInfo(
            "base-rate",
            "share of matches in the training part",
            "audiomatch.floors.prior:BaseRate",
            kind="floor",
            ignores=frozenset({"text", "audio"}),
        ),
        MatcherInfo(
            "prior",
            "share of matches by task and text, smoothed",
            "audiomatch.floors.prior:Prior",
            kind="floor",
            ignores=frozenset({"audio"}),
        ),
        MatcherInfo(
            "text-only",
            "the expected text, nothing heard",
            "audiomatch.floors.text:TextOnly",
            kind="floor",
            ignores=frozenset({"audio"}),
        ),
        MatcherInfo(
            "audio-only",
            "how it sounds, no text read",
            "audiomatch.floors.audio:AudioOnly",
            kind="floor",
            ignores=frozenset({"text"}),
        ),
        MatcherInfo(
            "pace",
            "seconds for characters of text, nothing heard and nothing read",
            "audiomatch.floors.pace:Pace",
            kind="floor",
        ),
        MatcherInfo(
            "speaker",
            "share of matches by speaker, smoothed; where the data have a column speaker",
            "audiomatch.floors.prior:SpeakerPrior",
            kind="floor",
            ignores=frozenset({"text", "audio"}),
            columns=("speaker",),
        ),
        MatcherInfo(
            "ensemble",
            "a model stacked on other matchers, or their weighted mean",
            "audiomatch.ensemble:Ensemble",
            presets={
                "mean": {"method": "mean"},
                "plain": {"method": "mean", "weights": "equal"},
                "stacked": {"method": "logistic"},
            },
        ),
    ]


def _open_mini_screener(path: Path | None, labelled: bool | None) -> Clips:
    from audiomatch.datasets.mini_screener import open_mini_screener

    return open_mini_screener(path, labelled)


def _open_drivendata(path: Path | None, labelled: bool | None) -> Clips:
    from audiomatch.datasets.drivendata import open_drivendata

    return open_drivendata(path, labelled)


def _open_manifest(
    path: Path | None, labelled: bool | None, columns: Mapping[str, str] | None = None
) -> Clips:
    from audiomatch.datasets.manifest import open_manifest

    return open_manifest(path, labelled, columns)


def _write_manifest(
    path: Path, target: Path, more: pd.DataFrame, only: Iterable[Any] | None = None
) -> None:
    from audiomatch.datasets.writing import write_back

    write_back(find_manifest(path) or path, target, more, only)


def _write_drivendata(
    path: Path, target: Path, more: pd.DataFrame, only: Iterable[Any] | None = None
) -> None:
    from audiomatch.datasets.drivendata import write_drivendata

    write_drivendata(path, target, more, only)


def _is_drivendata(path: Path) -> bool:
    from audiomatch.datasets.drivendata import is_drivendata

    return is_drivendata(path)


@hookimpl
def audiomatch_executors() -> list[ExecutorInfo]:
    """Offer the one that keeps matchers apart, and the one that needs no other process."""
    return [
        ExecutorInfo(
            "process",
            "each matcher in a process of its own, one after another",
            "audiomatch.running.process:ProcessExecutor",
        ),
        ExecutorInfo(
            "inline",
            "one job after another, in this process: for debuggers",
            "audiomatch.running.executors:InlineExecutor",
        ),
    ]


@hookimpl
def audiomatch_probes() -> list[ProbeInfo]:
    """Offer what people do, and what rooms and devices do to it."""
    return list(own_probes())


@hookimpl
def audiomatch_datasets() -> list[DatasetInfo]:
    """Offer the three layouts of the core."""
    return [
        DatasetInfo(
            "mini-screener",
            "synthetic literacy screener that ships with audiomatch; the default",
            recognises=lambda _path: False,
            open=_open_mini_screener,
            needs_path=False,
        ),
        DatasetInfo(
            "drivendata",
            "folder with train_metadata.csv, train_labels.csv and the clips",
            recognises=_is_drivendata,
            open=_open_drivendata,
            prediction_columns=("filename", "score"),
            tables=lambda path: [*path.glob("t*_metadata.csv"), *path.glob("t*_labels.csv")],
            write=_write_drivendata,
        ),
        DatasetInfo(
            "manifest",
            "one CSV, TSV, JSONL or Parquet with audio, expected_text, match and any more columns",
            recognises=lambda path: find_manifest(path) is not None,
            open=_open_manifest,
            tables=lambda path: [file for file in (find_manifest(path),) if file],
            columns=True,
            write=_write_manifest,
        ),
    ]
