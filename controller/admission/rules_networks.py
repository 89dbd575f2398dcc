"""Rules for blocks of addresses, and for the kinds that are little else."""

from __future__ import annotations

from collections.abc import Iterator

from controller.admission.findings import Finding, each
from controller.core.network import IPNet
from controller.index.parse.cidr import parse_net
from controller.k8s.policy import EgressNetwork, NetworkAuthentication, NetworkSpec


def exceptions_fit(path: str, network: NetworkSpec) -> Iterator[Finding]:
    """An exception is a part of its block, and not all of it."""
    net = parse_net(network.cidr)
    for i, text in enumerate(network.except_ or ()):
        hole = parse_net(text)
        if _contains(hole, net):
            yield Finding(f"{path}.except[{i}]", f"{text} leaves nothing of {network.cidr}")
        elif not _contains(net, hole):
            yield Finding(f"{path}.except[{i}]", f"{text} is not inside of {network.cidr}")


def _contains(outer: IPNet, inner: IPNet) -> bool:
    return outer.prefix <= inner.prefix and outer.contains(inner.address)


def authentication_has_networks(resource: NetworkAuthentication) -> Iterator[Finding]:
    if not resource.spec.networks:
        yield Finding("spec.networks", "must have at least one network")


def authentication_exceptions_fit(resource: NetworkAuthentication) -> Iterator[Finding]:
    return each("spec.networks", exceptions_fit, resource.spec.networks)


def egress_has_networks(resource: EgressNetwork) -> Iterator[Finding]:
    if resource.spec.networks is not None and not resource.spec.networks:
        yield Finding(
            "spec.networks", "must have at least one network (leave it out to mean all outside of the cluster)"
        )


def egress_exceptions_fit(resource: EgressNetwork) -> Iterator[Finding]:
    return each("spec.networks", exceptions_fit, resource.spec.networks)
