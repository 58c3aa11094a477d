"""What a check runs in a process of its own: `python -m audiomatch.testing.child JOB ANSWER`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiomatch.clips import Clips
    from audiomatch.matcher import Matcher, Run

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Audit events that change a path, and which of their arguments hold it.
# https://docs.python.org/3/library/audit_events.html
CHANGES = {"os.mkdir": [0], "os.rename": [0, 1], "os.link": [1], "os.symlink": [1]}


class Watch:
    """Remembers the paths that Python code writes, all but those under `allowed`.

    Paths under `passing`, for temporary files, count only where they are still there at the end.
    """

    def __init__(self, allowed: Sequence[str], passing: Sequence[str]) -> None:
        self.allowed = [os.path.realpath(folder) for folder in allowed]
        self.passing = [os.path.realpath(folder) for folder in passing]
        self.written: set[str] = set()
        self.on = True

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Hear of an audit event."""
        if not self.on:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, bytes, os.PathLike)) and flags & WRITING:
                self._note(path)
        for position in CHANGES.get(event, []):
            # mkdir is heard of before it finds that the folder is there already.
            if event != "os.mkdir" or not os.path.lexists(arguments[position]):
                self._note(arguments[position])

    def _note(self, path: Any) -> None:
        real = os.path.realpath(os.fsdecode(path))
        device = _under(real, ["/dev", "/proc"]) and not _under(real, ["/dev/shm"])  # noqa: S108 - OpenMP writes there
        if not device and not _under(real, self.allowed):
            self.written.add(real)

    def strays(self) -> list[str]:
        """Return what was written where it may not be."""
        self.on = False
        return sorted(
            path for path in self.written if not _under(path, self.passing) or os.path.lexists(path)
        )


def _under(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(folder + os.sep) for folder in folders)


def _predict(job: dict[str, Any]) -> dict[str, Any]:
    from audiomatch.config import build_config
    from audiomatch.contract import predict_matches
    from audiomatch.model import CARD, load_model
    from audiomatch.offers import import_object
    from audiomatch.plugins import registry

    folder = Path(job["model"])
    if job["code"]:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        code = import_object(job["code"])
        matcher: Matcher = code(build_config(code.Config, card["config"], card["matcher"]))
        matcher.needs_speech = False
        matcher.load(folder)
    else:
        matcher, _ = load_model(folder, registry())
    clips = _clips(job)
    return {"p_match": predict_matches(matcher, clips, _run(job)).tolist()}


def _fit(job: dict[str, Any]) -> dict[str, Any]:
    watch = Watch(job["allowed"], job["passing"])
    sys.addaudithook(watch)
    from audiomatch.config import build_config
    from audiomatch.contract import fit_matcher, predict_matches
    from audiomatch.offers import import_object
    from audiomatch.plugins import registry
    from audiomatch.spec import MatcherSpec

    name, preset, options = job["spec"]
    if job["code"]:
        code = import_object(job["code"])
        matcher: Matcher = code(build_config(code.Config, options, name))
    else:
        matcher = registry().create(MatcherSpec(name, preset, tuple(options.items())))
    matcher.needs_speech = False
    clips = _clips(job)
    run = _run(job)
    fit_matcher(matcher, clips, run)
    predict_matches(matcher, clips, run)
    folder = Path(job["model"])
    folder.mkdir(parents=True)
    matcher.save(folder)
    return {"opened": watch.strays()}


def _clips(job: dict[str, Any]) -> Clips:
    import pandas as pd

    from audiomatch.clips import Clips

    return Clips(pd.DataFrame(job["clips"]))


def _run(job: dict[str, Any]) -> Run:
    from audiomatch.matcher import Run

    names = ("device", "precision", "seed", "workers")
    return Run(cache=Path(job["cache"]), **{name: job[name] for name in names})


def main() -> None:
    """Do the job and write the answer, `error` in it where something was raised."""
    from audiomatch.errors import UserError, cause_of

    question, answer = map(Path, sys.argv[1:3])
    job = json.loads(question.read_text(encoding="utf-8"))
    try:
        content = {"predict": _predict, "fit": _fit}[job["do"]](job)
    except UserError as error:
        content = {"error": " ".join(str(error).split())}
    except Exception as error:  # noqa: BLE001 - a stranger's code may raise anything
        content = {"error": cause_of(error)}
    answer.write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main()
