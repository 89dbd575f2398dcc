"""Routes and their backends, as a client's side reads them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pytest

from controller.core.outbound import (
    Backend,
    EgressNetworkBackend,
    ForwardRule,
    GrpcRetry,
    GrpcRoute,
    HttpRetry,
    HttpRoute,
    HttpRule,
    InvalidBackend,
    Route,
    ServiceBackend,
    StatusRange,
    TcpRoute,
    Timeouts,
    TlsRoute,
)
from controller.core.routes import (
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
    RequestHeaderModifier,
    RequestRedirect,
    ResourceRoute,
    ResponseHeaderModifier,
    Scheme,
)
from controller.index.parse.annotation_values import MILLISECOND, SECOND
from controller.index.parse.invalid import Invalid
from controller.index.parse.outbound_routes import parse_outbound_route
from tests.destinations import LONG_AGO, ROUTES, Object, decode, egress_ref, route, rule, service_ref

CREATED = dt.datetime.fromisoformat(LONG_AGO)
MODIFIER = {"add": [{"name": "X-Add", "value": "1"}], "set": [{"name": "Set", "value": "ü"}], "remove": ["X-Gone"]}
MODIFIED = HeaderModifier((("x-add", "1"),), (("set", "ü"),), ("x-gone",))
REQUEST = {"type": "RequestHeaderModifier", "requestHeaderModifier": MODIFIER}
RESPONSE = {"type": "ResponseHeaderModifier", "responseHeaderModifier": MODIFIER}
REDIRECT = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 302}}
MIRROR = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "x", "port": 80}}}
REWRITE = {"type": "URLRewrite", "urlRewrite": {"hostname": "x"}}
EXTENSION = {"type": "ExtensionRef", "extensionRef": {"group": "g", "kind": "K", "name": "x"}}

BAD_VALUE = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x", "value": "a\u0001"}]}}


def _redirected(kind: str, **path: str) -> Object:
    return {"type": "RequestRedirect", "requestRedirect": {"path": {"type": kind, **path}}}


def _parse(letter: str, **fields: Any) -> Route:
    resource = decode(route(letter, **fields))
    return parse_outbound_route(resource)  # type: ignore[arg-type]


def _http(letter: str = "G", **fields: Any) -> HttpRoute:
    parsed = _parse(letter, **fields)
    assert isinstance(parsed, HttpRoute)
    return parsed


def _http_rule(letter: str = "G", annotations: dict[str, str] | None = None, **fields: Any) -> HttpRule:
    (parsed,) = _http(letter, rules=[fields], annotations=annotations).rules
    return parsed


def _backend(ref: Object, letter: str = "G") -> Backend[Any]:
    (parsed,) = _parse(letter, backends=[ref]).rules
    (backend,) = parsed.backends
    return backend


@pytest.mark.parametrize("letter", ROUTES)
def test_a_route_of_any_kind_is_known_by_group_kind_namespace_and_name(letter: str) -> None:
    """And by when it was created, which decides its place."""
    parsed = _parse(letter, backends=[service_ref("web", port=80)], namespace="ns-b")
    group, kind = ROUTES[letter]
    assert parsed.ref == ResourceRoute(group, kind, "foo-route", "ns-b")
    assert parsed.created == CREATED
    assert parsed.rules[0].backends == (ServiceBackend("ns-b", "web", 80),)
    assert _parse(letter, created=None).created is None


@pytest.mark.parametrize("letter", "GLRT")
def test_hostnames_are_exact_or_suffixes(letter: str) -> None:
    """A star in front stands for any labels; nothing else does, and case is kept."""
    parsed = _parse(letter, hostnames=["*.example.com", "Example.com", "*"])
    assert not isinstance(parsed, TcpRoute)
    # outbound 210
    assert parsed.hosts == (HostSuffix(("com", "example")), HostExact("Example.com"), HostExact("*"))


def test_http_matches_are_read_one_to_one() -> None:
    """With the defaults of whoever left them out."""
    matches = [
        {"path": {"type": "Exact", "value": "/a"}, "method": "GET"},
        {"path": {"value": "/b"}, "headers": [{"name": "X-A", "value": "1"}]},
        {"path": {"type": "RegularExpression", "value": "a+"}},
        {"headers": [{"type": "RegularExpression", "name": "x", "value": "b+"}]},
        {"queryParams": [{"name": "Q", "value": "1"}, {"type": "RegularExpression", "name": "r", "value": "."}]},
    ]
    assert _http_rule(matches=matches).matches == (
        HttpRouteMatch(PathExact("/a"), method=Method.GET),
        HttpRouteMatch(PathPrefix("/b"), (HeaderExact("x-a", b"1"),)),
        HttpRouteMatch(PathRegex("a+")),
        HttpRouteMatch(headers=(HeaderRegex("x", "b+"),)),
        HttpRouteMatch(query_params=(QueryParamExact("Q", "1"), QueryParamRegex("r", "."))),
    )
    assert _http_rule().matches == ()
    assert _http(rules=[]).rules == ()


@pytest.mark.parametrize(
    "match",
    [
        {"path": {"type": "Exact", "value": "a"}},
        {"path": {"type": "PathPrefix", "value": "foo/bar"}},  # outbound 179
        {"path": {"type": "RegularExpression", "value": "("}},
        {"headers": [{"name": "bad name", "value": "x"}]},
        {"headers": [{"type": "RegularExpression", "name": "x", "value": "(?=x)"}]},
        {"queryParams": [{"type": "RegularExpression", "name": "x", "value": "["}]},
    ],
)
@pytest.mark.parametrize("letter", "GL")
def test_a_wrong_match_spoils_the_route(letter: str, match: Object) -> None:
    """It would match something else, or a proxy would refuse it."""
    with pytest.raises(Invalid, match=r"^spec\.rules\[0\]\.matches\[0\]\."):
        _http(letter, rules=[{"matches": [match]}])


# outbound 218
def test_grpc_matches_are_read_one_to_one() -> None:
    """A method by regular expression spoils the route."""
    matches = [{"method": {"service": "S"}}, {"method": {"type": "Exact", "method": "M"}}, {"headers": []}, {}]
    parsed = _parse("R", rules=[{"matches": matches}])
    assert isinstance(parsed, GrpcRoute)
    assert parsed.rules[0].matches == (
        GrpcRouteMatch(GrpcMethodMatch("S", None)),
        GrpcRouteMatch(GrpcMethodMatch(None, "M")),
        GrpcRouteMatch(),
        GrpcRouteMatch(),
    )
    with pytest.raises(Invalid):
        _parse("R", rules=[{"matches": [{"method": {"type": "RegularExpression", "service": "S"}}]}])


def test_filters_keep_their_order() -> None:
    """Header names are folded, values are not."""
    expected = (RequestHeaderModifier(MODIFIED), RequestRedirect(Scheme.HTTPS, status=302))
    for letter in "GL":
        assert _http_rule(letter, filters=[REQUEST, REDIRECT]).filters == expected
    assert _http_rule("G", filters=[RESPONSE]).filters == (ResponseHeaderModifier(MODIFIED),)
    parsed = _parse("R", rules=[{"filters": [REQUEST, RESPONSE]}])
    assert isinstance(parsed, GrpcRoute)
    assert parsed.rules[0].filters == (RequestHeaderModifier(MODIFIED), ResponseHeaderModifier(MODIFIED))


def test_a_response_modifier_of_a_policy_route_is_one() -> None:
    """Its schema forbids them; where one gets through it is not taken for a request modifier."""
    assert _http_rule("L", filters=[RESPONSE]).filters == (ResponseHeaderModifier(MODIFIED),)


@pytest.mark.parametrize(
    ("letter", "item"),
    [
        ("G", MIRROR),
        ("G", REWRITE),  # outbound 202
        ("G", EXTENSION),
        ("G", {"type": "CORS"}),
        ("G", _redirected("ReplaceFullPath")),
        ("G", {"type": "RequestRedirect", "requestRedirect": {"statusCode": 99}}),
        # outbound 179
        ("G", _redirected("ReplaceFullPath", replaceFullPath="foo/bar")),
        ("L", _redirected("ReplaceFullPath", replaceFullPath="foo/bar")),
        ("G", BAD_VALUE),  # outbound 209
        ("R", MIRROR),
        ("R", EXTENSION),
        ("R", {"type": "RequestHeaderModifier"}),
    ],
)  # fmt: skip
def test_a_wrong_filter_spoils_the_route(letter: str, item: Object) -> None:
    """What cannot be done is not left out in silence."""
    with pytest.raises(Invalid, match=r"^spec\.rules\[0\]\.filters\[0\]"):
        _parse(letter, rules=[{"filters": [item]}])


@pytest.mark.parametrize("letter", ROUTES)
def test_backends_are_services_or_egress_networks(letter: str) -> None:
    """In declared order, with their weights, in the route's own namespace unless they name one."""
    refs = [
        {"name": "a", "port": 80},
        service_ref("b", namespace="ns-b", port=81, weight=0),
        egress_ref("c", weight=5),
        egress_ref("c", namespace="ns-c", port=443),
    ]
    (parsed,) = _parse(letter, backends=refs).rules
    # outbound 207
    assert parsed.backends == (
        ServiceBackend("ns", "a", 80, 1),
        ServiceBackend("ns-b", "b", 81, 0),
        EgressNetworkBackend("ns", "c", None, 5),
        EgressNetworkBackend("ns-c", "c", 443, 1),
    )


