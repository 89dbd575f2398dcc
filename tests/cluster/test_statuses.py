"""The controller tells users, through a real API server, which of their resources it follows."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.processes import Controller, Grpcurl, controller, eventually
from tests.kube import KubeServer
from tests.manifests import GATEWAY, POLICY, http_route, named, rate_limit, server, server_ref

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

    def parents(self, name: str, group: str = POLICY, kind: str = "Server") -> dict[str, tuple[str, str]]:
        """Status and reason of `Accepted`, by the parent's name."""
        found: dict[str, tuple[str, str]] = {}
        for parent in self.status(ROUTES, name).get("parents", ()):
            reference = parent["parentRef"]
            assert (reference["group"], reference["kind"]) == (group, kind)
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
    # inbound 66, 67, 68, 69, 70; status 189, 190, 191, 192, 193
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


def test_a_route_follows_its_services(statuses: Statuses) -> None:
    """A Service with an address takes routes; the core group is written as `core` and the port as it was given."""
    # status 194, 195, 196, 307, 310
    kube, namespace = statuses.kube, statuses.namespace
    ports = {"ports": [{"port": 80}]}
    services = {
        "plain": ports,
        "headless": {**ports, "clusterIP": "None"},
        "outside": {"type": "ExternalName", "externalName": "example.com"},
    }
    refs = [{"group": "", "kind": "Service", "name": name, "port": 80} for name in services]
    route = named("HTTPRoute", f"{GATEWAY}/v1", "route", namespace=namespace, spec={"parentRefs": refs})

    kube.apply(*(named("Service", "v1", name, namespace=namespace, spec=spec) for name, spec in services.items()))
    kube.apply(route)

    def shown() -> Any:
        return [
            (*entry["parentRef"].values(), *(each["reason"] for each in entry["conditions"]))
            for entry in statuses.status(f"httproutes.{GATEWAY}", "route").get("parents", ())
        ]

    def entry(name: str, reason: str) -> tuple[Any, ...]:
        return ("core", "Service", name, namespace, 80, reason, "ResolvedRefs")

    headless = [entry("headless", "NoMatchingParent"), entry("outside", "NoMatchingParent")]
    eventually(lambda: shown() == [entry("plain", "Accepted"), *headless], "all three are judged")


def test_what_other_controllers_say_stays(statuses: Statuses) -> None:
    """Their entries are not ours to touch, and are repeated to the letter when ours change."""
    # status 197, 303
    kube, namespace = statuses.kube, statuses.namespace
    route = http_route("route", "web", "/", namespace=namespace)
    kube.apply(route)
    statuses.expect("route", {"web": NO_PARENT})

    [ours] = statuses.status(ROUTES, "route")["parents"]
    condition = {**ours["conditions"][0], "type": "Programmed", "observedGeneration": 1, "reason": "Theirs"}
    theirs = {
        "parentRef": {**ours["parentRef"], "name": "theirs", "sectionName": "s"},
        "controllerName": "someone/else",
        "conditions": [condition],
    }
    kube.patch_status(ROUTES, {**route, "status": {"parents": [ours, theirs]}})
    kube.apply(server("web", namespace=namespace))

    def said() -> list[Any]:
        return [
            entry if entry["controllerName"] == "someone/else" else entry["conditions"][0]["reason"]
            for entry in statuses.status(ROUTES, "route")["parents"]
        ]

    eventually(lambda: said() == [theirs, "Accepted"], "both entries are there")


def test_many_routes_cost_one_write_each(statuses: Statuses, trellis: Controller) -> None:
    """A hundred routes are written once each, and then left alone."""
    # status 299, 304
    kube, namespace = statuses.kube, statuses.namespace
    kube.apply(server("web", namespace=namespace))
    before = trellis.metric("resource_status_patches_total")

    kube.apply(*(http_route(f"route-{number}", "web", "/", namespace=namespace) for number in range(100)))

    def reasons() -> list[str]:
        routes = json.loads(kube.kubectl("-n", namespace, "get", ROUTES, "-o", "json"))["items"]
        return [
            entry["conditions"][0]["reason"] for each in routes for entry in each.get("status", {}).get("parents", ())
        ]

    eventually(lambda: reasons() == ["Accepted"] * 100, "all of them are accepted")
    threading.Event().wait(3)
    assert trellis.metric("resource_status_patches_total") - before == 100
    assert trellis.metric("resource_status_patch_api_errors_total") == 0
    assert trellis.metric("workqueue_depth") == 0


def test_a_route_takes_effect_through_our_own_status(statuses: Statuses, trellis: Controller, assets: Path) -> None:
    """A proxy that watches a Service is told of a route once we have accepted it, and of its end."""
    kube, namespace = statuses.kube, statuses.namespace
    spec = {"ports": [{"port": 80}]}
    kube.apply(*(named("Service", "v1", name, namespace=namespace, spec=spec) for name in ("web", "canary")))
    authority = f"web.{namespace}.svc.cluster.local:80"
    grpcurl = Grpcurl(assets / "grpcurl", trellis.grpc)
    refs = {
        "parentRefs": [{"group": "core", "kind": "Service", "name": "web", "port": 80}],
        "rules": [{"backendRefs": [{"name": "canary", "port": 80}]}],
    }

    def watched() -> bool:
        with grpcurl.watch_authority(f"{namespace}:client", authority) as proxy, contextlib.suppress(queue.Empty):
            return bool(proxy.next(within=1))
        return False

    eventually(watched, "the Service is answered for")
    with grpcurl.watch_authority(f"{namespace}:client", authority) as proxy:
        assert routes(proxy.next()) == ["default"]
        kube.apply(named("HTTPRoute", f"{POLICY}/v1beta3", "canary", namespace=namespace, spec=refs))
        assert routes(proxy.next()) == ["canary"]
        assert statuses.parents("canary", "core", "Service") == {"web": ACCEPTED}

        kube.kubectl("-n", namespace, "delete", ROUTES, "canary")
        assert routes(proxy.next()) == ["default"]


def routes(message: Any) -> list[str]:
    """The HTTP routes that a proxy was told of."""
    shown = message["protocol"]["detect"]["http1"]["routes"]
    return ["default" if "default" in each["metadata"] else each["metadata"]["resource"]["name"] for each in shown]


def test_kinds_that_are_not_served_stop_nobody(own_kube: KubeServer, tmp_path: Path) -> None:
    """Without the Gateway API, the routes of our own group have their statuses."""
    # status 320
    crds = [sys.executable, "-m", "controller", "crds"]
    printed = subprocess.run(crds, capture_output=True, text=True, check=True).stdout
    own_kube.kubectl("apply", "--server-side", "-f", "-", stdin=printed)
    own_kube.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    own_kube.kubectl("create", "namespace", "linkerd")
    with controller(own_kube, tmp_path) as running:
        running.wait_ready()
        own_kube.apply(server("web", namespace="linkerd"), http_route("route", "web", "/", namespace="linkerd"))
        Statuses(own_kube, "linkerd").expect("route", {"web": ACCEPTED})
