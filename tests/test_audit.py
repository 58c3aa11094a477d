"""What an audit finds: planted leaks, each by its name, and nothing in clean corpora."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import audiomatch
from audiomatch import UserError
from audiomatch.auditing.auditor import cheap_audit, full_audit, probe
from audiomatch.auditing.contradicted import contradictions
from audiomatch.auditing.copies import copies
from audiomatch.auditing.permuting import permuted
from audiomatch.auditing.probing import holm
from audiomatch.auditing.questions import finding_of
from audiomatch.auditing.record import IDS, AuditRecord
from audiomatch.auditing.sound import hear, listen
from audiomatch.clips import Clips
from audiomatch.datasets.manifest import open_manifest
from audiomatch.floors.features import audio_features
from audiomatch.folds import deal_folds
from audiomatch.intake import admit
from audiomatch.matcher import Run
from tests.conftest import write_corpus

Command = Callable[..., tuple[int, str, str]]
Rows = list[dict[str, Any]]

RATE = 16_000
TEXTS = 16
CLIPS = 5  # of a text


def speech(rng: np.random.Generator, seconds: float) -> NDArray[np.float64]:
    """Return something that sounds as various as speech: gliding harmonics in syllables."""
    time = np.arange(int(seconds * RATE)) / RATE
    glide = np.interp(time, np.arange(0, 9) / 4, rng.uniform(90, 260, 9))
    phase = 2 * np.pi * np.cumsum(glide) / RATE
    weights = rng.uniform(0.1, 1, (12, 9)) / np.arange(1, 13)[:, None]
    envelopes = np.stack([np.interp(time, np.arange(0, 9) / 4, w) for w in weights])
    tones = np.sin(phase * np.arange(1, 13)[:, None])
    wave = (envelopes * tones).sum(axis=0)
    return 0.2 * wave / np.abs(wave).max() + rng.normal(0, 1e-3, len(wave))


@functools.cache
def clean() -> Rows:
    """Return the rows of a clean corpus, each with its samples."""
    rng = np.random.default_rng(5)
    rows: Rows = []
    for number in range(TEXTS):
        words = " ".join(rng.choice(["moss", "tern", "quill", "byre", "fjord", "zinc"], 3))
        for _ in range(CLIPS):
            rows.append(
                {
                    "name": f"{rng.integers(1 << 40):010x}",
                    "expected_text": f"{words} {'abcdefghijklmnopqrstuvwxyz'[number] * 3}",
                    "match": int(rng.integers(2)),
                    "speaker": f"s{rng.integers(8)}",
                    "rate": RATE,
                    "samples": speech(rng, rng.uniform(0.6, 1.0)) * rng.uniform(0.3, 1),
                }
            )
    return [rows[i] for i in rng.permutation(len(rows))]


def make(folder: Path, leak: Callable[[Rows, np.random.Generator], None] | None = None) -> Path:
    """Write the clean corpus, whose rows a leak may change."""
    rows = [dict(row) for row in clean()]
    if leak is not None:
        leak(rows, np.random.default_rng(6))
    folder.mkdir(parents=True)
    for row in rows:
        row["audio"] = row.pop("name") + ".wav"
        soundfile.write(folder / row["audio"], row.pop("samples"), row.pop("rate"))
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder


def _column(rows: Rows, rng: np.random.Generator) -> None:
    for row in rows:
        row["quality"] = rng.normal() + 4 * row["match"]


def _task(rows: Rows, _rng: np.random.Generator) -> None:
    for row in rows:
        row["task"] = "xy"[row["match"]]


def _silence(rows: Rows, rng: np.random.Generator) -> None:
    for row in rows:  # as long in all, so that only its place tells
        parts = [np.zeros(RATE // 2), row["samples"] + rng.normal(0, 1e-4, len(row["samples"]))]
        row["samples"] = np.concatenate(parts if row["match"] else parts[::-1])


def _duration(rows: Rows, _rng: np.random.Generator) -> None:
    for row in rows:
        if row["match"]:
            row["samples"] = np.tile(row["samples"], 2)


def _level(rows: Rows, _rng: np.random.Generator) -> None:
    for row in rows:
        if row["match"]:
            row["samples"] = row["samples"] * 0.1


def _rate(rows: Rows, _rng: np.random.Generator) -> None:
    for row in rows:
        if row["match"]:
            row["rate"], row["samples"] = 8_000, row["samples"][::2]


def _name(rows: Rows, _rng: np.random.Generator) -> None:
    for row in rows:
        row["name"] = f"{row['name']}_{('miss', 'hit')[row['match']]}_x"


def _order(rows: Rows, _rng: np.random.Generator) -> None:
    rows.sort(key=lambda row: row["match"])


# A planted leak, the finding that it is, and how bad that is.
LEAKS = {
    "a column": (_column, "label-in-column", "warning"),
    "a column that matchers are given": (_task, "label-in-column", "error"),
    "leading silence": (_silence, "label-in-silence", "error"),
    "duration": (_duration, "label-in-duration", "error"),
    "level": (_level, "label-in-level", "error"),
    "sample rate": (_rate, "label-in-sample-rate", "error"),
    "file name": (_name, "label-in-file-name", "warning"),
    "row order": (_order, "label-in-row-order", "warning"),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_found(tmp_path: Path, leak: str) -> None:
    plant, name, severity = LEAKS[leak]
    found = audiomatch.audit(make(tmp_path / "data", plant), cache=tmp_path / "cache")
    finding = next(one for one in found.findings if one.id == name)
    assert finding.severity == severity, finding.line
    assert finding.auroc is not None and finding.auroc > 0.9
    assert finding.p is not None and finding.p <= 0.05


def test_nothing_is_found_in_a_clean_corpus(tmp_path: Path) -> None:
    found = audiomatch.audit(make(tmp_path / "data"), cache=tmp_path / "cache")
    assert [one.id for one in found.findings] == ["speakers-across-folds"]
    assert found.listened and {one.id for one in found.probes} <= set(IDS)


def _copied(how: Callable[[NDArray[np.float64]], NDArray[Any]]) -> Any:
    def leak(rows: Rows, _rng: np.random.Generator) -> None:
        one = rows[0]
        other = next(row for row in rows if row["expected_text"] != one["expected_text"])
        one["samples"] = np.tile(one["samples"], 2)
        other["samples"] = how(one["samples"])

    return leak


def _through(form: str, subtype: str) -> Callable[[NDArray[np.float64]], NDArray[Any]]:
    def convert(samples: NDArray[np.float64]) -> NDArray[Any]:
        file = io.BytesIO()
        soundfile.write(file, samples, RATE, format=form, subtype=subtype)
        file.seek(0)
        return np.asarray(soundfile.read(file)[0])

    return convert


COPIES: dict[str, Callable[[NDArray[np.float64]], NDArray[Any]]] = {
    "gain": lambda x: x * 0.3,
    "MP3": _through("MP3", "MPEG_LAYER_III"),
    "Opus": _through("OGG", "OPUS"),
    "trim": lambda x: x[len(x) // 7 : -len(x) // 9],
    "two seconds later": lambda x: np.concatenate([np.zeros(2 * RATE + 77), x]),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_in_another_group_is_found(tmp_path: Path, how: str) -> None:
    data = make(tmp_path / "data", _copied(COPIES[how]))
    clips = admit(_opened(data), Run(cache=tmp_path / "cache")).clips
    text = pd.read_csv(data / "manifest.csv")["expected_text"]
    folds = deal_folds(clips, 2)
    apart = np.flatnonzero(text != text[0])[0]
    of = folds.of.copy()
    of[[0, apart]] = 0, 1
    found = full_audit(replace(folds, of=of), Run(cache=tmp_path / "cache"))
    finding = next(one for one in found.findings if one.id == "copies-across-folds")
    assert finding.severity == "error" and finding.rows == (2, int(apart) + 2)


def _opened(data: Path) -> Clips:
    return open_manifest(data, labelled=True)


def test_one_recording_under_two_names_is_in_one_fold_unless_the_split_is_fixed(
    tmp_path: Path,
) -> None:
    def leak(rows: Rows, _rng: np.random.Generator) -> None:
        for i, row in enumerate(rows):
            row["part"] = ("train", "test")[i % 2]
            row["expected_text"] += f" {row['part']}"
        rows[1]["samples"] = rows[0]["samples"]

    data = make(tmp_path / "data", leak)
    found = audiomatch.audit(data, cache=tmp_path / "cache")
    assert not {one.id for one in found.findings} & {"recordings-across-folds"}
    found = audiomatch.audit(data, split="part", cache=tmp_path / "cache")
    finding = next(one for one in found.findings if one.id == "recordings-across-folds")
    assert finding.severity == "error" and finding.rows == (3,) and finding.count == 1


def test_near_texts_with_like_labels_are_found(tmp_path: Path) -> None:
    def leak(rows: Rows, _rng: np.random.Generator) -> None:
        for i, row in enumerate(rows):  # two clips of a text, two texts of a pair
            letter = "abcdefghijklmnopqrst"[i % 20]
            row["expected_text"] = f"{letter} {letter * 2} {letter * 3} {'xy'[i % 40 // 20]}"
            row["match"] = (i % 20 // 4 + (i == 7)) % 2

    found = audiomatch.audit(make(tmp_path / "data", leak), cache=tmp_path / "cache")
    assert "near-texts-agree" in {one.id for one in found.findings}


def test_rows_that_contradict_each_other_and_folds_by_row_are_errors(tmp_path: Path) -> None:
    def leak(rows: Rows, _rng: np.random.Generator) -> None:
        rows[1].update(rows[0], name="twin", match=1 - rows[0]["match"])

    data = make(tmp_path / "data", leak)
    found = audiomatch.audit(data, cache=tmp_path / "cache")
    (disagree,) = found.of("error")
    assert (disagree.id, disagree.rows) == ("labels-disagree", (2, 3))
    found = audiomatch.audit(data, group="none", cache=tmp_path / "cache")
    assert {one.id for one in found.of("error")} == {"labels-disagree", "folds-by-row"}


def test_bench_stops_before_work_unless_the_error_is_allowed(
    command: Command, tmp_path: Path
) -> None:
    data = make(tmp_path / "data", _task)
    how = ("bench", data, "--matchers", "prior", "--folds", 2, "--out", tmp_path / "run")
    code, _, err = command(*how)
    assert code == 2 and not (tmp_path / "run" / "folds.json").exists()
    assert "label-in-column" in err and "--allow label-in-column" in err
    code, _, err = command(*how, "--allow", "label-in-the-column")
    assert code == 2 and "no finding 'label-in-the-column'" in err
    code, _, err = command(*how, "--allow", "label-in-column")
    assert code == 0, err
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert "allowed in spite of the audit: label-in-column" in run["folds"]["warning"]


def test_a_column_that_a_matcher_is_given_is_an_error(tmp_path: Path) -> None:
    data = make(tmp_path / "data", _column)
    clips = admit(_opened(data), Run(cache=tmp_path / "cache")).clips
    found = cheap_audit(deal_folds(clips, 3), Run(cache=tmp_path / "cache"), ["quality"])
    assert [one.subject for one in found.of("error")] == ["quality"] and not found.listened


def test_the_command(command: Command, tmp_path: Path) -> None:
    data = make(tmp_path / "data", _task)
    code, out, _ = command("audit", data, "--sheet", tmp_path / "sheet.md")
    assert code == 1 and "label-in-column" in out and "1 error" in out
    sheet = (tmp_path / "sheet.md").read_text()
    assert "## L2 Features" in sheet and "- error: label-in-column" in sheet
    code, out, _ = command("audit", data, "--json")
    answer = json.loads(out)
    assert code == 1 and answer.pop("sheet") == sheet
    assert AuditRecord.model_validate(answer).findings[0].id == "label-in-column"


def test_labels_that_matchers_contradict_are_named_worst_first(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "data")
    table = pd.read_csv(manifest)
    run = tmp_path / "run"
    found = audiomatch.compare(manifest, "prior", folds=2, out=run, executor="inline")
    with pytest.raises(UserError, match="no matcher of it beats the floors"):
        audiomatch.audit(manifest, run=run, cache=tmp_path / "cache")
    board = json.loads((run / "leaderboard.json").read_text())
    best = next(row for row in board["rows"] if row["matcher"] == "prior")
    best.update(kind="matcher", log_loss=1e-9)
    (run / "leaderboard.json").write_text(json.dumps(board))
    p = found.predictions.copy()
    p["p_match"] = np.where(p["match"] == 1, 0.9, 0.1)
    p.loc[p["id"] == "003.wav", "p_match"] = 0.97
    p.loc[p["id"] == "008.wav", "p_match"] = 0.01
    p.to_parquet(run / "predictions.parquet")
    found_now = audiomatch.audit(manifest, run=run, cache=tmp_path / "cache")
    finding = next(one for one in found_now.findings if one.id == "labels-contradicted")
    assert finding.rows == (10, 5) and finding.count == 2
    assert [one.match for one in found_now.suspects] == [1, 0]
    assert found_now.suspects[0].expected_text == table["expected_text"][8]
    table["match"] = 1 - table["match"]
    table.to_csv(manifest, index=False)
    with pytest.raises(UserError, match="is of other clips or labels"):
        audiomatch.audit(manifest, run=run, cache=tmp_path / "cache")


def test_silence_is_no_copy_of_silence() -> None:
    quiet = [hear(np.zeros(n, np.float32)).marks for n in (20_000, 30_000)]
    assert copies(quiet).tolist() == [0, 1]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=2, max_size=60),
    st.integers(0, 2**32 - 1),
)
def test_permuted_labels_are_the_labels_in_another_order(groups: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = np.unique(groups, return_inverse=True)[1]
    y = rng.integers(0, 2, len(codes)).astype(np.int8)
    assert sorted(permuted(y, codes, rng)) == sorted(y)


def test_groups_of_one_size_exchange_labels_whole() -> None:
    groups = np.repeat(np.arange(10), 4)
    y = np.repeat([0, 1], 20).astype(np.int8)
    for seed in range(20):
        found = permuted(y, groups, np.random.default_rng(seed)).reshape(10, 4)
        assert set(found.sum(axis=1)) == {0, 4} and found.sum() == 20


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=30))
def test_a_label_is_contradicted_only_by_a_probability_on_the_other_side(
    clips: list[tuple[bool, float]],
) -> None:
    y = np.array([int(label) for label, _ in clips])
    p = np.array([value for _, value in clips])
    which = contradictions(y, p)
    if which.any():
        assert p[which & (y == 0)].min(initial=1) >= p[y == 1].mean() - 1e-9
        assert p[which & (y == 1)].max(initial=0) <= p[y == 0].mean() + 1e-9


def test_every_finding_is_in_the_reference() -> None:
    page = (Path(__file__).parents[1] / "docs" / "reference" / "audit.md").read_text()
    assert [name for name in IDS if f"| `{name}` |" not in page] == []


@pytest.mark.slow
def test_permuted_labels_of_a_clean_corpus_raise_few_alarms(run: Run, tmp_path: Path) -> None:
    clips = admit(_opened(make(tmp_path / "data")), run).clips
    heard, statistics = listen(clips, run), audio_features(clips, run)
    alarms = 0
    for seed in range(200):
        other = clips.with_column("match", np.random.default_rng(seed).permutation(clips.labels))
        answers = probe(
            deal_folds(other, 5, seed=seed), Run(run.cache, seed=seed), heard, statistics
        )
        alarms += any(finding_of(answer, ()) for answer in answers)
    assert alarms <= 18  # of 5 % of 200 that many or fewer are seen in 99.3 %


def test_cells_of_any_kind_are_looked_at(tmp_path: Path) -> None:
    table = pd.read_csv(write_corpus(tmp_path / "data"))
    table["audio"] = [str(tmp_path / "data" / name) for name in table["audio"]]
    odd: list[Any] = [[1, 2], {"a": 1}, None, "1e999", float("inf"), b"\xff", "\x1b[31m", -1]
    table["odd \x1b[2J\nname"] = [odd[i % len(odd)] for i in range(len(table))]
    table["speaker"] = table["odd \x1b[2J\nname"]
    found = audiomatch.audit(table, cache=tmp_path / "cache")
    assert "\x1b" not in found.sheet()
