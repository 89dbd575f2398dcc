"""Rules for routes: parents, annotations, matches, filters, timeouts, backends."""

from __future__ import annotations

from typing import Any

import pytest

from .reviews import GATEWAY, POLICY, admitted, ask, denial, warned

SERVER = {"group": POLICY, "kind": "Server", "name": "web"}
SERVICE = {"kind": "Service", "name": "web"}
EGRESS = {"group": POLICY, "kind": "EgressNetwork", "name": "all"}
HTTP_KINDS = (POLICY, GATEWAY)


def http(*rules: Any, parents: Any = (SERVER,)) -> Any:
    return {"parentRefs": list(parents), "rules": list(rules)}


def matching(*matches: Any) -> Any:
    return http({"matches": list(matches)})


def filtering(*filters: Any, parents: Any = ()) -> Any:
    return http({"filters": list(filters)}, parents=parents)


def redirect(**fields: Any) -> Any:
    return {"type": "RequestRedirect", "requestRedirect": fields}


def modifier(kind: str = "request", **fields: Any) -> Any:
    return {"type": f"{kind.capitalize()}HeaderModifier", f"{kind}HeaderModifier": fields}


def backend(**fields: Any) -> Any:
    return http({"backendRefs": [{"name": "web", **fields}]}, parents=())


# Parents


ROUTES = [
    ("HTTPRoute", POLICY, {"rules": []}),  # status 145, 146
    ("HTTPRoute", GATEWAY, {"rules": []}),
    (
        "GRPCRoute",
        GATEWAY,
        {"rules": [{"matches": [{"method": {"type": "Exact", "service": "boo", "method": "foo"}}]}]},
    ),
    (
        "TCPRoute",
        GATEWAY,
        {"rules": [{"backendRefs": [{"name": "a", "group": "policy.linkerd.ip", "kind": "EgressNetwork"}]}]},
    ),
    ("TLSRoute", GATEWAY, {"hostnames": [], "rules": [{"backendRefs": [{"name": "a"}]}]}),
]


@pytest.mark.parametrize(("kind", "group", "spec"), ROUTES)
def test_an_egress_network_takes_routes_for_a_port(kind: str, group: str, spec: Any) -> None:
    """Without a port the route would be followed nowhere."""
    # status 138, 139, 145, 146, 183, 184, 186, 187, outbound 177
    assert admitted(kind, spec | {"parentRefs": [EGRESS | {"port": 555}]}, group=group)
    (finding,) = denial(kind, spec | {"parentRefs": [SERVICE, EGRESS | {"kind": "egressnetwork"}]}, group=group)
    assert finding == "spec.parentRefs[1].port: must be set: EgressNetwork all takes routes per port"
    assert admitted(kind, spec | {"parentRefs": [{"kind": "EgressNetwork", "name": "all"}]}, group=group)


@pytest.mark.parametrize("kind", ["TCPRoute", "TLSRoute"])
def test_forwarding_routes_have_one_rule(kind: str) -> None:  # status 185, 188, outbound 178
    """Neither none nor two."""
    rule = {"backendRefs": [{"name": "a"}]}
    assert admitted(kind, {"hostnames": [], "rules": [rule]})
    for rules in ([], [rule, rule]):
        assert denial(kind, {"hostnames": [], "rules": rules}) == [
            f"spec.rules: {kind} needs to have one rule, not {len(rules)}"
        ]


# Annotations


BAD_ANNOTATIONS = {
    "retry.linkerd.io/limit": "65536",
    "retry.linkerd.io/timeout": "0.5s",  # status 124
    "timeout.linkerd.io/request": "5",  # status 124
    "timeout.linkerd.io/response": "-5s",  # status 124
    "timeout.linkerd.io/idle": "10x",  # status 124
}


