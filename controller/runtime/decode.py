"""Objects out of what the API server sends, one by one, so that a bad one harms nobody else.

An object is read in two steps. Its metadata always works, if it is an object at all: keys are followed and deletes
applied even where the rest makes no sense. Then comes the typed body. Because nearly every object is good, both steps
are tried as one, and taken apart only after that has failed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeAlias, TypeVar

import attrs
import msgspec

from controller.k8s.meta import ObjectMeta, Resource
from controller.k8s.resource import ResourceType
from controller.runtime.errors import Garbled, Status, parse_status

R = TypeVar("R", bound=Resource)
T = TypeVar("T")

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
_CHANGES = ("ADDED", "MODIFIED", "DELETED")
_DEEP = 12_000  # API servers refuse documents that are nested deeper than 10,000


class Changed(msgspec.Struct, Generic[R], frozen=True, gc=False):
    """An object was added, modified or deleted."""

    type: str
    object: R


@attrs.frozen
class Undecodable:
    """An object whose metadata is all that could be read; `type` is empty if it was listed."""

    type: str
    metadata: ObjectMeta
    error: str


@attrs.frozen
class Bookmark:
    """Nothing happened up to this version; `initial_events_end` closes a list that was streamed."""

    version: str
    initial_events_end: bool = False


@attrs.frozen
class Failed:
    """The server ends the watch, and says why."""

    status: Status


@attrs.frozen
class Skipped:
    """A line that says nothing to us, and why."""

    why: str


Line: TypeAlias = "Changed[R] | Undecodable | Bookmark | Failed | Skipped"


class ListMetadata(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class ListBody(msgspec.Struct, frozen=True, rename="camel"):
    """A list, its items still as they came."""

    kind: str = ""
    api_version: str = ""
    metadata: ListMetadata = ListMetadata()
    items: tuple[msgspec.Raw, ...] | None = None


class _Envelope(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


class _TypedMeta(msgspec.Struct, frozen=True, rename="camel"):
    """What tells one object from another."""

    metadata: ObjectMeta
    kind: str = ""
    api_version: str = ""


class _NameAndVersion(msgspec.Struct, frozen=True, rename="camel"):
    """Metadata of an object so bad that even labels or times make no sense."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class _Named(msgspec.Struct, frozen=True, rename="camel"):
    metadata: _NameAndVersion
    kind: str = ""
    api_version: str = ""


_envelopes = msgspec.json.Decoder(_Envelope).decode
_typed_metas = msgspec.json.Decoder(_TypedMeta).decode
_named = msgspec.json.Decoder(_Named).decode
_lists = msgspec.json.Decoder(ListBody).decode
_arrays = msgspec.json.Decoder(tuple[msgspec.Raw, ...]).decode


class _Unreadable(Exception):
    """These bytes cannot be read as that type."""


def _read(decode: Callable[[bytes | msgspec.Raw], T], raw: bytes | msgspec.Raw) -> T:
    """Decode, however deeply the document is nested: a user may write one that the interpreter's limit would refuse."""
    try:
        return decode(raw)
    except RecursionError:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + _DEEP)
        try:
            return _read_once(decode, raw)
        finally:
            sys.setrecursionlimit(limit)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Unreadable(str(error)) from error


def _read_once(decode: Callable[[bytes | msgspec.Raw], T], raw: bytes | msgspec.Raw) -> T:
    try:
        return decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _Unreadable(str(error)) from error


