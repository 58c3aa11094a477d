"""The executor that the how-to of clusters writes, as it stands there, on this machine."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import pytest

from audiomatch import Run
from audiomatch.datasets.manifest import open_manifest
from audiomatch.folds import make_folds
from audiomatch.intake import admit
from audiomatch.plugins import Registry, registry
from audiomatch.running.crossval import cross_validate
from audiomatch.running.entrants import enter
from audiomatch.running.executors import InlineExecutor, gpus_of, make_executor
from audiomatch.running.folder import RunFolder
from tests.markdown import ROOT, blocks


@pytest.fixture
def slurm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugin: Callable[..., Registry]
) -> Callable[[str], Executor]:
    """Make the executor of the page with the options given."""
    (code,) = blocks(ROOT / "docs" / "how-to" / "cluster.md", "python")
    (tmp_path / "audiomatch_slurm.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "audiomatch_slurm", raising=False)
    offered = plugin(audiomatch_slurm=importlib.import_module("audiomatch_slurm")).executors()
    return lambda options: make_executor(f"slurm{options}", offered)


def test_folds_go_through_submitit(
    slurm: Callable[[str], Executor], corpus: Path, run: Run, tmp_path: Path
) -> None:
    folds = make_folds(admit(open_manifest(corpus, True), run).clips, 2)
    executor = slurm(f"@cluster=local@folder={tmp_path}/slurm")
    assert gpus_of(executor) == 0
    found = []
    for name, pool in (("there", executor), ("here", InlineExecutor())):
        with pool:
            entrants = [e for e in enter(registry(), []) if e.label == "prior"]
            folder = RunFolder(tmp_path / name, print)
            found.append(cross_validate(entrants, folds, run, folder, pool))
    there, here = ([(r.fold, r.ids, r.p_match) for r in results] for results in found)
    assert len(here) == 2 and there == here
