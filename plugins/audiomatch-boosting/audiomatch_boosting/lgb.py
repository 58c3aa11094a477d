"""Matcher `lightgbm`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from audiomatch import Run, UserError
from audiomatch.config import MatcherConfig
from audiomatch.lightgbm_text import features_of
from audiomatch_boosting.config import LightgbmConfig
from audiomatch_boosting.matcher import BoostingMatcher, Part, Table, Training, Vector

try:
    import lightgbm
except (ImportError, OSError) as error:
    raise UserError(
        f"lightgbm cannot be imported ({str(error).strip().splitlines()[0]}); it needs the OpenMP "
        "runtime (Debian: apt install libgomp1; macOS: brew install libomp)"
    ) from error


class LightgbmMatcher(BoostingMatcher):
    """LightGBM (Ke et al., NeurIPS 2017)."""

    Config: ClassVar[type[MatcherConfig]] = LightgbmConfig
    config: LightgbmConfig
    library = "lightgbm"
    model_file = "model.txt"

    def version(self) -> str:
        """Return LightGBM's version."""
        return str(lightgbm.__version__)

    def device(self, run: Run) -> str:
        """Return `cpu` or `cuda[:N]`; notes where the run's device cannot be used.

        The wheels on PyPI come without CUDA. Their OpenCL is not used: it may take another device
        than the run names.
        """
        if run.device == "cpu":
            return "cpu"
        if not run.device.startswith("cuda"):
            reason = f"lightgbm does not run on {run.device}"
        else:
            problem = _cuda_problem(run.device)
            if problem is None:
                return run.device
            reason = f"lightgbm cannot use {run.device} ({problem})"
        run.note(warning=f"{reason}; ran on the CPU")
        return "cpu"

    def train(
        self, part: Part, training: Training, rounds: int, held: Part | None = None
    ) -> tuple[Any, Vector]:
        """Train with early stopping on `held`; see the base."""
        config = self.config
        params = {
            "objective": "binary",
            "metric": "binary_logloss",
            "boost_from_average": False,  # the start is given as an initial score
            "learning_rate": config.learning_rate,
            "num_leaves": config.num_leaves,
            "min_data_in_leaf": min(config.min_child_samples, part.tenth),
            "bagging_fraction": config.subsample,
            "bagging_freq": 1,
            "feature_fraction": config.column_sample,
            "lambda_l2": config.l2,
            "seed": training.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": training.threads,
            "verbosity": -1,
            **_device_params(training.device),
        }
        data = lightgbm.Dataset(
            part.x,
            part.y,
            init_score=part.starts,
            feature_name=training.columns,
            params=params,
        )
        callbacks: list[Any] = [lambda _env: training.each_round()]
        curves: dict[str, dict[str, list[float]]] = {}
        valid = []
        if held is not None:
            valid = [data.create_valid(held.x, held.y, init_score=held.starts)]
            callbacks += [
                lightgbm.record_evaluation(curves),
                lightgbm.early_stopping(config.patience, verbose=False),
            ]
        booster = lightgbm.train(
            params, data, rounds, valid_sets=valid, valid_names=["held"] * len(valid),
            callbacks=callbacks,
        )  # fmt: skip
        return booster, np.asarray(curves["held"]["binary_logloss"] if held is not None else [])

    def margins(
        self,
        booster: Any,
        x: Table,
        rounds: int,
        threads: int,
        device: str,  # noqa: ARG002 - the base's
    ) -> Vector:
        """Return the sum of the first trees; see the base. LightGBM predicts on the CPU."""
        sums = booster.predict(x, raw_score=True, num_iteration=rounds, num_threads=threads)
        return np.asarray(sums, np.float64)

    def write(self, booster: Any, path: Path) -> None:
        """Write LightGBM's text format, every tree."""
        path.write_bytes(booster.model_to_string(num_iteration=-1).encode())

    def features(self, booster: Any) -> int:
        """Return how many there are."""
        return int(booster.num_feature())

    def read(self, path: Path) -> Any:
        """Read LightGBM's text format."""
        text = path.read_bytes().decode()
        features_of(text)
        try:
            return lightgbm.Booster(model_str=text)
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(str(error)) from None


def _device_params(device: str) -> dict[str, Any]:
    kind, _, number = device.partition(":")
    return {"device_type": kind} | ({"gpu_device_id": int(number)} if number else {})


def _cuda_problem(device: str) -> str | None:
    """Say why this LightGBM cannot train on `device`, or None."""
    params = {"verbosity": -1, "min_data_in_leaf": 1, **_device_params(device)}
    data = lightgbm.Dataset(np.eye(4, dtype=np.float32), np.arange(4), params=params)
    try:
        lightgbm.train(params, data, 1)
    except lightgbm.basic.LightGBMError as error:
        return str(error).splitlines()[0].rstrip(".")
    return None
