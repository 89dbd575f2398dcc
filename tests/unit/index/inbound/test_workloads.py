"""Pods and external workloads: coming, changing, going."""

from __future__ import annotations

import gc
import weakref

import pytest

from controller.core.cluster import DefaultPolicy
from controller.core.inbound import DefaultRef, FixedProtocol, HttpRoute, HttpRule, InboundServer, ServerRef
from controller.core.routes import HttpRouteMatch, Method, PathExact, ResourceRoute
from controller.index.inbound import InboundIndex
from controller.index.inbound.shapes import Shapes
from controller.k8s.builtin import Pod
from controller.k8s.events import Applied, Deleted, Reset
from controller.k8s.meta import ObjectKey
from tests.builders import (
    EVERYONE,
    authorization_policy,
    container,
    external_target,
    external_workload,
    http_route,
    network_authentication,
    pod,
    port,
    ref,
    rule,
    selector,
    server,
    target,
)
from tests.unit.index.inbound.support import (
    DEFAULT,
    DEFAULT_HTTP,
    LIVE,
    POD_8080,
    SERVER,
    apply,
    by_policy,
    client,
    delete,
    index_of,
    probe_route,
    told,
    with_,
)


# inbound 93
def test_a_pod_that_goes_ends_its_watches() -> None:
    """Without its pod a port has no answer; when the pod is back one may watch anew."""
    index = index_of(pod())
    index.watch(POD_8080)

    assert delete(index, pod()) == {POD_8080}
    assert index.answer(POD_8080) is None
    assert index.lookup(POD_8080) is None
    assert apply(index, pod(), server()) == frozenset()
    assert index.answer(POD_8080) is None

    index.unwatch(POD_8080)
    answer = index.watch(POD_8080)
    assert answer is not None
    assert answer.value == SERVER


def test_a_pod_made_anew_within_a_batch_ends_its_watches() -> None:
    """That a pod of the same name has come in the same step does not keep the streams of the old one."""
    index = index_of(pod())
    index.watch(POD_8080)

    assert index.apply([Deleted(Pod, ObjectKey("ns-0", "pod-0")), Applied(pod())]) == {POD_8080}

    assert index.answer(POD_8080) is None
    assert told(index) == DEFAULT


def test_a_watch_on_a_pod_made_anew_revives_the_old_one() -> None:
    """Somebody who watches again, while a stream of the old pod still winds down, hears of changes."""
    index = index_of(pod())
    index.watch(POD_8080)
    index.apply([Deleted(Pod, ObjectKey("ns-0", "pod-0")), Applied(pod())])

    answer = index.watch(POD_8080)

    assert answer is not None
    index.unwatch(POD_8080)  # the old one
    assert apply(index, server()) == {POD_8080}
    index.unwatch(POD_8080)
    assert apply(index, server(protocol="TLS")) == frozenset()
    with pytest.raises(KeyError):
        index.answer(POD_8080)


def test_nobody_can_watch_what_is_not_there() -> None:
    """A watch on an unknown pod has no answer, not even when the pod comes."""
    index = InboundIndex(LIVE)
    assert index.watch(POD_8080) is None
    index.unwatch(POD_8080)
    apply(index, pod("other"))
    assert index.watch(POD_8080) is None

    assert apply(index, pod()) == frozenset()
    assert index.answer(POD_8080) is None


# inbound 95
@pytest.mark.parametrize(
    "again",
    [
        pod(),
        pod(status={"phase": "Failed"}),
        pod(annotations={"inject": "enabled"}),
        pod(labels={"app": "app-0", "pod-template-hash": "5d8f7"}),
        pod("pod-0", {"name": "main", "image": "other"}),
        pod("pod-0", {"name": "main"}, {"name": "one more"}),
    ],
)
def test_what_does_not_matter_changes_nothing(again: Pod) -> None:
    """An equal pod, or one that differs only in what nobody reads, is no news."""
    resources = (server(), pod(), authorization_policy(), http_route())
    index = index_of(*resources)
    before = index.watch(POD_8080)

    assert apply(index, again, *resources) == frozenset()

    assert index.answer(POD_8080) is before


# inbound 112
def test_labels_attach_and_detach_servers() -> None:
    """A pod that is labelled otherwise belongs to other Servers."""
    index = index_of(pod(), server(), server("other", selects=selector({"app": "other"})))
    index.watch(POD_8080)

    assert apply(index, pod(labels={"app": "other"})) == {POD_8080}
    assert told(index).reference == ServerRef("other")
    assert apply(index, pod(labels={})) == {POD_8080}
    assert told(index) == DEFAULT


