"""What features cost: timed where they are computed, counted to every fold that uses them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property


@dataclass
class FeatureSeconds:
    """Seconds of the features of one job that an `ArrayCache` keeps.

    Attributes:
        computed: spent on those that were not kept.
        cached: what those that were kept had taken when they were computed; of each once.
    """

    computed: float = 0.0
    cached: float = 0.0
    _used: set[int] = field(default_factory=set)
    _within: bool = False

    def clock(self) -> float:
        """Return a clock that also counts what the cache spared."""
        return time.perf_counter() + self.cached

    @cached_property
    def core(self) -> FeatureSeconds:
        """Seconds of what the core asks of a job's clips: part of the job's own seconds."""
        return FeatureSeconds()

    def use(self, kept: Mapping[str, float]) -> None:
        """Count features that were kept, by key; those that this job used before cost nothing."""
        for key, seconds in kept.items():
            if hash(key) not in self._used:
                self._used.add(hash(key))
                self.cached += seconds

    @contextmanager
    def computing(self) -> Iterator[FeatureSeconds]:
        """Time features; what is computed for others, within, is part of them."""
        within, start = self._within, time.perf_counter()
        self._within = True
        try:
            yield self
        finally:
            self._within = within
            if not within:
                self.computed += time.perf_counter() - start
