"""Which columns of the data a matcher is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

import audiomatch
from audiomatch import MatcherInfo, Run, UserError, hookimpl
from audiomatch.clips import Clips
from audiomatch.contract import predict_matches
from audiomatch.datasets.manifest import open_manifest
from audiomatch.plugins import Registry
from audiomatch.spec import parse_matcher
from tests.toys import Toy


class Sees(Toy):
    """Notes which columns it is given."""

    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        run.note(columns=sorted(train.frame.columns))

    def predict(self, clips: Clips, run: Run) -> Any:
        run.note(predicts=sorted(clips.frame.columns))
        return super().predict(clips, run)


EVERY = {"id", "audio", "expected_text", "task", "grade"}


def test_a_matcher_is_given_the_columns_that_it_declares_and_no_others(
    corpus: Path, plugin: Callable[..., Registry], tmp_path: Path
) -> None:
    table = pd.read_csv(corpus)
    table["verdict"] = table["match"]
    table.to_csv(corpus, index=False)
    infos = [MatcherInfo("blind", "", lambda: Sees)]
    infos += [MatcherInfo("sees", "", lambda: Sees, columns=("speaker", "absent"))]
    module = ModuleType("sees")
    module.audiomatch_matchers = hookimpl(lambda: infos)  # type: ignore[attr-defined]
    plugin(sees=module)
    named = ["blind", "sees", "ensemble:plain@members=(blind,sees)"]
    how: dict[str, Any] = {"folds": 2, "floors": "none", "executor": "inline"}
    found = audiomatch.compare(corpus, named, out=tmp_path / "run", **how)
    notes = {one.matcher: one.notes for one in found.run.results}
    assert set(notes["blind"]["columns"]) == EVERY | {"match"}  # type: ignore[arg-type]
    assert set(notes["blind"]["predicts"]) == EVERY  # type: ignore[arg-type]
    assert set(notes["sees"]["columns"]) == EVERY | {"match", "speaker"}  # type: ignore[arg-type]
    members: Any = notes[str(parse_matcher(named[2]))]["members"]
    assert [set(one["columns"]) - EVERY for one in members.values()] == [
        {"match"},
        {"match", "speaker"},
    ]


def test_a_matcher_that_uses_another_column_is_told_so(corpus: Path, run: Run) -> None:
    class Peeks(Toy):
        def predict(self, clips: Clips, run: Run) -> Any:
            return clips["speaker"].str.len()

    train = open_manifest(corpus, labelled=True)
    with pytest.raises(UserError, match=r"no column 'speaker' here.*MatcherInfo\.columns"):
        predict_matches(Peeks(Peeks.Config()), train, run)
