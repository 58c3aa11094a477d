"""The CTC score against a sum over all paths, written out."""

from __future__ import annotations

import itertools
from math import comb

import numpy as np
import pytest
import torch
from audiomatch_ctc.ctc import FLOOR, best_path, evidence, log_likelihood
from hypothesis import given, settings
from hypothesis import strategies as st

CHARACTERS = 3  # beside the blank


@st.composite
def cases(draw):
    frames = draw(st.integers(1, 5))
    text = draw(st.lists(st.integers(0, CHARACTERS - 1), max_size=4))
    blank = draw(st.integers(0, CHARACTERS))
    seed = draw(st.integers(0, 2**32 - 1))
    sharpness = draw(st.sampled_from([0.0, 1.0, 8.0]))
    generator = torch.Generator().manual_seed(seed)
    logits = sharpness * torch.randn(frames, CHARACTERS + 1, generator=generator)
    ids = np.array([i + (i >= blank) for i in text], dtype=np.int64)
    return logits.double().log_softmax(-1), ids, blank


def collapse(path, blank):
    return [i for i, _ in itertools.groupby(path) if i != blank]


def all_paths(log_probs, text, blank):
    """Log probabilities of the alignments of `text`, and the best path's of all."""
    found, best = [], -np.inf
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        log_p = float(sum(log_probs[t, i] for t, i in enumerate(path)))
        best = max(best, log_p)
        if collapse(path, blank) == text.tolist():
            found.append(log_p)
    return found, best


@given(cases())
@settings(max_examples=40, deadline=None)
def test_likelihood_is_the_sum_over_all_alignments(case):
    log_probs, text, blank = case
    found, best = all_paths(log_probs, text, blank)
    frames = torch.tensor([len(log_probs)])
    log_p, possible = log_likelihood(log_probs[None], [text], frames, blank)
    assert bool(possible) == bool(found)
    assert float(best_path(log_probs[None], frames)) == pytest.approx(best, abs=1e-9)
    if found:
        assert float(log_p) == pytest.approx(float(np.logaddexp.reduce(found)), abs=1e-9)
        repeats = int((text[1:] == text[:-1]).sum())
        alignments = comb(len(log_probs) + len(text) - repeats, 2 * len(text))
        assert len(found) == alignments
        assert float(log_p) - best <= np.log(alignments) + 1e-9


@given(cases())
@settings(max_examples=30, deadline=None)
def test_evidence_is_finite_and_has_a_floor(case):
    log_probs, text, blank = case
    log_probs = log_probs.requires_grad_()
    frames = torch.tensor([len(log_probs)])
    found, loss = evidence(log_probs[None], [text], frames, blank)
    assert torch.isfinite(found).all() and torch.isfinite(loss).all()
    assert found[0, 0].item() >= FLOOR
    (found.sum() + loss.sum()).backward()
    assert torch.isfinite(log_probs.grad).all()
    if not len(text):
        assert not found.any() and not loss.any()


def test_text_that_the_frames_cannot_hold_is_at_the_floor():
    log_probs = torch.zeros(1, 4, 5).log_softmax(-1)
    texts = [np.array([1, 1, 2])]  # needs a blank between the two ones: four frames
    assert evidence(log_probs, texts, torch.tensor([4]), 0)[0][0, 0] > FLOOR
    found, loss = evidence(log_probs, texts, torch.tensor([3]), 0)
    assert found[0, 0] == FLOOR
    assert loss == 0


def test_many_middling_alignments_score_above_the_best_path():
    log_probs = torch.zeros(1, 20, 5).log_softmax(-1)
    found, _ = evidence(log_probs, [np.array([1, 2])], torch.tensor([20]), 0)
    assert float(found[0, 0]) == pytest.approx(np.log(comb(22, 4)) / 2)


def test_padding_of_frames_and_texts_changes_nothing():
    generator = torch.Generator().manual_seed(1)
    log_probs = torch.randn(2, 9, 5, generator=generator).log_softmax(-1)
    texts = [np.array([1, 2, 3]), np.array([4])]
    both, _ = evidence(log_probs, texts, torch.tensor([9, 4]), 0)
    alone, _ = evidence(log_probs[1:, :4], texts[1:], torch.tensor([4]), 0)
    assert torch.equal(both[1], alone[0])


def test_the_binary_target_moves_the_likelihood_of_a_mismatch_down():
    logits = torch.zeros(1, 12, 5, requires_grad=True)
    text, frames = [np.array([1, 2])], torch.tensor([12])
    before = log_likelihood(logits.log_softmax(-1), text, frames, 0)[0].item()
    score = evidence(logits.log_softmax(-1), text, frames, 0)[0][0, 0]
    torch.nn.functional.softplus(score).backward()  # the binary loss of a mismatch
    with torch.no_grad():
        moved = logits - logits.grad
    after = log_likelihood(moved.log_softmax(-1), text, frames, 0)[0].item()
    assert after < before - 0.01
