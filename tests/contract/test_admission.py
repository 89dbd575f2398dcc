"""Admission webhooks: whom the server asks, what it tells them, and what it makes of their answers."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import Widgets
from tests.contract.servers import APPLY, MERGE, Json, Server, told, unique, warnings
from tests.contract.webhook import Webhook, running_webhook
from tests.contract.widgets import widget

_BASE = "/apis/admissionregistration.k8s.io/v1"


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    with running_webhook(tmp_path_factory.mktemp("webhook")) as found:
        yield found


@contextlib.contextmanager
def _registered(widgets: Widgets, webhook: Webhook, kind: str = "Validating", **change: Any) -> Iterator[list[Json]]:
    """Have the webhook asked about widgets from now on; the requests that it gets.

    Beside the one that the test is about, the configuration has a second webhook, which is asked about everything: when
    that one is asked, both are in force.
    """
    server = widgets.server
    name = unique("hook")
    path = f"{_BASE}/{kind.lower()}webhookconfigurations"
    ping = webhook.configuration(widgets.group, name="ping.contract.test")
    ping["clientConfig"]["url"] = webhook.ping_url
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook.configuration(widgets.group, **change), ping],
    }
    server.create(path, body)
    try:
        server.wait(lambda: _pings(widgets, webhook))
        seen: list[Json] = []
        webhook.requests = seen
        yield seen
    finally:
        webhook.requests = []
        webhook.decide, webhook.status = (lambda _: {"allowed": True}), 200
        server.delete(f"{path}/{name}")
        server.wait(lambda: not _pings(widgets, webhook))


def _pings(widgets: Widgets, webhook: Webhook) -> bool:
    webhook.pings = 0
    widgets.server.post(f"{widgets.path}?dryRun=All", widget(unique("probe"), widgets.group, size=1))
    return webhook.pings > 0


def _deny(message: str, code: int | None = None, reason: str | None = None) -> Json:
    status: Json = {"message": message}
    if code is not None:
        status["code"] = code
    if reason is not None:
        status["reason"] = reason
    return {"allowed": False, "status": status}


def test_a_webhook_is_told_what_is_created(widgets: Widgets, webhook: Webhook) -> None:
    """A review carries kind, resource, name, namespace, operation, user and the object with its defaults."""
    with _registered(widgets, webhook) as seen:
        created = widgets.server.create(widgets.path, widget("a", widgets.group, size=1))
    request = seen[0]

    resource = {"group": widgets.group, "version": "v1", "resource": "widgets"}
    kind = {"group": widgets.group, "version": "v1", "kind": "Widget"}
    assert (request["kind"], request["requestKind"]) == (kind, kind)
    assert (request["resource"], request["requestResource"]) == (resource, resource)
    assert (request["name"], request["namespace"], request["operation"]) == ("a", widgets.namespace, "CREATE")
    assert request["oldObject"] is None
    assert request["dryRun"] is False
    assert request["userInfo"]["username"] == "admin"
    assert request["options"]["kind"] == "CreateOptions"
    assert request["object"]["spec"] == {"size": 1, "color": "red"}
    assert request["object"]["metadata"]["uid"] == created["metadata"]["uid"]


def test_a_webhook_is_told_what_an_update_changes(widgets: Widgets, webhook: Webhook) -> None:
    """A review of an update carries the object before and after."""
    widgets.server.create(widgets.path, widget("a", widgets.group, size=1))
    with _registered(widgets, webhook) as seen:
        widgets.server.patch(f"{widgets.path}/a", {"spec": {"size": 2}}, MERGE)
    request = seen[0]

    assert (request["operation"], request["options"]["kind"]) == ("UPDATE", "UpdateOptions")
    assert (request["oldObject"]["spec"]["size"], request["object"]["spec"]["size"]) == (1, 2)


def test_a_webhook_is_told_what_is_deleted(widgets: Widgets, webhook: Webhook) -> None:
    """A review of a deletion carries the object as the old one."""
    widgets.server.create(widgets.path, widget("a", widgets.group, size=1))
    with _registered(widgets, webhook) as seen:
        widgets.server.delete(f"{widgets.path}/a")
    request = seen[0]

    assert (request["operation"], request["object"]) == ("DELETE", None)
    assert request["oldObject"]["metadata"]["name"] == "a"


def test_a_webhook_is_told_of_subresources(widgets: Widgets, webhook: Webhook) -> None:
    """A write of the status is a review of its own."""
    widgets.server.create(widgets.path, widget("a", widgets.group, size=1))
    with _registered(widgets, webhook) as seen:
        widgets.server.patch(f"{widgets.path}/a/status", {"status": {"phase": "x"}}, MERGE)
    request = seen[0]

    assert (request["operation"], request["subResource"]) == ("UPDATE", "status")
    assert request["object"]["status"] == {"phase": "x"}


def test_a_dry_run_is_reviewed_as_one(widgets: Widgets, webhook: Webhook) -> None:
    """A webhook without side effects is asked about a dry run, and told that it is one."""
    with _registered(widgets, webhook) as seen:
        widgets.server.post(f"{widgets.path}?dryRun=All", widget("a", widgets.group, size=1))

    assert [request["dryRun"] for request in seen] == [True]


@pytest.mark.parametrize("verb", ["create", "update", "apply", "delete"])
def test_a_denial_refuses_the_write(widgets: Widgets, webhook: Webhook, verb: str) -> None:
    """What a webhook denies does not happen, and the client is told why and by whom."""
    server, path = widgets.server, f"{widgets.path}/a"
    if verb != "create":
        server.create(widgets.path, widget("a", widgets.group, size=1))
    with _registered(widgets, webhook):
        webhook.decide = lambda _: _deny("not today")
        match verb:
            case "create":
                response = server.post(widgets.path, widget("a", widgets.group, size=2))
            case "update":
                response = server.patch(path, {"spec": {"size": 2}}, MERGE)
            case "apply":
                response = server.patch(f"{path}?fieldManager=m&force=true", widget("a", widgets.group, size=2), APPLY)
            case _:
                response = server.delete(path)

    assert told(response) == (400, "", [])
    assert response.json()["message"] == 'admission webhook "hook.contract.test" denied the request: not today'
    found = server.get(path)
    assert found.status_code == (404 if verb == "create" else 200)
    if verb != "create":
        assert found.json()["spec"]["size"] == 1


@pytest.mark.parametrize(
    ("answer", "code", "reason", "ending"),
    [
        (_deny("no", 422, "Invalid"), 422, "Invalid", "denied the request: no"),
        (_deny("no", 403), 403, "", "denied the request: no"),
        (_deny("no", 200), 400, "", "denied the request: no"),
        ({"allowed": False}, 400, "", "denied the request without explanation"),
        ({"allowed": False, "status": {"reason": "Because"}}, 400, "Because", "denied the request: Because"),
    ],
)
def test_how_denials_are_passed_on(
    widgets: Widgets, webhook: Webhook, answer: Json, code: int, reason: str, ending: str
) -> None:
    """A denial keeps the webhook's code and reason, if they are those of a failure."""
    with _registered(widgets, webhook):
        webhook.decide = lambda _: answer
        response = widgets.server.post(widgets.path, widget("a", widgets.group, size=1))

    assert (response.status_code, response.json().get("reason", "")) == (code, reason)
    assert response.json()["message"].endswith(ending)


