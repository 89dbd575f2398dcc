"""Which admission webhooks are asked about a write, what they are told, and what follows from their answers."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import cel
import jsonpatch
import msgspec

from controller.apiserver.decoding import Undecodable, shape
from controller.apiserver.effects import CallWebhook, Steps, WebhookFailed
from controller.apiserver.kinds import Endpoint
from controller.apiserver.requests import Place
from controller.apiserver.selectors import label_selector, matches_labels
from controller.apiserver.shapes import list_at, object_at
from controller.apiserver.status import GroupResource, Object, Refused, bad_request, internal
from controller.apiserver.store import Store

_GROUP = "admissionregistration.k8s.io"
_CONFIGURATIONS = {kind: GroupResource(_GROUP, f"{kind}webhookconfigurations") for kind in ("mutating", "validating")}
_NAMESPACES = GroupResource("", "namespaces")
_USER = {"username": "admin", "groups": ["system:masters", "system:authenticated"]}


@attrs.frozen(kw_only=True)
class Attributes:
    """What a write is, as admission sees it."""

    operation: str  # CREATE, UPDATE, DELETE
    endpoint: Endpoint
    place: Place
    dry_run: bool
    uid: str
    options: Object

    @property
    def resource(self) -> Object:
        kind = self.endpoint.kind
        return {"group": kind.group, "version": self.endpoint.version.name, "resource": kind.plural}


def mutate(store: Store, attributes: Attributes, value: Object, old: Object | None) -> Steps[Object]:
    """The object after every mutating webhook has had its say."""
    for hook, name in _matching(store, "mutating", attributes, value, old):
        response = yield from _ask(hook, name, attributes, value, old)
        if response is None:
            continue
        _judge(name, response)
        if patch := response.get("patch"):
            try:
                operations = msgspec.json.decode(base64.b64decode(patch))
                value = shape(jsonpatch.apply_patch(value, operations), attributes.endpoint, "Ignore").value
            except (ValueError, msgspec.DecodeError, jsonpatch.JsonPatchException, Undecodable) as error:
                raise internal(f'failed calling webhook "{name}": {error}') from None
    return value


def validate(store: Store, attributes: Attributes, value: Object | None, old: Object | None) -> Steps[tuple[str, ...]]:
    """Ask every validating webhook; their warnings, if none of them objects."""
    warnings: list[str] = []
    for hook, name in _matching(store, "validating", attributes, value, old):
        response = yield from _ask(hook, name, attributes, value, old)
        if response is not None:
            warnings += [str(text) for text in list_at(response, "warnings")]
            _judge(name, response)
    return tuple(warnings)


def _matching(
    store: Store, phase: str, attributes: Attributes, value: Object | None, old: Object | None
) -> Iterator[tuple[Object, str]]:
    kind = attributes.endpoint.kind
    if kind.group == _GROUP:
        return  # a webhook must not be able to lock out its own removal
    for stored in list(store.scan(_CONFIGURATIONS[phase])):
        for hook in list_at(stored.to_object(), "webhooks"):
            if any(_rule_fits(rule, attributes) for rule in list_at(hook, "rules")) and _selected(
                store, hook, attributes, value, old
            ):
                yield hook, hook["name"]


def _rule_fits(rule: Object, attributes: Attributes) -> bool:
    kind, place = attributes.endpoint.kind, attributes.place
    resource = kind.plural + (f"/{place.subresource}" if place.subresource else "")
    scope = rule.get("scope", "*")
    return (
        _in(rule.get("operations", ()), attributes.operation)
        and _in(rule.get("apiGroups", ()), kind.group)
        and any(version in rule.get("apiVersions", ()) for version in ("*", *kind.versions))
        and any(_resource_fits(entry, resource, kind.plural, place.subresource) for entry in rule.get("resources", ()))
        and (scope == "*" or (scope == "Namespaced") == kind.namespaced)
    )


def _in(wanted: Sequence[str], found: str) -> bool:
    return "*" in wanted or found in wanted


def _resource_fits(entry: str, resource: str, plural: str, subresource: str) -> bool:
    if entry in ("*/*", resource) or (entry == "*" and not subresource):
        return True
    return entry in (f"{plural}/*", f"*/{subresource}") and (bool(subresource) or entry.endswith("/*"))


def _selected(store: Store, hook: Object, attributes: Attributes, value: Object | None, old: Object | None) -> bool:
    kind, place = attributes.endpoint.kind, attributes.place
    if selector := label_selector(hook.get("namespaceSelector")):
        if kind.resource == _NAMESPACES:
            labels = object_at(value or old, "metadata", "labels")
        elif kind.namespaced:
            namespace = store.get(_NAMESPACES, place.namespace)
            labels = namespace.labels if namespace is not None else {}
        else:
            labels = None
        if labels is not None and not matches_labels(selector, labels):
            return False
    if selector := label_selector(hook.get("objectSelector")):
        candidates = [object_at(entry, "metadata", "labels") for entry in (value, old) if entry]
        if not any(matches_labels(selector, labels) for labels in candidates):
            return False
    return all(_condition_holds(condition, attributes, value, old) for condition in list_at(hook, "matchConditions"))


def _condition_holds(condition: Object, attributes: Attributes, value: Object | None, old: Object | None) -> bool:
    request = _request(attributes, value, old)
    try:
        context = {"object": value, "oldObject": old, "request": request}
        return bool(cel.compile(condition["expression"]).execute(context))
    except (ValueError, TypeError, RuntimeError, KeyError) as error:
        raise internal(f"evaluating match condition {condition['name']!r}: {error}") from None


def _request(attributes: Attributes, value: Object | None, old: Object | None) -> Object:
    kind, place = attributes.endpoint.kind, attributes.place
    request: Object = {
        "uid": attributes.uid,
        "kind": {"group": kind.group, "version": attributes.endpoint.version.name, "kind": kind.kind},
        "resource": attributes.resource,
        "requestKind": {"group": kind.group, "version": attributes.endpoint.version.name, "kind": kind.kind},
        "requestResource": attributes.resource,
    }
    if place.subresource:
        request |= {"subResource": place.subresource, "requestSubResource": place.subresource}
    name = place.name or object_at(value, "metadata").get("name", "")
    if name:
        request["name"] = name
    if place.namespace:
        request["namespace"] = place.namespace
    return request | {
        "operation": attributes.operation,
        "userInfo": _USER,
        "object": value,
        "oldObject": old,
        "dryRun": attributes.dry_run,
        "options": attributes.options,
    }


def _ask(
    hook: Object, name: str, attributes: Attributes, value: Object | None, old: Object | None
) -> Steps[Object | None]:
    """The response of one webhook; None if it gave none and that is to be ignored."""
    if attributes.dry_run and hook.get("sideEffects") not in ("None", "NoneOnDryRun"):
        raise bad_request(f'admission webhook "{name}" does not support dry run')
    review = {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": _request(attributes, value, old),
    }
    config = object_at(hook, "clientConfig")
    answer: Any = yield CallWebhook(
        name=name,
        url=_url(config),
        ca_bundle=config.get("caBundle") or "",
        timeout=float(hook.get("timeoutSeconds") or 10),
        review=review,
    )
    if isinstance(answer, WebhookFailed):
        if hook.get("failurePolicy", "Fail") == "Ignore":
            return None
        raise internal(f'failed calling webhook "{name}": {answer.message}')
    response: Object = answer
    return response


def _url(config: Object) -> str:
    if url := config.get("url"):
        return str(url)
    service = object_at(config, "service")
    port = service.get("port") or 443
    return f"https://{service.get('name')}.{service.get('namespace')}.svc:{port}{service.get('path') or '/'}"


def _judge(name: str, response: Object) -> None:
    if response.get("allowed") is True:
        return
    status = object_at(response, "status")
    code = status.get("code") or 400
    reason, message = status.get("reason") or "", status.get("message") or ""
    text = message or reason
    tail = f"denied the request: {text}" if text else "denied the request without explanation"
    if code < 400:
        code = 400
    raise Refused(code, reason, f'admission webhook "{name}" {tail}', details=status.get("details"))
