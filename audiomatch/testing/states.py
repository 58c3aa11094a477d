"""The check of a matcher that has not learned anything yet."""

from __future__ import annotations

from collections.abc import Callable

from audiomatch.errors import NotFittedError, cause_of
from audiomatch.matcher import Matcher
from audiomatch.testing.registry import check
from audiomatch.testing.results import Failed
from audiomatch.testing.subject import Subject


@check("unfitted", "predict, save and explain before fit or load raise NotFittedError")
def unfitted(subject: Subject) -> str:
    """Ask a new matcher for a prediction, for what to save and for an explanation."""
    clips = subject.toy.held_out.take([0])
    folder = subject.scratch / "unfitted"
    folder.mkdir(exist_ok=True)
    asked: dict[str, Callable[[Matcher], object]] = {
        "predict": lambda matcher: matcher.predict(clips, subject.own_run()),
        "save": lambda matcher: matcher.save(folder),
    }
    if subject.info.explains:
        asked["explain"] = lambda matcher: matcher.explain(clips, subject.own_run())
    for name, ask in asked.items():
        try:
            ask(subject.make())
        except NotFittedError:
            continue
        except Exception as error:
            raise Failed(f"{name} of a new matcher raises {cause_of(error)}; {HOW}") from error
        raise Failed(f"{name} of a new matcher raises nothing; {HOW}")
    return ", ".join(asked)


HOW = "begin it with self.fitted(…), which raises NotFittedError where what it is given is None"
