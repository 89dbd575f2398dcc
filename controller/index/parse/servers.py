"""Servers: which ports of which workloads they govern, and how."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import attrs

from controller.core.cluster import ClusterConfig, DefaultPolicy
from controller.core.inbound import DetectProtocol, FixedProtocol, Protocol, WorkloadKind
from controller.index.parse.defaults import parse_default_policy
from controller.index.parse.invalid import Invalid
from controller.k8s.policy import Server
from controller.k8s.selectors import LabelSelector

_BEFORE_ALL = dt.datetime.min.replace(tzinfo=dt.UTC)


@attrs.frozen
class ServerForm:
    """A Server as the index keeps it."""

    name: str
    selects: WorkloadKind
    selector: LabelSelector
    port: int | str  # a text is always the name of a port, even "8080"
    protocol: Protocol
    access: DefaultPolicy | None
    labels: dict[str, str]
    created: dt.datetime | None

    @property
    def precedence(self) -> tuple[dt.datetime, str]:
        """Of two Servers that claim a port the lesser wins: the older, then by name; no time counts as oldest."""
        return self.created or _BEFORE_ALL, self.name

    def ports_of(self, named: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        """The ports that it claims of a workload with these named ports."""
        return (self.port,) if isinstance(self.port, int) else named.get(self.port, ())

    def claims_like(self, other: ServerForm) -> bool:
        """Whether both claim the same ports with the same precedence."""
        return (
            self.selects is other.selects
            and self.port == other.port
            and self.created == other.created
            and self.selector == other.selector
        )


def parse_server(server: Server, cluster: ClusterConfig) -> ServerForm:
    """Read a Server; every one that decodes means something."""
    spec = server.spec
    if spec.external_workload_selector is not None:
        selects, selector = WorkloadKind.EXTERNAL_WORKLOAD, spec.external_workload_selector
    else:
        selects, selector = WorkloadKind.POD, spec.pod_selector or LabelSelector()
    return ServerForm(
        name=server.metadata.name,
        selects=selects,
        selector=selector,
        port=spec.port,
        protocol=_protocol(spec.proxy_protocol, cluster),
        access=_access(spec.access_policy),
        labels=server.labels,
        created=server.metadata.creation_timestamp,
    )


def _protocol(name: str | None, cluster: ClusterConfig) -> Protocol:
    if name is None or name == "unknown":
        return DetectProtocol(cluster.detect_timeout)
    return FixedProtocol(name)


def _access(name: str | None) -> DefaultPolicy | None:
    # What names no policy grants nothing, as upstream has it; admission refuses it.
    try:
        return None if name is None else parse_default_policy(name)
    except Invalid:
        return None
