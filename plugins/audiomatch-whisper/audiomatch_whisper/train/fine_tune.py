"""Fine-tuning on labelled clips: one binary cross-entropy a clip, and one for each wrong text."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from audiomatch_torch import TrainOptions, to_device, train
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from audiomatch.negatives import Kind, Wrong, WrongTexts
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.score.pipeline import Pipeline
from audiomatch_whisper.score.targets import Target
from audiomatch_whisper.sound.augment import augmenter
from audiomatch_whisper.text.words import TokenizedText
from audiomatch_whisper.train.planted import KINDS, Planted

OFFSET_LR = 0.3
NO_OFFSET = -1


def fine_tune(
    pipeline: Pipeline, planted: Planted, config: WhisperConfig, options: TrainOptions
) -> None:
    """Train the scorer of a pipeline on its clips, which have labels, those of `planted`."""
    loss = MatchLoss(pipeline, config, planted)
    scorer = pipeline.scorer
    head = [] if scorer.head is None else list(scorer.head.parameters())
    train(
        scorer,
        loss.losses,
        pipeline.seconds[pipeline.recordings[: len(loss.weights)]],
        options,
        pipeline.compute,
        groups=[
            {"params": [p for p in scorer.model.parameters() if p.requires_grad]},
            {"params": head, "lr": config.head_lr},
            {"params": [loss.offsets], "lr": OFFSET_LR, "weight_decay": 0.0},
        ],
        before_epoch=loss.begin,
    )


class MatchLoss:
    """The loss of a clip: of its own text, and of wrong ones made of it.

    Wrong texts are made of matches, `negatives` of each, anew in every epoch. There are more of
    them than of real mismatches, and some kinds are easier: what that adds to the logit is an
    offset for each kind, learned with the rest and left out of predictions, so that these keep the
    share of matches that the real clips have.

    Planted answers have no offset, but little weight: those whose sound is cut are clips of their
    own, and of each match a text of one of `KINDS` is planted, anew in every epoch.

    Attributes:
        offsets: what is added to the logit of a wrong text, by its kind, in nats.
        weights: of each clip that is trained on, (clips,).
    """

    def __init__(
        self, pipeline: Pipeline, config: WhisperConfig, planted: Planted | None = None
    ) -> None:
        planted = planted or Planted(pipeline.clips, len(pipeline.clips))
        clips = planted.clips
        self._pipeline, self._scorer = pipeline, pipeline.scorer
        self._texts, self._labels = clips.texts, clips.labels
        self.weights = planted.heard
        self._negatives = config.negatives
        matches = int(self._labels.sum())
        self._of_text = planted.weight * planted.own / 2 / max(matches, 1)
        self._augment = augmenter(config.augment) if config.augment else None
        self._epoch = 1
        own = self._texts[: planted.own]
        self._wrong = WrongTexts(own) if config.negatives or planted.weight else None
        self.offsets = nn.Parameter(torch.zeros(len(Kind), device=self._scorer.model.device))

    def begin(self, epoch: int) -> None:
        """Make the wrong texts of this epoch, counted from 1, from here on."""
        self._epoch = epoch

    def losses(self, rows: NDArray[np.int64]) -> Tensor:
        """Return the loss of each row, (rows,): of its own text, and the mean over wrong ones."""
        asked: list[_Asked] = []
        owner: list[int] = []
        read = self._pipeline.read_targets_of(rows)
        for place, (row, own) in enumerate(zip(rows, read, strict=True)):
            texts = [_Asked(own, int(self._labels[row]), self.weights[row], NO_OFFSET)]
            if self._labels[row]:
                texts += [*self._made(int(row)), *self._planted(int(row))]
            asked += texts
            owner += [place] * len(texts)
        cache = self._pipeline.encode(self._pipeline.recordings[rows], self._augment)
        logits = self._scorer(cache, [one.target for one in asked], np.array(owner))  # (texts,)
        of, labels, weights, kind = to_device(
            (
                torch.tensor(owner),
                torch.tensor([float(one.label) for one in asked]),
                torch.tensor([float(one.weight) for one in asked]),
                torch.tensor([one.kind for one in asked]),
            ),
            logits.device,
        )
        logits = logits + self.offsets[kind.clamp(min=0)] * (kind != NO_OFFSET)
        each = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        return torch.zeros(len(rows), device=each.device).index_add(0, of, each * weights)

    def _made(self, row: int) -> list[_Asked]:
        """Make the wrong texts of a match, of any kind, each with an offset."""
        first = (self._epoch - 1) * self._negatives + 1
        out = []
        for number in range(first, first + self._negatives):
            assert self._wrong is not None
            generator = np.random.default_rng([self._seed, row, number])
            wrong = self._wrong.make(self._texts[row], generator)
            out += self._asked(wrong, 1 / self._negatives, wrong.kind)
        return out

    def _planted(self, row: int) -> list[_Asked]:
        """Plant a text in a match."""
        if not self._of_text or self._wrong is None:
            return []
        generator = np.random.default_rng([self._seed, row, self._epoch, len(KINDS)])
        kind = KINDS[int(generator.integers(len(KINDS)))]
        wrong = self._wrong.make_kind(kind, self._texts[row], generator)
        return self._asked(wrong, self._of_text, NO_OFFSET)

    def _asked(self, wrong: Wrong, weight: float, kind: int) -> list[_Asked]:
        """Return what is asked about a wrong text; nothing of one that is too long."""
        whisper, prompt = self._scorer.whisper, self._scorer.prompt
        text = TokenizedText.of(wrong.text, whisper.tokenizer)
        target = Target.of(text, prompt, whisper.tokenizer.end, self._scorer.spell)
        fits = len(target.read) < whisper.longest
        return [_Asked(target, 0, weight, kind)] if fits else []

    @property
    def _seed(self) -> int:
        return self._pipeline.compute.run.seed


class _Asked(NamedTuple):
    """A text whose logit goes into the loss.

    Attributes:
        target: the text.
        label: whether its clip says it.
        weight: of its loss.
        kind: whose offset is added to its logit; `NO_OFFSET` for none.
    """

    target: Target
    label: int
    weight: float
    kind: int
