"""The executor on a cluster of this machine, whose one node with cores passes for another machine.

It is not the driver's node, so audio is sent to it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from audiomatch_ray.executor import RayExecutor
from ray.cluster_utils import Cluster

import audiomatch
import audiomatch.plugins
from audiomatch import UserError
from audiomatch.errors import PluginError
from audiomatch.plugins import Registry
from audiomatch.running import identity
from audiomatch.running.executors import make_executor
from audiomatch.running.identity import computed_by
from tests.conftest import write_corpus
from tests.toys import leave_out_slow_floors

FRAGILE = Path(__file__).parent / "fragile"
SHOWN = 30.0  # seconds that something may take to be seen


class Told:
    """Progress that is kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.tasks: dict[str, float] = {}

    def __reduce__(self) -> Any:
        raise AssertionError("is not sent")

    def say(self, line: str) -> None:
        self.lines.append(line)

    def task(self, description: str, total: float, unit: str = "clips") -> Any:
        return ToldTask(self.tasks, description)


class ToldTask:
    def __init__(self, tasks: dict[str, float], name: str) -> None:
        self.tasks, self.name = tasks, name

    def __enter__(self) -> ToldTask:
        self.tasks[self.name] = 0
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.tasks[self.name] += amount


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for temporary files and the cache of the other machine."""
    return tmp_path_factory.mktemp("machine")


@pytest.fixture(scope="module")
def cluster(machine: Path) -> Iterator[str]:
    """The address of a cluster: a node without cores; one with two, and a GPU by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        patch.setenv("PYTHONPATH", str(FRAGILE))
        patch.setenv("TMPDIR", str(machine))
        patch.setenv("AUDIOMATCH_CACHE", str(machine / "cache"))
        made.add_node(num_cpus=2, num_gpus=1)
        patch.undo()
        patch.setenv("RAY_AUTH_MODE", "disabled")
        yield made.address
        made.shutdown()


