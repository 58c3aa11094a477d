"""Mismatches made of matches: what holds of each, whatever the texts and the order of rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import audiomatch
from audiomatch import UserError
from audiomatch.clips import Clips
from audiomatch.folds import Folds, deal_folds
from audiomatch.negatives import EDIT, NAMES, SPARE, parse_kinds, with_mismatches
from audiomatch.plugins import Registry
from audiomatch.records import FoldsRecord, RunRecord
from audiomatch.text import letters
from tests.toys import Toy, leave_out_slow_floors, toy_plugin

Plugin = Callable[..., Registry]
Command = Callable[..., tuple[int, str, str]]

WORD = st.text("abdeiouñß水-'", min_size=1, max_size=6).filter(letters)
TEXT = st.lists(WORD, min_size=1, max_size=4).map(" ".join)
TEXTS = st.lists(TEXT, min_size=4, max_size=20)
EDITS = st.lists(st.sampled_from([name for name in NAMES if name != "swap"]), min_size=1)
SPOKEN = ("moon", "paper boat", "little green hat", "the dog ran over the hill", "chav", "soup")


def matches(texts: list[str], recordings: list[str] | None = None) -> Clips:
    """Clips that all say their text, of recordings that need no file."""
    names = [f"c{i}" for i in range(len(texts))]
    frame = pd.DataFrame({"id": names, "audio": names, "expected_text": texts, "match": 1})
    return Clips(frame, "m.csv").with_audio_facts([1.0] * len(texts), names, recordings or names)


def one_part(clips: Clips) -> Folds:
    return Folds(clips, np.full(len(clips), -1), 0, "expected_text")


@settings(max_examples=50, deadline=None)
@given(TEXTS, EDITS, st.integers(0, 9))
def test_a_made_text_is_none_that_its_recording_says(
    texts: list[str], kinds: list[str], seed: int
) -> None:
    recordings = [str(i % 3) for i in range(len(texts))]  # each says several texts
    made = with_mismatches(one_part(matches(texts, recordings)), kinds, seed)
    frame = made.clips.frame
    assert frame["id"].is_unique and frame["match"].dtype == np.int8
    assert frame["match"].tolist() == [1, 0] * len(texts)
    assert frame["expected_text"].tolist()[::2] == texts and made.made is not None
    assert not any(made.made[::2]) and all(made.made[1::2])
    assert made.clips.sounds[1::2] == made.clips.sounds[::2] == recordings
    said = {(r, letters(text)) for r, text in zip(recordings, texts, strict=True)}
    for recording, text in zip(recordings, made.clips.texts[1::2], strict=True):
        assert letters(text) and (recording, letters(text)) not in said


@settings(max_examples=25, deadline=None)
@given(TEXTS, st.randoms(use_true_random=False), st.integers(0, 9))
def test_the_order_of_rows_changes_nothing(texts: list[str], shuffle: Any, seed: int) -> None:
    clips = matches([*texts, "one", "two words", "three words here"])
    order = list(range(len(clips)))
    shuffle.shuffle(order)

    def made(of: Clips, seed: int) -> dict[str, tuple[str, str]]:
        folds = with_mismatches(one_part(of), ("swap", EDIT), seed)
        assert folds.made is not None
        pairs = zip(folds.clips.texts, folds.made, strict=True)
        return dict(zip(folds.clips.ids, pairs, strict=True))

    found = made(clips, seed)
    assert found == made(clips.take(order), seed)
    assert found != made(clips, seed + 1)
    counts = Counter(kind == "swap" for _, kind in found.values() if kind)
    assert abs(counts[True] - counts[False]) <= 1


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 3), st.integers(0, 5))
def test_folds_keep_texts_apart_as_before(k: int, seed: int) -> None:
    clips = matches([text for text in SPOKEN for _ in range(4)])
    dealt = deal_folds(clips, k, seed=seed)
    folds = with_mismatches(dealt, ("swap",), seed)
    fold_of = dict(zip(clips.texts, dealt.of.tolist(), strict=True))
    assert [fold_of[text] for text in folds.clips.texts] == folds.of.tolist()
    assert folds.clips.groups[1::2] == folds.clips.groups[::2]
    words = with_mismatches(dealt, ("replace", "insert"), seed)
    for fold in range(k):
        _, held_out = words.split(fold)
        own = {word for text, at in fold_of.items() if at == fold for word in text.split()}
        assert {w for text in held_out.texts for w in text.split()} <= own | set(SPARE)


def test_spare_words_are_put_in_only_where_words_are_few() -> None:
    words = [f"word{letter}" for letter in "abcdefgh"]
    made = with_mismatches(one_part(matches(words * 9)), ("replace", "insert"), 0)
    assert {word for text in made.clips.texts for word in text.split()} == set(words)


def test_words_left_out_put_in_and_swapped_are_where_they_are_said_to_be() -> None:
    said = SPOKEN[3].split()
    kinds = ("truncate", "extend", "transpose")
    made = with_mismatches(one_part(matches([SPOKEN[3]] * 30 + [SPOKEN[2]])), kinds, 0)
    assert made.made is not None
    found = [
        (kind, text.split())
        for text, own, kind in zip(
            made.clips.texts[1::2], made.clips.texts[::2], made.made[1::2], strict=True
        )
        if own == SPOKEN[3]
    ]
    assert {kind for kind, _ in found} == set(kinds)
    for kind, words in found:
        if kind == "truncate":
            assert 0 < len(words) < len(said) and words == said[: len(words)]
        elif kind == "extend":
            assert words[: len(said)] == said and len(words) - len(said) in (1, 2)
        else:
            moved = [i for i, (a, b) in enumerate(zip(said, words, strict=True)) if a != b]
            assert len(moved) == 2 and moved[1] == moved[0] + 1
            assert [words[i] for i in moved] == [said[i] for i in moved[::-1]]


def test_ids_of_made_clips_are_new_ones() -> None:
    clips = matches(["moon", "soup", "hat"]).with_column("id", ["a", "a#2", "b"])
    made = with_mismatches(one_part(clips), ("swap",), 0)
    assert made.clips.ids == ["a", "a#3", "a#2", "a#2#2", "b", "b#2"]


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(UserError, match="no kind of negatives 'swop'; did you mean 'swap'"):
        parse_kinds("edit,swop")
    clips = matches(["moon"] * 4 + ["soup"] * 4)
    with pytest.raises(UserError, match=r"row \d.*none of the 4 clips of its fold has another"):
        with_mismatches(deal_folds(clips, 2), ("edit", "swap"), 0)
    labelled = clips.with_column("match", np.array([1, 0] * 4, np.int8))
    with pytest.raises(UserError, match="m.csv: 4 of 8 clips are mismatches already"):
        with_mismatches(one_part(labelled), ("swap",), 0)


# The commands


@pytest.fixture
def spoken(plugin: Plugin, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest of matches alone that does not say so, and the toy as a matcher."""
    leave_out_slow_floors(plugin(toy=toy_plugin()), monkeypatch)
    table = pd.read_csv(corpus).query("match == 1")
    table.drop(columns="match").to_csv(corpus, index=False)
    return corpus


