"""Ports that no Server governs."""

from __future__ import annotations

import attrs
import pytest

from controller.core.cluster import DefaultPolicy
from controller.core.identity import IdentitySuffix
from controller.core.inbound import (
    ClientAuthorization,
    DefaultRef,
    DetectProtocol,
    FixedProtocol,
    InboundServer,
    TlsAuthenticated,
    Unauthenticated,
)
from controller.core.network import ALL_NETWORKS, NetworkMatch
from controller.index.inbound import InboundIndex
from controller.index.inbound.defaults import authenticated
from controller.index.parse.cidr import parse_net
from tests.builders import container, pod, port, server, target
from tests.unit.index.inbound.support import (
    CLUSTER,
    DEFAULT,
    DEFAULT_GRPC,
    DEFAULT_HTTP,
    LIVE,
    POD_8080,
    SECOND,
    apply,
    index_of,
    networks,
    probe_route,
    told,
    with_,
)

CLUSTER_NETWORKS = networks("192.0.2.0/24")
ANYONE_IN_THE_MESH = TlsAuthenticated((IdentitySuffix(()),))
GRANTS = {
    DefaultPolicy.ALL_AUTHENTICATED: ClientAuthorization(ALL_NETWORKS, ANYONE_IN_THE_MESH),
    DefaultPolicy.ALL_UNAUTHENTICATED: ClientAuthorization(ALL_NETWORKS, Unauthenticated()),
    DefaultPolicy.CLUSTER_AUTHENTICATED: ClientAuthorization(CLUSTER_NETWORKS, ANYONE_IN_THE_MESH),
    DefaultPolicy.CLUSTER_UNAUTHENTICATED: ClientAuthorization(CLUSTER_NETWORKS, Unauthenticated()),
    DefaultPolicy.DENY: None,
    DefaultPolicy.AUDIT: ClientAuthorization(ALL_NETWORKS, Unauthenticated()),
}


def _default(policy: DefaultPolicy) -> InboundServer:
    ref, grant = DefaultRef(policy.value), GRANTS[policy]
    return with_(DEFAULT, reference=ref, authorizations=() if grant is None else ((ref, grant),))


# inbound 20
def test_an_empty_index_knows_no_port() -> None:
    """Nothing is told about a workload that nobody has heard of."""
    assert InboundIndex(CLUSTER).lookup(POD_8080) is None


# inbound 25
def test_the_default_server_has_its_whole_shape() -> None:
    """A port of a pod without any policy gets the cluster's default, detection and default routes."""
    assert told(index_of(pod())) == DEFAULT


# inbound 21
@pytest.mark.parametrize("policy", DefaultPolicy)
def test_an_annotation_replaces_the_default_policy(policy: DefaultPolicy) -> None:
    """A pod's own default policy counts, as soon as it is written."""
    other = DefaultPolicy.ALL_UNAUTHENTICATED if policy is DefaultPolicy.DENY else DefaultPolicy.DENY
    index = index_of(pod(), cluster=attrs.evolve(CLUSTER, default_policy=other))
    index.watch(POD_8080)
    assert told(index) == _default(other)

    assert apply(index, pod(annotations={"default-inbound-policy": policy.value})) == {POD_8080}

    assert told(index) == _default(policy)


# inbound 22
@pytest.mark.parametrize("text", ["bogus", "", "Deny", " deny"])
def test_an_annotation_that_names_no_policy_counts_as_absent(text: str) -> None:
    """A default policy that does not exist leaves the cluster's default in force."""
    assert told(index_of(pod(annotations={"default-inbound-policy": text}))) == DEFAULT


# inbound 23
@pytest.mark.parametrize("policy", DefaultPolicy)
def test_an_opaque_port_is_not_detected(policy: DefaultPolicy) -> None:
    """The annotation makes the ports it lists opaque and no other."""
    cluster = attrs.evolve(CLUSTER, default_policy=policy)
    index = index_of(pod(annotations={"opaque-ports": "2222"}), cluster=cluster)

    assert told(index, target(port=2222)) == with_(_default(policy), protocol=FixedProtocol.OPAQUE)
    assert told(index, target(port=2223)) == _default(policy)


