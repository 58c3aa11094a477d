"""The Python face: `audiomatch.compare`, `fit`, `load`, `evaluate` and what they return."""

from __future__ import annotations

import gc
import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

import audiomatch
from audiomatch import ClipError, Clips, Model, UserError
from audiomatch.audio import load_audio
from audiomatch.errors import DataWarning, PluginError
from audiomatch.inputs import open_data
from audiomatch.plugins import Registry
from audiomatch.records import ModelCard
from tests.conftest import write_corpus
from tests.test_explain import Teller
from tests.toys import Toy, toy_plugin

Plugin = Callable[..., Registry]
Command = Callable[..., tuple[int, str, str]]
SLOW = {"torch", "sklearn", "scipy"}
HEAVY = {"torch", "numpy", "pandas", "sklearn", "scipy", "pluggy", "pydantic", "soundfile", "rich"}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, a cache and a folder for temporary files of the test's own."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("AUDIOMATCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Loud(Toy):
    """Gives the mean of |samples|, and of a text's length, so that clips can be told apart."""

    def predict(self, clips: Clips, run: Any) -> Any:
        pairs = zip(clips.paths, clips.texts, strict=True)
        return np.array([np.abs(load_audio(p)).mean() / 2 + len(t) / 1000 for p, t in pairs])


@pytest.fixture
def loud(plugin: Plugin, corpus: Path) -> Model:
    plugin(toy=toy_plugin(Loud))
    return audiomatch.fit("toy", corpus)


def memory(corpus: Path) -> list[tuple[Any, int, str, int]]:
    """The clips of a manifest as samples in memory."""
    table = pd.read_csv(corpus)
    read = [soundfile.read(corpus.parent / name, dtype="int16") for name in table["audio"]]
    rows = zip(read, table["expected_text"], table["match"], strict=True)
    return [(samples, rate, text, match) for (samples, rate), text, match in rows]


def frame(corpus: Path) -> pd.DataFrame:
    """The clips of a manifest as a data frame, paths below the working folder."""
    table = pd.read_csv(corpus)
    return table.assign(audio=[os.path.relpath(corpus.parent / name) for name in table["audio"]])


# The import


def test_the_import_brings_nothing_heavy() -> None:
    code = f"import sys, audiomatch; print(sorted({HEAVY!r} & sys.modules.keys()), dir(audiomatch))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("[] ")
    assert all(repr(name) in ran.stdout for name in audiomatch.__all__)


@pytest.mark.parametrize("name", ["load", "Clips", "Matcher"])
def test_a_name_brings_neither_torch_nor_scikit_learn(name: str) -> None:
    code = f"import sys; from audiomatch import {name}; print({SLOW!r} & sys.modules.keys())"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


def test_every_name_is_there_and_no_other() -> None:
    for name in audiomatch.__all__:
        assert getattr(audiomatch, name) is not None
    assert set(audiomatch.__all__) <= set(dir(audiomatch))
    with pytest.raises(AttributeError, match="no attribute 'Matchers'"):
        audiomatch.Matchers  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="Matchers"):
        exec("from audiomatch import Matchers")


# Data


def test_every_form_of_data_gives_the_same_predictions(loud: Model, corpus: Path) -> None:
    wanted = loud.predict(corpus)
    assert wanted.shape == (36,) and wanted.dtype == np.float64 and len(set(wanted)) > 30
    table = frame(corpus)
    floats = [(s.astype(np.float64) / 2**15, r, t) for s, r, t, _ in memory(corpus)]
    forms: list[Any] = [
        str(corpus),
        corpus.parent,
        table,
        table.drop(columns=["match", "task", "grade"]).set_index("speaker"),
        Clips(
            table.assign(id=[f"i{i}" for i in range(36)], audio=table["audio"].map(os.path.abspath))
        ),
        memory(corpus),
        iter([clip[:3] for clip in memory(corpus)]),
        floats,
    ]
    for data in forms:
        np.testing.assert_allclose(loud.predict(data), wanted, rtol=0, atol=1e-6)
    pd.testing.assert_frame_equal(table, frame(corpus))  # the caller's own is not touched
    for (samples, rate, text), p in zip(floats, wanted, strict=True):
        assert loud.predict_one(samples, text, rate=rate) == pytest.approx(p, abs=1e-6)
        break
    assert loud.predict_one(table["audio"][3], table["expected_text"][3]) == wanted[3]