# inbound 112
def test_settings_of_a_pod_may_change() -> None:
    """Annotations that change are read again."""
    index = index_of(pod())
    index.watch(POD_8080)

    changed = apply(index, pod(annotations={"default-inbound-policy": "deny", "opaque-ports": "8080"}))

    assert changed == {POD_8080}
    assert told(index) == InboundServer(DefaultRef("deny"), FixedProtocol.OPAQUE, http_routes=(DEFAULT_HTTP,))


def test_a_pod_replaced_unseen_is_taken_as_it_is() -> None:
    """A pod of another uid, whose delete nobody saw, has its own ports, probes and labels; its streams go on."""
    old = pod("pod-0", container(port("web", 8080), live=(8080, "/old")), uid="1")
    new = pod("pod-0", container(port("web", 9090), live=(8080, "/new")), uid="2")
    index = index_of(old, server("srv", "web"), cluster=LIVE)
    index.watch(POD_8080)
    index.watch(target(port=9090))
    assert told(index).reference == ServerRef("srv")

    assert index.apply([Reset(Pod, (new,), frozenset())]) == {POD_8080, target(port=9090)}

    assert told(index).http_routes == (DEFAULT_HTTP, probe_route("/new"))
    assert told(index, target(port=9090)).reference == ServerRef("srv")


def test_pods_that_differ_only_in_hidden_labels_share_their_answer() -> None:
    """One answer, the same object, for all pods that no Server tells apart."""
    pods = [pod(f"pod-{i}", labels={"app": "app-0", "pod-template-hash": str(i)}) for i in range(3)]
    index = index_of(*pods, server())

    first, *others = [index.watch(target(f"pod-{i}")) for i in range(3)]

    assert all(answer is first for answer in others)
    assert apply(index, server(access="audit")) == {target(f"pod-{i}") for i in range(3)}
    assert index.answer(target("pod-0")) is index.answer(target("pod-2")) is not first


def test_a_label_that_nobody_mentioned_may_come_to_matter() -> None:
    """A Server that asks for a new label tells apart pods that were alike before."""
    pods = [pod(f"pod-{i}", labels={"app": "app-0", "tier": str(i)}) for i in range(2)]
    index = index_of(*pods, server())
    for i in range(2):
        index.watch(target(f"pod-{i}"))

    changed = apply(index, server("older", selects=selector({"tier": "1"}), created=None))

    assert changed == {target("pod-1")}
    assert told(index, target("pod-0")) == SERVER
    assert told(index, target("pod-1")).reference == ServerRef("older")


def test_a_pod_and_its_servers_may_change_at_once() -> None:
    """What counts is what it was before the batch and what it is after."""
    first, second = pod("pod-0"), pod("pod-1")
    index = index_of(first, second, server())
    for name in ("pod-0", "pod-1"):
        index.watch(target(name))

    changed = index.apply(
        [
            Applied(pod("pod-0", labels={"app": "other"})),
            Applied(server(access="audit")),
            Applied(server("other", selects=selector({"app": "other"}))),
            Deleted(type(server()), ObjectKey("ns-0", "other")),
            Applied(pod("pod-0")),
        ]
    )

    assert changed == {target("pod-0"), target("pod-1")}
    assert index.apply([Applied(server()), Applied(server(access="audit"))]) == frozenset()


def test_a_pod_that_moves_between_equal_answers_is_not_news() -> None:
    """A default policy spelled out equals the same one left out; where a route is, probes do not matter."""
    index = index_of(pod("pod-0", container(live=(8080, "/a"))), server(), http_route(), cluster=LIVE)
    index.watch(POD_8080)
    index.watch(target(port=7070))

    again = pod(
        "pod-0",
        container(live=(8080, "/b")),
        annotations={"default-inbound-policy": DefaultPolicy.ALL_UNAUTHENTICATED.value},
    )
    assert apply(index, again) == frozenset()


# External workloads


# inbound 58 59 60 61 65
def test_the_life_of_an_external_workload() -> None:
    """The default without probes, a Server by port name, a policy on it, and the default again."""
    index = index_of(external_workload(), cluster=LIVE)
    watched, before = external_target(), told(index, external_target())
    index.watch(watched)
    assert before.http_routes == (DEFAULT_HTTP,)
    assert before.reference == DefaultRef("all-unauthenticated")
    srv = server("external-http", "http", selects_external=selector())

    assert apply(index, srv) == {watched}
    assert told(index, watched) == with_(SERVER, reference=ServerRef("external-http"))
    about = {"group": "policy.linkerd.io", "kind": "server", "name": "external-http"}
    assert apply(index, authorization_policy("all-http", about)) == {watched}
    assert told(index, watched).authorizations == by_policy("all-http", client())
    assert delete(index, srv) == {watched}
    assert told(index, watched) == before


