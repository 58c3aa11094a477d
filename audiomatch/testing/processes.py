"""Checks that need a process of their own: saved models, stray files, what an import brings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from audiomatch.matcher import Run
from audiomatch.model import card_of, save_model
from audiomatch.offers import Offer
from audiomatch.testing.registry import check
from audiomatch.testing.results import Failed, Skipped
from audiomatch.testing.subject import Subject, installed, require_equal

HEAVY = ("torch", "transformers", "tensorflow", "jax", "pandas", "numpy", "sklearn", "scipy")
PATIENCE = 1800  # seconds
# What hubs keep for themselves, wherever the user has it.
HUBS = {"HF_HOME": "huggingface", "TORCH_HOME": "torch"}


@check("save-load", "a saved model gives the same predictions in a new process")
def save_load(subject: Subject) -> str:
    """Save, then load and predict the held-out part in a new process."""
    wanted = subject.predicted
    folder = subject.scratch / "model"
    code = _importable(subject)
    save_model(folder, subject.fitted, card_of(subject.spec, subject.offer, subject.fitted))
    clips = subject.toy.held_out
    answer = _in_new_process(
        {"do": "predict", "code": code, "model": str(folder), **_common(subject)},
        clips=clips.frame.to_dict("list"),
        environment=dict(os.environ),
        cwd=Path.cwd(),
    )
    found = np.asarray(answer["p_match"], np.float64)
    return require_equal(found, wanted, subject.same, clips, "saving and loading")


@check("stray-files", "nothing is written outside the folders given")
def stray_files(subject: Subject) -> str:
    """Fit, predict and save in a process whose home, working and data folders are watched."""
    code = _importable(subject)
    watched = Path(tempfile.mkdtemp(prefix="watched-", dir=subject.scratch))
    home, work, temporary, given = (watched / name for name in ("home", "work", "tmp", "given"))
    for folder in (home, work, temporary, given):
        folder.mkdir()
    _link_relative(subject, work)
    data = subject.few
    before = {place: _tree(place) for place in (home, work, temporary, subject.toy.folder)}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    hubs = {name: os.environ.get(name, str(caches / folder)) for name, folder in HUBS.items()}
    environment |= {"HOME": str(home), "USERPROFILE": str(home), **hubs}
    environment |= {name: str(temporary) for name in ("TMPDIR", "TEMP", "TMP")}
    answer = _in_new_process(
        {
            "do": "fit",
            "code": code,
            "spec": [subject.spec.name, subject.spec.preset, dict(subject.spec.options)],
            "model": str(given / "model"),
            "allowed": [str(given), *hubs.values()],
            "passing": [str(temporary), "/dev/shm"],  # noqa: S108 - named, not written to
            **_common(subject),
            "cache": str(given / "cache"),
        },
        clips=data.frame.to_dict("list"),
        environment=environment,
        cwd=work,
    )
    strays = list(answer["opened"])
    strays += [
        str(path)
        for place, known in before.items()
        for path, state in _tree(place).items()
        if known.get(path) != state
    ]
    if strays:
        shown = sorted(set(strays))
        more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
        raise Failed(f"writes outside cache and model folder: {', '.join(shown[:3])}{more}")
    return f"in the folders given: {sum(len(files) for _, _, files in os.walk(given))} files"


def _not_installed(offer: Offer) -> str:
    return "" if installed(offer) else "no installed plugin offers this class"


@check("light-entry", "the plugin's entry point imports no heavy library", _not_installed)
def light_entry(subject: Subject) -> str:
    """Import the module that the entry point names, in a new process."""
    module = subject.offer.plugin.module.partition(":")[0]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"],
        env=_environment(dict(os.environ)),
        capture_output=True,
        text=True,
        check=True,
    )
    modules = done.stdout.split()
    heavy = [name for name in HEAVY if name in modules]
    if heavy:
        raise Failed(
            f"importing {module} imports {', '.join(heavy)}; leave that to MatcherInfo.load"
        )
    return f"{len(modules)} modules"


def _common(subject: Subject) -> dict[str, Any]:
    run: Run = subject.run
    return {
        "device": run.device,
        "precision": run.precision,
        "seed": run.seed,
        "workers": run.workers,
        "cache": str(run.cache),
    }


def _importable(subject: Subject) -> str:
    """Return how a new process finds the matcher's code: its registered name, or `module:Class`."""
    if installed(subject.offer):
        return ""
    code = type(subject.make())
    if code.__module__ == "__main__" or "<locals>" in code.__qualname__:
        raise Skipped(f"a new process cannot import {code.__module__}.{code.__qualname__}")
    return f"{code.__module__}:{code.__qualname__}"


def _link_relative(subject: Subject, work: Path) -> None:
    """Let options that name a file relative to the working folder name it from `work` too."""
    for _, value in subject.spec.options:
        place = Path(value)
        if not place.is_absolute() and ".." not in place.parts and place.exists():
            (work / place).parent.mkdir(parents=True, exist_ok=True)
            (work / place).symlink_to(place.resolve())


def _tree(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return every file and folder below with size and time of change; folders by name alone."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in folders:
            found[Path(place, name)] = (0, 0)
        for name in files:
            state = Path(place, name).lstat()
            found[Path(place, name)] = (state.st_size, state.st_mtime_ns)
    return found


def _environment(environment: dict[str, str]) -> dict[str, str]:
    """Return `environment` with this process's path: packages of a folder put on it are found."""
    return {
        **environment,
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "random",
    }


def _in_new_process(
    job: dict[str, Any], *, environment: dict[str, str], cwd: Path, clips: Any = None
) -> dict[str, Any]:
    """Run `audiomatch.testing.child` on `job` and return its answer."""
    with tempfile.TemporaryDirectory(prefix="audiomatch-child-") as folder:
        question, answer = Path(folder, "question.json"), Path(folder, "answer.json")
        question.write_text(json.dumps({**job, "clips": clips}), encoding="utf-8")
        try:
            done = subprocess.run(
                [sys.executable, "-m", "audiomatch.testing.child", str(question), str(answer)],
                cwd=cwd,
                env=_environment(environment),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"the new process did not end within {PATIENCE} s") from None
        if not answer.is_file():
            last = (done.stderr.strip().splitlines() or ["nothing on stderr"])[-1]
            raise Failed(f"the new process ended with code {done.returncode}: {last}")
        content: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in content:
        raise Failed(f"in a new process: {content['error']}")
    return content