def test_order_is_the_callers_and_a_bad_clip_is_nan(loud: Model, corpus: Path) -> None:
    table = frame(corpus).iloc[::-1]
    np.testing.assert_array_equal(loud.predict(table), loud.predict(corpus)[::-1])
    (corpus.parent / "004.wav").write_bytes(b"no audio")
    with pytest.raises(ClipError, match="data frame, row 4 .*skip-bad"):
        loud.predict(table)
    found = loud.predict(table, skip_bad=True)
    assert np.flatnonzero(np.isnan(found)).tolist() == [31] and len(found) == 36


def test_ids_are_made_and_unique_where_one_recording_has_several_texts(corpus: Path) -> None:
    table = pd.DataFrame({"audio": ["a.wav", "b.wav", "a.wav", "a.wav#2"], "expected_text": "moon"})
    clips = open_data(table, labelled=None).clips
    assert clips.ids == ["a.wav", "b.wav", "a.wav#3", "a.wav#2"]
    assert clips.paths[0] == Path.cwd() / "a.wav"


@pytest.mark.parametrize(
    ("kind", "full"), [("int16", 2**15), ("int32", 2**31), ("uint8", 128), ("float32", 1)]
)
def test_samples_of_every_type_and_channel_count(loud: Model, kind: str, full: int) -> None:
    tone = np.sin(np.arange(8_000) / 20) / 2
    silence = 128 if kind == "uint8" else 0
    samples = (tone * full + silence).astype(kind)
    wanted = loud.predict_one(tone, "moon", rate=16_000)
    assert loud.predict_one(samples, "moon", rate=16_000) == pytest.approx(wanted, abs=4e-3)
    both = np.stack([samples, samples], axis=1)
    assert loud.predict_one(both, "moon", rate=16_000.0) == pytest.approx(wanted, abs=4e-3)
    assert loud.predict_one(list(tone), "moon", rate=16_000) == wanted
    assert loud.predict_one(tone, "moon", rate=np.int64(16_000)) == wanted


@pytest.mark.plugins
def test_a_tensor_is_samples(loud: Model) -> None:
    import torch

    tone = np.sin(np.arange(8_000) / 20) / 2
    wanted = loud.predict_one(tone, "moon", rate=16_000)
    assert loud.predict_one(torch.tensor(tone), "moon", rate=16_000) == wanted


def test_files_of_clips_in_memory_live_as_long_as_any_clips_of_them(place: Path) -> None:
    def files() -> list[Path]:
        return list((place / "temporary").rglob("*.wav"))

    clips = open_data([(np.zeros(400, np.float32), 8_000, "moon", 1)] * 2, labelled=True).clips
    digests = clips.digests
    part = Clips.concat([clips.take([1]).with_groups(["g"]).unlabelled()])
    del clips
    gc.collect()
    assert len(files()) == 2 and part.paths[0] in files()
    other = pickle.loads(pickle.dumps(part))
    del other
    gc.collect()
    assert len(files()) == 2
    del part
    gc.collect()
    assert not list((place / "temporary").glob("audiomatch-*"))
    again = open_data([(np.zeros(400), 8_000, "moon")], labelled=False).clips
    assert again.digests == digests[:1]  # the same samples are the same clip to every cache


def test_nothing_is_left_of_clips_in_memory(loud: Model, corpus: Path, place: Path) -> None:
    loud.predict(memory(corpus))
    loud.predict_one(np.zeros(800), "moon", rate=8_000)
    gc.collect()
    assert not list((place / "temporary").glob("audiomatch-*"))