# inbound 62 63 64
def test_routes_of_an_external_workload() -> None:
    """A route on its Server, with a policy, until the route goes."""
    srv = server("external-http", "http", selects_external=selector())
    index = index_of(external_workload(), srv, cluster=LIVE)
    watched, before = external_target(), told(index, external_target())
    index.watch(watched)
    endpoint = rule({"path": {"type": "Exact", "value": "/endpoint"}, "method": "GET"})
    route = http_route("http-route", endpoint, accepted_by=["external-http"])

    assert apply(index, route) == {watched}
    (shown,) = told(index, watched).http_routes
    assert isinstance(shown, HttpRoute)
    assert shown.ref == ResourceRoute("policy.linkerd.io", "HTTPRoute", "http-route")
    assert shown.rules == (HttpRule((HttpRouteMatch(PathExact("/endpoint"), method=Method.GET),)),)
    apply(index, network_authentication("all-net", *EVERYONE))
    policy = authorization_policy("all-net", ref("HTTPRoute", "http-route"), ref("NetworkAuthentication", "all-net"))
    assert apply(index, policy) == {watched}
    assert told(index, watched).http_routes[0].authorizations == by_policy("all-net", client(*EVERYONE))
    assert delete(index, route) == {watched}
    assert told(index, watched) == before


# inbound 114
def test_a_named_port_of_an_external_workload_may_move() -> None:
    """The Server follows the name; the port it leaves goes back to the default."""
    index = index_of(external_workload("wkld-1", ("http", 80)), server("srv", "http", selects_external=selector()))
    index.watch(external_target(port=80))
    index.watch(external_target(port=81))

    changed = apply(index, external_workload("wkld-1", ("http", 81)))

    assert changed == {external_target(port=80), external_target(port=81)}
    assert told(index, external_target(port=80)) == DEFAULT
    assert told(index, external_target(port=81)).reference == ServerRef("srv")


# inbound 114
def test_external_workloads_have_settings_too() -> None:
    """Annotations mean on an external workload what they mean on a pod."""
    settings = {"default-inbound-policy": "deny", "opaque-ports": "80"}
    index = index_of(external_workload(annotations=settings))

    expected = InboundServer(DefaultRef("deny"), FixedProtocol.OPAQUE, http_routes=(DEFAULT_HTTP,))
    assert told(index, external_target()) == expected


def test_of_equal_port_names_of_an_external_workload_the_last_counts() -> None:
    """A name stands for one port; ports without a name, or not TCP, have none."""
    workload = external_workload("wkld-1", ("http", 80), (None, 82), ("http", 81))
    index = index_of(workload, server("srv", "http", selects_external=selector()))
    assert told(index, external_target(port=80)) == DEFAULT
    assert told(index, external_target(port=81)).reference == ServerRef("srv")

    apply(index, external_workload("wkld-1", ("http", 81), protocol="UDP"))
    assert told(index, external_target(port=81)) == DEFAULT


def test_an_external_workload_that_goes_ends_its_watches() -> None:
    """As with pods; a pod of the same name is somebody else."""
    index = index_of(external_workload("x"), pod("x"))
    index.watch(external_target("x"))
    index.watch(target("x"))

    assert delete(index, external_workload("x")) == {external_target("x")}

    assert index.answer(external_target("x")) is None
    assert index.answer(target("x")) is not None


def test_a_pod_that_changes_and_goes_within_a_batch() -> None:
    """What it last looked like does not matter any more."""
    index = index_of(pod(), server())
    index.watch(POD_8080)

    assert index.apply([Applied(pod(labels={})), Deleted(Pod, ObjectKey("ns-0", "pod-0"))]) == {POD_8080}

    assert index.answer(POD_8080) is None


def test_external_workloads_that_look_alike_share_their_shape() -> None:
    """What was written once need not be read twice."""
    index = index_of(external_workload("a"), external_workload("b"), server("srv", "http", selects_external=selector()))

    assert index.watch(external_target("a")) is index.watch(external_target("b"))


def test_a_shape_goes_with_the_last_workload_that_has_it() -> None:
    """What pods of bygone versions looked like is not kept."""
    shapes = Shapes()
    kept = [shapes.pod(pod("a")), shapes.pod(pod("b"))]
    assert kept[0].shape is kept[1].shape
    gone = weakref.ref(kept[0].shape)

    kept.clear()
    gc.collect()

    assert gone() is None
    assert len(shapes) == 0
