"""The exposition, and what the process says about itself."""

from __future__ import annotations

import math
import os
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as parse_text

from controller.runtime.loop_metrics import LoopCollector
from controller.runtime.metrics import OPENMETRICS, TEXT, choose_form, new_registry, render
from controller.runtime.process_metrics import ProcessCollector
from controller.runtime.watchdog import Watchdog

PORTABLE = {
    "process_start_time_seconds": ("gauge", "seconds"),
    "process_clock_time_seconds": ("gauge", "seconds"),
    "process_uptime_seconds": ("counter", "seconds"),
}
LINUX = {
    "process_cpu_seconds": ("counter", "seconds"),
    "process_virtual_memory_bytes": ("gauge", "bytes"),
    "process_resident_memory_bytes": ("gauge", "bytes"),
    "process_open_fds": ("gauge", ""),
    "process_max_fds": ("gauge", ""),
    "process_network_receive_bytes": ("counter", "bytes"),
    "process_network_transmit_bytes": ("counter", "bytes"),
    "process_threads": ("gauge", ""),
}
LOOP = {
    "trio_busy_seconds": ("counter", "seconds"),
    "trio_io_wait_seconds": ("counter", "seconds"),
    "trio_longest_pass_seconds": ("gauge", "seconds"),
    "trio_schedule_delay_seconds": ("histogram", "seconds"),
    "trio_stalls": ("counter", ""),
    "trio_stalled_seconds": ("counter", "seconds"),
}
PYTHON = {
    "python_info": ("gauge", ""),
    "python_gc_objects_collected": ("counter", ""),
    "python_gc_objects_uncollectable": ("counter", ""),
    "python_gc_collections": ("counter", ""),
}


def families(registry: CollectorRegistry) -> dict[str, tuple[str, str]]:
    text = render(registry, OPENMETRICS).decode()
    return {family.name: (family.type, family.unit) for family in text_string_to_metric_families(text)}


def samples(collector: ProcessCollector) -> Mapping[str, float]:
    return {sample.name: sample.value for family in collector.collect() for sample in family.samples}


# runtime M1
def test_the_names_types_and_units() -> None:
    """Dashboards made for upstream find the same process metrics; those of the loop and of Python come with them."""
    registry = new_registry()
    registry.register(LoopCollector(Watchdog(0.1)))

    assert families(registry) == PORTABLE | LINUX | PYTHON | LOOP


# runtime M1, A9
def test_both_forms_can_be_parsed() -> None:
    """OpenMetrics ends with its mark; the older text has the same samples."""
    registry = new_registry()

    new, old = render(registry, OPENMETRICS).decode(), render(registry, TEXT).decode()

    assert new.endswith("# EOF\n")
    assert {sample.name for family in text_string_to_metric_families(new) for sample in family.samples} == {
        sample.name for family in parse_text(old) for sample in family.samples
    }


# runtime M2
def test_labels_are_escaped_and_buckets_add_up() -> None:
    """A label may hold anything; a histogram's last bucket is its count."""
    registry = CollectorRegistry()
    nasty = 'a"b\\c\nd'
    Counter("odd", "Odd.", ["label"], registry=registry).labels(nasty).inc()
    histogram = Histogram("took", "Took.", buckets=(0.3, 3), registry=registry)
    for value in (0.1, 1, 10):
        histogram.observe(value)

    parsed = list(text_string_to_metric_families(render(registry, OPENMETRICS).decode()))

    (odd,) = (sample for family in parsed for sample in family.samples if sample.name == "odd_total")
    assert odd.labels == {"label": nasty}
    buckets = [
        (sample.labels["le"], sample.value)
        for family in parsed
        for sample in family.samples
        if sample.name == "took_bucket"
    ]
    assert buckets == [("0.3", 1), ("3.0", 2), ("+Inf", 3)]


