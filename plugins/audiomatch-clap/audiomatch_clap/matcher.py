"""The matcher `clap`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from audiomatch_torch import (
    Compute,
    TrainOptions,
    Weights,
    load_into,
    load_tensors,
    predict,
    save_tensors,
    train,
)
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from audiomatch.clips import Clips
from audiomatch.errors import WeightsError
from audiomatch.folds import inner_split
from audiomatch.matcher import Matcher, Run
from audiomatch_clap.config import ClapConfig
from audiomatch_clap.embeddings import Inputs, embed
from audiomatch_clap.loading import SCRATCH_WARNING, find, load, restore
from audiomatch_clap.scoring import Calibration, Head, Similarity
from audiomatch_clap.towers import Towers, TransformersTowers

FINE_TUNE_EPOCHS, HEAD_EPOCHS, SCRATCH_EPOCHS = 2, 20, 4
FINE_TUNE_LR, SCRATCH_LR = 1e-5, 1e-3
CLIP_NORM = 1.0
CPU_CROPS_AT_ONCE = 16
Pairs = Callable[[NDArray[np.int64]], tuple[Tensor, Tensor]]


class Judge(nn.Module):
    """Two towers and what compares their embeddings."""

    def __init__(self, towers: Towers, config: ClapConfig) -> None:
        super().__init__()
        self.towers = towers
        self.score = (
            Similarity()
            if config.mode == "similarity"
            else Head(towers.width, config.hidden, config.dropout)
        )


class ClapMatcher(Matcher):
    """P(match) from how near a clip's embedding is to its text's."""

    Config = ClapConfig
    config: ClapConfig

    def __init__(self, config: ClapConfig) -> None:
        super().__init__(config)
        self._judge: Judge | None = None
        self._weights: Weights | None = None
        self._calibration = Calibration()
        self._frozen = ""  # the digest of towers that training left as they were

    def _resolved(self) -> Weights:
        if self._weights is None:
            self._weights = find(self.config)
        return self._weights

    def fingerprint(self) -> dict[str, str]:
        """Return the digest of the weights that `fit` would start from, or `scratch`."""
        return self._resolved().fingerprint()

    def fit(self, train: Clips, run: Run) -> None:
        """Start from the weights; train what `mode` says; calibrate on clips not trained on.

        Frozen towers have not seen a label, so their cosine is calibrated on the whole of `train`.
        Whatever is trained leaves a group-disjoint part of it for that.
        """
        compute = Compute(run)
        weights = self._resolved()
        run.note(**weights.facts())
        if weights.scratch and self.config.weights == "auto":
            run.note(warning=SCRATCH_WARNING)
        towers = load(weights, self.config)
        self._judge = judge = Judge(towers, self.config).to(compute.device)
        trains_towers = weights.scratch or self.config.mode == "fine-tune"
        self._frozen = "" if trains_towers else f"{self.config.backend}-{weights.digest}"
        if self.config.mode == "similarity" and not trains_towers:
            self._calibration = Calibration.fit(self._logits(train, compute, run), train.labels)
            return
        rest, held_out = inner_split(train, self.config.calibration, run.seed)
        if trains_towers:
            self._train_towers(judge, train.take(rest), weights, compute, run)
        else:
            self._train_head(judge, train.take(rest), compute, run)
        calibrating = train.take(held_out)
        self._calibration = Calibration.fit(
            self._logits(calibrating, compute, run), calibrating.labels
        )

    def _train_head(self, judge: Judge, clips: Clips, compute: Compute, run: Run) -> None:
        audio, text = embed(Inputs(judge.towers, clips, compute, run), self._frozen)
        audio, text = audio.to(compute.device), text.to(compute.device)
        judge.towers.requires_grad_(False)
        self._optimise(
            judge,
            lambda rows: (audio[rows], text[rows]),
            clips,
            np.ones(len(clips)),
            HEAD_EPOCHS,
            self.config.steps,
            compute,
            run,
        )

    def _train_towers(
        self, judge: Judge, clips: Clips, weights: Weights, compute: Compute, run: Run
    ) -> None:
        inputs = Inputs(judge.towers, clips, compute, run)
        counts = inputs.mels.keep()
        if weights.scratch and isinstance(judge.towers, TransformersTowers):
            judge.towers.centre(*_statistics(inputs))
        self._optimise(
            judge,
            inputs.pairs,
            clips,
            # Crops count; tokens only keep texts of one padded length together.
            counts + inputs.text_lengths() / 1e6,
            SCRATCH_EPOCHS if weights.scratch else FINE_TUNE_EPOCHS,
            self.config.steps if weights.scratch else 0,
            compute,
            run,
        )

    def _optimise(
        self,
        judge: Judge,
        pairs: Pairs,
        clips: Clips,
        lengths: NDArray[np.float64],
        epochs: int,
        steps: int,
        compute: Compute,
        run: Run,
    ) -> None:
        config = self.config
        labels = torch.tensor(clips.labels, dtype=torch.float32).to(compute.device)
        each = math.ceil(len(clips) / config.batch_size)
        scratch = self._resolved().scratch
        lr = config.lr if config.lr is not None else SCRATCH_LR if scratch else FINE_TUNE_LR
        towers = [p for p in judge.towers.parameters() if p.requires_grad]

        def losses(rows: NDArray[np.int64]) -> Tensor:
            return functional.binary_cross_entropy_with_logits(
                judge.score(*pairs(rows)), labels[rows], reduction="none"
            )

        train(
            judge,
            losses,
            lengths,
            TrainOptions(
                epochs=config.epochs or max(epochs, math.ceil(steps / each)),
                batch_size=config.batch_size,
                lr=lr,
                warmup=config.warmup,
                weight_decay=config.weight_decay,
                clip_norm=CLIP_NORM,
                order="shuffle",
                capacity=CPU_CROPS_AT_ONCE if compute.device.type == "cpu" else None,
            ),
            compute,
            run,
            groups=[
                {"params": towers},
                {"params": list(judge.score.parameters()), "lr": config.head_lr},
            ],
        )

    def _logits(self, clips: Clips, compute: Compute, run: Run) -> NDArray[np.float64]:
        assert self._judge is not None
        judge = self._judge.to(compute.device).eval()
        audio, text = embed(Inputs(judge.towers, clips, compute, run), self._frozen)
        audio, text = audio.to(compute.device), text.to(compute.device)
        logits = predict(
            lambda rows: judge.score(audio[rows], text[rows]),
            np.ones(len(clips)),
            compute,
            run,
            capacity=1,  # as in `embed`
            label="score",
        )
        return np.asarray(logits, dtype=np.float64)

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return the calibrated probability of each clip."""
        if self._judge is None:
            raise RuntimeError("predict before fit or load")
        if not len(clips):
            return np.zeros(0)
        return self._calibration(self._logits(clips, Compute(run), run))

    def save(self, folder: Path) -> None:
        """Write the towers with their tokenizer, score.safetensors and calibration.json."""
        if self._judge is None:
            raise RuntimeError("save before fit or load")
        self._judge.towers.save(folder)
        save_tensors(self._judge.score.state_dict(), folder / "score.safetensors")
        known = {"slope": self._calibration.slope, "offset": self._calibration.offset}
        (folder / "calibration.json").write_text(json.dumps(known))

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote."""
        judge = Judge(restore(folder), self.config).eval()
        file = folder / "score.safetensors"
        load_into(judge.score, load_tensors(file), str(file))
        file = folder / "calibration.json"
        try:
            self._calibration = Calibration(**json.loads(file.read_text()))
        except (OSError, ValueError, TypeError):
            raise WeightsError(f"{file}: missing or damaged; save the model again") from None
        self._judge, self._frozen = judge, ""


def _statistics(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Mean and variance of each mel bin over the clips, shape (mels,) each."""
    count, total, squares = 0, 0.0, 0.0
    for i in range(len(inputs.ids)):
        mel = inputs.mels[i].reshape(-1, inputs.mels.extractor.feature_size).astype(np.float64)
        count, total, squares = count + len(mel), total + mel.sum(0), squares + (mel**2).sum(0)
    mean = np.asarray(total) / count
    variance = np.maximum(np.asarray(squares) / count - mean**2, 1e-3)
    return torch.from_numpy(mean), torch.from_numpy(variance)
