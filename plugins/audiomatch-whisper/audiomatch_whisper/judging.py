"""Learning to judge: one binary cross-entropy a clip, and one for each wrong text made of it."""

from __future__ import annotations

import numpy as np
import torch
from audiomatch_torch import Compute, TrainOptions, train
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from audiomatch.clips import Clips
from audiomatch.matcher import Run
from audiomatch_whisper.augmenting import augmenter
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.inputs import Inputs
from audiomatch_whisper.judge import Judge
from audiomatch_whisper.texts import Text
from audiomatch_whisper.wrong_texts import KINDS, WrongTexts

OFFSET_LR = 0.3


class Questions:
    """The texts that a clip is asked about in training: its own, and wrong ones made of it.

    Wrong texts are made of matches, `negatives` of each, anew in every epoch. There are more of
    them than of real mismatches, and some kinds are easier: what that adds to the logit is an
    offset for each kind, learned with the rest and left out of predictions, so that these keep the
    share of matches that the real clips have.

    Attributes:
        offsets: what is added to the logit of a wrong text, by its kind, in nats.
    """

    def __init__(
        self, judge: Judge, inputs: Inputs, clips: Clips, config: WhisperConfig, run: Run
    ) -> None:
        self._judge, self._inputs, self._run = judge, inputs, run
        self._clips = clips
        self._negatives = config.negatives
        self._vary = augmenter(config.augment) if config.augment else None
        self._labels = clips.labels
        self._made = np.zeros(len(clips), dtype=np.int64)
        self._wrong = WrongTexts(clips.texts) if config.negatives else None
        self.offsets = nn.Parameter(torch.zeros(len(KINDS), device=judge.whisper.device))

    def losses(self, rows: NDArray[np.int64]) -> Tensor:
        """Return the loss of each row: of its own text, and the mean over the wrong ones."""
        texts: list[Text] = []
        owner: list[int] = []
        kinds: list[int] = []
        for place, row in enumerate(rows):
            own = [(self._inputs.texts[row], -1), *self._wrong_texts(int(row))]
            texts += [text for text, _ in own]
            kinds += [kind for _, kind in own]
            owner += [place] * len(own)
        recordings = self._inputs.recording[rows]
        if self._vary is None:
            memory = self._inputs.hear(recordings)
        else:
            memory = self._inputs.hear_varied(recordings, self._vary)
        logits = self._judge(memory, texts, np.array(owner))
        of, kind = torch.tensor(owner), torch.tensor(kinds)
        made = kind >= 0
        targets = torch.from_numpy(self._labels[rows]).float()[of].masked_fill(made, 0.0)
        weights = torch.ones(len(kind)).masked_fill(made, 1 / max(1, self._negatives))
        of, kind, made, targets, weights = (
            x.to(logits.device) for x in (of, kind, made, targets, weights)
        )
        logits = logits + self.offsets[kind.clamp(min=0)] * made
        each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return torch.zeros(len(rows), device=each.device).index_add(0, of, each * weights)

    def _wrong_texts(self, row: int) -> list[tuple[Text, int]]:
        if self._wrong is None or not self._labels[row]:
            return []
        backbone, prompt = self._judge.backbone, self._judge.prompt
        room = self._judge.whisper.config.max_target_positions
        out = []
        for _ in range(self._negatives):
            self._made[row] += 1
            generator = np.random.default_rng([self._run.seed, row, self._made[row]])
            wrong = self._wrong.make(self._clips.texts[row], generator)
            text = Text.of(wrong.text, backbone.text, prompt)
            if len(text.ids) <= room:
                out.append((text, wrong.kind))
        return out


def learn(
    judge: Judge,
    inputs: Inputs,
    clips: Clips,
    config: WhisperConfig,
    options: TrainOptions,
    compute: Compute,
    run: Run,
) -> None:
    """Fine-tune the judge on clips with labels."""
    questions = Questions(judge, inputs, clips, config, run)
    head = [] if judge.head is None else list(judge.head.parameters())
    whisper = [p for p in judge.whisper.parameters() if p.requires_grad]
    train(
        judge,
        questions.losses,
        inputs.seconds[inputs.recording],
        options,
        compute,
        run,
        groups=[
            {"params": whisper},
            {"params": head, "lr": config.head_lr},
            {"params": [questions.offsets], "lr": OFFSET_LR, "weight_decay": 0.0},
        ],
    )
