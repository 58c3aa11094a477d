"""Matcher `xgboost`."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from audiomatch import Run, UserError
from audiomatch.config import MatcherConfig
from audiomatch_boosting.config import XgboostConfig
from audiomatch_boosting.matcher import BoostingMatcher, Part, Table, Training, Vector
from audiomatch_boosting.xgboost_json import checked_json

try:
    import xgboost
except ModuleNotFoundError as error:
    raise UserError(
        f"{error.name} is not installed: pip install 'audiomatch-boosting[xgboost]', or "
        "[xgboost-cpu] on a machine without a GPU"
    ) from error
except (ImportError, OSError, ValueError) as error:  # its own error is a ValueError
    raise UserError(
        f"xgboost cannot be imported ({str(error).strip().splitlines()[0]}); it needs the OpenMP "
        "runtime (Debian: apt install libgomp1; macOS: brew install libomp)"
    ) from error


class _EachRound(xgboost.callback.TrainingCallback):
    def __init__(self, training: Training) -> None:
        self.training = training

    def after_iteration(self, *_told: Any) -> bool:
        """Tell of the round; never stops."""
        self.training.each_round()
        return False


class XgboostMatcher(BoostingMatcher):
    """XGBoost (Chen and Guestrin, KDD 2016) with histograms."""

    Config: ClassVar[type[MatcherConfig]] = XgboostConfig
    config: XgboostConfig
    library = "xgboost"
    model_file = "model.json"

    def version(self) -> str:
        """Return XGBoost's version."""
        return str(xgboost.__version__)

    def device(self, run: Run) -> str:
        """Return `cpu` or the CUDA device; notes where the run's device cannot be used."""
        if run.device == "cpu":
            return "cpu"
        if not run.device.startswith("cuda"):
            reason = f"xgboost does not run on {run.device}"
        elif not xgboost.build_info().get("USE_CUDA"):
            reason = "this xgboost was built without CUDA (xgboost-cpu?)"
        elif not _gpu_found(run.device):
            reason = f"xgboost finds no {run.device}"
        else:
            return run.device
        run.note(warning=f"{reason}; ran on the CPU")
        return "cpu"

    def train(
        self, part: Part, training: Training, rounds: int, held: Part | None = None
    ) -> tuple[Any, Vector]:
        """Train with early stopping on `held`; see the base."""
        config = self.config
        params = {
            "objective": "binary:logistic",
            "base_score": 0.5,  # the start is given as a margin
            "eval_metric": "logloss",
            "tree_method": "hist",
            "learning_rate": config.learning_rate,
            "max_depth": config.max_depth,
            "min_child_weight": min(config.min_child_weight, 0.25 * part.tenth),
            "subsample": config.subsample,
            "colsample_bytree": config.column_sample,
            "reg_lambda": config.l2,
            "seed": training.seed,
            "nthread": training.threads,
            "device": training.device,
        }
        callbacks: list[Any] = [_EachRound(training)]
        if held is not None:
            callbacks.append(xgboost.callback.EarlyStopping(rounds=config.patience))
        result: dict[str, dict[str, list[float]]] = {}
        booster = xgboost.train(
            params,
            _matrix(part, training),
            rounds,
            evals=[(_matrix(held, training), "held")] if held is not None else [],
            evals_result=result,
            callbacks=callbacks,
            verbose_eval=False,
        )
        return booster, np.asarray(result["held"]["logloss"] if held is not None else [])

    def margins(self, booster: Any, x: Table, rounds: int, threads: int, device: str) -> Vector:
        """Return the sum of the first trees; see the base."""
        booster.set_param({"nthread": threads, "device": device})
        data = xgboost.DMatrix(x, nthread=threads, feature_names=booster.feature_names)
        end = min(rounds, booster.num_boosted_rounds())
        sums = booster.predict(data, output_margin=True, iteration_range=(0, end))
        return np.asarray(sums, np.float64)

    def write(self, booster: Any, path: Path) -> None:
        """Write XGBoost's JSON."""
        booster.save_model(path)

    def features(self, booster: Any) -> int:
        """Return how many there are."""
        return int(booster.num_features())

    def read(self, path: Path) -> Any:
        """Read XGBoost's JSON."""
        booster = xgboost.Booster()
        booster.load_model(checked_json(path.read_text(encoding="utf-8")))
        return booster


def _matrix(part: Part, training: Training) -> xgboost.DMatrix:
    return xgboost.DMatrix(
        part.x,
        part.y,
        base_margin=part.starts,
        feature_names=training.columns,
        nthread=training.threads,
    )


def _gpu_found(device: str) -> bool:
    """Say whether XGBoost keeps to the device; it falls back to the CPU with a warning only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        booster = xgboost.train(
            {"device": device}, xgboost.DMatrix(np.eye(2, dtype=np.float32), np.arange(2)), 1
        )
    used = json.loads(booster.save_config())["learner"]["generic_param"]["device"]
    return str(used).startswith("cuda")
