"""Planted answers: what is planted, what the figures are, and probes of strangers."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import audiomatch
from audiomatch import Run
from audiomatch.audio import SAMPLE_RATE, load_audio, load_clip
from audiomatch.clips import Clips
from audiomatch.datasets.mini_screener import open_mini_screener
from audiomatch.plugins import Registry
from audiomatch.probing import sound, wording
from audiomatch.probing.answers import Answer, Others
from audiomatch.probing.info import ProbeInfo
from audiomatch.probing.lexicon import Lexicon
from audiomatch.probing.planting import plant
from audiomatch.probing.prober import chosen
from audiomatch.records import Behaviour
from audiomatch.scoring.clusters import Clusters
from audiomatch.scoring.runs import leaderboard_of, open_run
from audiomatch.scoring.shares import share_interval
from audiomatch.speech import CEILING
from audiomatch.text import letters, normalise_text
from tests.toys import Toy, toy_plugin

WORDING = [probe.info.name for probe in chosen() if "wording" in str(probe.info.plant)]
SAID = ("moon", "boat", "hat", "dog", "hill", "soup", "green", "over", "ran", "to")
SEVERAL = st.lists(st.sampled_from(SAID), min_size=4, max_size=8)


class Reader(Toy):
    """Confirms each text that a clip of `data` says, whatever is heard."""

    said: set[str] = set()

    def predict(self, clips: Clips, run: Run) -> Any:
        return np.where([letters(text) in self.said for text in clips.texts], 0.9, 0.2)


class Listener(Toy):
    """Confirms what is heard at all, whatever the text."""

    def predict(self, clips: Clips, run: Run) -> Any:
        return np.array([0.8 if load_clip(clips, i).any() else 0.1 for i in range(len(clips))])


@pytest.fixture(scope="module")
def matches() -> Clips:
    """Some sentences and words of mini-screener, one each."""
    clips = open_mini_screener(None, labelled=True)
    clips = clips.take(clips.labels == 1)
    clips = clips.take(~clips.frame["expected_text"].duplicated().to_numpy())
    size = np.array([len(text.split()) for text in clips.texts])
    return clips.take(np.sort(np.r_[np.flatnonzero(size > 3)[:10], np.flatnonzero(size == 1)[:4]]))


@pytest.fixture(scope="module")
def answer(matches: Clips) -> Answer:
    """A sentence of mini-screener."""
    return Others(matches).answer(int(np.argmax([len(text.split()) for text in matches.texts])))


def text_answer(words: list[str]) -> Answer:
    """An answer without sound, beside two others."""
    texts = [" ".join(words), "seven yellow birds", "my brother"]
    frame = pd.DataFrame({"id": ["a", "b", "c"], "audio": ["x.wav"] * 3, "expected_text": texts})
    return Answer(np.zeros(100, np.float32), texts[0], Others(Clips(frame)))


@settings(max_examples=30, deadline=None)
@given(SEVERAL, st.integers(0, 2**32))
def test_changed_texts_keep_the_other_words(words: list[str], seed: int) -> None:
    def planted(name: str) -> list[str] | None:
        changed = getattr(wording, name)(text_answer(words), np.random.default_rng(seed))
        return None if changed is None else changed.words

    swapped = planted("words_swapped")
    if swapped is not None:
        apart = [i for i, (old, new) in enumerate(zip(words, swapped, strict=True)) if old != new]
        assert len(apart) == 2 and apart[1] == apart[0] + 1
        assert sorted(swapped) == sorted(words)
    else:
        assert len(set(words)) == 1
    assert planted("two_words_fewer") == words[:-2]
    longer = planted("two_words_more")
    assert longer is not None and longer[:-2] == words and len(longer) == len(words) + 2
    for place, at in {"first": 0, "middle": len(words) // 2, "last": len(words) - 1}.items():
        assert planted(f"{place}_word_fewer") == words[:at] + words[at + 1 :]
        other = planted(f"{place}_word_replaced")
        assert other is not None and other[at] != words[at]
        assert other[:at] + other[at + 1 :] == words[:at] + words[at + 1 :]
        where = len(words) if place == "last" else at
        more = planted(f"{place}_word_more")
        assert more is not None and more[:where] + more[where + 1 :] == words


def test_words_are_changed_by_their_sound() -> None:
    lexicon = Lexicon.installed()
    assert {"too", "two"} <= set(lexicon.homophones("to"))
    assert "red" not in lexicon.homophones("read")  # or is it reed
    assert {"bat", "cut", "cap"} <= set(lexicon.minimal_pairs("cat"))
    assert not set(lexicon.minimal_pairs("to")) & set(lexicon.homophones("to"))
    assert lexicon.with_ending("jump") == ["jumped", "jumps"]
    assert lexicon.without_ending("boxes") == ["box"] and lexicon.without_ending("bus") == []
    assert lexicon.homophones("zoonimapettiff") == lexicon.minimal_pairs("zoonimapettiff") == []


def test_planted_sound_is_what_it_says(answer: Answer) -> None:
    def planted(name: str) -> np.ndarray:
        changed = getattr(sound, name)(answer, np.random.default_rng(0))
        assert np.isfinite(changed.samples).all() and np.abs(changed.samples).max() <= 1
        assert changed.samples.dtype == np.float32 and changed.text == answer.text
        return np.asarray(changed.samples, np.float64)

    own, n = answer.samples.astype(np.float64), len(answer.samples)
    assert answer.speech is not None
    start, end = answer.speech
    assert planted("as_recorded") is not None
    assert np.allclose(planted("softer"), own * 10**-1.5, atol=1e-7)
    assert np.mean(np.abs(planted("clipped")) == 1) > 0.001
    assert np.isclose(planted("dc").mean(), own.mean() + 0.1, atol=1e-3)
    for name, seconds in (("silence_before", 8), ("silence_after", 8)):
        assert len(planted(name)) == n + seconds * SAMPLE_RATE
    assert len(planted("said_twice")) == 2 * n + sound.PAUSE
    assert 0.85 < len(planted("faster")) / n < 0.89 and 1.15 < len(planted("slower")) / n < 1.19
    for name, share in (("first_three_quarters", 0.75), ("first_half", 0.5)):
        assert len(planted(name)) == start + int(share * (end - start))
        assert np.allclose(planted(name)[: -sound.FADE], own[: len(planted(name)) - sound.FADE])
    assert len(planted("last_half")) == n - (start + end) // 2
    for name in ("sentence_before", "sentence_after"):
        assert len(planted(name)) > n + sound.PAUSE
    for decibels in (20, 10, 5):
        both = planted(f"noise_{decibels}_db")
        gain = both @ own / (own @ own)
        added = np.sqrt(np.mean((both / gain - own) ** 2))
        assert np.isclose(20 * np.log10(answer.level / added), decibels, atol=0.5)
    assert not planted("silence").any() and len(planted("silence")) == n
    for name in ("noise", "music"):
        assert np.isclose(np.sqrt(np.mean(planted(name) ** 2)), answer.level, rtol=0.1)
    for name, edge in (("telephone", 3_400), ("low_rate", 4_000)):
        power = np.abs(np.fft.rfft(planted(name))) ** 2
        above = np.fft.rfftfreq(n, 1 / SAMPLE_RATE) > 1.3 * edge
        assert power[above].sum() < 0.01 * power.sum()


def test_another_pace_keeps_the_pitch(answer: Answer) -> None:
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    tone = answer.sounding(0.3 * np.sin(2 * np.pi * 220 * time))
    slow = sound.slower(tone, np.random.default_rng(0)).samples
    spectrum = np.abs(np.fft.rfft(slow * np.hanning(len(slow))))
    assert np.isclose(np.fft.rfftfreq(len(slow), 1 / SAMPLE_RATE)[spectrum.argmax()], 220, atol=1)


def test_what_is_planted_hangs_on_the_seed_not_on_the_rows(matches: Clips, run: Run) -> None:
    order = random.Random(0).sample(range(len(matches)), len(matches))
    probes = chosen(["noise-5-db", "words-swapped", "sentence-after", "as-recorded"])

    def planted(clips: Clips, seed: int = 0) -> dict[str, tuple[str, str]]:
        found = plant(clips, probes, 5, Run(cache=run.cache, seed=seed)).clips
        return dict(zip(found.ids, zip(found.texts, found.sounds, strict=True), strict=True))

    once = planted(matches)
    assert planted(matches.take(order)) == once
    assert planted(matches, seed=1) != once
    assert max(pd.Series([name.rsplit("/", 1)[1] for name in once]).value_counts()) == 5


def test_shares_have_wilson_intervals() -> None:
    """With each clip a group of its own they are Wilson's, but for t in the place of the normal."""
    hits = np.arange(200) < 20
    found = share_interval(hits, Clusters(np.arange(200)))
    t, share = 1.972, 0.1
    centre = (share + t * t / 400) / (1 + t * t / 200)
    half = t / (1 + t * t / 200) * math.sqrt(share * 0.9 / 200 + t * t / 160_000)
    assert found.value == 0.1 and found.low == pytest.approx(centre - half, abs=1e-3)
    assert found.high == pytest.approx(centre + half, abs=1e-3)
    none = share_interval(np.zeros(200, bool), Clusters(np.arange(200)))
    assert none.value == none.low == 0.0 and none.high == pytest.approx(
        t * t / (200 + t * t), abs=1e-3
    )
    alike = share_interval(hits, Clusters(np.arange(200) // 10))  # twenty groups, wholly alike
    assert alike.high is not None and found.high is not None and alike.high > found.high + 0.1
    assert share_interval(hits, Clusters(np.arange(200) // 50)).low is None


@pytest.mark.parametrize("seed", range(3))
def test_intervals_of_shares_cover(seed: int) -> None:
    """Groups of four that lean alike: the interval covers the share in about 95 % of draws."""
    rng, groups, covered = np.random.default_rng(seed), Clusters(np.arange(160) // 4), 0
    for _ in range(300):
        rates = np.repeat(rng.beta(0.9, 8.1, 40), 4)
        found = share_interval(rng.random(160) < rates, groups)
        assert found.low is not None and found.high is not None
        covered += found.low <= 0.1 <= found.high
    assert 0.91 <= covered / 300 <= 0.99


@pytest.fixture
def models(
    plugin: Callable[..., Registry], corpus: Path, tmp_path: Path, matches: Clips
) -> Callable[..., Path]:
    """Fit and save a toy beside probes of a plugin."""

    def make(toy: type[Toy], **hooks: Callable[..., Any]) -> Path:
        plugin(toys=toy_plugin(toy, **hooks))
        return audiomatch.fit("toy", corpus, cache=tmp_path / "cache").save(tmp_path / "model")

    Reader.said = {letters(text) for text in matches.texts}
    return make


@pytest.fixture
def data(matches: Clips, tmp_path: Path) -> Path:
    """The matches as a manifest, with a mismatch that is not to be used."""
    table = matches.frame[["id", "audio", "expected_text", "match", "voice"]].reset_index(drop=True)
    wrong = table.iloc[[0]].assign(id="wrong", expected_text="something else", match=0)
    pd.concat([wrong, table]).to_csv(tmp_path / "matches.csv", index=False)
    return tmp_path / "matches.csv"


def test_what_a_matcher_that_reads_confirms(
    models: Callable[..., Path], data: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    folder = models(Reader)
    code, out, _ = command("probe", folder, data, "--json", "--stay", 0.93, "--fall", 0.05)
    record = json.loads(out)
    found = {one["probe"]: Behaviour(**one) for one in record["behaviours"]}
    assert code == 1 and set(found) == {probe.info.name for probe in chosen()}
    for name, one in found.items():
        assert one.n > 0, name
        assert one.confirmed == (0.0 if name in WORDING else 1.0), name
        right = 0.9 if one.confirmed else 0.2
        assert one.loss == pytest.approx(
            -math.log(right if one.expectation == "stay" else 1 - right)
        )
    stays = {name for name, one in found.items() if one.expectation == "stay"}
    assert {"as-recorded", "homophone", "said-twice"} <= stays
    assert found["as-recorded"].n == 14 and found["words-swapped"].n == 10
    assert set(record["broken"]) == {"homophone"} | set(found) - stays - set(WORDING)
    only = ("--only", "sentence-after", "--only", "two-words-fewer")
    code, out, _ = command("probe", folder, data, "--expect", "contains", *only, "--stay", 0.5)
    assert code == 1 and "must fall" not in out and "!0.00" in out and "1 of 2" in out


def test_planted_clips_are_kept_to_listen_to(
    models: Callable[..., Path], data: Path, tmp_path: Path,
    command: Callable[..., tuple[int, str, str]],
) -> None:  # fmt: skip
    folder, kept = models(Listener), tmp_path / "kept"
    names = ("silence", "as-recorded", "words-swapped")
    only = [part for name in names for part in ("--only", name)]
    code, out, _ = command("probe", folder, data, "--keep", kept, "--most", 4, *only)
    assert code == 0 and str(kept / "manifest.csv") in out
    table = pd.read_csv(kept / "manifest.csv")
    assert table["probe"].value_counts().to_dict() == dict.fromkeys(names, 4)
    assert table.set_index("probe")["match"].groupby(level=0).first().to_dict() == {
        "silence": 0, "as-recorded": 1, "words-swapped": 0,
    }  # fmt: skip
    for row in table.itertuples():
        assert soundfile.info(kept / str(row.audio)).samplerate == SAMPLE_RATE
        silent = not load_audio(kept / str(row.audio)).any()
        assert silent == (row.probe == "silence") and row.p_match == (0.1 if silent else 0.8)
        assert (normalise_text(row.said) == row.expected_text) == (row.probe != "words-swapped")
    loaded = audiomatch.load(folder)
    assert np.allclose(loaded.predict(kept / "manifest.csv"), table["p_match"])
    code, _, err = command("probe", folder, data, "--keep", kept)
    assert code == 2 and "is not empty" in err


def test_clips_that_a_model_was_fitted_on_are_named(
    models: Callable[..., Path], corpus: Path, data: Path,
    command: Callable[..., tuple[int, str, str]],
) -> None:  # fmt: skip
    folder = models(Reader)
    _, out, _ = command("probe", folder, corpus, "--only", "softer")
    assert "these are the clips that it was fitted on" in out
    _, out, _ = command("probe", folder, data, "--only", "softer")
    assert "fitted on" not in out


def shouted(answer: Answer, rng: np.random.Generator) -> Answer:
    return answer.sounding(answer.samples * 2)


def broken(answer: Answer, rng: np.random.Generator) -> Answer:
    raise RuntimeError("no shouting here")


def test_probes_of_a_stranger(
    models: Callable[..., Path], data: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    offered: list[Any] = [
        ProbeInfo("shouted", "twice as loud", "stay", shouted),
        ProbeInfo("shouted-alone", "the same", "report", f"{__name__}:shouted"),
        ProbeInfo("broken", "fails", "fall", broken),
        ProbeInfo("nowhere", "is not there", "fall", "nowhere_at_all:plant"),
        ProbeInfo("nonsense", "gives no answer", "fall", lambda answer, rng: 7),
        ProbeInfo("odd", "expects much", "rise", shouted),  # type: ignore[arg-type]
        ProbeInfo("Loud", "is badly named", "stay", shouted),
        "no probe",
    ]
    folder = models(Reader, audiomatch_probes=lambda: offered)
    code, out, _ = command("probe", folder, data, "--json", "--most", 3)
    record = json.loads(out)
    found = {one["probe"]: one for one in record["behaviours"]}
    assert code == 1 and found["shouted"]["confirmed"] == 1.0 and found["as-recorded"]["n"] == 3
    assert found["shouted-alone"]["expectation"] == "report"
    assert found["shouted-alone"]["loss"] is None
    assert not {"broken", "nowhere", "nonsense", "odd", "Loud"} & set(found)
    problems = "\n".join(record["problems"])
    assert "no shouting here" in problems and "probe 'nowhere'" in problems
    assert "gave 7; must be an Answer or None" in problems and len(record["problems"]) == 3
    _, out, _ = command("plugins")
    assert "probe 'odd'" in out and "'Loud'" in out and "'no probe'" in out
    code, _, err = command("probe", folder, data, "--only", "shoutd")
    assert code == 2 and "did you mean 'shouted'?" in err


def test_without_a_lexicon_its_probes_are_left_out(
    models: Callable[..., Path], data: Path, command: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = models(Reader)
    Lexicon.installed.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    code, out, _ = command("probe", folder, data, "--only", "homophone", "--only", "softer")
    Lexicon.installed.cache_clear()
    assert (
        code == 0 and "homophone: needs a lexicon: pip install 'audiomatch-toolkit[probe]'" in out
    )
    assert "30 dB softer" in out


def test_there_must_be_a_match(
    models: Callable[..., Path], data: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    folder = models(Reader)
    pd.read_csv(data).assign(match=0).to_csv(data, index=False)
    code, _, err = command("probe", folder, data)
    assert code == 2 and "no match to plant answers in" in err


@pytest.fixture(scope="module")
def planted_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of what is planted, which each bench would make again."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def bench(
    plugin: Callable[..., Registry], data: Path, tmp_path: Path, planted_before: Path,
    command: Callable[..., tuple[int, str, str]],
) -> Callable[..., tuple[int, str, str]]:  # fmt: skip
    """Run `bench --probe` with toys on four sentences and as many mismatches, in two folds."""
    table = pd.read_csv(data, dtype=str)
    said = table[(table["match"] == "1") & (table["expected_text"].str.count(" ") > 2)][:4]
    wrong = said.assign(id="w" + said["id"], expected_text="w" + said["id"], match=0)
    pd.concat([said, wrong]).to_csv(data, index=False)
    Reader.said = {letters(text) for text in said["expected_text"]}

    def run(*more: object, toys: Any = Reader, **hooks: Any) -> tuple[int, str, str]:
        plugin(toys=toy_plugin(toys, **hooks))
        how = ("--matchers", "toy", "--folds", 2, "--out", tmp_path / "run", "--allow")
        return command("bench", data, *how, "label-in-text", "--cache", planted_before, *more)

    return run


def test_bench_probes_each_fold(bench: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    heard: list[int] = []
    told = {"audiomatch_fold_done": lambda result: heard.append(len(result.ids))}
    code, out, err = bench("--probe", "--json", **told)
    record = json.loads(out)
    found = {(one["matcher"], one["probe"]): one for one in record["behaviours"]}
    assert code == 0, err
    assert found["toy", "noise-5-db"]["confirmed"] == 1.0
    assert found["toy", "noise-5-db"]["n"] == 4
    assert found["toy", "words-swapped"]["confirmed"] == 0.0
    assert found["base-rate", "silence"]["n"] == 4
    assert record["n"] == 8 and max(heard) <= 8  # what was planted is no clip of the table
    planted = pd.read_parquet(tmp_path / "run" / "behaviours.parquet")
    rows = planted[(planted["matcher"] == "toy") & (planted["probe"] == "silence")]
    assert len(rows) == 4 and set(rows["expectation"]) == {"fall"}
    assert set(rows["p_match"]) == {CEILING}
    again = leaderboard_of([open_run(tmp_path / "run")])
    assert [one.model_dump(mode="json") for one in again.behaviours] == record["behaviours"]
    fits = Reader.fits
    code, out, _ = bench("--probe")
    assert code == 0 and Reader.fits == fits and "noise-5-db" in out and "must fall" in out
    code, out, _ = bench("--json")
    assert code == 0 and Reader.fits == fits, "of what was probed the rest is known"
    plain = json.loads(out)
    assert not plain["behaviours"]
    numbers = [{row["matcher"]: row["log_loss"] for row in one["rows"]} for one in (plain, record)]
    assert numbers[0] == numbers[1]
    assert not (tmp_path / "run" / "behaviours.parquet").exists()


def test_bench_names_a_probe_that_fails(bench: Callable[..., tuple[int, str, str]]) -> None:
    probes = [ProbeInfo("broken", "fails", "fall", broken)]
    code, out, err = bench("--probe", "--json", audiomatch_probes=lambda: probes)
    record = json.loads(out)
    assert code == 1 and "no shouting here" in err
    assert "broken" not in {one["probe"] for one in record["behaviours"]} and record["behaviours"]
