"""The tracking server: its experiment, its runs, and what becomes of its failures."""

from __future__ import annotations

import json
import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import JsonValue

from audiomatch.errors import DataWarning, shortened
from audiomatch.private import without_folders

T = TypeVar("T")
EXPERIMENT = "audiomatch"
# Of our own, beside those that MLflow's pages show.
PREFIX = "audiomatch."
ARTIFACTS = "leaderboard.json,report.html,predictions.parquet,audiomatch.json,README.md"
FIRST_ANSWER, LATER_ANSWERS = 10, 60  # seconds; an upload is answered once it is stored
_MOST = {"metrics": 500, "params": 100, "tags": 100}  # what a server takes at once
_LONGEST_PARAM, _LONGEST_TAG = 490, 4_000  # characters, as the oldest servers take them
_UNFIT = re.compile(r"[^\w./ -]")  # for the name of a metric or parameter


class Point(NamedTuple):
    """One value of a metric, at a step where it has several."""

    name: str
    value: float
    step: int | None = None


def track(write: Callable[[Experiment], None]) -> None:
    """Call `write` with the experiment; where the server fails, warn in one line."""
    try:
        with _settings(FIRST_ANSWER, retries=0):
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
            from requests import RequestException
    except ImportError as error:
        _warn(error)
        return
    try:
        with _settings(FIRST_ANSWER, retries=0):
            client = MlflowClient()
            experiment = Experiment(client, _experiment(client))
        with _settings(LATER_ANSWERS, retries=2):
            write(experiment)
    except (MlflowException, RequestException, ImportError, OSError) as error:
        _warn(error)


def _warn(error: Exception) -> None:
    why = re.sub(r"//[^@/\s]+@", "//", " ".join(str(error).split()))  # a password in the address
    warnings.warn(f"not written to MLflow: {shortened(why, 300)}", DataWarning, stacklevel=2)


def _experiment(client: Any) -> str:
    """Return the id of the experiment that MLflow's own variables name."""
    if number := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return number
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))


@contextmanager
def _settings(seconds: int, retries: int) -> Iterator[None]:
    """Let MLflow wait no longer, print nothing and report nothing to its makers.

    Variables that are set stay as they are.
    """
    wanted = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    wanted = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(wanted)
    retried = logging.getLogger("urllib3.connectionpool")
    level = retried.level
    retried.setLevel(logging.ERROR)
    try:
        yield
    finally:
        retried.setLevel(level)
        for name in wanted:
            del os.environ[name]


class Experiment:
    """An experiment of the server, to which runs are added."""

    def __init__(self, client: Any, number: str) -> None:
        """Take MLflow's client and the experiment's id."""
        self._client, self._number = client, number

    def run(self, name: str, tags: Mapping[str, str], *, goes_on: bool) -> TrackedRun:
        """Start a run; where it `goes_on`, take the newest that has all of these tags."""
        tags = {key: _value(tag, _LONGEST_TAG) for key, tag in tags.items()}
        found: Sequence[Any] = ()
        if goes_on:
            asked = " and ".join(f"tags.`{key}` = '{tag}'" for key, tag in tags.items())
            found = self._client.search_runs([self._number], asked, max_results=1)
        run = found[0] if found else self._client.create_run(
            self._number, tags=tags, run_name=_value(name, _LONGEST_TAG)
        )  # fmt: skip
        return TrackedRun(self._client, run)


class TrackedRun:
    """A run of the server. What is written of paths is their last part alone.

    Attributes:
        id: the run's.
    """

    def __init__(self, client: Any, run: Any) -> None:
        """Take MLflow's client and its record of the run."""
        self._client, self._before = client, run.data
        self.id: str = run.info.run_id

    def params(self, params: Mapping[str, JsonValue]) -> None:
        """Write parameters; one that is there stays, for a server takes no other value of it."""
        from mlflow.entities import Param

        known = self._before.params
        values = {_name(name): _value(value, _LONGEST_PARAM) for name, value in params.items()}
        new = [Param(name, value) for name, value in values.items() if value and name not in known]
        self._write("params", new)

    def tags(self, tags: Mapping[str, JsonValue]) -> None:
        """Write tags, in the place of those that are there."""
        from mlflow.entities import RunTag

        self._write("tags", [RunTag(key, _value(tag, _LONGEST_TAG)) for key, tag in tags.items()])

    def metrics(self, points: Iterable[Point]) -> None:
        """Write metrics; of a single value only where it is another one than before."""
        from mlflow.entities import Metric

        now, known = int(1000 * time.time()), self._before.metrics
        new = [
            Metric(_name(name), value, now, step or 0)
            for name, value, step in points
            if step is not None or known.get(_name(name)) != value
        ]
        self._write("metrics", new)

    def steps(self, metric: str) -> set[int]:
        """Return the steps at which a metric is known."""
        if metric not in self._before.metrics:
            return set()
        return {point.step for point in self._client.get_metric_history(self.id, metric)}

    def artifacts(self, folder: Path) -> None:
        """Upload those files of a run or model folder that are asked for."""
        asked = os.environ.get("AUDIOMATCH_MLFLOW_ARTIFACTS", ARTIFACTS).split(",")
        for name in filter(None, map(str.strip, asked)):
            file = folder / name
            if name == "model":
                if (folder / "audiomatch.json").exists():
                    self._client.log_artifacts(self.id, str(folder), "model")
            elif name == "audiomatch.json" and file.exists():
                content = json.loads(file.read_text(encoding="utf-8"))
                self._client.log_dict(self.id, _hidden(content), name)
            elif file.is_file():
                self._client.log_artifact(self.id, str(file))

    def finish(self, *, failed: bool = False) -> None:
        """Say that the run has ended."""
        self._client.set_terminated(self.id, "FAILED" if failed else "FINISHED")

    def _write(self, kind: str, items: Sequence[object]) -> None:
        most = _MOST[kind]
        for start in range(0, len(items), most):
            self._client.log_batch(self.id, **{kind: items[start : start + most]})


def _name(name: str) -> str:
    return _UNFIT.sub("_", name)


def _value(value: JsonValue, longest: int) -> str:
    """Return a value as a server takes it, without the folders of this machine."""
    hidden = _hidden(value)
    return shortened(hidden if isinstance(hidden, str) else json.dumps(hidden), longest)


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return "\n".join(map(without_folders, value.split("\n")))
    if isinstance(value, dict):
        return {name: _hidden(one) for name, one in value.items()}
    return list(map(_hidden, value)) if isinstance(value, list) else value
