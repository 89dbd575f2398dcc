"""What the demo reads off messages."""

from __future__ import annotations

import pytest
from google.protobuf import text_format

from controller.cli.demo.outbound_rows import outbound_rows
from controller.cli.demo.rows import Row, inbound_rows
from controller.grpc.gen.linkerd import inbound_pb2, outbound_pb2

SERVER = 'labels {key: "kind" value: "server"} labels {key: "name" value: "s"}'
EVERYWHERE = "networks {net {ip {ipv4: 0}}} networks {net {ip {ipv6 {}}}}"
WEB = "web.shop.serviceaccount.identity.linkerd.cluster.local"
POLICY = 'metadata {resource {kind: "authorizationpolicy" name: "p"}}'
NOBODY = Row("may call", "nobody", "no policy lets anybody in")


def inbound(text: str) -> tuple[Row, ...]:
    return inbound_rows(text_format.Parse(f"{SERVER} {text}", inbound_pb2.Server()))


def outbound(protocol: str) -> list[Row]:
    """The rows behind the one that names the target."""
    target = 'metadata {resource {kind: "Service" name: "s" namespace: "n" port: 80}}'
    first, *others = outbound_rows(
        text_format.Parse(f"{target} protocol {{ {protocol} }}", outbound_pb2.OutboundPolicy())
    )
    assert first == Row("target", "Service n/s, port 80")
    return others


def caller(authentication: str, networks: str = EVERYWHERE) -> str:
    """Who may call, in words."""
    [_, row] = inbound(
        f"protocol {{ http2 {{}} }} authorizations {{ {networks} authentication {{ {authentication} }} {POLICY} }}"
    )
    assert (row.what, row.why) == ("may call", "AuthorizationPolicy p")
    return row.value


@pytest.mark.parametrize(
    ("protocol", "value"),
    [
        ("detect { timeout { seconds: 10 } }", "found out from the first bytes (10 s at most)"),
        ("detect { timeout { nanos: 500000000 } }", "found out from the first bytes (500 ms at most)"),
        ("http1 {}", "HTTP/1"),
        ("http2 {}", "HTTP/2"),
        ("grpc {}", "gRPC"),
        ("opaque {}", "opaque"),
        ("tls {}", "TLS"),
    ],
)
def test_every_protocol_has_a_name(protocol: str, value: str) -> None:
    """Beside it stands the Server, which decided it."""
    assert inbound(f"protocol {{ {protocol} }}") == (Row("protocol", value, "Server s"), NOBODY)


@pytest.mark.parametrize(
    ("authentication", "who"),
    [
        ("unauthenticated {}", "anybody"),
        ("meshTLS { unauthenticated {} }", "anybody with TLS"),
        ("meshTLS { identities { suffixes {} } }", "anybody in the mesh"),
        ("meshTLS { identities { suffixes { parts: 'a' parts: 'b' } } }", "*.a.b"),
        (
            f"meshTLS {{ identities {{ identities {{ name: '{WEB}' }} identities {{ name: 'else' }} }} }}",
            "web of shop, else",
        ),
    ],
)
def test_who_may_call(authentication: str, who: str) -> None:
    """Service accounts are named as people name them, anything else as it is."""
    assert caller(authentication) == who


def test_from_where() -> None:
    """Networks are named unless they are everything."""
    private = "networks {net {ip {ipv4: 167772160} prefix_len: 8}}"

    assert caller("unauthenticated {}", private) == "anybody from 10.0.0.0/8"
    assert caller("unauthenticated {}", private + EVERYWHERE) == "anybody from 10.0.0.0/8, 0.0.0.0/0, ::/0"


def test_routes_and_their_own_callers() -> None:
    """The default route goes without saying; others have their object, and who may call beside the Server's callers."""
    rows = inbound(
        "protocol { http1 { routes { metadata {default: 'default'} }"
        " routes { metadata {resource {kind: 'HTTPRoute' name: 'r'}}"
        "  rules { matches { path {exact: '/a'} method {registered: GET} } matches { path {prefix: '/b/'} } }"
        "  rules { matches { path {regex: '/c+'} method {unregistered: 'BREW'} } }"
        f"  authorizations {{ {EVERYWHERE} authentication {{ unauthenticated {{}} }} metadata {{default: 'probe'}} }}"
        " } } }"
    )

    assert rows[2:] == (
        Row("route", "GET /a, /b/*, BREW ~/c+", "HTTPRoute r"),
        Row("  also", "anybody", "default policy probe"),
    )


def test_calls() -> None:
    """Routes of gRPC name service and method."""
    rows = inbound(
        "protocol { grpc { routes { metadata {resource {kind: 'GRPCRoute' name: 'r'}}"
        " rules { matches { rpc {service: 'a.B' method: 'C'} } matches { rpc {service: 'a.B'} } } } } }"
    )

    assert rows[2:] == (Row("route", "a.B/C, a.B/*", "GRPCRoute r"),)


