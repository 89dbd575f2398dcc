"""The parts of the policies of one namespace, kept by what they apply to.

Putting a policy together looks at no part but its own, and every change names the Servers that it concerns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar, assert_never

import attrs

from controller.core.inbound import (
    AuthorizationPolicyRef,
    Authorizations,
    ClientAuthorization,
    GrpcRoute,
    HttpRoute,
    RateLimit,
    ServerAuthorizationRef,
)
from controller.core.routes import ResourceRoute, RouteRef
from controller.index.inbound.authentications import Authentications, PolicyEntry
from controller.index.inbound.cells import ServerEntry
from controller.index.inbound.multimap import Multimap
from controller.index.parse.authorizations import (
    EVERY_SERVER,
    AuthorizationPolicyForm,
    NamespaceTarget,
    PolicyTarget,
    RouteTarget,
    ServerAuthorizationForm,
    ServerTarget,
)
from controller.index.parse.inbound_routes import InboundRoute, RouteForm
from controller.index.parse.precedence import age
from controller.index.parse.rate_limits import RateLimitForm
from controller.index.parse.servers import ServerForm
from controller.k8s.meta import ObjectKey

AnyRoute = TypeVar("AnyRoute", HttpRoute, GrpcRoute)


@attrs.define(eq=False)
class Parts:
    """Authorizations, routes and limits.

    Each `put_` sets or, with `None`, removes, and returns the names of the Servers concerned.
    """

    _servers: Mapping[str, ServerEntry]
    _authentications: Authentications

    server_authorizations: dict[str, ServerAuthorizationForm] = attrs.field(
        factory=dict[str, ServerAuthorizationForm], init=False
    )
    # Those that name a Server under its name, those that select by labels under `None`.
    _grants: Multimap[str | None, str, ServerAuthorizationForm] = attrs.field(
        factory=Multimap[str | None, str, ServerAuthorizationForm], init=False
    )

    authorization_policies: dict[str, PolicyEntry] = attrs.field(factory=dict[str, PolicyEntry], init=False)
    _policies: Multimap[PolicyTarget, str, PolicyEntry] = attrs.field(
        factory=Multimap[PolicyTarget, str, PolicyEntry], init=False
    )

    rate_limits: dict[str, RateLimitForm] = attrs.field(factory=dict[str, RateLimitForm], init=False)
    _limits: Multimap[str, str, RateLimitForm] = attrs.field(factory=Multimap[str, str, RateLimitForm], init=False)

    routes: dict[RouteTarget, RouteForm] = attrs.field(factory=dict[RouteTarget, RouteForm], init=False)
    _routes: Multimap[str, RouteTarget, InboundRoute] = attrs.field(
        factory=Multimap[str, RouteTarget, InboundRoute], init=False
    )

    def put_server_authorization(self, name: str, form: ServerAuthorizationForm | None) -> Iterable[str]:
        before = self.server_authorizations.pop(name, None)
        if before is not None:
            self._grants.discard(_server_name(before), name)
        if form is not None:
            self.server_authorizations[name] = form
            self._grants.put(_server_name(form), name, form)
        return () if before == form else (*self._granted(before), *self._granted(form))

    def _granted(self, form: ServerAuthorizationForm | None) -> Iterable[str]:
        """The Servers to which a ServerAuthorization lets somebody."""
        if form is None:
            return ()
        servers = form.servers
        if isinstance(servers, str):
            return (servers,)
        return [name for name, entry in self._servers.items() if servers.matches(entry.form.labels)]

    def put_authorization_policy(self, key: ObjectKey, form: AuthorizationPolicyForm | None) -> Iterable[str]:
        before = self.authorization_policies.get(key.name)
        if before is not None:
            if before.form == form:
                return ()
            del self.authorization_policies[key.name]
            self._policies.discard(before.form.target, key.name)
            self._authentications.remove_policy(before)
        if form is not None:
            entry = self.authorization_policies[key.name] = PolicyEntry(key, form)
            self._policies.put(form.target, key.name, entry)
            self._authentications.add_policy(entry)
        return (*(self.targeted(before.form) if before else ()), *(self.targeted(form) if form else ()))

    def targeted(self, form: AuthorizationPolicyForm) -> Iterable[str]:
        """The Servers whose policies an AuthorizationPolicy is a part of."""
        match form.target:
            case ServerTarget(name):
                return (name,)
            case NamespaceTarget():
                return self._servers.keys()
            case RouteTarget() as target:
                route = self.routes.get(target)
                return route.servers if route else ()
            case _:
                assert_never(form.target)

    def put_rate_limit(self, name: str, form: RateLimitForm | None) -> Iterable[str]:
        before = self.rate_limits.pop(name, None)
        if before is not None:
            self._limits.discard(before.server, name)
        if form is not None:
            self.rate_limits[name] = form
            if form.accepted:
                self._limits.put(form.server, name, form)
        return () if before == form else [limit.server for limit in (before, form) if limit and limit.accepted]

    def put_route(self, target: RouteTarget, form: RouteForm | None) -> Iterable[str]:
        before = self.routes.pop(target, None)
        if before is not None:
            for server in before.servers:
                self._routes.discard(server, target)
        if form is not None:
            self.routes[target] = form
            for server in form.servers:
                self._routes.put(server, target, form.route)
        return () if before == form else (*(before.servers if before else ()), *(form.servers if form else ()))

    # What a Server is made of

    def authorizations_of(self, server: ServerForm) -> Authorizations:
        """Who may call a Server, besides what its access policy grants."""
        grants = {
            **self._grants.of(server.name),
            **{name: form for name, form in self._grants.of(None).items() if _selects(form, server)},
        }
        policies = {**self._policies.of(ServerTarget(server.name)), **self._policies.of(EVERY_SERVER)}
        return (
            *((ServerAuthorizationRef(name), grants[name].authorization) for name in sorted(grants)),
            *_granted_by(policies),
        )

    def rate_limit_of(self, server: str) -> RateLimit | None:
        limits = self._limits.of(server).values()
        return min(limits, key=lambda form: form.precedence).limit if limits else None

    def http_routes_of(self, server: str) -> tuple[HttpRoute, ...]:
        return self._authorized(route for route in self._routes.of(server).values() if isinstance(route, HttpRoute))

    def grpc_routes_of(self, server: str) -> tuple[GrpcRoute, ...]:
        return self._authorized(route for route in self._routes.of(server).values() if isinstance(route, GrpcRoute))

    def _authorized(self, routes: Iterable[AnyRoute]) -> tuple[AnyRoute, ...]:
        """Routes in the order in which the proxy tries them, with those who may use them."""
        return tuple([self._authorize(route) for route in sorted(routes, key=_precedence)])

    def _authorize(self, route: AnyRoute) -> AnyRoute:
        policies = self._policies.of(route_target(route.ref))
        return attrs.evolve(route, authorizations=tuple(_granted_by(policies))) if policies else route


def route_target(ref: RouteRef) -> RouteTarget:
    """How policies refer to a route that somebody wrote."""
    assert isinstance(ref, ResourceRoute)
    return RouteTarget.of(ref.group, ref.kind, ref.name)


def _precedence(route: HttpRoute | GrpcRoute) -> tuple[object, ...]:
    assert isinstance(route.ref, ResourceRoute)
    return (*age(route.created), route.ref.name, route.ref.group, route.ref.kind)


def _granted_by(policies: Mapping[str, PolicyEntry]) -> Iterable[tuple[AuthorizationPolicyRef, ClientAuthorization]]:
    for name in sorted(policies):
        grant = policies[name].grant
        if grant is not None:
            yield AuthorizationPolicyRef(name), grant


def _server_name(form: ServerAuthorizationForm) -> str | None:
    return form.servers if isinstance(form.servers, str) else None


def _selects(form: ServerAuthorizationForm, server: ServerForm) -> bool:
    return not isinstance(form.servers, str) and form.servers.matches(server.labels)
