"""What the status writer does, under the names that upstream's dashboards know."""

from __future__ import annotations

import attrs
from prometheus_client import CollectorRegistry, Counter, Histogram

_PREFIX = "resource_status"
_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@attrs.frozen(eq=False)
class StatusMetrics:
    patches: Counter
    api_errors: Counter
    timeouts: Counter
    duration: Histogram
    enqueues: Counter
    dequeues: Counter
    drops: Counter
    overflows: Counter
    failures: Counter

    @classmethod
    def register(cls, registry: CollectorRegistry) -> StatusMetrics:
        def counter(name: str, text: str) -> Counter:
            return Counter(f"{_PREFIX}_{name}", text, registry=registry)

        return cls(
            patches=counter("patches", "Patches that succeeded."),
            api_errors=counter("patch_api_errors", "Patches that the API server refused or could not take."),
            timeouts=counter("patch_timeouts", "Patches that took too long."),
            duration=Histogram(
                f"{_PREFIX}_patch_duration_seconds",
                "Seconds that patches took which were answered.",
                buckets=_BUCKETS,
                registry=registry,
            ),
            enqueues=counter("patch_enqueues", "Objects that were put on the queue."),
            dequeues=counter("patch_dequeues", "Objects that were taken off the queue."),
            drops=counter("patch_drops", "Objects that were left to the leader, which we are not."),
            # The queue holds each object once, so it cannot overflow; the series is there for alerts that watch it.
            overflows=counter("patch_enqueue_overflows", "Objects for which there was no room on the queue."),
            failures=counter("failures", "Turns of objects that ended in a bug; the log has the traceback."),
        )