@pytest.mark.parametrize(
    ("kind", "group", "own", "other"),
    [
        ("HTTPRoute", POLICY, ("retry.linkerd.io/http", "5xx,700"), ("retry.linkerd.io/grpc", "bogus")),
        ("HTTPRoute", GATEWAY, ("retry.linkerd.io/http", "599-500"), ("retry.linkerd.io/grpc", "bogus")),
        ("GRPCRoute", GATEWAY, ("retry.linkerd.io/grpc", "internal,ok"), ("retry.linkerd.io/http", "bogus")),
    ],
)
def test_annotations_count_for_clients(kind: str, group: str, own: Any, other: Any) -> None:
    """Each is looked at by itself, where a Service or an EgressNetwork is a parent, and only those of the kind."""
    annotations = BAD_ANNOTATIONS | dict([own, other])
    spec = {"parentRefs": [SERVER, SERVICE], "rules": []}

    found = denial(kind, spec, group=group, annotations=annotations)

    paths = {finding.split("]: ")[0] for finding in found if finding.startswith("metadata")}
    assert paths == {f"metadata.annotations[{key}" for key in (*BAD_ANNOTATIONS, own[0])}
    assert admitted(kind, spec | {"parentRefs": [SERVER]}, group=group, annotations=annotations)
    assert admitted(kind, spec, group=group, annotations=dict([other]))


@pytest.mark.parametrize("text", ["10s", "500ms", "5m", "2h", "1d", "0", "0s", "0ms", " 7s "])
def test_durations_of_annotations(text: str) -> None:  # status 123
    """A whole number with a unit."""
    spec = {"parentRefs": [SERVICE], "rules": []}
    for key in ("retry.linkerd.io/timeout", "timeout.linkerd.io/request"):
        assert admitted("HTTPRoute", spec, annotations={key: text})


@pytest.mark.parametrize("text", ["0.5s", "0.0s", "0.5m", "5", "100", "999999999999999999d", "10x", "", "-5s", "-0.5s"])
def test_what_is_no_duration_of_an_annotation(text: str) -> None:  # status 124
    """Fractions, missing and unknown units, signs."""
    finding, *_hint = denial(
        "HTTPRoute", {"parentRefs": [SERVICE], "rules": []}, annotations={"timeout.linkerd.io/idle": text}
    )

    assert finding.startswith("metadata.annotations[timeout.linkerd.io/idle]: ")


# Matches


GOOD_MATCHES = [
    {"path": {"type": "Exact", "value": "/foo"}},  # status 144
    {"path": {"value": "/"}},
    {"path": {"type": "PathPrefix"}},
    {"path": {"type": "RegularExpression", "value": "a{1001}"}},
    {"headers": [{"name": "X-Föö".replace("ö", "o"), "value": "é\tx"}, {"name": "a", "value": ""}]},
    {"headers": [{"name": "a", "type": "RegularExpression", "value": "(?x) a"}]},
    {"queryParams": [{"name": "", "value": "\n"}, {"name": "a", "type": "RegularExpression", "value": "^a"}]},
    {"method": "PATCH"},
    {},
]
BAD_MATCHES = [
    ({"path": {"type": "Exact", "value": "foo/bar"}}, "path.value", "does not begin with a slash"),  # status 147
    ({"path": {"value": ""}}, "path.value", "does not begin with a slash"),
    ({"path": {"type": "RegularExpression", "value": "(?=a)"}}, "path.value", "look-around"),
    ({"path": {"type": "RegularExpression", "value": r"\w{500}"}}, "path.value", "size limit"),
    ({"headers": [{"name": "a:", "value": ""}]}, "headers[0].name", "is not a header name"),
    ({"headers": [{"name": "", "value": ""}]}, "headers[0].name", "is not a header name"),
    ({"headers": [{"name": "a", "value": "a\nb"}]}, "headers[0].value", "is not a header value"),
    ({"headers": [{"name": "a", "type": "RegularExpression", "value": "("}]}, "headers[0].value", "unclosed group"),
    ({"queryParams": [{"name": "a", "type": "RegularExpression", "value": "*"}]}, "queryParams[0].value", "repetition"),
]


