"""`explain`: the alignment, and what is said of words."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from audiomatch_ctc.explain import align
from audiomatch_ctc.matcher import CTCMatcher
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomatch import Run
from audiomatch.config import build_config
from audiomatch.contract import explain_clips, fit_matcher

BLANK = 0


def collapse(path):
    return [i for i, _ in itertools.groupby(path) if i != BLANK]


@given(
    st.integers(1, 6),
    st.lists(st.integers(1, 3), min_size=1, max_size=4),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_the_alignment_is_the_likeliest_path_of_the_text(frames, ids, seed):
    logits = np.random.default_rng(seed).normal(size=(frames, 4)) * 3
    log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    paths = [p for p in itertools.product(range(4), repeat=frames) if collapse(p) == ids]
    found = align(log_probs, np.array(ids), BLANK)
    assert (found is None) == (not paths)
    if found is None:
        return
    best = max(sum(log_probs[t, i] for t, i in enumerate(path)) for path in paths)
    assert found.worse.sum() == pytest.approx(best - log_probs.max(1).sum())
    assert (found.worse <= 1e-12).all()
    assert (found.start < found.end).all() and (found.end[:-1] <= found.start[1:]).all()


def test_a_unit_that_was_not_said_lowers_itself_alone():
    said = [1, 0, 2, 0, 3, 0]
    log_probs = np.log(np.where(np.eye(4)[said] == 1, 0.97, 0.01))
    right = align(log_probs, np.array([1, 2, 3]), BLANK)
    wrong = align(log_probs, np.array([1, 3, 3]), BLANK)
    assert right.worse.sum() == 0
    assert wrong.worse.tolist().count(0) == 5 and wrong.worse[2] < -4


def clip_of(kind, clips, checkpoint, tmp_path, **options):
    run = Run(cache=tmp_path / "cache")
    options = {"weights": str(checkpoint(kind)), "epochs": 0, **options}
    matcher = CTCMatcher(build_config(CTCMatcher.Config, options, "ctc"))
    fit_matcher(matcher, clips, run)
    return matcher, run


@pytest.mark.parametrize("kind", ["hubert", "wav2vec2-phones", "parakeet"])
def test_words_have_their_units_and_times(kind, clips, checkpoint, tmp_path):
    matcher, run = clip_of(kind, clips, checkpoint, tmp_path)
    found = explain_clips(matcher, clips, run)
    p_match = matcher.predict(clips.unlabelled(), run)
    assert [one.p_match for one in found] == pytest.approx(p_match.tolist())
    told = [one for one in found if all(word.tokens for word in one.words)]
    assert told
    for one, seconds in zip(found, clips.seconds, strict=True):
        for word in one.words:
            assert word.end <= seconds
            times = [(token.start, token.end) for token in word.tokens]
            assert times == sorted(times)
            assert sum(token.log_prob for token in word.tokens) == pytest.approx(word.log_prob)


def test_a_word_without_units_is_told_by_the_rate_of_matches(clips, checkpoint, tmp_path):
    matcher, run = clip_of("hubert", clips, checkpoint, tmp_path)
    strange = clips.with_column("expected_text", ["moon 青い"] * len(clips)).unlabelled()
    words = matcher.explain(strange, run)[0].words
    assert words[1].tokens == () and 0.2 < words[1].probability < 0.8
    assert words[1].start >= words[0].start
