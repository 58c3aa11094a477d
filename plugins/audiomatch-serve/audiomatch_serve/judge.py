"""From recordings to judgements by a model, many at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiomatch.audio import SAMPLE_RATE
from audiomatch.clips import Clips
from audiomatch.errors import UserError, blame_on
from audiomatch.fitted import Model
from audiomatch.inputs import open_data
from audiomatch.intake import admit
from audiomatch.scored import score_clips
from audiomatch_serve.answers import Judgement


@dataclass(frozen=True)
class Recording:
    """A clip, the text that it should say, and whether its words are asked for.

    Attributes:
        samples: float32 of shape (n,) at 16 kHz.
        text: what it should say.
        words: whether to tell of the words, where the model can.
        warnings: what is odd about the clip.
    """

    samples: NDArray[np.float32]
    text: str
    words: bool = True
    warnings: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / SAMPLE_RATE


class Judge:
    """Judges recordings by a model. Not for several threads at once.

    Attributes:
        explains: whether the model tells of words.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.explains = model.explains

    @property
    def name(self) -> str:
        """What the model is called."""
        return self._model.name

    def __call__(self, recordings: Sequence[Recording]) -> list[Judgement | UserError]:
        """Return the judgement of each, or why it cannot be judged.

        Each gets what it would get alone. Raises `PluginError` where the matcher fails.
        """
        found: dict[int, Judgement | UserError] = {}
        for words in (True, False):
            rows = [i for i, one in enumerate(recordings) if (one.words and self.explains) == words]
            judged = self._alike([recordings[i] for i in rows], words) if rows else []
            found.update(zip(rows, judged, strict=True))
        return [found[i] for i in range(len(recordings))]

    def _alike(self, recordings: list[Recording], words: bool) -> list[Judgement | UserError]:
        """Judge together; where one cannot be, each for itself."""
        try:
            return list(self._together(recordings, words))
        except UserError as error:
            if len(recordings) == 1:
                return [error]
        return [self._alike([one], words)[0] for one in recordings]

    def _together(self, recordings: list[Recording], words: bool) -> list[Judgement]:
        with blame_on(self.name), self._forgetful() as model:
            data = [(one.samples, SAMPLE_RATE, one.text) for one in recordings]
            clips = open_data(data, labelled=False).clips
            with _unnumbered(clips):
                clips = admit(clips, model.run).clips
                return [Judgement.of(one) for one in score_clips(model, clips, words=words)]

    @contextmanager
    def _forgetful(self) -> Iterator[Model]:
        """Give the model with a cache that is removed: nothing of a clip is kept."""
        with tempfile.TemporaryDirectory(prefix="audiomatch-serve-") as cache:
            run = replace(self._model.run, cache=Path(cache))
            yield Model(self._model.matcher, self._model.card, run)


@contextmanager
def _unnumbered(clips: Clips) -> Iterator[None]:
    """Leave out of an error which row of the batch the clip is."""
    try:
        yield
    except UserError as error:
        raise type(error)(str(error).removeprefix(f"{clips.where(0)}: ")) from error
