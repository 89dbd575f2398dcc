"""How stored objects look to a client: in the version and the form that the request asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from controller.apiserver.kinds import Column, Endpoint
from controller.apiserver.requests import JSON, YAML, Accept
from controller.apiserver.schema.defaulting import fill_defaults
from controller.apiserver.schema.unknown import prune
from controller.apiserver.status import Object, Refused, bad_request
from controller.apiserver.store import Revision, to_revision
from controller.apiserver.yaml_text import dump_yaml

_encode = msgspec.json.Encoder().encode


def in_version(value: Object, endpoint: Endpoint) -> Object:
    """A stored custom resource in another version: the same fields, as far as that version knows them."""
    storage = endpoint.kind.versions.get(endpoint.kind.storage)
    if storage is not None:
        fill_defaults(value, storage.schema)
    value["apiVersion"] = endpoint.api_version
    prune(value, endpoint.version.schema, root=True)
    return value


class View:
    """Renders revisions of one kind for one request; `now` is what ages are counted to."""

    def __init__(self, endpoint: Endpoint, accept: Accept, *, include: str = "Metadata", now: float = 0.0) -> None:
        self.endpoint = endpoint
        self.accept = accept
        self.include = include
        self.now = now
        self._told_columns = False
        if accept.form == "table" and include not in ("Metadata", "Object", "None"):
            raise bad_request(
                f'Unable to convert to Table as requested: includeObject: Invalid value: "{include}": must be '
                "'Metadata', 'Object', 'None', or empty"
            )
        self._head = b'{"kind":"%b","apiVersion":"%b",' % (endpoint.kind.kind.encode(), endpoint.api_version.encode())
        # Lists of built-in kinds leave kind and apiVersion out of their items, lists of custom resources do not.
        self._item_head = self._head if endpoint.kind.custom else b"{"

    def body(self, stored: Revision, revision: int | None = None) -> bytes:
        """An object's bytes behind its kind and version."""
        version = self.endpoint.version
        if not self.endpoint.kind.custom or stored.origin is version:
            return stored.body(revision)
        if stored.encoded is None or stored.encoded[0] is not version:
            converted = to_revision(in_version(stored.to_object(), self.endpoint), stored.revision)
            stored.encoded = (version, converted.tail)
        return b'"metadata":{"resourceVersion":"%d"%b' % (revision or stored.revision, stored.encoded[1])

    def to_object(self, stored: Revision, revision: int | None = None) -> Object:
        """A fresh copy of an object in the version of this view."""
        value: Object = msgspec.json.decode(self._head + self.body(stored, revision))
        return value

    def event_object(self, stored: Revision, revision: int | None = None) -> bytes:
        """An object as it stands in an event of a watch."""
        match self.accept.form:
            case "object":
                return self._head + self.body(stored, revision)
            case "metadata" | "metadata list":
                return _encode(self._metadata(stored, revision))
            case _:
                pass
        value = self._table([stored], {"resourceVersion": str(revision or stored.revision)}, revision)
        if self._told_columns:  # a watch tells its columns once
            value["columnDefinitions"] = None
        self._told_columns = True
        return _encode(value)

    def single(self, stored: Revision) -> bytes:
        """The answer to a get, or to a write."""
        if self.accept.form == "metadata list":
            text = "you requested PartialObjectMetadataList, but the requested object is not a list"
            raise Refused(406, "NotAcceptable", text)
        if self.accept.form == "table":
            value = self._table([stored], {"resourceVersion": str(stored.revision)})
            return self._finish(_encode(value))
        return self._finish(self.event_object(stored))

    def many(self, stored: Iterable[Revision], metadata: Object) -> bytes:
        """The answer to a list."""
        if self.accept.form == "metadata":
            text = "you requested PartialObjectMetadata, but the requested object is a list"
            raise Refused(406, "NotAcceptable", text)
        match self.accept.form:
            case "object":
                return self._finish(self._list(stored, metadata))
            case "metadata list":
                items = [self._metadata(entry) for entry in stored]
                head = {"kind": "PartialObjectMetadataList", "apiVersion": f"meta.k8s.io/{self.accept.version}"}
                return self._finish(_encode({**head, "metadata": metadata, "items": items}))
            case _:
                return self._finish(_encode(self._table(list(stored), metadata)))

    def bookmark(self, revision: int, annotations: Object | None = None) -> bytes:
        """The object of a BOOKMARK event: nothing but a revision."""
        metadata: Object = {"resourceVersion": str(revision)}
        if annotations:
            metadata["annotations"] = annotations
        if self.accept.form == "table":
            return _encode(self._table([], {"resourceVersion": str(revision)}) | {"rows": []})
        return self._head + b'"metadata":' + _encode(metadata) + b"}"

    def _list(self, stored: Iterable[Revision], metadata: Object) -> bytes:
        kind = self.endpoint.kind
        if kind.custom:
            metadata = {"continue": "", **metadata}
        head = b'{"kind":"%b","apiVersion":"%b","metadata":%b,"items":[' % (
            kind.list_kind.encode(),
            self.endpoint.api_version.encode(),
            _encode(metadata),
        )
        if not kind.custom:
            items = [b'{"metadata":{"resourceVersion":"%d"%b' % (entry.revision, entry.tail) for entry in stored]
        else:
            items = [self._item_head + self.body(entry) for entry in stored]
        return head + b",".join(items) + b"]}"

    def _metadata(self, stored: Revision, revision: int | None = None) -> Object:
        value = self.to_object(stored, revision)
        return {
            "kind": "PartialObjectMetadata",
            "apiVersion": f"meta.k8s.io/{self.accept.version}",
            "metadata": value["metadata"],
        }

    def _table(self, stored: Sequence[Revision], metadata: Object, revision: int | None = None) -> Object:
        columns = self.endpoint.version.columns
        return {
            "kind": "Table",
            "apiVersion": f"meta.k8s.io/{self.accept.version}",
            "metadata": metadata,
            "columnDefinitions": [_definition(column) for column in columns],
            "rows": [self._row(entry, columns, revision) for entry in stored],
        }

    def _row(self, stored: Revision, columns: Sequence[Column], revision: int | None) -> Object:
        value = self.to_object(stored, revision)
        row: Object = {"cells": [column.value(value, self.now) for column in columns]}
        match self.include:
            case "Object":
                row["object"] = value
            case "None":
                row["object"] = None
            case _:
                head = {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{self.accept.version}"}
                row["object"] = {**head, "metadata": value["metadata"]}
        return row

    def _finish(self, body: bytes) -> bytes:
        if self.accept.media_type == JSON:
            return body
        return dump_yaml(msgspec.json.decode(body))

    @property
    def media_type(self) -> str:
        return self.accept.media_type if self.accept.media_type == YAML else JSON


def _definition(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }
