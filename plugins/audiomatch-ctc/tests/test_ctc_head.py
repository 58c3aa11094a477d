"""The head: its sign, and texts without evidence."""

from __future__ import annotations

import numpy as np
import torch
from audiomatch_ctc.head import EvidenceHead


def make(rows, signal, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 2
    score = rng.normal(-3, 2, rows) + signal * (labels - 0.5)
    rest = np.stack([rng.normal(-0.5, 0.2, rows), rng.uniform(1, 3, rows)], axis=1)
    return np.concatenate([score[:, None], rest], axis=1), labels.astype(np.int8)


def logits(head, evidence):
    with torch.no_grad():
        return head(torch.from_numpy(evidence)).numpy()


def test_a_better_score_never_makes_a_match_less_likely():
    evidence, labels = make(200, -6)  # turned round
    head = EvidenceHead()
    head.fit(evidence, labels)
    better = evidence + np.array([1.0, 0.0, 0.0])
    assert (logits(head, better) > logits(head, evidence)).all()
    assert abs(logits(head, evidence).mean()) < 0.5


def test_one_class_gives_its_smoothed_rate():
    head = EvidenceHead()
    evidence, _ = make(8, 1)
    head.fit(evidence, np.ones(8, dtype=np.int8))
    assert np.allclose(1 / (1 + np.exp(-logits(head, evidence))), 0.9, atol=0.01)


def test_a_text_without_evidence_gets_the_offset():
    head = EvidenceHead()
    head.fit(*make(40, 4))
    found = logits(head, np.zeros((1, 3)))
    assert np.isclose(found[0], head.offset.item())
