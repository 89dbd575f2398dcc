"""Inbound answers on the wire, against recorded messages and against what proxies demand."""

from __future__ import annotations

import datetime as dt
from ipaddress import IPv4Address, ip_address

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from controller.core.identity import IdentityExact, IdentitySuffix
from controller.core.inbound import (
    Authentication,
    AuthorizationPolicyRef,
    AuthorizationRef,
    Authorizations,
    ClientAuthorization,
    DefaultRef,
    DetectProtocol,
    FixedProtocol,
    GrpcRoute,
    GrpcRule,
    HttpRoute,
    HttpRule,
    InboundServer,
    Protocol,
    RateLimit,
    RateLimitOverride,
    ServerAuthorizationRef,
    ServerRef,
    TlsAuthenticated,
    TlsUnauthenticated,
    Unauthenticated,
)
from controller.core.network import ALL_NETWORKS, IPNet, NetworkMatch
from controller.core.routes import (
    DefaultRoute,
    GrpcFilter,
    GrpcMethodMatch,
    GrpcRouteMatch,
    HeaderExact,
    HeaderModifier,
    HeaderRegex,
    HostExact,
    HostMatch,
    HostSuffix,
    HttpFilter,
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
from controller.grpc.to_proto import to_ip_network

CLUSTER = (IPNet(IPv4Address("192.0.2.0"), 24),)
SA_FOO = "foo.ns-0.serviceaccount.identity.linkerd.cluster.example.com"
SERVER_REF = ServerRef("srv-8080")
DEFAULT_ROUTE = HttpRoute(DefaultRoute("default"), rules=(HttpRule((HttpRouteMatch(PathPrefix("/")),)),))
DEFAULT_GRPC_ROUTE = GrpcRoute(DefaultRoute("default"), rules=(GrpcRule((GrpcRouteMatch(GrpcMethodMatch()),)),))


def server(
    protocol: Protocol = FixedProtocol.HTTP1,
    *,
    reference: DefaultRef | ServerRef = SERVER_REF,
    authorizations: Authorizations = (),
    rate_limit: RateLimit | None = None,
    http_routes: tuple[HttpRoute, ...] = (DEFAULT_ROUTE,),
    grpc_routes: tuple[GrpcRoute, ...] = (DEFAULT_GRPC_ROUTE,),
) -> InboundServer:
    return InboundServer(reference, protocol, authorizations, rate_limit, http_routes, grpc_routes)


def authorized(
    ref: AuthorizationRef, *, networks: tuple[NetworkMatch, ...] = ALL_NETWORKS, by: Authentication | None = None
) -> Authorizations:
    return ((ref, ClientAuthorization(networks, by or Unauthenticated())),)


def net(text: str, *exceptions: str) -> NetworkMatch:
    def parse(block: str) -> IPNet:
        address, _, prefix = block.partition("/")
        return IPNet(ip_address(address), int(prefix))

    return NetworkMatch(parse(text), tuple(map(parse, exceptions)))


def encoded(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def golden(kind: type[Message], text: str) -> bytes:
    return encoded(json_format.Parse(text, kind()))


def sent(value: InboundServer) -> pb.Server:
    """The message as a proxy gets it, through bytes."""
    return pb.Server.FromString(encoded(to_server(value, CLUSTER)))


def only_http_rule(rule: HttpRule) -> pb.HttpRoute.Rule:
    [route] = sent(server(http_routes=(HttpRoute(DefaultRoute("r"), rules=(rule,)),))).protocol.http1.routes
    [sent_rule] = route.rules
    return sent_rule


def only_filter(filter_: HttpFilter) -> pb.HttpRoute.Filter:
    [sent_filter] = only_http_rule(HttpRule(filters=(filter_,))).filters
    return sent_filter


def test_default_server() -> None:
    """The default server of a port without any resource is the recorded message."""
    # inbound 25, G1
    value = server(
        DetectProtocol(dt.timedelta(seconds=1)),
        reference=DefaultRef("cluster-unauthenticated"),
        authorizations=authorized(DefaultRef("cluster-unauthenticated"), networks=(net("192.0.2.0/24"),)),
        grpc_routes=(),
    )

    assert encoded(to_server(value, CLUSTER)) == golden(
        pb.Server,
        '{"protocol":{"detect":{"timeout":"1s","httpRoutes":[{"metadata":{"default":"default"},"rules":[{"matches":'
        '[{"path":{"prefix":"/"}}]}]}]}},"authorizations":[{"networks":[{"net":{"ip":{"ipv4":3221225984},"prefixLen":'
        '24}}],"authentication":{"unauthenticated":{}},"labels":{"group":"","kind":"default","name":'
        '"cluster-unauthenticated"},"metadata":{"default":"cluster-unauthenticated"}}],"labels":{"group":"","kind":'
        '"default","name":"cluster-unauthenticated"}}',
    )


def test_probe_route() -> None:
    """The probe route admits the probe networks to GET on each probe path."""
    # inbound 35, G2
    matches = tuple(HttpRouteMatch(PathExact(path), method=Method.GET) for path in ("/live", "/ready"))
    probe = HttpRoute(DefaultRoute("probe"), rules=(HttpRule(matches),), authorizations=authorized(DefaultRef("probe")))

    [route] = to_server(server(http_routes=(probe,)), CLUSTER).protocol.http1.routes

    assert encoded(route) == golden(
        pb.HttpRoute,
        '{"metadata":{"default":"probe"},"authorizations":[{"networks":[{"net":{"ip":{"ipv4":0}}},{"net":{"ip":{"ipv6":'
        '{}}}}],"authentication":{"unauthenticated":{}},"labels":{"group":"","kind":"default","name":"probe"},'
        '"metadata":{"default":"probe"}}],"rules":[{"matches":[{"path":{"exact":"/live"},"method":{"registered":'
        '"GET"}},{"path":{"exact":"/ready"},"method":{"registered":"GET"}}]}]}',
    )


@pytest.mark.parametrize(
    ("authorizations", "expected"),
    [
        pytest.param(  # G3
            authorized(DefaultRef("all-authenticated"), by=TlsAuthenticated((IdentitySuffix(()),))),
            '{"networks":[{"net":{"ip":{"ipv4":0}}},{"net":{"ip":{"ipv6":{}}}}],"authentication":{"meshTLS":'
            '{"identities":{"suffixes":[{}]}}},"labels":{"group":"","kind":"default","name":"all-authenticated"},'
            '"metadata":{"default":"all-authenticated"}}',
            id="any identity",
        ),
        pytest.param(  # inbound 32, G4
            authorized(
                AuthorizationPolicyRef("authz-foo"),
                networks=(net("10.0.0.0/8"),),
                by=TlsAuthenticated((IdentityExact(SA_FOO),)),
            ),
            '{"networks":[{"net":{"ip":{"ipv4":167772160},"prefixLen":8}}],"authentication":{"meshTLS":{"identities":'
            f'{{"identities":[{{"name":"{SA_FOO}"}}]}}}}}},"labels":{{"group":"policy.linkerd.io","kind":'
            '"authorizationpolicy","name":"authz-foo"},"metadata":{"resource":{"group":"policy.linkerd.io","kind":'
            '"authorizationpolicy","name":"authz-foo"}}}',
            id="one ServiceAccount",
        ),
        pytest.param(  # inbound 104
            authorized(ServerAuthorizationRef("sa"), networks=(net("10.0.0.0/8", "10.1.0.0/16", "10.2.0.1/32"),)),
            '{"networks":[{"net":{"ip":{"ipv4":167772160},"prefixLen":8},"except":[{"ip":{"ipv4":167837696},'
            '"prefixLen":16},{"ip":{"ipv4":167903233},"prefixLen":32}]}],"authentication":{"unauthenticated":{}},'
            '"labels":{"group":"policy.linkerd.io","kind":"serverauthorization","name":"sa"},"metadata":{"resource":'
            '{"group":"policy.linkerd.io","kind":"serverauthorization","name":"sa"}}}',
            id="a network with exceptions",
        ),
        pytest.param(  # inbound 104
            authorized(ServerAuthorizationRef("sa"), networks=(), by=TlsUnauthenticated()),
            '{"networks":[{"net":{"ip":{"ipv4":3221225984},"prefixLen":24}}],"authentication":{"meshTLS":'
            '{"unauthenticated":{}}},"labels":{"group":"policy.linkerd.io","kind":"serverauthorization","name":"sa"},'
            '"metadata":{"resource":{"group":"policy.linkerd.io","kind":"serverauthorization","name":"sa"}}}',
            id="no network means the cluster's",
        ),
    ],
)
def test_authorization(authorizations: Authorizations, expected: str) -> None:
    """An authorization is the recorded message, on a Server and on a route."""
    route = HttpRoute(DefaultRoute("r"), authorizations=authorizations)
    message = to_server(server(authorizations=authorizations, http_routes=(route,)), CLUSTER)

    assert [encoded(authz) for authz in message.authorizations] == [golden(pb.Authz, expected)]
    assert message.protocol.http1.routes[0].authorizations == message.authorizations


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        pytest.param(TlsUnauthenticated(), "12020a00", id="mesh TLS without an identity"),
        pytest.param(  # G7
            TlsAuthenticated((IdentitySuffix(("ns-1", "serviceaccount", "identity", "linkerd", "x")),)),
            '{"meshTLS":{"identities":{"suffixes":[{"parts":["ns-1","serviceaccount","identity","linkerd","x"]}]}}}',
            id="a namespace",
        ),
        pytest.param(
            TlsAuthenticated((IdentitySuffix(("b",)), IdentityExact("z"), IdentitySuffix(()), IdentityExact("a"))),
            '{"meshTLS":{"identities":{"identities":[{"name":"z"},{"name":"a"}],"suffixes":[{"parts":["b"]},{}]}}}',
            id="both, each in its order",
        ),
    ],
)
def test_authentication(by: Authentication, expected: str) -> None:
    """Each way to authenticate is the recorded message."""
    [authz] = to_server(server(authorizations=authorized(DefaultRef("x"), by=by)), CLUSTER).authorizations

    wanted = golden(pb.Authn, expected) if expected.startswith("{") else bytes.fromhex(expected)
    assert encoded(authz.authentication) == wanted


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("0.0.0.0/0", "0a050d00000000"),
        ("::/0", "0a021200"),
        ("10.0.0.1/24", "0a050d0100000a1018"),
        ("fd00::1/8", "0a1412120900000000000000fd1101000000000000001008"),
    ],
)
def test_network_bytes(block: str, expected: str) -> None:
    """Networks keep their host bits, and the zero addresses their presence."""
    assert encoded(to_ip_network(net(block).net)).hex() == expected


