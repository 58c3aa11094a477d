"""The base class of torch matchers."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from audiomatch.calibration import Calibration
from audiomatch.clips import Clips
from audiomatch.config import MatcherConfig
from audiomatch.errors import WeightsError
from audiomatch.files import write_json
from audiomatch.intake import data_digest
from audiomatch.matcher import Matcher, Run
from audiomatch.running.identity import computed_by
from audiomatch_torch.checkpoints import Checkpoints
from audiomatch_torch.compute import Compute
from audiomatch_torch.sharing import fit_on_devices
from audiomatch_torch.tensors import load_into, load_tensors, save_tensors
from audiomatch_torch.weights import SCRATCH, Weights

Model = TypeVar("Model", bound=nn.Module)
CALIBRATION = "calibration.json"
TENSORS = "model.safetensors"


class TorchMatcher(Matcher, Generic[Model]):
    """A matcher whose model is a torch module that gives one logit a clip.

    It resolves weights once, keeps what was loaded with the results, computes on the run's device
    in the run's precision with the run's threads, and calibrates. A subclass says where the
    weights come from (`sources`), makes the model (`start`), trains it (`learn`), gives the logits
    of clips (`logits`), and where the model is more than what `start` makes, writes and reads it
    (`write`, `read`).

    Attributes:
        calibration: logits to probabilities; `learn` may have `calibrate` set it, `save` keeps it.
    """

    fits_on_several = True
    config: MatcherConfig

    def __init__(self, config: MatcherConfig) -> None:
        super().__init__(config)
        self._model: Model | None = None
        self.calibration = Calibration()

    def sources(self) -> dict[str, Weights]:
        """Find the weights that `fit` starts from, by the option that names them; none here.

        Raises `WeightsError`. Called once, when first needed: see `weights`.
        """
        return {}

    @abstractmethod
    def start(self) -> Model:
        """Make the model that `learn` is given, of `weights`. Raises `WeightsError`."""

    @abstractmethod
    def learn(self, model: Model, train: Clips, compute: Compute) -> None:
        """Train `model`, which is on the device, in place."""

    @abstractmethod
    def logits(self, model: Model, clips: Clips, compute: Compute) -> NDArray[np.float64]:
        """Return the logit of each clip, (n,); the model is on the device, in `eval` mode."""

    def write(self, model: Model, folder: Path) -> None:
        """Write the model, which is on the CPU, into the existing `folder`; its tensors here."""
        save_tensors(model.state_dict(), folder / TENSORS)

    def read(self, folder: Path) -> Model:
        """Restore what `write` wrote, here into what `start` makes.

        Raises `WeightsError` where it is damaged.
        """
        model = self.start()
        load_into(model, load_tensors(folder / TENSORS), str(folder / TENSORS))
        return model

    def calibrate(
        self, logits: NDArray[np.float64], clips: Clips, train: Clips, *, choices: int = 0
    ) -> None:
        """Learn `calibration` from clips that the model was not trained on.

        Args:
            logits: of these clips, (n,).
            clips: a part of `train` in groups of its own (`audiomatch.folds.inner_split`).
            train: all that `learn` was given; what luck alone may have shown is drawn to its share
                of matches.
            choices: as `Calibration.fit` takes it.
        """
        self.calibration = Calibration.fit(
            logits,
            clips.labels,
            rate=float(train.labels.mean()),
            choices=choices,
            groups=clips.groups,
        )

    def place(self, model: Model, compute: Compute) -> Model:
        """Move the model to the device."""
        return model.to(compute.device)

    @cached_property
    def weights(self) -> dict[str, Weights]:
        """The weights that `fit` starts from, found once; see `sources`."""
        return self.sources()

    def fingerprint(self) -> dict[str, str]:
        """Return the digest of all weights that `fit` would start from, or that there are none."""
        return {f"{name}_digest": own.digest or own.name for name, own in self.weights.items()}

    def fit(self, train: Clips, run: Run) -> None:
        """Start from the weights and learn from `train`; go on where the same fit was stopped.

        With several `run.devices` each computes a share of every batch.
        """
        if run.devices:
            fit_on_devices(self, train, run)
            return
        with Compute(run) as compute:
            self._note(run)
            compute.checkpoints = Checkpoints(
                run, lambda: self._decides(train, compute), read_only=compute.ranks.rank > 0
            )
            with compute.checkpoints.until_done():
                model = self.place(self.start(), compute)
                self.learn(model, train, compute)
            self._model = model.eval().requires_grad_(requires_grad=False)

    def _decides(self, train: Clips, compute: Compute) -> dict[str, Any]:
        """Return all that decides the numbers of a fit."""
        own = type(self)
        return {
            "matcher": f"{own.__module__}:{own.__qualname__}",
            "config": self.config.model_dump(mode="json"),
            "code": [*computed_by(own.__module__), *computed_by(__name__)],
            "weights": self.fingerprint(),
            "clips": [data_digest(train), list(train.ids)],  # the digest knows no order
            "seed": compute.run.seed,
            "device": compute.ranks.devices or str(compute.device),
            "precision": compute.precision,
            "threads": compute.run.workers,
        }

    def _note(self, run: Run) -> None:
        """Keep what was loaded with the results."""
        own = list(self.weights.values()) or [Weights(SCRATCH)]
        digests = [weights.digest for weights in own if weights.digest]
        commits = [weights.commit for weights in own if weights.commit]
        run.note(
            weights=" + ".join(weights.name for weights in own),
            weights_digest=" ".join(digests),
            **({"weights_commit": " ".join(commits)} if commits else {}),
        )
        warnings = [weights.warning for weights in own if weights.warning]
        if warnings:
            run.note(warning="; ".join(warnings))

    @contextmanager
    def computing(self, run: Run) -> Iterator[tuple[Model, Compute]]:
        """Give the fitted model, on the run's device; raises `NotFittedError`."""
        model = self.fitted(self._model)
        with Compute(run) as compute:
            yield self.place(model, compute), compute

    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return the calibrated probability of each clip."""
        with self.computing(run) as (model, compute):
            logits = self.logits(model, clips, compute) if len(clips) else np.zeros(0)
        return np.asarray(self.calibration(logits), dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Write the model and calibration.json; the model is on the CPU until it is used again."""
        self.write(self.fitted(self._model).cpu(), folder)
        write_json(folder / CALIBRATION, self.calibration.to_json())

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote; needs nothing else."""
        model = self.read(folder).eval().requires_grad_(requires_grad=False)
        file = folder / CALIBRATION
        try:
            self.calibration = Calibration.from_json(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            raise WeightsError(f"{file}: missing or damaged; save the model again") from None
        self._model = model
