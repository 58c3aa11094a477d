"""Several devices: jobs side by side, a worker for each, with the numbers of one after another."""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

import audiomatch
from audiomatch import Run, UserError, shards
from audiomatch.machine import make_run, resolve_devices
from audiomatch.plugins import registry
from audiomatch.running.devices import DevicesExecutor
from audiomatch.running.executors import InlineExecutor
from audiomatch.running.process import LostWorkerError, ProcessExecutor
from tests.toys import leave_out_slow_floors

TWO = Run(cache=Path("cache"), devices=("cpu", "cpu"), workers=6)
STOPPED = """
import time
try:
    time.sleep(60)
except KeyboardInterrupt as error:
    error.add_note("kept up to step 3")
    raise
"""


def lanes(run: Run = TWO) -> DevicesExecutor:
    """Two lanes on the CPU."""
    return DevicesExecutor(ProcessExecutor(), run)


@pytest.mark.parametrize(
    ("named", "devices"),
    [
        ("cpu", ("cpu",)),
        ("auto", ("cuda",)),
        ("cpu*2", ("cpu", "cpu")),
        ("cuda:0,cuda:3", ("cuda:0", "cuda:3")),
        ("cuda,cuda:1", ("cuda:0", "cuda:1")),
    ],
)
def test_a_list_of_devices(named: str, devices: tuple[str, ...]) -> None:
    assert resolve_devices(named, gpus=4) == devices
    run = make_run(named, gpus=4, several=True)
    assert (run.device, run.devices) == (devices[0], devices if len(devices) > 1 else ())


@pytest.mark.parametrize(
    "named",
    ["cuda:0,", "cuda:0,cuda:0", "cuda,cuda:0", "cuda:0,cpu", "cpu,cpu", "auto,cuda:1", ",",
     "cuda:0,cuda:9", "cpu*0", "cpu*", "cpu*-1", "cpu*x", "cpu*9999", "cuda:0*2", "mps*2", "*"],
)  # fmt: skip
def test_a_mistake_in_the_list_is_one_line(named: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve_devices(named, gpus=4)
    said = str(caught.value)
    assert said.startswith("--device c" if "9" in said else f"--device {named}: must be ")
    assert "\n" not in said


def test_where_only_one_device_will_do(
    corpus: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = command("check", "prior", "--device", "cpu*2")
    assert (code, out) == (2, "")
    assert "--device cpu*2: one device here" in err
    with pytest.raises(UserError, match=r"device cpu\*2: prior fits on one device; take .*cpu$"):
        audiomatch.fit("prior", corpus, device="cpu*2")
    with pytest.raises(UserError, match=r"cpu\*2: only --executor process runs jobs on several"):
        audiomatch.compare(corpus, "prior", device="cpu*2", executor="inline")
    with pytest.raises(UserError, match=r"cuda:0,cuda:2: only --executor process"):
        DevicesExecutor(InlineExecutor(), replace(TWO, devices=("cuda:0", "cuda:2")))


def test_a_comparison_has_the_numbers_of_one_device(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_out_slow_floors(registry(), monkeypatch)

    def compared(device: str) -> audiomatch.Comparison:
        return audiomatch.compare(
            corpus, "prior", folds=3, device=device, out=tmp_path / device[-1], cache=tmp_path
        )

    one, two = compared("cpu"), compared("cpu*2")
    by_clip = [found.predictions.sort_values(["matcher", "id"])["p_match"] for found in (one, two)]
    assert by_clip[0].tolist() == by_clip[1].tolist()
    assert (one.run.device, two.run.device) == ("cpu", "cpu*2")
    # Their seconds are marked, also where they are replayed.
    assert not any(row.side_by_side for row in one.record.rows)
    again = compared("cpu*2")
    for found in (two, again):
        assert any(row.side_by_side for row in found.record.rows)
        assert "* folds ran side by side" in repr(found)
        assert "folds ran side by side" in (tmp_path / "2" / "report.html").read_text()
    assert all(row.replayed_folds for row in again.record.rows)


@pytest.mark.parametrize("part", [2_000, 9])
def test_a_model_predicts_on_several_devices(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    """Also in parts, as many clips are."""
    monkeypatch.setattr(shards, "CLIPS", part)
    audiomatch.fit("audio-only", corpus, cache=tmp_path).save(tmp_path / "model")
    one, two = (
        audiomatch.load(tmp_path / "model", device=device, cache=tmp_path)
        for device in ("cpu", "cpu*2")
    )
    p_match = one.predict(corpus)
    np.testing.assert_allclose(two.predict(corpus), p_match, rtol=0, atol=1e-6)
    assert len(set(p_match)) > 2
    with pytest.raises(UserError, match=r"--device cpu\*2: explain computes on one device"):
        two.explain(corpus)


def test_calls_run_at_the_same_time(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # neither end opens without the other
    with lanes() as executor:
        read = executor.submit(Path.read_text, pipe)
        executor.submit(Path.write_text, pipe, "both")
        assert read.result(timeout=60) == "both"


def test_each_lane_has_its_device_and_its_share_of_the_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with lanes(replace(TWO, devices=("cpu", "mps"))) as executor:
        facts = operator.attrgetter("device", "devices", "workers")
        asked = [executor.submit(facts, TWO) for _ in range(20)]
        assert {one.result() for one in asked} <= {("cpu", (), 3), ("mps", (), 3)}
        assert executor.submit(os.getenv, "OMP_NUM_THREADS").result() == "3"


def test_a_lost_worker_costs_the_call_at_hand() -> None:
    with lanes() as executor:
        lost = executor.submit(os._exit, 3)
        killed = executor.submit(exec, "import os, time; os.kill(os.getpid(), 15); time.sleep(60)")
        others = [executor.submit(abs, -i) for i in range(8)]
        assert [other.result() for other in others] == list(range(8))
        for one in (lost, killed):
            with pytest.raises(LostWorkerError, match="the worker ended"):
                one.result()


def test_an_interrupt_ends_all_lanes_and_notes_what_is_kept() -> None:
    before, began = set(psutil.Process().children()), time.monotonic()
    with pytest.raises(KeyboardInterrupt) as stopped, lanes() as executor:
        asked = [executor.submit(exec, STOPPED) for _ in range(3)]
        while len(set(psutil.Process().children()) - before) < 4:  # and what reaps each
            time.sleep(0.05)
        time.sleep(1)
        raise KeyboardInterrupt
    assert stopped.value.__notes__ == ["kept up to step 3"] * 2
    assert asked[2].cancelled()
    assert time.monotonic() - began < 20
    assert set(psutil.Process().children()) <= before
