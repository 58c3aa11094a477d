"""The head's start: logistics of what a Whisper says before it is trained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from audiomatch.clips import Clips
from audiomatch.matcher import Run
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.score.head import ProductHead
from audiomatch_whisper.score.scorer import Scorer
from audiomatch_whisper.score.targets import too_long
from audiomatch_whisper.train.planted import plant

Evidence = NDArray[np.float64]  # (clips, features), as `Pipeline.features` gives it


def fit_head(
    model: Scorer,
    train: Clips,
    evidence: Evidence,
    evidence_of: Callable[[Clips], Evidence],
    config: WhisperConfig,
    run: Run,
) -> None:
    """Fit the head of a scorer that is not trained yet.

    What it asks beside the words is fitted with answers planted in the matches.

    Args:
        model: the scorer.
        train: what is learned from.
        evidence: of `train`.
        evidence_of: computes that of other clips.
        config: the options.
        run: its seed draws what is planted.
    """
    head = model.head
    assert head is not None
    head.fit(evidence, train.labels)
    if not isinstance(head, ProductHead):
        return
    labels, weights = train.labels, np.ones(len(train))
    planted = _plant(model, train, config, run)
    if planted is not None:
        weight = config.planted * len(train) / len(planted)
        evidence = np.concatenate([evidence, evidence_of(planted)])
        labels = np.concatenate([labels, planted.labels])
        weights = np.append(weights, np.full(len(planted), weight))
    head.fit_others(evidence, labels, weights, len(train))


def _plant(model: Scorer, train: Clips, config: WhisperConfig, run: Run) -> Clips | None:
    if not config.planted:
        return None
    room, tokenizer = model.room, model.whisper.tokenizer
    exact = config.expect == "exact"
    return plant(train, run, lambda text: too_long(text, tokenizer, room) is None, exact=exact)
