"""Laws of the inbound wire: proxies take whatever an index may come up with; any text is a token or is not."""

from __future__ import annotations

import datetime as dt
from ipaddress import IPv4Address, IPv6Address

from hypothesis import example, given
from hypothesis import strategies as st

from controller.core.identity import IdentityExact, IdentitySuffix
from controller.core.inbound import (
    AuthorizationPolicyRef,
    ClientAuthorization,
    DefaultRef,
    DetectProtocol,
    FixedProtocol,
    GrpcRoute,
    GrpcRule,
    HttpRoute,
    HttpRule,
    InboundServer,
    RateLimit,
    RateLimitOverride,
    ServerAuthorizationRef,
    ServerRef,
    TlsAuthenticated,
    TlsUnauthenticated,
    Unauthenticated,
)
from controller.core.network import IPNet, NetworkMatch
from controller.core.routes import (
    DefaultRoute,
    GrpcMethodMatch,
    GrpcRouteMatch,
    HeaderExact,
    HeaderModifier,
    HeaderRegex,
    HostExact,
    HostSuffix,
    HttpRouteMatch,
    Method,
    PathExact,
    PathPrefix,
    PathRegex,
    QueryParamExact,
    QueryParamRegex,
    ReplaceFullPath,
    ReplacePrefixMatch,
    RequestHeaderModifier,
    RequestRedirect,
    ResourceRoute,
    ResponseHeaderModifier,
    Scheme,
)
from controller.grpc.gen.linkerd import inbound_pb2 as pb
from controller.grpc.inbound_to_proto import to_server
from controller.grpc.workload import Workload, parse_workload
from tests.inbound_proxy_rules import refused


def few(items: st.SearchStrategy, most: int = 2) -> st.SearchStrategy:
    return st.lists(items, max_size=most).map(tuple)


# As parsers let them through: a name is never empty, a pattern compiles, a path that replaces one is absolute.
texts = st.sampled_from(["", "a", "*", "ü", "x.y"])
names = st.sampled_from(["a", "ns", "srv-8080", "ü"])
patterns = st.sampled_from(["", ".*", "^a|b$", r"(?i)\d{2}"])
paths = st.sampled_from(["/", "/a", "/ü?x"])
numbers = st.integers(0, 2**32 - 1)

addresses_v4 = st.sampled_from([0, 1, 0x0A000001, 2**32 - 1]).map(IPv4Address)
addresses_v6 = st.sampled_from([0, 1, 2**64, 2**128 - 1]).map(IPv6Address)
nets = st.builds(IPNet, addresses_v4, st.integers(0, 32)) | st.builds(IPNet, addresses_v6, st.integers(0, 128))
networks = st.builds(NetworkMatch, nets, few(nets))
identities = st.builds(IdentityExact, names) | st.builds(IdentitySuffix, few(names))
authentications = (
    st.just(Unauthenticated()) | st.just(TlsUnauthenticated()) | st.builds(TlsAuthenticated, few(identities))
)
authorization_refs = (
    st.builds(DefaultRef, names) | st.builds(ServerAuthorizationRef, names) | st.builds(AuthorizationPolicyRef, names)
)
authorizations = few(st.tuples(authorization_refs, st.builds(ClientAuthorization, few(networks), authentications)))

headers = st.builds(HeaderExact, names, st.binary(max_size=2)) | st.builds(HeaderRegex, names, patterns)
params = st.builds(QueryParamExact, names, texts) | st.builds(QueryParamRegex, names, patterns)
path_matches = st.builds(PathExact, texts) | st.builds(PathPrefix, texts) | st.builds(PathRegex, patterns)
http_matches = st.builds(
    HttpRouteMatch, st.none() | path_matches, few(headers), few(params), st.none() | st.sampled_from(Method)
)
grpc_methods = st.builds(GrpcMethodMatch, st.none() | names, st.none() | names)
grpc_matches = st.builds(GrpcRouteMatch, st.none() | grpc_methods, few(headers))
header_pairs = few(st.tuples(names, texts))
modifiers = st.builds(HeaderModifier, header_pairs, header_pairs, few(names))
header_filters = st.builds(RequestHeaderModifier, modifiers) | st.builds(ResponseHeaderModifier, modifiers)
redirects = st.builds(
    RequestRedirect,
    st.none() | st.sampled_from(Scheme),
    st.none() | texts,
    st.none() | st.builds(ReplaceFullPath, paths) | st.builds(ReplacePrefixMatch, paths),
    st.none() | st.integers(1, 65535),
    st.none() | st.integers(100, 999),
)
route_refs = st.builds(DefaultRoute, names) | st.builds(ResourceRoute, names, names, names)
hosts = few(st.builds(HostExact, texts) | st.builds(HostSuffix, few(names)))
http_rules = st.builds(HttpRule, few(http_matches), few(header_filters | redirects))
http_routes = st.builds(HttpRoute, route_refs, hosts, few(http_rules), authorizations)
grpc_rules = st.builds(GrpcRule, few(grpc_matches), few(header_filters))
grpc_routes = st.builds(GrpcRoute, route_refs, hosts, few(grpc_rules), authorizations)

limits = st.none() | numbers
rate_limits = st.builds(RateLimit, names, limits, limits, few(st.builds(RateLimitOverride, numbers, few(names))))
protocols = st.sampled_from(FixedProtocol) | st.builds(
    DetectProtocol, st.timedeltas(dt.timedelta(0), dt.timedelta(days=1))
)
servers = st.builds(
    InboundServer,
    st.builds(DefaultRef, names) | st.builds(ServerRef, names),
    protocols,
    authorizations,
    st.none() | rate_limits,
    few(http_routes),
    few(grpc_routes),
)
cluster_networks = st.lists(nets, min_size=1, max_size=3).map(tuple)


@example(InboundServer(ServerRef("s"), FixedProtocol.GRPC), (IPNet(IPv4Address(0), 0),))
@given(servers, cluster_networks)
def test_proxies_take_every_message(server: InboundServer, cluster: tuple[IPNet, ...]) -> None:
    """No message breaks a rule for which a proxy would discard it."""
    sent = to_server(server, cluster).SerializeToString(deterministic=True)

    assert refused(pb.Server.FromString(sent)) == []


@given(servers, cluster_networks)
def test_bytes_are_a_function_of_the_value(server: InboundServer, cluster: tuple[IPNet, ...]) -> None:
    """Mapping again, or encoding what was decoded, gives the same bytes: they can stand for the message."""
    sent = to_server(server, cluster).SerializeToString(deterministic=True)

    assert to_server(server, cluster).SerializeToString(deterministic=True) == sent
    assert pb.Server.FromString(sent).SerializeToString(deterministic=True) == sent


token_parts = st.sampled_from(
    [
        "{",
        "}",
        '"',
        ":",
        ",",
        "[",
        "]",
        "ns",
        "pod",
        "external_workload",
        '"ns":',
        '"pod":',
        '"a"',
        "1",
        "\\u",
        "\\ud800",
    ]
)


@given(st.text() | st.lists(token_parts).map("".join))
@example("{" * 100_000)
@example('{"ns":"\\ud800","pod":"a"}')
def test_every_text_is_a_workload_or_not(token: str) -> None:
    """No token makes the parser fail, and what it names can be looked up and written."""
    workload = parse_workload(token)

    if workload is not None:
        assert isinstance(workload, Workload)
        assert f"{workload.namespace}/{workload.name}".encode()
