"""The table of clips: what the core knows of them is not what a dataset's columns say."""

from __future__ import annotations

import hashlib
import itertools
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomatch import Run
from audiomatch.audio import each_audio, load_audio, load_clip, map_audio
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


@given(st.sets(st.text(min_size=1, max_size=3), min_size=2, max_size=30), st.data())
def test_what_is_drawn_stays_where_others_leave(names: set[str], data: st.DataObject) -> None:
    ids = data.draw(st.permutations(sorted(names)))
    most, seed = data.draw(st.integers(1, 30)), data.draw(st.integers(0, 9))

    def drawn(ids: list[str]) -> list[str]:
        columns = {"id": ids, "audio": "x.wav", "expected_text": "moon", "match": 1}
        rows = Clips(pd.DataFrame(columns)).draw(np.arange(len(ids)), most, seed)
        return [ids[row] for row in rows]

    first = drawn(ids)
    assert len(first) == min(most, len(ids)) and drawn(sorted(ids)) == first
    left = drawn(ids[1:])
    assert set(first) - {ids[0]} <= set(left) and len(set(left) - set(first)) <= 1


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


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, int(seconds * 16_000))


@pytest.fixture
def session(tmp_path: Path) -> Callable[..., Clips]:
    """Clips of one recording of 40 s, too long to be a clip."""
    soundfile.write(tmp_path / "session.flac", noise(40), 16_000)

    def cut(starts: list[float], ends: list[float]) -> Clips:
        rows = [(str(i), str(tmp_path / "session.flac"), f"text {i}") for i in range(len(starts))]
        frame = pd.DataFrame(rows, columns=["id", "audio", "expected_text"])
        return Clips(frame, "cuts.csv").with_segments(starts, ends)

    return cut


@pytest.mark.parametrize("admitted", [False, True])
def test_a_segment_is_a_clip(session: Callable[..., Clips], run: Run, *, admitted: bool) -> None:
    clips = session([0.0, 1.5, 39.0, np.nan], [1.5, 3.0, np.nan, 1.5])
    if admitted:
        clips = admit(clips, run).clips
    assert clips.seconds.tolist() == [1.5, 1.5, 1.0, 1.5]
    assert len(set(clips.digests)) == 4  # how it is written is part of what it is kept under
    assert clips.sounds[0] == clips.sounds[3] and len(set(clips.sounds)) == 3
    samples, _ = soundfile.read(clips.paths[0], dtype="float32")
    found = map_audio(clips, lambda own: own, run, "read")
    for own, (first, last) in zip(found, [(0, 1.5), (1.5, 3), (39, 40), (0, 1.5)], strict=True):
        assert np.array_equal(own, samples[int(first * 16_000) : int(last * 16_000)])
    assert np.array_equal(load_clip(clips.take([2, 1]), 0), found[2])


def test_copies_of_files_are_the_same_clips(session: Callable[..., Clips], tmp_path: Path) -> None:
    clips = session([0.0, np.nan], [1.5, 2.0])
    copies = [tmp_path / f"copy-{i}{path.suffix}" for i, path in enumerate(clips.paths)]
    for path, copy in zip(clips.paths, copies, strict=True):
        copy.write_bytes(path.read_bytes())
    moved = clips.with_files(copies)
    assert moved.paths == copies and clips.paths != copies
    assert moved.digests == clips.digests
    assert np.array_equal(moved.segments, clips.segments, equal_nan=True)


def test_segments_go_with_the_clips(session: Callable[..., Clips], clips: Clips) -> None:
    cut = session([0.0, 1.0], [1.0, 2.0])
    joined = Clips.concat([cut.with_column("id", ["a", "b"]), clips.unlabelled()])
    assert joined.segments[:2].tolist() == [[0, 1], [1, 2]] and np.isnan(joined.segments[2:]).all()
    assert pickle.loads(pickle.dumps(cut)).take([1]).segments.tolist() == [[1, 2]]
    assert np.isnan(cut.with_column("audio", str(clips.paths[0])).segments).all()


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (2.0, 2.0, "must be 0 <= start < end"),
        (2.0, 1.0, "must be 0 <= start < end"),
        (-1.0, 1.0, "must be 0 <= start < end"),
        (np.nan, 0.0, "must be 0 <= start < end"),
        (np.inf, np.nan, "must be 0 <= start < end"),
        (40.0, 41.0, r"session.flac ends at 40 s, before its segment starts \(40 s\)"),
        (5.0, np.nan, "is longer than 30 s"),
        (np.nan, np.nan, "is longer than 30 s"),
    ],
)
def test_a_segment_that_is_not_there_is_named(
    session: Callable[..., Clips], run: Run, start: float, end: float, said: str
) -> None:
    clips = session([0.0, start], [1.0, end])
    with pytest.raises(ClipError, match=rf"cuts.csv, row 1 \(id '1'\): .*{said}"):
        admit(clips, run)
    assert admit(clips, run, skip_bad=True).clips.ids == ["0"]


def test_a_recording_that_changes_after_its_segments_were_checked_is_named(
    session: Callable[..., Clips], run: Run
) -> None:
    clips = admit(session([0.0], [1.0]), run).clips
    soundfile.write(clips.paths[0], noise(2), 16_000)
    with pytest.raises(ClipError, match="has changed since it was checked"):
        load_clip(clips, 0)


def test_the_same_sound_is_one_recording_in_any_file(tmp_path: Path, run: Run) -> None:
    for name in ("a.wav", "b.flac"):
        soundfile.write(tmp_path / name, (noise(0.5) * 32_768).astype(np.int16), 16_000)
    frame = pd.DataFrame({"audio": [str(tmp_path / n) for n in ("a.wav", "b.flac")]})
    clips = Clips(frame.assign(id=["a", "b"], expected_text="moon"))
    for one in (clips, admit(clips, run).clips, admit(clips, run).clips):
        assert one.sounds[0] == one.sounds[1] and one.digests[0] != one.digests[1]


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(1, 15_999), max_size=5, unique=True))
def test_segments_joined_are_the_clip(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "joined.wav"
    soundfile.write(path, noise(1), 16_000)
    edges = np.array([0, *sorted(cuts), 16_000]) / 16_000
    parts = [load_audio(path, *pair) for pair in itertools.pairwise(edges)]
    assert np.array_equal(np.concatenate(parts), load_audio(path))
