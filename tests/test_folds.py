from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomatch import UserError
from audiomatch.clips import Clips
from audiomatch.folds import inner_split, make_folds
from audiomatch.text import normalise_text


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


def test_texts_are_grouped_as_they_normalise() -> None:
    assert normalise_text("  Don’t—STOP, “now”… ") == normalise_text("don t stop now")
    assert normalise_text("don't") == "dont"
    assert normalise_text("ﬁve") == "five"
    clips = make_clips(["A b!", "a  B", "c", "C."] * 3, [0, 1] * 6)
    folds = make_folds(clips, 2)
    assert len(set(folds.clips.groups)) == 2
    assert len({int(f) for f in folds.of[::4]} | {int(f) for f in folds.of[1::4]}) == 1


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
