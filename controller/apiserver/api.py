"""The API: every request, answered out of the store. No sockets, no clock, no chance.

`handle` is a generator: it yields an `Effect` when something has to be waited for, is sent what came of it, and
returns a `Response`, or a `Watch` for whoever holds the connection to drain.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from controller.apiserver import deletes, discovery, openapi, patches, scale
from controller.apiserver.builtin import services, table
from controller.apiserver.catalog import Catalog
from controller.apiserver.decoding import decode
from controller.apiserver.definitions import Definitions
from controller.apiserver.effects import Steps, WaitForRevision
from controller.apiserver.kinds import Endpoint
from controller.apiserver.listing import parse_filter, parse_options, read_page
from controller.apiserver.managed import tracking
from controller.apiserver.metadata import Environment
from controller.apiserver.options import WriteOptions
from controller.apiserver.requests import (
    NOT_FOUND,
    Place,
    Request,
    Response,
    parse_accept,
    parse_place,
    refuse,
    respond,
)
from controller.apiserver.shapes import is_list, list_at
from controller.apiserver.status import (
    GroupResource,
    Object,
    Refused,
    bad_request,
    method_not_allowed,
    not_found,
    too_large,
    unknown_path,
)
from controller.apiserver.store import Compacted, Revision, Store, object_key
from controller.apiserver.views import View
from controller.apiserver.watching import Watch
from controller.apiserver.writes import Writer, Written
from controller.apiserver.yaml_text import dump_yaml

Answer: TypeAlias = Response | Watch

_SERVICES = GroupResource("", "services")


class Api:
    """A whole API server, but for its network."""

    def __init__(self, store: Store, environment: Environment) -> None:
        self.store = store
        self.environment = environment
        self.catalog = Catalog(table.kinds(self._taken))
        definitions = Definitions(store, self.catalog, environment)
        self.writer = Writer(store=store, catalog=self.catalog, environment=environment, definitions=definitions)
        self._addresses: tuple[int, set[str]] = (0, set())

    def _taken(self) -> set[str]:
        """The addresses that stored Services hold, gathered again only when Services have changed."""
        end = self.store.end(_SERVICES)
        if self._addresses[0] != end or end == 0:
            found = [services.held(stored.to_object()) for stored in self.store.scan(_SERVICES)]
            self._addresses = (end, set[str]().union(*found))
        return set(self._addresses[1])

    # --- dispatch

    def handle(self, request: Request, *, at: int | None = None) -> Steps[Answer]:
        """Answer one request; `at` makes reads see an older revision, as from a replica that lags."""
        try:
            place = parse_place(request.path)
            if place is None:
                return self._handle_other(request)
            endpoint = self.catalog.endpoint(place.group, place.version, place.plural)
            if endpoint is None:
                return self._unknown(place)
        except Refused as refused:
            return refuse(refused)
        try:
            answer = yield from self._handle_object(request, endpoint, place, at)
        except Refused as refused:
            answer = refuse(refused)
        if isinstance(answer, Response) and endpoint.version.deprecation:
            answer = attrs.evolve(answer, warnings=(endpoint.version.deprecation, *answer.warnings))
        return answer

    def _handle_other(self, request: Request) -> Response:
        found = discovery.answer(self.catalog, request) or openapi.answer(self.catalog, request)
        if found is not None:
            return found
        parts = request.path.strip("/").split("/")
        if parts[0] in ("api", "version") or (parts[0] == "apis" and len(parts) > 1 and self._is_builtin(parts[1])):
            raise unknown_path()
        return NOT_FOUND

    def _is_builtin(self, group: str) -> bool:
        return any(kind.group == group and not kind.custom for kind in self.catalog)

    def _unknown(self, place: Place) -> Response:
        if place.group and not self._is_builtin(place.group):
            return NOT_FOUND
        raise unknown_path()

    def _handle_object(self, request: Request, endpoint: Endpoint, place: Place, at: int | None) -> Steps[Answer]:
        self._check_place(endpoint, place, request.method)
        if endpoint.kind.behaviour.create_only:
            return self._review(request, endpoint)
        if place.subresource:
            return (yield from self._handle_subresource(request, endpoint, place, at))
        match request.method, bool(place.name):
            case "GET", True if "/watch/" not in request.path:
                return (yield from self._get(request, endpoint, place, at))
            case "GET", _:
                return (yield from self._list_or_watch(request, endpoint, place, at))
            case "POST", False:
                return self._written(request, endpoint, (yield from self.writer.create(request, endpoint, place)))
            case "PUT", True:
                return self._written(request, endpoint, (yield from self.writer.update(request, endpoint, place)))
            case "PATCH", True:
                written = yield from patches.patch(self.writer, request, endpoint, place)
                return self._written(request, endpoint, written)
            case "DELETE", True:
                return (yield from self._delete(request, endpoint, place))
            case "DELETE", False if not endpoint.kind.behaviour.no_deletecollection:
                return (yield from self._delete_collection(request, endpoint, place))
            case _:
                raise method_not_allowed()

    def _check_place(self, endpoint: Endpoint, place: Place, method: str) -> None:
        kind = endpoint.kind
        if place.namespace and not kind.namespaced:
            raise unknown_path()
        if kind.namespaced and not place.namespace:
            if place.name:
                raise unknown_path()
            if method != "GET":
                raise method_not_allowed()

    def _handle_subresource(self, request: Request, endpoint: Endpoint, place: Place, at: int | None) -> Steps[Answer]:
        kind = endpoint.kind
        if place.subresource == "scale" and endpoint.version.scale is not None:
            return respond((yield from scale.handle(self.writer, request, endpoint, place)))
        if place.subresource == "finalize" and kind.plural == "namespaces" and request.method == "PUT":
            return self._finalize(request, endpoint, place)
        if place.subresource != "status" or not endpoint.version.status:
            raise unknown_path()
        match request.method:
            case "GET":
                return (yield from self._get(request, endpoint, place, at))
            case "PUT":
                return self._written(request, endpoint, (yield from self.writer.update(request, endpoint, place)))
            case "PATCH":
                written = yield from patches.patch(self.writer, request, endpoint, place)
                return self._written(request, endpoint, written)
            case _:
                raise method_not_allowed()

    # --- reads

    def _view(self, request: Request, endpoint: Endpoint) -> View:
        accept = parse_accept(request.headers.get("accept", ""))
        include = request.query.get("includeObject") or "Metadata"
        return View(endpoint, accept, include=include, now=self.environment.now().timestamp())

    def _get(self, request: Request, endpoint: Endpoint, place: Place, at: int | None) -> Steps[Answer]:
        view = self._view(request, endpoint)
        options = parse_options(request, watching=False)
        yield from self._wait(options.wanted)
        kind = endpoint.kind
        key = object_key(place.namespace if kind.namespaced else "", place.name)
        try:
            stored = self.store.get(kind.resource, key, at=at)
        except Compacted:
            stored = self.store.get(kind.resource, key)
        if stored is None:
            raise not_found(kind.resource, place.name)
        return Response(200, view.single(stored), view.media_type)

    def _list_or_watch(self, request: Request, endpoint: Endpoint, place: Place, at: int | None) -> Steps[Answer]:
        watching = request.flag("watch") or "/watch/" in request.path
        view = self._view(request, endpoint)
        options = parse_options(request, watching=watching)
        wanted = parse_filter(request, endpoint, place.namespace, place.name)
        if watching:
            if options.initial_events:
                yield from self._wait(options.wanted)
            return Watch(self.store, view, wanted, options, at=at)
        yield from self._wait(options.wanted)
        page = read_page(self.store, endpoint, options, wanted, at)
        return Response(200, view.many(page.objects, page.metadata), view.media_type)

    def _wait(self, revision: int) -> Steps[None]:
        if revision > self.store.revision:
            yield WaitForRevision(revision)
            if revision > self.store.revision:
                raise too_large(revision, self.store.revision)

    # --- writes

    def _written(self, request: Request, endpoint: Endpoint, written: Written) -> Response:
        code = 201 if written.created else 200
        body = self._render(request, endpoint, written.value, written.stored)
        return attrs.evolve(body, status=code, warnings=written.warnings)

    def _render(self, request: Request, endpoint: Endpoint, value: Object, stored: Revision | None) -> Response:
        view = self._view(request, endpoint)
        if stored is not None:
            return Response(200, view.single(stored), view.media_type)
        if view.media_type == "application/yaml":
            return Response(200, dump_yaml(value), view.media_type)
        return respond(value)

    def _delete(self, request: Request, endpoint: Endpoint, place: Place) -> Steps[Answer]:
        value, _ = yield from deletes.delete(self.writer, request, endpoint, place)
        return respond(value)

    def _delete_collection(self, request: Request, endpoint: Endpoint, place: Place) -> Steps[Answer]:
        view = self._view(request, endpoint)
        found, _, metadata = yield from deletes.delete_collection(self.writer, request, endpoint, place)
        return Response(200, view.many(found, metadata), view.media_type)

    def _finalize(self, request: Request, endpoint: Endpoint, place: Place) -> Response:
        stored = self.store.get(endpoint.kind.resource, place.name)
        if stored is None:
            raise not_found(endpoint.kind.resource, place.name)
        given = decode(request.body, request.headers.get("content-type", ""), endpoint, "Ignore").value
        if given["metadata"].get("name") != place.name:
            raise bad_request("the name of the object does not match the name on the URL")
        value = stored.to_object()
        finalizers = list_at(given, "spec", "finalizers")
        value["spec"] = {"finalizers": finalizers} if is_list(finalizers) and finalizers else {}
        if value["metadata"].get("deletionTimestamp") and not value["spec"] and not value["metadata"].get("finalizers"):
            self.writer.remove(endpoint.kind, stored.key)
        else:
            value["metadata"]["resourceVersion"] = str(self.writer.put(value, endpoint).revision)
        return respond(value)

    def _review(self, request: Request, endpoint: Endpoint) -> Response:
        """An access review: everybody may do everything."""
        if request.method != "POST":
            raise method_not_allowed()
        options = WriteOptions.parse(request, "CreateOptions")
        value = decode(request.body, request.headers.get("content-type", ""), endpoint, "Warn").value
        value.pop("status", None)
        tracking.on_update(value, None, endpoint, options, self.environment)
        value["status"] = {"allowed": True}
        return respond(value, 201)


def run(steps: Steps[Any], answers: dict[type, Any] | None = None) -> Any:
    """Run steps to their end where nothing can be waited for: every effect is answered from `answers`, or by None."""
    try:
        effect = next(steps)
        while True:
            effect = steps.send((answers or {}).get(type(effect)))
    except StopIteration as stop:
        return stop.value