TONE = np.zeros(1_600)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("nowhere.csv", "no such file or folder: nowhere.csv"),
        (Path("mini-screener"), "no such file or folder: mini-screener"),
        ([], "clips in memory: no clips"),
        (pd.DataFrame({"audio": [], "expected_text": []}), "data frame: no clips"),
        (pd.DataFrame({"audio": ["a.wav"]}), "data frame: no column 'expected_text'"),
        (pd.DataFrame({"audio": [TONE], "expected_text": "x"}), "row 0: audio is a ndarray"),
        (pd.DataFrame({"audio": ["a"], "expected_text": " "}), "row 0 .*expected_text is empty"),
        ([TONE], r"row 0: must be \(samples, rate, text\)"),
        ({"audio": TONE}, r"row 0: must be \(samples, rate, text\)"),
        ([(TONE, 16_000, 3)], "row 0: the text is a int"),
        ([(TONE, 0, "x")], "row 0: the rate is 0"),
        ([(TONE, 16_000.5, "x")], "the rate is 16000.5"),
        ([(TONE, float("nan"), "x")], "the rate is nan"),
        ([(TONE, "16k", "x")], "the rate is '16k'"),
        ([(TONE, 16_000, "x"), (np.zeros((2, 9)), 16_000, "x")], "row 1: .*transpose it"),
        ([(np.zeros((2, 3, 4)), 16_000, "x")], r"shape \(2, 3, 4\)"),
        ([(TONE.astype(int), 16_000, "x")], "type int64; must be float"),
        ([(["a"], 16_000, "x")], "the samples are of type"),
        ([([[1.0], [2.0, 3.0]], 16_000, "x")], "the samples are no array"),
        ([(np.zeros(0), 16_000, "x")], "row 0 .*holds no audio"),
        ([(TONE + np.nan, 16_000, "x")], "row 0 .*not finite"),
        ([(np.zeros(16_000 * 31), 16_000, "x")], "row 0 .*longer than 30 s"),
    ],
)
def test_data_that_is_none_is_named(loud: Model, data: Any, says: str) -> None:
    with pytest.raises(UserError, match=says) as raised:
        loud.predict(data)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("audio", "text", "rate", "says"),
    [
        (TONE, "moon", None, "rate"),
        ("a.wav", "moon", 16_000, "a file says its own"),
        ("a.wav", "moon", None, "no such audio file: a.wav"),
        (TONE, " ", 16_000, "TEXT is empty"),
        (np.zeros(0), "moon", 16_000, "^the clip holds no audio"),
    ],
)
def test_one_clip_that_is_none_is_named(
    loud: Model, audio: Any, text: str, rate: Any, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        loud.predict_one(audio, text, rate=rate)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"device": "gpu"}, "device gpu"),
        ({"precision": "bf8"}, "precision bf8"),
        ({"workers": 0}, "workers 0"),
        ({"seed": -1}, "seed -1"),
        ({"group": "colour"}, "group colour"),
        ({"dataset": "manifset"}, "did you mean 'manifest'"),
    ],
)
def test_settings_that_are_none_are_named(
    plugin: Plugin, corpus: Path, how: dict[str, Any], says: str
) -> None:
    plugin(toy=toy_plugin())
    with pytest.raises(UserError, match=says):
        audiomatch.fit("toy", corpus, **how)


def test_data_with_labels_is_needed_to_fit(plugin: Plugin, corpus: Path) -> None:
    plugin(toy=toy_plugin())
    for data in (frame(corpus).drop(columns="match"), [clip[:3] for clip in memory(corpus)]):
        with pytest.raises(UserError, match="match"):
            audiomatch.fit("toy", data)
    with pytest.raises(UserError, match="row 1: no match"):
        audiomatch.fit("toy", [memory(corpus)[0], memory(corpus)[1][:3]])
    with pytest.raises(UserError, match="every clip has match 1"):
        audiomatch.fit("toy", frame(corpus).query("match == 1"))


# Models


def test_listeners_hear_of_a_model_that_was_fitted_and_may_fail_aloud(
    plugin: Plugin, corpus: Path
) -> None:
    heard: list[Any] = []

    def audiomatch_fit_done(folder: Path, record: ModelCard) -> None:
        heard.append((folder, record.matcher, record.fit, (folder / "audiomatch.json").exists()))
        raise RuntimeError("cannot post it")

    plugin(toy=toy_plugin(Loud, audiomatch_fit_done=audiomatch_fit_done))
    model = audiomatch.fit("toy", corpus)
    with pytest.warns(DataWarning, match="audiomatch_fit_done failed: .*cannot post it"):
        model.save("model")
    assert heard == [(Path("model"), "toy", model.card.fit, True)]
    audiomatch.load("model").save("copy")
    assert len(heard) == 1, "of a model that was fitted elsewhere they do not hear"