@pytest.mark.parametrize("letter", ROUTES)
@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ({"name": "x", "kind": "ConfigMap"}, "unsupported backend type core ConfigMap"),  # outbound 200
        ({"name": "x", "kind": "ConfigMap", "group": ""}, "unsupported backend type  ConfigMap"),
        ({"name": "x", "kind": "Service", "group": "x.example"}, "unsupported backend type x.example Service"),
        ({"name": "x", "group": "x.example"}, "unsupported backend type x.example <empty>"),
        ({"name": "x"}, "missing port for backend Service x"),  # outbound 203
        ({"name": "x", "port": 0}, "missing port for backend Service x"),
        ({"name": "x", "port": 65536}, "missing port for backend Service x"),
    ],
)
def test_a_wrong_backend_is_invalid_by_itself(letter: str, ref: Object, message: str) -> None:
    """The route stands, and traffic that goes there fails with these words."""
    assert _backend({**ref, "weight": 7}, letter) == InvalidBackend(message, 7)


@pytest.mark.parametrize(
    ("letter", "item", "message"),
    [
        ("G", REWRITE, "URLRewrite filter is not supported"),  # outbound 201
        ("G", MIRROR, "RequestMirror filter is not supported"),
        ("L", EXTENSION, "ExtensionRef filter is not supported"),
        ("L", {"type": "ResponseHeaderModifier"}, "unknown filter"),
        ("R", MIRROR, "RequestMirror filter is not supported"),
        ("R", EXTENSION, "ExtensionRef filter is not supported"),
        ("R", {"type": "ResponseHeaderModifier"}, "unknown filter"),
        ("G", {**MIRROR, **REWRITE}, "RequestMirror filter is not supported"),
        ("R", {**RESPONSE, "responseHeaderModifier": {"remove": ["bad name"]}}, "invalid HTTP header name"),
        ("G", {**REQUEST, "requestHeaderModifier": {"remove": ["bad name"]}}, "invalid HTTP header name"),
        # outbound 209
        ("G", BAD_VALUE, "failed to parse header value"),
        (
            "G",
            _redirected("ReplaceFullPath"),
            "RequestRedirect filter must contain either replace_full_path or replace_prefix_match",
        ),
        (
            "L",
            _redirected("ReplacePrefixMatch", replacePrefixMatch='a"b'),
            ("RequestRedirect filters may only contain absolute paths (starting with '/'); "
            r'"a\"b" is not an absolute path'),
        ),
        ("G", {"type": "RequestRedirect", "requestRedirect": {"statusCode": 99}}, "invalid status code"),
    ],
)  # fmt: skip
def test_a_wrong_filter_of_a_backend_spoils_the_backend(letter: str, item: Object, message: str) -> None:
    """Clients get to read why."""
    ref = service_ref("web", port=80, filters=[item], weight=3)
    assert _backend(ref, letter) == InvalidBackend(f"unsupported backend filter: {message}", 3)


