"""Where the error is: the likeliest alignment of a text's units, against the best free path.

Of the frames from the first of a word's units to the next word, the log probability of the aligned
path minus that of the best free path, divided by the word's units, is the word's goodness of
pronunciation (Witt and Young, 2000), as the score of the clip is the text's.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from audiomatch.calibration import Calibration
from audiomatch.clips import Clips
from audiomatch.explanation import Explanation, TokenEvidence, WordEvidence
from audiomatch_ctc.ctc import FLOOR, NAMES
from audiomatch_ctc.scorer import ScoredClips
from audiomatch_ctc.units import Ids

Array = NDArray[np.float64]


class Alignment(NamedTuple):
    """The likeliest path of a text.

    Attributes:
        start: the frame where each unit begins, int64 (u,); it reaches to the next one.
        end: the frame after the last that the unit itself has, blanks excluded, int64 (u,).
        worse: log probability of each frame's label minus that of the best one, (t,).
    """

    start: Ids
    end: Ids
    worse: Array


def align(log_probs: Array, ids: Ids, blank: int) -> Alignment | None:
    """Find the likeliest path of `ids` (Viterbi); None where the frames cannot hold it.

    Args:
        log_probs: (t, v).
        ids: without `blank`, (u,).
        blank: its id.
    """
    labels = np.full(2 * len(ids) + 1, blank)
    labels[1::2] = ids
    own = log_probs[:, labels]  # (t, 2u + 1)
    skips = np.zeros(len(labels), bool)  # whether the blank before a unit may be left out
    skips[3::2] = ids[1:] != ids[:-1]
    best = np.full(len(labels), -np.inf)
    best[:2] = own[0, :2]
    came = np.zeros(own.shape, np.int64)  # how many states before
    for t in range(1, len(own)):
        one = np.r_[-np.inf, best[:-1]]
        two = np.where(skips, np.r_[-np.inf, -np.inf, best[:-2]][: len(labels)], -np.inf)
        options = np.stack([best, one, two])
        came[t] = options.argmax(0)
        best = options.max(0) + own[t]
    state = len(labels) - 1 - int(len(labels) > 1 and best[-2] > best[-1])
    if not np.isfinite(best[state]):
        return None
    path = np.empty(len(own), np.int64)
    for t in range(len(own) - 1, -1, -1):
        path[t] = state
        state -= came[t, state]
    frames = [np.flatnonzero(path == 2 * u + 1) for u in range(len(ids))]
    worse = own[np.arange(len(own)), path] - log_probs.max(1)
    start, end = (np.array([f[at] for f in frames], np.int64) for at in (0, -1))
    return Alignment(start, end + 1, worse)


def explain(
    scored: ScoredClips, clips: Clips, p_match: Array, calibration: Calibration
) -> list[Explanation]:
    """Return what is known of every word of each clip's text; `p_match` as `predict` gives it."""
    with torch.inference_mode():
        return [
            _Explained(scored, row, clips, calibration).explanation(p_match[row])
            for row in range(len(clips))
        ]


class _Explained:
    """A clip and its text, aligned."""

    def __init__(
        self, scored: ScoredClips, row: int, clips: Clips, calibration: Calibration
    ) -> None:
        self.id, self.text, self.length = clips.ids[row], clips.texts[row], clips.seconds[row]
        self.scored, self.calibration = scored, calibration
        model = scored.scorer.model
        self.units, self.spelling = model.units, scored.spellings[row]
        self.log_probs = scored.log_probs(row).double().numpy()  # (t, v)
        self.best = self.log_probs.argmax(1)  # (t,)
        self.blank = model.blank
        length = scored.sounds.sizes[row] / scored.sounds.rate
        self.seconds = float(length) / len(self.log_probs)  # of a frame
        self.path = align(self.log_probs, self.spelling.ids, model.blank)

    def explanation(self, p_match: float) -> Explanation:
        """Return it; `p_match` is what `predict` gives the clip."""
        words, last = [], 0.0
        for place, word in enumerate(self.text.split()):
            found = self._word(place, word, last)
            words.append(found)
            last = found.start
        heard = self._heard(0, len(self.best))
        return Explanation(self.id, self.text, float(p_match), heard, tuple(words))

    def _word(self, place: int, word: str, last: float) -> WordEvidence:
        own = np.flatnonzero(self.spelling.words == place)
        if not own.size or self.path is None:  # as unlikely as its text, or not to be told
            score = None if not own.size else FLOOR
            return WordEvidence(word, self._probability(score), 0.0, last, last, (), "", "")
        first, end = self.path.start[own[0]], self.path.end[own[-1]]
        worse = self.path.worse[first : self._until(own[-1])].sum()
        tokens = tuple(self._token(int(unit)) for unit in own)
        return WordEvidence(
            word=word,
            probability=self._probability(worse / own.size),
            log_prob=float(worse),
            start=self._time(first),
            end=self._time(end),
            tokens=tokens,
            heard=self._heard(first, self._until(own[-1])),
            rather="",
        )

    def _token(self, unit: int) -> TokenEvidence:
        assert self.path is not None
        start = int(self.path.start[unit])
        worse = self.path.worse[start : self._until(unit)].sum()
        name = self.units.names[int(self.spelling.ids[unit])]
        times = self._time(start), self._time(self.path.end[unit])
        return TokenEvidence(name, float(worse), *times)

    def _time(self, frame: int) -> float:
        """Return when a frame begins, within the clip: a very short one is padded."""
        return min(float(frame * self.seconds), float(self.length))

    def _until(self, unit: int) -> int:
        """Return the frame where the next unit begins, or the end."""
        assert self.path is not None
        more = unit + 1 < len(self.path.start)
        return int(self.path.start[unit + 1]) if more else len(self.log_probs)

    def _probability(self, score: float | None) -> float:
        """Return what the head says of a text that fits as well; `None` is of one without units."""
        evidence = torch.zeros(1, len(NAMES), dtype=torch.float64)
        if score is not None:
            level = float(self.log_probs.max(1).mean())
            evidence[0] = torch.tensor(
                [max(score, FLOOR), level, np.log(max(1, len(self.spelling.ids)))]
            )
        return float(self.calibration(self.scored.scorer.head(evidence).numpy())[0])

    def _heard(self, first: int, end: int) -> str:
        labels = (int(label) for label, _ in groupby(self.best[first:end]))
        return self.units.joined(label for label in labels if label != self.blank)