# runtime A9
@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1", OPENMETRICS),
        ("text/plain;version=0.0.4;q=0.3, Application/OpenMetrics-Text;q=0.2,*/*;q=0.1", OPENMETRICS),
        ("text/plain", TEXT),
        ("*/*", TEXT),
        ("", TEXT),
        ("application/openmetrics", TEXT),
    ],
)
def test_the_asker_chooses_the_form(accept: str, form: str) -> None:
    """OpenMetrics goes only to whoever lists it."""
    assert choose_form(accept) == form


# runtime M3
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_process_figures_are_real() -> None:
    """Each value is what the system says by another way."""
    now = time.time()

    values = samples(ProcessCollector())

    assert values["process_start_time_seconds"] == pytest.approx(now - values["process_uptime_seconds_total"], abs=1)
    assert 0 < values["process_uptime_seconds_total"] < 24 * 3600
    assert values["process_clock_time_seconds"] == pytest.approx(now, abs=2)
    assert values["process_cpu_seconds_total"] == pytest.approx(sum(os.times()[:2]), abs=0.5)
    assert values["process_resident_memory_bytes"] > 10_000_000
    assert values["process_virtual_memory_bytes"] >= values["process_resident_memory_bytes"]
    assert values["process_open_fds"] == pytest.approx(len(list(Path("/proc/self/fd").iterdir())), abs=2)
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert values["process_max_fds"] == (soft if soft != resource.RLIM_INFINITY else values["process_max_fds"])
    assert values["process_threads"] >= 1


def test_the_start_does_not_waver() -> None:
    """The start time is one number, however often it is asked for."""
    collector = ProcessCollector()

    assert len({samples(collector)["process_start_time_seconds"] for _ in range(3)}) == 1


STAT = "7 (a ) b) R 1 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 3 0 100 4096000 25 18446744073709551615 " + "0 " * 26
NETSTAT = "TcpExt: A B\nTcpExt: 1 2\nIpExt: InNoRoutes InOctets OutOctets\nIpExt: 0 11 22\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "self" / "net").mkdir(parents=True)
    (tmp_path / "self" / "fd").mkdir()
    for number in "012":
        (tmp_path / "self" / "fd" / number).touch()
    (tmp_path / "self" / "stat").write_text(STAT)
    (tmp_path / "self" / "net" / "netstat").write_text(NETSTAT)
    return tmp_path


def test_the_kernels_files_are_read(proc: Path) -> None:
    """Ticks, pages and octets become seconds and bytes, whatever the command is called."""
    values = samples(ProcessCollector(proc))

    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    assert values["process_cpu_seconds_total"] == 200 / ticks
    assert values["process_threads"] == 3
    assert values["process_virtual_memory_bytes"] == 4096000
    assert values["process_resident_memory_bytes"] == 25 * page
    assert values["process_open_fds"] == 3
    assert values["process_network_receive_bytes_total"] == 11
    assert values["process_network_transmit_bytes_total"] == 22


# runtime M3
@pytest.mark.parametrize(
    ("gone", "missing"),
    [
        ("self/net/netstat", {"process_network_receive_bytes", "process_network_transmit_bytes"}),
        ("self/fd", {"process_open_fds"}),
        ("self/stat", set(LINUX)),
    ],
)
def test_what_cannot_be_read_is_left_out(proc: Path, gone: str, missing: set[str]) -> None:
    """A missing file costs the series made of it; without `stat` only the portable three are left."""
    (proc / gone).rename(proc / "gone")
    registry = CollectorRegistry()
    registry.register(ProcessCollector(proc))

    assert families(registry).keys() == (PORTABLE | LINUX).keys() - missing
    assert all(math.isfinite(value) for value in samples(ProcessCollector(proc)).values())


def test_a_garbled_stat_is_as_good_as_none(proc: Path) -> None:
    """Text that is not what the kernel writes costs series and not the scrape."""
    (proc / "self" / "stat").write_text("nonsense")

    assert samples(ProcessCollector(proc)).keys() == {
        name + "_total" * (kind == "counter") for name, (kind, _) in PORTABLE.items()
    }
