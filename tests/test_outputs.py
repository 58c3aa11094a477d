"""What a command writes is never what it reads."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import audiomatch

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def model(corpus: Path, command: Command, tmp_path: Path) -> Path:
    assert command("fit", "prior", corpus, "--out", tmp_path / "model")[0] == 0
    return tmp_path / "model"


def spellings(file: Path) -> dict[str, Path]:
    """Return paths that all lead to `file`."""
    symbolic, hard = file.with_name("symbolic.csv"), file.with_name("hard.csv")
    symbolic.symlink_to(file)
    os.link(file, hard)
    return {
        "same": file,
        "dots": file.parent / ".." / file.parent.name / file.name,
        "symbolic": symbolic,
        "hard": hard,
    }


@pytest.mark.parametrize("spelling", ["same", "dots", "symbolic", "hard"])
@pytest.mark.parametrize("verb", ["predict", "explain"])
def test_a_manifest_is_not_written_over(
    model: Path, corpus: Path, command: Command, verb: str, spelling: str
) -> None:
    before, out = corpus.read_bytes(), spellings(corpus)[spelling]
    code, _, err = command(verb, model, corpus, "--out", out)
    assert code == 2 and f"--out {out}: is the input" in err and corpus.read_bytes() == before
    code, _, err = command(verb, model, corpus.parent, "--out", out)
    assert code == 2 and f"--out {out}: is the input" in err and corpus.read_bytes() == before


def test_other_files_in_the_folder_of_a_manifest_may_be_written(
    model: Path, corpus: Path, command: Command
) -> None:
    for _ in range(2):
        assert command("predict", model, corpus.parent, "--out", corpus.parent / "p.csv")[0] == 0


@pytest.mark.parametrize("name", ["train_metadata.csv", "train_labels.csv", "test_metadata.csv"])
def test_the_tables_of_the_challenge_are_not_written_over(
    model: Path, corpus: Path, command: Command, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "challenge"
    folder.mkdir()
    for table in ("train_metadata.csv", "test_metadata.csv", "train_labels.csv"):
        (folder / table).write_text("filename\n")
    code, _, err = command("predict", model, folder, "--out", folder / name)
    assert code == 2 and "is the input" in err and (folder / name).read_text() == "filename\n"


def test_a_folder_that_holds_the_data_is_no_output(
    model: Path, corpus: Path, command: Command
) -> None:
    inside = model / "data.csv"
    shutil.copy(corpus, inside)
    for call in (
        ("fit", "prior", inside, "--out", model),
        ("bench", corpus, "--matchers", "prior", "--out", corpus.parent),
        ("bench", corpus.parent, "--matchers", "prior", "--out", corpus.parent),
        ("bench", corpus.parent, "--matchers", "prior", "--out", corpus.parent.parent),
        ("predict", model, corpus, "--out", inside),
    ):
        code, _, err = command(*call)
        assert code == 2 and "the input" in err
    with pytest.raises(audiomatch.UserError, match="holds the input"):
        audiomatch.compare(corpus, "prior", out=corpus.parent)
    assert inside.is_file()


def test_what_is_dropped_is_not_written_over_the_data(
    corpus: Path, model: Path, command: Command, tmp_path: Path
) -> None:
    data = corpus.with_name("best-dropped.csv")
    shutil.copy(corpus, data)
    out = corpus.with_name("best.csv")
    code, _, err = command("score", data, "--model", model, "--keep", "0.5", "--out", out)
    assert code == 2 and "best-dropped.csv: is the input" in err
    assert data.read_bytes() == corpus.read_bytes()