def test_warnings_of_webhooks_reach_the_client(widgets: Widgets, webhook: Webhook) -> None:
    """What a webhook warns of comes as a Warning header."""
    with _registered(widgets, webhook):
        webhook.decide = lambda _: {"allowed": True, "warnings": ["mind the gap"]}
        response = widgets.server.post(widgets.path, widget("a", widgets.group, size=1))

    assert response.status_code == 201
    assert warnings(response) == ["mind the gap"]


def test_the_schema_decides_before_the_webhook(widgets: Widgets, webhook: Webhook) -> None:
    """An object that its schema refuses is not reviewed."""
    with _registered(widgets, webhook) as seen:
        response = widgets.server.post(widgets.path, widget("a", widgets.group, size=99))

    assert told(response)[2] == ["spec.size"]
    assert seen == []


@pytest.mark.parametrize(("policy", "code"), [("Fail", 500), ("Ignore", 201)])
@pytest.mark.parametrize("failure", ["status", "uid"])
def test_a_webhook_that_fails(widgets: Widgets, webhook: Webhook, policy: str, code: int, failure: str) -> None:
    """Without a proper answer the failure policy decides."""
    with _registered(widgets, webhook, failurePolicy=policy):
        if failure == "status":
            webhook.status = 503
        else:
            webhook.decide = lambda _: {"allowed": True, "uid": "another"}
        response = widgets.server.post(widgets.path, widget("a", widgets.group, size=1))
        webhook.status = 200
        webhook.decide = lambda _: {"allowed": True}

    assert response.status_code == code
    if code == 500:
        assert told(response)[1] == "InternalError"
        assert 'failed calling webhook "hook.contract.test"' in response.json()["message"]


