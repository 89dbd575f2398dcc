"""The bytes of an EgressNetwork's policy, made once for all addresses."""

from __future__ import annotations

from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.answer import Answer
from controller.core.network import IPAddress
from controller.core.outbound import (
    EgressFallback,
    EgressNetworkBackend,
    EgressNetworkParent,
    EgressPolicy,
    HttpRoute,
    HttpRule,
    OutboundPolicy,
    TrafficPolicy,
    TrafficSettings,
)
from controller.core.routes import HttpFilter, HttpRouteMatch, PathPrefix, ResourceRoute
from controller.grpc.gen.linkerd import outbound_pb2 as pb
from controller.grpc.outbound import OutboundEncoder
from controller.grpc.outbound_template import address_bytes, make_template
from controller.grpc.outbound_to_proto import OutboundDialect, to_outbound_policy

DIALECT = OutboundDialect("cluster.local")
PARENT = EgressNetworkParent("ns", "egress", TrafficPolicy.DENY)


def shared(path: str = "/") -> Answer[OutboundPolicy]:
    backends = (EgressNetworkBackend[HttpFilter]("ns", "egress", None, 5, (), exists=True),)
    rule = HttpRule((HttpRouteMatch(PathPrefix(path)),), backends=backends)
    route = HttpRoute(ResourceRoute("gateway.networking.k8s.io", "HTTPRoute", "r", "ns"), None, (), (rule,))
    return Answer(OutboundPolicy(PARENT, 443, TrafficSettings(), (route,)))


def encode(policy: Answer[OutboundPolicy], address: IPAddress) -> bytes:
    return OutboundEncoder(DIALECT).encode(Answer(EgressPolicy(policy, address)))


@given(st.ip_addresses())
def test_a_filled_template_is_the_policy_for_the_address(address: IPAddress) -> None:
    """Whatever the address; explicit zeros are all that may differ in the bytes."""
    policy = shared()
    expected = to_outbound_policy(EgressPolicy(policy, address), DIALECT)
    assert pb.OutboundPolicy.FromString(encode(policy, address)) == expected


def test_a_template_is_made_once_for_each_version() -> None:
    """However many addresses ask."""
    calls = list[IPAddress]()

    def encode(address: IPAddress) -> bytes:
        calls.append(address)
        return b"a" + address_bytes(address) + b"b" + address_bytes(address)

    template = make_template(encode, 4)
    assert template is not None
    assert template.fill(IPv4Address("1.2.3.4")) == b"a\x0d\x04\x03\x02\x01b\x0d\x04\x03\x02\x01"
    assert len(calls) == 2


@pytest.mark.parametrize("version", [4, 6])
def test_text_that_looks_like_the_stand_in_is_noticed(version: int) -> None:
    """Then there is no template, and each address is encoded by itself."""
    stand_ins = list[IPAddress]()

    def spy(address: IPAddress) -> bytes:
        stand_ins.append(address)
        return address_bytes(address)

    assert make_template(spy, version) is not None
    for stand_in in stand_ins:
        lure = address_bytes(stand_in)
        encode = partial(_with_lure, lure)
        assert make_template(encode, version) is None


def _with_lure(lure: bytes, address: IPAddress) -> bytes:
    return address_bytes(address) + lure


def test_a_policy_that_cannot_be_cut_is_encoded_for_each_address() -> None:
    """The path of this route holds the very bytes that stand for an address."""
    policy = shared("/\rcQ\u1dc0")
    for text in ("1.2.3.4", "0.0.0.0", "::1"):
        expected = to_outbound_policy(EgressPolicy(policy, ip_address(text)), DIALECT)
        assert pb.OutboundPolicy.FromString(encode(policy, ip_address(text))) == expected
    assert make_template(lambda address: encode(policy, address), 4) is None


def test_bytes_are_made_once() -> None:
    """They stay on the answer; a fallback's are shared by whoever gets the same."""
    encoder = OutboundEncoder(DIALECT)
    answer = shared()
    assert encoder.encode(answer) is encoder.encode(answer)
    fallbacks = [Answer(EgressFallback(IPv6Address("2001:db8::1"), 443)) for _ in range(2)]
    assert encoder.encode(fallbacks[0]) is encoder.encode(fallbacks[1])