def test_rate_limit() -> None:
    """A rate limit is the recorded message: no limit where the user wrote none."""
    # inbound 41, G5
    client = "client-0.ns-0.serviceaccount.identity.linkerd.cluster.example.com"
    limit = RateLimit("ratelimit-0", total=1000, overrides=(RateLimitOverride(500, (client,)),))

    message = to_server(server(rate_limit=limit), CLUSTER).protocol.http1.local_rate_limit

    assert encoded(message) == golden(
        pb.HttpLocalRateLimit,
        '{"metadata":{"resource":{"group":"policy.linkerd.io","kind":"HTTPLocalRateLimitPolicy","name":"ratelimit-0"}},'
        '"total":{"requestsPerSecond":1000},"overrides":[{"limit":{"requestsPerSecond":500},"clients":{"identities":'
        f'[{{"name":"{client}"}}]}}}}]}}',
    )


def test_limits_of_zero_are_sent() -> None:
    """A limit of zero requests is a limit, and an override without clients has an empty list of them."""
    limit = RateLimit("zero", total=0, identity=0, overrides=(RateLimitOverride(0, ()),))

    message = sent(server(rate_limit=limit)).protocol.http1.local_rate_limit

    assert message.HasField("total")
    assert message.HasField("identity")
    [override] = message.overrides
    assert override.HasField("limit")
    assert override.HasField("clients")


