"""What the server counts, as Prometheus reads it."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one server; `routes` are patterns such as /v1/photos/{id}, so that their number is bounded."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        route, kind = ["method", "route"], ["kind"]
        self._requests = Counter(
            "diptych_requests",
            "Requests answered; 401, 403, 408, 413 and 429 are refusals, 499 clients that went away",
            [*route, "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "diptych_request_seconds", "Time to the answer", route, buckets=_SECONDS, registry=registry
        )
        self._in_flight = Gauge("diptych_requests_in_flight", "Requests that are being answered", registry=registry)
        self._held = Gauge(
            "diptych_held_bytes", "Bodies of requests and pictures from addresses in memory", registry=registry
        )
        self._decode_seconds = Histogram(
            "diptych_decode_seconds", "Time to decode an image, after its wait", buckets=_SECONDS, registry=registry
        )
        self._batch_items = Histogram(
            "diptych_batch_items", "Items computed at once", kind, buckets=_SIZES, registry=registry
        )
        self._batch_seconds = Histogram(
            "diptych_batch_seconds", "Time of a batch", kind, buckets=_SECONDS, registry=registry
        )
        self._waiting = Gauge("diptych_waiting_items", "Items accepted and not computed yet", kind, registry=registry)
        self._cached = Counter("diptych_text_cache", "Texts looked up in the cache", ["result"], registry=registry)
        ProcessCollector(registry=registry)  # memory, CPU time, open files

    def note_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request that was answered."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """A request is being answered during the block."""
        with self._in_flight.track_inprogress():
            yield

    def note_held(self, size: int) -> None:
        """How many bytes of requests' bodies, and of pictures from addresses, are in memory."""
        self._held.set(size)

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """An image is being decoded during the block."""
        with self._decode_seconds.time():
            yield

    def note_batch(self, kind: str, items: int, seconds: float) -> None:
        """A batch that was computed, of "images" or "texts"."""
        self._batch_items.labels(kind).observe(items)
        self._batch_seconds.labels(kind).observe(seconds)

    def note_waiting(self, kind: str, items: int) -> None:
        """How many items are accepted and not computed yet."""
        self._waiting.labels(kind).set(items)

    def note_cached(self, hits: int, misses: int) -> None:
        """Texts that were found in the cache, and those that were not."""
        self._cached.labels("hit").inc(hits)
        self._cached.labels("miss").inc(misses)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
