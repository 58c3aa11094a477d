"""Corrected labels, in the place of those of the data."""

from __future__ import annotations

import pytest

from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.inputs import open_data
from audiomatch.records import RunRecord
from audiomatch.relabelling import read_labels, relabelled


@pytest.fixture
def clips(corpus) -> Clips:
    return open_data(corpus, labelled=True).clips


def test_labels_are_replaced_by_id_and_what_is_unknown_is_named(clips, tmp_path):
    file = tmp_path / "labels.csv"
    first, second = clips.ids[:2]
    file.write_text(f"id,match,by,when\n{first},{1 - clips.labels[0]},me,\n{second},"
                    f"{clips.labels[1]},me,\ngone,1,me,\n")  # fmt: skip
    said = []
    found, changed = relabelled(clips, read_labels(file), said.append)
    assert changed == 1 and (found.labels != clips.labels).tolist() == [True] + [False] * 35
    assert "1 of 36 clips" in said[0] and said[1] == "--labels: 1 of 3 ids are not there: 'gone'"
    assert relabelled(clips, {}, said.append) == (clips, 0) and len(said) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id,label\na,1\n", "no column 'match'; needs id and match"),
        ("id,match\na,1\nb,maybe\n", "row 3: match is 'maybe'; must be 0 or 1"),
        ("id,match\na,1\na,0\n", "row 3: the id 'a' has a label already"),
        ("", "labels.csv"),
    ],
)
def test_a_table_that_is_none_is_refused_with_its_row(tmp_path, text, problem):
    file = tmp_path / "labels.csv"
    file.write_text(text)
    with pytest.raises(UserError, match=problem.replace("(", "[(]")):
        read_labels(file)


def test_bench_takes_them(corpus, command, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("id,match\n000.wav,1\n")
    how = ("--matchers", "base-rate", "--folds", 2, "--out", tmp_path / "run")
    code, _, err = command("bench", corpus, *how, "--labels", file)
    assert code == 0 and "1 of 36 clips" in err
    assert "36 clips of 6 groups, 2 folds, cpu: floors base-rate, prior" in err
    assert RunRecord.read(tmp_path / "run" / "run.json").data.relabelled == 1