# inbound 24
@pytest.mark.parametrize("policy", DefaultPolicy)
def test_a_port_that_requires_identity_gets_the_authenticated_variant(policy: DefaultPolicy) -> None:
    """Every policy that has a variant with identity gives way to it; deny and audit stay."""
    cluster = attrs.evolve(CLUSTER, default_policy=policy)
    index = index_of(pod(annotations={"proxy-require-identity-inbound-ports": "2222"}), cluster=cluster)

    variant = {
        DefaultPolicy.ALL_UNAUTHENTICATED: DefaultPolicy.ALL_AUTHENTICATED,
        DefaultPolicy.CLUSTER_UNAUTHENTICATED: DefaultPolicy.CLUSTER_AUTHENTICATED,
    }.get(policy, policy)
    assert told(index, target(port=2222)) == _default(variant)
    assert told(index, target(port=2222)).protocol == DetectProtocol(SECOND)
    assert authenticated(policy) is variant


@pytest.mark.parametrize("annotation", ["opaque-ports", "proxy-require-identity-inbound-ports"])
def test_a_port_list_with_an_error_is_empty(annotation: str) -> None:
    """One bad item makes the whole annotation count as absent."""
    assert told(index_of(pod(annotations={annotation: "8080,0"}))) == DEFAULT


# inbound 35
def test_probes_are_let_in_from_their_networks() -> None:
    """Kubelets may ask for what the pod says they will ask for; host bits of their networks stay."""
    cluster = attrs.evolve(CLUSTER, probe_networks=(parse_net("10.0.0.1/24"),))
    probed = container(live=(5432, "/liveness-container-1"), ready=(5432, "/ready-container-1"))
    index = index_of(pod("pod-0", probed), cluster=cluster)

    probe = probe_route("/liveness-container-1", "/ready-container-1", cidrs=("10.0.0.1/24",))
    assert told(index, target(port=5432)) == with_(DEFAULT, http_routes=(DEFAULT_HTTP, probe))
    assert told(index, target(port=5433)) == DEFAULT


# inbound 36
def test_probes_are_let_in_on_the_port_of_a_server() -> None:
    """A Server without routes keeps the probe route of the port."""
    probed = pod("pod-0", container(live=(5432, "/live")))
    index = index_of(probed, cluster=LIVE)
    index.watch(target(port=5432))

    assert apply(index, server("srv-5432", 5432)) == {target(port=5432)}

    answer = told(index, target(port=5432))
    assert answer.http_routes == (DEFAULT_HTTP, probe_route("/live"))
    assert answer.grpc_routes == (DEFAULT_GRPC,)


# inbound 119
def test_without_probe_networks_there_is_no_probe_route() -> None:
    """Where it is not known where kubelets are, nothing is let in for them."""
    assert told(index_of(pod("pod-0", container(live=(8080, "/live"))))) == DEFAULT


# inbound 119
def test_probe_paths_are_sorted_by_bytes() -> None:
    """The probe route lists its paths in one order, whatever container they came from."""
    index = index_of(
        pod("pod-0", container(live=(8080, "/b"), ready=(8080, "/B")), container(startup=(8080, "/a"))), cluster=LIVE
    )

    assert told(index).http_routes == (DEFAULT_HTTP, probe_route("/B", "/a", "/b"))


# inbound 45 57
def test_the_default_server_of_an_injected_pod() -> None:
    """The admin port of a proxy: one authorization, detection, a default route and a probe route."""
    proxy = container(port("linkerd-admin", 4191), live=(4191, "/live"), ready=(4191, "/ready"))
    index = index_of(pod("pause", proxy), cluster=LIVE)

    everyone = ClientAuthorization(
        (NetworkMatch(parse_net("0.0.0.0/0")), NetworkMatch(parse_net("::/0"))), Unauthenticated()
    )
    assert told(index, target("pause", 4191)) == InboundServer(
        reference=DefaultRef("all-unauthenticated"),
        protocol=DetectProtocol(10 * SECOND),
        authorizations=((DefaultRef("all-unauthenticated"), everyone),),
        http_routes=(DEFAULT_HTTP, probe_route("/live", "/ready")),
    )


def test_cells_that_nobody_watches_are_not_kept_for_ever() -> None:
    """A thousand kinds of ports asked about in passing leave the watched one alone."""
    pods = [
        pod(f"pod-{i}", container(live=(8080, f"/{i}")), annotations={"default-inbound-policy": "audit"})
        for i in range(1_100)
    ]
    index = index_of(*pods, cluster=LIVE)
    watched = index.watch(target("pod-3"))

    answers = [index.lookup(target(f"pod-{i}")) for i in range(1_100)]

    assert index.lookup(target("pod-3")) is watched is answers[3]
    assert index.lookup(target("pod-4")) is not answers[4]  # forgotten meanwhile
    assert index.lookup(target("pod-4")).value == answers[4].value
