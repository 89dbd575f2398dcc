"""Workloads: which ports of theirs have names and probes, and what their annotations ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from controller.core.cluster import DefaultPolicy
from controller.core.ports import NO_PORTS, PortSet
from controller.index.parse.defaults import parse_default_policy
from controller.index.parse.invalid import Invalid
from controller.index.parse.ports import parse_port_set
from controller.index.parse.request_target import parse_request_path
from controller.k8s.builtin import Container, ContainerPort, HttpGet, PodSpec
from controller.k8s.workload import ExternalWorkloadPort

DEFAULT_POLICY = "config.linkerd.io/default-inbound-policy"
OPAQUE_PORTS = "config.linkerd.io/opaque-ports"
REQUIRE_IDENTITY = "config.linkerd.io/proxy-require-identity-inbound-ports"


@attrs.frozen
class WorkloadSettings:
    """What a workload's annotations say of the ports that no Server governs."""

    default_policy: DefaultPolicy | None = None
    opaque: PortSet = NO_PORTS
    require_identity: PortSet = NO_PORTS


@attrs.frozen(eq=False)
class WorkloadShape:
    """Everything but the labels that the answers for a workload depend on; thousands of workloads share one."""

    settings: WorkloadSettings
    named_ports: Mapping[str, tuple[int, ...]] = attrs.field(factory=dict[str, "tuple[int, ...]"])
    probes: Mapping[int, tuple[str, ...]] = attrs.field(factory=dict[int, "tuple[str, ...]"])


def parse_settings(policy: str | None, opaque: str | None, require_identity: str | None) -> WorkloadSettings:
    """Read the annotations. One that has no meaning counts as absent."""
    return WorkloadSettings(_policy(policy), _ports(opaque), _ports(require_identity))


def _policy(text: str | None) -> DefaultPolicy | None:
    try:
        return None if text is None else parse_default_policy(text)
    except Invalid:
        return None


def _ports(text: str | None) -> PortSet:
    try:
        return NO_PORTS if text is None else parse_port_set(text)
    except Invalid:
        return NO_PORTS


def parse_pod_shape(spec: PodSpec | None, settings: WorkloadSettings) -> WorkloadShape:
    """Read the ports and probes of all containers, then of all init containers."""
    containers = (*(spec.containers or ()), *(spec.init_containers or ())) if spec else ()
    named: dict[str, set[int]] = {}
    probes: dict[int, set[str]] = {}
    for container in containers:
        for name, port in _named_ports(container.ports):
            named.setdefault(name, set()).add(port)
        for port, path in _probes(container):
            probes.setdefault(port, set()).add(path)
    return WorkloadShape(
        settings,
        {name: tuple(sorted(ports)) for name, ports in named.items()},
        {port: tuple(sorted(paths, key=str.encode)) for port, paths in probes.items()},
    )


def _named_ports(ports: Iterable[ContainerPort] | None) -> Iterator[tuple[str, int]]:
    for port in ports or ():
        if port.name is not None and _is_tcp(port.protocol) and 1 <= port.container_port <= 65_535:
            yield port.name, port.container_port


def _is_tcp(protocol: str | None) -> bool:
    return protocol is None or protocol.upper() == "TCP"


def _probes(container: Container) -> Iterator[tuple[int, str]]:
    for probe in (container.liveness_probe, container.readiness_probe, container.startup_probe):
        if probe is None or probe.http_get is None:
            continue
        port = _probe_port(probe.http_get, container)
        if port is None:
            continue
        try:
            path = "/" if probe.http_get.path is None else parse_request_path(probe.http_get.path)
        except Invalid:
            continue  # the kubelet may know what it means; no route can be made of it
        yield port, path


def _probe_port(probe: HttpGet, container: Container) -> int | None:
    """The port of a probe; a name is looked for among the ports of its own container."""
    if isinstance(probe.port, int):
        return probe.port if 1 <= probe.port <= 65_535 else None
    wanted = probe.port.lower()
    return next((port for name, port in _named_ports(container.ports) if name.lower() == wanted), None)


def parse_external_workload_shape(
    ports: Iterable[ExternalWorkloadPort] | None, settings: WorkloadSettings
) -> WorkloadShape:
    """Read the named ports; of equal names the last counts. Nobody probes an external workload."""
    named = {port.name: (port.port,) for port in ports or () if port.name is not None and _is_tcp(port.protocol)}
    return WorkloadShape(settings, named)
