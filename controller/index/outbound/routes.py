"""The routes that are attached somewhere, by parent and by backend."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, assert_never

import attrs

from controller.core.outbound import (
    Backend,
    EgressNetworkBackend,
    ForwardRule,
    GrpcRule,
    HttpRoute,
    HttpRule,
    InvalidBackend,
    Route,
    ServiceBackend,
)
from controller.index.parse.parents import Attachment, ParentKey, ParentKind
from controller.index.parse.precedence import age
from controller.k8s.meta import Resource

T = TypeVar("T")
R = TypeVar("R", bound=HttpRule | GrpcRule | ForwardRule)


class RouteId(NamedTuple):
    """A route by kind and name; equal names in two groups are two routes."""

    kind: type[Resource]
    namespace: str
    name: str


@attrs.define(eq=False)
class AttachedRoute:
    """A route, where it is attached, and what its order depends on."""

    namespace: str
    attachments: frozenset[Attachment]
    backends: frozenset[ParentKey]
    route: Route  # with each backend's existence as of now
    order: tuple[tuple[bool, dt.datetime], str, str, str, str]

    @classmethod
    def of(cls, attachments: frozenset[Attachment], route: Route) -> AttachedRoute:
        ref = route.ref
        # Upstream leaves open what comes after the name; here nothing is left to chance.
        order = (age(route.created), ref.name, ref.namespace, ref.group, ref.kind)
        return cls(ref.namespace, attachments, frozenset(_backends_of(route)), route, order)


@attrs.define
class RouteTable:
    """Every attached route. Each change returns the attachments at which it shows."""

    _exists: Callable[[ParentKey], bool]
    _routes: dict[RouteId, AttachedRoute] = attrs.field(factory=dict[RouteId, AttachedRoute], init=False)
    _at: dict[ParentKey, dict[int | None, dict[RouteId, AttachedRoute]]] = attrs.field(
        factory=dict[ParentKey, "dict[int | None, dict[RouteId, AttachedRoute]]"], init=False
    )
    _to: dict[ParentKey, dict[RouteId, AttachedRoute]] = attrs.field(
        factory=dict[ParentKey, "dict[RouteId, AttachedRoute]"], init=False
    )

    def __contains__(self, route_id: RouteId) -> bool:
        return route_id in self._routes

    def put(self, route_id: RouteId, attachments: frozenset[Attachment], route: Route) -> frozenset[Attachment]:
        """Attach a route there and nowhere else."""
        route = _with_existence(route, self._exists)
        old = self._routes.get(route_id)
        if old is not None and old.attachments == attachments and old.route == route:
            return frozenset()
        shown = self.discard(route_id)
        if not attachments:
            return shown
        new = self._routes[route_id] = AttachedRoute.of(attachments, route)
        for parent, port in attachments:
            self._at.setdefault(parent, {}).setdefault(port, {})[route_id] = new
        for backend in new.backends:
            self._to.setdefault(backend, {})[route_id] = new
        return shown | attachments

    def discard(self, route_id: RouteId) -> frozenset[Attachment]:
        """Detach a route from everywhere."""
        old = self._routes.pop(route_id, None)
        if old is None:
            return frozenset()
        for parent, port in old.attachments:
            ports = self._at[parent]
            _remove(ports, port, route_id)
            if not ports:
                del self._at[parent]
        for backend in old.backends:
            _remove(self._to, backend, route_id)
        return old.attachments

    def refresh(self, backend: ParentKey) -> Iterator[Attachment]:
        """Look again whether a backend exists, for every route that sends traffic to it."""
        for attached in self._to.get(backend, {}).values():
            route = _with_existence(attached.route, self._exists)
            if route is not attached.route:
                attached.route = route
                yield from attached.attachments

    def at(self, parent: ParentKey, port: int) -> list[AttachedRoute]:
        """The routes at a port, in order: those attached to it and those attached to all ports."""
        ports = self._at.get(parent)
        if ports is None:
            return []
        return sorted({**ports.get(None, {}), **ports.get(port, {})}.values(), key=_order)

    def every(self) -> Iterator[AttachedRoute]:
        """All routes, looked at anew: with what is known of their backends now."""
        for attached in self._routes.values():
            yield attrs.evolve(attached, route=_with_existence(attached.route, self._exists))

    def portless_http(self) -> Mapping[str, int]:
        """Per namespace, how many parents have an HTTPRoute for all ports."""
        counts = dict[str, int]()
        for parent, ports in self._at.items():
            if any(isinstance(attached.route, HttpRoute) for attached in ports.get(None, {}).values()):
                counts[parent.namespace] = counts.get(parent.namespace, 0) + 1
        return counts


def _order(attached: AttachedRoute) -> tuple[tuple[bool, dt.datetime], str, str, str, str]:
    return attached.order


def _remove(table: dict[Any, dict[RouteId, AttachedRoute]], key: object, route_id: RouteId) -> None:
    routes = table[key]
    del routes[route_id]
    if not routes:
        del table[key]


def _backend_key(backend: Backend[Any]) -> ParentKey | None:
    match backend:
        case ServiceBackend(namespace, name):
            return ParentKey(ParentKind.SERVICE, namespace, name)
        case EgressNetworkBackend(namespace, name):
            return ParentKey(ParentKind.EGRESS_NETWORK, namespace, name)
        case InvalidBackend():
            return None
        case _:
            assert_never(backend)


def _backends_of(route: Route) -> Iterable[ParentKey]:
    keys = [_backend_key(backend) for rule in route.rules for backend in rule.backends]
    return [key for key in keys if key is not None]


def _with_existence(route: Route, exists: Callable[[ParentKey], bool]) -> Route:
    """The same route, with what is known of its backends; the very same if that is nothing new."""
    rules = [_rule_with_existence(rule, exists) for rule in route.rules]
    return route if _same(rules, route.rules) else _evolved(route, rules=tuple(rules))


def _rule_with_existence(rule: R, exists: Callable[[ParentKey], bool]) -> R:
    backends = [_backend_with_existence(backend, exists) for backend in rule.backends]
    return rule if _same(backends, rule.backends) else _evolved(rule, backends=tuple(backends))


def _backend_with_existence(backend: Backend[Any], exists: Callable[[ParentKey], bool]) -> Backend[Any]:
    key = _backend_key(backend)
    if isinstance(backend, InvalidBackend) or key is None or backend.exists is exists(key):
        return backend
    return attrs.evolve(backend, exists=not backend.exists)


def _same(new: Sequence[object], old: Sequence[object]) -> bool:
    return all(item is other for item, other in zip(new, old, strict=True))


def _evolved(value: T, **changes: object) -> T:
    """`attrs.evolve` for one of several classes; type checkers want to know which."""
    anything: Any = value
    evolved: T = attrs.evolve(anything, **changes)
    return evolved
