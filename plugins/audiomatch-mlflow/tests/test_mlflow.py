"""Runs and fits of the command line, read back from a tracking server that is really there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import audiomatch_mlflow
import numpy as np
import pandas as pd
import pytest
from audiomatch_mlflow import server as server_module
from pydantic import Field

import audiomatch.plugins
from audiomatch.cli import main
from audiomatch.clips import Clips
from audiomatch.matcher import Run
from audiomatch.plugins import Registry
from audiomatch.records import Leaderboard, RunRecord
from tests.conftest import write_corpus
from tests.toys import Toy, ToyConfig, toy_plugin

FOLDS = 2
CURVES = {"train": [0.7, 0.5, 0.4], "warm up": [1.0]}
Command = Callable[..., tuple[int, str, str]]


class LearnerConfig(ToyConfig):
    """Options of the learner."""

    weights: str = Field("none", description="a folder")


class Learner(Toy):
    """Notes how its loss fell, and goes by the length of the text."""

    Config = LearnerConfig

    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        run.note(training_loss=CURVES)

    def predict(self, clips: Clips, run: Run) -> Any:
        return np.where([len(text) % 2 for text in clips.texts], 0.4, 0.7)


@pytest.fixture(scope="module")
def starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """Start a server on a free port: its address and process; it answers some seconds later."""
    place = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "FILE_STORE": f"sqlite:///{place / 'db.sqlite'}",
        "ARTIFACT_ROOT": "mlflow-artifacts:/",
        "ARTIFACT_DESTINATION": str(place / "artifacts"),
        "SERVE_ARTIFACTS": "true",
    }
    # What `mlflow server` sets for the workers it starts, here without its manager of processes.
    own = {f"_MLFLOW_SERVER_{name}": value for name, value in settings.items()}
    env = {**os.environ, **own, "MLFLOW_DISABLE_TELEMETRY": "true"}
    flask = [sys.executable, "-m", "flask", "--app", "mlflow.server:app", "run"]
    with subprocess.Popen(
        [*flask, "--port", str(port)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        yield f"http://127.0.0.1:{port}", process
        process.kill()


@pytest.fixture(scope="module")
def server(starting: tuple[str, Any]) -> str:
    """The address of a server that answers."""
    address, process = starting
    first = f"{address}/api/2.0/mlflow/experiments/get?experiment_id=0"  # makes the database
    for _ in range(600):
        try:
            urllib.request.urlopen(first, timeout=60).close()
        except OSError:
            assert process.poll() is None, "the server ended"
            time.sleep(0.1)
        else:
            return address
    raise AssertionError("the server does not answer")


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Run `audiomatch` with the plugin and a toy; gives exit code, stdout and stderr."""
    modules = {"toy": toy_plugin(Learner), "audiomatch_mlflow": audiomatch_mlflow}
    modules["toy"].__spec__ = ModuleSpec("toy", None)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    made = Registry([EntryPoint(name, name, "audiomatch") for name in modules])
    monkeypatch.setattr(audiomatch.plugins, "registry", lambda: made)
    monkeypatch.setenv("AUDIOMATCH_CACHE", str(tmp_path / "cache"))

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["audiomatch", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return call


@pytest.fixture
def bench(command: Command, tmp_path: Path) -> Command:
    """Compare matchers by name on the same corpus, of enough texts for intervals."""
    data = write_corpus(tmp_path / "data")
    table = pd.read_csv(data)
    more = [("", " one", " two")[i // 12] for i in range(len(table))]
    table.assign(expected_text=table["expected_text"] + more).to_csv(data, index=False)

    def call(matchers: str) -> tuple[int, str, str]:
        how = ("--folds", FOLDS, "--floors", "base-rate", "--executor", "inline", "--json")
        return command("bench", data, "--matchers", matchers, *how, "--out", tmp_path / "tracked")

    return call


@pytest.mark.parametrize("there", [False, True], ids=["no server", "one that never answers"])
def test_a_server_that_fails_costs_one_line(
    starting: object,
    bench: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    there: bool,
) -> None:
    monkeypatch.setattr(server_module, "FIRST_ANSWER", 1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        if not there:
            mute.close()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:secret@127.0.0.1:{port}")
        began = time.monotonic()
        code, out, err = bench("toy")
    assert time.monotonic() - began < 20
    assert code == 0 and json.loads(out)["rows"]
    assert RunRecord.read(tmp_path / "tracked" / "run.json").listener_errors == ()
    (line,) = [one for one in err.splitlines() if "MLflow" in one]
    assert line.startswith("audiomatch: not written to MLflow: ")
    assert "secret" not in err and "Traceback" not in err and "Retrying" not in err


def test_without_a_server_nothing_is_imported() -> None:
    code = """if True:
        import sys
        from pathlib import Path
        import audiomatch_mlflow
        audiomatch_mlflow.audiomatch_run_done(Path("none"), None)
        audiomatch_mlflow.audiomatch_fit_done(Path("none"), None)
        loaded = {"mlflow", "pandas", "audiomatch_mlflow.server"} & set(sys.modules)
        assert not loaded, loaded
    """
    env = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    subprocess.run([sys.executable, "-c", code], env={**env, "MLFLOW_TRACKING_URI": ""}, check=True)


def test_a_bench_and_a_fit_are_read_back(
    server: str, bench: Command, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "kids")
    client = MlflowClient(server)

    def runs() -> list[Any]:
        return list(client.search_runs([client.get_experiment_by_name("kids").experiment_id]))

    def artifacts(run: Any) -> set[str]:
        return {one.path for one in client.list_artifacts(run.info.run_id)}

    def history(run: Any, metric: str) -> list[tuple[int, float]]:
        return [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, metric)]

    secret = tmp_path / "private" / "weights"
    matcher = f"toy@weights={secret}@strength=2"
    code, out, err = bench(matcher)
    assert code == 0 and "MLflow" not in err
    json.loads(out)  # and nothing else is printed

    first = {run.info.run_name: run for run in runs()}
    parent = first["tracked"]
    nested = {name: run for name, run in first.items() if run is not parent}
    board = Leaderboard.read(tmp_path / "tracked" / "leaderboard.json")
    assert parent.info.status == "FINISHED" and len(nested) == len(board.rows)
    facts = {"data": "manifest.csv", "clips": "36", "folds": str(FOLDS), "group": "expected_text"}
    assert facts.items() <= parent.data.params.items()
    assert parent.data.params["command"].startswith("audiomatch bench manifest.csv --matchers toy@")
    assert {"audiomatch.device", "audiomatch.version.python", "audiomatch.code.audiomatch"} <= set(
        parent.data.tags
    )
    assert artifacts(parent) == {"leaderboard.json", "predictions.parquet", "report.html"}

    row = next(row for row in board.rows if row.kind == "matcher")
    (toy,) = [run for name, run in nested.items() if name.startswith("toy@")]
    assert toy.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert toy.data.params == {"strength": "2.0", "weights": "weights"}
    for metric in ("log_loss", "log_loss_low", "log_loss_high", "brier", "seconds_fit"):
        assert toy.data.metrics[metric] == pytest.approx(getattr(row, metric))
    by_fold = sorted(history(toy, "fold/log_loss"))
    assert by_fold == [(fold.fold, pytest.approx(fold.log_loss)) for fold in row.by_fold]
    assert history(toy, "training_loss_train/fold_1") == list(enumerate(CURVES["train"]))

    code, _, err = bench("toy@strength=3")
    assert code == 0 and "MLflow" not in err
    again = runs()
    assert parent.info.run_id in {run.info.run_id for run in again}
    assert len(again) == len(nested) + 2, "one more matcher, and no other run"
    (same,) = [run for run in again if run.info.run_id == toy.info.run_id]
    assert sorted(history(same, "fold/log_loss")) == by_fold, "replayed, and written once"
    assert same.data.metrics["log_loss"] == toy.data.metrics["log_loss"]

    monkeypatch.setenv("AUDIOMATCH_MLFLOW_ARTIFACTS", "audiomatch.json,model")
    code, _, err = command("fit", matcher, tmp_path / "data", "--out", tmp_path / "private/model")
    assert code == 0 and "MLflow" not in err
    (fit,) = [run for run in runs() if run.data.tags.get("audiomatch.kind") == "fit"]
    assert fit.data.params.items() >= {"model": "model", "strength": "2.0", "seed": "0"}.items()
    assert history(fit, "training_loss_warm up") == [(0, 1.0)]
    assert artifacts(fit) == {"audiomatch.json", "model"}
    inside = {one.path for one in client.list_artifacts(fit.info.run_id, "model")}
    assert "model/rate.txt" in inside
    card = Path(client.download_artifacts(fit.info.run_id, "audiomatch.json", str(tmp_path)))
    told = [card.read_text(encoding="utf-8"), *(str(run.to_dictionary()) for run in runs())]
    assert [text for text in told if str(tmp_path) in text] == []
