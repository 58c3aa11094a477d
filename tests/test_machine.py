from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from audiomatch import machine

CORES = 8


@pytest.fixture
def cgroup(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Pretend a machine of eight cores and these control groups."""
    monkeypatch.setattr(os, "cpu_count", lambda: CORES)
    monkeypatch.setattr(os, "process_cpu_count", lambda: CORES, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(CORES)), raising=False)
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "CGROUP_OF_PROCESS", tmp_path / "of-process")

    def write(of_process: str, **files: str) -> None:
        (tmp_path / "of-process").write_text(of_process)
        for name, content in files.items():
            file = tmp_path / name.replace("__", "/").replace("_in_", ".")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)

    return write


def test_without_groups_every_core_is_used(cgroup: Callable[..., None]) -> None:
    assert machine.default_workers() == CORES


@pytest.mark.parametrize(
    ("quota", "workers"),
    [("max 100000\n", CORES), ("150000 100000\n", 2), ("5000 100000\n", 1), ("900000 50000\n", 8)],
)
def test_the_quota_of_version_2(cgroup: Callable[..., None], quota: str, workers: int) -> None:
    cgroup("0::/user/job\n", user__job__cpu_in_max=quota)
    assert machine.default_workers() == workers


def test_a_parent_s_quota_counts(cgroup: Callable[..., None]) -> None:
    cgroup(
        "0::/user/job\n",
        user__job__cpu_in_max="400000 100000\n",
        user__cpu_in_max="300000 100000\n",
        cpu_in_max="max 100000\n",
    )
    assert machine.default_workers() == 3


def test_a_container_that_sees_its_group_as_the_root(cgroup: Callable[..., None]) -> None:
    cgroup("0::/docker/c0ffee\n", cpu_in_max="200000 100000\n")
    assert machine.default_workers() == 2


def test_the_quota_of_version_1(cgroup: Callable[..., None]) -> None:
    folder = "cpu,cpuacct__job__cpu_in_"
    cgroup(
        "3:cpuset:/\n2:cpu,cpuacct:/job\n0::/\n",
        **{f"{folder}cfs_quota_us": "250000\n", f"{folder}cfs_period_us": "100000\n"},
    )
    assert machine.default_workers() == 3


def test_no_quota_of_version_1(cgroup: Callable[..., None]) -> None:
    cgroup("1:cpu:/\n", cpu__cpu_in_cfs_quota_us="-1\n", cpu__cpu_in_cfs_period_us="100000\n")
    assert machine.default_workers() == CORES


@pytest.mark.parametrize(("given", "wanted"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_passively_unless_told_otherwise(
    command: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    given: str | None,
    wanted: str,
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    assert command("datasets")[0] == 0
    assert os.environ["OMP_WAIT_POLICY"] == wanted
