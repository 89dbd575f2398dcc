"""Where a route is attached: what it names, as far as its status accepts it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.index.parse.parents import Attachment, ParentKey, ParentKind, parse_attachments, parse_kind
from controller.k8s.gateway import GatewayHTTPRoute
from tests.destinations import Object, decode, egress_ref, route, service_ref, status_entry

WEB = ParentKey(ParentKind.SERVICE, "ns", "web")
OUT = ParentKey(ParentKind.EGRESS_NETWORK, "ns", "out")


def _attached(parents: list[Object], entries: list[Object] | None = None, **fields: Any) -> frozenset[Attachment]:
    obj = route("G", parents=parents, **fields)
    if entries is not None:
        obj["status"] = {"parents": entries}
    resource = decode(obj)
    assert isinstance(resource, GatewayHTTPRoute)
    return parse_attachments(resource.metadata.namespace, resource.spec.parent_refs, resource.status)


@pytest.mark.parametrize(
    ("group", "kind", "expected"),
    [
        (None, "Service", ParentKind.SERVICE),
        ("", "service", ParentKind.SERVICE),
        ("CORE", "SERVICE", ParentKind.SERVICE),
        ("Policy.Linkerd.io", "egressnetwork", ParentKind.EGRESS_NETWORK),
        (None, "EgressNetwork", None),
        ("policy.linkerd.io", "Service", None),
        ("policy.linkerd.io", "Server", None),
        ("gateway.networking.k8s.io", "Gateway", None),
        (None, None, None),
    ],
)
def test_a_reference_means_a_service_or_an_egress_network(
    group: str | None, kind: str | None, expected: ParentKind | None
) -> None:
    """By group and kind, in any case; without a kind it means nothing."""
    assert parse_kind(group, kind) is expected


def test_an_accepted_parent_is_an_attachment() -> None:
    """In its own namespace or in the one it names, at its port or at all."""
    assert _attached([service_ref("web", port=80)]) == {Attachment(WEB, 80)}
    assert _attached([service_ref("web", namespace="ns")], namespace="other") == {Attachment(WEB, None)}
    assert _attached([egress_ref("out", port=443)]) == {Attachment(OUT, 443)}
    assert _attached([service_ref("web", port=0)]) == {Attachment(WEB, None)}
    assert _attached([service_ref("web", port=65536)]) == {Attachment(WEB, None)}


# outbound 206
def test_an_egress_network_takes_no_route_for_all_ports() -> None:
    """Whatever its status says."""
    assert _attached([egress_ref("out")]) == frozenset()
    assert _attached([egress_ref("out")], [status_entry(egress_ref("out", port=80))]) == frozenset()


# outbound 204
def test_an_entry_for_a_port_accepts_that_port() -> None:
    """One without a port accepts any; for all ports, the entry's port is not looked at."""
    parent = service_ref("web", port=8080)
    assert _attached([parent], [status_entry(service_ref("web", port=80))]) == frozenset()
    assert _attached([parent], [status_entry(service_ref("web"))]) == {Attachment(WEB, 8080)}
    assert _attached([service_ref("web")], [status_entry(service_ref("web", port=80))]) == {Attachment(WEB, None)}


# outbound 205
def test_only_an_entry_that_says_true_accepts() -> None:
    """No other condition counts, and no status accepts nothing."""
    parent = service_ref("web", port=80)
    for accepted in ("False", "Unknown", "true", None):
        assert _attached([parent], [status_entry(parent, accepted=accepted)]) == frozenset()
    assert _attached([parent], []) == frozenset()
    assert _attached([parent], [status_entry(parent, ResolvedRefs="False")]) == {Attachment(WEB, 80)}
    entries = [status_entry(parent, accepted="False"), status_entry(parent, controller="example.com/other")]
    assert _attached([parent], entries) == {Attachment(WEB, 80)}


@pytest.mark.parametrize(
    ("changed", "admits"),
    [
        ({}, True),
        ({"group": None}, True),
        ({"group": ""}, True),
        ({"group": "CORE"}, False),
        ({"kind": "service"}, False),
        ({"kind": None}, False),
        ({"name": "other"}, False),
        ({"sectionName": "x"}, True),
        ({"namespace": "ns"}, True),
        ({"namespace": "elsewhere"}, False),
    ],
)
def test_an_entry_is_about_the_parent_it_spells_exactly(changed: dict[str, str | None], admits: bool) -> None:
    """Case counts here, and so does the namespace: an equal name elsewhere is another Service."""
    entry = {key: value for key, value in {**service_ref("web", port=80), **changed}.items() if value is not None}
    assert bool(_attached([service_ref("web", port=80)], [status_entry(entry)])) is admits


def test_each_reference_stands_for_itself() -> None:
    """One that is not accepted does not hold back its sibling."""
    parents = [service_ref("web", port=80), service_ref("web", port=81), {"name": "gw", "kind": "Gateway"}]
    assert _attached(parents, [status_entry(parents[1])]) == {Attachment(WEB, 81)}
    assert _attached([]) == frozenset()


def test_a_reference_without_a_namespace_means_the_routes_own() -> None:
    """On both sides."""
    entry = status_entry(service_ref("web", namespace="other"))
    assert _attached([service_ref("web")], [entry], namespace="other") == {
        Attachment(ParentKey(ParentKind.SERVICE, "other", "web"), None)
    }