@pytest.mark.parametrize(
    "holder", ["detect { http_local_rate_limit", "http1 { local_rate_limit", "http2 { local_rate_limit"]
)
def test_limits(holder: str) -> None:
    """How many requests, of whom, and which object says so."""
    rows = inbound(
        f"protocol {{ {holder} {{ metadata {{resource {{kind: 'httplocalratelimitpolicy' name: 'l'}}}}"
        " total {requestsPerSecond: 9} identity {requestsPerSecond: 8}"
        " overrides {limit {requestsPerSecond: 7} clients {identities {name: 'x'}}} } } }"
    )

    assert [(row.what, row.value, row.why) for row in rows[2:]] == [
        ("limit", "9 requests/s in all", "HTTPLocalRateLimitPolicy l"),
        ("limit", "8 requests/s of a client", "HTTPLocalRateLimitPolicy l"),
        ("limit", "7 requests/s of x", "HTTPLocalRateLimitPolicy l"),
    ]


def to(name: str, kind: str = "balancer {}") -> str:
    """A backend of a route."""
    return f"backend {{ metadata {{resource {{kind: 'Service' name: '{name}' port: 1}}}} {kind} }}"


def weighted(*backends: tuple[str, int]) -> str:
    """A distribution by weight."""
    listed = " ".join(f"backends {{ backend {{ {to(name)} }} weight: {weight} }}" for name, weight in backends)
    return f"backends {{ random_available {{ {listed} }} }}"


ROUTE = "metadata {resource {kind: 'HTTPRoute' name: 'r' namespace: 'n'}}"
DEFAULT = "metadata {default: 'd'}"
FORWARD = to("e", "forward { addr { ip {ipv4: 16909060} port: 5 } }")
FAILING = "filters { failure_injector { status: 500 } }"
FORBIDDEN = "rules { filters { forbidden {} } }"
REFUSED = f"{DEFAULT} {FORBIDDEN}"
SNIS = "snis {exact: 'a.b'} snis {suffix {reverse_labels: 'c' reverse_labels: 'd'}}"
FIRST = f"backends {{ first_available {{ backends {{ {to('a')} }} }} }}"
TO_FIRST = f"rules {{ matches {{ path {{prefix: '/'}} }} {FIRST} }}"


@pytest.mark.parametrize(
    ("rule", "fate"),
    [
        (FIRST, "a:1"),
        (weighted(("a", 1)), "a:1"),
        (weighted(("a", 1), ("b", 3)), "25 % to a:1, 75 % to b:1"),
        (f"backends {{ first_available {{ backends {{ {FORWARD} }} }} }}", "1.2.3.4:5"),
        ("backends { empty {} }", "nowhere"),
        (FAILING, "refused with 500"),
        (f"filters {{ request_header_modifier {{}} }} {FIRST}", "a:1"),
        (
            f"backends {{ first_available {{ backends {{ {to('a')} {FAILING} }} }} }}",
            "refused with 500",
        ),
    ],
)
def test_where_requests_go(rule: str, fate: str) -> None:
    """To backends by share, or nowhere, or they are refused."""
    rows = outbound(f"http1 {{ routes {{ {ROUTE} rules {{ matches {{ path {{prefix: '/'}} }} {rule} }} }} }}")

    assert rows == [Row("HTTP/1", f"/* → {fate}", "HTTPRoute n/r")]


def test_how_long_and_how_often() -> None:
    """Timeouts and retries are rows below their route's."""
    rows = outbound(
        f"http2 {{ routes {{ {ROUTE} rules {{ matches {{ path {{exact: '/a'}} }} {FIRST}"
        " timeouts { request {seconds: 2} response {nanos: 1000000} idle {seconds: 90} } retry {max_retries: 3} } } }"
    )

    assert [(row.what, row.value) for row in rows] == [
        ("HTTP/2", "/a → a:1"),
        ("  timeout", "2 s for a request"),
        ("  timeout", "1 ms for a response"),
        ("  timeout", "90 s for silence"),
        ("  retries", "3 at most"),
    ]


@pytest.mark.parametrize(
    ("protocol", "rows"),
    [
        (
            f"detect {{ http1 {{ routes {{ {DEFAULT} {TO_FIRST} }} }} opaque {{ routes {{ {REFUSED} }} }} }}",
            [Row("HTTP", "/* → a:1", "default route d"), Row("other TCP", "→ refused", "default route d")],
        ),
        (
            f"opaque {{ routes {{ {DEFAULT} rules {{ filters {{ invalid {{}} }} }} }} }}",
            [Row("TCP", "→ fails", "default route d")],
        ),
        (
            f"grpc {{ routes {{ {DEFAULT} rules {{ matches {{ rpc {{service: 'a.B'}} }} {FIRST} }} }} }}",
            [Row("gRPC", "a.B/* → a:1", "default route d")],
        ),
        (
            f"tls {{ routes {{ {DEFAULT} {SNIS} rules {{ {FIRST} }} }} routes {{ {DEFAULT} {FORBIDDEN} }} }}",
            [Row("TLS", "a.b, *.d.c → a:1", "default route d"), Row("TLS", "any name → refused", "default route d")],
        ),
        ("", [Row("protocol", "none that is known here")]),
    ],
    ids=["detect", "opaque", "grpc", "tls", "none"],
)
def test_every_protocol_is_read(protocol: str, rows: list[Row]) -> None:
    """Each with its routes and what decided them."""
    assert outbound(protocol) == rows
