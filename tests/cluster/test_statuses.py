"""The controller tells users, through a real API server, which of their resources it follows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.processes import Controller, controller, eventually
from tests.kube import KubeServer
from tests.manifests import http_route, rate_limit, server, server_ref

pytestmark = pytest.mark.cluster

ROUTES = "httproutes.policy.linkerd.io"
LIMITS = "httplocalratelimitpolicies"
ACCEPTED, NO_PARENT = ("True", "Accepted"), ("False", "NoMatchingParent")


@pytest.fixture
def trellis(policy_kube: KubeServer, tmp_path: Path) -> Iterator[Controller]:
    """A controller that may write: the namespace of its Lease exists."""
    policy_kube.kubectl("create", "namespace", "linkerd", check=False)
    with controller(policy_kube, tmp_path) as running:
        running.wait_ready()
        yield running


@pytest.fixture
def statuses(policy_kube: KubeServer, namespace: str, trellis: Controller) -> Statuses:
    return Statuses(policy_kube, namespace)


class Statuses:
    """What resources of one namespace say about themselves."""

    def __init__(self, kube: KubeServer, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace

    def status(self, resource: str, name: str) -> dict[str, Any]:
        text = self.kube.kubectl("-n", self.namespace, "get", resource, name, "-o", "json")
        status: dict[str, Any] = json.loads(text).get("status", {})
        return status

    def parents(self, name: str) -> dict[str, tuple[str, str]]:
        """Status and reason of `Accepted`, by the parent's name."""
        found: dict[str, tuple[str, str]] = {}
        for parent in self.status(ROUTES, name).get("parents", ()):
            reference = parent["parentRef"]
            assert (reference["group"], reference["kind"]) == ("policy.linkerd.io", "Server")
            [condition] = (each for each in parent["conditions"] if each["type"] == "Accepted")
            found[reference["name"]] = (condition["status"], condition["reason"])
        return found

    def expect(self, name: str, parents: dict[str, tuple[str, str]]) -> None:
        eventually(lambda: self.parents(name) == parents, f"{name} shows {parents}")

    def expect_limit(self, name: str, reason: str) -> None:
        def reasons() -> list[str]:
            return [condition["reason"] for condition in self.status(LIMITS, name).get("conditions", ())]

        eventually(lambda: reasons() == [reason], f"{name} shows {reason}")


def test_a_route_follows_its_servers(statuses: Statuses) -> None:
    """A route is accepted by each Server that exists, and says so of each as they come and go."""
    # inbound 66, 67, 68, 69, 70
    kube, namespace = statuses.kube, statuses.namespace
    route = http_route("route", "web", "/", namespace=namespace)

    kube.apply(route)
    statuses.expect("route", {"web": NO_PARENT})
    kube.apply(server("web", namespace=namespace))
    statuses.expect("route", {"web": ACCEPTED})

    route["spec"]["parentRefs"].append(server_ref("missing"))
    kube.apply(route)
    statuses.expect("route", {"web": ACCEPTED, "missing": NO_PARENT})

    kube.kubectl("-n", namespace, "delete", "servers", "web")
    statuses.expect("route", {"web": NO_PARENT, "missing": NO_PARENT})

    kube.kubectl("-n", namespace, "patch", ROUTES, "route", "--type=merge", "-p", '{"spec": {"parentRefs": []}}')
    statuses.expect("route", {})


def test_a_rate_limit_follows_its_server(statuses: Statuses) -> None:
    """A rate limit is accepted if its Server exists and no older one is for the same Server."""
    # inbound 71
    kube, namespace = statuses.kube, statuses.namespace
    for number, target in enumerate(("web", "missing", "web")):
        limit = rate_limit(f"limit-{number}", target, total={"requestsPerSecond": 10})
        limit["metadata"]["namespace"] = namespace
        kube.apply(limit)

    statuses.expect_limit("limit-0", "NoMatchingTarget")
    kube.apply(server("web", namespace=namespace))

    statuses.expect_limit("limit-0", "Accepted")
    statuses.expect_limit("limit-1", "NoMatchingTarget")
    statuses.expect_limit("limit-2", "RateLimitReasonAlreadyExists")
