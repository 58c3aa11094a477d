"""A fitted model: what `audiomatch.fit` and `audiomatch.load` return."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiomatch import plugins
from audiomatch.caller import caller_state
from audiomatch.clips import Clips
from audiomatch.contract import explain_clips, lowered, predict_matches, refused_clips
from audiomatch.errors import DataWarning, UserError, blame_on
from audiomatch.explanation import Explanation
from audiomatch.files import Place, user_path
from audiomatch.hub import fetch_model, is_hub_name
from audiomatch.inputs import Data, Opened, one_clip, take_in
from audiomatch.intake import Intake
from audiomatch.machine import make_run
from audiomatch.matcher import Matcher, Precision, Run
from audiomatch.model import card_of, check_target, digest_of_folder, load_model, save_model
from audiomatch.progress import Progress
from audiomatch.records import ModelCard
from audiomatch.running.identity import computed_by, digest_of
from audiomatch.spec import parse_matcher

if TYPE_CHECKING:
    from audiomatch.shards import Predict
    from audiomatch.speech import Vector


def load(
    folder: Place,
    *,
    device: str = "auto",
    precision: Precision = "auto",
    seed: int = 0,
    workers: int | None = None,
    cache: Place | None = None,
    progress: bool | Progress = False,
) -> Model:
    """Return the model that `fit` saved in `folder`; raises `UserError`.

    Args:
        folder: a model folder, `NAME:ready` for the model that the matcher's plugin carries, or
            `hf:owner/name[@revision]` for one of the Hugging Face hub.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`; or several, which `predict` shares clips
            out to: `cuda:0,cuda:1`, or `cpu*2` for two processes on the CPU.
        precision: number format of the models: `auto`, `fp32`, `bf16` or `fp16`.
        seed: the source of every random number.
        workers: CPU workers, else as many as cores.
        cache: folder for what is kept between runs, else `$AUDIOMATCH_CACHE`, else the user's own.
        progress: whether to show how far the work has come.
    """
    run = make_run(device, precision, seed, workers, cache, progress, several=True)
    place, origin = user_path(folder), None
    if is_hub_name(place):
        place, origin = fetch_model(str(place))
    with caller_state():
        matcher, card = load_model(place, plugins.registry())
    name, own = (origin or "", place.resolve()) if place.exists() else (place.name, place)
    digest = _digest(place, card)
    # The files are the folder's.
    card = card.model_copy(update={"files": None, "origin": origin or card.origin})
    return Model(matcher, card, run, name, digest, own)


def _digest(folder: Path, card: ModelCard) -> str:
    """Return what tells a model's files from others: of a ready model what its plugin says."""
    ready = plugins.registry().offer(parse_matcher(card.matcher)).info.ready
    if card.files is not None:
        return digest_of(card.files)
    return digest_of_folder(folder) if folder.exists() or ready is None else ready.digest


class Model:
    """A fitted matcher, made by `audiomatch.fit` or `audiomatch.load`.

    Every call leaves the caller's random states, working folder and torch settings as they are.

    Attributes:
        matcher: the fitted matcher.
        card: which matcher it is, with what options, and what it was fitted on.
        run: where and how it computes.
        name: `NAME:ready` or `hf:owner/name@COMMIT` where it was loaded as that, else its matcher
            as it was named.
        sample: some clips that it learned from; None where it was loaded.
    """

    sample: Clips | None = None

    def __init__(
        self,
        matcher: Matcher,
        card: ModelCard,
        run: Run,
        name: str = "",
        digest: str = "",
        place: Path | None = None,
    ) -> None:
        """Take what is known: `digest` and `place` where it was loaded."""
        self.matcher, self.card = matcher, card
        self.name, self._digest, self._place = name or card.matcher, digest, place
        # What is saved nowhere cannot be loaded on others.
        self.run = run if place else replace(run, devices=())

    def __repr__(self) -> str:
        return f"<audiomatch.Model {self.name}>"

    def learned_nothing(self) -> bool | None:
        """Tell whether it gives clips that it learned from hardly more than one probability.

        None where it was loaded. It predicts: save the model before.
        """
        if self.sample is None:
            return None
        from audiomatch.scoring.metrics import says_nothing

        with caller_state(), self.predicted(self.sample) as p_match:
            return says_nothing(p_match)

    def predict(
        self,
        data: Data,
        *,
        dataset: str | None = None,
        columns: Mapping[str, str] | None = None,
        skip_bad: bool = False,
    ) -> NDArray[np.float64]:
        """Return P(match) of each clip, float64 of shape (n,), in the order of `data`.

        Args:
            data: what `audiomatch.compare` takes; labels, where there are any, are not looked at.
            dataset: the layout of a path, else told by the path.
            columns: which columns of the data are ours, as `audiomatch.fit` takes them.
            skip_bad: give NaN for a clip that cannot be used, or that the matcher cannot take.
                Without it, that is a `ClipError`.
        """
        with caller_state():
            intake, opened = self.take_in(
                data, labelled=False, dataset=dataset, columns=columns, skip_bad=skip_bad
            )
        ids = pd.Index(intake.clips.ids)
        every = np.full(len(opened.clips), np.nan)
        with self.predicted(intake.clips) as p_match:
            every[pd.Index(opened.clips.ids).get_indexer(ids)] = p_match
        return every

    @contextmanager
    def predicted(self, clips: Clips) -> Iterator[NDArray[np.float64]]:
        """Give P(match) of each of the clips, which intake has checked.

        Of a model that was loaded, what is predicted of many clips is kept until the block ends
        well; see `audiomatch.shards.predicted`.
        """
        from audiomatch.shards import predicted

        code = computed_by(type(self.matcher).__module__)
        known = [self._digest, self.card.model_dump(mode="json"), code] if self._digest else None
        with (
            self._predicting(clips) as predict,
            predicted(predict, clips, self._fresh_run(), known) as p_match,
        ):
            yield p_match

    @contextmanager
    def _predicting(self, clips: Clips) -> Iterator[Predict]:
        """Give what predicts the clips: here, or on all devices where these are several."""
        place = self._place if 1 < len(self.run.devices) <= len(clips) else None
        with ExitStack() as stack:
            on: Predict = partial(predict_matches, self.matcher)
            if place is not None:
                from audiomatch.running.predicting import predicting_on_devices

                on = stack.enter_context(predicting_on_devices(place, self.run))

            def predict(part: Clips, run: Run) -> NDArray[np.float64]:
                with caller_state(), blame_on(self.card.matcher):
                    return self._calibrated(on(part, run), part, run)

            yield predict

    def predict_one(
        self, audio: Any, text: str, *, rate: float | None = None, task: str = "", grade: str = ""
    ) -> float:
        """Return P(match) of one clip.

        Args:
            audio: a file, or samples of shape (n,) or (n, channels): float in [-1, 1], or int16,
                int32 or uint8.
            text: what it should say.
            rate: samples a second, where `audio` is samples.
            task: of the clip, where the matcher was fitted on clips with tasks.
            grade: likewise.
        """
        say = self.run.progress.say
        clip = one_clip(audio, text, rate, task=task, grade=grade, say=say).clips
        return float(self.predict(clip)[0])

    def explain(
        self,
        data: Data,
        *,
        dataset: str | None = None,
        columns: Mapping[str, str] | None = None,
        skip_bad: bool = False,
    ) -> list[Explanation]:
        """Return for each clip what is known of every word of its text.

        Takes what `predict` takes; with `skip_bad` a clip that cannot be used is left out. Raises
        `UserError` where the matcher judges a text as a whole.
        """
        self.check_explains()
        with caller_state():
            intake, _ = self.take_in(
                data, labelled=False, dataset=dataset, columns=columns, skip_bad=skip_bad
            )
            run = self._fresh_run()
            found = explain_clips(self.matcher, intake.clips, run)
            p_match = self._calibrated(np.array([one.p_match for one in found]), intake.clips, run)
        return [replace(one, p_match=p) for one, p in zip(found, p_match.tolist(), strict=True)]

    def explain_one(
        self, audio: Any, text: str, *, rate: float | None = None, task: str = "", grade: str = ""
    ) -> Explanation:
        """Return what is known of every word of one clip; takes what `predict_one` takes."""
        say = self.run.progress.say
        clip = one_clip(audio, text, rate, task=task, grade=grade, say=say).clips
        return self.explain(clip)[0]

    def take_in(
        self, data: Data | None, labelled: bool | None, **how: Any
    ) -> tuple[Intake, Opened]:
        """Open data and check its clips, with `how` as `audiomatch.inputs.take_in` takes it.

        A clip that the matcher cannot take (`Matcher.refuses`) is one that cannot be used.
        """
        refuses = partial(refused_clips, self.matcher, run=self._fresh_run())
        return take_in(data, self.run, labelled, refuses=refuses, **how)

    @property
    def explains(self) -> bool:
        """Whether it tells of single words."""
        return type(self.matcher).explain is not Matcher.explain

    def check_explains(self) -> None:
        """Raise `UserError`, naming the matchers that explain, where this one does not.

        So it does where it was loaded for several devices.
        """
        if self.run.devices:
            raise UserError(f"--device {self.run.device_list}: explain computes on one device")
        if not self.explains:
            able = [
                name for name, offer in plugins.registry().matchers().items() if offer.info.explains
            ]
            raise UserError(
                f"{self.name} judges a text as a whole and cannot say where the error is; "
                f"installed matchers that can: {', '.join(able) or 'none'}"
            )

    def save(self, folder: Place) -> Path:
        """Write the model into `folder`, in the place of a model that is there; returns the path.

        `audiomatch.load` and `audiomatch predict` read it. A matcher that explains first computes
        what that needs (`Matcher.prepare_explain`). Raises `UserError` where the folder holds
        anything else, or cannot be written.
        """
        place = user_path(folder)
        spec = parse_matcher(self.card.matcher)
        offer, old = plugins.registry().offer(spec), self.card
        card = card_of(spec, offer, self.matcher, old.fit, old.thresholds, old.calibration)
        card = card.model_copy(update={"origin": old.origin})
        with caller_state():
            check_target(place)
            self.matcher.prepare_explain(self._fresh_run())
            save_model(place, self.matcher, card)
        if self._place is None:
            told = plugins.registry().tell("audiomatch_fit_done", folder=place, record=card)
            for problem in told:
                warnings.warn(problem, DataWarning, stacklevel=2)
        return place

    def _calibrated(self, p_match: Vector, clips: Clips, run: Run) -> Vector:
        if self.card.calibration is None:
            return p_match
        from audiomatch.recalibration import calibrated

        found = calibrated(p_match, clips, self.card.calibration)
        return lowered(self.matcher, found, clips, run)  # silence too, which the curve may raise

    def _fresh_run(self) -> Run:
        return replace(self.run, notes={})
