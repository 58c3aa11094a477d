"""Executors: a job is data, and its numbers are the same wherever it is done."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import pickle
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pytest
from pydantic import Field

from audiomatch import Run, UserError, hookimpl
from audiomatch.datasets.manifest import open_manifest
from audiomatch.folds import Folds, make_folds
from audiomatch.intake import admit
from audiomatch.machine import make_run
from audiomatch.plugins import Registry, registry
from audiomatch.progress import BarProgress, LineProgress, QuietProgress
from audiomatch.records import FoldResult
from audiomatch.running.crossval import cross_validate
from audiomatch.running.entrants import enter
from audiomatch.running.executors import ExecutorInfo, InlineExecutor, gpus_of, make_executor
from audiomatch.running.folder import RunFolder
from audiomatch.running.jobs import Job, run_job
from audiomatch.spec import MatcherSpec
from tests.toys import Toy, toy_plugin

Command = Callable[..., tuple[int, str, str]]


class Threads(ThreadPoolExecutor):
    """Some threads."""

    def __init__(self, size: Annotated[int, Field(ge=1, le=4)] = 2, label: str = "") -> None:
        super().__init__(size, label)


class Refusing(Executor):
    """Takes no job."""

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        raise RuntimeError("no room")


def executors(**made: Any) -> ModuleType:
    """Make a plugin that offers executors."""
    module = ModuleType("executors")

    @hookimpl
    def audiomatch_executors() -> list[ExecutorInfo]:
        return [ExecutorInfo(name, "for tests", load) for name, load in made.items()]

    module.audiomatch_executors = audiomatch_executors  # type: ignore[attr-defined]
    return module


@pytest.fixture
def folds(corpus: Path, run: Run) -> Folds:
    """Two folds of the corpus."""
    return make_folds(admit(open_manifest(corpus, True), run).clips, 2)


def compared(folds: Folds, run: Run, folder: Path, executor: Executor) -> list[FoldResult]:
    """Cross-validate two floors."""
    entrants = enter(registry(), [MatcherSpec("prior")])
    chosen = [e for e in entrants if e.label in ("base-rate", "prior")]
    with executor:
        return cross_validate(chosen, folds, run, RunFolder(folder, print), executor)


def test_a_job_is_data(folds: Folds, run: Run) -> None:
    (entrant,) = [e for e in enter(registry(), []) if e.label == "prior"]
    job = Job(entrant, 1, *folds.split(1), run)
    sent = pickle.loads(pickle.dumps(job))
    here, there = run_job(job), run_job(sent)
    assert here.done and here.ids == there.ids and here.p_match == there.p_match
    assert pickle.loads(pickle.dumps(here)) == here
    for progress in (LineProgress(), BarProgress()):
        assert type(pickle.loads(pickle.dumps(progress))) is QuietProgress


def test_tasks_of_threads_do_not_stand_under_one_another() -> None:
    shown = io.StringIO()
    progress = LineProgress(shown, every=0)
    with (
        ThreadPoolExecutor(1) as pool,
        progress.task("outer", total=3),
        progress.task("inner", total=3) as inner,
    ):
        other = progress.task("other", total=3)
        pool.submit(lambda: other.__enter__().advance()).result()
        inner.advance()
        pool.submit(lambda: other.__exit__(None, None, None)).result()
    labels = [line.partition(":")[0] for line in shown.getvalue().splitlines()]
    assert labels == ["other", "outer ▸ inner"]


def test_the_gpus_of_a_job_decide_its_device() -> None:
    class Far(InlineExecutor):
        gpus = 2

    assert make_run(gpus=gpus_of(Far())).device == "cuda"
    assert make_run("cuda:1", gpus=2).device == "cuda:1"
    assert make_run(gpus=0).device == "cpu"
    with pytest.raises(UserError, match="there is cuda:0 to cuda:1"):
        make_run("cuda:2", gpus=2)


def test_the_numbers_are_the_same_in_processes_and_threads(
    folds: Folds, run: Run, tmp_path: Path
) -> None:
    run.progress = LineProgress()
    spawned = multiprocessing.get_context("spawn")
    pools = [InlineExecutor(), ThreadPoolExecutor(4), ProcessPoolExecutor(1, spawned)]
    found = [compared(folds, run, tmp_path / str(i), pool) for i, pool in enumerate(pools)]
    facts = [[(r.matcher, r.fold, r.ids, r.p_match) for r in results] for results in found]
    assert facts[0] == facts[1] == facts[2]
    assert [fact[:2] for fact in facts[0]] == [
        *(("base-rate", 0), ("base-rate", 1)),
        *(("prior", 0), ("prior", 1)),
    ]
    again = compared(folds, run, tmp_path / "1", Refusing())
    assert all(result.replayed for result in again), "each fold was kept as it came"


def test_a_job_that_an_executor_loses_or_refuses_is_a_failed_fold(
    folds: Folds, run: Run, tmp_path: Path
) -> None:
    spawned = multiprocessing.get_context("spawn")
    dying = ProcessPoolExecutor(1, spawned, initializer=os._exit, initargs=(3,))
    for executor, says in ((dying, "BrokenProcessPool"), (Refusing(), "RuntimeError: no room")):
        results = compared(folds, run, tmp_path / "run", executor)
        assert [result.status for result in results] == ["failed"] * 4
        assert all(says in (result.error or "") for result in results)
    assert not (tmp_path / "run" / "folds").exists()


def test_bench_takes_what_plugins_offer(
    plugin: Callable[..., Registry], command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin(), pools=executors(threads="tests.test_executors:Threads"))
    Toy.fits = 0
    bench = ("bench", corpus, "--matchers", "toy", "--folds", 2, "--json", "--out")
    code, out, err = command(*bench, tmp_path / "a", "--executor", "threads@size=3")
    assert code == 0, err
    assert "toy fold 1/2: " in err and "toy fold 2/2: " in err and Toy.fits == 2
    code, inline, _ = command(*bench, tmp_path / "b")
    losses = [[row["log_loss"] for row in json.loads(text)["rows"]] for text in (out, inline)]
    assert code == 0 and losses[0] == losses[1]


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("thread", "no executor 'thread'; did you mean 'threads'? there is: "),
        ("threads@size", "'@size' is not of the form @key=value"),
        ("threads@sise=1", "no option 'sise'; did you mean 'size'?"),
        ("threads@size=many", "option 'size': input should be a valid integer"),
        ("threads@size=9", "option 'size': input should be less than or equal to 4"),
        ("inline@size=1", "no option 'size'"),
        ("text", "must be a concurrent.futures.Executor"),
        ("gone", "No module named 'nowhere'"),
        ("broken", "RuntimeError: no GPU"),
    ],
)
def test_a_wrong_executor_is_one_clear_line(
    plugin: Callable[..., Registry],
    command: Command,
    corpus: Path,
    tmp_path: Path,
    named: str,
    says: str,
) -> None:
    def broken() -> Executor:
        raise RuntimeError("no GPU")

    offered = {"threads": lambda: Threads, "text": lambda: lambda: "no executor"}
    offered |= {"gone": "nowhere:Executor", "broken": lambda: broken}
    made = plugin(toy=toy_plugin(), pools=executors(**offered))
    with pytest.raises(UserError) as refused:
        make_executor(named, made.executors())
    assert says in str(refused.value)
    code, out, err = command(
        *("bench", corpus, "--matchers", "toy", "--out", tmp_path / "run", "--executor", named)
    )
    assert code == 2 and not out and says in err
    assert len(err.splitlines()) == 1 and not (tmp_path / "run").exists()