class Decoder(Generic[R]):
    """Reads lists and watch lines of one kind."""

    def __init__(self, resource_type: ResourceType[R]) -> None:
        self._resource_type = resource_type
        self._decode_change: Any = msgspec.json.Decoder(Changed[resource_type.model]).decode  # type: ignore[name-defined]
        kind, api_version = resource_type.kind, resource_type.api_version
        # A line that begins so certainly is a change of our kind; API servers write nothing else. Any other goes the
        # long way, which asks what it is.
        self._usual = tuple(
            f'{{"type":"{change}","object":{{{start},'.encode()
            for change in _CHANGES
            for start in (
                f'"kind":"{kind}","apiVersion":"{api_version}"',
                f'"apiVersion":"{api_version}","kind":"{kind}"',
            )
        )

    def line(self, line: bytes) -> Line[R]:
        """Read a line of a watch; raise `Garbled` if what follows cannot be trusted either."""
        if line.startswith(self._usual):
            try:
                changed: Changed[R] = self._decode_change(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass  # the long way finds out what can be saved
            else:
                if changed.object.metadata.resource_version:
                    return changed
        return self._any_line(line)

    def _any_line(self, line: bytes) -> Line[R]:
        try:
            envelope = _read(_envelopes, line)
        except _Unreadable as error:
            raise Garbled(f"not a line of a watch: {error}: {line[:120]!r}", reason="decode") from error
        match envelope.type:
            case "ADDED" | "MODIFIED" | "DELETED":
                return self._change(envelope)
            case "BOOKMARK":
                return self._bookmark(envelope.object)
            case "ERROR":
                return Failed(parse_status(bytes(envelope.object), 0))
            case unknown:
                return Skipped(f"unknown type {unknown[:40]!r}")

    def _change(self, envelope: _Envelope) -> Line[R]:
        meta = _read_meta(envelope.object)
        if meta is None:
            return Skipped("an object without metadata")
        if meta.kind != self._resource_type.kind or meta.api_version not in ("", self._resource_type.api_version):
            return Skipped(f"an object of kind {meta.api_version} {meta.kind}")
        if not meta.metadata.resource_version:
            raise Garbled(f"{meta.metadata.name} has no resourceVersion", reason="no_rv")
        try:
            return Changed(envelope.type, _read(self._resource_type.decode, envelope.object))
        except _Unreadable as error:
            return Undecodable(envelope.type, meta.metadata, str(error))

    def _bookmark(self, raw: msgspec.Raw) -> Bookmark:
        meta = _read_meta(raw)
        if meta is None or not meta.metadata.resource_version:
            raise Garbled("a bookmark without resourceVersion", reason="no_rv")
        annotations = meta.metadata.annotations or {}
        return Bookmark(meta.metadata.resource_version, annotations.get(INITIAL_EVENTS_END) == "true")

    def page(self, body: bytes) -> ListBody:
        """Read the envelope of a list; raise `Garbled` if it is none of our kind."""
        return decode_page(body, self._resource_type)

    def items(self, items: tuple[msgspec.Raw, ...]) -> Iterator[R | Undecodable | Skipped]:
        """Read the items of a list one by one, each when it is asked for."""
        decode = self._resource_type.decode
        for raw in items:
            try:
                yield _read(decode, raw)
            except _Unreadable as error:
                yield _undecodable_item(raw, str(error))


def decode_page(body: bytes, resource_type: ResourceType[Resource]) -> ListBody:
    """Read the envelope of a list; raise `Garbled` if it is none of this kind."""
    try:
        page = _read(_lists, body)
    except _Unreadable as error:
        raise Garbled(f"not a list: {error}: {body[:120]!r}", reason="decode") from error
    expected = f"{resource_type.kind}List"
    if page.kind != expected:
        raise Garbled(f"the list is a {page.kind or 'thing without kind'}, not a {expected}", reason="protocol")
    return page


def decode_items(raw: bytes) -> tuple[msgspec.Raw, ...] | None:
    """Read a JSON array without looking into its items; `None` if it is none."""
    try:
        return _read(_arrays, raw)
    except _Unreadable:
        return None


def _undecodable_item(raw: msgspec.Raw, error: str) -> Undecodable | Skipped:
    meta = _read_meta(raw)
    return Skipped("an item without metadata") if meta is None else Undecodable("", meta.metadata, error)


def _read_meta(raw: msgspec.Raw) -> _TypedMeta | None:
    try:
        return _read(_typed_metas, raw)
    except _Unreadable:
        pass
    try:
        named = _read(_named, raw)
    except _Unreadable:
        return None
    metadata = named.metadata
    return _TypedMeta(
        ObjectMeta(metadata.name, metadata.namespace, metadata.uid, metadata.resource_version),
        named.kind,
        named.api_version,
    )
