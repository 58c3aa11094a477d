from __future__ import annotations

import contextlib
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from audiomatch_boosting import audiomatch_matchers
from audiomatch_boosting.features import audio, cache
from audiomatch_boosting.features.text import text_features
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from audiomatch import ClipError, Run, UserError
from audiomatch.clips import Clips
from audiomatch.config import build_config
from audiomatch.folds import make_folds
from audiomatch.offers import import_object

INFOS = {info.name: info for info in audiomatch_matchers()}
FAST = {"rounds": 60, "learning_rate": 0.2, "inner_folds": 3, "patience": 20}
WORDS = ["cat", "happy", "banana", "dog", "sister", "elephant", "tree", "monkey", "potato", "sun"]


def buzz(seconds: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * 16000)) / 16000
    pitch = rng.uniform(120, 300)
    tone = sum(np.sin(2 * np.pi * pitch * n * t) / n for n in range(1, 8))
    return (0.1 * tone + 1e-3 * rng.standard_normal(t.size)).astype(np.float32)


def corpus(folder: Path, count: int, matched_by_length: bool = True, seed: int = 0) -> Clips:
    """Clips whose sound lasts 0.15 s a phoneme of the text, or of a text three times as long."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(count):
        text = " ".join(WORDS[j] for j in rng.integers(0, len(WORDS), 1 + i % 2))
        match = int(i // 2 % 2)
        off = 3 if matched_by_length and not match else 1
        seconds = off * 0.05 * text_features(text)["text_phonemes"] * rng.uniform(0.9, 1.1)
        path = folder / f"{seed}-{i}.wav"
        quiet = 1e-3 * rng.standard_normal(3200)
        soundfile.write(path, np.concatenate([quiet, buzz(seconds, 97 * seed + i), quiet]), 16000)
        task = ("blending", "deletion", "")[i % 3]
        rows.append((f"c{i}", str(path), text, task, ("KG", "1", "2")[i % 3], match))
    names = ["id", "audio", "expected_text", "task", "grade", "match"]
    return Clips(pd.DataFrame(rows, columns=names), "toy.csv")


def make(name: str, **options):
    kind = import_object(INFOS[name].load)
    return kind(build_config(kind.Config, {**FAST, **options}, name))


@pytest.fixture(scope="module")
def cache_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return corpus(tmp_path_factory.mktemp("toy"), 120)


@pytest.fixture(scope="module")
def fitted(toy, cache_folder):
    result = {}
    for name in INFOS:
        result[name] = make(name)
        result[name].fit(toy, Run(cache_folder))
    return result


both = pytest.mark.parametrize("name", sorted(INFOS))


@both
def test_learns_what_rate_tells_under_grouped_folds(name, toy, cache_folder):
    folds = make_folds(toy, 3)
    train, held = folds.split(0)
    matcher = make(name)
    matcher.fit(train, Run(cache_folder))
    p = matcher.predict(held, Run(cache_folder))
    y = toy.labels[folds.of == 0]
    assert p.dtype == np.float64
    assert p.shape == (len(held),)
    assert log_loss(y, p) < 0.3 < log_loss(y, np.full(len(y), train.labels.mean()))


@both
def test_stays_at_the_base_rate_where_nothing_is_to_learn(name, tmp_path, cache_folder):
    clips = corpus(tmp_path, 150, matched_by_length=False, seed=5)
    rng = np.random.default_rng(1)
    clips = clips.with_column("match", rng.integers(0, 2, len(clips)).astype(np.int8))
    folds = make_folds(clips, 3)
    p, base = np.empty(len(clips)), np.empty(len(clips))
    for fold in range(3):
        train, held = folds.split(fold)
        matcher = make(name)
        matcher.fit(train, Run(cache_folder))
        p[folds.of == fold] = matcher.predict(held, Run(cache_folder))
        base[folds.of == fold] = train.labels.mean()
    assert log_loss(clips.labels, p) < log_loss(clips.labels, base) + 0.01


@both
def test_same_seed_same_numbers_and_another_seed_others(name, toy, cache_folder, fitted):
    again = make(name)
    again.fit(toy, Run(cache_folder))
    run = Run(cache_folder)
    expected = fitted[name].predict(toy.unlabelled(), run)
    np.testing.assert_array_equal(again.predict(toy.unlabelled(), run), expected)
    other = make(name)
    other.fit(toy, Run(cache_folder, seed=1))
    assert (other.predict(toy.unlabelled(), run) != expected).any()


@both
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_neither_order_nor_batch_mates_matter(name, toy, cache_folder, fitted, data):
    rows = data.draw(st.lists(st.integers(0, 119), min_size=1, max_size=30, unique=True))
    run = Run(cache_folder)
    everything = fitted[name].predict(toy.unlabelled(), run)
    some = fitted[name].predict(toy.take(rows).unlabelled(), run)
    np.testing.assert_array_equal(some, everything[rows])


@both
def test_saved_and_loaded_gives_the_same_numbers(name, toy, cache_folder, fitted, tmp_path):
    fitted[name].save(tmp_path)
    loaded = make(name)
    loaded.load(tmp_path)
    run = Run(cache_folder)
    np.testing.assert_array_equal(
        loaded.predict(toy.unlabelled(), run), fitted[name].predict(toy.unlabelled(), run)
    )
    model = (tmp_path / fitted[name].model_file).read_text(encoding="utf-8")
    if name == "xgboost":
        assert "learner" in json.loads(model)
    else:
        assert model.startswith("tree\n")
    assert len(json.loads((tmp_path / "matcher.json").read_text())["columns"]) > 100
    assert len(list(tmp_path.iterdir())) == 2


@both
@pytest.mark.parametrize("damage", ["model", "state"])
def test_a_damaged_model_is_one_clear_line(name, fitted, tmp_path, damage):
    fitted[name].save(tmp_path)
    file = tmp_path / (fitted[name].model_file if damage == "model" else "matcher.json")
    file.write_text(file.read_text()[:40])
    with pytest.raises(UserError, match=f"not a saved {name} matcher") as caught:
        make(name).load(tmp_path)
    assert "\n" not in str(caught.value)


# One of these crashes the library, or keeps it busy for ever, where it is given to it.
HARMFUL = {
    "xgboost": {
        r'"left_children":\[1,': '"left_children":[0,',
        r'"right_children":\[2,': '"right_children":[2000000000,',
        r'"split_indices":\[\d+,': '"split_indices":[2000000000,',
        r'"num_nodes":"\d+"': '"num_nodes":"900000"',
        r'"tree_info":\[0,': '"tree_info":[7,',
        r'"iteration_indptr":\[0,1,': '"iteration_indptr":[0,900000,',
        r'"split_type":\[0,': '"split_type":[1,',
        r'"num_feature":"\d+"': '"num_feature":"4294967295"',
    },
    "lightgbm": {
        r"left_child=\S+": "left_child=0",
        r"right_child=\S+": "right_child=2000000000",
        r"split_feature=\d+": "split_feature=2000000000",
        r"num_leaves=\d+\n": "num_leaves=2000000000\n",
        r"leaf_value=\S+": "leaf_value=nan",
        r"num_cat=0": "num_cat=1",
        r"decision_type=\d+": "decision_type=1",
        r"tree_sizes=\d+": "tree_sizes=2000000000",
        r"max_feature_idx=\d+": "max_feature_idx=2000000000",
        r"\nTree=0": "\nfour",
    },
}


@pytest.mark.parametrize("name, change", [(n, c) for n in HARMFUL for c in HARMFUL[n]])
def test_a_booster_made_to_harm_never_reaches_the_library(name, change, fitted, tmp_path):
    fitted[name].save(tmp_path)
    file = tmp_path / fitted[name].model_file
    changed, count = re.subn(change, HARMFUL[name][change], file.read_text(), count=1)
    assert count == 1
    file.write_text(changed)
    with pytest.raises(UserError, match=f"not a saved {name} matcher") as caught:
        make(name).load(tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@both
def test_any_number_of_a_booster_may_be_another(name, fitted, tmp_path, toy, cache_folder):
    fitted[name].save(tmp_path)
    file, rng = tmp_path / fitted[name].model_file, random.Random(0)
    good, taken = file.read_text(), 0
    numbers = list(re.finditer(r"-?\d+(\.\d+)?(E-?\d+)?", good))
    for _ in range(60):
        found = rng.choice(numbers)
        other = rng.choice(("-1", "0", "1", "2", "1e308", "2147483647", "nan", ""))
        file.write_text(good[: found.start()] + other + good[found.end() :])
        matcher = make(name)
        with contextlib.suppress(UserError):
            matcher.load(tmp_path)
            assert np.isfinite(matcher.predict(toy.take([0, 1]), Run(cache_folder))).all()
            taken += 1
    assert taken < 60


@both
@pytest.mark.parametrize(
    "state", [{"columns": ["seconds"]}, {"rounds": 0}, {"rounds": 10**12}, {"tasks": "abc"}]
)
def test_a_state_that_does_not_fit_its_booster_is_one_line(name, state, fitted, tmp_path):
    fitted[name].save(tmp_path)
    file = tmp_path / "matcher.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | state))
    with pytest.raises(UserError, match=f"not a saved {name} matcher"):
        make(name).load(tmp_path)


@both
def test_features_of_another_version_are_refused(name, fitted, tmp_path):
    fitted[name].save(tmp_path)
    state = json.loads((tmp_path / "matcher.json").read_text())
    (tmp_path / "matcher.json").write_text(
        json.dumps(state | {"probe": {**state["probe"], "seconds": 2.0}})
    )
    with pytest.raises(UserError, match="another version of the features"):
        make(name).load(tmp_path)


@both
def test_odd_clips_get_probabilities(name, fitted, tmp_path, cache_folder):
    rng = np.random.default_rng(0)
    waves = {
        "short": rng.standard_normal(1600) * 0.1,
        "silent": np.zeros(16000),
        "clipped": np.sign(rng.standard_normal(16000)),
        "one-sample": np.array([0.1]),
        "long": rng.standard_normal(int(29.9 * 16000)) * 0.01,
    }
    rows = []
    for i, (kind, wave) in enumerate(waves.items()):
        soundfile.write(tmp_path / f"{kind}.wav", wave, 16000)
        text = ("naïve façade", "猫が好き", "%", "a", "x" * 300)[i]
        rows.append((kind, str(tmp_path / f"{kind}.wav"), text, ("new", None)[i % 2], None))
    frame = pd.DataFrame(rows, columns=["id", "audio", "expected_text", "task", "grade"])
    p = fitted[name].predict(Clips(frame), Run(cache_folder))
    assert np.isfinite(p).all()
    assert ((p >= 0) & (p <= 1)).all()


@both
@pytest.mark.parametrize("count", [4, 10])
def test_trains_on_a_handful_without_task_or_grade(name, count, toy, cache_folder):
    few = toy.take(range(count)).with_column("task", "").with_column("grade", "")
    matcher = make(name)
    matcher.fit(few, Run(cache_folder))
    assert np.isfinite(matcher.predict(toy.unlabelled(), Run(cache_folder))).all()


@both
def test_no_clips_no_predictions(name, toy, cache_folder, fitted):
    assert fitted[name].predict(toy.take([]).unlabelled(), Run(cache_folder)).shape == (0,)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_clip_is_named(workers, toy, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"not audio")
    paths = toy["audio"].tolist()
    paths[31] = str(bad)
    with pytest.raises(ClipError, match=r"toy\.csv, row 31 \(id 'c31'\): .*is text, not audio"):
        cache.audio_table(toy.with_column("audio", paths), Run(tmp_path / "c", workers=workers))
    paths[31] = str(tmp_path / "none.wav")
    with pytest.raises(ClipError, match=r"row 31 \(id 'c31'\): no such audio file"):
        cache.audio_table(toy.with_column("audio", paths), Run(tmp_path / "c", workers=workers))


def test_features_are_computed_once_and_alike_in_parallel(toy, tmp_path, monkeypatch):
    one = cache.audio_table(toy, Run(tmp_path / "one"))
    two = cache.audio_table(toy, Run(tmp_path / "two", workers=2))
    np.testing.assert_array_equal(one, two)
    assert not list(tmp_path.rglob("*.tmp"))

    def refuse(samples):
        raise AssertionError("computed again")

    monkeypatch.setattr(audio, "audio_features", refuse)
    np.testing.assert_array_equal(cache.audio_table(toy, Run(tmp_path / "two")), one)


def test_the_cache_follows_content_and_mends_itself(toy, tmp_path):
    path = tmp_path / "a.wav"
    some = toy.take([0]).with_column("audio", str(path))
    path.write_bytes(toy.paths[0].read_bytes())
    first = cache.audio_table(some, Run(tmp_path / "c"))
    path.write_bytes(toy.paths[1].read_bytes())
    second = cache.audio_table(some, Run(tmp_path / "c"))
    assert (first != second).any()
    for kept in (tmp_path / "c").rglob("*.bin"):
        kept.write_bytes(kept.read_bytes()[:7])
    np.testing.assert_array_equal(cache.audio_table(some, Run(tmp_path / "c")), second)


@both
def test_a_device_that_cannot_be_used_is_noted(name, toy, cache_folder):
    run = Run(cache_folder, device="mps")
    make(name).fit(toy.take(range(20)), run)
    assert run.notes["warning"] == f"{name} does not run on mps; ran on the CPU"


@pytest.mark.parametrize(
    ("name", "option"),
    [("xgboost", "num_leaves"), ("lightgbm", "max_depth")],
)
def test_options_of_the_other_are_refused_by_name(name, option):
    with pytest.raises(UserError, match=f"{name}: no option '{option}'"):
        make(name, **{option: 3})


def test_presets_are_valid():
    for info in INFOS.values():
        for options in info.presets.values():
            build_config(import_object(info.load).Config, options, info.name)


def test_the_entry_module_is_light():
    code = (
        "import sys, audiomatch_boosting as b; b.audiomatch_matchers();"
        "print({'numpy', 'pandas', 'xgboost', 'lightgbm', 'joblib', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_without_xgboost_both_packages_are_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "audiomatch_boosting.xgb", raising=False)
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(
        UserError, match=r"audiomatch-boosting\[xgboost\]', or \[xgboost-cpu\]"
    ) as e:
        import_object(INFOS["xgboost"].load)
    assert "\n" not in str(e.value)


@pytest.mark.slow
@pytest.mark.parametrize("first", ["torch", "xgboost", "lightgbm"])
def test_torch_and_both_libraries_work_in_one_process(first):
    code = f"""
import {first}, torch, xgboost, lightgbm, numpy as np
x = np.random.default_rng(0).normal(size=(300, 20)); y = x[:, 0] > 0
for _ in range(2):
    torch.linalg.cholesky(torch.eye(300) )
    a = xgboost.train({{"nthread": 2, "objective": "binary:logistic"}}, xgboost.DMatrix(x, y), 5)
    b = lightgbm.train({{"num_threads": 2, "objective": "binary", "verbosity": -1}},
                       lightgbm.Dataset(x, y), 5)
    assert (torch.rand(300, 300) @ torch.rand(300, 300)).isfinite().all()
    assert np.isfinite(a.predict(xgboost.DMatrix(x)) + b.predict(x)).all()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
