"""What the client measures of its requests, under the names that upstream's dashboards know."""

from __future__ import annotations

import attrs
from prometheus_client import CollectorRegistry, Counter, Histogram

_PREFIX = "kube_client"
_REQUEST = ("cluster_url", "method")
_OUTCOME = ("cluster_url", "method", "status", "error")


@attrs.frozen(eq=False)
class ClientMetrics:
    """Counters and histograms of one client."""

    _url: str
    _requests: Counter
    _latency: Histogram
    _duration: Histogram
    _status: Counter
    _frames: Counter

    @classmethod
    def register(cls, registry: CollectorRegistry, url: str) -> ClientMetrics:
        """Make them known to the registry; once per registry."""
        return cls(
            url,
            Counter(f"{_PREFIX}_requests", "Requests sent.", _REQUEST, registry=registry),
            Histogram(
                f"{_PREFIX}_response_latency_seconds",
                "Seconds from sending a request until its response's headers, or until it failed.",
                _REQUEST,
                buckets=(0.3, 3),
                registry=registry,
            ),
            Histogram(
                f"{_PREFIX}_response_duration_seconds",
                "Seconds from a response's headers until its end, however it ended.",
                _REQUEST,
                buckets=(3, 300, 1200),
                registry=registry,
            ),
            Counter(f"{_PREFIX}_response_status", "Responses, by status or error.", _OUTCOME, registry=registry),
            Counter(f"{_PREFIX}_response_frames", "Chunks of response bodies.", _OUTCOME, registry=registry),
        )

    def sent(self, method: str) -> None:
        self._requests.labels(self._url, method).inc()

    def answered(self, method: str, seconds: float, status: int) -> None:
        self._latency.labels(self._url, method).observe(seconds)
        self._status.labels(self._url, method, str(status), "").inc()

    def failed(self, method: str, seconds: float, *, timeout: bool) -> None:
        self._latency.labels(self._url, method).observe(seconds)
        self._status.labels(self._url, method, "", "Timeout" if timeout else "Other").inc()

    def ended(self, method: str, seconds: float) -> None:
        self._duration.labels(self._url, method).observe(seconds)

    def frames(self, method: str, status: int) -> Counter:
        """Return the counter of one response's chunks."""
        return self._frames.labels(self._url, method, str(status), "")
