"""How it goes with holding a Lease."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@attrs.frozen(eq=False)
class LeaseMetrics:
    """The `lease_*` metrics of all Leases of a process."""

    held: Gauge
    expiry: Gauge
    transitions: Counter
    renewals: Counter
    duration: Histogram

    @classmethod
    def register(cls, registry: CollectorRegistry) -> LeaseMetrics:
        return cls(
            held=Gauge("lease_held", "Whether we hold the Lease: 1 or 0.", ("name",), registry=registry),
            expiry=Gauge(
                "lease_expiry_seconds",
                "Seconds until we give the claim up unless it is renewed; 0 when we hold none.",
                ("name",),
                registry=registry,
            ),
            transitions=Counter(
                "lease_transitions", "How often we got or lost the Lease.", ("name",), registry=registry
            ),
            renewals=Counter(
                "lease_renew",
                "Attempts to get or prolong the claim, by outcome.",
                ("name", "result"),
                registry=registry,
            ),
            duration=Histogram(
                "lease_renew_duration_seconds",
                "Seconds that such an attempt took.",
                ("name",),
                buckets=_BUCKETS,
                registry=registry,
            ),
        )

    def follow(self, name: str, expires_in: Callable[[], float]) -> None:
        """Show the Lease as it is whenever somebody asks; `expires_in` is 0 while it is not held."""
        self.held.labels(name).set_function(lambda: float(expires_in() > 0))
        self.expiry.labels(name).set_function(expires_in)
        self.transitions.labels(name)

    def attempted(self, name: str, result: str, seconds: float) -> None:
        self.renewals.labels(name, result).inc()
        self.duration.labels(name).observe(seconds)

    def changed(self, name: str) -> None:
        self.transitions.labels(name).inc()
