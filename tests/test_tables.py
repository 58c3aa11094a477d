"""Tables are read as they were written, or refused by the row that is wrong."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from audiomatch import UserError
from audiomatch.clips import Clips
from audiomatch.datasets.manifest import open_manifest
from audiomatch.datasets.tables import read_table, write_table
from audiomatch.datasets.writing import write_back
from audiomatch.errors import DataWarning
from audiomatch.plugins import registry

Command = Callable[..., tuple[int, str, str]]
FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
HEADER = "audio,expected_text,match\n"


def table(folder: Path, content: str | bytes, name: str = "m.csv") -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def clips(folder: Path, content: str | bytes, name: str = "m.csv") -> Clips:
    return open_manifest(table(folder, content, name), labelled=True)


def refused(folder: Path, content: str | bytes, name: str = "m.csv") -> str:
    with pytest.raises(UserError) as caught:
        clips(folder, content, name)
    message = str(caught.value)
    assert len(message) < 600 and "\n" not in message
    return message


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("a.wav,one\n", "row 2: cells are 2, and 3 in the header"),
        ("a.wav,one,1\nb.wav,two, three,0\n", "row 3: cells are 4, and 3 in the header"),
        ('a.wav,one,1\nb.wav,"two,0\n', r"row 3: its quotes do not pair"),
        ('a.wav,"one,1\nb.wav,"two",0\n', r"row 2: its quotes do not pair"),
        ('a.wav,"one" more,1\n', r"row 2: its quotes do not pair"),
    ],
)
def test_rows_that_do_not_fit_are_named(tmp_path: Path, rows: str, says: str) -> None:
    assert says in refused(tmp_path, HEADER + rows)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_are_counted_as_an_editor_does(tmp_path: Path, end: str) -> None:
    lines = ["# made by hand", "", *HEADER.splitlines(), "", 'a.wav,"two', 'lines",1', " "]
    content = end.join([*lines, "b.wav,word,9", ""])
    assert "row 8 (id 'b.wav'): match is '9'" in refused(tmp_path, content)
    assert "row 3 " in refused(tmp_path, HEADER + "a.wav,one,1\nb.wav,two,9\n")


def test_a_cell_that_swallowed_rows_is_warned_of(tmp_path: Path) -> None:
    rows = 'a.wav,"one,1\nb.wav,two,0\nc.wav,three",1\n'
    with pytest.warns(DataWarning, match="row 2: a cell in quotes holds 2 line breaks"):
        assert len(clips(tmp_path, HEADER + rows)) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_are_understood(tmp_path: Path, encoding: str) -> None:
    assert clips(tmp_path, (HEADER + "é.wav,naïve,1\n").encode(encoding)).texts == ["naïve"]


def test_lines_of_cp1252_are_read_and_said(tmp_path: Path) -> None:
    rows = b"a.wav,na\xc3\xafve,1\nb.wav,the dog\x92s caf\xe9,0\n"
    with pytest.warns(DataWarning, match=r"m.csv: 1 line is not UTF-8 .* the first is 3"):
        assert clips(tmp_path, HEADER.encode() + rows).texts == ["naïve", "the dog’s café"]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("привет", "cp1251"),
        ("привет", "koi8-r"),
        ("γειά σου", "cp1253"),
        ("żółw", "cp1250"),
        ("こんにちは", "shift-jis"),
        ("你好", "gbk"),
        ("café", "mac-roman"),
    ],
)
def test_a_foreign_encoding_is_refused(tmp_path: Path, text: str, encoding: str) -> None:
    content = HEADER.encode() + f"a.wav,one,1\nb.wav,{text},0\n".encode(encoding)
    assert "m.csv, row 3: neither UTF-8 nor cp1252" in refused(tmp_path, content)


def test_nul_bytes_are_one_line(tmp_path: Path) -> None:
    assert "NUL" in refused(tmp_path, (HEADER + "a.wav,one,1\n").encode("utf-16-le"))
    assert "row 3: cells are 1" in refused(tmp_path, HEADER + "a.wav,one,1\n\0\0\0\0\n")


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl"])
def test_separators_of_lines_stay_within_a_text(tmp_path: Path, name: str) -> None:
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh"
    row = {"audio": "a.wav", "expected_text": text, "match": 1}
    line = json.dumps(row, ensure_ascii=False) if name == "m.jsonl" else f"a.wav,{text},1"
    content = ("" if name == "m.jsonl" else HEADER) + f"{line}\r\n"
    assert clips(tmp_path, content, name).texts == [text]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (["the", "cat"], "expected_text is no text but a list: ['the', 'cat']"),
        ({"en": "dog"}, "expected_text is no text but a dict"),
        (False, "expected_text is no text but a bool: False"),
        (1.5, "expected_text is no text but a float"),
        (None, "expected_text is empty"),
        (math.nan, "expected_text is empty"),
        ({"bytes": "x" * 100_000}, "expected_text is no text but a dict"),
    ],
)
def test_values_that_are_no_text_are_refused_by_row(tmp_path: Path, value: Any, says: str) -> None:
    rows = [{"audio": f"{i}.wav", "expected_text": "one", "match": 1} for i in range(3)]
    rows[1]["expected_text"] = value
    message = refused(tmp_path, "\n\n".join(map(json.dumps, rows)), "m.jsonl")
    assert "m.jsonl, row 3" in message and says in message


def test_parquet_keeps_whole_numbers_and_refuses_bytes(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "id": pd.array([1, 2, 3], dtype="Int64"),
            "audio": ["a.wav", "b.wav", "c.wav"],
            "expected_text": pd.Categorical(["one", "two", "one"]),
            "match": pd.array([True, False, True], dtype="boolean"),
            "grade": pd.array([1, None, 3], dtype="Int64"),
        }
    )
    frame.to_parquet(tmp_path / "m.parquet")
    found = open_manifest(tmp_path / "m.parquet", labelled=True)
    assert found.ids == ["1", "2", "3"] and found["grade"].tolist() == ["1", "", "3"]
    assert found.texts == ["one", "two", "one"] and found.labels.tolist() == [1, 0, 1]
    for value in (b"one", np.array(["a", "b"]), {"en": "a"}, pd.Timestamp("2024-01-01")):
        frame.assign(expected_text=[value] * 3).to_parquet(tmp_path / "m.parquet")
        with pytest.raises(UserError, match="row 1: expected_text is no text but a"):
            open_manifest(tmp_path / "m.parquet", labelled=True)


def test_columns_with_one_name_are_refused(tmp_path: Path) -> None:
    assert "two columns are called 'audio'" in refused(tmp_path, "audio, audio,match\na,b,1\n")
    twice = '{"audio": "a", "audio": "b", "expected_text": "c", "match": 1}'
    assert "row 1: not JSON: the key 'audio' comes twice" in refused(tmp_path, twice, "m.jsonl")
    frame = pd.DataFrame([["a", "a", "b"]], columns=["audio", "audio", "expected_text"])
    with pytest.raises(UserError, match="two columns are called 'audio'"):
        Clips(frame.assign(id="x"))


@pytest.mark.parametrize("pair", ["1/0", "1.0/0.0", "True/FALSE", "yes/No", "match/mismatch"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_labels_are_read_alike_in_every_format(tmp_path: Path, pair: str, suffix: str) -> None:
    said, not_said = pair.split("/")
    frame = pd.DataFrame({"audio": ["a", "b"], "expected_text": "x", "match": [said, not_said]})
    file = tmp_path / f"m.{suffix}"
    if suffix == "csv":
        frame.to_csv(file, index=False)
    elif suffix == "jsonl":
        frame.to_json(file, orient="records", lines=True)
    else:
        frame.to_parquet(file)
    assert open_manifest(file, labelled=True).labels.tolist() == [1, 0]


@pytest.mark.parametrize("value", ["2", "0.5", "maybe", "", "nan", "truefalse"])
def test_what_is_no_label_is_refused(tmp_path: Path, value: str) -> None:
    assert "row 2 (id 'a.wav'): match is" in refused(tmp_path, f"{HEADER}a.wav,one,{value}\n")


def test_several_texts_of_a_recording_need_no_id(tmp_path: Path) -> None:
    found = clips(tmp_path, HEADER + "a.wav,one,1\na.wav,two,0\nb.wav,one,1\n")
    assert found.ids == ["a.wav", "a.wav#2", "b.wav"]


@pytest.mark.parametrize("with_id", [True, False])
def test_an_empty_audio_cell_is_called_that(
    corpus: Path, command: Command, tmp_path: Path, *, with_id: bool
) -> None:
    frame = pd.read_csv(corpus, dtype=str)
    frame.loc[3, "audio"] = ""
    (frame.assign(id=[f"k{i}" for i in range(len(frame))]) if with_id else frame).to_csv(
        corpus, index=False
    )
    fit = ("fit", "prior", corpus, "--out", tmp_path / "model")
    code, _, err = command(*fit)
    assert code == 2 and "row 5" in err and "audio is empty" in err
    assert command(*fit, "--skip-bad")[0] == 0


@pytest.mark.parametrize("written", ["clips\\é 1.wav", "clips/%C3%A9%201.wav", "clips/é 1.wav"])
def test_a_path_is_found_under_other_spellings(tmp_path: Path, written: str) -> None:
    place = tmp_path / "clips" / "e\u0301 1.wav"
    place.parent.mkdir()
    place.touch()
    assert clips(tmp_path, f"{HEADER}{written},one,1\n").paths == [place]
    assert clips(tmp_path, f"{HEADER}{place.as_uri()},one,1\n").paths == [place]


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("000.WAV", "did you mean '000.wav'?"),
        ("000", "did you mean '000.wav'?"),
        ("000.wav ", "did you mean '000.wav'?"),
        ("clips/000.wav", "there is no folder"),
        ("https://example.org/a.wav", "an address is not fetched"),
    ],
)
def test_a_missing_file_names_the_one_alike(
    corpus: Path, command: Command, tmp_path: Path, written: str, says: str
) -> None:
    frame = pd.read_csv(corpus, dtype=str)
    frame.loc[4, "audio"] = written
    frame.to_csv(corpus, index=False)
    code, _, err = command("fit", "prior", corpus, "--out", tmp_path / "model")
    assert code == 2 and "row 6" in err and says in err and len(err.splitlines()) == 1


# Surrogates are no text, and what csv and pandas write of a lone \r they do not read themselves.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=12)
ROWS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6)


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "jsonl", "parquet"])
@FEW
@given(rows=ROWS)
def test_what_pandas_writes_comes_back(
    tmp_path: Path, suffix: str, rows: list[tuple[str, str]]
) -> None:
    frame = pd.DataFrame(rows, columns=["one", "two"], dtype=object)
    file = tmp_path / f"t.{suffix}"
    if suffix == "jsonl":
        frame.to_json(file, orient="records", lines=True, force_ascii=False)
    elif suffix == "parquet":
        frame.to_parquet(file)
    else:
        frame.to_csv(file, index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        assert read_table(file).to_numpy().tolist() == [list(row) for row in rows]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@FEW
@given(rows=ROWS)
def test_what_csv_writes_comes_back(
    tmp_path: Path, delimiter: str, rows: list[tuple[str, str]]
) -> None:
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([("one", "two"), *rows])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        assert read_table(tmp_path / "t.csv").to_numpy().tolist() == [list(row) for row in rows]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@FEW
@example(data=b'"\x01\n\x00"\r\x00', head=b"")
@given(
    data=st.binary(max_size=60)
    | st.text('",;\r\n\t {}[]:a1\ud800', max_size=40).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    ),
    head=st.sampled_from([b"", HEADER.encode(), b"\xff\xfe", b"\x1f\x8b", b"PAR1", b'{"audio":']),
)
def test_no_bytes_give_a_traceback(tmp_path: Path, suffix: str, data: bytes, head: bytes) -> None:
    file = table(tmp_path, head + data, f"t.{suffix}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        try:
            open_manifest(file, labelled=None)
        except UserError as error:
            assert "\n" not in str(error) and len(str(error)) < 600


def test_plain_and_quoted_tables_are_read_alike(tmp_path: Path) -> None:
    plain = HEADER + "".join(f"{i}.wav,word {i},{i % 2}\n" for i in range(50))
    stream = io.StringIO()
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows(csv.reader(io.StringIO(plain)))
    pd.testing.assert_frame_equal(
        read_table(table(tmp_path, plain)),
        read_table(table(tmp_path, gzip.compress(stream.getvalue().encode()), "q.csv.gz")),
        check_index_type=False,
    )


@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.csv.gz", "m.jsonl", "m.parquet"])
@FEW
@given(rows=ROWS, text=TEXTS)
def test_a_table_gets_columns_more(
    tmp_path: Path, name: str, rows: list[tuple[str, str]], text: str
) -> None:
    file, target = tmp_path / name, tmp_path / f"out-{name}"
    frame = pd.DataFrame(
        [("a", "\r", *rows[0]), *(("b", text, *row) for row in rows)], dtype=object
    )
    frame.columns = ["audio", "expected_text", "one", "two"]
    write_table(file, frame)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        read = read_table(file)
        scores = pd.DataFrame({"p_match": [0.25], "one": [7]}, index=read.index[:1])
        write = registry().datasets()["manifest"].write
        assert write is not None
        write(file, target, scores, None)
        found = read_table(target)
    assert read.to_numpy().tolist() == frame.to_numpy().tolist()
    for column in ("audio", "expected_text", "two"):
        assert found[column].tolist() == read[column].tolist()
    assert [float(found[column].iloc[0]) for column in scores] == [0.25, 7]
    assert found["p_match"].iloc[1:].isin(["", np.nan]).all()


def test_what_is_written_back_is_in_the_users_own_format(tmp_path: Path) -> None:
    more = pd.DataFrame({"p_match": [0.5]}, index=[2])
    file = table(tmp_path, "audio;expected_text\na.wav;hello\n")
    write_back(file, tmp_path / "out.csv", more)
    assert (tmp_path / "out.csv").read_text() == "audio;expected_text;p_match\na.wav;hello;0.5\n"
    file = table(tmp_path, '\n{"audio": "a", "words": [1]}\n{"audio": "é", "n": null}\n', "m.jsonl")
    write_back(file, tmp_path / "out.jsonl", more)
    lines = '{"audio": "a", "words": [1], "p_match": 0.5}\n{"audio": "é", "n": null}\n'
    assert (tmp_path / "out.jsonl").read_text() == lines
    audio = {"bytes": b"RIFF", "path": "a.wav"}
    pd.DataFrame({"audio": [audio], "words": [[1, 2]]}).to_parquet(tmp_path / "m.parquet")
    more.index = pd.Index([1])
    write_back(tmp_path / "m.parquet", tmp_path / "out.parquet", more)
    schema = parquet.read_schema(tmp_path / "m.parquet")
    assert parquet.read_schema(tmp_path / "out.parquet").names == ["audio", "words", "p_match"]
    assert parquet.read_schema(tmp_path / "out.parquet").field("audio") == schema.field("audio")
    write_back(tmp_path / "m.parquet", tmp_path / "out.csv", more)
    assert (tmp_path / "out.csv").read_text() == "audio,words,p_match\na.wav,[1 2],0.5\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.csv.gz"])
@pytest.mark.filterwarnings("ignore::audiomatch.errors.DataWarning")
def test_a_text_table_keeps_its_dialect(tmp_path: Path, name: str, end: str, encoding: str) -> None:
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    lines = ["# by hand", "Audio ;expected_text;;no", 'a;"one; ""é""";x;1', "", "b;two;;2"]

    def content(lines: list[str]) -> bytes:
        return mark + "".join(line + end for line in lines).encode(encoding)

    packed = name.endswith(".gz")
    data = content(lines)
    file = table(tmp_path, gzip.compress(data) if packed else data, name)
    rows = read_table(file).index
    more = pd.DataFrame({"p_match": [0.5, 0.25], "no": [7, 8]}, index=rows)

    def written(only: Any) -> bytes:
        write_back(file, tmp_path / f"out-{name}", more, only)
        found = (tmp_path / f"out-{name}").read_bytes()
        return gzip.decompress(found) if packed else found

    head = [lines[0], f"{lines[1]};p_match"]
    first, last = 'a;"one; ""é""";x;7;0.5', "b;two;;8;0.25"
    assert written(None) == content([*head, first, last])
    assert written([rows[1], rows[0]]) == content([*head, last, first])
