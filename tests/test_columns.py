"""Tables in the words of others: their delimiters, their columns, parts of long recordings."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import audiomatch
from audiomatch import UserError
from audiomatch.errors import DataWarning
from audiomatch.folds import group_clips
from audiomatch.inputs import open_data
from tests.conftest import write_tone

Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.csv.gz", "manifest.tsv"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", ", "])
def test_the_header_tells_the_delimiter(tmp_path: Path, name: str, delimiter: str) -> None:
    rows = [("Audio", "Expected_Text", "MATCH"), ("a.wav", "hello", "1"), ("b.wav", "bye", "0")]
    content = "".join(delimiter.join(row) + "\n" for row in rows).encode()
    file = tmp_path / name
    file.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    clips = open_data(tmp_path if name == "manifest.tsv" else file, True).clips
    assert clips.ids == ["a.wav", "b.wav"] and clips.texts == ["hello", "bye"]
    assert clips.labels.tolist() == [1, 0]


def test_synonyms_are_taken_and_said(tmp_path: Path) -> None:
    file = tmp_path / "cv.tsv"
    file.write_text("client_id\tpath\tsentence\tlabel\nx\ta.wav\thello\t1\n")
    says = "cv.tsv: read path as audio, sentence as expected_text, label as match, client_id as sp"
    with pytest.warns(DataWarning, match=says):
        clips = open_data(file, True).clips
    assert clips.paths == [tmp_path / "a.wav"] and clips.texts == ["hello"]
    assert clips.labels.tolist() == [1] and clips["speaker"].tolist() == ["x"]
    assert clips["client_id"].tolist() == ["x"] and "label" not in clips.frame.columns


def test_a_score_that_is_no_label_is_none(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_text("audio,expected_text,score\na.wav,hello,0.7\n")
    assert not open_data(file, None).clips.labelled
    with pytest.raises(UserError, match="no column 'match'.*--columns match=THEIRS"):
        open_data(file, True)


def test_several_synonyms_are_asked_about(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_text("audio,text,prompt\na.wav,hello,bye\n")
    with pytest.raises(UserError, match="text and prompt may each be expected_text"):
        open_data(file, None)
    assert open_data(file, None, columns={"expected_text": "prompt"}).clips.texts == ["bye"]
    with pytest.raises(UserError, match="no column 'prompts'; did you mean 'prompt'"):
        open_data(file, None, columns={"expected_text": "prompts"})


def test_columns_on_every_way_in(corpus: Path, command: Command, tmp_path: Path) -> None:
    names = {"audio": "where", "expected_text": "says", "match": "ok"}
    frame = pd.read_csv(corpus).rename(columns=names)
    frame.to_csv(corpus, index=False)
    option = "--columns=" + ",".join(f"{ours}={theirs}" for ours, theirs in names.items())
    model, out = tmp_path / "model", tmp_path / "p.csv"
    assert command("fit", "prior", corpus, option, "--out", model)[0] == 0
    assert command("predict", model, corpus, option, "--out", out)[0] == 0
    bench = ("bench", corpus, option, "--matchers", "prior", "--folds", 2)
    assert command(*bench, "--out", tmp_path / "run")[0] == 0
    assert command("predict", model, corpus, "--columns", "audio", "--out", out)[0] == 2
    fitted = audiomatch.fit("prior", corpus, columns=names)
    assert fitted.predict(corpus, columns=names).tolist() == pd.read_csv(out)["p_match"].tolist()
    frame["where"] = [str(corpus.parent / name) for name in frame["where"]]
    assert audiomatch.evaluate(fitted, frame, columns=names).record.rows
    assert audiomatch.compare(
        *(frame, "prior"),
        folds=2,
        floors="none",
        columns=names,
        out=tmp_path / "again",
        executor="inline",
    ).record
    with pytest.raises(UserError, match="columns are those of a table"):
        audiomatch.fit("prior", open_data(corpus, True, columns=names).clips, columns=names)
    with pytest.raises(UserError, match="--columns: the layout 'mini-screener' has columns"):
        audiomatch.fit("prior", "mini-screener", columns=names)


@pytest.mark.parametrize(
    ("row", "segment"),
    [
        ({"start": 0.5, "end": "1.5"}, [0.5, 1.5]),
        ({"offset": 0.5, "duration": 1}, [0.5, 1.5]),
        ({"start": "0.5", "duration": "1"}, [0.5, 1.5]),
        ({"offset": 0.5}, [0.5, np.nan]),
        ({"end": 0.5}, [np.nan, 0.5]),
        ({"duration": 1}, [np.nan, np.nan]),
        ({"start": "", "end": None}, [np.nan, np.nan]),
    ],
)
def test_segments_are_told_by_columns(
    tmp_path: Path, row: dict[str, object], segment: list[float]
) -> None:
    file = tmp_path / "m.jsonl"
    file.write_text(json.dumps({"audio": "a.wav", "expected_text": "one", **row}))
    assert np.array_equal(open_data(file, None).clips.segments, [segment], equal_nan=True)


def test_parts_of_a_recording_are_clips_of_their_own(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav", 2.0)
    file = tmp_path / "m.csv"
    file.write_text("audio,expected_text,start,end\na.wav,one,0,0.5\na.wav,two,0.5,1.75\n")
    clips = open_data(file, None).clips
    assert clips.ids == ["a.wav", "a.wav#2"] and clips.seconds.tolist() == [0.5, 1.25]
    file.write_text("audio,expected_text,start,end\na.wav,one,0,half\n")
    with pytest.raises(UserError, match="row 2: end is 'half'; must be in seconds"):
        open_data(file, None)


def test_audio_inside_parquet_is_read(corpus: Path, tmp_path: Path) -> None:
    table = pd.read_csv(corpus)
    read = (corpus.parent / name for name in table["audio"])
    packed = [{"bytes": file.read_bytes(), "path": file.name} for file in read]
    packed[1] = {"bytes": None, "path": "001.wav"}
    table.assign(audio=packed).to_parquet(corpus.parent / "inside.parquet")
    inside, outside = (open_data(corpus.parent / name, True).clips for name in
                       ("inside.parquet", "manifest.csv"))  # fmt: skip
    assert inside.ids == outside.ids and inside.digests == outside.digests
    assert audiomatch.fit("audio-only", table.assign(audio=packed[:1] * 36)).card.fit is not None
    held = inside.paths[0]
    del inside
    assert not held.exists()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_clips_without_a_group_are_kept_together_and_said(corpus: Path, suffix: str) -> None:
    frame = pd.read_csv(corpus)
    frame["speaker"] = [None, None, 1.0, 2.0, 3.0, 4.0] * 6
    file = corpus.with_suffix(f".{suffix}")
    frame.to_csv(file, index=False) if suffix == "csv" else frame.to_parquet(file)
    with pytest.warns(DataWarning, match=r"--group speaker: 12 of 36 clips have none .* row [12] "):
        grouped = group_clips(open_data(file, True).clips, "speaker")
    assert grouped.groups[:2] == ["", ""] and len(set(grouped.groups)) == 5
    frame["speaker"] = [[1]] * 36
    with pytest.raises(UserError, match="speaker is no text but a list"):
        group_clips(open_data(frame, True).clips, "speaker")