@pytest.fixture(scope="module")
def connected(cluster: str) -> Iterator[None]:
    """A connection that executors find, so that the workers stay."""
    ray.init(cluster, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Offer the matcher `fragile` here too."""
    kept = (identity._entries, identity._find, computed_by)
    monkeypatch.syspath_prepend(FRAGILE)
    for function in kept:
        function.cache_clear()
    made = Registry(importlib.metadata.entry_points(group="audiomatch"))
    leave_out_slow_floors(made, monkeypatch)
    monkeypatch.setattr(audiomatch.plugins, "registry", lambda: made)
    yield
    for function in kept:
        function.cache_clear()
    sys.modules.pop("fragile", None)


@pytest.fixture
def compare(fragile: None, tmp_path: Path, cluster: str) -> Callable[..., Any]:
    """Compare the matcher in two folds, on the cluster or by another executor."""
    (tmp_path / "notes").mkdir()
    manifest = write_corpus(tmp_path / "data", 24)

    def compare(*options: str, executor: str = "", progress: Any = False) -> audiomatch.Comparison:
        notes = tmp_path / "notes"
        for file in notes.iterdir():
            file.unlink()
        named = "".join(f"@{option}" for option in (f"notes={notes}", *options))
        return audiomatch.compare(
            manifest,
            f"fragile{named},prior",
            folds=2,
            out=tmp_path / f"run{len(list(tmp_path.iterdir()))}",
            cache=tmp_path / "cache",
            executor=executor or f"ray@address={cluster}@gpus=0",
            progress=progress,
        )

    return compare


def same_numbers(one: audiomatch.Comparison, other: audiomatch.Comparison) -> bool:
    facts = [
        [(row.id, row.fold, row.p_match) for row in found.predictions.itertuples()]
        for found in (one, other)
    ]
    return facts[0] == facts[1] and len(facts[0]) == 24 * 4


def fits(folder: Path) -> int:
    return len((folder / "notes" / "fits").read_text().splitlines())


def noted(found: audiomatch.Comparison) -> list[dict[str, Any]]:
    return [dict(r.notes) for r in found.run.results if r.matcher.startswith("fragile")]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("@address=ray://host:10001", "start this on one of its machines, with address=auto"),
        ("@address=127.0.0.1:1", "refused; take the address that `ray start --head` printed"),
        ("@cpus=-1", "greater than or equal to 0"),
        ("@retries=some", "valid integer"),
        ("@shared=/mnt@store=s3://a", "either @shared or @store"),
        ("@address=CLUSTER@store=nowhere://a", "nowhere"),
    ],
)
def test_a_wrong_option_is_one_clear_line(cluster: str, options: str, says: str) -> None:
    named = "ray" + options.replace("CLUSTER", cluster)
    with pytest.raises(UserError) as refused:
        make_executor(named, audiomatch.plugins.registry().executors())
    assert says in str(refused.value) and "\n" not in str(refused.value)
    assert not ray.is_initialized()


@pytest.mark.slow
def test_the_command_starts_a_cluster_and_ends_it(tmp_path: Path) -> None:
    write_corpus(tmp_path / "data", 24)
    (tmp_path / "random.py").write_text("raise RuntimeError('the wrong one')")
    command = Path(sys.executable).with_name("audiomatch")
    bench = [command, "bench", "data", "--matchers", "prior", "--folds", "2", "--json"]
    done = subprocess.run(
        [*bench, "--executor", "ray@cpus=1@gpus=0"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n"] == 24
    assert "Traceback" not in done.stderr and "prior fold 2/2" in done.stderr


def test_jobs_wait_for_room_that_the_cluster_may_get(cluster: str) -> None:
    told = Told()
    with RayExecutor(address=cluster, cpus=3, gpus=0) as executor:
        waiting = executor.submit(isinstance, told, int)
        wait_for(lambda: bool(told.lines))
        assert "no machine of the cluster has 3 CPUs" in told.lines[0]
        ended = threading.Thread(target=executor.shutdown, kwargs={"cancel_futures": True})
        ended.start()
        ended.join(SHOWN)
        assert not ended.is_alive() and waiting.done()


def test_a_module_in_the_working_folder_is_not_imported(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "random.py").write_text("raise RuntimeError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    with RayExecutor(address=cluster, gpus=0) as executor:
        path = executor.submit(eval, "__import__('sys').path").result()
        assert str(tmp_path) not in path


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_the_numbers_are_those_of_inline_on_a_machine_that_is_sent_the_audio(
    connected: None, compare: Callable[..., Any], machine: Path, tmp_path: Path
) -> None:
    told = Told()
    there, here = compare(progress=told), compare(executor="inline")
    assert same_numbers(there, here)
    for notes in noted(there):
        assert Path(notes["folder"]).parent == machine, "each clip was read from a copy"
        assert notes["cache"] == str(machine / "cache")
        assert notes["workers"] == 1
    assert not list(machine.glob("audiomatch-ray-*")), "the copies are deleted"
    name = there.run.results[-1].matcher
    shown = [task for task in told.tasks if " ▸ learn" in task]
    assert len(shown) == 2 and any("fold 1 ▸ learn" in task for task in shown)
    assert all(told.tasks[task] > 0 for task in shown), name


def test_a_job_whose_worker_is_killed_is_given_to_another(
    connected: None, compare: Callable[..., Any], tmp_path: Path
) -> None:
    told = Told()
    found = compare("kills=1", progress=told)
    assert fits(tmp_path) == 3, "two folds, and one of them twice"
    (line,) = [line for line in told.lines if "begun again" in line]
    assert "(1 of 2)" in line and "fold" in line
    assert not found.problems and same_numbers(found, compare("kills=0", executor="inline"))


def test_an_error_of_the_matcher_is_not_tried_again(
    connected: None, compare: Callable[..., Any], tmp_path: Path
) -> None:
    found = compare("fails=1")
    assert fits(tmp_path) == 2
    errors = {result.error for result in found.run.results if result.status == "failed"}
    assert len(errors) == 1 and "its own fault" in str(errors)
    assert len(found.predictions) == 24 * 3


def test_an_interrupt_ends_the_jobs(connected: None, fragile: None, tmp_path: Path) -> None:
    hang = importlib.import_module("fragile").hang
    with pytest.raises(KeyboardInterrupt), RayExecutor(gpus=0) as executor:
        job = executor.submit(hang, tmp_path / "pid")
        wait_for((tmp_path / "pid").exists)
        raise KeyboardInterrupt
    assert job.done()
    wait_for(lambda: not alive(int((tmp_path / "pid").read_text())))


def wait_for(true: Callable[[], bool]) -> None:
    until = time.monotonic() + SHOWN
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_audio_may_be_read_from_a_folder_that_all_share(
    connected: None, compare: Callable[..., Any], cluster: str, tmp_path: Path
) -> None:
    where = f"ray@address={cluster}@gpus=0@shared="
    found = compare(executor=f"{where}{tmp_path}")
    assert {notes["folder"] for notes in noted(found)} == {str(tmp_path / "data")}
    elsewhere = compare(executor=f"{where}{tmp_path}/data/other")
    errors = {result.error for result in elsewhere.run.results}
    assert any("is not in" in str(error) and "row" in str(error) for error in errors)


def test_audio_may_be_sent_by_a_store(
    connected: None, compare: Callable[..., Any], cluster: str, machine: Path, tmp_path: Path
) -> None:
    store = tmp_path / "bucket"
    with_store = f"ray@address={cluster}@gpus=0@store=file://{store}"
    found = compare(executor=with_store)
    files = sorted(store.iterdir())
    assert len(files) == 24 and {file.suffix for file in files} == {".wav"}
    assert {Path(notes["folder"]).parent for notes in noted(found)} == {machine}
    before = [file.stat().st_mtime_ns for file in files]
    files[0].write_bytes(files[0].read_bytes()[:100])  # as a run that was killed leaves it
    assert same_numbers(compare(executor=with_store), found)
    assert [file.stat().st_mtime_ns for file in files][1:] == before[1:], "each is sent once"


def test_a_machine_with_other_code_is_refused_by_name(
    connected: None, compare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "audiomatch_ray.parcels.computed_by",
        lambda module: [*computed_by(module), "numpy 1.0"] if module == "audiomatch" else [],
    )
    errors = {result.error for result in compare().run.results}
    assert all("has another" in str(error) and "numpy" in str(error) for error in errors)


def test_a_job_has_a_gpu_where_there_is_one(connected: None) -> None:
    for asked, has in ((None, 1), (0.5, 1), (0, 0)):
        with RayExecutor(gpus=asked) as executor:
            seen = executor.submit(os.getenv, "CUDA_VISIBLE_DEVICES", "").result()
            assert executor.gpus == has and (seen == "0") == bool(has), seen


def test_a_call_that_kills_every_worker_is_given_up(connected: None) -> None:
    with RayExecutor(gpus=0, retries=1) as executor:
        lost = executor.submit(os.abort)
        with pytest.raises(PluginError, match=r"2 times"):
            lost.result()
    assert ray.is_initialized(), "what was there before is left"
