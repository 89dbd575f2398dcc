"""Replicas share the work through a Lease in a real API server: one writes, and another follows when it goes."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.cluster.conftest import apply_crds
from tests.cluster.processes import Controller, controller, eventually
from tests.kube import KubeServer
from tests.manifests import http_route, named, server

pytestmark = pytest.mark.cluster

ROUTES = "httproutes.policy.linkerd.io"
LEASE_SECONDS = 30.0
DEPLOYMENT = {
    "selector": {"matchLabels": {"app": "d"}},
    "template": {
        "metadata": {"labels": {"app": "d"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    },
}


@attrs.define
class Replicas:
    """Two controllers in one cluster; `namespace` holds their Lease, and the routes of the tests."""

    kube: KubeServer
    namespace: str
    one: Controller
    two: Controller

    def lease(self) -> dict[str, Any]:
        text = self.kube.kubectl("-n", self.namespace, "get", "lease", "policy-controller-write", "-o", "json")
        lease: dict[str, Any] = json.loads(text)
        return lease

    def holders(self) -> list[Controller]:
        """Those that hold the Lease as far as they know."""
        return [each for each in (self.one, self.two) if each.metric("lease_held") == 1]

    def wait_holder(self, *, within: float = 20.0) -> tuple[Controller, Controller]:
        """The one that holds the Lease, and the other."""
        [holder] = eventually(lambda: self.holders() or None, "somebody holds the Lease", within=within)
        return holder, self.two if holder is self.one else self.one

    def shows(self, route: str, reason: str) -> bool:
        text = self.kube.kubectl("-n", self.namespace, "get", ROUTES, route, "-o", "json", check=False)
        parents = json.loads(text).get("status", {}).get("parents", ()) if text.startswith("{") else ()
        return [each["conditions"][0]["reason"] for each in parents] == [reason]

    def expect_written(self, route: str) -> None:
        """Apply a new route, and wait for somebody to say something about it."""
        self.kube.apply(http_route(route, "missing", "/", namespace=self.namespace))
        eventually(lambda: self.shows(route, "NoMatchingParent"), f"the status of {route}")


@contextlib.contextmanager
def replicas(kube: KubeServer, namespace: str, folder: Path) -> Iterator[Replicas]:
    flags = (f"--control-plane-namespace={namespace}", "--policy-deployment-name=policy")
    folders = [folder / name for name in ("one", "two")]
    for each in folders:
        each.mkdir()
    with (
        controller(kube, folders[0], *flags, hostname="one") as one,
        controller(kube, folders[1], *flags, hostname="two") as two,
    ):
        one.wait_ready()
        two.wait_ready()
        yield Replicas(kube, namespace, one, two)


@pytest.fixture
def pair(policy_kube: KubeServer, namespace: str, tmp_path: Path) -> Iterator[Replicas]:
    policy_kube.apply(named("Deployment", "apps/v1", "policy", namespace=namespace, spec=DEPLOYMENT))
    with replicas(policy_kube, namespace, tmp_path) as running:
        yield running


def test_one_of_two_holds_the_lease_and_says_so(pair: Replicas) -> None:
    """In the Lease itself, which belongs to the Deployment, in metrics, diagnostics and on a page."""
    # status 318; runtime L1, L13, L25
    holder, other = pair.wait_holder()
    name = "one" if holder is pair.one else "two"

    lease = pair.lease()
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseDurationSeconds"]) == (name, 30)
    assert lease["spec"]["leaseTransitions"] == 1
    labels = {
        "linkerd.io/control-plane-component": "destination",
        "linkerd.io/control-plane-ns": pair.namespace,
    }
    [owner] = lease["metadata"]["ownerReferences"]
    # They are still there after the Lease was claimed, by an apply of the same manager.
    assert (lease["metadata"]["labels"], owner["kind"], owner["name"]) == (labels, "Deployment", "policy")

    assert (holder.metric("lease_held"), other.metric("lease_held")) == (1, 0)
    assert 0 < holder.metric("lease_expiry_seconds") <= 27
    pages = [json.loads(each.get("/debug/lease")[1]) for each in (holder, other)]
    assert [(page["held"], page["holder"]) for page in pages] == [(True, name), (False, name)]
    for each in (holder, other):
        [report] = json.loads(each.get("/kubert.json")[1])["leases"]
        assert (report["name"], report["current"]["holder"]) == ("policy-controller-write", name)

    pair.expect_written("route")
    assert (holder.metric("resource_status_patches_total"), other.metric("resource_status_patches_total")) == (1, 0)
    assert other.metric("resource_status_patch_drops_total") >= 1


def test_a_holder_that_is_told_to_end_hands_over_at_once(pair: Replicas) -> None:
    """Within two seconds, and nobody waits for the Lease's end."""
    # runtime L18, L19
    holder, other = pair.wait_holder()
    pair.expect_written("before")

    code = holder.terminate()
    eventually(lambda: other.metric("lease_held") == 1, "the other one holds the Lease", within=2)

    assert code == 0
    assert pair.lease()["spec"]["leaseTransitions"] == 2
    pair.expect_written("after")
    assert pair.shows("before", "NoMatchingParent")