@pytest.mark.parametrize("group", HTTP_KINDS)
@pytest.mark.parametrize("match", GOOD_MATCHES)
def test_an_http_route_may_match(match: Any, group: str) -> None:  # status 149
    """Paths from the root, header names that are tokens, patterns of the proxy's own engine."""
    assert admitted("HTTPRoute", matching({}, match), group=group)


@pytest.mark.parametrize("group", HTTP_KINDS)
@pytest.mark.parametrize(("match", "where", "why"), BAD_MATCHES)
def test_an_http_route_may_not_match(match: Any, where: str, why: str, group: str) -> None:
    """What no request can have, or no proxy can compile."""  # status 147, 156, outbound 179, inbound 88
    (finding,) = denial("HTTPRoute", matching({}, match), group=group)

    assert finding.startswith(f"spec.rules[0].matches[1].{where}: ")
    assert why in finding


def test_patterns_that_the_proxy_cannot_compile_are_explained_in_a_line() -> None:
    """However long they are."""
    (finding,) = denial("HTTPRoute", matching({"path": {"type": "RegularExpression", "value": "a" * 200 + "("}}))

    assert finding.endswith("' is not a regular expression: unclosed group")
    assert len(finding) < 200


def test_a_grpc_route_may_match() -> None:
    """Methods exactly or any, headers as HTTP routes do."""
    good = [
        {},
        {"method": {}},
        {"method": {"type": "Exact", "service": ""}},
        {"headers": [{"name": "a", "value": "b"}]},
    ]
    bad = [{"method": {"type": "RegularExpression", "service": "a"}}, {"headers": [{"name": "", "value": "\r"}]}]

    assert admitted("GRPCRoute", matching(*good))
    assert [finding.partition(": ")[0] for finding in denial("GRPCRoute", matching(*bad))] == [
        "spec.rules[0].matches[0].method.type",
        "spec.rules[0].matches[1].headers[0].name",
    ]


# Filters


GOOD_FILTERS = [
    modifier(add=[{"name": "a", "value": ""}], set=[{"name": "b", "value": "é"}], remove=["c"]),
    modifier("response", remove=None),
    redirect(),
    redirect(path={"type": "ReplaceFullPath", "replaceFullPath": "/", "replacePrefixMatch": "foo"}),
    redirect(path={"type": "ReplaceFullPath", "replacePrefixMatch": "/foo"}, port=-1, statusCode=999),
    redirect(scheme="https", hostname="any thing", statusCode=100),
]
BAD_FILTERS = [
    (  # status 148
        redirect(path={"type": "ReplaceFullPath", "replaceFullPath": "foo/bar"}),
        ["requestRedirect.path.replaceFullPath: 'foo/bar' does not begin with a slash"],
    ),
    (
        redirect(path={"type": "ReplacePrefixMatch", "replacePrefixMatch": ""}, statusCode=1000),
        [
            "requestRedirect.path.replacePrefixMatch: '' does not begin with a slash",
            "requestRedirect.statusCode: 1000 is not a status code",
        ],
    ),
    (
        redirect(path={"type": "ReplaceFullPath"}),
        ["requestRedirect.path: needs replaceFullPath or replacePrefixMatch"],
    ),
    (redirect(statusCode=99), ["requestRedirect.statusCode: 99 is not a status code"]),
    (
        modifier(add=[{"name": "a b", "value": "\x00"}], set=[{"name": "c", "value": "\x7f"}], remove=["d", "é"]),
        [
            "requestHeaderModifier.add[0].name: 'a b' is not a header name",
            r"requestHeaderModifier.add[0].value: '\x00' is not a header value",
            r"requestHeaderModifier.set[0].value: '\x7f' is not a header value",
            "requestHeaderModifier.remove[1]: 'é' is not a header name",
        ],
    ),
    (modifier("response", remove=[""]), ["responseHeaderModifier.remove[0]: '' is not a header name"]),
]