def bench(command: Command, data: Path, out: Path, *more: object) -> tuple[int, str, str]:
    return command("bench", data, "--matchers", "toy", "--folds", 3, "--out", out, *more)


def test_bench_makes_mismatches_and_records_them(
    command: Command, spoken: Path, tmp_path: Path
) -> None:
    code, _, err = bench(command, spoken, tmp_path / "a", "--negatives", "swap,edit")
    assert code == 0 and "no column 'match'; each clip is taken as a match" in err
    table = pd.read_parquet(tmp_path / "a" / "predictions.parquet").query("matcher == 'toy'")
    assert len(table) == 36 and table["match"].mean() == 0.5 and (table["p_match"] == 0.5).all()
    assert table["negative"].value_counts()["swap"] == 9
    said = pd.read_csv(spoken).set_index("audio")["expected_text"]
    for row in table.itertuples():
        assert (said[row.id.partition("#")[0]] == row.expected_text) == bool(row.match)
    kept = FoldsRecord.read(tmp_path / "a" / "folds.json")
    run = RunRecord.read(tmp_path / "a" / "run.json")
    assert kept.negatives == run.folds.negatives == ("swap", "edit") and run.data.clips == 18
    assert kept.made == {r.id: r.negative for r in table.itertuples() if r.negative}
    assert "swap" in (tmp_path / "a" / "report.html").read_text()
    pd.read_csv(spoken).sample(frac=1, random_state=1).to_csv(spoken, index=False)
    code, _, err = bench(command, spoken, tmp_path / "b", "--negatives", "swap,edit")
    other = pd.read_parquet(tmp_path / "b" / "predictions.parquet").query("matcher == 'toy'")
    by_id = [t.set_index("id").sort_index()[["fold", "expected_text"]] for t in (table, other)]
    pd.testing.assert_frame_equal(*by_id)
    code, _, err = bench(command, spoken, tmp_path / "a")
    assert code == 2 and "no column 'match'" in err and "--negatives swap,edit" in err


def test_matches_alone_are_refused_with_a_hint(
    command: Command, spoken: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(spoken).assign(match=1)
    table.to_csv(spoken, index=False)
    code, _, err = bench(command, spoken, tmp_path / "run")
    assert code == 2 and "every clip has match 1" in err and "--negatives swap,edit" in err
    table.assign(match=0).to_csv(spoken, index=False)
    code, _, err = bench(command, spoken, tmp_path / "run")
    assert code == 2 and "every clip has match 0" in err and "--negatives" not in err


def test_clips_in_memory_have_labels_or_none(spoken: Path) -> None:
    tone = np.sin(np.arange(8_000) / 9)
    clips: list[Any] = [(tone, 16_000, "moon", 0), (tone, 16_000, "soup")]
    with pytest.raises(UserError, match="row 1: no match"):
        audiomatch.fit("toy", clips, negatives="swap")


def test_fit_makes_mismatches_too(command: Command, spoken: Path, tmp_path: Path) -> None:
    model = audiomatch.fit("toy", spoken, negatives=["edit"])
    assert isinstance(model.matcher, Toy) and model.matcher.rate == 0.5
    assert model.card.fit is not None and model.card.fit.clips == 36
    out = tmp_path / "model"
    assert command("fit", "toy", spoken, "--negatives", "edit", "--out", out)[0] == 0
    assert json.loads((out / "audiomatch.json").read_text())["fit"]["negatives"] == ["edit"]
