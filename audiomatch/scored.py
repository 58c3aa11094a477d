"""An answer without labels: one clip word by word, or every clip of a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiomatch import plugins
from audiomatch.caller import caller_state
from audiomatch.clips import Clips
from audiomatch.errors import UserError
from audiomatch.explanation import Explanation
from audiomatch.files import Place
from audiomatch.fitted import Model, load
from audiomatch.inputs import Data, Opened, one_clip
from audiomatch.intake import LeftOut
from audiomatch.model import ready_names
from audiomatch.prior import CorpusEstimates
from audiomatch.records import Thresholds
from audiomatch.speech import without_speech
from audiomatch.verdicts import Verdict, give_verdicts, thresholds

FEWEST = 100  # clips for an estimate of a corpus


@dataclass(frozen=True)
class ClipScore:
    """What is said of one clip.

    Attributes:
        verdict: `match`, `mismatch`, `listen`, or `no speech` where nobody speaks.
        p_match: P(the speech says the text).
        explanation: of each word; None where the model judges a text as a whole.
        warnings: what is odd about the clip.
    """

    verdict: Verdict
    p_match: float
    explanation: Explanation | None
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        said = self.explanation.as_dict() if self.explanation else {"p_match": self.p_match}
        return {"verdict": self.verdict, **said, "warnings": list(self.warnings)}


@dataclass(frozen=True, eq=False)
class CorpusScore:
    """What is said of the clips of a corpus.

    Attributes:
        clips: those that could be used.
        opened: where they come from.
        table: a row for each: `id`, `p_match`, `verdict`.
        estimates: how many texts are wrong.
        skipped: the clips that were left out.
        warnings: a line for each clip that is used and may not be what was meant.
    """

    clips: Clips
    opened: Opened
    table: pd.DataFrame
    estimates: CorpusEstimates
    skipped: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = ()

    def answers(self) -> pd.DataFrame:
        """Return `p_match`, `p_corpus` and `verdict`, indexed as the clips' frame.

        Where clips were left out they are there too, with the reason in a column `skipped` alone.
        """
        answers = self.table[["p_match", "verdict"]].assign(p_corpus=self.estimates.adapted)
        answers = answers[["p_match", "p_corpus", "verdict"]].set_index(self.clips.frame.index)
        return answers if not self.skipped else answers.join(self._reasons(), how="outer")

    def _reasons(self) -> pd.Series:
        reasons = {one.id: one.reason for one in self.skipped}
        return self.opened.clips["id"].map(reasons).dropna().rename("skipped")

    @property
    def warning(self) -> str:
        """Why the estimates are not to be trusted; empty where nothing speaks against them."""
        if len(self.clips) < FEWEST:
            return f"{len(self.clips)} clips are too few for an estimate"
        return ""

    def keep(self, share: float) -> NDArray[np.bool_]:
        """Return which clips are the best, that share of them: a mask (n,)."""
        if not 0 < share <= 1:
            raise UserError(f"keep {share}: must be over 0 and at most 1")
        n = len(self.table)
        worst_first = np.argsort(self.table["p_match"].to_numpy(), kind="stable")
        kept = np.ones(n, dtype=bool)
        kept[worst_first[: n - max(1, round(share * n))]] = False
        return kept


@overload
def score(
    data: Any, text: str, *, rate: float | None = ..., model: Model | Place | None = ...
) -> ClipScore: ...


@overload
def score(
    data: Data | None,
    text: None = ...,
    *,
    model: Model | Place | None = ...,
    dataset: str | None = ...,
    columns: Mapping[str, str] | None = ...,
    limit: int | None = ...,
    skip_bad: bool = ...,
) -> CorpusScore: ...


def score(
    data: Any,
    text: str | None = None,
    *,
    rate: float | None = None,
    model: Model | Place | None = None,
    dataset: str | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
) -> ClipScore | CorpusScore:
    """Say whether a clip says a text, or whether each clip of a corpus says its own.

    Args:
        data: with `text` a file, or samples as `Model.predict_one` takes them; without, a corpus as
            `audiomatch.compare` takes it, whose labels are not looked at.
        text: what the one clip should say.
        rate: samples a second, where `data` is samples.
        model: a model, its folder, `NAME:ready` or `hf:owner/name`; else the best that a plugin
            carries, by the log loss that it states.
        dataset: the layout of a path, else told by the path.
        columns: which columns of the data are ours, as `audiomatch.fit` takes them.
        limit: draw that many clips by the model's seed.
        skip_bad: go on without clips that cannot be used.

    Raises:
        UserError: there is no such model, or the data cannot be used.
    """
    if not isinstance(model, Model):
        model = load(ready_model() if model is None else model)
    if text is not None:
        one = one_clip(data, text, rate, say=model.run.progress.say)
        return replace(score_clips(model, one.clips)[0], warnings=tuple(one.warnings))
    with caller_state():
        intake, opened = model.take_in(
            data,
            labelled=False,
            dataset=dataset,
            columns=columns,
            skip_bad=skip_bad,
            limit=limit,
        )
    clips, fit = intake.clips, model.card.fit
    with model.predicted(clips) as p:
        found = verdicts(model, clips, p)
        estimates = CorpusEstimates(p, (fit and fit.match_rate) or 0.5, model.run.seed)
    table = pd.DataFrame({"id": clips.ids, "p_match": p, "verdict": found})
    skipped, warnings = tuple(intake.skipped), tuple(intake.warnings)
    return CorpusScore(clips, opened, table, estimates, skipped, warnings)


def ready_model() -> str:
    """Return the name of the best model that a plugin carries; raises `UserError`.

    It is the one with the least `ReadyModel.log_loss`.
    """
    names = ready_names(plugins.registry())
    if not names:
        raise UserError(
            "no installed plugin carries a fitted model: "
            "pip install 'audiomatch-toolkit[whisper]', or name one with --model FOLDER"
        )
    return names[0]


def verdicts(model: Model, clips: Clips, p_match: NDArray[np.float64]) -> list[Verdict]:
    """Return the verdict on each clip; a match or a doubt only where somebody speaks."""
    at = thresholds_of(model)
    asked = np.flatnonzero(p_match > at.mismatch)
    silent = np.zeros(len(clips), dtype=bool)
    silent[asked] = without_speech(clips.take(asked), model.run)
    return give_verdicts(p_match, silent, at)


def thresholds_of(model: Model) -> Thresholds:
    """Return the thresholds that the model was fitted with."""
    return model.card.thresholds or thresholds()


def score_clips(model: Model, clips: Clips, *, words: bool = True) -> list[ClipScore]:
    """Return what is said of each clip; with `words` of each word too, where the model can."""
    told = model.explain(clips) if words and model.explains else [None] * len(clips)
    p_match = np.array([one.p_match for one in told if one] or model.predict(clips))
    at = thresholds_of(model)
    found = give_verdicts(p_match, without_speech(clips, model.run), at)
    for i, one in enumerate(told):
        if found[i] == "match" and one and one.words[one.worst].probability <= at.mismatch:
            found[i] = "listen"  # the text as a whole fits, but a word of it was not said
    return [ClipScore(*row) for row in zip(found, p_match.tolist(), told, strict=True)]
