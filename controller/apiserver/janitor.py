"""What a cluster's own controllers do and an API server alone does not: finish deletions.

Empties and removes namespaces that are being deleted, ends pods whose deletion nobody else finishes, and deletes
objects all of whose owners are gone.
"""

from __future__ import annotations

from typing import Any

import trio

from controller.apiserver.api import Api, run
from controller.apiserver.kinds import Endpoint, Kind, dig
from controller.apiserver.requests import Request
from controller.apiserver.shapes import list_at
from controller.apiserver.status import GroupResource, Object
from controller.apiserver.store import Revision, object_key

_NAMESPACES = GroupResource("", "namespaces")
_PODS = GroupResource("", "pods")
_WAITS = frozenset({"foregroundDeletion", "orphan"})


class Janitor:
    """Looks through what has changed, and cleans up."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._wake = trio.Event()
        self._places: dict[GroupResource, int] = {}
        self._ending: set[str] = set()  # namespaces that wait for something in them to go

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        store = self._api.store
        for kind in self._api.catalog:
            self._places[kind.resource] = store.end(kind.resource)
        unsubscribe = store.subscribe(None, self._notice)
        try:
            task_status.started()
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                is_tidy = False
                while not is_tidy:
                    is_tidy = not self._tidy()
                    await trio.lowlevel.checkpoint()
        finally:
            unsubscribe()

    def _notice(self) -> None:
        self._wake.set()

    def _tidy(self) -> bool:
        """Look at what changed since the last time; whether that changed anything in turn."""
        before = self._api.store.revision
        for kind in list(self._api.catalog):
            for change in self._changes(kind):
                if change.after is not None:
                    self._finish(kind, change.after)
                elif change.before is not None:
                    self._collect_dependents(kind, change.before)
        for name in list(self._ending):
            self._finish_namespace(name)
        return self._api.store.revision != before

    def _changes(self, kind: Kind) -> list[Any]:
        store = self._api.store
        start = self._places.get(kind.resource, 0)
        end = store.end(kind.resource)
        self._places[kind.resource] = end
        if start == end:
            return []
        try:
            return store.changes(kind.resource, max(start, end - 10_000), end - start)
        except LookupError:
            return []

    def _finish(self, kind: Kind, stored: Revision) -> None:
        if b'"deletionTimestamp"' not in stored.tail:
            return
        current = self._api.store.get(kind.resource, stored.key)
        if current is not stored:
            return
        value = stored.to_object()
        if not value["metadata"].get("deletionTimestamp"):
            return
        if kind.resource == _NAMESPACES:
            self._finish_namespace(value["metadata"]["name"])
        elif kind.resource == _PODS:
            self._call("DELETE", kind, value, query={"gracePeriodSeconds": "0"})
        finalizers = list_at(value["metadata"], "finalizers")
        if finalizers and set(finalizers) <= _WAITS:
            self._release(kind, stored, value)

    def _release(self, kind: Kind, stored: Revision, value: Object) -> None:
        """Let go of an object that only waits for its dependents to be deleted, or to be orphaned."""
        if "foregroundDeletion" in value["metadata"]["finalizers"]:
            self._collect_dependents(kind, stored, assume_gone=True)
        if self._api.store.get(kind.resource, stored.key) is stored:
            self._api.writer.remove(kind, stored.key)

    def _finish_namespace(self, name: str) -> None:
        store, left = self._api.store, False
        for kind in list(self._api.catalog):
            if not kind.namespaced or kind.behaviour.create_only:
                continue
            for stored in list(store.scan(kind.resource, namespace=name)):
                self._call("DELETE", kind, stored.to_object(), query={"gracePeriodSeconds": "0"})
                left = left or store.get(kind.resource, stored.key) is not None
        if left:
            self._ending.add(name)
            return
        self._ending.discard(name)
        namespaces = self._api.catalog.get(_NAMESPACES)
        if namespaces is not None and store.get(_NAMESPACES, name) is not None:
            self._api.writer.remove(namespaces, name)

    def _collect_dependents(self, kind: Kind, owner: Revision, *, assume_gone: bool = False) -> None:
        value = owner.to_object()
        uid, finalizers = value["metadata"].get("uid", ""), list_at(value["metadata"], "finalizers")
        if not uid or (not assume_gone and "orphan" in finalizers):
            return
        needle = f'"uid":"{uid}"'.encode()
        for other in list(self._api.catalog):
            if kind.namespaced and not other.namespaced:
                continue
            for stored in list(self._api.store.scan(other.resource, namespace=owner.namespace)):
                if needle in stored.tail and stored is not owner and self._is_orphan(stored, gone=uid):
                    self._call("DELETE", other, stored.to_object())

    def _is_orphan(self, stored: Revision, *, gone: str) -> bool:
        owners = list_at(stored.to_object(), "metadata", "ownerReferences")
        return any(owner["uid"] == gone for owner in owners) and all(
            owner["uid"] == gone or not self._exists(owner, stored.namespace) for owner in owners
        )

    def _exists(self, owner: Object, namespace: str) -> bool:
        group = owner["apiVersion"].rpartition("/")[0]
        kind = self._api.catalog.by_kind(group, owner["kind"])
        if kind is None:
            return False
        found = self._api.store.get(kind.resource, object_key(namespace if kind.namespaced else "", owner["name"]))
        return found is not None and dig(found.to_object(), "metadata", "uid") == owner["uid"]

    def _call(self, method: str, kind: Kind, value: Object, query: dict[str, str] | None = None) -> None:
        version = kind.versions.get(kind.storage) or next(iter(kind.versions.values()))
        endpoint = Endpoint(kind, version)
        base = f"/apis/{endpoint.api_version}" if kind.group else f"/api/{endpoint.api_version}"
        meta = value["metadata"]
        if kind.namespaced:
            base += f"/namespaces/{meta['namespace']}"
        run(self._api.handle(Request(method=method, path=f"{base}/{kind.plural}/{meta['name']}", query=query or {})))
