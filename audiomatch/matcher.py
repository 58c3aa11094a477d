"""The contract between audiomatch and a matcher."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from audiomatch.cost import FeatureSeconds
from audiomatch.errors import NotFittedError, PluginError, UserError, brief
from audiomatch.progress import Progress, QuietProgress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audiomatch.clips import Clips
    from audiomatch.config import MatcherConfig
    from audiomatch.explanation import Explanation

State = TypeVar("State")
Kind = Literal["matcher", "floor"]
Ignored = Literal["text", "audio"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass
class Run:
    """Where and how a matcher works: what the user asked for, the same for every matcher.

    Attributes:
        cache: a folder the matcher may write to and read again, shared by all folds and runs.
            Files are written under a temporary name and renamed; nothing is written elsewhere.
        device: `cpu`, `cuda`, `cuda:N` or `mps`.
        precision: `auto` lets the matcher choose by device, else `fp32`, `bf16` or `fp16`.
        seed: the source of every random number.
        workers: processes or threads for work on the CPU, on all devices together.
        progress: shows how far long work has come.
        notes: what the matcher wants kept with the results, see `note`.
        devices: those that the work is shared out over, `device` the first; empty for `device`
            alone. `cpu` stands in it once for each of several processes.
        feature_seconds: what features that are kept between runs cost, see `ArrayCache`.
    """

    cache: Path
    device: str = "cpu"
    precision: Precision = "auto"
    seed: int = 0
    workers: int = 1
    progress: Progress = field(default_factory=QuietProgress)
    notes: dict[str, Any] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    feature_seconds: FeatureSeconds = field(default_factory=FeatureSeconds)

    @property
    def device_list(self) -> str:
        """All devices as `--device` takes them."""
        if len(set(self.devices)) == 1:
            return f"{self.device}*{len(self.devices)}"
        return ",".join(self.devices) or self.device

    def note(self, **facts: Any) -> None:
        """Record JSON-able facts with the fold's result.

        Known names: `weights` (what was loaded, or `scratch`), `weights_digest`, `weights_commit`
        (of the hub), `peak_gpu_memory_mb`, `warning`. Any other name is kept as it is. Numbers and
        arrays of NumPy become those of JSON. Raises `PluginError` for what is no JSON.
        """
        for name, value in facts.items():
            self.notes[name] = _as_json(name, value)


class Matcher(ABC):
    """A model that gives P(the recording says the expected text).

    Subclass it, set `Config`, and offer it by the hook `audiomatch_matchers`. Rules that
    `audiomatch check` tests: the same seed on the same device gives the same numbers; a clip's
    prediction depends neither on the other clips of the call nor on their order; inner validation
    and calibration use a group-disjoint part of `train` (`audiomatch.folds.inner_split`). Whatever
    a user typed, `expected_text` is in its normal form (`audiomatch.text.normalise_text`). Where
    nobody speaks the core lowers P(match) and P(said), see `audiomatch.speech`.
    """

    Config: ClassVar[type[MatcherConfig]]
    fits_on_several: ClassVar[bool] = False  # whether `fit` shares its work out over `Run.devices`
    further_columns: tuple[str, ...] = ()  # `MatcherInfo.columns`, set by the core
    needs_speech: bool = True  # whether a clip without speech is no match, set by the core

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def fit(self, train: Clips, run: Run) -> None:
        """Learn from `train`, whose `match` holds 0 and 1, both present."""

    @abstractmethod
    def predict(self, clips: Clips, run: Run) -> NDArray[np.float64]:
        """Return P(match) of each clip: float64 of shape (n,), finite, in [0, 1].

        `clips` never has labels.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what `fit` learned into the existing `folder`; the core keeps the config."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Restore what `save` wrote; `predict` then gives the same numbers."""

    def refuses(self, clips: Clips, run: Run) -> list[str | None]:  # noqa: ARG002
        """Return for each clip why the matcher cannot take it, None where it can; optional.

        Asked of the options alone before `fit` and before any fold, and of a fitted matcher before
        it predicts or explains: a clip beyond its limits is refused by row, or with --skip-bad left
        out, where matchers are compared for all of them. Runs no model.
        """
        return [None] * len(clips)

    def explain(self, clips: Clips, run: Run) -> list[Explanation]:  # noqa: ARG002
        """Return for each clip what is known of every word of its text; optional.

        Words, joined, are the expected text; times are seconds within the clip and do not fall.
        Raises `UserError` where the matcher cannot; set `MatcherInfo.explains` where it can.
        """
        raise UserError(
            f"{type(self).__name__} judges a text as a whole and cannot say where the error is"
        )

    def fitted(self, state: State | None) -> State:
        """Return `state`, what `fit` learned or `load` restored.

        Call it in `predict`, `save` and `explain`. Raises `NotFittedError` where it is None.
        """
        if state is None:
            raise NotFittedError(f"{type(self).__name__} is not fitted; call fit or load first")
        return state

    def prepare_explain(self, run: Run) -> None:  # noqa: B027 (optional)
        """Compute what `explain` needs beyond `fit`; optional.

        Called after `fit` and before `save` where a model is kept (`audiomatch fit`, `Model.save`),
        so that it explains without the training part wherever it is loaded; not where matchers are
        compared. Without it, `explain` computes it when it is first asked.
        """

    def further_data(self) -> list[str]:
        """Return what `fit` learns from beyond `train`: each as DATA on the command line.

        Comparing matchers refuses data whose audio is among the clips compared; its digest belongs
        in `fingerprint` (`audiomatch.further.further_digest`).
        """
        return []

    def fingerprint(self) -> dict[str, str]:
        """Return what decides the numbers beyond code, config, data and seed.

        For instance the digest of the pretrained weights that a hub id stands for today. It
        becomes part of the key under which finished folds are kept. Raises `WeightsError` where
        the weights cannot be had, before any work is done.
        """
        return {}