def test_grpc_server() -> None:
    """A gRPC Server without routes or authorizations is the recorded message."""
    # inbound 27, 100, G6
    assert encoded(to_server(server(FixedProtocol.GRPC), CLUSTER)) == golden(
        pb.Server,
        '{"protocol":{"grpc":{"routes":[{"metadata":{"default":"default"},"rules":[{"matches":[{"rpc":{}}]}]}]}},'
        '"labels":{"group":"policy.linkerd.io","kind":"server","name":"srv-8080"}}',
    )


@pytest.mark.parametrize(
    ("protocol", "kind", "has_routes", "has_limit"),
    [
        (DetectProtocol(dt.timedelta(seconds=10)), "detect", True, True),
        (FixedProtocol.HTTP1, "http1", True, True),
        (FixedProtocol.HTTP2, "http2", True, True),
        (FixedProtocol.GRPC, "grpc", True, False),
        (FixedProtocol.OPAQUE, "opaque", False, False),
        (FixedProtocol.TLS, "tls", False, False),
    ],
)
def test_protocols(protocol: Protocol, kind: str, has_routes: bool, has_limit: bool) -> None:
    """Each protocol is its member of the oneof, with what that can carry; the rest is the same for all."""
    # inbound 102, 115, 119
    authorizations = authorized(ServerAuthorizationRef("sa"))
    message = sent(server(protocol, authorizations=authorizations, rate_limit=RateLimit("rl", total=1)))

    assert message.protocol.WhichOneof("kind") == kind
    inner = getattr(message.protocol, kind)
    assert any("routes" in field.name for field, _ in inner.ListFields()) == has_routes
    assert any("rate_limit" in field.name for field, _ in inner.ListFields()) == has_limit
    assert len(message.authorizations) == 1
    assert message.labels == {"group": "policy.linkerd.io", "kind": "server", "name": "srv-8080"}
    assert not message.server_ips


