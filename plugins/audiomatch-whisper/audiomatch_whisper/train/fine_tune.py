"""Fine-tuning on labelled clips: one binary cross-entropy a clip, and one for each wrong text."""

from __future__ import annotations

import numpy as np
import torch
from audiomatch_torch import TrainOptions, to_device, train
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from audiomatch.negatives import Kind, WrongTexts
from audiomatch_whisper.config import WhisperConfig
from audiomatch_whisper.score.pipeline import Pipeline
from audiomatch_whisper.score.scorer import Scorer
from audiomatch_whisper.score.targets import Target
from audiomatch_whisper.sound.augment import augmenter
from audiomatch_whisper.text.words import TokenizedText

OFFSET_LR = 0.3


def fine_tune(pipeline: Pipeline, config: WhisperConfig, options: TrainOptions) -> None:
    """Train the scorer of a pipeline on its clips, which have labels."""
    loss = MatchLoss(pipeline, config)
    scorer = pipeline.scorer
    head = [] if scorer.head is None else list(scorer.head.parameters())
    train(
        scorer,
        loss.losses,
        pipeline.seconds[pipeline.recordings],
        options,
        pipeline.compute,
        groups=[
            {"params": [p for p in scorer.model.parameters() if p.requires_grad]},
            {"params": head, "lr": config.head_lr},
            {"params": [loss.offsets], "lr": OFFSET_LR, "weight_decay": 0.0},
        ],
        before_epoch=loss.begin,
        memory=loss,
    )


def freeze(scorer: Scorer, *, embeddings: bool) -> None:
    """Leave what is not trained without gradients: first layers, perhaps the embeddings."""
    encoder, count = scorer.whisper.encoder, scorer.frozen_layers
    encoder.embed_positions.requires_grad_(requires_grad=False)
    scorer.model.proj_out.requires_grad_(embeddings)
    if count is not None:
        encoder.requires_grad_(requires_grad=False)
        for layer in encoder.layers[count:]:
            layer.requires_grad_(requires_grad=True)
        encoder.layer_norm.requires_grad_(count < len(encoder.layers))


class MatchLoss:
    """The loss of a clip: of its own text, and of wrong ones made of it.

    Wrong texts are made of matches, `negatives` of each, anew in every epoch. There are more of
    them than of real mismatches, and some kinds are easier: what that adds to the logit is an
    offset for each kind, learned with the rest and left out of predictions, so that these keep the
    share of matches that the real clips have.

    What the decoder expects of the clips' texts in silence is a constant in the loss. Without wrong
    texts it is computed once an epoch, at its beginning, for each different text; with them in
    every step, so that memory does not grow with their number. It is part of the state
    (`state_dict`): a training that goes on within an epoch has moved the weights since.

    Attributes:
        offsets: what is added to the logit of a wrong text, by its kind, in nats.
    """

    def __init__(self, pipeline: Pipeline, config: WhisperConfig) -> None:
        self._pipeline, self._scorer = pipeline, pipeline.scorer
        self._texts, self._labels = pipeline.clips.texts, pipeline.clips.labels
        self._negatives = config.negatives
        self._augment = augmenter(config.augment) if config.augment else None
        self._epoch = 1
        self._wrong = WrongTexts(self._texts) if config.negatives else None
        own = pipeline.read_targets_of(np.arange(len(self._texts)))
        number: dict[tuple[object, ...], int] = {}  # of each different text as it is read
        of_clip = [number.setdefault(one.key, len(number)) for one in own]
        self._text_of = np.array(of_clip)  # (clips,)
        self._different = [own[i] for i in np.unique(self._text_of, return_index=True)[1]]
        self._silent: Tensor | None = None  # (texts, maximum)
        self._silent_epoch = 0
        self.offsets = nn.Parameter(torch.zeros(len(Kind), device=self._scorer.model.device))

    def begin(self, epoch: int) -> None:
        """Make the wrong texts of this epoch, counted from 1, from here on; read the own ones.

        Those are read in silence, where the score asks for it and no state of this epoch is known.
        """
        self._epoch = epoch
        if self._wrong is not None or self._scorer.head is None or self._silent_epoch == epoch:
            return
        self._scorer.eval()  # without dropout, which would be the same in all of the epoch
        silent = self._pipeline.score_silence(self._different)
        self._keep(silent, epoch)

    def _keep(self, silent: Tensor, epoch: int) -> None:
        self._silent, self._silent_epoch = to_device(silent, self._scorer.model.device), epoch

    def state_dict(self) -> dict[str, Tensor]:
        """Return what silence makes of the texts in this epoch; empty where that is not kept."""
        if self._silent is None:
            return {}
        return {"silent": self._silent, "epoch": torch.tensor(self._silent_epoch)}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Take a state that `state_dict` gave."""
        if state_dict:
            self._keep(state_dict["silent"], int(state_dict["epoch"]))

    def losses(self, rows: NDArray[np.int64]) -> Tensor:
        """Return the loss of each row, (rows,): of its own text, and the mean over wrong ones."""
        targets: list[Target] = []
        owner: list[int] = []
        kinds: list[int] = []  # -1 for a clip's own text
        read = self._pipeline.read_targets_of(rows)
        for place, (row, own) in enumerate(zip(rows, read, strict=True)):
            wrong = self._wrong_targets(int(row))
            targets += [own, *(target for target, _ in wrong)]
            kinds += [-1, *(kind for _, kind in wrong)]
            owner += [place] * (1 + len(wrong))
        of, kind = torch.tensor(owner), torch.tensor(kinds)
        made = kind >= 0
        labels = torch.from_numpy(self._labels[rows]).float()[of].masked_fill(made, 0.0)
        weights = torch.ones(len(kind)).masked_fill(made, 1 / max(1, self._negatives))
        text = torch.from_numpy(self._text_of[rows])
        of, kind, made, labels, weights, text = to_device(
            (of, kind, made, labels, weights, text), self._scorer.model.device
        )
        silent = None
        if self._silent is not None:
            silent = self._silent[text, : max(len(target.tokens) for target in targets)]
        cache = self._pipeline.encode(self._pipeline.recordings[rows], self._augment)
        logits = self._scorer(cache, targets, np.array(owner), silent)  # (texts,)
        logits = logits + self.offsets[kind.clamp(min=0)] * made
        each = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        return torch.zeros(len(rows), device=each.device).index_add(0, of, each * weights)

    def _wrong_targets(self, row: int) -> list[tuple[Target, Kind]]:
        if self._wrong is None or not self._labels[row]:
            return []
        whisper, prompt = self._scorer.whisper, self._scorer.prompt
        out = []
        seed = self._pipeline.compute.run.seed
        first = (self._epoch - 1) * self._negatives + 1
        for number in range(first, first + self._negatives):
            generator = np.random.default_rng([seed, row, number])
            wrong = self._wrong.make(self._texts[row], generator)
            text = TokenizedText.of(wrong.text, whisper.tokenizer)
            target = Target.of(text, prompt, whisper.tokenizer.end, self._scorer.spell)
            if len(target.read) < whisper.longest:
                out.append((target, wrong.kind))
        return out
