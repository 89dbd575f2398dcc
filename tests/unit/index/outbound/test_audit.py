"""An index that was led astray on purpose, and what its audit finds."""

from __future__ import annotations

from ipaddress import ip_address

from controller.core.cluster import ClusterConfig
from controller.core.outbound import AddressTarget, OutboundTarget, ServiceTarget
from controller.index.outbound.index import OutboundIndex
from tests.destinations import Object, applied, deleted, egress_network, route, service, service_ref

WEB = ServiceTarget("caller", "ns", "web", 80)
OTHER = ServiceTarget("caller", "elsewhere", "web", 80)
OUTSIDE = AddressTarget("caller", ip_address("1.1.1.1"), 443)
UNDECLARED = AddressTarget("caller", ip_address("10.96.0.1"), 9)
OBJECTS: tuple[Object, ...] = (
    service("web", ports=[80]),
    service("web", "elsewhere", ips=["10.96.0.2"], ports=[80]),
    route("G", parents=[service_ref("web", port=80)], backends=[service_ref("backend", port=80)]),
    route("G", "all-ports", parents=[service_ref("web")]),
)


def watching() -> OutboundIndex:
    index = OutboundIndex(ClusterConfig())
    index.apply([applied(obj) for obj in OBJECTS])
    for target in (WEB, OTHER, OUTSIDE, UNDECLARED):
        index.watch(target)
    return index


def unnoticed(index: OutboundIndex, obj: Object, *, is_deleted: bool = False) -> None:
    """Change the primary state behind the index's back."""
    index._world.apply([deleted(obj) if is_deleted else applied(obj)])


def found(index: OutboundIndex) -> dict[str, frozenset[OutboundTarget]]:
    return {namespace: index.check(namespace) for namespace in sorted(index.namespaces())}


NOTHING = frozenset[OutboundTarget]()


def test_an_index_that_was_told_everything_is_in_order() -> None:
    """Ports by their own namespace, addresses by their caller's."""
    assert found(watching()) == {"caller": NOTHING, "elsewhere": NOTHING, "ns": NOTHING}


def test_a_port_whose_settings_were_missed() -> None:
    """It is found in its own namespace."""
    index = watching()
    unnoticed(index, service("web", ports=[80], annotations={"timeout.linkerd.io/idle": "1s"}))
    assert found(index) == {"caller": NOTHING, "elsewhere": NOTHING, "ns": {WEB}}


def test_a_route_and_a_backend_that_were_missed() -> None:
    """Attached, detached, or with a backend that is not what it was."""
    for obj in (
        route("G", "new", parents=[service_ref("web", port=80)]),
        route("G", "all-ports", accepted=[]),
    ):
        index = watching()
        unnoticed(index, obj)
        assert index.check("ns") == {WEB}
        assert index.check("elsewhere") == NOTHING
    index = watching()
    index._world._routes._to.clear()  # a reverse index that is not kept would look like this
    index.apply([applied(service("backend", ips=["10.96.0.3"]))])
    assert index.check("ns") == {WEB}


def test_an_address_that_was_missed() -> None:
    """It is found in its caller's namespace."""
    index = watching()
    unnoticed(index, egress_network(namespace="caller"))
    unnoticed(index, service("web", ports=[80, 9]))
    assert index.check("caller") == {OUTSIDE, UNDECLARED}


def test_what_is_kept_on_purpose_is_in_order() -> None:
    """The settings of a deleted Service, and a refusal to connect to it."""
    index = watching()
    index.apply([deleted(service("web"))])
    assert found(index) == {"caller": NOTHING, "elsewhere": NOTHING, "ns": NOTHING}