@pytest.mark.parametrize("protocol", [DetectProtocol(dt.timedelta(0)), *FixedProtocol])
def test_a_server_without_routes_still_sends_one(protocol: Protocol) -> None:
    """No list of routes is ever empty, and detection always has a timeout: proxies would refuse or misread either."""
    message = sent(server(protocol, http_routes=(), grpc_routes=()))

    assert message == sent(server(protocol))
    assert message.protocol.HasField("detect") == message.protocol.detect.HasField("timeout")


@pytest.mark.parametrize("method", Method)
def test_methods(method: Method) -> None:
    """Each method is the registered one of its name."""
    [match_] = only_http_rule(HttpRule((HttpRouteMatch(method=method),))).matches

    assert match_.method.WhichOneof("type") == "registered"
    assert type(match_.method).Registered.Name(match_.method.registered) == method.value
    assert not match_.HasField("path")


def test_http_matches() -> None:
    """Each kind of match is the member of its oneof, with the text as written."""
    # inbound 117
    rule = HttpRule(
        (
            HttpRouteMatch(
                PathRegex("/a|b(?i)"),
                headers=(HeaderExact("x-a", b"\xff1"), HeaderExact("x-b", b""), HeaderRegex("x-c", "^.+$")),
                query_params=(QueryParamExact("Q", "1"), QueryParamExact("E", ""), QueryParamRegex("r", "a{2}")),
            ),
            HttpRouteMatch(),
            HttpRouteMatch(PathExact("")),
        )
    )

    assert encoded(only_http_rule(rule)) == golden(
        pb.HttpRoute.Rule,
        '{"matches":[{"path":{"regex":"/a|b(?i)"},"headers":[{"name":"x-a","exact":"/zE="},{"name":"x-b","exact":""},'
        '{"name":"x-c","regex":"^.+$"}],"queryParams":[{"name":"Q","exact":"1"},{"name":"E","exact":""},{"name":"r",'
        '"regex":"a{2}"}]},{},{"path":{"exact":""}}]}',
    )


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (HostExact("*"), '{"exact":"*"}'),
        (HostExact("web.example.com"), '{"exact":"web.example.com"}'),
        (HostSuffix(("com", "example")), '{"suffix":{"reverseLabels":["com","example"]}}'),
        (HostSuffix(()), '{"suffix":{}}'),
    ],
)
def test_hosts(host: HostMatch, expected: str) -> None:
    """A host is exact, or a suffix by its labels from the right."""
    # inbound 118
    message = sent(server(http_routes=(HttpRoute(DefaultRoute("r"), hosts=(host,)),)))

    [sent_host] = message.protocol.http1.routes[0].hosts
    assert json_format.MessageToJson(sent_host, indent=None) == expected.replace(":", ": ").replace(",", ", ")


def test_route_of_a_user() -> None:
    """A user's route is named by group, kind and name; its namespace is the workload's and left out."""
    # inbound 53
    route = HttpRoute(ResourceRoute("policy.linkerd.io", "HTTPRoute", "metrics-route"))

    [message] = to_server(server(http_routes=(route,)), CLUSTER).protocol.http1.routes

    assert encoded(message) == golden(
        pb.HttpRoute,
        '{"metadata":{"resource":{"group":"policy.linkerd.io","kind":"HTTPRoute","name":"metrics-route"}}}',
    )


def test_routes_keep_their_order() -> None:
    """Routes are sent in the order in which the index put them."""
    # inbound 56
    routes = tuple(HttpRoute(ResourceRoute("policy.linkerd.io", "HTTPRoute", name)) for name in ("d", "a", "c", "b"))

    message = sent(server(http_routes=routes))

    assert [route.metadata.resource.name for route in message.protocol.http1.routes] == ["d", "a", "c", "b"]


MODIFIER = HeaderModifier(add=(("a", "1"), ("a", "2")), set=(("s", "é"),), remove=("r",))


