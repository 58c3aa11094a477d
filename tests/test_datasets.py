from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from audiomatch import UserError
from audiomatch.clips import Clips
from audiomatch.datasets import choose_dataset
from audiomatch.plugins import registry
from tests.conftest import write_tone


def read(data: Path | str, labelled: bool = True, name: str | None = None) -> Clips:
    info, path = choose_dataset(registry().datasets(), str(data), name)
    return info.open(path, labelled)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_manifest_formats_agree(corpus: Path, suffix: str) -> None:
    table = pd.read_csv(corpus)
    other = corpus.with_suffix(f".{suffix}")
    if suffix == "jsonl":
        table.to_json(other, orient="records", lines=True)
    elif suffix == "parquet":
        table.to_parquet(other)
    clips = read(other)
    assert clips.ids == table["audio"].tolist()
    assert clips.labels.tolist() == table["match"].tolist()
    assert all(path.is_file() and path.is_absolute() for path in clips.paths)
    assert clips["speaker"].tolist() == table["speaker"].tolist()


def test_folder_with_a_manifest_is_recognised(corpus: Path) -> None:
    assert read(corpus.parent).ids == read(corpus).ids


def test_words_that_look_like_missing_values_survive(corpus: Path) -> None:
    corpus.write_text("audio,expected_text,match\n000.wav,null,1\n001.wav,NA,0\n002.wav,007,1\n")
    assert read(corpus).texts == ["null", "NA", "007"]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("audio,match\n000.wav,1\n", "no column 'expected_text'"),
        ("audio,expected_text\n000.wav,a\n", "no column 'match'"),
        ("audio,expected_text,match\n000.wav,a,2\n", r"row 2 \(id '000.wav'\): match is '2'"),
        ("audio,expected_text,match\n000.wav,a,1\n001.wav,b,\n", "row 3 .*match is ''"),
        ("audio,expected_text,match\n000.wav, ,1\n", "row 2 .*expected_text is empty"),
        ("id,audio,expected_text,match\nx,a,a,1\nx,b,b,1\n", "row 3 .*already that of row 2"),
        ("audio,expected_text,match\n", "no rows"),
        ("", "not readable as csv"),
    ],
)
def test_bad_manifests_say_where(corpus: Path, rows: str, says: str) -> None:
    corpus.write_text(rows)
    with pytest.raises(UserError, match=says):
        read(corpus)


def test_jsonl_names_the_line(corpus: Path) -> None:
    file = corpus.with_suffix(".jsonl")
    file.write_text(json.dumps({"audio": "a", "expected_text": "b", "match": 1}) + "\n{oops\n")
    with pytest.raises(UserError, match=r"manifest\.jsonl, row 2: not JSON"):
        read(file)


@pytest.fixture
def screener(tmp_path: Path) -> Path:
    """The layout of the challenge, with a stray cp1252 byte and both halves."""
    (tmp_path / "train").mkdir()
    write_tone(tmp_path / "train" / "a.wav", 0.5)
    write_tone(tmp_path / "b.wav", 0.5)
    write_tone(tmp_path / "c.wav", 0.5)
    (tmp_path / "train_metadata.csv").write_bytes(
        b"filename,task,expected_text,grade\n"
        b"a.wav,sentence_repetition,the dog\x92s bone,KG\n"
        b"b.wav,deletion,caf\xc3\xa9,1\n"
    )
    (tmp_path / "train_labels.csv").write_text("filename,score\nb.wav,0.0\na.wav,1.0\n")
    (tmp_path / "test_metadata.csv").write_text(
        "filename,task,expected_text,grade\nc.wav,deletion,cow,2\n"
    )
    return tmp_path


def test_drivendata_layout(screener: Path) -> None:
    clips = read(screener)
    assert clips.ids == ["a.wav", "b.wav"]
    assert clips.labels.tolist() == [1, 0]
    assert clips.texts == ["the dog’s bone", "café"]
    assert clips.paths == [screener / "train" / "a.wav", screener / "b.wav"]
    assert clips["grade"].tolist() == ["KG", "1"]


def test_drivendata_test_half_has_no_labels(screener: Path) -> None:
    clips = read(screener, labelled=False)
    assert clips.ids == ["c.wav"] and not clips.labelled
    (screener / "test_metadata.csv").unlink()
    assert read(screener, labelled=False).ids == ["a.wav", "b.wav"]


def test_drivendata_bad_labels(screener: Path) -> None:
    labels = screener / "train_labels.csv"
    labels.write_text("filename,score\na.wav,1.0\n")
    with pytest.raises(UserError, match=r"row 3 \(id 'b.wav'\): no label in train_labels.csv"):
        read(screener)
    labels.write_text("filename,score\na.wav,1.0\nb.wav,0.5\n")
    with pytest.raises(UserError, match=r"train_labels.csv, row 3 \(id 'b.wav'\): score is '0.5'"):
        read(screener)
    labels.unlink()
    with pytest.raises(UserError, match="no train_labels.csv"):
        read(screener)


def test_choosing(tmp_path: Path, corpus: Path) -> None:
    layouts = registry().datasets()
    assert choose_dataset(layouts, None, None)[0].name == "mini-screener"
    assert choose_dataset(layouts, str(corpus), None)[0].name == "manifest"
    with pytest.raises(UserError, match="no such file or folder: nowhere"):
        choose_dataset(layouts, "nowhere", None)
    with pytest.raises(UserError, match="--dataset mini-screener"):
        choose_dataset(layouts, "mini-screener", None)
    with pytest.raises(UserError, match="no dataset 'drivedata'; did you mean 'drivendata'"):
        choose_dataset(layouts, str(tmp_path), "drivedata")
    with pytest.raises(UserError, match="needs DATA"):
        choose_dataset(layouts, None, "manifest")
    with pytest.raises(UserError, match="no known layout"):
        choose_dataset(layouts, str(tmp_path), None)
