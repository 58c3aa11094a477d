from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from audiomatch import UserError
from audiomatch.clips import Clips
from audiomatch.dealing import deal_by_labels, deal_by_size
from audiomatch.folds import inner_folds, inner_split, make_folds


def make_clips(texts: list[str], labels: list[int], **columns: list[object]) -> Clips:
    names = [f"c{i}" for i in range(len(texts))]
    frame = {"id": names, "audio": names, "expected_text": texts, "match": labels, **columns}
    return Clips(pd.DataFrame(frame), "test.csv")


@st.composite
def corpora(draw: st.DrawFn) -> Clips:
    size = draw(st.integers(12, 60))
    texts = draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
    return make_clips([f"Text {t}!" for t in texts], [i % 2 for i in range(size)])


@settings(max_examples=50, deadline=None)
@given(corpora(), st.integers(2, 4), st.integers(0, 5))
def test_no_text_is_in_two_folds(clips: Clips, k: int, seed: int) -> None:
    try:
        folds = make_folds(clips, k, seed=seed)
    except UserError:
        return
    spread = pd.Series(folds.of).groupby(folds.clips.groups).nunique()
    assert (spread == 1).all()
    assert set(folds.of) == set(range(k))
    assert make_folds(clips, k, seed=seed).digest == folds.digest
    for fold in range(k):
        train, held_out = folds.split(fold)
        assert not held_out.labelled and train.labelled
        assert not set(train.ids) & set(held_out.ids)
        assert len(train) + len(held_out) == len(clips)


@settings(max_examples=30, deadline=None)
@given(corpora(), st.integers(0, 5))
def test_inner_split_is_group_disjoint(clips: Clips, seed: int) -> None:
    larger, smaller = inner_split(clips, seed=seed)
    assert sorted([*larger, *smaller]) == list(range(len(clips)))
    if len(set(clips.groups)) > 1:
        assert not set(clips.take(larger).groups) & set(clips.take(smaller).groups)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=20, max_size=120),
    st.integers(2, 12),
    st.integers(0, 2**32 - 1),
)
def test_groups_are_dealt_as_by_scikit_learn(
    clips: list[tuple[int, bool]], k: int, seed: int
) -> None:
    groups = np.unique([group for group, _ in clips], return_inverse=True)[1]
    labels = np.array([label for _, label in clips], np.int8)
    assume(k <= groups.max() + 1 and k <= np.bincount(labels, minlength=2).min())
    splitter = StratifiedGroupKFold(k, shuffle=True, random_state=seed)
    dealt = deal_by_labels(groups, labels, k, seed)[groups]
    for fold, (_, held_out) in enumerate(splitter.split(groups, labels, groups)):
        assert np.flatnonzero(dealt == fold).tolist() == held_out.tolist()
    sizes = [len(held_out) for _, held_out in GroupKFold(k).split(groups, labels, groups)]
    # Which of two groups of one size comes first is not the same in all releases of scikit-learn.
    assert np.bincount(deal_by_size(groups, k)[groups], minlength=k).tolist() == sizes


def test_texts_are_grouped_as_they_normalise() -> None:
    clips = make_clips(["A b!", "a  B", "c", "C."] * 3, [0, 1] * 6)
    folds = make_folds(clips, 2)
    assert len(set(folds.clips.groups)) == 2
    assert len({int(f) for f in folds.of[::4]} | {int(f) for f in folds.of[1::4]}) == 1


def admitted(clips: Clips, sounds: list[str]) -> Clips:
    return clips.with_audio_facts([1.0] * len(clips), sounds, sounds)


def test_clips_of_one_recording_share_a_fold_by_way_of_others_too() -> None:
    clips = make_clips(list("abcdefgh"), [0, 1] * 4, speaker=list("xxyyzzww"))
    sounds = ["1", "2", "2", "3", "4", "5", "6", "7"]
    groups = make_folds(admitted(clips, sounds), 2).clips.groups
    assert groups == ["a", "b", "b", "d", "e", "f", "g", "h"]
    groups = make_folds(admitted(clips, sounds), 2, "speaker").clips.groups
    assert groups == ["x"] * 4 + ["z"] * 2 + ["w"] * 2
    groups = make_folds(admitted(clips, sounds), 2, "none").clips.groups
    assert groups == ["c0", "c1", "c1", "c3", "c4", "c5", "c6", "c7"]


def test_columns_joined_by_plus_are_all_kept_apart() -> None:
    clips = make_clips(["a", "A!", "b", "c", "d"], [0, 1, 0, 1, 0], speaker=list("xyyzw"))
    assert make_folds(clips, 2, "speaker+expected_text").clips.groups == list("xxxzw")
    assert make_folds(clips, 2, "expected_text+speaker").clips.groups == list("aaacd")
    with pytest.raises(UserError, match=r"--group speaker\+age: test.csv has no such column"):
        make_folds(clips, 2, "speaker+age")


def test_texts_and_recordings_that_join_all_clips_are_refused() -> None:
    clips = make_clips(["a", "b", "b", "a"], [0, 1, 0, 1])
    with pytest.raises(
        UserError, match="one group by 'expected_text' and recording.*--group audio"
    ):
        make_folds(admitted(clips, ["1", "1", "2", "2"]), 2)


