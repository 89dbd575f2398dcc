"""Rules, filters and parents of routes as a server's side reads them."""

from __future__ import annotations

import pytest

from controller.core import routes as core
from controller.core.inbound import GrpcRule, HttpRule
from controller.index.parse.inbound_routes import RouteForm, parse_inbound_route
from controller.index.parse.invalid import Invalid
from tests.builders import GATEWAY, POLICY, Object, grpc_route, http_route, parent, path, rule

MODIFIER = {
    "add": [{"name": "X-Add", "value": "a"}, {"name": "X-Add", "value": "b"}],
    "set": [{"name": "X-Set", "value": ""}],
    "remove": ["X-Remove", "x-remove"],
}
MODIFIED = core.HeaderModifier((("x-add", "a"), ("x-add", "b")), (("x-set", ""),), ("x-remove", "x-remove"))
REQUEST = {"type": "RequestHeaderModifier", "requestHeaderModifier": MODIFIER}
RESPONSE = {"type": "ResponseHeaderModifier", "responseHeaderModifier": MODIFIER}


def _filters(*filters: Object, group: str = POLICY) -> tuple[core.HttpFilter, ...]:
    (parsed,) = parse_inbound_route(http_route("r", rule(filters=filters), group=group)).route.rules
    assert isinstance(parsed, HttpRule)
    return parsed.filters


def _redirect(**redirect: object) -> core.RequestRedirect:
    (parsed,) = _filters({"type": "RequestRedirect", "requestRedirect": redirect})
    assert isinstance(parsed, core.RequestRedirect)
    return parsed


@pytest.mark.parametrize("group", [POLICY, GATEWAY])
def test_filters_of_http_routes(group: str) -> None:
    """Names of headers become lower case, order and repetition stay."""
    redirect = {"type": "RequestRedirect", "requestRedirect": {"hostname": "h"}}

    assert _filters(REQUEST, RESPONSE, redirect, group=group) == (
        core.RequestHeaderModifier(MODIFIED),
        core.ResponseHeaderModifier(MODIFIED),
        core.RequestRedirect(host="h"),
    )


def test_an_empty_modifier_changes_nothing() -> None:
    """All three lists may be absent."""
    assert _filters({"type": "RequestHeaderModifier", "requestHeaderModifier": {}}) == (
        core.RequestHeaderModifier(core.HeaderModifier()),
    )


def test_linkerds_filters_go_by_their_type() -> None:
    """A part that belongs to another type does not count."""
    both = {**RESPONSE, "requestHeaderModifier": {"remove": ["y"]}}

    assert _filters(both) == (core.ResponseHeaderModifier(MODIFIED),)


def test_gateway_filters_go_by_their_part() -> None:
    """The first part that is there counts, whatever the type says."""
    assert _filters({**RESPONSE, "type": "URLRewrite"}, group=GATEWAY) == (core.ResponseHeaderModifier(MODIFIED),)
    assert _filters({**RESPONSE, **REQUEST}, group=GATEWAY) == (core.RequestHeaderModifier(MODIFIED),)


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "x"}}},
        {"type": "URLRewrite", "urlRewrite": {"hostname": "x"}},
        {"type": "ExtensionRef", "extensionRef": {"group": "g", "kind": "k", "name": "n"}},
        {"type": "RequestHeaderModifier"},
        {"type": "CORS"},
    ],
)
def test_a_filter_that_cannot_be_applied_makes_the_route_invalid(wrong: Object) -> None:
    """Nothing of the route is told rather than a part of it."""
    with pytest.raises(Invalid, match=r"spec\.rules\[0\]\.filters\[0\]\.type"):
        _filters(wrong, group=GATEWAY)


@pytest.mark.parametrize("where", ["add", "set"])
@pytest.mark.parametrize("header", [{"name": "a b", "value": "x"}, {"name": "a", "value": "x\n"}])
def test_a_bad_header_makes_the_route_invalid(where: str, header: Object) -> None:
    """Names and values must be such as HTTP can carry."""
    with pytest.raises(Invalid, match=rf"requestHeaderModifier\.{where}\[0\]"):
        _filters({"type": "RequestHeaderModifier", "requestHeaderModifier": {where: [header]}})


def test_a_bad_name_to_remove_makes_the_route_invalid() -> None:
    """The names of headers to remove are names of headers."""
    with pytest.raises(Invalid, match=r"requestHeaderModifier\.remove\[1\]"):
        _filters({"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["a", ""]}})


# inbound 116
def test_redirects() -> None:
    """All parts may be absent; a port that cannot be is left out; the full path beats the prefix."""
    assert _redirect() == core.RequestRedirect()
    full = {"type": "ReplacePrefixMatch", "replaceFullPath": "/full", "replacePrefixMatch": "/prefix"}
    assert _redirect(scheme="https", hostname="h", port=443, statusCode=301, path=full) == core.RequestRedirect(
        core.Scheme.HTTPS, "h", core.ReplaceFullPath("/full"), 443, 301
    )
    prefix = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/prefix"}
    assert _redirect(scheme="http", path=prefix) == core.RequestRedirect(
        core.Scheme.HTTP, path=core.ReplacePrefixMatch("/prefix")
    )
    assert [_redirect(port=port).port for port in (70_000, 0, 65_535, 1)] == [None, None, 65_535, 1]
    assert [_redirect(statusCode=status).status for status in (100, 999)] == [100, 999]


# inbound 116
@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"statusCode": 99}, "statusCode"),
        ({"statusCode": 1000}, "statusCode"),
        ({"path": {"type": "ReplaceFullPath"}}, "path"),
        ({"path": {"type": "ReplaceFullPath", "replaceFullPath": "x"}}, r"path\.replaceFullPath"),
        ({"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": ""}}, r"path\.replacePrefixMatch"),
    ],
)
def test_a_redirect_to_nowhere_makes_the_route_invalid(wrong: Object, where: str) -> None:
    """A status that cannot be, a path that is none."""
    with pytest.raises(Invalid, match=rf"requestRedirect\.{where}"):
        _redirect(**wrong)


def test_filters_of_grpc_routes() -> None:
    """Headers can be modified, nothing else; the request's part is looked at first."""
    (parsed,) = parse_inbound_route(grpc_route("r", rule(filters=[RESPONSE, {**RESPONSE, **REQUEST}]))).route.rules

    assert parsed == GrpcRule(
        filters=(core.ResponseHeaderModifier(MODIFIED), core.RequestHeaderModifier(MODIFIED)),
    )
    with pytest.raises(Invalid, match=r"filters\[0\]\.type"):
        parse_inbound_route(
            grpc_route(
                "r", rule(filters=[{"type": "ExtensionRef", "extensionRef": {"group": "g", "kind": "k", "name": "n"}}])
            )
        )


def test_what_is_kept_of_a_route() -> None:
    """Where it wants to belong, where it was let in, hosts, rules, and when it was made."""
    form = parse_inbound_route(
        http_route(
            "r",
            rule(),
            rule(path("/a"), path("/b")),
            group=GATEWAY,
            parents=[parent("a"), parent("b"), parent("b")],
            accepted_by=["b", "c"],
            hostnames=["*.example.com", "x"],
            created=None,
        )
    )

    assert form == RouteForm(frozenset("ab"), frozenset("bc"), form.route)
    assert form.servers == {"b"}
    assert form.route.ref == core.ResourceRoute(GATEWAY, "HTTPRoute", "r")
    assert form.route.hosts == (core.HostSuffix(("com", "example")), core.HostExact("x"))
    assert [len(each.matches) for each in form.route.rules] == [0, 2]
    assert form.route.created is None