def test_a_model_is_saved_loaded_and_the_same_as_the_commands(
    plugin: Plugin, command: Command, corpus: Path, place: Path
) -> None:
    plugin(toy=toy_plugin(Loud))
    model = audiomatch.fit("toy:weak", memory(corpus), seed=3)
    folder = model.save(place / "model")
    assert folder == place / "model" and "toy:weak" in repr(model)
    card = json.loads((folder / "audiomatch.json").read_text())
    assert card["config"] == {"strength": 0.1} and card["schema_version"] == 1
    assert card["fit"]["clips"] == 36 and card["fit"]["seed"] == 3
    loaded = audiomatch.load("model")
    assert loaded.card == model.card
    np.testing.assert_array_equal(loaded.predict(corpus), model.predict(corpus))
    assert command("predict", "model", corpus, "--out", "p.csv")[0] == 0
    written = pd.read_csv("p.csv")["p_match"]
    np.testing.assert_allclose(written, model.predict(corpus), rtol=0, atol=1e-15)
    loaded.save("model")
    with pytest.raises(UserError, match="holds files that are not a model"):
        loaded.save(corpus.parent)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("", "is no JSON, or was cut short"),
        ('{"matcher": "toy"}', "no schema_version"),
        ('{"schema_version": 1, "matcher": "toy"}', "config: Field required"),
    ],
)
def test_a_damaged_card_is_named(loud: Model, change: str, says: str) -> None:
    loud.save("model")
    Path("model/audiomatch.json").write_text(change)
    with pytest.raises(UserError, match=f"audiomatch.json: .*{says}"):
        audiomatch.load("model")


def test_a_damaged_model_is_named(loud: Model) -> None:
    loud.save("model")
    Path("model/rate.txt").write_text("much")
    with pytest.raises(UserError, match=r"model/rate.txt: has changed since the model was saved"):
        audiomatch.load("model")
    older_release("model")
    with pytest.raises(UserError, match="model: the model cannot be read: ValueError"):
        audiomatch.load("model")


def older_release(folder: str) -> None:
    """Make a model folder what it was before it said which files are its own."""
    card = Path(folder, "audiomatch.json")
    content = json.loads(card.read_text())
    del content["files"]
    card.write_text(json.dumps(content))


def test_every_file_of_a_model_is_sealed(loud: Model) -> None:
    loud.save("model")
    for aside in ("README.md", ".gitattributes"):
        Path("model", aside).write_text("mine")
    before = audiomatch.load("model")
    assert before.matcher.rate == loud.matcher.rate and before.card == loud.card
    Path("model/more.json").write_text("{}")
    with pytest.raises(UserError, match=r"model/more.json: is no file of the model"):
        audiomatch.load("model")
    Path("model/more.json").unlink()
    Path("model/rate.txt").rename("rate.txt")
    with pytest.raises(UserError, match=r"model/rate.txt: is missing; copy the model again"):
        audiomatch.load("model")
    os.mkfifo("model/rate.txt")
    with pytest.raises(UserError, match=r"model/rate.txt: is missing"):
        audiomatch.load("model")
    Path("rate.txt").rename("model/rate.txt")
    older_release("model")
    assert audiomatch.load("model").matcher.rate == loud.matcher.rate


def test_explain_for_one_and_for_many(plugin: Plugin, corpus: Path) -> None:
    plugin(toy=toy_plugin(Teller))
    model = audiomatch.fit("toy", corpus)
    many = model.explain(corpus)
    assert len(many) == 36 and many[3].text == frame(corpus)["expected_text"][3]
    one = model.explain_one(memory(corpus)[0][0], "the dog ran", rate=16_000)
    assert [word.word for word in one.words] == ["the", "dog", "ran"] and one.worst == 1
    plugin(toy=toy_plugin(Loud))
    with pytest.raises(UserError, match="cannot say where the error is"):
        audiomatch.fit("toy", corpus).explain(corpus)


