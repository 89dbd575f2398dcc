"""A watch: what it has to send next, line by line, out of the store's history."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from controller.apiserver.listing import Filter, ListOptions
from controller.apiserver.status import Refused, expired
from controller.apiserver.store import Change, Compacted, Store
from controller.apiserver.views import View

_INITIAL_END = {"k8s.io/initial-events-end": "true"}


def _line(kind: bytes, body: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (kind, body)


class Watch:
    """The state of one open watch; `pull` gives the lines that are due, `wake` is called when there may be more."""

    def __init__(
        self, store: Store, view: View, wanted: Filter, options: ListOptions, *, at: int | None = None
    ) -> None:
        self.store = store
        self.view = view
        self.wanted = wanted
        self.options = options
        self.resource = view.endpoint.kind.resource
        self.finished = False
        self._lines: list[bytes] = []
        self._skip = 0  # changes up to this revision are not told: the client has asked to start behind it
        self._seen = 0  # the revision up to which this watch has told everything
        self._told = 0  # the highest revision that the client has been given
        start = options.revision
        if start and not options.initial_events:
            self._seen = self._skip = self._told = start
            try:
                self._place = store.place(self.resource, start)
            except Compacted:
                self._lines = [self._expire(start)]
        else:
            self._send_initial(at or store.revision, wanted_events=options.initial_events is not False)

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self.store.subscribe(self.resource, wake)

    def pull(self, limit: int = 500) -> list[bytes]:
        """The next lines, at most `limit`; an empty list means that nothing is due now."""
        lines, self._lines = self._lines[:limit], self._lines[limit:]
        while not lines and not self.finished:
            try:
                changes = self.store.changes(self.resource, self._place, limit)
            except Compacted:
                return [self._expire(self._seen)]
            if not changes:
                break
            self._place += len(changes)
            self._seen = max(self._seen, changes[-1].revision)
            lines = [line for change in changes if (line := self._to_line(change))]
            if lines and self._told:
                self._told = self._seen
        return lines

    def bookmark(self) -> bytes | None:
        """A line that tells how far this watch has come, if that is further than its last line; nothing must be due."""
        self._seen = self.store.revision
        if self._seen <= self._told:
            return None
        first, self._told = self._told == 0, self._seen
        # The first bookmark of a watch that began with what exists is marked like the one that was asked for.
        return _line(b"BOOKMARK", self.view.bookmark(self._seen, _INITIAL_END if first else None))

    def end_with(self, refused: Refused) -> bytes:
        """The last line of a watch that has failed."""
        self.finished = True
        return _line(b"ERROR", msgspec.json.encode(refused.to_status()))

    def _expire(self, revision: int) -> bytes:
        text = f"too old resource version: {revision} ({max(self.store.compacted, 1)})"
        return self.end_with(expired(text))

    def _send_initial(self, revision: int, *, wanted_events: bool) -> None:
        self._seen = revision
        self._place = self.store.place(self.resource, revision)
        if wanted_events:
            found = self.store.scan(self.resource, namespace=self.wanted.namespace, at=revision)
            matching = [stored for stored in found if self.wanted.matches(stored)]
            self._lines = [_line(b"ADDED", self.view.event_object(stored)) for stored in matching]
        if self.options.initial_events and self.options.bookmarks:
            self._lines.append(_line(b"BOOKMARK", self.view.bookmark(revision, _INITIAL_END)))
            self._told = revision

    def _to_line(self, change: Change) -> bytes | None:
        if change.revision <= self._skip:
            return None
        before, after = self.wanted.matches(change.before), self.wanted.matches(change.after)
        if after and change.after is not None:
            return _line(b"MODIFIED" if before else b"ADDED", self.view.event_object(change.after))
        if before and change.before is not None:
            # An object that left the selection is told in its last selected form, under the revision of its leaving.
            return _line(b"DELETED", self.view.event_object(change.before, change.revision))
        return None
