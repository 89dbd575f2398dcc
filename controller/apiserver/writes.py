"""Create, update and patch: from a request to a stored object, one step after the other as the API server does.

An update is computed from what is stored, and stored only if that has not changed meanwhile (webhooks take time).
A patch is then computed again; a whole object is refused, unless it names no resourceVersion.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Generator, Sequence
from typing import Any

import attrs

from controller.apiserver import admission, metadata
from controller.apiserver.catalog import Catalog
from controller.apiserver.decoding import Decoded, decode
from controller.apiserver.definitions import Definitions
from controller.apiserver.effects import Steps
from controller.apiserver.kinds import Endpoint, Kind, dig
from controller.apiserver.managed import tracking
from controller.apiserver.options import WriteOptions
from controller.apiserver.requests import Place, Request
from controller.apiserver.schema.defaulting import fill_defaults
from controller.apiserver.schema.listtypes import duplicates
from controller.apiserver.schema.node import MISSING, Node
from controller.apiserver.schema.rules import check_rules
from controller.apiserver.schema.unknown import prune
from controller.apiserver.schema.validation import validate
from controller.apiserver.shapes import is_list, is_object, list_at, same
from controller.apiserver.status import (
    Cause,
    GroupResource,
    Object,
    Refused,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
)
from controller.apiserver.store import Revision, Store, object_key
from controller.apiserver.views import in_version

NAMESPACES = GroupResource("", "namespaces")
_RETRIES = 5
_PLAIN = 1e21  # smaller numbers are written without an exponent
_NAMES = 8  # how many generated names are tried
UNCHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)
_BLOCKING = frozenset(
    {"FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid"}
)


@attrs.frozen
class Written:
    """What a write led to: the object in the version of the request, and where it is stored."""

    value: Object
    stored: Revision | None
    warnings: tuple[str, ...] = ()
    created: bool = False


@attrs.frozen(kw_only=True)
class Writer:
    """Everything that a write needs to know."""

    store: Store
    catalog: Catalog
    environment: metadata.Environment
    definitions: Definitions

    # --- create

    def create(self, request: Request, endpoint: Endpoint, place: Place) -> Steps[Written]:
        options = WriteOptions.parse(request, "CreateOptions")
        decoded = decode(request.body, request.headers.get("content-type", ""), endpoint, options.field_validation)
        with telling(decoded):
            return (yield from self.create_object(decoded, endpoint, place, options))

    def create_object(
        self,
        decoded: Decoded,
        endpoint: Endpoint,
        place: Place,
        options: WriteOptions,
        *,
        track: Callable[..., None] = tracking.on_update,
    ) -> Steps[Written]:
        kind, value = endpoint.kind, decoded.value
        place_object(value, endpoint, place)
        place = attrs.evolve(place, name=value["metadata"].get("name", ""))
        if value["metadata"].get("resourceVersion") not in (None, "", "0"):
            raise Refused(500, "", "resourceVersion should not be set on objects to be created")
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            value["metadata"].pop(field, None)
        if endpoint.version.status and not kind.behaviour.status_on_create:
            value.pop("status", None)
        track(value, None, endpoint, options, self.environment)
        self.check_namespace(kind, value)
        attributes = self._attributes("CREATE", endpoint, place, options)
        value = yield from admission.mutate(self.store, attributes, value, None)
        self._name(value, kind)
        metadata.prepare_create(value, kind, self.environment)
        _prepare(value, None, kind)
        self._reset_status(value, endpoint)
        self._refuse_invalid(value, None, endpoint)
        warnings = decoded.warnings
        if kind.custom:
            warnings += metadata.finalizer_warnings(value, None)
        warnings += yield from admission.validate(self.store, attributes, value, None)
        if self._exists(value, kind):
            meta = value["metadata"]
            raise already_exists(kind.resource, meta["name"], generated=bool(meta.get("generateName")))
        stored = self._store(value, endpoint, options)
        return Written(value, stored, warnings, created=True)

    def _name(self, value: Object, kind: Kind) -> None:
        """Give a name to an object that asks for one."""
        meta = value["metadata"]
        if meta.get("name") or not meta.get("generateName"):
            return
        for _ in range(_NAMES):
            meta["name"] = meta["generateName"][:58] + self.environment.new_suffix()
            if not self._exists(value, kind):
                return

    def _exists(self, value: Object, kind: Kind) -> bool:
        key = object_key(value["metadata"].get("namespace", ""), value["metadata"]["name"])
        return self.store.get(kind.resource, key) is not None

    # --- update

    def update(self, request: Request, endpoint: Endpoint, place: Place) -> Steps[Written]:
        options = WriteOptions.parse(request, "UpdateOptions")
        decoded = decode(request.body, request.headers.get("content-type", ""), endpoint, options.field_validation)
        with telling(decoded):
            return (yield from self._update(decoded, endpoint, place, options))

    def _update(self, decoded: Decoded, endpoint: Endpoint, place: Place, options: WriteOptions) -> Steps[Written]:
        place_object(decoded.value, endpoint, place)
        check_name(decoded.value, place)
        if self._find(endpoint.kind, place) is None and self._creates(endpoint, place):
            decoded.value["metadata"].pop("resourceVersion", None)
            return (yield from self.create_object(decoded, endpoint, place, options))
        unconditional = not decoded.value["metadata"].get("resourceVersion")

        def produce(old: Object) -> Decoded:
            self._check_identity(decoded.value, old, endpoint.kind)
            return Decoded(copy.deepcopy(decoded.value), decoded.warnings)

        return (yield from self.change(produce, endpoint, place, options, retry=unconditional))

    def change(
        self,
        produce: Callable[[Object], Decoded],
        endpoint: Endpoint,
        place: Place,
        options: WriteOptions,
        *,
        retry: bool,
        track: Callable[..., None] = tracking.on_update,
    ) -> Steps[Written]:
        """Turn the stored object into what `produce` makes of it."""
        kind = endpoint.kind
        for attempt in range(_RETRIES):
            found = self._find(kind, place)
            if found is None:
                raise not_found(kind.resource, place.name)
            old = self.read(found, endpoint)
            decoded = produce(copy.deepcopy(old))
            with telling(decoded):
                written = yield from self._change_once(found, old, decoded, endpoint, place, options, track)
            if written is not None:
                return written
            if not retry or attempt == _RETRIES - 1:
                break
        raise conflict(kind.resource, place.name)

    def _change_once(
        self,
        found: Revision,
        old: Object,
        decoded: Decoded,
        endpoint: Endpoint,
        place: Place,
        options: WriteOptions,
        track: Callable[..., None],
    ) -> Steps[Written | None]:
        """One try at an update; None if the stored object has changed meanwhile."""
        kind, value = endpoint.kind, decoded.value
        self._check_revision(value, old, kind)
        metadata.prepare_update(value, old)
        self._keep(value, old, endpoint, place.subresource)
        track(value, old, endpoint, options, self.environment, subresource=place.subresource)
        if same(value, old):
            return Written(value, found, decoded.warnings)
        attributes = self._attributes("UPDATE", endpoint, place, options)
        self.check_namespace(kind, value, updating=True)
        value = yield from admission.mutate(self.store, attributes, value, old)
        _prepare(value, old, kind)
        self._bump_generation(value, old, endpoint)
        self._refuse_invalid(value, old, endpoint, place.subresource)
        warnings = yield from admission.validate(self.store, attributes, value, old)
        if self._find(kind, place) is not found:
            return None
        warnings = decoded.warnings + warnings
        if kind.custom:
            warnings += metadata.finalizer_warnings(value, old)
        return Written(value, self._store(value, endpoint, options, old), warnings)

    # --- pieces

    def read(self, stored: Revision, endpoint: Endpoint) -> Object:
        """A stored object in the version of a request."""
        value = stored.to_object()
        if endpoint.kind.custom and stored.origin is not endpoint.version:
            value = in_version(value, endpoint)
        return value

    def check_namespace(self, kind: Kind, value: Object, *, updating: bool = False) -> None:
        """Refuse to write into a namespace that is not there, or is on its way out."""
        if not kind.namespaced:
            return
        name = value["metadata"]["namespace"]
        namespace = self.store.get(NAMESPACES, name)
        if namespace is None:
            raise not_found(NAMESPACES, name)
        if not updating and dig(namespace.to_object(), "status", "phase") == "Terminating":
            text = f"unable to create new content in namespace {name} because it is being terminated"
            cause = Cause("NamespaceTerminating", f"namespace {name} is being terminated", "metadata.namespace")
            raise forbidden(kind.resource, value["metadata"].get("name", ""), text, [cause])

    def _find(self, kind: Kind, place: Place) -> Revision | None:
        return self.store.get(kind.resource, object_key(place.namespace if kind.namespaced else "", place.name))

    def _creates(self, endpoint: Endpoint, place: Place) -> bool:
        return endpoint.kind.behaviour.create_on_update and not place.subresource

    def _attributes(
        self, operation: str, endpoint: Endpoint, place: Place, options: WriteOptions
    ) -> admission.Attributes:
        return admission.Attributes(
            operation=operation,
            endpoint=endpoint,
            place=place,
            dry_run=options.dry_run,
            uid=self.environment.new_uid(),
            options=options.to_object(f"{operation.title()}Options"),
        )

    def _check_identity(self, value: Object, old: Object, kind: Kind) -> None:
        """Refuse to replace an object by another of the same name."""
        given, before = value["metadata"], old["metadata"]
        if given.get("uid") and given["uid"] != before["uid"]:
            key = f"{kind.plural}/{object_key(before.get('namespace', ''), before['name'])}"
            key = f"{kind.group}/{key}" if kind.custom else key
            text = (
                f"StorageError: invalid object, Code: 4, Key: /registry/{key}, ResourceVersion: 0, AdditionalErrorMsg: "
                f"Precondition failed: UID in precondition: {given['uid']}, UID in object meta: {before['uid']}"
            )
            raise conflict(kind.resource, before["name"], text)

    def _check_revision(self, value: Object, old: Object, kind: Kind) -> None:
        """Refuse an update of something older than what is stored."""
        given, before = value["metadata"], old["metadata"]
        revision = given.get("resourceVersion") or "0"
        if revision == "0":
            if not kind.behaviour.unconditional_update:
                text = "Invalid value: 0: must be specified for an update"
                cause = Cause("FieldValueInvalid", text, "metadata.resourceVersion")
                raise invalid(kind.group, kind.plural, before["name"], [cause])
        elif revision != before["resourceVersion"]:
            raise conflict(kind.resource, before["name"])

    def _keep(self, value: Object, old: Object, endpoint: Endpoint, subresource: str) -> None:
        """Put back what this endpoint cannot write: the status, or everything but the status."""
        if subresource == "status":
            written = value.get("status", MISSING)
            given = value["metadata"]
            kept = copy.deepcopy(old)
            if endpoint.kind.behaviour.status_writes_metadata:
                kept["metadata"] = given
            elif "managedFields" in given:
                kept["metadata"]["managedFields"] = given["managedFields"]
            value.clear()
            value |= kept
            value.pop("status", None)
            if written is not MISSING:
                value["status"] = written
        elif endpoint.version.status:
            value.pop("status", None)
            if "status" in old:
                value["status"] = copy.deepcopy(old["status"])

    def _reset_status(self, value: Object, endpoint: Endpoint) -> None:
        behaviour = endpoint.kind.behaviour
        if endpoint.version.status and not behaviour.status_on_create:
            value.pop("status", None)
            if (initial := behaviour.initial_status(value)) is not None:
                value["status"] = initial

    def _bump_generation(self, value: Object, old: Object, endpoint: Endpoint) -> None:
        if not endpoint.kind.behaviour.has_generation:
            return
        if endpoint.kind.custom:
            ignored = {"metadata", "status"} if endpoint.version.status else {"metadata"}
            parts = (value.keys() | old.keys()) - ignored
        else:
            parts = set(endpoint.kind.behaviour.spec_paths)
        if not all(same(value.get(part), old.get(part)) for part in parts):
            value["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def _refuse_invalid(self, value: Object, old: Object | None, endpoint: Endpoint, subresource: str = "") -> None:
        found = list(self._problems(value, old, endpoint, subresource))
        if found:
            kind = endpoint.kind
            raise invalid(kind.group, kind.kind, value["metadata"].get("name", ""), found)
        if endpoint.kind.custom:
            whole_numbers(value)

    def _problems(self, value: Object, old: Object | None, endpoint: Endpoint, subresource: str) -> list[Cause]:
        kind, behaviour = endpoint.kind, endpoint.kind.behaviour
        found = [] if old is None else list(metadata.check_update(value, old))
        found += metadata.check(value, kind)
        if kind.custom:
            found += custom_problems(value, old, endpoint, status_only=subresource == "status", known=found)
        elif subresource == "status":
            found += behaviour.validate_status(value, old)
        else:
            found += behaviour.validate(value, old)
        return found

    def _store(
        self, value: Object, endpoint: Endpoint, options: WriteOptions, old: Object | None = None
    ) -> Revision | None:
        """Write an object, or remove it if nothing but a finalizer had kept it."""
        kind, meta = endpoint.kind, value["metadata"]
        if options.dry_run:
            if kind.custom and kind.versions.get(kind.storage) not in (None, endpoint.version):
                self._to_storage(value, kind)
                in_version(value, endpoint)
            return None
        finished = old is not None and meta.get("deletionTimestamp") and not meta.get("finalizers")
        if finished and not meta.get("deletionGracePeriodSeconds") and not self._held(value, kind):
            key = object_key(meta.get("namespace", ""), meta["name"])
            self.remove(kind, key)
            return None
        stored = self.put(value, endpoint)
        meta["resourceVersion"] = str(stored.revision)
        return stored

    def put(self, value: Object, endpoint: Endpoint) -> Revision:
        """Store an object in the storage version of its kind."""
        kind = endpoint.kind
        storage = kind.versions.get(kind.storage, endpoint.version)
        if kind.custom and storage is not endpoint.version:
            value = copy.deepcopy(value)
            self._to_storage(value, kind)
        stored = self.store.put(kind.resource, value, storage)
        self.definitions.on_write(kind, stored)
        return stored

    def _to_storage(self, value: Object, kind: Kind) -> None:
        storage = kind.versions[kind.storage]
        value["apiVersion"] = kind.api_version(storage.name)
        prune(value, storage.schema, root=True)
        fill_defaults(value, storage.schema)

    def remove(self, kind: Kind, key: str) -> int:
        revision = self.store.delete(kind.resource, key)
        self.definitions.on_delete(kind, key)
        return revision

    def _held(self, value: Object, kind: Kind) -> bool:
        return kind.resource == NAMESPACES and bool(list_at(value, "spec", "finalizers"))


def whole_numbers(value: Any) -> Any:
    """Write 80.0 as 80, in place, as the API server does when it stores an object."""
    if is_object(value):
        for name, inner in value.items():
            value[name] = whole_numbers(inner)
    elif is_list(value):
        value[:] = [whole_numbers(item) for item in value]
    elif isinstance(value, float) and value.is_integer() and abs(value) < _PLAIN:
        return int(value)
    return value


def _prepare(value: Object, old: Object | None, kind: Kind) -> None:
    kind.behaviour.prepare(value, old)
    value |= {name: None for name in kind.behaviour.nulls if value.get(name) == []}


@contextlib.contextmanager
def telling(decoded: Decoded) -> Generator[None]:
    """Tell the warnings of a request even if it is refused."""
    try:
        yield
    except Refused as refused:
        refused.warnings = decoded.warnings + refused.warnings
        raise


def place_object(value: Object, endpoint: Endpoint, place: Place) -> None:
    """Make an object's namespace that of the path; refuse one that names another."""
    meta = value["metadata"]
    given = meta.get("namespace", "")
    if not endpoint.kind.namespaced:
        if given:
            meta.pop("namespace")
        return
    if given and given != place.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    meta["namespace"] = place.namespace