def test_a_column_decides_inner_splits_only_where_it_is_named(plugin: Plugin, corpus: Path) -> None:
    seen: list[list[str]] = []

    class Grouped(Toy):
        def fit(self, train: Clips, run: Any) -> None:
            super().fit(train, run)
            seen.append(train.groups)

    plugin(toy=toy_plugin(Grouped))
    table = frame(corpus).assign(group="pilot")
    for how in ({}, {"group": "speaker"}, {"group": "none"}):
        audiomatch.fit("toy", table, **how)
    texts, speakers, own = seen
    assert texts == table["expected_text"].tolist()
    assert speakers == table["speaker"].tolist() and len(set(own)) == 36


def test_evaluate_gives_the_figures_of_a_leaderboard(loud: Model, corpus: Path) -> None:
    labels = frame(corpus)["match"]
    found = audiomatch.evaluate(loud, memory(corpus), group="none")
    p = np.array([*loud.predict(corpus)])
    assert found.scores.n == 36 and found.scores.groups == 36
    assert found.scores.brier == pytest.approx(float(np.mean((p - labels) ** 2)), abs=1e-6)
    assert found.leaderboard.loc["toy", "auroc"] == found.scores.auroc
    assert found.scores.log_loss_low is not None
    assert not found.scores.warnings
    assert "fitted on" in repr(audiomatch.evaluate(loud, corpus))
    loud.save("model")
    again = audiomatch.evaluate("model", corpus, limit=20)
    assert again.scores.n == 20 and "toy" in again._repr_html_()


# Comparisons


