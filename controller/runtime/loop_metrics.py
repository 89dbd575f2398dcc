"""Trio's loop as metrics: how many tasks, how busy, how long a task that could run has to wait."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import attrs
import trio
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from controller.runtime.watchdog import BUCKETS, LoopStatistics, Watchdog


@attrs.frozen(eq=False)
class LoopCollector(Collector):
    """The `trio_*` metrics. Collect in the loop's own thread: elsewhere the tasks cannot be counted."""

    watchdog: Watchdog

    def collect(self) -> Iterator[Metric]:
        yield from _passes(self.watchdog.statistics())
        try:
            loop = trio.lowlevel.current_statistics()
            threads = trio.to_thread.current_default_thread_limiter().statistics()
        except RuntimeError:  # not in the loop's thread
            return
        yield GaugeMetricFamily("trio_tasks_living", "Tasks that have not ended.", loop.tasks_living)
        yield GaugeMetricFamily("trio_tasks_runnable", "Tasks that wait for their turn.", loop.tasks_runnable)
        yield GaugeMetricFamily("trio_worker_threads", "Worker threads in use.", threads.borrowed_tokens)
        yield GaugeMetricFamily(
            "trio_worker_threads_waiting", "Tasks that wait for a worker thread.", threads.tasks_waiting
        )


def _passes(loop: LoopStatistics) -> Iterator[Metric]:
    yield CounterMetricFamily("trio_busy_seconds", "Time in which tasks ran.", loop.busy_seconds, unit="seconds")
    yield CounterMetricFamily(
        "trio_io_wait_seconds", "Time in which every task waited.", loop.io_wait_seconds, unit="seconds"
    )
    yield GaugeMetricFamily(
        "trio_longest_pass_seconds",
        "The longest pass of the loop since this was last asked for.",
        loop.longest,
        unit="seconds",
    )
    counts = itertools.accumulate(loop.counts)
    labels = [*map(str, BUCKETS), "+Inf"]
    yield HistogramMetricFamily(
        "trio_schedule_delay_seconds",
        "Passes of the loop by duration: how long a task that can run may have to wait.",
        buckets=list(zip(labels, counts, strict=True)),
        sum_value=loop.busy_seconds,
        unit="seconds",
    )
    yield CounterMetricFamily("trio_stalls", "Passes of the loop that took too long.", loop.stalls)
    yield CounterMetricFamily(
        "trio_stalled_seconds", "Time in passes that took too long.", loop.stalled_seconds, unit="seconds"
    )
