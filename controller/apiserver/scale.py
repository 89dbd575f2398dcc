"""The scale subresource of workloads: how many there are to be."""

from __future__ import annotations

from typing import Any

import msgspec

from controller.apiserver.decoding import Decoded
from controller.apiserver.effects import Steps
from controller.apiserver.kinds import Endpoint, dig
from controller.apiserver.managed import tracking
from controller.apiserver.options import WriteOptions
from controller.apiserver.patching.merge import json_patch, merge_patch
from controller.apiserver.requests import Place, Request, parse_json
from controller.apiserver.schema.node import MISSING
from controller.apiserver.status import Object, bad_request, method_not_allowed, not_found
from controller.apiserver.store import object_key
from controller.apiserver.writes import Writer

_KEPT = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def to_scale(value: Object) -> Object:
    """What a workload looks like through its scale."""
    given = dig(value, "spec", "replicas")
    given = 0 if given is MISSING else given
    found = dig(value, "status", "replicas")
    status: Object = {"replicas": 0 if found is MISSING else found}
    labels = dig(value, "spec", "selector", "matchLabels")
    if labels not in (MISSING, None):
        status["selector"] = ",".join(f"{key}={inner}" for key, inner in sorted(labels.items()))
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: value["metadata"][name] for name in _KEPT if name in value["metadata"]},
        "spec": {"replicas": given} if given else {},
        "status": status,
    }


def handle(writer: Writer, request: Request, endpoint: Endpoint, place: Place) -> Steps[Object]:
    """Read or write how many replicas a workload is to have."""
    kind = endpoint.kind
    stored = writer.store.get(kind.resource, object_key(place.namespace, place.name))
    if stored is None:
        raise not_found(kind.resource, place.name)
    scale = to_scale(writer.read(stored, endpoint))
    if request.method in ("GET", "HEAD"):
        return scale
    options = WriteOptions.parse(request, "UpdateOptions" if request.method == "PUT" else "PatchOptions")
    wanted = _wanted(request, scale)
    replicas = dig(wanted, "spec", "replicas")
    number = 0 if replicas is MISSING else replicas
    if not isinstance(number, int) or number < 0:
        raise bad_request(f"spec.replicas of a scale must not be {number!r}")

    def produce(old: Object) -> Decoded:
        old["spec"]["replicas"] = number
        if revision := wanted["metadata"].get("resourceVersion"):
            old["metadata"]["resourceVersion"] = revision
        return Decoded(old)

    written = yield from writer.change(produce, endpoint, place, options, retry=True, track=_track)
    return to_scale(written.value)


def _track(value: Object, old: Object, *rest: Any, **options: Any) -> None:
    """Through its scale, nobody becomes the owner of what nobody has owned before."""
    managers = tracking.read_managers(old["metadata"].get("managedFields"))
    if any(manager.fields.has(("f:spec", "f:replicas")) for manager in managers.values()):
        tracking.on_update(value, old, *rest, **options)


def _wanted(request: Request, scale: Object) -> Any:
    try:
        body = parse_json(request.body)
    except msgspec.DecodeError as error:
        raise bad_request(f"error decoding the scale: {error}") from None
    match request.method:
        case "PUT":
            return body
        case "PATCH" if request.headers.get("content-type", "").startswith("application/json-patch"):
            return json_patch(scale, body)
        case "PATCH":
            return merge_patch(scale, body)
        case _:
            raise method_not_allowed()
