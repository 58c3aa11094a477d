"""The how-tos, typed as they stand, on a tiny corpus, with stand-ins for the slow matchers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from pydantic import ConfigDict

import audiomatch
from audiomatch import MatcherInfo, ReadyModel, hookimpl
from audiomatch.clips import Clips
from audiomatch.explanation import Explanation
from audiomatch.matcher import Flag, Run
from audiomatch.model import digest_of_folder
from audiomatch.plugins import Registry
from tests.conftest import write_corpus, write_tone
from tests.markdown import ROOT, SHELL, blocks, commands
from tests.test_explain import made_up
from tests.toys import Toy, ToyConfig, leave_out_slow_floors

PAGES = (
    "compare",
    "your-data",
    "your-corpus",
    "use-a-model",
    "check-a-corpus",
    "screen",
    "calibrate",
    "explain",
    "weights",
    "combine",
)
STAND_INS = ("whisper", "xgboost", "lightgbm", "ctc", "phones")


class AnyOption(ToyConfig):
    """Takes what the matcher takes that it stands in for; `test_pages` checks the options."""

    model_config = ConfigDict(extra="allow")
    warm_up: str = ""


class StandIn(Toy):
    """Predicts the rate of matches and blames the first word."""

    Config = AnyOption

    def explain(self, clips: Clips, run: Run) -> list[Explanation]:
        return [made_up(i, text, wrong=0) for i, text in zip(clips.ids, clips.texts, strict=True)]


def stand_ins(ready: ReadyModel | None) -> list[MatcherInfo]:
    return [
        MatcherInfo(
            name,
            "stands in",
            lambda: StandIn,
            presets={"quick": {}, "phones": {}},
            explains=True,
            flags=(Flag("warm-up", "warm_up", "DATA", "Speech to learn from first."),),
            ready=ready if name == "whisper" else None,
        )
        for name in STAND_INS
    ]


def _offer(plugin: Callable[..., Registry], ready: ReadyModel | None) -> Registry:
    module = ModuleType("stand_ins")

    @hookimpl
    def audiomatch_matchers() -> list[MatcherInfo]:
        return stand_ins(ready)

    module.audiomatch_matchers = audiomatch_matchers  # type: ignore[attr-defined]
    return plugin(stand_ins=module)


@pytest.fixture
def place(plugin: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with the files that the pages name, and stand-ins for the matchers."""
    monkeypatch.setattr(audiomatch, "compare", partial(audiomatch.compare, executor="inline"))
    clips = pd.read_csv(write_corpus(tmp_path))
    _offer(plugin, None)
    (tmp_path / "carrier").mkdir()
    (tmp_path / "carrier" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    ready = audiomatch.fit("whisper", tmp_path / "manifest.csv").save(tmp_path / "carrier" / "kept")
    made = _offer(plugin, ReadyModel("carrier:kept", digest_of_folder(ready)))
    leave_out_slow_floors(made, monkeypatch)
    clips["part"] = ["train"] * 24 + ["test"] * 12
    clips.to_csv(tmp_path / "clips.csv", index=False)
    theirs = {"audio": "path", "expected_text": "sentence", "match": "label"}
    clips.rename(columns=theirs).to_csv(tmp_path / "theirs.tsv", index=False, sep="\t")
    other = pd.read_csv(write_corpus(tmp_path / "others", 12, hertz=330))
    other.assign(audio="others/" + other["audio"]).to_csv(tmp_path / "other.csv", index=False)
    spoken = clips[clips["match"] == 1].copy()
    spoken["expected_text"] += [f" {i}" for i in range(len(spoken))]
    spoken.to_csv(tmp_path / "spoken.csv", index=False)
    clips.drop(columns="match").to_csv(tmp_path / "new.csv", index=False)
    write_tone(tmp_path / "more.wav", 1.0, hertz=200)
    further = pd.DataFrame({"audio": ["more.wav"], "expected_text": ["more speech"]})
    further.to_csv(tmp_path / "more.csv", index=False)
    for name in ("clip.ogg", "clip.wav"):
        write_tone(tmp_path / name, 3.0)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _type(page: Path, command: Callable[..., tuple[int, str, str]]) -> int:
    typed = 0
    for arguments in (a for code in blocks(page, *SHELL) for a in commands(code)):
        if arguments[0] == "bench" and "--limit" not in arguments:
            arguments = [*arguments, "--limit", "100"]  # of mini-screener, where data are not named
        code, out, err = command(*arguments)
        assert code == 0, f"audiomatch {' '.join(arguments)}\n{out}{err}"
        typed += 1
    return typed


@pytest.mark.parametrize("name", PAGES)
def test_a_how_to_runs(name: str, place: Path, command: Callable[..., Any]) -> None:
    assert _type(ROOT / "docs" / "how-to" / f"{name}.md", command)


def test_the_readme_runs(place: Path, command: Callable[..., Any]) -> None:
    assert _type(ROOT / "README.md", command) >= 3


def test_the_python_of_the_readme_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(ROOT / "README.md", "python")
    exec(compile(code, "README.md", "exec"), {})
    assert "log_loss" in capsys.readouterr().out
    assert (place / "model").is_dir()


def test_the_code_of_the_explanations_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(ROOT / "docs" / "explanation" / "comparison.md", "python")
    exec(compile(code, "comparison.md", "exec"), {})
    shown = code.rpartition("# ")[2].strip()
    assert capsys.readouterr().out.strip() == shown
