"""What the server's counts look like to Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from controller.grpc.transport import ServerCollector, ServerStatistics

STATISTICS = ServerStatistics(
    connections=3,
    streams=50,
    accepted=7,
    refused_connections=1,
    refused_streams=2,
    header_blocks_known=100,
    header_blocks_decoded=4,
    waiting=1,
    faults={"ENHANCE_YOUR_CALM": 2},
)


def test_every_count_is_a_series() -> None:
    """Each figure of the statistics appears once, refusals and faults by kind."""
    registry = CollectorRegistry()
    registry.register(ServerCollector(lambda: STATISTICS))
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]

    assert set(lines) == {
        "grpc_server_connections 3.0",
        "grpc_server_connections_accepted_total 7.0",
        "grpc_server_connections_waiting 1.0",
        'grpc_server_header_blocks_total{decoded="no"} 100.0',
        'grpc_server_header_blocks_total{decoded="yes"} 4.0',
        'grpc_server_refused_total{what="connection"} 1.0',
        'grpc_server_refused_total{what="stream"} 2.0',
        "grpc_server_streams 50.0",
        'grpc_server_connection_faults_total{code="ENHANCE_YOUR_CALM"} 2.0',
    }