@st.composite
def unequal(draw: st.DrawFn) -> tuple[Clips, int]:
    """Groups of any size and share of matches, each label in two of them at least."""
    counts = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=8))
    counts = [pair for pair in counts if sum(pair)]
    for label in (0, 1):
        assume(sum(pair[label] > 0 for pair in counts) > 1)
    rows = [(f"t{i}", y) for i, pair in enumerate(counts) for y in (0, 1) for _ in range(pair[y])]
    texts, labels = zip(*rows, strict=True)
    return make_clips(list(texts), list(labels)), draw(st.integers(2, len(counts)))


@settings(max_examples=25, deadline=None)
@given(unequal(), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_what_can_be_split_is_split_whatever_the_order_of_rows(
    made: tuple[Clips, int], seed: int, random: Random
) -> None:
    clips, k = made
    folds = make_folds(clips, k, seed=seed)
    assert set(folds.of) == set(range(k))
    order = list(range(len(clips)))
    random.shuffle(order)
    again = make_folds(clips.take(order), k, seed=seed)
    assert again.of.tolist() == folds.of[order].tolist()


@pytest.mark.parametrize("seed", range(8))
def test_folds_are_alike_in_size_and_labels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, 60, 300)
    labels = (rng.random(300) < np.where(numbers < 12, 0.9, 0.1)).astype(int)
    folds = make_folds(make_clips([f"t{i}" for i in numbers], labels.tolist()), 5, seed=seed)
    assert np.ptp(np.bincount(folds.of)) <= 6
    assert np.ptp(np.bincount(folds.of, labels)) <= 6


def test_group_by_column_and_none() -> None:
    clips = make_clips([f"t{i}" for i in range(12)], [0, 1] * 6, speaker=list("aabbccddaabb"))
    folds = make_folds(clips, 2, "speaker")
    assert (pd.Series(folds.of).groupby(folds.clips["speaker"].tolist()).nunique() == 1).all()
    plain = make_folds(clips, 3, "none")
    assert np.bincount(plain.of).tolist() == [4, 4, 4]
    with pytest.raises(UserError, match=r"--group colour: test.csv has no such column.*speaker"):
        make_folds(clips, 2, "colour")


def test_too_few_groups_and_one_class() -> None:
    with pytest.raises(UserError, match="2 groups by 'expected_text' cannot fill 3 folds"):
        make_folds(make_clips(["a", "b"] * 4, [0, 1] * 4), 3)
    with pytest.raises(UserError, match="all clips are in one group"):
        make_folds(make_clips(["a"] * 4, [0, 1] * 2), 2)
    with pytest.raises(UserError, match="without fold . every clip has match 0"):
        make_folds(make_clips(["a", "b"] * 4, [0, 1] * 4), 2)


def dominated(share: float, count: int = 400) -> Clips:
    """Clips of which one text has `share`, and the others four a text."""
    big = int(share * count)
    texts = ["hello"] * big + [f"word {i // 4}" for i in range(count - big)]
    labels = np.random.default_rng(1).integers(0, 2, count).tolist()
    return make_clips(texts, labels)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.8, 0.9, 0.99])
@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.3, 0.5])
def test_a_dominant_text_stays_in_the_larger_part(share: float, fraction: float) -> None:
    clips = dominated(share)
    for seed in range(5):
        rest, aside = inner_split(clips, fraction, seed)
        assert sorted([*rest, *aside]) == list(range(len(clips)))
        assert 0 < len(aside) <= len(clips) / 2
        groups = np.asarray(clips.groups, dtype=object)
        assert not set(groups[rest]) & set(groups[aside])
        possible = min(fraction, (1 - share) / 2, 0.5)
        assert len(aside) >= 0.7 * possible * len(clips)


def test_a_split_that_comes_nowhere_near_is_noted() -> None:
    notes: dict[str, Any] = {}
    inner_split(dominated(0.9), 0.3, 0, notes.update)
    assert "instead of 30%" in notes["warning"]
    notes.clear()
    inner_split(dominated(0.3), 0.2, 0, notes.update)
    inner_split(make_clips(["one"] * 40, [0, 1] * 20), 0.2, 0, notes.update)
    assert not notes


def test_of_two_groups_the_smaller_is_set_aside() -> None:
    clips = make_clips(["a"] * 70 + ["b"] * 30, [0, 1] * 50)
    for seed in range(6):
        assert inner_split(clips, 0.2, seed)[1].tolist() == list(range(70, 100))


def test_no_inner_fold_is_empty() -> None:
    sizes, matches = (5, 1, 1, 2, 2), (5, 0, 1, 2, 2)
    texts = [f"t{i}" for i, size in enumerate(sizes) for _ in range(size)]
    labels = [int(j < m) for size, m in zip(sizes, matches, strict=True) for j in range(size)]
    clips = make_clips(texts, labels)
    for seed in range(20):
        folds = inner_folds(clips, 5, seed)
        assert len(folds) == 5 and all(len(held_out) for _, held_out in folds)
        assert sorted(np.concatenate([held_out for _, held_out in folds])) == list(range(11))
