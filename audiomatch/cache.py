"""Arrays computed once and kept in `run.cache`, by what they are of and what computes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiomatch.cost import FeatureSeconds
from audiomatch.matcher import Run
from audiomatch.running.array_store import ArrayStore
from audiomatch.running.identity import digest_of

Array = NDArray[Any]

KEPT_AT_ONCE = 64 * 2**20  # bytes of arrays that are written together
KEPT_EVERY = 10.0  # seconds after which what was computed is written, however little it is

_told: set[Path] = set()  # caches of which this process has said that they cannot be written


class ArrayCache:
    """The arrays of one kind of computation, shared by folds, matchers and processes.

    An array is kept under a key that says what it is of, as a clip's digest, and under `version`,
    which says all else that decides it. What is damaged is named and counts as not kept. A cache
    that cannot be written is said once, and everything goes on in memory.
    """

    def __init__(self, run: Run, name: str, version: Any) -> None:
        """Take the part `name` of the cache of `run`.

        `version` is JSON-able and holds `audiomatch.running.identity.computed_by(__name__)` and
        every setting that decides the numbers.
        """
        self._run = run
        self._version = digest_of(version)
        self._store = ArrayStore(run.cache / name)

    def get(self, keys: Iterable[str]) -> dict[str, Array]:
        """Return those of the arrays of `keys` that are kept, as read-only views of a file."""
        named = {self._name(key): key for key in keys}
        return {named[name]: array for name, array in self._store.get(named).items()}

    def keep(self, arrays: Mapping[str, Array], seconds: float | None = None) -> bool:
        """Keep the arrays; False where that cannot be done, which is said once.

        `seconds` are what all of them cost, where they are features that others would compute.
        """
        if not arrays:
            return True
        if self._run.cache in _told:
            return False
        own = {self._name(key): array for key, array in arrays.items()}
        if self._store.put(own, {} if seconds is None else dict.fromkeys(own, seconds / len(own))):
            return True
        _told.add(self._run.cache)
        self._run.progress.say(
            f"{self._run.cache}: cannot be written ({self._store.refusal}); nothing is kept for "
            "later runs (--cache or AUDIOMATCH_CACHE names another folder)"
        )
        return False

    def make_room(self, size: int, most: int) -> bool:
        """Say whether `size` more bytes may be kept; this part is emptied once it takes `most`."""
        if size <= most:
            self._store.clear(most)
        return size <= most

    def fill(
        self, keys: Sequence[str], compute: Callable[[list[int]], Iterable[Array]]
    ) -> list[Array]:
        """Return the array of each key, in order; what is not kept is computed and kept.

        `compute` takes positions in `keys`, the first of each key that is missing, and yields
        their arrays in that order. They are kept in pieces, so that an interrupt loses little.
        What is returned is not to be written to. `Run.feature_seconds` has what they cost: those
        that are computed now, and those that were kept, when they were computed.
        """
        found = self.get(dict.fromkeys(keys))
        if self._store.damaged:
            self._run.progress.say(
                f"{self._store.folder}: is damaged; what is lost is computed again"
            )
            self._store.damaged = False
        self._run.feature_seconds.use(self._store.seconds(map(self._name, found)))
        missing: dict[str, int] = {}
        for position, key in enumerate(keys):
            if key not in found:
                missing.setdefault(key, position)
        if missing:
            with self._run.feature_seconds.computing() as spent:
                found |= self._computed(missing, compute, spent)
        return [found[key] for key in keys]

    def _computed(
        self,
        missing: Mapping[str, int],
        compute: Callable[[list[int]], Iterable[Array]],
        spent: FeatureSeconds,
    ) -> dict[str, Array]:
        """Compute what is missing, by key, and keep it in pieces."""
        found: dict[str, Array] = {}
        waiting: dict[str, Array] = {}
        size, since = 0, spent.clock()
        try:
            arrays = compute(list(missing.values()))
            for key, array in zip(missing, arrays, strict=True):
                waiting[key] = np.asarray(array)
                size += waiting[key].nbytes
                if size >= KEPT_AT_ONCE or spent.clock() - since >= KEPT_EVERY:
                    found |= self._settle(waiting, spent, since)
                    waiting, size, since = {}, 0, spent.clock()
        finally:
            found |= self._settle(waiting, spent, since)
        return found

    def _settle(
        self, arrays: dict[str, Array], spent: FeatureSeconds, since: float
    ) -> dict[str, Array]:
        """Keep the arrays, and return them mapped where they are kept, so that memory is free."""
        spent.use(dict.fromkeys(map(self._name, arrays), 0.0))  # this job has paid for them
        kept = self.get(arrays) if self.keep(arrays, spent.clock() - since) else {}
        # Another process may have found the store damaged and started it anew.
        return {**arrays, **kept}

    def _name(self, key: str) -> str:
        return f"{self._version} {key}"
