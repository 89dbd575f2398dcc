"""What the operating system knows about this process, as metrics, read when they are asked for."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.runtime.log import get_logger

_log = get_logger(__name__)


@attrs.frozen
class _Stat:
    """The fields of `/proc/self/stat` that are wanted, in the kernel's units."""

    cpu_ticks: int
    threads: int
    start_ticks: int  # since boot
    virtual_bytes: int
    resident_pages: int

    @classmethod
    def parse(cls, text: str) -> _Stat:
        # The second field is the command in parentheses and may hold anything, so counting starts behind it: index 0
        # is the third field of proc(5).
        fields = text.rpartition(")")[2].split()
        return cls(
            cpu_ticks=int(fields[11]) + int(fields[12]),
            threads=int(fields[17]),
            start_ticks=int(fields[19]),
            virtual_bytes=int(fields[20]),
            resident_pages=int(fields[21]),
        )


@attrs.frozen(eq=False)
class ProcessCollector(Collector):
    """The `process_*` metrics.

    The first three exist everywhere; the others need Linux. A file that cannot be read costs its series, never the
    scrape.
    """

    proc: Path = Path("/proc")
    _created: float = attrs.field(factory=time.monotonic, init=False)
    _ticks: int = attrs.field(factory=lambda: os.sysconf("SC_CLK_TCK"), init=False)
    _page: int = attrs.field(factory=lambda: os.sysconf("SC_PAGE_SIZE"), init=False)
    # Seconds since the epoch, found once so that it does not waver.
    _started: float = attrs.field(default=attrs.Factory(lambda self: self._find_start(), takes_self=True), init=False)

    def _find_start(self) -> float:
        return time.time() - self._uptime(self._read_stat())

    def collect(self) -> Iterator[Metric]:
        stat = self._read_stat()
        yield _gauge("start_time_seconds", "Start time of the process since the Unix epoch.", self._started)
        yield _gauge("clock_time_seconds", "Current system time for this process.", float(int(time.time())))
        yield _counter("uptime_seconds", "Total time since the process started.", self._uptime(stat))
        if stat is not None:
            yield from self._linux(stat)

    def _linux(self, stat: _Stat) -> Iterator[Metric]:
        yield _counter("cpu_seconds", "Total user and system CPU time spent.", stat.cpu_ticks / self._ticks)
        yield _gauge("virtual_memory_bytes", "Virtual memory size.", stat.virtual_bytes)
        yield _gauge("resident_memory_bytes", "Resident memory size.", stat.resident_pages * self._page)
        yield _gauge("threads", "Number of OS threads in the process.", stat.threads)
        yield from _if_readable("open_fds", "Number of open file descriptors.", self._open_fds)
        yield from _if_readable("max_fds", "Maximum number of open file descriptors.", _max_fds)
        try:
            received, transmitted = self._network_octets()
        except (OSError, ValueError, LookupError) as error:
            _log.debug("process metric unavailable", metric="network", error=error)
            return
        yield _counter("network_receive_bytes", "Total bytes received in the network namespace.", received)
        yield _counter("network_transmit_bytes", "Total bytes sent in the network namespace.", transmitted)

    def _read_stat(self) -> _Stat | None:
        path = self.proc / "self" / "stat"
        try:
            return _Stat.parse(path.read_text(encoding="utf-8", errors="replace"))
        except (OSError, ValueError, IndexError) as error:
            _log.warning("process metrics unavailable", path=path, error=error)
            return None

    def _uptime(self, stat: _Stat | None) -> float:
        # The kernel counts from boot, so this stays right when somebody sets the clock.
        if stat is None:
            return time.monotonic() - self._created
        return time.clock_gettime(time.CLOCK_BOOTTIME) - stat.start_ticks / self._ticks

    def _open_fds(self) -> int:
        return len(os.listdir(self.proc / "self" / "fd"))  # noqa: PTH208  # a list of names is enough, 20 times faster

    def _network_octets(self) -> tuple[int, int]:
        lines = (self.proc / "self" / "net" / "netstat").read_text(encoding="utf-8").splitlines()
        names, values = (line.split() for line in lines if line.startswith("IpExt:"))
        octets = dict(zip(names, values, strict=True))
        return int(octets["InOctets"]), int(octets["OutOctets"])


def _max_fds() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    finite = (limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)
    return next(finite, 0)


def _if_readable(name: str, text: str, read: Callable[[], int]) -> Iterator[Metric]:
    try:
        value = read()
    except OSError as error:
        _log.debug("process metric unavailable", metric=name, error=error)
    else:
        yield _gauge(name, text, value)


# A name that ends in a unit declares that unit, as OpenMetrics wants it.
_UNITS = ("seconds", "bytes")


def _unit(name: str) -> str:
    return next((unit for unit in _UNITS if name.endswith("_" + unit)), "")


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily("process_" + name, text, value=value, unit=_unit(name))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily("process_" + name, text, value=value, unit=_unit(name))