def test_a_comparison_is_what_bench_writes(
    plugin: Plugin, command: Command, corpus: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin(toy=toy_plugin(Loud))
    how: dict[str, Any] = {"folds": 3, "floors": "base-rate,prior", "executor": "inline"}
    found = audiomatch.compare(corpus, ["toy", "toy:weak"], **how)
    assert found.folder == Path("runs/manifest") and not found.problems
    assert not any(capsys.readouterr())  # quiet
    table = found.leaderboard
    assert {"toy", "toy:weak", "prior", "base-rate"} <= set(table.index)
    assert table["log_loss"].is_monotonic_increasing
    assert table.dtypes.eq(float).all() and table["low"].isna().all()
    shown = str(table)
    assert "..." not in shown and "toy:weak" in shown and "skill" in shown
    assert len(found.predictions) == 36 * len(table)
    assert "runs/manifest" in repr(found) and "<table>" in found._repr_html_()
    row = found.record.row("prior")
    between = found.difference("toy", "prior")
    assert between.difference == pytest.approx(table.loc["toy", "log_loss"] - row.log_loss)
    assert found.difference("prior", "toy") == between.reversed()
    with pytest.raises(UserError, match="no row 'tyo'; did you mean 'toy'"):
        found.difference("tyo", "prior")
    asked = ("--matchers", "toy,toy:weak", "--folds", 3, "--floors", "base-rate,prior")
    code, out, _ = command("bench", corpus, *asked, "--out", place / "r", "--json")
    rows = {row["matcher"]: row["log_loss"] for row in json.loads(out)["rows"]}
    assert code == 0 and rows == table["log_loss"].to_dict()
    again = audiomatch.compare(corpus, "toy,toy:weak", progress=True, **how)
    assert all(result.replayed for result in again.run.results)
    assert "replayed" in capsys.readouterr().err


def test_data_without_a_name_has_a_run_folder_of_its_own(plugin: Plugin, corpus: Path) -> None:
    plugin(toy=toy_plugin(Loud))
    how: dict[str, Any] = {"folds": 2, "floors": "base-rate", "executor": "inline"}
    one = audiomatch.compare(frame(corpus), "toy", **how)
    other = audiomatch.compare(memory(corpus), ["toy"], **how)
    assert one.folder != other.folder and {one.folder.parent, other.folder.parent} == {Path("runs")}
    assert audiomatch.compare(frame(corpus), "toy", **how).folder == one.folder
    assert one.record.row("toy").log_loss == pytest.approx(other.record.row("toy").log_loss)


def test_a_fold_that_fails_is_a_problem_and_no_error(plugin: Plugin, corpus: Path) -> None:
    class Broken(Toy):
        def predict(self, clips: Clips, run: Any) -> Any:
            raise RuntimeError("no idea")

    plugin(toy=toy_plugin(Broken))
    found = audiomatch.compare(
        corpus, ["toy"], folds=2, out="run", floors="none", executor="inline"
    )
    assert found.problems == [f"toy fold {i}: RuntimeError: no idea" for i in (1, 2)]
    assert found.leaderboard.loc["toy"].isna().sum() >= 6
    assert "no idea" in repr(found) and "no idea" in found._repr_html_()


@pytest.mark.parametrize(
    ("matchers", "how", "says"),
    [
        ([], {}, "no matcher named"),
        (["toi"], {}, "did you mean 'toy'"),
        (["toy", "toy"], {}, "named twice"),
        (["toy"], {"folds": 1}, "folds 1"),
        (["toy"], {"folds": 7}, "6 groups"),
        (["toy"], {"out": "data/manifest.csv/run"}, "cannot be written"),
    ],
)
def test_a_comparison_that_cannot_be_is_refused(
    plugin: Plugin, corpus: Path, matchers: list[str], how: dict[str, Any], says: str
) -> None:
    plugin(toy=toy_plugin())
    with pytest.raises(UserError, match=says):
        audiomatch.compare(corpus, matchers, **how, executor="inline")
    assert not Path("runs").exists()


# What is the caller's stays the caller's


class Rude(Toy):
    """Leaves the process otherwise than it found it, as careless code does."""

    def predict(self, clips: Clips, run: Any) -> Any:
        import torch

        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = True
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.set_grad_enabled(False)
        os.chdir(clips.paths[0].parent)
        return super().predict(clips, run)


@pytest.fixture
def callers_state() -> Iterator[Callable[[], None]]:
    """Set the state of the process; the function returned checks that it is the same."""
    import torch

    def state() -> list[Any]:
        return [
            random.getstate(),
            *map(str, np.random.get_state()),
            torch.get_rng_state().tolist(),
            torch.initial_seed(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
            torch.backends.cudnn.benchmark,
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            Path.cwd(),
        ]

    random.seed(7)
    np.random.seed(7)
    torch.manual_seed(7)
    before = state()
    yield lambda: [before].__eq__([state()]) or pytest.fail("the state has changed")


def tiny_hubert(folder: Path) -> Path:
    """A HuBERT of random weights, as the hub holds one."""
    from transformers import HubertConfig, HubertForCTC, Wav2Vec2CTCTokenizer
    from transformers import Wav2Vec2FeatureExtractor as Extractor

    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    Extractor(return_attention_mask=True).save_pretrained(folder)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = HubertConfig(
        vocab_size=len(tokens), intermediate_size=16, conv_dim=(8,) * 7, pad_token_id=0,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, conv_bias=True,
        feat_extract_norm="layer", do_stable_layer_norm=True, **shape,
    )  # fmt: skip
    HubertForCTC(config).save_pretrained(folder)
    return folder


@pytest.mark.plugins
@pytest.mark.parametrize("name", ["rude", "xgboost:quick", "hubert-ctc"])
def test_every_call_leaves_the_process_as_it_was(
    plugin: Plugin, place: Path, name: str, callers_state: Callable[[], None]
) -> None:
    corpus = write_corpus(place / "data", clips=12)
    if name == "rude":
        plugin(toy=toy_plugin(Rude, "rude"))
    if name == "hubert-ctc":
        import torch

        name = f"hubert-ctc@weights={tiny_hubert(place / 'hubert')}@epochs=1@ctc_epochs=1"
        torch.manual_seed(7)
    model = audiomatch.fit(name, corpus)
    callers_state()
    first = model.predict(corpus)
    callers_state()
    model.predict_one(np.zeros(8_000), "moon", rate=16_000)
    audiomatch.load(model.save("model"))
    audiomatch.evaluate(model, corpus)
    callers_state()
    np.testing.assert_array_equal(model.predict(corpus), first)
    callers_state()


@pytest.mark.plugins
def test_a_state_is_put_back_after_an_error(
    plugin: Plugin, corpus: Path, callers_state: Callable[[], None]
) -> None:
    class Fails(Rude):
        def predict(self, clips: Clips, run: Any) -> Any:
            super().predict(clips, run)
            raise RuntimeError("no idea")

    plugin(toy=toy_plugin(Fails))
    model = audiomatch.fit("toy", corpus)
    with pytest.raises(PluginError, match="toy: RuntimeError: no idea"):
        model.predict(corpus)
    callers_state()