def _as_json(name: str, value: Any) -> Any:
    def plain(other: Any) -> Any:
        if not hasattr(other, "tolist"):
            raise TypeError
        return other.tolist()

    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, default=plain)
        return json.loads(text.encode())
    except (TypeError, ValueError, RecursionError):
        raise PluginError(f"the note {name!r} is no JSON: {brief(value)}") from None


@dataclass(frozen=True)
class Flag:
    """A flag of `bench` and `fit` that sets an option of each matcher named that has the flag.

    What a matcher is told by name, as in `NAME@option=value`, goes first.

    Attributes:
        name: without the hyphens, as in `warm-up`.
        option: which option it sets.
        metavar: what stands for its value in the help, as in `DATA`.
        help: one line.
    """

    name: str
    option: str
    metavar: str
    help: str


@dataclass(frozen=True)
class Untrained:
    """A matcher without its training: the floor that tells whether training is worth it.

    Attributes:
        options: what it is told, as `NAME@option=value` would: `{"epochs": "0"}`.
        same: options that it takes over from the matcher beside which it stands, such as what that
            starts from.
    """

    options: Mapping[str, str]
    same: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadyModel:
    """A fitted model that a plugin carries, so that its matcher answers without labels.

    It is a model folder as `fit` saves one; `audiomatch.load("NAME:ready")` loads it.

    Attributes:
        folder: where it is, as `"package:folder"`.
        digest: the SHA-256 of its files (`audiomatch.model.digest_of_folder`), which is checked.
        log_loss: of real speech of people whom it has not heard, as its author measured it;
            `audiomatch score` takes the model with the least where none is named.
    """

    folder: str
    digest: str
    log_loss: float = math.inf


@dataclass(frozen=True)
class MatcherInfo:
    """What a plugin says of a matcher without importing its model code.

    Attributes:
        name: what users type; lower-case letters, digits and hyphens.
        summary: one line for `audiomatch matchers`.
        load: where the `Matcher` subclass is, as `"package.module:Class"`, or a function that
            returns it. Only what is loaded by it may import heavy libraries.
        presets: named sets of options, as in `whisper:baseline`; `default` always exists.
        kind: `floor` for a trivial matcher that every leaderboard shows.
        ignores: what the matcher does not use, by design: `text`, `audio` or both. `audiomatch
            check` holds it to that: with `text`, the predictions must not move with the text; with
            `audio`, they need not beat the base rate on the toy corpus.
        explains: whether `Matcher.explain` says which word is wrong.
        renamed_presets: the name of a preset by each older name that still works; whoever types an
            older one is told in a line.
        member: the preset by which it is a member of an `ensemble` whose members are not named;
            None where it is not.
        flags: options that `bench` and `fit` take as flags of their own.
        ready: a fitted model that the plugin carries.
        untrained: what stands beside it as a floor where matchers are compared.
        columns: which columns of the data it uses beside those that every clip has: `id`, `audio`,
            `expected_text`, `task`, `grade`, and `match` where it learns. It is given no others,
            for one may tell the label; data need not have them.
    """

    name: str
    summary: str
    load: str | Callable[[], type[Matcher]]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    kind: Kind = "matcher"
    ignores: frozenset[Ignored] = frozenset()
    explains: bool = False
    renamed_presets: Mapping[str, str] = field(default_factory=dict)
    member: str | None = None
    flags: tuple[Flag, ...] = ()
    ready: ReadyModel | None = None
    untrained: Untrained | None = None
    columns: tuple[str, ...] = ()
