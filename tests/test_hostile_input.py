"""What was made to harm is refused in one line: pipes, endless names, control characters."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import audiomatch
from audiomatch import UserError
from audiomatch.commands.output import show_rows
from audiomatch.datasets import tables
from audiomatch.datasets.delimited import read_delimited
from audiomatch.records import FoldsRecord
from audiomatch.running.array_store import ArrayStore
from audiomatch.spec import parse_matcher
from tests.toys import leave_out_slow_floors, toy_plugin

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def model(corpus: Path, tmp_path: Path) -> Path:
    return audiomatch.fit("prior", corpus).save(tmp_path / "model")


def refused(command: Command, *arguments: object) -> str:
    code, _, err = command(*arguments)
    assert code == 2 and "Traceback" not in err, err[-3_000:]
    line = err.strip().splitlines()[-1]
    assert line.startswith("audiomatch: ") and len(line) < 2_100
    return line


@pytest.mark.parametrize("name", ["x" * 5_000, "a\0b", "..", ""])
def test_a_name_that_is_none_is_one_line(command: Command, model: Path, name: str) -> None:
    folder = model.parent / "half"
    folder.mkdir()
    (folder / "train_metadata.csv").write_text(
        f"filename,task,expected_text,grade\n{name},t,moon,1\n"
    )
    (folder / "train_labels.csv").write_text(f"filename,score\n{name},1\n")
    refused(command, "predict", model, folder, "--out", "p.csv")
    (folder / "own.csv").write_text(f"audio,expected_text\n{name},moon\n")
    refused(command, "predict", model, folder / "own.csv", "--out", "p.csv")


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_only_regular_files_are_read(
    command: Command, model: Path, tmp_path: Path, kind: str
) -> None:
    def make(file: Path) -> Path:
        os.mkfifo(file) if kind == "pipe" else file.symlink_to("/dev/zero")
        return file

    data = make(tmp_path / "clips.csv")
    assert "is no regular file" in refused(command, "predict", model, data, "--out", "p.csv")
    with pytest.raises(UserError, match="is no regular file"):
        tables.read_table(make(tmp_path / "more.csv"))
    with pytest.raises(UserError, match="is no regular file"):
        FoldsRecord.read(make(tmp_path / "folds.json"))
    (model / "audiomatch.json").unlink()
    make(model / "audiomatch.json")
    assert "not a model folder" in refused(command, "predict", model, data, "--out", "p.csv")


def test_what_is_refused_is_said_in_brief(tmp_path: Path) -> None:
    for text in ("[" * 5_000, "a@" + "x" * 5_000, "a@" + "k" * 5_000 + "=1@" + "k" * 5_000 + "=1"):
        with pytest.raises(UserError) as caught:
            parse_matcher(text)
        assert len(str(caught.value)) < 300
    (tmp_path / "folds.json").write_text(json.dumps({"schema_version": "x" * 5_000}))
    with pytest.raises(UserError) as caught:
        FoldsRecord.read(tmp_path / "folds.json")
    assert len(str(caught.value).removeprefix(str(tmp_path))) < 300


def test_names_without_end_are_one_line(command: Command, model: Path, corpus: Path) -> None:
    endless = "x" * 5_000 + ".csv"
    assert "no such file" in refused(command, "predict", model, endless, "--out", "p.csv")
    assert "no such model" in refused(command, "predict", endless, corpus, "--out", "p.csv")
    refused(command, "predict", model, corpus, "--out", endless)


def test_what_unpacks_to_more_than_a_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MOST_BYTES", 1_000)
    (tmp_path / "clips.csv.gz").write_bytes(gzip.compress(b"audio\n" * 1_000))
    with pytest.raises(UserError, match="unpacked it is larger than"):
        tables.read_table(tmp_path / "clips.csv.gz")


@pytest.mark.parametrize(
    "state", ["7", "null", '{"rate": "a"}', '{"rate": 1e400, "tasks": {}, "cells": []}']
)
def test_a_model_of_other_content_is_one_line(
    command: Command, model: Path, corpus: Path, state: str
) -> None:
    card = json.loads((model / "audiomatch.json").read_text())
    (model / "audiomatch.json").write_text(json.dumps({**card, "files": None}))
    (model / "floor.json").write_text(state)
    assert "Error: " in refused(command, "predict", model, corpus, "--out", "p.csv")


def test_control_characters_are_shown_and_not_obeyed(
    command: Command,
    plugin: Callable[..., Any],
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evil = "[red]\x1b[31m\u202e\x9b2J\a"
    shown = "[red]\\x1b[31m\\u202e\\x9b2J\\x07"
    show_rows("t", ["a"], [{"a": evil}], as_json=False)
    assert shown in capsys.readouterr().out
    assert shown in refused(command, "predict", tmp_path / evil, corpus, "--out", "p.csv")
    leave_out_slow_floors(plugin(toy=toy_plugin()), monkeypatch)
    corpus.write_text(corpus.read_text() + f"nowhere{evil}.wav,moon,1,,,s\n")
    bench = ("bench", corpus, "--matchers", "toy", "--folds", 2, "--out", tmp_path / "run")
    code, out, err = command(*bench, "--skip-bad")
    assert code == 0 and shown in err and "\x1b" not in out + err


def test_a_value_without_end_is_one_line(model: Path) -> None:
    card = json.loads((model / "audiomatch.json").read_text())
    long = "x" * 9_000
    for change in ({"matcher": long}, {"config": {"strength": [1] * 9_000}}, {"config": {long: 1}}):
        (model / "audiomatch.json").write_text(json.dumps({**card, **change}))
        with pytest.raises(UserError) as caught:
            audiomatch.load(model)
        assert len(str(caught.value)) < 2_100 + len(str(model))


def test_a_folder_where_a_file_is_written_is_one_line(command: Command, corpus: Path) -> None:
    run = corpus.parent / "run"
    bench = ("bench", corpus, "--matchers", "prior", "--folds", 2, "--out", run)
    assert command(*bench)[0] == 0
    (run / "leaderboard.json").unlink()
    (run / "leaderboard.json").mkdir()
    assert "cannot be written: Is a directory" in refused(command, *bench)


def test_a_header_whose_rows_are_gone_is_an_empty_table() -> None:
    for text in ("path", 'path\n""\n', '"path"\t"text"\n'):
        assert len(read_delimited(text, "clips.tsv")) <= 1


class Pickled:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.ran),)


@pytest.mark.parametrize("named", ["prior", "text-only", "audio-only"])
def test_no_file_of_a_model_is_unpickled(corpus: Path, tmp_path: Path, named: str) -> None:
    model = audiomatch.fit(named, corpus).save(tmp_path / "model")
    ran, card = tmp_path / "ran", json.loads((model / "audiomatch.json").read_text())
    stream = io.BytesIO()
    np.save(stream, np.array([Pickled(ran)], dtype=object), allow_pickle=True)
    for payload in (pickle.dumps(Pickled(ran)), stream.getvalue()):
        for name in (*card["files"], "audiomatch.json"):
            good = (model / name).read_bytes()
            (model / "audiomatch.json").write_text(json.dumps({**card, "files": None}))
            (model / name).write_bytes(payload)
            with pytest.raises(UserError):
                audiomatch.load(model)
            (model / name).write_bytes(good)
    assert not ran.exists()


def test_a_cached_array_is_never_of_objects(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    ArrayStore(tmp_path / "store").put({"a": np.zeros(8)})
    for file in (tmp_path / "store").iterdir():
        if file.suffix != ".sqlite3":
            file.write_bytes(pickle.dumps(Pickled(ran)).ljust(file.stat().st_size))
    with contextlib.closing(sqlite3.connect(tmp_path / "store" / "index.sqlite3")) as index, index:
        index.execute("UPDATE arrays SET dtype = '|O'")
    assert ArrayStore(tmp_path / "store").get(["a"]) == {}
    assert not ran.exists()


def test_what_a_card_names_is_not_imported_nor_urged_on_the_user(model: Path) -> None:
    card = json.loads((model / "audiomatch.json").read_text())
    plugin = {"distribution": "evil", "version": "1"}
    for named in ("os:system", "antigravity", "evil"):
        content = {**card, "matcher": named, "plugin": plugin}
        (model / "audiomatch.json").write_text(json.dumps(content))
        with pytest.raises(UserError) as caught:
            audiomatch.load(model)
        assert "pip install evil" not in str(caught.value)
    assert "of evil 1, its card says; install that if you trust it" in str(caught.value)
