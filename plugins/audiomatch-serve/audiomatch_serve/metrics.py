"""What the server counts, in the text format of Prometheus."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 25, 60)
CLIPS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "audiomatch_requests",
            "Requests to judge a clip, by the status of the answer.",
            ["status"],
            registry=self.registry,
        )
        self.verdicts = Counter(
            "audiomatch_verdicts", "Clips judged.", ["verdict"], registry=self.registry
        )
        self.in_flight = Gauge(
            "audiomatch_requests_in_flight", "Requests being answered.", registry=self.registry
        )
        self.ready = Gauge("audiomatch_ready", "1 once the model is warm.", registry=self.registry)
        self.request_seconds = self._histogram(
            "audiomatch_request_seconds", "From a request's first byte to its answer.", SECONDS
        )
        self.batch_seconds = self._histogram(
            "audiomatch_batch_seconds", "Of the model, for a batch.", SECONDS
        )
        self.batch_clips = self._histogram("audiomatch_batch_clips", "Clips in a batch.", CLIPS)
        self.clip_seconds = self._histogram(
            "audiomatch_clip_seconds", "How long the clips are.", (1, 2, 4, 8, 15, 30)
        )

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self.registry)

    def text(self) -> bytes:
        """Return all of it as `GET /metrics` answers."""
        text: bytes = generate_latest(self.registry)
        return text
