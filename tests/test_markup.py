"""Texts of others are shown and written as texts: no formula, no markup, no colour of theirs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

import audiomatch
from audiomatch.datasets.cells import without_formulas
from audiomatch.explanation import Explanation, WordEvidence
from audiomatch.explanation.picture import draw_explanation
from audiomatch.explanation.tables import explanation_table, write_explanations
from audiomatch.progress import BarProgress, LineProgress
from audiomatch.records import Leaderboard
from audiomatch.scoring import html_table, leaderboard_table, markdown_table
from tests.conftest import write_tone

Command = Callable[..., tuple[int, str, str]]
FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1")
EVIL = "[red]x[/blue] [link=file:///etc]y <img src=x onerror=z> | `a` \x1b[2J"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A manifest whose texts, speakers and ids are formulas; one clip is not there."""
    write_tone(tmp_path / "=a.wav", 0.5)
    cells = [f for f in FORMULAS if f.strip() == f]
    rows = [[f"{c}.", "=a.wav", c, c, i % 2] for i, c in enumerate(cells)]
    rows.append(["=gone", "=gone.wav", "moon", "s", 1])
    file = tmp_path / "clips.csv"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([["id", "audio", "expected_text", "speaker", "match"], *rows])
    return file


@pytest.fixture
def model(corpus: Path, tmp_path: Path) -> Path:
    return audiomatch.fit("prior", corpus).save(tmp_path / "model")


def test_predictions_hold_no_formula_but_in_ids(
    command: Command, model: Path, hostile: Path, tmp_path: Path
) -> None:
    ask = ("predict", model, hostile, "--skip-bad", "--out")
    assert command(*ask, tmp_path / "p.csv")[0] == 0
    code, said, _ = command(*ask, "-")
    assert code == 0
    for text in ((tmp_path / "p.csv").read_text(), said):
        rows = list(csv.DictReader(io.StringIO(text)))
        texts = [row[name] for row in rows for name in ("expected_text", "speaker", "skipped")]
        assert "'=cmd|' /C calc'!A0" in texts
        assert not [one for one in texts if one.startswith(tuple("=+-@"))]
        assert rows[0]["id"] == f"{FORMULAS[0]}."
    assert command(*ask, tmp_path / "p.jsonl")[0] == 0
    first = json.loads((tmp_path / "p.jsonl").read_text().splitlines()[0])
    assert first["expected_text"] == FORMULAS[0]


def test_every_beginning_of_a_formula_is_told() -> None:
    table = pd.DataFrame({"id": ["=1", *FORMULAS], "heard": ["moon", *FORMULAS], "p": 0.5})
    found = without_formulas(table, ["id"])
    assert found["heard"].tolist() == ["moon", *(f"'{one}" for one in FORMULAS)]
    assert found[["id", "p"]].equals(table[["id", "p"]])


def explanation(text: str) -> Explanation:
    word = WordEvidence(text, 0.5, -1.0, 0.0, 1.0, heard=text, rather=text, tokens=())
    return Explanation(text, text, 0.5, text, (word,))


def test_explanations_hold_no_formula_and_no_markup(tmp_path: Path) -> None:
    write_explanations(tmp_path / "e.csv", [explanation("=1+1")])
    row = next(csv.DictReader((tmp_path / "e.csv").open()))
    assert row["id"] == "=1+1" and row["word"] == row["heard"] == "'=1+1"
    shown = printed(explanation_table(explanation(EVIL)))
    assert "[red]x[/blue]" in shown and "\x1b[2J" not in shown and "\\x1b[2J" in shown
    picture = draw_explanation(explanation(EVIL), pd.Series([0.1] * 16_000).to_numpy("float32"))
    assert "<img" not in picture and "\x1b" not in picture


def printed(table: object) -> str:
    stream = io.StringIO()
    Console(file=stream, width=300, force_terminal=True).print(table)
    return stream.getvalue()


def test_a_leaderboard_holds_no_markup(command: Command, corpus: Path, tmp_path: Path) -> None:
    how: dict[str, Any] = {"folds": 2, "floors": "base-rate", "executor": "inline"}
    found = audiomatch.compare(corpus, "prior", out=tmp_path / "r", **how)
    content = found.record.model_dump(mode="json")
    for row in content["rows"]:
        row.update(label=EVIL, status="failed", errors=[{"fold": 0, "error": EVIL}])
    board = Leaderboard.model_validate_json(json.dumps(content))
    shown = printed(leaderboard_table(board))
    assert "[red]x[/blue]" in shown and "\x1b[2J" not in shown and "\\x1b[2J" in shown
    assert "<img" not in html_table(board)
    lines = markdown_table(board).splitlines()
    assert len(lines) == 2 + len(board.rows)
    assert "<img" not in lines[2].replace("\\<", "") and "[link" not in lines[2].replace("\\[", "")
    assert lines[2].replace("\\|", "").count("|") == lines[1].count("|")


def test_progress_shows_markup_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    lines = LineProgress(stream, every=0)
    with lines.task(EVIL, total=2) as task:
        task.advance(1, EVIL)
    lines.say(EVIL)
    bars = BarProgress()
    bars.bars.live.console = Console(file=stream, width=300, force_terminal=True)
    with bars.task(EVIL, total=2) as task:
        task.advance(1, EVIL)
        bars.bars.refresh()
    assert "\x1b[2J" not in stream.getvalue() and stream.getvalue().count("[red]x[/blue]") > 3
