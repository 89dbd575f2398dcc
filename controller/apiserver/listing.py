"""Lists: consistent pages of one snapshot, and what the parameters of a list may say."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import msgspec

from controller.apiserver import causes
from controller.apiserver.kinds import Endpoint, dig
from controller.apiserver.requests import Request
from controller.apiserver.schema.node import MISSING
from controller.apiserver.selectors import (
    FieldTerm,
    Requirement,
    matches_fields,
    matches_labels,
    parse_fields,
    parse_labels,
)
from controller.apiserver.status import Cause, Object, Refused, bad_request, expired, invalid
from controller.apiserver.store import Compacted, Revision, Store

_MATCHES = ("Exact", "NotOlderThan", "")
TOO_OLD_LIST = "The resourceVersion for the provided list is too old."
TOO_OLD_PAGE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


@attrs.frozen(kw_only=True)
class Filter:
    """Which objects of a kind a request is about."""

    namespace: str = ""
    labels: tuple[Requirement, ...] = ()
    fields: tuple[FieldTerm, ...] = ()
    fields_of: Callable[[Revision], dict[str, str]] = lambda _: {}

    def matches(self, stored: Revision | None) -> bool:
        return (
            stored is not None
            and (not self.namespace or stored.namespace == self.namespace)
            and (not self.labels or matches_labels(self.labels, stored.labels))
            and (not self.fields or matches_fields(self.fields, self.fields_of(stored)))
        )

    @property
    def selects(self) -> bool:
        return bool(self.labels or self.fields)


def field_reader(endpoint: Endpoint) -> Callable[[Revision], dict[str, str]]:
    """What field selectors of a kind see in an object."""
    behaviour, selectable = endpoint.kind.behaviour, endpoint.version.fields

    def read(stored: Revision) -> dict[str, str]:
        if stored.fields is None:
            found = {"metadata.name": stored.name, "metadata.namespace": stored.namespace}
            if behaviour.field_names or selectable:
                value = stored.to_object()
                found |= behaviour.fields(value)
                for field, path in selectable.items():
                    inner = dig(value, *path.strip(".").split("."))
                    if inner is not MISSING and inner is not None:
                        found[field] = str(inner).lower() if isinstance(inner, bool) else str(inner)
            stored.fields = found
        return stored.fields

    return read


def parse_filter(request: Request, endpoint: Endpoint, namespace: str, name: str = "") -> Filter:
    kind = endpoint.kind
    known = {"metadata.name", *kind.behaviour.field_names, *endpoint.version.fields}
    if kind.namespaced:
        known.add("metadata.namespace")
    terms = parse_fields(request.query.get("fieldSelector", ""), known.__contains__)
    if name:
        terms = (*terms, FieldTerm("metadata.name", True, name))
    return Filter(
        namespace=namespace,
        labels=parse_labels(request.query.get("labelSelector", "")),
        fields=terms,
        fields_of=field_reader(endpoint),
    )


@attrs.frozen(kw_only=True)
class ListOptions:
    """The parameters of a list or watch; `revision` is None where none was given."""

    revision: int | None
    match: str
    limit: int
    token: str
    initial_events: bool | None
    bookmarks: bool
    timeout: int | None

    @property
    def wanted(self) -> int:
        """The revision that must exist before an answer can be given."""
        return self.revision or 0


def parse_options(request: Request, *, watching: bool) -> ListOptions:
    query = request.query
    text = query.get("resourceVersion", "")
    match = query.get("resourceVersionMatch", "")
    token = query.get("continue", "")
    limit, timeout = request.number("limit"), request.number("timeoutSeconds")
    initial = query.get("sendInitialEvents")
    options = ListOptions(
        revision=None if text == "" else _revision(text, watching=watching),
        match=match,
        limit=max(limit or 0, 0),
        token=token,
        initial_events=None if initial is None else request.flag("sendInitialEvents"),
        bookmarks=request.flag("allowWatchBookmarks"),
        timeout=timeout,
    )
    problems = list(_watch_problems(options, text) if watching else _list_problems(options, text))
    if problems:
        raise invalid("meta.k8s.io", "ListOptions", "", problems)
    return options


def _revision(text: str, *, watching: bool) -> int:
    if not text.isascii() or not text.isdigit():
        if watching:  # the API server has no better code for this
            why = f'strconv.ParseUint: parsing "{text}": invalid syntax'
            raise Refused(500, "", f'resourceVersion: Invalid value: "{text}": {why}')
        raise bad_request(
            f'invalid resource version: resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": '
            "invalid syntax"
        )
    return int(text)


def _list_problems(options: ListOptions, text: str) -> Iterator[Cause]:
    field = "resourceVersionMatch"
    if options.match:
        yield from _match_problems(options, text, field)
    if options.initial_events is not None:
        yield causes.forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list")


def _match_problems(options: ListOptions, text: str, field: str) -> Iterator[Cause]:
    if not text:
        yield causes.forbidden_field(field, "resourceVersionMatch is forbidden unless resourceVersion is provided")
    if options.token:
        yield causes.forbidden_field(field, "resourceVersionMatch is forbidden when continue is provided")
    if options.match not in _MATCHES:
        yield causes.not_supported(field, options.match, _MATCHES)
    if options.match == "Exact" and text == "0":
        yield causes.forbidden_field(field, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')


def _watch_problems(options: ListOptions, _text: str) -> Iterator[Cause]:
    field = "resourceVersionMatch"
    if options.initial_events is not None and options.match != "NotOlderThan":
        yield causes.forbidden_field(field, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
        if options.match:
            yield causes.not_supported(field, options.match, ("NotOlderThan",))
        return
    if options.match and options.initial_events is None:
        yield causes.forbidden_field(
            field, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        )
        if options.match != "NotOlderThan":
            yield causes.not_supported(field, options.match, ("NotOlderThan",))


def encode_token(revision: int, after: str) -> str:
    body = msgspec.json.encode({"v": "meta.k8s.io/v1", "rv": revision, "start": after + "\0"})
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def decode_token(token: str) -> tuple[int, str]:
    """The revision of a continued list (-1: whatever is newest) and the key it goes on behind."""
    try:
        value = msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        revision, start = value["rv"], value["start"]
    except KeyError:
        text = "continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)"
        raise bad_request(f"invalid continue token: {text}") from None
    except (ValueError, binascii.Error, msgspec.DecodeError, TypeError) as error:
        raise bad_request(f"invalid continue token: continue key is not valid: {error}") from None
    if not isinstance(revision, int) or not isinstance(start, str) or value.get("v") != "meta.k8s.io/v1":
        raise bad_request("continue key is not valid: server does not recognize this encoded version")
    return revision, start.rstrip("\0")


@attrs.frozen
class Page:
    """One answer to a list."""

    objects: list[Revision]
    metadata: Object


def read_page(store: Store, endpoint: Endpoint, options: ListOptions, wanted: Filter, at: int | None = None) -> Page:
    """The objects a list shows, and the metadata that tells how to go on; `at` makes this a lagging replica."""
    snapshot, after, token = at or store.revision, "", options.token
    if token:
        if options.revision:
            raise bad_request("specifying resource version is not allowed when using continue")
        revision, after = decode_token(token)
        snapshot = revision if revision > 0 else snapshot
    elif options.revision and (options.match == "Exact" or (options.limit and not options.match)):
        snapshot = options.revision
    # A list that may be of any age comes out of a cache, which knows no pages.
    limit = 0 if options.revision == 0 and not token else options.limit
    resource = endpoint.kind.resource
    found: list[Revision] = []
    more = False
    try:
        for stored in store.scan(resource, namespace=wanted.namespace, after=after, at=snapshot):
            if not wanted.matches(stored):
                continue
            if limit and len(found) == limit:
                more = True
                break
            found.append(stored)
    except Compacted:
        if token:
            raise expired(TOO_OLD_PAGE, continue_token=encode_token(-1, after)) from None
        raise expired(TOO_OLD_LIST) from None
    metadata: dict[str, Any] = {"resourceVersion": str(snapshot)}
    if more:
        metadata["continue"] = encode_token(snapshot, found[-1].key)
        if not wanted.selects:
            rest = store.scan(resource, namespace=wanted.namespace, after=found[-1].key, at=snapshot)
            metadata["remainingItemCount"] = sum(1 for _ in rest)
    return Page(found, metadata)
