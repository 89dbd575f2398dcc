"""What the server counts about its connections, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from controller.grpc.transport.server import ServerStatistics


@attrs.frozen(eq=False)
class ServerCollector(Collector):
    """Asks the server only when somebody scrapes."""

    _statistics: Callable[[], ServerStatistics]

    def collect(self) -> Iterator[Metric]:
        now = self._statistics()
        yield GaugeMetricFamily("grpc_server_connections", "Open connections.", value=now.connections)
        yield GaugeMetricFamily("grpc_server_streams", "Open streams.", value=now.streams)
        yield GaugeMetricFamily("grpc_server_connections_waiting", "Connections with work to do.", value=now.waiting)
        yield CounterMetricFamily("grpc_server_connections_accepted", "Connections accepted.", value=now.accepted)
        refused = CounterMetricFamily("grpc_server_refused", "What was refused because of a limit.", labels=["what"])
        refused.add_metric(["connection"], now.refused_connections)
        refused.add_metric(["stream"], now.refused_streams)
        yield refused
        faults = CounterMetricFamily(
            "grpc_server_connection_faults", "Connections ended because of what the client did.", labels=["code"]
        )
        for code, count in now.faults.items():
            faults.add_metric([code], count)
        yield faults
        blocks = CounterMetricFamily("grpc_server_header_blocks", "Header blocks of requests.", labels=["decoded"])
        blocks.add_metric(["yes"], now.header_blocks_decoded)
        blocks.add_metric(["no"], now.header_blocks_known)
        yield blocks

    describe = collect
