"""The table of clips: what the core knows of them is not what a dataset's columns say."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from audiomatch import Run
from audiomatch.audio import each_audio, load_audio, map_audio
from audiomatch.clips import Clips
from audiomatch.datasets.manifest import open_manifest
from audiomatch.errors import ClipError, UserError
from audiomatch.folds import group_clips, inner_folds, make_folds
from audiomatch.intake import admit, data_digest
from audiomatch.plugins import Registry
from tests.conftest import write_tone
from tests.toys import Toy, toy_plugin

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def clips(corpus: Path) -> Clips:
    return open_manifest(corpus, labelled=True)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("admitted", [False, True])
def test_seconds_and_digests_are_those_of_the_files(
    clips: Clips, run: Run, *, admitted: bool
) -> None:
    wanted = [len(load_audio(path)) / 16_000 for path in clips.paths]
    if admitted:
        clips = admit(clips, run).clips
    assert clips.seconds.dtype == np.float64 and clips.seconds.tolist() == wanted
    assert clips.digests == [sha256(path) for path in clips.paths]
    some = clips.take([3, 1])
    assert some.seconds.tolist() == [wanted[3], wanted[1]]
    assert some.unlabelled().digests == [sha256(path) for path in some.paths]


def test_columns_that_have_the_cores_names_are_the_users(clips: Clips, run: Run) -> None:
    own = clips.with_column("group", "pilot").with_column("seconds", "a lot")
    own = own.with_column("sha256", "0" * 64)
    own = Clips(own.frame)
    assert own.groups == clips.groups and own.digests == clips.digests
    assert own.seconds.tolist() == clips.seconds.tolist()
    admitted = admit(own, run).clips
    assert admitted["seconds"].tolist() == ["a lot"] * len(clips)
    assert admitted.seconds.tolist() == clips.seconds.tolist()
    for ours, theirs in zip(inner_folds(admitted, 3), inner_folds(clips, 3), strict=True):
        assert np.array_equal(ours[1], theirs[1])
    with pytest.raises(UserError, match="all clips are in one group by 'group'"):
        make_folds(own, 3, "group")
    by_group = clips.with_column("group", clips["speaker"])
    assert group_clips(by_group, "group").groups == clips["speaker"].tolist()
    assert make_folds(by_group, 3, "group").digest == make_folds(clips, 3, "speaker").digest


def test_groups_go_with_the_clips(clips: Clips) -> None:
    grouped = group_clips(clips, "speaker")
    assert grouped.take([5, 2]).unlabelled().groups == [clips["speaker"][i + 2] for i in (5, 2)]
    assert pickle.loads(pickle.dumps(grouped)).groups == grouped.groups
    other = grouped.take(range(4)).with_column("id", ["a", "b", "c", "d"])
    joined = Clips.concat([grouped, other])
    assert joined.groups == grouped.groups + other.groups and len(joined) == 40
    assert Clips.concat([grouped, Clips(other.frame)]).groups == clips.groups + clips.groups[:4]
    with pytest.raises(UserError, match="ids must be unique"):
        Clips.concat([clips, clips])


def test_other_recordings_have_their_own_facts(clips: Clips, run: Run, tmp_path: Path) -> None:
    write_tone(tmp_path / "other.wav", 0.7)
    other = admit(clips, run).clips.with_column("audio", str(tmp_path / "other.wav"))
    assert set(other.digests) == {sha256(tmp_path / "other.wav")}
    assert set(other.seconds) == {0.7}


def test_the_digest_of_data_is_of_columns_groups_and_audio(clips: Clips, run: Run) -> None:
    before = data_digest(clips)
    assert data_digest(admit(clips, run).clips) == before
    assert data_digest(group_clips(clips, "speaker")) != before
    assert data_digest(clips.with_column("task", "x")) != before
    write_tone(clips.paths[3], 0.4)
    assert data_digest(clips) != before


@pytest.mark.parametrize("workers", [1, 3])
def test_map_audio_keeps_the_order(clips: Clips, run: Run, workers: int) -> None:
    run.workers = workers
    wanted = [load_audio(path).sum() for path in clips.paths]
    assert map_audio(clips, lambda samples: samples.sum(), run, "sums") == wanted
    assert map_audio(clips.take([]), lambda samples: samples.sum(), run, "sums") == []


@pytest.mark.parametrize("admitted", [False, True])
def test_map_audio_names_the_row(clips: Clips, run: Run, *, admitted: bool) -> None:
    if admitted:
        clips = admit(clips, run).clips
    clips.paths[4].unlink()
    with pytest.raises(ClipError, match=r"manifest.csv, row 6 \(id '004.wav'\): no such audio"):
        map_audio(clips, len, run, "lengths")


def test_a_clip_that_changes_after_it_was_checked_is_named(clips: Clips, run: Run) -> None:
    admitted = admit(clips, run).clips
    write_tone(clips.paths[4], 0.4)
    with pytest.raises(ClipError, match=r"row 6 .*has changed since it was checked"):
        map_audio(admitted, len, run, "lengths")
    assert map_audio(clips, len, run, "lengths")[4] == 6400


def test_audio_is_not_computed_far_ahead(clips: Clips, run: Run) -> None:
    done = []
    for taken, _ in enumerate(each_audio(clips, done.append, run, "few"), start=1):
        assert len(done) <= taken + 2 * run.workers


def test_a_column_called_group_changes_nothing_in_a_fit(
    plugin: Callable[..., Registry], command: Command, corpus: Path, tmp_path: Path
) -> None:
    seen = []

    class Listener(Toy):
        def fit(self, train: Clips, run: Run) -> None:
            super().fit(train, run)
            seen.append([held.tolist() for _, held in inner_folds(train, 3, run.seed)])

    plugin(toy=toy_plugin(Listener))
    table = pd.read_csv(corpus, dtype=str)
    for value in ("pilot", [f"g{i % 4}" for i in range(36)]):
        table.assign(group=value).to_csv(corpus, index=False)
        assert command("fit", "toy", corpus, "--out", tmp_path / "model")[0] == 0
    table.to_csv(corpus, index=False)
    assert command("fit", "toy", corpus, "--out", tmp_path / "model")[0] == 0
    assert seen[1:] == seen[:-1]


def test_a_recording_put_back_with_size_and_time_kept_is_noticed(clips: Clips, run: Run) -> None:
    place = clips.paths[0]
    soundfile.write(place, np.linspace(0, 0.5, 8000), 16_000)
    before, state = admit(clips, run).clips, place.stat()
    samples = load_audio(place)
    soundfile.write(place, samples[::-1], 16_000)
    os.utime(place, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert place.stat().st_size == state.st_size
    after = admit(clips, run).clips
    assert after.digests[0] == sha256(place) != before.digests[0]
    assert np.array_equal(map_audio(after, lambda own: own, run, "read")[0], load_audio(place))
