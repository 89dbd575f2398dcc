"""What existed at each revision: a revisioned store of encoded objects, with the history that watches need.

Every change of any kind gets the next revision of one counter. A key keeps the revisions that some readable
snapshot still shows; the log keeps what happened, in order. `compact` forgets both up to a revision. Objects are
kept as JSON bytes and cut behind `metadata.resourceVersion`, so that lists and watches join bytes, and what is
stored can never be changed by somebody who holds it.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from controller.apiserver.status import GroupResource, Object

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Revision(msgspec.Struct, eq=False):
    """An object as it was written; `tail` is what follows its resourceVersion."""

    key: str
    revision: int
    api_version: str
    kind: str
    labels: dict[str, str]
    tail: bytes
    origin: object = None  # the schema it was written under; under another it has to be converted
    fields: dict[str, str] | None = None
    encoded: tuple[Any, bytes] | None = None

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    @property
    def namespace(self) -> str:
        return self.key.rpartition("/")[0]

    def body(self, revision: int | None = None) -> bytes:
        """The object's bytes from its metadata on, perhaps under another revision."""
        return b'"metadata":{"resourceVersion":"%d"%b' % (revision or self.revision, self.tail)

    def document(self, revision: int | None = None) -> bytes:
        """The whole object's bytes, in the version it is stored in."""
        head = b'{"kind":"%b","apiVersion":"%b",' % (self.kind.encode(), self.api_version.encode())
        return head + self.body(revision)

    def to_object(self, revision: int | None = None) -> Object:
        """A fresh copy of the object."""
        value: Object = _decode(self.document(revision))
        return value


class Change(NamedTuple):
    """One step of a kind's history; `after` is None when the object went away."""

    revision: int
    before: Revision | None
    after: Revision | None

    @property
    def key(self) -> str:
        return (self.after or self.before).key  # type: ignore[union-attr]  # one of them is always there


class Compacted(Exception):
    """The revision is older than what is kept."""


def object_key(namespace: str, name: str) -> str:
    """Keys order as etcd orders them, by namespace, a slash, and the name."""
    return f"{namespace}/{name}" if namespace else name


def to_revision(value: Object, revision: int, origin: object = None) -> Revision:
    """Encode an object; the resourceVersion inside it does not matter."""
    metadata = {key: inner for key, inner in value["metadata"].items() if key != "resourceVersion"}
    rest = {key: inner for key, inner in value.items() if key not in ("kind", "apiVersion", "metadata")}
    tail = b"," + _encode(metadata)[1:] if metadata else b"}"
    tail += b"," + _encode(rest)[1:] if rest else b"}"
    return Revision(
        key=object_key(metadata.get("namespace") or "", metadata["name"]),
        revision=revision,
        api_version=value["apiVersion"],
        kind=value["kind"],
        labels=metadata.get("labels") or {},
        tail=tail,
        origin=origin,
    )


class _Table:
    """One kind: its keys in order, the readable revisions of each key, and its history."""

    __slots__ = ("chains", "changes", "dropped", "keys", "live", "wakers")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.chains: dict[str, list[tuple[int, Revision | None]]] = {}
        self.live: dict[str, Revision] = {}
        self.changes: deque[Change] = deque()
        self.dropped = 0  # how many changes have been forgotten: turns places in the history into indexes
        self.wakers: dict[object, Callable[[], None]] = {}


