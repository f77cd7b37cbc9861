"""What the server counts, as Prometheus reads it."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one server; `routes` are patterns such as /v1/photos/{id}, so that their number is bounded."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        route, kind = ["method", "route"], ["kind"]
        self._requests = Counter("diptych_requests", "Requests answered", [*route, "status"], registry=registry)
        self._seconds = Histogram(
            "diptych_request_seconds", "Time to the answer", route, buckets=_SECONDS, registry=registry
        )
        self._batch_items = Histogram(
            "diptych_batch_items", "Items computed at once", kind, buckets=_SIZES, registry=registry
        )
        self._batch_seconds = Histogram(
            "diptych_batch_seconds", "Time of a batch", kind, buckets=_SECONDS, registry=registry
        )
        self._waiting = Gauge("diptych_waiting_items", "Items accepted and not computed yet", kind, registry=registry)
        self._cached = Counter("diptych_text_cache", "Texts looked up in the cache", ["result"], registry=registry)

    def note_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request that was answered."""
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)

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
