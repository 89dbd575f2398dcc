"""Worlds of routes, limits and EgressNetworks that compete for the same parents and Servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import attrs
from hypothesis import strategies as st

from controller.core.cluster import ClusterConfig
from controller.index.parse.cidr import parse_nets
from controller.index.status.values import StatusKey
from controller.k8s.events import Event, Reset
from controller.k8s.meta import ObjectKey
from controller.k8s.references import CONTROLLER_NAME
from tests.destinations import (
    POLICY,
    ROUTES,
    TYPES,
    Object,
    applied,
    decode,
    deleted,
    egress_network,
    egress_ref,
    manifest,
    route,
    rule,
    service,
    service_ref,
    status_entry,
)

CONFIG = ClusterConfig(cluster_networks=parse_nets("10.0.0.0/8,fd00::/8"))
OTHER = "example.com/other"
NAMES, NAMESPACES = ("x", "y"), ("a", "b")
CREATED = (None, "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z")
Key: TypeAlias = tuple[str, str, str, str]

names, namespaces, created = map(st.sampled_from, (NAMES, NAMESPACES, CREATED))
homes = st.sampled_from((None, "a", "b"))
conditions = st.sampled_from(
    (
        {"type": "Accepted", "status": "True", "reason": "Accepted"},
        {"type": "Accepted", "status": "False", "reason": "RateLimitReasonAlreadyExists"},
        {"type": "Other", "status": "Unknown", "reason": "Because"},
    )
)


def server_ref(name: str, **more: Any) -> Object:
    return {"group": POLICY, "kind": "Server", "name": name, **{k: v for k, v in more.items() if v is not None}}


@st.composite
def references(draw: st.DrawFn) -> Object:
    make = draw(st.sampled_from((service_ref, egress_ref, server_ref)))
    return make(draw(names), namespace=draw(homes), port=draw(st.sampled_from((None, 80))))


@st.composite
def shown_conditions(draw: st.DrawFn) -> Object:
    times = {"message": "", "lastTransitionTime": "2024-01-01T00:00:00Z"}
    return {"conditions": [{**each, **times} for each in draw(st.lists(conditions, max_size=2))]}


@st.composite
def servers(draw: st.DrawFn) -> Object:
    return manifest(POLICY, "Server", draw(names), draw(namespaces), {"podSelector": {}, "port": 80})


@st.composite
def services(draw: st.DrawFn) -> Object:
    return service(draw(names), draw(namespaces), ips=draw(st.sampled_from((("10.0.0.1",), ()))))


@st.composite
def egress_networks(draw: st.DrawFn) -> Object:
    networks = draw(st.sampled_from((None, [{"cidr": "1.0.0.0/8"}], [{"cidr": "10.1.0.0/16"}])))
    status = draw(st.none() | shown_conditions())
    return egress_network(draw(names), draw(namespaces), networks=networks, status=status)


@st.composite
def limits(draw: st.DrawFn) -> Object:
    target = draw(st.sampled_from((server_ref("x"), server_ref("x"), server_ref("y"), service_ref("x"))))
    made = manifest(
        POLICY,
        "HTTPLocalRateLimitPolicy",
        draw(st.sampled_from(("k", "l", "m"))),
        draw(namespaces),
        {"targetRef": target, "total": {"requestsPerSecond": 1}},
        creationTimestamp=draw(created),
    )
    status = draw(st.none() | shown_conditions())
    return made if status is None else {**made, "status": {**status, "targetRef": server_ref(draw(names))}}


@st.composite
def routes(draw: st.DrawFn) -> Object:
    """Of any kind, with a status that may say too little, too much, or what another controller said."""
    letter = draw(st.sampled_from(tuple(ROUTES)))
    parents = draw(st.lists(references(), max_size=3))
    sent_to = draw(st.lists(st.one_of(references(), st.just({"name": "x"})), max_size=2))
    made = route(
        letter,
        draw(names),
        draw(namespaces),
        parents=parents,
        rules=[rule(letter, sent_to)],
        hostnames=["h"] if letter == "T" else None,
    )
    if draw(st.booleans()):
        entries = draw(st.lists(references(), max_size=2))
        by = draw(st.sampled_from((CONTROLLER_NAME, OTHER)))
        made["status"] = {"parents": [status_entry(entry, controller=by) for entry in entries]}
    else:
        del made["status"]
    return made


objects = st.one_of(servers(), services(), egress_networks(), limits(), routes(), routes(), routes())


@attrs.frozen
class Apply:
    obj: Object


@attrs.frozen
class Touch:
    """Write an object without changing what it says."""

    which: int


@attrs.frozen
class Delete:
    which: int


@attrs.frozen
class Relist:
    """A new list of one kind: some objects are gone, some are new."""

    kind: int
    kept: int
    fresh: Sequence[Object]


Step: TypeAlias = Apply | Touch | Delete | Relist

steps = st.one_of(
    st.builds(Apply, objects),
    st.builds(Apply, objects),
    st.builds(Apply, objects),
    st.builds(Touch, st.integers(0, 50)),
    st.builds(Delete, st.integers(0, 50)),
    st.builds(Relist, st.integers(0, 20), st.integers(0, 255), st.lists(objects, max_size=2)),
)
histories = st.lists(st.lists(steps, min_size=1, max_size=4), min_size=4, max_size=12)


@attrs.define
class Cluster:
    """What an API server holds. Each write is a version of its own."""

    objects: dict[Key, Object] = attrs.field(factory=dict[Any, Any], init=False)
    _version: int = attrs.field(default=0, init=False)

    def perform(self, step: Step) -> list[Event]:
        """Take a step; returns what a watch would say."""
        match step:
            case Apply(obj):
                return [self.put(obj)]
            case Touch(which):
                return [self.put(self.objects[self._pick(which)])] if self.objects else []
            case Delete(which):
                return [deleted(self.objects.pop(self._pick(which)))] if self.objects else []
            case Relist(kind, kept, fresh):
                return self._relist(kind, kept, fresh)

    def _pick(self, which: int) -> Key:
        return sorted(self.objects)[which % len(self.objects)]

    def put(self, obj: Object) -> Event:
        self._store(obj)
        return applied(self.objects[_key(obj)])

    def _store(self, obj: Object) -> None:
        self._version += 1
        metadata = {**obj["metadata"], "resourceVersion": str(self._version)}
        self.objects[_key(obj)] = {**obj, "metadata": metadata}

    def _relist(self, kind: int, kept: int, fresh: Sequence[Object]) -> list[Event]:
        kinds = sorted({key[:2] for key in self.objects} | {_key(obj)[:2] for obj in fresh})
        if not kinds:
            return []
        chosen = kinds[kind % len(kinds)]
        gone = [key for i, key in enumerate(sorted(self.objects)) if key[:2] == chosen and not kept >> (i % 8) & 1]
        removed = {ObjectKey(key[2], key[3]) for key in gone}
        for key in gone:
            del self.objects[key]
        for obj in fresh:
            if _key(obj)[:2] == chosen:
                self._store(obj)
        listed = tuple(decode(obj) for key, obj in self.objects.items() if key[:2] == chosen)
        return [Reset(TYPES[chosen].model, listed, frozenset(removed - {resource.key for resource in listed}))]

    def survivors(self) -> list[Event]:
        """The state as a controller that starts now would get it."""
        return [applied(obj) for obj in self.objects.values()]

    def find(self, key: StatusKey) -> Object:
        kind = next(kind for kind in TYPES.values() if kind.model is key.model)
        return self.objects[kind.group, kind.kind, *key.key]


def _key(obj: Object) -> Key:
    group, _, _ = obj["apiVersion"].rpartition("/")
    return group, obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]
