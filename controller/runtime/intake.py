"""What arrives from the API server becomes events: reading, keeping track, setting aside, counting.

Everything here happens between two waits: what is taken in as one chunk comes out as one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import attrs
import msgspec

from controller.k8s.events import Event
from controller.k8s.meta import ObjectKey, Resource
from controller.runtime.clock import Clock
from controller.runtime.decode import Bookmark, Changed, Decoder, Failed, Line, Skipped, Undecodable
from controller.runtime.errors import KubernetesError, from_status
from controller.runtime.freshness import WatchRecord
from controller.runtime.index_driver import IndexDriver, Synced
from controller.runtime.log import Logger
from controller.runtime.quarantine import Quarantine

R = TypeVar("R", bound=Resource)


@attrs.frozen
class Taken:
    """What some lines have come to."""

    batch: Sequence[Event]
    version: str | None  # up to where this brings us, once it has been handed on
    failure: KubernetesError | None  # what the lines after these would have been


@attrs.define(eq=False)
class Intake(Generic[R]):
    """Takes in the lists and changes of one kind."""

    decoder: Decoder[R]
    driver: IndexDriver[R]
    record: WatchRecord
    quarantine: Quarantine
    clock: Clock
    log: Logger
    _unreadable: set[ObjectKey] = attrs.field(factory=set[ObjectKey], init=False)  # in the list under way

    # -- lists --

    def list_started(self) -> None:
        self.driver.list_started()
        self._unreadable.clear()

    def items(self, items: tuple[msgspec.Raw, ...]) -> None:
        """Take in some items of the list under way."""
        for item in self.decoder.items(items):
            match item:
                case Undecodable():
                    self._set_aside(item)
                    self._unreadable.add(item.metadata.key)
                case Skipped(why):
                    self._skip(why)
                case resource:
                    if self.driver.accepts(resource.metadata):
                        self.driver.staged(resource)
                    else:
                        self._skip_misplaced(resource)

    def list_completed(self) -> Synced[R]:
        """Complete the list under way, and return what it means."""
        synced = self.driver.synced()
        self.quarantine.keep_only(self.driver.resource_type, self._unreadable)
        self._count_quarantined()
        return synced

    # -- changes --

    def lines(self, lines: Sequence[bytes]) -> Taken:
        """Take in some lines of a watch, up to the first that ends it."""
        batch: list[Event] = []
        version: str | None = None
        read = self.decoder.line
        try:
            for line in lines:
                version = self._event(read(line), batch) or version
        except KubernetesError as error:
            return Taken(batch, version, error)
        return Taken(batch, version, None)

    def _event(self, line: Line[R], batch: list[Event]) -> str | None:
        """Add what the line says to the batch, and return the version that it brings us to."""
        match line:
            case Changed(type=change, object=resource):
                return self._changed(change, resource, batch)
            case Bookmark(version=version):
                self.record.bookmarks += 1
                self.record.last_bookmark = self.clock.monotonic()
                return version
            case Undecodable(type=change, metadata=metadata):
                if change == "DELETED":
                    self._deleted(metadata.key, batch)
                else:
                    self._set_aside(line)
                return metadata.resource_version
            case Failed(status):
                raise from_status(status, doing=f"watching {self.driver.resource_type.plural}")
            case Skipped(why):
                self._skip(why)
                return None

    def _changed(self, change: str, resource: R, batch: list[Event]) -> str:
        metadata = resource.metadata
        if not self.driver.accepts(metadata):
            self._skip_misplaced(resource)
        elif change == "DELETED":
            self._deleted(metadata.key, batch)
        else:
            batch.append(self.driver.applied(resource))
            self.record.applies += 1
            self.record.last_apply = self.clock.monotonic()
            if self.record.quarantined:
                self._release(metadata.key)
        return metadata.resource_version

    def _deleted(self, key: ObjectKey, batch: list[Event]) -> None:
        batch.append(self.driver.deleted(key))
        self.record.deletes += 1
        self.record.last_delete = self.clock.monotonic()
        if self.record.quarantined:
            self._release(key)

    # -- what cannot be taken in --

    def _set_aside(self, undecodable: Undecodable) -> None:
        self.quarantine.add(self.driver.resource_type, undecodable.metadata, undecodable.error)
        self.record.decode_failures += 1
        self._count_quarantined()

    def _release(self, key: ObjectKey) -> None:
        self.quarantine.release(self.driver.resource_type, key)
        self._count_quarantined()

    def _count_quarantined(self) -> None:
        self.record.quarantined = self.quarantine.count(self.driver.resource_type)

    def _skip_misplaced(self, resource: R) -> None:
        key = resource.metadata.key
        self._skip(f"{key.namespace}/{key.name} lacks a name, or has a namespace too many or too few")

    def _skip(self, why: str) -> None:
        self.record.skipped += 1
        self.log.warning("skipped something that is no object of the kind", why=why)