def check_name(value: Object, place: Place) -> None:
    """Refuse an object that is not the one of the path."""
    given = value["metadata"].get("name")
    if not given:
        raise undeterminable(place.name)
    if given != place.name:
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({place.name})")


def undeterminable(name: str) -> Refused:
    return bad_request(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")


def custom_problems(
    value: Object, old: Object | None, endpoint: Endpoint, *, status_only: bool, known: Sequence[Cause] = ()
) -> list[Cause]:
    """What the schema of a custom resource finds wrong, beside what is known to be."""
    schema = endpoint.version.schema
    before: Any = MISSING if old is None else old
    if status_only:
        found = _status_problems(value, before, schema)
    else:
        found = validate(value, schema, old=before)
        found += duplicates(value, schema)
    if not schema.has_rules:
        return found
    if any(cause.reason in _BLOCKING for cause in (*known, *found)):
        return [*found, Cause("FieldValueInvalid", f"Invalid value: null: {UNCHECKED}", "<nil>")]
    return found + list(check_rules(value, schema, old=before))


def _status_problems(value: Object, before: Any, schema: Node) -> list[Cause]:
    """What is wrong with a status; its messages begin at the status, its fields at the object."""
    inner = schema.properties.get("status")
    if inner is None or "status" not in value:
        return []
    status = value["status"]
    found = validate(status, inner, old=dig(before, "status") if before is not MISSING else MISSING)
    placed = [
        cause if cause.field == "<nil>" else cause._replace(field=f"status.{cause.field}".rstrip("."))
        for cause in found
    ]
    return placed + list(duplicates(status, inner, "status"))