@pytest.mark.parametrize(
    ("operations", "asked"), [(["CREATE"], ["CREATE"]), (["UPDATE", "DELETE"], ["UPDATE", "DELETE"])]
)
def test_only_the_operations_of_its_rules(
    widgets: Widgets, webhook: Webhook, operations: list[str], asked: list[str]
) -> None:
    """A webhook is asked about the operations that its rules name."""
    rule = {"operations": operations, "apiGroups": [widgets.group], "apiVersions": ["v1"], "resources": ["widgets"]}
    server, path = widgets.server, f"{widgets.path}/a"
    with _registered(widgets, webhook, rules=[rule]) as seen:
        server.create(widgets.path, widget("a", widgets.group, size=1))
        server.patch(path, {"spec": {"size": 2}}, MERGE)
        server.patch(f"{path}/status", {"status": {"phase": "x"}}, MERGE)
        server.delete(path)

    assert [request["operation"] for request in seen] == asked


@pytest.mark.parametrize(("labels", "asked"), [({"ask": "yes"}, True), ({"ask": "no"}, False), ({}, False)])
def test_only_the_objects_that_it_selects(
    widgets: Widgets, webhook: Webhook, labels: dict[str, str], asked: bool
) -> None:
    """A webhook with an object selector is asked about objects with these labels."""
    with _registered(widgets, webhook, objectSelector={"matchLabels": {"ask": "yes"}}) as seen:
        body = widget("a", widgets.group, metadata={"labels": labels}, size=1)
        widgets.server.create(widgets.path, body)

    assert bool(seen) is asked


@pytest.mark.parametrize("operator", ["In", "NotIn"])
def test_only_the_namespaces_that_it_selects(widgets: Widgets, webhook: Webhook, operator: str) -> None:
    """A webhook with a namespace selector is asked about what lives in these namespaces."""
    expression = {"key": "kubernetes.io/metadata.name", "operator": operator, "values": [widgets.namespace]}
    with _registered(widgets, webhook, namespaceSelector={"matchExpressions": [expression]}) as seen:
        widgets.server.create(widgets.path, widget("a", widgets.group, size=1))

    assert bool(seen) is (operator == "In")


@pytest.mark.parametrize(
    ("operation", "spec"),
    [
        ({"op": "add", "path": "/spec/color", "value": "blue"}, {"size": 1, "color": "blue"}),
        ({"op": "add", "path": "/spec/unknown", "value": 1}, {"size": 1, "color": "red"}),
        ({"op": "remove", "path": "/spec/color"}, {"size": 1, "color": "red"}),
        (
            {"op": "add", "path": "/spec/parts", "value": [{"name": "p"}]},
            {"size": 1, "color": "red", "parts": [{"name": "p", "weight": 1}]},
        ),
    ],
)
def test_a_mutating_webhook_changes_the_object(widgets: Widgets, webhook: Webhook, operation: Json, spec: Json) -> None:
    """A JSON patch in the answer is applied, and its result pruned and filled in, before the object is stored."""
    patch = base64.b64encode(json.dumps([operation]).encode()).decode()
    with _registered(widgets, webhook, "Mutating"):
        webhook.decide = lambda _: {"allowed": True, "patchType": "JSONPatch", "patch": patch}
        created = widgets.server.create(widgets.path, widget("a", widgets.group, size=1))

    assert created["spec"] == spec


def test_a_mutating_webhook_is_judged_like_a_client(widgets: Widgets, webhook: Webhook) -> None:
    """What a webhook makes of an object must be valid."""
    operations = [{"op": "replace", "path": "/spec/size", "value": 11}]
    patch = base64.b64encode(json.dumps(operations).encode()).decode()
    with _registered(widgets, webhook, "Mutating"):
        webhook.decide = lambda _: {"allowed": True, "patchType": "JSONPatch", "patch": patch}
        response = widgets.server.post(widgets.path, widget("a", widgets.group, size=1))

    assert told(response) == (422, "Invalid", ["spec.size"])


def test_a_webhook_is_trusted_by_its_bundle(widgets: Widgets, webhook: Webhook, tmp_path: Path) -> None:
    """A webhook whose certificate is not of the bundle is not asked."""
    with running_webhook(tmp_path) as other, _registered(widgets, webhook):
        server: Server = widgets.server
        name = unique("wrong")
        config = other.configuration(widgets.group, name="wrong.contract.test")
        config["clientConfig"]["caBundle"] = webhook.ca_bundle
        body = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [config],
        }
        server.create(f"{_BASE}/validatingwebhookconfigurations", body)
        probe = widget("a", widgets.group, size=1)
        server.wait(lambda: server.post(f"{widgets.path}?dryRun=All", probe).status_code == 500)
        message = server.post(f"{widgets.path}?dryRun=All", probe).json()["message"]
        server.delete(f"{_BASE}/validatingwebhookconfigurations/{name}")
        server.wait(lambda: server.post(f"{widgets.path}?dryRun=All", probe).status_code == 201)

    assert 'failed calling webhook "wrong.contract.test"' in message
    assert other.requests == []