class Store:
    """All objects of all kinds, now and as far back as the history goes."""

    def __init__(self, *, history: int = 20_000, revision: int = 1) -> None:
        self.revision = revision
        self.compacted = 0
        self._history = history
        self._tables: dict[GroupResource, _Table] = {}
        self._order: deque[_Table] = deque()  # whose change it was, oldest first, one entry for each change kept
        self._any: dict[object, Callable[[], None]] = {}

    def table(self, resource: GroupResource) -> _Table:
        table = self._tables.get(resource)
        if table is None:
            table = self._tables[resource] = _Table()
        return table

    def get(self, resource: GroupResource, key: str, *, at: int | None = None) -> Revision | None:
        """The object now, or as it was at a revision."""
        table = self.table(resource)
        if at is None or at >= self.revision:
            return table.live.get(key)
        if at < self.compacted:
            raise Compacted
        return _as_of(table.chains.get(key, ()), at)

    def count(self, resource: GroupResource) -> int:
        return len(self.table(resource).live)

    def scan(
        self, resource: GroupResource, *, namespace: str = "", after: str = "", at: int | None = None
    ) -> Iterator[Revision]:
        """Objects in key order, of one namespace or of all, behind a key, now or as of a revision."""
        table = self.table(resource)
        if at is not None and at < self.compacted:
            raise Compacted
        past = at is not None and at < self.revision
        prefix = f"{namespace}/" if namespace else ""
        start = bisect.bisect_right(table.keys, after) if after else bisect.bisect_left(table.keys, prefix)
        for key in table.keys[start:]:
            if not key.startswith(prefix):
                break
            found = _as_of(table.chains[key], at or 0) if past else table.live.get(key)
            if found is not None:
                yield found

    def put(self, resource: GroupResource, value: Object, origin: object = None) -> Revision:
        """Write an object under the next revision."""
        table = self.table(resource)
        self.revision += 1
        written = to_revision(value, self.revision, origin)
        before = table.live.get(written.key)
        table.live[written.key] = written
        self._record(table, written.key, Change(self.revision, before, written))
        return written

    def delete(self, resource: GroupResource, key: str) -> int:
        """Remove an object that exists; the revision of its absence."""
        table = self.table(resource)
        before = table.live.pop(key)
        self.revision += 1
        self._record(table, key, Change(self.revision, before, None))
        return self.revision

    def drop(self, resource: GroupResource) -> None:
        """Remove every object of a kind, as when its definition goes away."""
        for key in list(self.table(resource).live):
            self.delete(resource, key)

    def compact(self, revision: int | None = None) -> None:
        """Forget what is superseded at this revision; older snapshots and watches answer 410 from now on."""
        limit = self.revision if revision is None else min(revision, self.revision)
        while self._order and self._order[0].changes[0].revision <= limit:
            self._forget_oldest()
        self.compacted = max(self.compacted, limit)

    def place(self, resource: GroupResource, revision: int) -> int:
        """Where in a kind's history the changes after a revision begin."""
        if revision < self.compacted:
            raise Compacted
        table = self.table(resource)
        return table.dropped + bisect.bisect_right(table.changes, revision, key=lambda change: change.revision)

    def end(self, resource: GroupResource) -> int:
        table = self.table(resource)
        return table.dropped + len(table.changes)

    def changes(self, resource: GroupResource, place: int, limit: int) -> list[Change]:
        """Up to `limit` changes from a place in the history on."""
        table = self.table(resource)
        start = place - table.dropped
        if start < 0:
            raise Compacted
        return [table.changes[index] for index in range(start, min(start + limit, len(table.changes)))]

    def subscribe(self, resource: GroupResource | None, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` after each change of a kind, or of any kind; returns how to stop that."""
        wakers = self._any if resource is None else self.table(resource).wakers
        token = object()
        wakers[token] = wake
        return lambda: wakers.pop(token, None) and None

    def _record(self, table: _Table, key: str, change: Change) -> None:
        chain = table.chains.get(key)
        if chain is None:
            chain = table.chains[key] = []
            bisect.insort(table.keys, key)
        chain.append((change.revision, change.after))
        table.changes.append(change)
        self._order.append(table)
        if len(self._order) > self._history:
            self.compacted = self._forget_oldest()
        for wake in [*table.wakers.values(), *self._any.values()]:
            wake()

    def _forget_oldest(self) -> int:
        table = self._order.popleft()
        change = table.changes.popleft()
        table.dropped += 1
        chain = table.chains[change.key]
        while chain[0][0] < change.revision:
            chain.pop(0)
        if len(chain) == 1 and chain[0][1] is None:
            del table.chains[change.key]
            del table.keys[bisect.bisect_left(table.keys, change.key)]
        return change.revision


def _as_of(chain: list[tuple[int, Revision | None]] | tuple[()], at: int) -> Revision | None:
    for revision, found in reversed(chain):
        if revision <= at:
            return found
    return None
