"""Answers without labels: models that plugins carry, verdicts, and estimates of a corpus."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import audiomatch
from audiomatch import MatcherInfo, ReadyModel, UserError, hookimpl
from audiomatch.audio import load_audio
from audiomatch.clips import Clips
from audiomatch.datasets.mini_screener import open_mini_screener
from audiomatch.errors import ClipError
from audiomatch.explanation import Explanation, WordEvidence
from audiomatch.model import digest_of_folder
from audiomatch.plugins import Registry
from audiomatch.prior import CorpusEstimates
from audiomatch.scored import ready_model
from audiomatch.speech import has_speech
from audiomatch.verdicts import thresholds, thresholds_at_precision
from tests.toys import Toy, leave_out_slow_floors, toy_plugin

Command = Callable[..., tuple[int, str, str]]
Plugin = Callable[..., Registry]


class Ear(Toy):
    """P(match) is what the clip's name says."""

    def predict(self, clips: Clips, run: audiomatch.Run) -> np.ndarray:
        names = [path.stem for path in clips.paths]
        return np.array([int(name) / 1000 if name.isdigit() else 0.5 for name in names])


def carrying(name: str, folder: Path, log_loss: float = math.inf) -> ModuleType:
    """A plugin of the matcher `name` whose package, the parent of `folder`, carries a model."""
    module = ModuleType(name)
    kept = ReadyModel(f"{folder.parent.name}:{folder.name}", digest_of_folder(folder), log_loss)

    @hookimpl
    def audiomatch_matchers() -> list[MatcherInfo]:
        return [MatcherInfo(name, "a toy", lambda: Ear, ready=kept)]

    module.audiomatch_matchers = audiomatch_matchers  # type: ignore[attr-defined]
    return module