# outbound 124
def test_filters_of_backends_go_by_what_they_hold() -> None:
    """In both groups; `type` may say something else."""
    mislabelled = {**REDIRECT, "type": "RequestHeaderModifier"}
    expected = ServiceBackend(
        "ns", "web", 80, 1, (RequestRedirect(Scheme.HTTPS, status=302), RequestHeaderModifier(MODIFIED))
    )
    for letter in "GL":
        assert _backend(service_ref("web", port=80, filters=[mislabelled, REQUEST]), letter) == expected


def test_what_is_wrong_with_a_backend_is_said_in_order() -> None:
    """First its kind, then its filters, then its port."""
    assert _backend({"name": "x", "kind": "X", "filters": [REWRITE]}) == InvalidBackend(
        "unsupported backend type core X"
    )
    reason = "unsupported backend filter: URLRewrite filter is not supported"
    assert _backend({"name": "x", "filters": [REWRITE]}) == InvalidBackend(reason)


def test_a_weight_has_thirty_two_bits() -> None:
    """Schemas keep it from 0 to a million; elsewhere the bits are taken as they are."""
    assert _backend(service_ref("web", port=80, weight=-1)) == ServiceBackend("ns", "web", 80, 2**32 - 1)


@pytest.mark.parametrize(("letter", "kind"), [("T", "TLSRoute"), ("C", "TCPRoute")])
def test_tls_and_tcp_routes_have_one_rule(letter: str, kind: str) -> None:
    """No more, no less."""
    assert _parse(letter).rules == (ForwardRule(()),)
    # outbound 178
    for rules in ([], [rule(letter), rule(letter)]):
        with pytest.raises(Invalid, match=f"{kind} needs to have one rule"):
            _parse(letter, rules=rules)


