"""How well every senone of the acoustic model explains every frame of a clip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from audiomatch_phones.front_end import features
from audiomatch_phones.model_files import (
    ALONE,
    FIRST,
    INSIDE,
    LAST,
    STATES,
    Parameters,
    model_folder,
    read_parameters,
)

Scores = NDArray[np.float32]
SILENCE = "SIL"
WARPS = (0.88, 0.94, 1.0, 1.06, 1.12, 1.18, 1.24, 1.3)
FRAMES = 60  # by which the warp is chosen
LEAST = 1e-37  # of a density; the logarithm of what is smaller would be infinite


@dataclass(frozen=True)
class Acoustics:
    """An acoustic model, ready to score."""

    parameters: Parameters

    @cached_property
    def number(self) -> dict[str, int]:
        """The number of each phone by its name."""
        return {name: i for i, name in enumerate(self.parameters.definitions.phones)}

    @cached_property
    def speech(self) -> NDArray[np.int64]:
        """The numbers of the phones of speech, in order: the fillers left out."""
        names = self.parameters.definitions.phones
        return np.array([i for i, name in enumerate(names) if name.isalpha() and name != SILENCE])

    @cached_property
    def unit(self) -> NDArray[np.int64]:
        """Of which state of which phone each senone is: 3 * phone + state, (senones,)."""
        definitions = self.parameters.definitions
        unit = np.zeros(definitions.sequences.max() + 1, np.int64)
        states = np.arange(STATES)
        position, phone, left, right = np.nonzero(definitions.of_triphone >= 0)
        which = definitions.of_triphone[position, phone, left, right]
        unit[definitions.sequences[which]] = STATES * phone[:, None] + states
        alone = np.arange(len(definitions.phones))
        unit[definitions.sequences[definitions.of_phone]] = STATES * alone[:, None] + states
        return unit

    @cached_property
    def _order(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Senones by unit: their order, its inverse, and where each unit starts."""
        order = np.argsort(self.unit, kind="stable")
        starts = np.searchsorted(self.unit[order], np.arange(STATES * len(self.number)))
        return order, np.argsort(order), starts

    @cached_property
    def _gaussians(self) -> tuple[NDArray[np.float32], ...]:
        """Each stream's log densities as a product with x², x and 1: (27, phones * densities)."""
        made = []
        for mean, variance in zip(self.parameters.means, self.parameters.variances, strict=True):
            m, v = (one.astype(np.float64).reshape(-1, one.shape[-1]) for one in (mean, variance))
            constant = -0.5 * (m**2 / v + np.log(2 * np.pi * v)).sum(axis=1)
            made.append(np.vstack([(-0.5 / v).T, (m / v).T, constant]).astype(np.float32))
        return tuple(made)

    @cached_property
    def _mixtures(self) -> tuple[NDArray[np.float32], ...]:
        """Mixture weights of the senones of each phone, (streams, densities, senones) each."""
        order, _, starts = self._order
        weights = np.exp(self.parameters.weights[:, :, order])
        return tuple(np.split(weights, starts[STATES::STATES], axis=2))

    def score(self, samples: NDArray[np.float32]) -> Heard:
        """Return how the senones explain a clip at 16 kHz, by the warp that suits its speaker."""
        by_warp = features(samples, WARPS)  # (warps, frames, streams, 13)
        chosen = self._warp(by_warp)
        return self.score_features(by_warp[chosen], WARPS[chosen])

    def score_features(self, x: Scores, warp: float) -> Heard:
        """Return how the senones explain features, (frames, streams, 13), made by a warp."""
        frames, phones = len(x), len(self.number)
        peaks = np.zeros((frames, phones), np.float32)
        shares = []
        for log in self._densities(x):
            peak = log.max(axis=2)
            peaks += peak
            log -= peak[:, :, None]
            shares.append(np.exp(log, out=log))
        order, back, starts = self._order
        found = np.empty((frames, len(order)), np.float32)
        edges = [*starts[::STATES], len(order)]
        for phone, mixtures in enumerate(self._mixtures):
            density = shares[0][:, phone] @ mixtures[0]  # (frames, senones of the phone)
            for share, mixture in zip(shares[1:], mixtures[1:], strict=True):
                density *= share[:, phone] @ mixture
            np.log(np.maximum(density, LEAST), out=density)
            found[:, edges[phone] : edges[phone + 1]] = density + peaks[:, phone, None]
        units = np.maximum.reduceat(found, starts, axis=1)
        return Heard(found, back, units, units.max(axis=1), warp)

    def _densities(self, x: Scores) -> Iterator[Scores]:
        """Give each stream's log densities, (frames, phones, densities) each."""
        ones = np.ones((len(x), 1), np.float32)
        for stream, gaussians in enumerate(self._gaussians):
            own = x[:, stream]
            log = np.hstack([own**2, own, ones]) @ gaussians
            yield log.reshape(len(x), len(self.number), -1)

    def _warp(self, by_warp: Scores) -> int:
        """Return the place of the warp by which the louder frames are most probable."""
        middle = by_warp[WARPS.index(1.0)]
        loud = np.flatnonzero(middle[:, 0, 0] > 0)
        if not len(loud):
            return WARPS.index(1.0)
        some = loud[:: max(1, len(loud) // FRAMES)]
        fits = []
        for x in by_warp[:, some]:
            peaks = sum(log.max(axis=2) for log in self._densities(x))
            fits.append(float(np.max(peaks, axis=1).mean()))
        return int(np.argmax(fits))

    def senones(self, phone: int, left: int, right: int, position: int) -> NDArray[np.int64]:
        """Return the senones of a phone between two others, (states,)."""
        definitions = self.parameters.definitions
        for place in dict.fromkeys((position, INSIDE, LAST, FIRST, ALONE)):
            found = definitions.of_triphone[place, phone, left, right]
            if found >= 0:
                return np.asarray(definitions.sequences[found])
        return np.asarray(definitions.sequences[definitions.of_phone[phone]])


@dataclass(frozen=True)
class Heard:
    """Log densities of a clip's frames.

    Attributes:
        ordered: of every senone, in the order of `column`, (frames, senones).
        column: where in `ordered` each senone is, (senones,).
        units: of the best senone of each state of each phone, (frames, 3 * phones).
        best: of the best senone of all, (frames,).
        warp: of the frequencies, by which the clip was heard.
    """

    ordered: Scores
    column: NDArray[np.int64]
    units: Scores
    best: Scores
    warp: float

    def of(self, senones: NDArray[np.int64]) -> Scores:
        """Return the log densities of some senones, (frames, states)."""
        return self.ordered[:, self.column[senones]]


@cache
def acoustics() -> Acoustics:
    """Return the model that comes with pocketsphinx; raises `WeightsError` without it."""
    return Acoustics(read_parameters(model_folder()))