@pytest.fixture
def ready(plugin: Plugin, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a fitted model that the package of the plugin `toy` carries."""
    plugin(toy=toy_plugin(Ear))
    (tmp_path / "carrier").mkdir()
    (tmp_path / "carrier" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = audiomatch.fit("toy", corpus).save(tmp_path / "carrier" / "kept")
    plugin(toy=carrying("toy", folder))
    return folder


def test_a_ready_model_is_listed_loaded_by_name_and_checked(
    ready: Path, command: Command, corpus: Path, tmp_path: Path
) -> None:
    listed = json.loads(command("matchers", "--json")[1])
    assert {row["matcher"]: row["ready"] for row in listed}["toy"] == "toy:ready"
    found = audiomatch.load("toy:ready")
    assert found.card.fit is not None and found.name == "toy:ready" and "toy:ready" in repr(found)
    assert audiomatch.load(ready).name == "toy"
    assert command("predict", "toy:ready", corpus, "--out", tmp_path / "p.csv")[0] == 0
    code, _, err = command("bench", corpus, "--matchers", "toy:ready")
    assert code == 2 and "toy:ready is fitted already" in err
    (ready / "rate.txt").write_text("0.9")
    code, _, err = command("predict", "toy:ready", corpus, "--out", tmp_path / "p.csv")
    assert code == 2 and "toy:ready" in err and "install it again" in err


@pytest.mark.parametrize(("stated", "taken"), [(0.4, "toy"), (0.1, "ant")])
def test_score_takes_the_ready_model_that_states_the_least_log_loss(
    ready: Path, plugin: Plugin, command: Command, corpus: Path, stated: float, taken: str
) -> None:
    plugin(ant=toy_plugin(Ear, "ant"))
    ant = audiomatch.fit("ant", corpus).save(ready.with_name("ant"))
    plugin(toy=carrying("toy", ready, 0.2), ant=carrying("ant", ant, stated))
    clip = next(corpus.parent.rglob("*.wav"))
    code, said, err = command("score", clip, "a text")
    assert code == 0 and said.splitlines()[0].endswith(f"by {taken}:ready"), err


@pytest.mark.plugins
def test_a_whisper_answers_where_it_is_installed_beside_others() -> None:
    assert ready_model() == "whisper:ready"


def test_a_matcher_without_a_ready_model_says_which_have_one(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin())
    code, _, err = command("predict", "toy:ready", corpus, "--out", tmp_path / "p.csv")
    assert code == 2 and err.count("\n") == 1 and "there is: none" in err
    code, _, err = command("score", corpus, "--out", tmp_path / "p.csv")
    assert code == 2 and "--model FOLDER" in err


def test_score_writes_the_clips_with_verdicts_and_what_is_left_out_beside_it(
    ready: Path, command: Command, corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scored.csv"
    code, said, err = command("score", corpus, "--out", out, "--drop", "0.25", "--json")
    assert code == 0, err
    facts = json.loads(said)
    kept, dropped = pd.read_csv(out), pd.read_csv(tmp_path / "scored-dropped.csv")
    assert len(kept) == facts["kept"] == 27 and len(dropped) == 9
    assert dropped["p_match"].is_monotonic_increasing
    assert dropped["p_match"].max() < kept["p_match"].min()
    assert set(kept["speaker"]) <= {f"s{i}" for i in range(5)}
    assert facts["warning"] and 0 <= facts["wrong"]["low"] <= facts["wrong"]["high"] <= 1
    assert set(kept["verdict"]) == {"mismatch"}  # all of them are under 0.05
    for name in ("all.jsonl", "all.parquet"):
        assert command("score", corpus, "--out", tmp_path / name, "--worst-first")[0] == 0
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [line["p_match"] for line in lines] == sorted(line["p_match"] for line in lines)


def test_score_keeps_the_format_of_the_table(
    ready: Path, command: Command, corpus: Path, tmp_path: Path
) -> None:
    file = corpus.with_name("own.csv")
    file.write_bytes(corpus.read_bytes().replace(b",", b";").replace(b"moon", b"m\xfcn"))
    out = corpus.with_name("out.csv")
    for how in (["--worst-first"], ["--keep", "0.5", "--worst-first"]):
        assert command("score", file, "--out", out, *how)[0] == 0
        head, *rows = out.read_bytes().decode("cp1252").splitlines()
        assert head.endswith(";speaker;p_match;p_corpus;verdict") and ";mün;" in "".join(rows)
        p = [float(row.split(";")[6]) for row in rows]
        assert p == sorted(p) and len(p) == (36 if len(how) == 1 else 18)
    dropped = corpus.with_name("out-dropped.csv").read_text("cp1252")
    assert dropped.startswith(head) and dropped.count("\n") == 19
    code, _, err = command("score", file, "--out", tmp_path / "new")
    assert code == 2 and "must end in one of .csv, .tsv, .jsonl, .parquet" in err
    code, _, err = command("score", file, "--out", corpus.parent)
    assert code == 2 and "is not empty; name a new folder" in err


@pytest.mark.parametrize(("half", "labels"), [("train", True), ("test", False)])
def test_score_writes_back_the_metadata_of_the_challenge(
    ready: Path, command: Command, corpus: Path, half: str, labels: bool
) -> None:
    folder, rows = corpus.parent, pd.read_csv(corpus).head(6)
    lines = [f"{row.audio},deletion,{row.expected_text},KG" for row in rows.itertuples()]
    (folder / f"{half}_metadata.csv").write_text(
        "\n".join(["filename,task,expected_text,grade", *lines, ""])
    )
    if labels:
        (folder / "train_labels.csv").write_text("filename,score\n000.wav,1\n")
    out = folder / "scored.csv"
    code, _, err = command("score", folder, "--dataset", "drivendata", "--out", out)
    assert code == 0, err
    head, *scored = out.read_text().splitlines()
    assert head == "filename,task,expected_text,grade,p_match,p_corpus,verdict"
    assert [line.rsplit(",", 3)[0] for line in scored] == lines


def test_score_of_one_clip_says_where_nobody_speaks(
    ready: Path, command: Command, tmp_path: Path
) -> None:
    spoken = open_mini_screener(None, True).paths[0]
    voice, tone = tmp_path / "990.ogg", tmp_path / "991.wav"
    shutil.copy(spoken, voice)
    soundfile.write(tone, 0.3 * np.sin(np.arange(16000) / 6), 16000)
    assert audiomatch.score(voice, "moon").verdict == "match"
    assert json.loads(command("score", tone, "moon", "--json")[1])["verdict"] == "no speech"
    samples, rate = soundfile.read(spoken)
    assert audiomatch.score(samples, "moon", rate=rate).verdict == "listen"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["clip.wav"], "what it should say"),
        (["data"], "--out"),
        (["data", "--out", "x.csv", "--keep", "2"], "between 0 and 1"),
        (["data", "--out", "x.csv", "--keep", "0.5", "--drop", "0.1"], "one of them"),
        (["clip.wav", "moon", "--out", "x.csv"], "TEXT"),
    ],
)
def test_score_refuses_in_one_line(command: Command, arguments: list[str], said: str) -> None:
    code, _, err = command("score", *arguments)
    assert code == 2 and err.count("\n") == 1 and said in err


def test_evaluate_scores_a_model_and_predict_says_that_it_can(
    ready: Path, command: Command, corpus: Path, tmp_path: Path
) -> None:
    code, out, _ = command("evaluate", "toy:ready", corpus, "--json")
    (row,) = json.loads(out)["rows"]
    assert code == 0 and 0 <= row["auroc"] <= 1 and row["matcher"] == "toy:ready"
    assert "AUROC" in command("evaluate", "toy:ready", corpus)[1]
    code, out, err = command("predict", "toy:ready", corpus, "--out", "-")
    assert code == 0 and out.startswith("id,p_match,verdict,expected_text,speaker\n")
    assert "audiomatch evaluate" in err
    clip = corpus.parent / "035.wav"
    assert command("predict", "toy:ready", clip, "--text", "soup")[1] == "0.035000\n"


def test_predict_does_without_labels_that_cannot_be_read(
    ready: Path, command: Command, corpus: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(corpus, dtype=str)
    table.loc[3, "match"] = ""
    half, out = corpus.with_name("half.csv"), tmp_path / "p.csv"
    table.to_csv(half, index=False)
    code, _, err = command("predict", "toy:ready", half, "--out", out)
    assert code == 0 and len(pd.read_csv(out)) == 36 and "audiomatch evaluate" in err
    table.drop(columns="match").to_csv(half, index=False)
    code, _, err = command("predict", "toy:ready", half, "--out", out)
    assert code == 0 and "audiomatch evaluate" not in err


def test_speech_is_looked_for_once(
    ready: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = audiomatch.load("toy:ready", cache=tmp_path / "cache")
    clip = corpus.parent / "035.wav"
    first = audiomatch.score(clip, "soup", model=model)
    monkeypatch.setattr("audiomatch.speech.has_speech", lambda _: pytest.fail("heard again"))
    assert audiomatch.score(clip, "soup", model=model) == first


def test_skip_bad_keeps_a_row_for_every_clip_asked(
    ready: Path, command: Command, corpus: Path, tmp_path: Path
) -> None:
    (corpus.parent / "003.wav").write_bytes(b"")
    out = tmp_path / "p.csv"
    code, _, err = command("predict", "toy:ready", corpus, "--out", out, "--skip-bad")
    read = pd.read_csv(out)
    assert (
        code == 0
        and len(read) == 36
        and read["p_match"].isna().tolist() == [i == 3 for i in range(36)]
    )
    assert "no p_match" in err
    layout = tmp_path / "dd"
    shutil.copytree(corpus.parent, layout / "test")
    names = [f"{i:03}.wav" for i in range(4)]
    pd.DataFrame({"filename": names, "task": "t", "expected_text": "moon", "grade": "KG"}).to_csv(
        layout / "test_metadata.csv", index=False
    )
    (layout / "submission_format.csv").write_text(
        "filename,score\n" + "".join(f"{name},0.0\n" for name in reversed(names))
    )
    code, _, err = command("predict", "toy:ready", layout, "--out", out, "--skip-bad")
    read = pd.read_csv(out)
    assert read["filename"].tolist() == names[::-1]
    assert read["score"].tolist() == [0.5, 0.002, 0.001, 0.0] and "0.500" in err


def test_the_card_keeps_the_thresholds_of_the_cost(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin(Ear))
    model = tmp_path / "model"
    assert command("fit", "toy", corpus, "--out", model, "--listen-cost", "0.2")[0] == 0
    card = json.loads((model / "audiomatch.json").read_text())
    at = {"mismatch": 0.2, "match": 0.8, "listen_cost": 0.2, "held_out": None}
    assert card["thresholds"] == at
    assert card["fit"]["match_rate"] == 0.5
    again = audiomatch.load(model).save(tmp_path / "again")
    assert json.loads((again / "audiomatch.json").read_text())["thresholds"] == card["thresholds"]
    code, _, err = command("fit", "toy", corpus, "--out", model, "--listen-cost", "0.7")
    assert code == 2 and "listen_cost 0.7" in err


class Longer(Toy):
    """P(match) is how long a clip is for its text; counts the clips of each fit."""

    sizes: ClassVar[list[int]] = []

    def fit(self, train: Clips, run: audiomatch.Run) -> None:
        self.sizes.append(len(train))
        super().fit(train, run)

    def predict(self, clips: Clips, run: audiomatch.Run) -> np.ndarray:
        return np.minimum(clips.seconds / [0.11 * len(text) for text in clips.texts], 1)


def test_held_out_clips_decide_what_is_a_verdict(
    plugin: Plugin, command: Command, corpus: Path, tmp_path: Path
) -> None:
    plugin(toy=toy_plugin(Longer))
    model = tmp_path / "model"
    code, _, err = command("fit", "toy", corpus, "--out", model, "--target-precision", "0.9")
    assert code == 0, err
    *inner, whole = Longer.sizes
    assert whole == 36 and len(inner) == 3 and sum(36 - size for size in inner) == 36
    at = json.loads((model / "audiomatch.json").read_text())["thresholds"]
    assert 0.5 <= at["mismatch"] == at["match"] <= 0.9 and at["listen_cost"] is None
    held_out = at["held_out"]
    assert (held_out["clips"], held_out["folds"], held_out["target_precision"]) == (36, 3, 0.9)
    assert held_out["match_precision"] == held_out["mismatch_recall"] == 1
    for options, said in (
        (["--target-precision", "0.4"], "over 0.5"),
        (["--target-precision", "0.9", "--listen-cost", "0.1"], "give one"),
    ):
        code, _, err = command("fit", "toy", corpus, "--out", model, *options)
        assert code == 2 and said in err and err.count("\n") == 1


@given(data=st.data(), target=st.floats(0.51, 1))
def test_thresholds_have_the_precision_asked_for(data: st.DataObject, target: float) -> None:
    tenths = st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=2, max_size=40)
    rows = [*data.draw(tenths), (5, True), (5, False)]
    p, labels = np.array([x for x, _ in rows]) / 10, np.array([y for _, y in rows], dtype=np.int8)
    at = thresholds_at_precision(p, labels, target, 3)
    assert at.mismatch <= at.match and at.held_out is not None
    for given_, label, precision in (
        (p >= at.match, 1, at.held_out.match_precision),
        ((p <= at.mismatch) & (p < at.match), 0, at.held_out.mismatch_precision),
    ):
        assert precision == ((labels[given_] == label).mean() if given_.any() else None)
        if precision is not None and at.mismatch < at.match and at.mismatch > 0 and at.match < 1:
            assert precision >= target


@given(cost=st.floats(0.001, 0.5))
def test_a_verdict_costs_less_than_listening(cost: float) -> None:
    at = thresholds(cost)
    assert at.mismatch <= cost and 1 - at.match <= cost + 1e-12
    with pytest.raises(UserError, match="listen_cost"):
        thresholds(cost + 0.5)


@settings(max_examples=15, deadline=None)
@given(wrong=st.floats(0.02, 0.5), seed=st.integers(0, 99))
def test_the_share_of_wrong_texts_is_found_of_calibrated_probabilities(
    wrong: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.random(4000) >= wrong
    # Two normal densities: of a classifier fitted on halves, the logit is 2 * 1.5 * x.
    x = generator.normal(np.where(labels, 1.5, -1.5))
    found = CorpusEstimates(1 / (1 + np.exp(-3 * x)), 0.5)
    assert abs(1 - found.rate - wrong) < 0.03
    best = found.adapted >= np.quantile(found.adapted, wrong)
    estimate = found.matches_among(best)
    assert estimate.low <= estimate.value <= estimate.high
    assert abs(estimate.value - labels[best].mean()) < 0.03


@pytest.mark.parametrize("seconds", [0.3, 3])
def test_only_speech_is_speech(seconds: float) -> None:
    generator = np.random.default_rng(0)
    time = np.arange(int(seconds * 16000)) / 16000
    noise = generator.standard_normal(len(time))
    pink = np.fft.irfft(np.fft.rfft(noise) / np.sqrt(np.arange(len(time) // 2 + 1) + 1), len(time))
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (262, 330, 392))
    for sound in (0 * time, 0.1 * noise, 0.3 * pink, 0.1 * chord, 0.3 * np.sin(2765 * time)):
        assert not has_speech(sound.astype(np.float32))


def test_a_melody_is_no_speech_and_a_voice_is() -> None:
    generator = np.random.default_rng(0)
    notes = []
    for _ in range(12):
        time = np.arange(int(16000 * generator.uniform(0.15, 0.5))) / 16000
        hertz = 220 * 2 ** (generator.integers(0, 24) / 12)
        tones = [np.sin(2 * np.pi * hertz * k * time) / k**1.5 for k in range(1, 7)]
        notes.append(0.2 * np.exp(-3 * time) * np.sum(tones, axis=0))
    assert not has_speech(np.concatenate(notes).astype(np.float32))
    assert has_speech(load_audio(open_mini_screener(None, True).paths[0]))


class Picky(Ear):
    """Takes no text of several words."""

    def refuses(self, clips: Clips, run: audiomatch.Run) -> list[str | None]:
        return [f"{text!r} is long" if " " in text else None for text in clips.texts]

    def fit(self, train: Clips, run: audiomatch.Run) -> None:
        assert not any(" " in text for text in train.texts)
        super().fit(train, run)

    def explain(self, clips: Clips, run: audiomatch.Run) -> list[Explanation]:
        words = (WordEvidence("moon", 0.5, 0.0, 0.0, 0.1, (), "", ""),)
        return [Explanation(name, "moon", 0.5, "", words) for name in clips.ids]


@pytest.fixture
def picky(plugin: Plugin, command: Command, corpus: Path, tmp_path: Path) -> Path:
    """A model of a matcher that refuses half of the clips of `corpus`."""
    plugin(toy=toy_plugin(Picky))
    model = tmp_path / "model"
    code, _, err = command("fit", "toy", corpus, "--out", model)
    assert code == 2 and "'paper boat' is long" in err and "row 3" in err and "--skip-bad" in err
    assert command("fit", "toy", corpus, "--out", model, "--skip-bad")[0] == 0
    card = json.loads((model / "audiomatch.json").read_text())
    assert card["fit"]["clips"] == 18 and len(card["fit"]["skipped"]) == 18
    return model


def test_what_a_model_refuses_is_named_or_left_out_with_the_reason(
    picky: Path, command: Command, corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    asked = [
        ("predict", picky, corpus, "--out", out),
        ("score", corpus, "--model", picky, "--out", out),
        ("explain", picky, corpus, "--out", out),
        ("evaluate", picky, corpus, "--json"),
    ]
    for arguments in asked:
        code, _, err = command(*arguments)
        assert code == 2 and err.count("is long") == 1 and "--skip-bad" in err, arguments
        code, said, err = command(*arguments, "--skip-bad")
        assert code == 0 and "left out 18 clips" in err, (arguments, err)
        if arguments[0] in ("predict", "score"):
            rows = [json.loads(line) for line in out.read_text().splitlines()]
            assert len(rows) == 36 and "NaN" not in out.read_text()
            for row in rows:
                assert ("p_match" in row, row.get("skipped")) == (
                    (False, f"{row['expected_text']!r} is long")
                    if " " in row["expected_text"]
                    else (True, None)
                )
    assert len(json.loads(said)["skipped"]) == 18
    clip = corpus.parent / "000.wav"
    for one in (["score", clip, "a b", "--model", picky], ["explain", picky, clip, "a b"]):
        code, _, err = command(*one)
        assert code == 2 and "is long" in err and "--skip-bad" not in err
    with pytest.raises(ClipError, match="is long"):
        audiomatch.load(picky).predict_one(clip, "a b")
    found = audiomatch.load(picky).predict(corpus, skip_bad=True)
    assert np.isnan(found).sum() == 18


def test_clips_that_cannot_be_scored_are_among_those_dropped(
    picky: Path, command: Command, corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    command("score", corpus, "--model", picky, "--out", out, "--drop", "0.5", "--skip-bad")
    kept, dropped = pd.read_csv(out), pd.read_csv(tmp_path / "out-dropped.csv")
    assert len(kept) == 9 and kept["p_match"].notna().all()
    assert len(dropped) == 27 and dropped["skipped"].notna().sum() == 18


def test_mismatches_made_are_asked_about_too(
    plugin: Plugin,
    command: Command,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leave_out_slow_floors(plugin(toy=toy_plugin(Picky)), monkeypatch)
    short = pd.read_csv(corpus)
    short = short[~short["expected_text"].str.contains(" ")].assign(match=1)
    short.to_csv(corpus, index=False)
    run, model = tmp_path / "run", tmp_path / "model"
    fit = ("fit", "toy", corpus, "--negatives", "replace,insert", "--out", model)
    bench = ("bench", corpus, "--matchers", "toy", "--negatives", "replace,insert", "--folds", "2")
    for arguments in (fit, (*bench, "--out", run)):
        code, _, err = command(*arguments)
        assert code == 2 and "a mismatch made of it (insert)" in err and "--skip-bad" in err
        assert command(*arguments, "--skip-bad")[0] == 0
    card = json.loads((model / "audiomatch.json").read_text())["fit"]
    record = json.loads((run / "run.json").read_text())
    assert card["clips"] == 27 and len(card["skipped"]) == 9
    assert len(record["folds"]["skipped"]) == 9 and record["data"]["skipped"] == []
    assert "a mismatch made of it (insert)" in (run / "report.html").read_text()


def test_what_is_odd_about_a_clip_is_kept_with_the_answer(
    plugin: Plugin,
    command: Command,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leave_out_slow_floors(plugin(toy=toy_plugin(Ear)), monkeypatch)
    quiet = corpus.parent / "003.wav"
    soundfile.write(quiet, 1e-4 * np.sin(np.arange(8000) / 6), 16000)
    model, out, run = tmp_path / "model", tmp_path / "out.csv", tmp_path / "run"
    command("fit", "toy", corpus, "--out", model)
    command("bench", corpus, "--matchers", "toy", "--folds", "3", "--out", run)
    answers = [
        json.loads((model / "audiomatch.json").read_text())["fit"],
        json.loads((run / "run.json").read_text())["data"],
        json.loads(command("predict", model, corpus, "--out", out, "--json")[1]),
        json.loads(command("score", corpus, "--model", model, "--out", out, "--json")[1]),
        json.loads(command("evaluate", model, corpus, "--json")[1]),
        json.loads(command("predict", model, quiet, "--text", "moon", "--json")[1]),
        json.loads(command("score", quiet, "moon", "--model", model, "--json")[1]),
    ]
    for answer in answers:
        (warning,) = answer["warnings"]
        assert "003.wav is nearly silent" in warning
    assert "003.wav is nearly silent" in (run / "report.html").read_text()
