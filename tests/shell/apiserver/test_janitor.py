"""Deletions are finished as a cluster's own controllers would finish them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from controller.apiserver.janitor import Janitor
from controller.apiserver.serving import ApiServer
from tests.shell.apiserver.asgi import POD, Client, Json, open_client

NS = "/api/v1/namespaces/jobs"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    server = ApiServer()
    async with open_client(server) as found, trio.open_nursery() as nursery:
        await nursery.start(Janitor(server.api).run)
        await found("POST", "/api/v1/namespaces", {"metadata": {"name": "jobs"}})
        yield found
        nursery.cancel_scope.cancel()


async def create(client: Client, path: str, name: str, *, owner: Json = None, **change: Json) -> Json:
    meta: Json = {"name": name}
    if owner is not None:
        reference = {"apiVersion": "v1", "kind": "ConfigMap"}
        meta["ownerReferences"] = [{**reference, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}]
    answer = await client("POST", path, {"metadata": meta, **change})
    assert answer.status == 201, answer.body
    return answer.json()


async def left(client: Client, path: str) -> list[str]:
    await wait_all_tasks_blocked()
    return (await client("GET", path)).names


async def test_a_namespace_is_emptied_and_goes(autojump_clock: MockClock, client: Client) -> None:
    """Everything in a deleted namespace goes, and then the namespace."""
    await create(client, f"{NS}/configmaps", "a")
    await create(client, f"{NS}/pods", "b", spec=POD["spec"])
    await create(client, "/api/v1/namespaces/default/configmaps", "c")

    assert (await client("DELETE", NS)).status == 200
    await wait_all_tasks_blocked()

    assert (await client("GET", NS)).status == 404
    assert await left(client, "/api/v1/configmaps") == ["c"]
    assert await left(client, "/api/v1/pods") == []


async def test_a_namespace_waits_for_what_does_not_go(autojump_clock: MockClock, client: Client) -> None:
    """An object with a finalizer holds its namespace until somebody takes the finalizer away."""
    path = f"{NS}/configmaps"
    await client("POST", path, {"metadata": {"name": "a", "finalizers": ["x.test/held"]}})
    await client("DELETE", NS)
    await wait_all_tasks_blocked()
    assert (await client("GET", NS)).json()["status"]["phase"] == "Terminating"
    assert await left(client, path) == ["a"]

    patch = {"metadata": {"finalizers": None}}
    assert (await client("PATCH", f"{path}/a", patch, content_type="application/merge-patch+json")).status == 200
    await wait_all_tasks_blocked()

    assert (await client("GET", f"{path}/a")).status == 404
    assert (await client("GET", NS)).status == 404


async def test_a_running_pod_ends(autojump_clock: MockClock, client: Client) -> None:
    """There is no kubelet, so a pod on a node ends when it is deleted."""
    await create(client, f"{NS}/pods", "a", spec={**POD["spec"], "nodeName": "node"})

    await client("DELETE", f"{NS}/pods/a")

    assert await left(client, f"{NS}/pods") == []


async def test_dependents_follow_their_owner(autojump_clock: MockClock, client: Client) -> None:
    """What an object owns goes after it, and what that owns."""
    path = f"{NS}/configmaps"
    owner = await create(client, path, "owner")
    child = await create(client, path, "child", owner=owner)
    await create(client, path, "grandchild", owner=child)
    await create(client, path, "stranger")

    await client("DELETE", f"{path}/owner")

    assert await left(client, path) == ["stranger"]


async def test_as_long_as_one_owner_is_left(autojump_clock: MockClock, client: Client) -> None:
    """An object with two owners stays until both are gone."""
    path = f"{NS}/configmaps"
    owners = [await create(client, path, name) for name in ("one", "other")]
    references = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        for owner in owners
    ]
    await client("POST", path, {"metadata": {"name": "child", "ownerReferences": references}})

    await client("DELETE", f"{path}/one")
    assert await left(client, path) == ["child", "other"]
    await client("DELETE", f"{path}/other")
    assert await left(client, path) == []


async def test_an_owner_of_the_same_name_is_another(autojump_clock: MockClock, client: Client) -> None:
    """Owners are known by their uid: a namesake that came later owns nothing."""
    path = f"{NS}/configmaps"
    owner = await create(client, path, "owner")
    await create(client, path, "child", owner=owner)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client, "DELETE", f"{path}/owner")
        nursery.start_soon(client, "POST", path, {"metadata": {"name": "owner"}})

    assert "child" not in await left(client, path)


@pytest.mark.parametrize(("policy", "names"), [("Orphan", ["child"]), ("Background", []), ("Foreground", [])])
async def test_propagation(autojump_clock: MockClock, client: Client, policy: str, names: list[str]) -> None:
    """A deletion says what becomes of the dependents."""
    path = f"{NS}/configmaps"
    owner = await create(client, path, "owner")
    await create(client, path, "child", owner=owner)

    await client("DELETE", f"{path}/owner?propagationPolicy={policy}")

    assert await left(client, path) == names


async def test_a_definition_takes_its_objects_along(autojump_clock: MockClock, client: Client) -> None:
    """With a definition go the kind and everything of it."""
    definition = {
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
            ],
        },
    }
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    things = "/apis/example.com/v1/namespaces/jobs/things"
    assert (await client("POST", definitions, definition)).status == 201
    thing = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}}
    assert (await client("POST", things, thing)).status == 201

    await client("DELETE", f"{definitions}/things.example.com")
    await wait_all_tasks_blocked()

    assert (await client("GET", things)).status == 404
    assert (await client("POST", definitions, definition)).status == 201
    assert await left(client, things) == []