@pytest.mark.parametrize("group", HTTP_KINDS)
@pytest.mark.parametrize("item", GOOD_FILTERS)
def test_an_http_route_may_filter(item: Any, group: str) -> None:
    """The whole path wins over the prefix, a port that cannot be is left out."""
    assert admitted("HTTPRoute", filtering(item), group=group)


@pytest.mark.parametrize("group", HTTP_KINDS)
@pytest.mark.parametrize(("item", "findings"), BAD_FILTERS)
def test_an_http_route_may_not_filter(item: Any, findings: list[str], group: str) -> None:
    """All that is wrong with it is found."""  # status 148, 157, outbound 179, inbound 88
    assert denial("HTTPRoute", filtering(item), group=group) == [f"spec.rules[0].filters[0].{f}" for f in findings]


def test_policy_routes_know_three_filters_each_with_its_part() -> None:
    """Of the parts only the one that the type names is judged."""
    extra = redirect() | {"requestHeaderModifier": {"remove": [""]}}

    assert admitted("HTTPRoute", filtering(extra))
    for kind in ("RequestMirror", "URLRewrite", "ExtensionRef"):
        (finding,) = denial("HTTPRoute", filtering({"type": kind}))
        assert finding.startswith("spec.rules[0].filters[0].type: ")
    (finding,) = denial("HTTPRoute", filtering({"type": "RequestRedirect", "requestHeaderModifier": {}}))
    assert finding == "spec.rules[0].filters[0]: a filter of type RequestRedirect needs its part"


def test_gateway_routes_have_every_part_judged() -> None:
    """Whatever the type says."""
    extra = redirect() | {"requestHeaderModifier": {"remove": [""]}}

    assert denial("HTTPRoute", filtering(extra), group=GATEWAY) == [
        "spec.rules[0].filters[0].requestHeaderModifier.remove[0]: '' is not a header name"
    ]


def test_a_grpc_route_may_modify_headers() -> None:
    """Of requests and of responses."""
    assert admitted("GRPCRoute", filtering(modifier(remove=["a"]), modifier("response", set=[])))
    assert denial("GRPCRoute", filtering(modifier(remove=[""]), modifier("response", remove=[""]))) == [
        "spec.rules[0].filters[0].requestHeaderModifier.remove[0]: '' is not a header name",
        "spec.rules[0].filters[1].responseHeaderModifier.remove[0]: '' is not a header name",
    ]


@pytest.mark.parametrize("parents", [[], [SERVICE], [SERVER]])
@pytest.mark.parametrize(
    "item",
    [
        {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "a", "port": 80}}},  # status 150
        {"type": "URLRewrite", "urlRewrite": {"hostname": "a"}},  # status 151
        {"type": "ExtensionRef", "extensionRef": {"group": "a", "kind": "b", "name": "c"}},  # status 152
    ],
)
def test_filters_of_other_implementations_are_let_in(item: Any, parents: Any) -> None:  # inbound 88, outbound 180
    """Whoever attaches such a route to something of Linkerd's is told that it is not followed."""
    told = warned("HTTPRoute", filtering(item, parents=parents), group=GATEWAY)

    assert len(told) == (1 if parents else 0)
    assert all(text.startswith("spec.rules[0].filters[0].type: ") and "not followed" in text for text in told)


# Timeouts


@pytest.mark.parametrize(
    "timeouts",
    [
        {"request": "10s", "backendRequest": "10s"},
        {"request": "1h", "backendRequest": "59m60s"},
        {"request": "", "backendRequest": "0"},
        {"request": "+5s"},
        {"backendRequest": "1m"},
        {"request": "5s0"},
        {},
    ],
)
def test_a_policy_route_may_have_timeouts(timeouts: Any) -> None:
    """For one attempt at most as long as for all."""
    assert admitted("HTTPRoute", http({"timeouts": timeouts}))


