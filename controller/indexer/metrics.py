"""What the indexes hold, counted when somebody asks, under the names that upstream's dashboards know."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from controller.index.inbound import InboundStatistics
from controller.index.outbound.index import OutboundStatistics
from controller.indexer.actor import IndexerStatistics
from controller.indexer.audit import AuditStatistics
from controller.indexer.publications import PublicationsStatistics

# gauge suffix → field of NamespaceCounts, and what it counts
_COUNTED = {
    "pod": ("pods", "Meshed pods"),
    "external_workload": ("external_workloads", "ExternalWorkloads"),
    "server": ("servers", "Servers"),
    "server_authorization": ("server_authorizations", "ServerAuthorizations"),
    "authorization_policy": ("authorization_policies", "AuthorizationPolicies"),
    "http_route": ("http_routes", "HTTPRoutes of both groups"),
    "grpc_route": ("grpc_routes", "GRPCRoutes"),
    "http_local_rate_limit_policy": ("rate_limits", "HTTPLocalRateLimitPolicies"),
}
_AUTHENTICATIONS = {
    "meshtls_authentication": ("mesh_tls", "MeshTLSAuthentications"),
    "network_authentication": ("network", "NetworkAuthentications"),
}


@attrs.frozen(eq=False)
class InboundCollector(Collector):
    """`inbound_index_*_index_size`, by namespace."""

    _statistics: Callable[[], InboundStatistics]

    def collect(self) -> Iterator[Metric]:
        statistics = self._statistics()
        for table, namespaces in ((_COUNTED, statistics.namespaces), (_AUTHENTICATIONS, statistics.authentications)):
            for suffix, (field, what) in table.items():
                name = f"inbound_index_{suffix}_index_size"
                gauge = GaugeMetricFamily(name, f"{what} in the inbound index.", labels=("namespace",))
                for namespace, counts in namespaces.items():
                    gauge.add_metric((namespace,), getattr(counts, field))
                yield gauge
        yield GaugeMetricFamily(
            "inbound_index_invalid_resources",
            "Resources whose newest form means nothing, so that the one before it holds on.",
            statistics.invalid,
        )


@attrs.frozen(eq=False)
class OutboundCollector(Collector):
    """`outbound_index_*_index_size`."""

    _statistics: Callable[[], OutboundStatistics]

    def collect(self) -> Iterator[Metric]:
        statistics = self._statistics()
        yield GaugeMetricFamily("outbound_index_service_index_size", "Addresses of Services.", statistics.service_index)
        yield GaugeMetricFamily(
            "outbound_index_service_info_index_size", "Services and EgressNetworks.", statistics.service_info_index
        )
        for name, what, namespaces in (
            ("service_route", "Routes attached to all ports of a Service", statistics.service_route_index),
            ("service_port_route", "Ports that are watched or have routes", statistics.service_port_route_index),
        ):
            gauge = GaugeMetricFamily(f"outbound_index_{name}_index_size", f"{what}.", labels=("namespace",))
            for namespace, count in namespaces.items():
                gauge.add_metric((namespace,), count)
            yield gauge


@attrs.frozen(eq=False)
class AuditCollector(Collector):
    """`policy_index_audit_*`: answers compared with a fresh derivation."""

    _statistics: Callable[[], dict[str, AuditStatistics]]

    def collect(self) -> Iterator[Metric]:
        checked = CounterMetricFamily(
            "policy_index_audited_namespaces", "Namespaces that were derived anew and compared.", labels=("api",)
        )
        wrong = CounterMetricFamily(
            "policy_index_audit_differences",
            "Watched answers that were not what a fresh derivation gives.",
            labels=("api",),
        )
        for api, statistics in self._statistics().items():
            checked.add_metric((api,), statistics.checked)
            wrong.add_metric((api,), statistics.wrong)
        yield from (checked, wrong)


@attrs.frozen(eq=False)
class IndexerCollector(Collector):
    """`policy_index_*`: what goes into the indexes and what comes out of them."""

    _indexer: Callable[[], IndexerStatistics]
    _publications: Callable[[], dict[str, PublicationsStatistics]]

    def collect(self) -> Iterator[Metric]:
        indexer = self._indexer()
        yield CounterMetricFamily("policy_index_events", "Events taken in.", indexer.events)
        yield CounterMetricFamily("policy_index_batches", "Batches in which events were taken in.", indexer.batches)
        targets = GaugeMetricFamily("policy_watched_targets", "Targets that are watched.", labels=("api",))
        streams = GaugeMetricFamily("policy_subscriptions", "Streams that are told of changes.", labels=("api",))
        published = CounterMetricFamily("policy_answers_published", "Answers given to streams.", labels=("api",))
        for api, statistics in self._publications().items():
            targets.add_metric((api,), statistics.targets)
            streams.add_metric((api,), statistics.subscriptions)
            published.add_metric((api,), statistics.published)
        yield from (targets, streams, published)