def test_a_holder_that_is_killed_is_followed_within_the_lease(pair: Replicas) -> None:
    """Whatever changes meanwhile is written then; what was right already is not written again."""
    # runtime L2
    holder, other = pair.wait_holder()
    pair.expect_written("before")

    holder.process.kill()
    pair.kube.apply(http_route("meanwhile", "missing", "/", namespace=pair.namespace))
    eventually(lambda: other.metric("lease_held") == 1, "the other one holds the Lease", within=LEASE_SECONDS + 5)

    eventually(lambda: pair.shows("meanwhile", "NoMatchingParent"), "what changed meanwhile is written")
    assert other.metric("resource_status_patches_total") == 1


def test_a_lease_that_somebody_else_takes_is_respected(pair: Replicas) -> None:
    """The holder stops writing when it sees it, and one of the two goes on when that claim is over."""
    holder, _ = pair.wait_holder()
    now = pair.lease()["spec"]["renewTime"]
    claim = {"holderIdentity": "upstream", "leaseDurationSeconds": 15, "acquireTime": now, "renewTime": now}

    lease = ("-n", pair.namespace, "patch", "lease", "policy-controller-write")
    pair.kube.kubectl(*lease, "--type=merge", "-p", json.dumps({"spec": claim}))
    eventually(lambda: holder.metric("lease_held") == 0, "the holder has noticed", within=15)

    pair.wait_holder(within=30)
    pair.expect_written("route")


OUTAGE_SECONDS = 15.0


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_an_api_server_that_is_away_makes_no_second_writer(how: str, own_kube: KubeServer, tmp_path: Path) -> None:
    """Nobody crashes, never do two hold the Lease, and afterwards one writes what has changed."""
    # runtime L15
    apply_crds(own_kube)
    own_kube.kubectl("create", "namespace", "app")
    with replicas(own_kube, "app", tmp_path) as pair:
        pair.wait_holder()
        pair.expect_written("before")

        with outage(own_kube, how):
            seen = observe(pair, OUTAGE_SECONDS)
        pair.wait_holder(within=40)
        pair.kube.apply(server("web", namespace="app"), http_route("after", "web", "/", namespace="app"))
        eventually(lambda: pair.shows("after", "Accepted"), "a route that came afterwards", within=60)

        assert max(seen) <= 1
        assert pair.one.process.poll() is pair.two.process.poll() is None
        assert pair.shows("before", "NoMatchingParent")
        assert len(pair.holders()) == 1


@contextlib.contextmanager
def outage(kube: KubeServer, how: str) -> Iterator[None]:
    if how == "killed":
        kube.stop_api_server(kill=True)
        yield
        kube.start_api_server()
    else:
        kube.api_server.send_signal(signal.SIGSTOP)
        yield
        kube.api_server.send_signal(signal.SIGCONT)


def observe(pair: Replicas, seconds: float) -> list[int]:
    """How many believe that they hold the Lease, again and again."""
    pause, seen = threading.Event(), list[int]()
    for _ in range(int(seconds / 0.5)):
        seen.append(len(pair.holders()))
        pause.wait(0.5)
    return seen