def test_request_header_modifier() -> None:
    """A header modifier keeps order and repetition, and values travel as UTF-8."""
    assert encoded(only_filter(RequestHeaderModifier(MODIFIER))) == golden(
        pb.HttpRoute.Filter,
        '{"requestHeaderModifier":{"add":{"headers":[{"name":"a","value":"MQ=="},{"name":"a","value":"Mg=="}]},'
        '"set":{"headers":[{"name":"s","value":"w6k="}]},"remove":["r"]}}',
    )


def test_empty_header_modifier() -> None:
    """The lists of headers to add and to set are there even when they are empty."""
    assert encoded(only_filter(RequestHeaderModifier(HeaderModifier(remove=("r",))))) == golden(
        pb.HttpRoute.Filter, '{"requestHeaderModifier":{"add":{},"set":{},"remove":["r"]}}'
    )


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        (RequestRedirect(), '{"redirect":{"status":200}}'),
        (RequestRedirect(scheme=Scheme.HTTP), '{"redirect":{"scheme":{"registered":"HTTP"},"status":200}}'),
        (
            RequestRedirect(Scheme.HTTPS, "h", ReplaceFullPath("/full"), 8443, 301),
            '{"redirect":{"scheme":{"registered":"HTTPS"},"host":"h","path":{"full":"/full"},"port":8443,"status":301}}',
        ),
        (
            RequestRedirect(path=ReplacePrefixMatch("/p"), status=302),
            '{"redirect":{"path":{"prefix":"/p"},"status":302}}',
        ),
    ],
)
def test_redirects(redirect: RequestRedirect, expected: str) -> None:
    """A redirect sends what the user wrote; without a status it is 200, as upstream's is."""
    # inbound 116
    assert encoded(only_filter(redirect)) == golden(pb.HttpRoute.Filter, expected)


def test_response_header_modifiers_are_left_out() -> None:
    """The inbound API cannot say what to do to responses, so such filters vanish, and those around them stay."""
    # inbound 100
    filters = (ResponseHeaderModifier(MODIFIER), RequestHeaderModifier(MODIFIER), ResponseHeaderModifier(MODIFIER))
    grpc_filters: tuple[GrpcFilter, ...] = filters
    message = sent(
        server(FixedProtocol.GRPC, grpc_routes=(GrpcRoute(DefaultRoute("r"), rules=(GrpcRule((), grpc_filters),)),))
    )

    assert [f.WhichOneof("kind") for f in only_http_rule(HttpRule(filters=filters)).filters] == [
        "request_header_modifier"
    ]
    assert [f.WhichOneof("kind") for f in message.protocol.grpc.routes[0].rules[0].filters] == [
        "request_header_modifier"
    ]


def test_grpc_routes() -> None:
    """A gRPC route has its matches by service and method, hosts and authorizations like an HTTP one."""
    # inbound 100
    matches = (
        GrpcRouteMatch(GrpcMethodMatch("svc", "Do"), headers=(HeaderExact("h", b"v"),)),
        GrpcRouteMatch(GrpcMethodMatch(service="svc")),
        GrpcRouteMatch(),
    )
    route = GrpcRoute(
        ResourceRoute("gateway.networking.k8s.io", "GRPCRoute", "n"),
        hosts=(HostExact("h"),),
        rules=(GrpcRule(matches),),
        authorizations=authorized(AuthorizationPolicyRef("p"), networks=(net("192.0.2.0/24"),)),
    )

    [message] = to_server(server(FixedProtocol.GRPC, grpc_routes=(route,)), CLUSTER).protocol.grpc.routes

    assert encoded(message) == golden(
        pb.GrpcRoute,
        '{"metadata":{"resource":{"group":"gateway.networking.k8s.io","kind":"GRPCRoute","name":"n"}},"hosts":[{"exact":'
        '"h"}],"authorizations":[{"networks":[{"net":{"ip":{"ipv4":3221225984},"prefixLen":24}}],"authentication":'
        '{"unauthenticated":{}},"labels":{"group":"policy.linkerd.io","kind":"authorizationpolicy","name":"p"},'
        '"metadata":{"resource":{"group":"policy.linkerd.io","kind":"authorizationpolicy","name":"p"}}}],"rules":'
        '[{"matches":[{"rpc":{"service":"svc","method":"Do"},"headers":[{"name":"h","exact":"dg=="}]},{"rpc":{"service"'
        ':"svc"}},{}]}]}',
    )