HTTP_KEYS: Mapping[str, str] = {"retry.linkerd.io/http": "5xx", "timeout.linkerd.io/response": "10s"}


@pytest.mark.parametrize("letter", "GL")
def test_annotations_are_for_every_rule_of_an_http_route(letter: str) -> None:
    """Retries and timeouts; gRPC's are not looked at."""
    parsed = _http(letter, rules=[{}, {}], annotations={**HTTP_KEYS, "retry.linkerd.io/grpc": "bogus"})
    expected = HttpRule(timeouts=Timeouts(response=10 * SECOND), retry=HttpRetry(1, None, (StatusRange(500, 599),)))
    assert parsed.rules == (expected, expected)


def test_annotations_are_for_every_rule_of_a_grpc_route() -> None:
    """Retries and timeouts; HTTP's are not looked at."""
    annotations = {"retry.linkerd.io/limit": "2", "retry.linkerd.io/http": "bogus", "timeout.linkerd.io/idle": "1s"}
    parsed = _parse("R", rules=[{}], annotations=annotations)
    assert isinstance(parsed, GrpcRoute)
    assert (parsed.rules[0].retry, parsed.rules[0].timeouts) == (GrpcRetry(2), Timeouts(idle=SECOND))


@pytest.mark.parametrize(
    ("letter", "key"),
    [(letter, key) for letter in "GL" for key in ("retry.linkerd.io/http", "timeout.linkerd.io/idle")]
    + [("R", key) for key in ("retry.linkerd.io/grpc", "timeout.linkerd.io/idle")],
)
def test_a_wrong_annotation_spoils_the_route(letter: str, key: str) -> None:
    """Unlike that of a Service, which has nothing older to go back to."""
    with pytest.raises(Invalid, match=f"^{key}: "):
        _parse(letter, annotations={key: "bogus"})


@pytest.mark.parametrize("letter", "TC")
def test_annotations_of_tls_and_tcp_routes_are_not_read(letter: str) -> None:
    """There is nothing that could be retried."""
    assert _parse(letter, annotations={"retry.linkerd.io/http": "bogus", "timeout.linkerd.io/idle": "x"}).rules


@pytest.mark.parametrize(
    ("letter", "text", "expected"),
    [
        ("L", "5s", 5 * SECOND),  # outbound 131
        ("G", "5s", 5 * SECOND),  # outbound 132
        ("L", "1h30m", 5_400 * SECOND),
        ("L", "10ns", 10),
        ("L", "-5s", 5 * SECOND),
        ("L", "0s", None),  # outbound 215
        ("G", "0s", None),  # outbound 215
        ("G", "500ms", 500 * MILLISECOND),
        ("G", "1h30m", None),  # outbound 216
        ("G", "100us", None),
        ("G", "1.5s", None),
    ],
)
def test_a_rule_may_have_a_request_timeout(letter: str, text: str, expected: int | None) -> None:
    """Each group in its own syntax; the Gateway API's is read leniently."""
    assert _http_rule(letter, timeouts={"request": text, "backendRequest": "1s"}).timeouts == Timeouts(expected)


def test_an_annotation_counts_more_than_a_rules_own_timeout() -> None:
    """Where it is about the same thing; zero is explicit there."""
    own = {"request": "5s"}
    annotated = _http_rule(annotations={"timeout.linkerd.io/request": "0s"}, timeouts=own)
    assert annotated.timeouts == Timeouts(request=0)
    beside = _http_rule(annotations={"timeout.linkerd.io/idle": "1s"}, timeouts=own)
    assert beside.timeouts == Timeouts(request=5 * SECOND, idle=SECOND)
    assert _http_rule(timeouts={}).timeouts == Timeouts()


def test_a_tls_route_keeps_its_hostnames() -> None:
    """They are what it matches."""
    assert isinstance(_parse("T", hostnames=["a"]), TlsRoute)
