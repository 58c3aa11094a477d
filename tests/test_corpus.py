"""The mini-screener's generator plans the corpus that is shipped."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from corpus.disrupted import DISRUPTED
from corpus.phonemes import VOWELS, Part, parse_spoken, split_stress
from corpus.plan import Clip, make_plan, manifest_row
from corpus.prompts import PROMPTS, TASKS

SHIPPED = Path(__file__).parents[1] / "audiomatch" / "datasets" / "mini_screener"
COLUMNS = ["id", "audio", "expected_text", "match", "task", "grade", "voice", "spoken", "error"]


@pytest.fixture(scope="module")
def plan() -> list[Clip]:
    return make_plan()


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with (SHIPPED / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def shares(plan: list[Clip], key) -> dict[str, float]:
    labels = defaultdict(list)
    for clip in plan:
        labels[key(clip)].append(clip.match)
    return {name: sum(group) / len(group) for name, group in labels.items()}


def test_same_seed_same_plan(plan):
    assert make_plan() == plan


def test_another_seed_another_plan(plan):
    other = make_plan(seed=2)
    assert [manifest_row(c) for c in other] != [manifest_row(c) for c in plan]
    assert {clip.prompt for clip in other} == {clip.prompt for clip in plan}


def test_counts(plan):
    assert len({clip.prompt.text for clip in plan}) == len(PROMPTS) >= 48
    assert len(plan) >= 480
    assert len({clip.voice.name for clip in plan}) >= 10
    assert len({clip.voice.engine for clip in plan}) >= 3
    assert {clip.prompt.task for clip in plan} == set(TASKS)
    assert {clip.prompt.grade for clip in plan} == {"KG", "1", "2", "3"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_neither_text_nor_voice_tells_the_label(seed):
    plan = make_plan(seed)
    for key in (lambda c: c.prompt.text, lambda c: c.voice.name, lambda c: c.prompt.task):
        assert all(0.35 <= share <= 0.65 for share in shares(plan, key).values())


def test_no_text_has_a_voice_twice(plan):
    pairs = [(clip.prompt.text, clip.voice.name) for clip in plan]
    assert len(pairs) == len(set(pairs))


def test_matches_say_the_text_and_mismatches_do_not(plan):
    for clip in plan:
        assert (clip.spoken == clip.prompt.spoken) == clip.match
        assert bool(clip.error) != clip.match


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_disrupted_answer_is_given_once_by_voices_in_turn(seed):
    plan = make_plan(seed)
    errors = {wrong.error for wrong in DISRUPTED.values()}
    disrupted = [clip for clip in plan if clip.error in errors]
    said = {clip.prompt.text: clip.spoken for clip in disrupted}
    assert said == {text: wrong.spoken for text, wrong in DISRUPTED.items()}
    assert len(disrupted) == len(said)
    assert 0.1 <= len(disrupted) / sum(not clip.match for clip in plan) <= 0.16
    turns = Counter((clip.prompt.task, clip.voice.name) for clip in disrupted)
    assert max(turns.values()) <= 2


def test_an_answer_may_break_off_within_a_part():
    halves = parse_spoken("win [first 50 %] ... /W IH1 N/ [first 75 %] ... win")
    assert halves == [Part("win", share=0.5), Part("", ("W", "IH1", "N"), 0.75), Part("win")]


def test_what_is_cut_short_ends_well_before_the_text(plan):
    cut = [clip for clip in plan if clip.error == "cut_short"]
    assert cut
    for clip in cut:
        (part,) = parse_spoken(clip.spoken)
        assert clip.spoken.startswith(clip.prompt.spoken)
        assert 0.4 <= part.share <= 0.8


def test_spoken_phonemes_are_arpabet_and_nonwords_are_phonemes(plan):
    for clip in plan:
        parts = parse_spoken(clip.spoken)
        for part in parts:
            for phoneme in part.phonemes:
                bare, stress = split_stress(phoneme)
                assert (bare in VOWELS) == (stress >= 0)
        if clip.prompt.task == "nonword_repetition":
            assert all(part.phonemes for part in parts)


def test_the_manifest_is_the_plan(plan, rows):
    assert list(rows[0])[: len(COLUMNS)] == COLUMNS
    assert rows == [manifest_row(clip) for clip in plan]


def test_size():
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 6_000_000


def test_the_clips_are_those_of_the_manifest(rows):
    assert {row["audio"] for row in rows} == {f"clips/{p.name}" for p in SHIPPED.glob("clips/*")}


def test_clips_are_audible_opus_and_length_does_not_tell_the_label(rows):
    lengths = defaultdict(list)
    for row in rows:
        with sf.SoundFile(SHIPPED / row["audio"]) as file:
            assert (file.format, file.subtype, file.channels) == ("OGG", "OPUS", 1)
            audio = file.read(dtype="float32")
            assert len(audio) < 30 * file.samplerate
            lengths[row["task"], row["match"]].append(len(audio) / file.samplerate)
        assert np.sqrt((audio**2).mean()) > 1e-3
        assert np.abs(audio).max() <= 1.0
    for task in TASKS:
        right, wrong = (np.array(lengths[task, match]) for match in "10")
        longer = (wrong[:, None] > right).mean() + 0.5 * (wrong[:, None] == right).mean()
        assert 0.35 < longer < 0.65, f"{task}: a longer clip is wrong {longer:.0%} of the time"
