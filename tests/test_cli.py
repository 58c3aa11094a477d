from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from audiomatch.plugins import Registry
from tests.conftest import write_tone
from tests.toys import toy_plugin

Command = Callable[..., tuple[int, str, str]]


def test_help_and_lists_import_nothing_heavy() -> None:
    for arguments, forbidden in (
        (["--help"], {"torch", "pandas", "sklearn", "numpy", "transformers"}),
        (["matchers"], {"torch", "pandas", "sklearn", "transformers"}),
        (["matchers", "--json"], {"torch", "pandas", "sklearn", "transformers"}),
    ):
        code = (
            "import sys; from audiomatch.cli import main\n"
            f"sys.argv = ['audiomatch', *{arguments!r}]\n"
            "try: main()\n"
            "except SystemExit as stop: assert not stop.code, stop.code\n"
            f"print('HEAVY', sorted({forbidden!r} & sys.modules.keys()))"
        )
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.splitlines()[-1] == "HEAVY []"


def test_bench_fit_predict_round_trip(
    plugin: Callable[..., Registry], command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin())
    code, out, _ = command("fit", "toy:weak", corpus, "--out", tmp_path / "model", "--json")
    assert code == 0 and json.loads(out)["clips"] == 36
    for name in ("p.csv", "p.parquet"):
        assert command("predict", tmp_path / "model", corpus, "--out", tmp_path / name)[0] == 0
    read = pd.read_csv(tmp_path / "p.csv")
    assert read["id"].tolist() == pd.read_csv(corpus)["audio"].tolist()
    assert (read["p_match"] == 0.5).all()
    pd.testing.assert_frame_equal(read, pd.read_parquet(tmp_path / "p.parquet"))
    card = json.loads((tmp_path / "model" / "audiomatch.json").read_text())
    assert card["config"] == {"strength": 0.1} and card["matcher"] == "toy:weak"


def test_an_older_name_of_a_preset_works_and_one_line_says_the_newer(
    plugin: Callable[..., Registry], command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin())
    code, _, err = command("fit", "toy:feeble", corpus, "--out", tmp_path / "model")
    assert code == 0
    said = "audiomatch: toy:feeble is called toy:weak; the older name goes with the next release"
    assert err.splitlines().count(said) == 1
    card = json.loads((tmp_path / "model" / "audiomatch.json").read_text())
    assert card["config"] == {"strength": 0.1}


def test_drivendata_predictions_follow_the_metadata(
    plugin: Callable[..., Registry], command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin())
    command("fit", "toy", corpus, "--out", tmp_path / "model")
    names = ["z.wav", "a.wav", "m.wav"]
    for name in names:
        write_tone(tmp_path / name, 0.3)
    rows = [f"{name},deletion,cow,KG\n" for name in names]
    (tmp_path / "test_metadata.csv").write_text(
        "filename,task,expected_text,grade\n" + "".join(rows)
    )
    assert command("predict", tmp_path / "model", tmp_path, "--out", tmp_path / "s.csv")[0] == 0
    written = pd.read_csv(tmp_path / "s.csv")
    assert written.columns.tolist() == ["filename", "score"]
    assert written["filename"].tolist() == names


def bad(name: str, corpus: Path) -> None:
    folder = corpus.parent
    if name == "missing":
        (folder / "004.wav").unlink()
    elif name == "unreadable":
        (folder / "004.wav").write_bytes(os.urandom(500))
    elif name == "empty":
        soundfile.write(folder / "004.wav", np.zeros(0), 16_000)
    else:
        soundfile.write(folder / "004.wav", np.zeros(31 * 16_000), 16_000)


@pytest.mark.parametrize("name", ["missing", "unreadable", "empty", "long"])
def test_bad_clips_are_named_or_skipped(
    plugin: Callable[..., Registry], command: Command, corpus: Path, tmp_path: Path, name: str
) -> None:
    plugin(toy=toy_plugin())
    bad(name, corpus)
    run = ("bench", corpus, "--matchers", "toy", "--folds", 2, "--out", tmp_path / "run")
    code, _, err = command(*run)
    assert code == 2 and "manifest.csv, row 6 (id '004.wav')" in err and "Traceback" not in err
    code, _, err = command(*run, "--skip-bad")
    assert code == 0 and "left out 1 clip" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["bench", "nowhere", "--matchers", "toy"], "no such file or folder: nowhere"),
        (["bench", "DATA", "--matchers", "toi"], "did you mean 'toy'"),
        (["bench", "DATA", "--matchers", "toy:strong"], "no preset of toy 'strong'"),
        (["bench", "DATA", "--matchers", "toy@size=1"], "no option 'size'"),
        (["bench", "DATA", "--matchers", "toy@strength=99"], "option 'strength'"),
        (["bench", "DATA", "--matchers", "toy", "--folds", "1"], "--folds"),
        (["bench", "DATA", "--matchers", "toy", "--folds", "7"], "6 groups"),
        (["bench", "DATA", "--matchers", "toy", "--device", "gpu"], "--device gpu"),
        (["bench", "DATA", "--matchers", "toy", "--device", "cuda:77"], "--device cuda:77"),
        (["bench", "DATA", "--matchers", "toy", "--group", "colour"], "--group colour"),
        (["bench", "DATA", "--matchers", "toy", "--limit", "0"], "--limit"),
        (["bench", "DATA", "--matchers", "toy", "--dataset", "manifset"], "did you mean"),
        (["bench", "DATA"], "--matchers"),
        (["fit", "toy", "DATA", "--out", "HERE"], "holds files that are not a model"),
        (["predict", "DATA", "DATA", "--out", "p.csv"], "not a model folder"),
        (["predict", "nowhere", "DATA", "--out", "p.csv"], "no such model folder"),
        (["predict", "nowhere", "DATA", "--out", "p.txt"], "must end in .csv, .jsonl or .parquet"),
        (["benhc"], "benhc"),
    ],
)
def test_bad_input_is_one_clear_line(
    plugin: Callable[..., Registry],
    command: Command,
    corpus: Path,
    arguments: list[str],
    says: str,
) -> None:
    plugin(toy=toy_plugin())
    places = {"DATA": str(corpus), "HERE": str(corpus.parent)}
    code, out, err = command(*(places.get(a, a) for a in arguments))
    assert code == 2 and says in err, err
    assert "Traceback" not in err and not out
    assert err.startswith("audiomatch:") and len(err.strip().splitlines()) == 1


def test_a_model_of_a_plugin_that_is_gone(
    plugin: Callable[..., Registry], command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin())
    command("fit", "toy", corpus, "--out", tmp_path / "model")
    plugin()
    code, _, err = command("predict", tmp_path / "model", corpus, "--out", tmp_path / "p.csv")
    assert code == 2 and "needs the matcher 'toy' of toy" in err


def test_copies_that_a_launcher_starts_are_refused(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for arguments in (("fit", "duration"), ("bench", "--matchers", "duration")):
        code, _, err = command(*arguments, "--out", str(tmp_path / "out"))
        assert code == 2
        assert "started 2 times at once by a launcher" in err
