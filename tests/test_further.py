"""Data that a matcher learns from beyond the training part."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import soundfile
from pydantic import Field

from audiomatch import Matcher, MatcherInfo, Run, UserError
from audiomatch.clips import Clips
from audiomatch.further import further_digest, open_further
from audiomatch.matcher import Flag
from audiomatch.model import load_model
from audiomatch.plugins import Registry
from audiomatch.spec import parse_matcher
from tests.conftest import write_tone
from tests.toys import Toy, ToyConfig, toy_plugin

Command = Callable[..., tuple[int, str, str]]
Plugin = Callable[..., Registry]


class WarmConfig(ToyConfig):
    warm_up: str = Field("", description="what it reads first")


class Warm(Toy):
    """Counts the clips of the data it is told to read first."""

    Config = WarmConfig

    def further_data(self) -> list[str]:
        return [self.config.warm_up] if self.config.warm_up else []

    def fingerprint(self) -> dict[str, str]:
        return {data: further_digest(data) for data in self.further_data()}

    def fit(self, train: Clips, run: Run) -> None:
        super().fit(train, run)
        run.note(read=sum(len(open_further(data, run)) for data in self.further_data()))


FLAG = Flag("warm-up", "warm_up", "DATA", "what it reads first")


def warm_plugin() -> ModuleType:
    info = MatcherInfo("warm", "", lambda: Warm, flags=(FLAG,))
    return toy_plugin(audiomatch_matchers=lambda: [info])


@pytest.fixture
def further(tmp_path: Path) -> Path:
    """Six transcribed clips of their own, without labels."""
    folder = tmp_path / "further"
    folder.mkdir()
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["audio", "expected_text"])
        for i in range(6):
            write_tone(folder / f"{i}.wav", 0.2, hertz=200 + 10 * i)
            writer.writerow([f"{i}.wav", "moon"])
    return folder


@pytest.fixture
def bench(plugin: Plugin, command: Command, corpus: Path, tmp_path: Path) -> Any:
    """Compare matchers on the corpus, with a warm one among those that are installed."""
    plugin(toy=toy_plugin(), warm=warm_plugin())

    def run(matchers: str, *more: object) -> tuple[int, str, str]:
        return command(
            *("bench", corpus, "--matchers", matchers, "--folds", 2, "--out", tmp_path / "run"),
            *("--json", *more),
        )

    return run


def refused(answer: tuple[int, str, str], says: str) -> None:
    code, out, err = answer
    assert code == 2 and not out
    assert len(err.strip().splitlines()) == 1 and says in err, err


def test_it_is_given_to_the_matchers_that_have_the_option(
    bench: Any, further: Path, tmp_path: Path
) -> None:
    code, out, err = bench("toy,warm,ensemble@members=(toy)", "--warm-up", further)
    assert code == 0, err
    names = {row["matcher"] for row in json.loads(out)["rows"]}
    assert {"toy", f"warm@warm_up={further}", "ensemble@members=(toy)"} <= names
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    notes = [r["notes"] for r in run["results"] if r["matcher"].startswith("warm")]
    assert notes == [{"read": 6}] * 2


def test_what_a_matcher_is_told_by_name_goes_first(
    bench: Any, further: Path, tmp_path: Path
) -> None:
    code, out, _ = bench(f"warm@warm_up={further}/manifest.csv,warm", "--warm-up", further)
    names = {row["matcher"] for row in json.loads(out)["rows"]}
    assert code == 0
    assert {f"warm@warm_up={further}/manifest.csv", f"warm@warm_up={further}"} <= names


def test_no_matcher_with_the_option(bench: Any, command: Command, further: Path) -> None:
    refused(bench("toy", "--warm-up", further), "--warm-up: no matcher named takes it (toy)")
    refused(
        command("fit", "toy", "--out", "x", "--warm-up", further), "no matcher named takes it (toy)"
    )


def test_the_help_shows_the_flags_of_what_is_installed(plugin: Plugin, command: Command) -> None:
    plugin(warm=warm_plugin())
    for name in ("bench", "fit"):
        _, out, _ = command(name, "--help")
        assert "--warm-up DATA" in out and "what it reads first" in out
    plugin(toy=toy_plugin())
    assert "--warm-up" not in command("bench", "--help")[1]
    code, _, err = command("bench", "--matchers", "toy", "--warm-up", "x")
    assert code == 2 and "--warm-up" in err


def test_a_flag_with_the_name_of_a_commands_own_is_left_out(
    plugin: Plugin, command: Command
) -> None:
    info = MatcherInfo("warm", "", lambda: Warm, flags=(Flag("seed", "warm_up", "X", "mine"),))
    plugin(warm=toy_plugin(audiomatch_matchers=lambda: [info]))
    code, out, err = command("bench", "--help")
    assert code == 0 and out.count("--seed") == 1 and "mine" not in out
    assert "warm unknown: the flag --seed is the command's own; it is left out" in err


@pytest.mark.parametrize("option", ["flag", "own", "in an ensemble"])
def test_audio_of_the_clips_compared_is_refused(
    bench: Any, corpus: Path, further: Path, tmp_path: Path, option: str
) -> None:
    (further / "1.wav").write_bytes((corpus.parent / "001.wav").read_bytes())
    samples, rate = soundfile.read(corpus.parent / "004.wav", dtype="int16")
    soundfile.write(further / "4.wav", samples, rate, format="FLAC")  # other bytes, the same sound
    says = f"{further}: the audio of 2 of its 6 clips is among the clips compared"
    named = f"warm@warm_up={further}"
    answer = {
        "flag": lambda: bench("toy,warm", "--warm-up", further),
        "own": lambda: bench(f"toy,{named}"),
        "in an ensemble": lambda: bench(f"ensemble@members=(toy,{named})"),
    }[option]()
    refused((answer[0], answer[1], _last(answer[2])), says)
    assert not (tmp_path / "run" / "leaderboard.json").exists()


def test_a_changed_corpus_is_not_replayed(bench: Any, further: Path) -> None:
    Warm.fits = 0
    bench("warm", "--warm-up", further)
    bench("warm", "--warm-up", further)
    assert Warm.fits == 2
    write_tone(further / "3.wav", 0.3)
    bench("warm", "--warm-up", further)
    assert Warm.fits == 4


def test_a_manifests_own_column_sha256_decides_nothing(further: Path, run: Run) -> None:
    manifest = further / "manifest.csv"
    head, *rows = manifest.read_text().splitlines()
    table = [f"{head},sha256", *(f"{row},{'0' * 64}" for row in rows)]
    manifest.write_text("\n".join(table) + "\n")
    before = further_digest(str(further))
    assert "0" * 64 not in open_further(str(further), run).digests
    write_tone(further / "3.wav", 0.3)
    assert further_digest(str(further)) != before


def test_a_clip_that_cannot_be_read_names_data_and_row(bench: Any, further: Path) -> None:
    (further / "2.wav").write_bytes(b"no sound at all")
    code, _, err = bench("warm", "--warm-up", further)
    where = f"{further}, row 4 (id '2.wav')"
    assert code == 2 and where in _last(err) and "--skip-bad" not in err
    (further / "2.wav").unlink()
    code, _, err = bench("warm", "--warm-up", further)
    assert code == 2 and where in _last(err) and "no such audio file" in err
    (further / "manifest.csv").write_text("audio,said\n0.wav,moon\n")
    code, _, err = bench("warm", "--warm-up", further)
    assert code == 2 and f"{further}: manifest.csv: no column 'expected_text'" in _last(err)
    code, _, err = bench("warm", "--warm-up", further / "none")
    assert code == 2 and f"no such file or folder: {further / 'none'}" in _last(err)


def test_fit_keeps_it_in_the_model(
    plugin: Plugin, command: Command, corpus: Path, further: Path, tmp_path: Path
) -> None:
    made = plugin(warm=warm_plugin())
    code, out, err = command(
        *("fit", "warm", corpus, "--out", tmp_path / "model", "--warm-up", further, "--json")
    )
    assert code == 0, err
    assert json.loads(out)["notes"] == {"read": 6}
    matcher, card = load_model(tmp_path / "model", made)
    assert matcher.config.warm_up == str(further)
    assert parse_matcher(card.matcher) == parse_matcher(f"warm@warm_up={further}")


@pytest.mark.parametrize("path", ["a,b.csv", "me@home.csv", "a(.csv", " a.csv", ""])
def test_a_path_that_a_name_cannot_hold(bench: Any, path: str) -> None:
    refused(bench("warm", "--warm-up", path), f"warm_up={path!r}: an option's value may not")


@pytest.mark.parametrize("labels", [True, False])
def test_labels_come_along_where_there_are_any(corpus: Path, run: Run, labels: bool) -> None:
    text = corpus.read_text()
    corpus.write_text(text if labels else text.replace("match", "other", 1))
    assert open_further(str(corpus), run).labelled == labels


@pytest.mark.parametrize("labels", [True, False])
def test_the_challenges_layout_with_and_without_labels(
    tmp_path: Path, run: Run, labels: bool
) -> None:
    write_tone(tmp_path / "a.wav", 0.3)
    half = "train" if labels else "test"
    (tmp_path / f"{half}_metadata.csv").write_text(
        "filename,task,expected_text,grade\na.wav,deletion,cow,KG\n"
    )
    if labels:
        (tmp_path / "train_labels.csv").write_text("filename,score\na.wav,1.0\n")
    assert open_further(str(tmp_path), run).labelled == labels


def test_a_matcher_has_none_by_itself() -> None:
    assert Matcher.further_data(Toy(ToyConfig())) == []
    with pytest.raises(UserError, match="nowhere"):
        further_digest("nowhere")


def _last(err: str) -> str:
    return err.strip().splitlines()[-1]
