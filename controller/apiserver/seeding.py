"""Putting manifests straight into the store, as if they had always been there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from controller.apiserver import metadata
from controller.apiserver.decoding import reading, shape
from controller.apiserver.kinds import Endpoint
from controller.apiserver.shapes import is_list, is_object, list_at, object_at
from controller.apiserver.status import Object, invalid, not_found
from controller.apiserver.writes import NAMESPACES, custom_problems
from controller.apiserver.yaml_text import load_all_yaml

if TYPE_CHECKING:
    from controller.apiserver.api import Api

_FIRST = ("default", "kube-node-lease", "kube-public", "kube-system")


def parse_manifests(text: bytes | str) -> Iterator[Object]:
    """The objects in JSON or YAML text: one, several documents, or a List of them."""
    data = text.encode() if isinstance(text, str) else text
    if data.lstrip()[:1] in (b"{", b"["):
        yield from _flatten(msgspec.json.decode(data))
    else:
        for document in load_all_yaml(data):
            yield from _flatten(document)


def _flatten(value: Any) -> Iterator[Object]:
    if is_list(value):
        for item in value:
            yield from _flatten(item)
    elif is_object(value):
        if value.get("kind") == "List" or (value.get("kind", "").endswith("List") and "items" in value):
            yield from _flatten(list_at(value, "items"))
        else:
            yield value


def seed(api: Api, manifests: Iterable[Object]) -> int:
    """Store objects with their status and in their order, without webhooks and without owners; how many."""
    count = 0
    for value in manifests:
        endpoint = _endpoint(api, value)
        seed_object(api, value, endpoint)
        count += 1
    return count


def _endpoint(api: Api, value: Object) -> Endpoint:
    group, _, version = str(value.get("apiVersion", "")).rpartition("/")
    kind = api.catalog.by_kind(group, str(value.get("kind", "")))
    if kind is None or version not in kind.versions:
        raise ValueError(f"seeding {value.get('kind')}: {value.get('apiVersion')} is not served")
    return Endpoint(kind, kind.versions[version])


def seed_object(api: Api, value: Object, endpoint: Endpoint) -> None:
    kind, writer = endpoint.kind, api.writer
    given = dict(object_at(value, "metadata"))
    status = value.get("status")
    with reading(endpoint):
        shaped = shape({**value, "metadata": given}, endpoint, "Ignore").value
    meta = shaped["metadata"]
    if kind.namespaced:
        meta.setdefault("namespace", "default")
        if api.store.get(NAMESPACES, meta["namespace"]) is None:
            raise not_found(NAMESPACES, meta["namespace"])
    else:
        meta.pop("namespace", None)
    kept = {name: meta[name] for name in ("uid", "creationTimestamp", "generation") if name in meta}
    metadata.prepare_create(shaped, kind, api.environment)
    meta |= kept
    kind.behaviour.prepare(shaped, None)
    if status is None and (initial := kind.behaviour.initial_status(shaped)) is not None:
        shaped["status"] = initial
    found = list(metadata.check(shaped, kind))
    found += (
        custom_problems(shaped, None, endpoint, status_only=False)
        if kind.custom
        else kind.behaviour.validate(shaped, None)
    )
    if found:
        raise invalid(kind.group, kind.kind, meta.get("name", ""), found)
    writer.put(shaped, endpoint)


def seed_namespaces(api: Api) -> None:
    """What every cluster begins with."""
    objects: list[Object] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in _FIRST]
    objects.append(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {"component": "apiserver", "provider": "kubernetes"},
            },
            "spec": {
                "clusterIP": "10.96.0.1",
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
            },
        }
    )
    seed(api, objects)