@pytest.mark.parametrize(
    ("timeouts", "findings"),
    [
        ({"request": "-5s"}, ["request: '-5s' must not be negative"]),
        (
            {"request": "-0", "backendRequest": "-1s"},
            [
                "request: '-0' must not be negative",
                "backendRequest: '-1s' must not be negative",
                "backendRequest: -1s is longer than timeouts.request, -0",
            ],
        ),
        ({"request": "1s", "backendRequest": "1.5s"}, ["backendRequest: 1.5s is longer than timeouts.request, 1s"]),
        ({"request": "-10s", "backendRequest": "5s"}, ["request: '-10s' must not be negative"]),
    ],
)
def test_a_policy_route_may_not_have_timeouts(timeouts: Any, findings: list[str]) -> None:
    """Negative ones, or a longer one for a part."""
    assert denial("HTTPRoute", http({}, {"timeouts": timeouts})) == [f"spec.rules[1].timeouts.{f}" for f in findings]


@pytest.mark.parametrize("text", ["1", "1d", "1s-1s", "1x", "s", "1 s", "99999999999999999999h"])
def test_what_is_no_go_duration_is_denied(text: str) -> None:
    """A policy route is read strictly; upstream crashes over some of these."""
    (finding,) = denial("HTTPRoute", http({"timeouts": {"request": text}}))

    assert finding.startswith(f"spec.rules[0].timeouts: duration {text!r}")


def test_gateway_timeouts_that_are_not_understood_are_told() -> None:
    """They are let in; where Linkerd would use them, and no annotation does instead, it says that it does not."""
    spec = http({"timeouts": {"request": "1h30m", "backendRequest": "1.5s"}}, parents=[SERVICE])

    (told,) = warned("HTTPRoute", spec, group=GATEWAY)
    assert told.startswith("spec.rules[0].timeouts.request: ")
    assert told.endswith("there is no timeout")
    assert admitted("HTTPRoute", spec, group=GATEWAY, annotations={"timeout.linkerd.io/request": "5s"})
    assert admitted("HTTPRoute", spec | {"parentRefs": [SERVER]}, group=GATEWAY)
    assert admitted("HTTPRoute", http({"timeouts": {"request": "90m"}}, {}, parents=[SERVICE]), group=GATEWAY)


# Backends


@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute"])
@pytest.mark.parametrize(
    "fields",
    [
        {"group": "alien.example.com", "kind": "ExoService"},  # status 153, outbound 181
        {"group": "core", "kind": "Service", "port": 8080},  # status 154, outbound 182
        {"port": 8080},  # status 155, outbound 182
        {"group": "", "kind": "Service", "port": 65536},
        {"kind": "service"},
        {"group": "Core", "kind": "Service"},
        {"group": POLICY, "kind": "EgressNetwork"},
    ],
)
def test_a_backend_may_be(kind: str, fields: Any) -> None:
    """A Service with a port, or whatever else; the exact name alone makes it a Service."""
    assert admitted(kind, backend(**fields), group=GATEWAY)


@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute"])
@pytest.mark.parametrize(
    "fields",
    [
        {"group": "core", "kind": "Service"},  # status 158, outbound 182
        {},  # status 159, outbound 182
        {"group": "", "port": None},
        {"kind": "Service", "port": 0},
    ],
)
def test_a_service_backend_needs_a_port(kind: str, fields: Any) -> None:  # inbound 88
    """Whether it is named as a Service or not at all."""
    assert denial(kind, backend(**fields), group=GATEWAY) == [
        "spec.rules[0].backendRefs[0].port: must be set: web is a Service"
    ]


def test_backends_of_policy_routes_are_not_judged() -> None:
    """Upstream does not; one without a port fails the requests that it gets."""
    assert admitted("HTTPRoute", backend())


@pytest.mark.parametrize(
    ("kind", "group", "item"),
    [
        ("HTTPRoute", POLICY, {"type": "URLRewrite", "urlRewrite": {}}),
        ("HTTPRoute", GATEWAY, {"type": "URLRewrite", "urlRewrite": {}}),
        ("GRPCRoute", GATEWAY, {"type": "ExtensionRef"}),
        ("HTTPRoute", GATEWAY, modifier(remove=[""])),
    ],
)
def test_backends_that_fail_are_told(kind: str, group: str, item: Any) -> None:
    """A filter that cannot be had makes its backend fail requests."""
    spec = backend(port=80, filters=[modifier(), item]) | {"parentRefs": [SERVICE]}

    (told,) = warned(kind, spec, group=group)
    assert told.startswith("spec.rules[0].backendRefs[0].filters[1].")
    assert told.endswith("requests that go to this backend fail")


@pytest.mark.parametrize(("kind", "group"), [("HTTPRoute", POLICY), ("HTTPRoute", GATEWAY), ("GRPCRoute", GATEWAY)])
@pytest.mark.parametrize("field", [("namespace", "other"), ("port", 80), ("sectionName", "a")])
def test_parents_that_are_not_followed_are_told(kind: str, group: str, field: tuple[str, Any]) -> None:
    """A Server takes routes of its own namespace for its own port."""
    parents = [SERVER, SERVER | dict([field])]

    (told,) = warned(kind, http(parents=parents), group=group)
    assert told.startswith(f"spec.parentRefs[1].{field[0]}: ")
    assert "no Server follows this route" in told


def test_grpc_filters_that_are_not_supported_are_told() -> None:
    """As those of HTTP routes."""
    item = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "a"}}}

    (told,) = warned("GRPCRoute", filtering(item, parents=[SERVICE]))
    assert told.startswith("spec.rules[0].filters[0].type: ")
    assert admitted("GRPCRoute", filtering(item))


# Reading


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("TLSRoute", {"rules": [{"backendRefs": []}, {"backendRefs": []}]}),  # no hostnames
        ("TLSRoute", {"hostnames": [], "rules": [{}]}),
        ("TCPRoute", {"rules": "none"}),
        ("GRPCRoute", None),
        ("HTTPRoute", {"rules": [{"filters": [{"type": "NewFilter"}]}]}),
        ("HTTPRoute", {"parentRefs": 7}),
    ],
)
def test_gateway_routes_that_cannot_be_read_are_let_in(kind: str, spec: Any) -> None:
    """They may be for somebody who can read them; a log says so."""
    verdict = ask(kind, spec, group=GATEWAY)

    assert verdict.allowed
    assert verdict.unread is not None
    assert verdict.unread.startswith("spec")
    assert verdict.denial is None
    assert warned(kind, spec, group=GATEWAY) == []


@pytest.mark.parametrize("parent", [SERVICE, EGRESS, SERVER, SERVER | {"kind": "SERVER"}])
def test_a_gateway_route_for_linkerd_that_cannot_be_read_is_told(parent: Any) -> None:
    """Its author counts on us."""
    spec = {"parentRefs": [{"kind": "Gateway", "name": "a", "group": GATEWAY}, parent], "rules": 7}

    (told,) = warned("HTTPRoute", spec, group=GATEWAY)
    assert told == "spec.rules: Expected a list, got an integer: Linkerd cannot read this route"
    assert warned("HTTPRoute", spec, group=GATEWAY, operation="DELETE") == []


@pytest.mark.parametrize("kind", ["AuthorizationPolicy", "EgressNetwork", "HTTPRoute", "Server"])
@pytest.mark.parametrize("spec", [None, 7, "x", []])
def test_kinds_of_linkerd_that_cannot_be_read_are_denied(kind: str, spec: Any) -> None:
    """There is nobody else who could."""
    (finding,) = denial(kind, spec)

    assert finding.startswith("spec: Expected an object, got ")
