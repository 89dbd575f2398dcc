"""Which Server governs a port, and which protocol and access it brings."""

from __future__ import annotations

import pytest

from controller.core.cluster import DefaultPolicy
from controller.core.inbound import DefaultRef, DetectProtocol, FixedProtocol, Protocol, ServerRef
from controller.index.inbound.defaults import default_authorizations
from controller.k8s.events import Applied, Deleted
from tests.builders import (
    authorization_policy,
    container,
    external_target,
    external_workload,
    pod,
    port,
    selector,
    server,
    server_authorization,
    target,
)
from tests.unit.index.inbound.support import (
    CLUSTER,
    DEFAULT,
    LIVE,
    POD_8080,
    SECOND,
    SERVER,
    apply,
    by_policy,
    client,
    delete,
    index_of,
    told,
    with_,
)


def _governing(index: object, port: int, name: str = "pod-0") -> str | None:
    reference = told(index, target(name, port)).reference
    return reference.name if isinstance(reference, ServerRef) else None


# inbound 26 46
def test_a_server_takes_over_the_port_it_selects() -> None:
    """A Server that appears replaces the default: its name, its protocol, nobody let in."""
    index = index_of(pod())
    index.watch(POD_8080)

    assert apply(index, server()) == {POD_8080}

    assert told(index) == SERVER


# inbound 27 102
@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("unknown", DetectProtocol(SECOND)),
        (None, DetectProtocol(SECOND)),
        ("HTTP/1", FixedProtocol.HTTP1),
        ("HTTP/2", FixedProtocol.HTTP2),
        ("gRPC", FixedProtocol.GRPC),
        ("opaque", FixedProtocol.OPAQUE),
        ("TLS", FixedProtocol.TLS),
    ],
)
def test_each_protocol_means_one_thing(name: str | None, protocol: Protocol) -> None:
    """The protocol of a Server is told, whatever the pod's annotations say of the port."""
    annotations = {"opaque-ports": "8080", "proxy-require-identity-inbound-ports": "8080"}
    index = index_of(pod(annotations=annotations), server(protocol=name))

    assert told(index) == with_(SERVER, protocol=protocol)


# inbound 48
def test_without_its_server_a_port_is_as_it_was() -> None:
    """A Server that goes leaves the default."""
    index = index_of(pod(), server())
    index.watch(POD_8080)

    assert delete(index, server()) == {POD_8080}

    assert told(index) == DEFAULT


# inbound 51 103
@pytest.mark.parametrize("policy", DefaultPolicy)
def test_an_access_policy_grants_what_the_default_policy_would(policy: DefaultPolicy) -> None:
    """The access policy of a Server is one more authorization; deny is none."""
    index = index_of(pod(), server(access=policy.value))

    assert told(index) == with_(SERVER, authorizations=default_authorizations(policy, CLUSTER))


# inbound 103
def test_an_access_policy_adds_to_other_authorizations() -> None:
    """Both the access policy and the policies on the Server let in."""
    index = index_of(pod(), server(access="audit"), authorization_policy())

    assert told(index).authorizations == ((DefaultRef("audit"), client()), *by_policy("authz-foo", client()))


# inbound 103
def test_an_access_policy_without_meaning_grants_nothing() -> None:
    """An access policy that does not exist lets nobody in."""
    assert told(index_of(pod(), server(access="foobar"))) == SERVER


# inbound 42
def test_a_server_claims_a_port_by_its_name() -> None:
    """A name stands for the port that the pod gives it; pods without the name are left alone."""
    index = index_of(pod("pod-0", container(port("admin", 8080))), pod("pod-1"), server("srv", "admin"))

    assert _governing(index, 8080) == "srv"
    assert _governing(index, 8080, "pod-1") is None


def test_a_text_is_a_name_even_if_it_looks_like_a_number() -> None:
    """`"8080"` claims a port named so, not port 8080."""
    index = index_of(pod("pod-0", container(port("8080", 9090))), server("srv", "8080"))

    assert (_governing(index, 8080), _governing(index, 9090)) == (None, "srv")


# inbound 43
def test_a_number_needs_no_declared_port() -> None:
    """A numeric port is claimed on pods that declare no ports."""
    assert _governing(index_of(pod(), server("srv", 9999)), 9999) == "srv"


# inbound 110
def test_one_name_may_stand_for_several_ports() -> None:
    """A Server claims the port of that name in each container."""
    containers = container(port("web", 8080)), container(port("web", 8081))
    index = index_of(pod("pod-0", *containers, init=[container(port("web", 8082))]), server("srv", "web"))

    assert [_governing(index, number) for number in (8080, 8081, 8082, 8083)] == ["srv", "srv", "srv", None]


# inbound 111
def test_a_udp_port_has_no_name_to_claim() -> None:
    """Only TCP ports can be claimed by name."""
    index = index_of(pod("pod-0", container(port("dns", 53, "UDP"))), server("srv", "dns"))

    assert _governing(index, 53) is None


# inbound 44
def test_a_selector_that_stops_matching_lets_go() -> None:
    """An empty selector selects every pod; one with a label that the pod lacks does not."""
    index = index_of(pod(), server("srv", 2222, selects=selector(), protocol="HTTP/2"))
    index.watch(target(port=2222))
    assert _governing(index, 2222) == "srv"

    changed = apply(index, server("srv", 2222, selects=selector({"label": "value"}), protocol="HTTP/2"))

    assert changed == {target(port=2222)}
    assert told(index, target(port=2222)) == DEFAULT


# inbound 50
def test_the_next_server_takes_over_from_the_first() -> None:
    """Of two equal Servers the name decides; when it goes the other follows in the same step."""
    first, second = server("linkerd-admin-0", 4191), server("linkerd-admin-1", 4191)
    index = index_of(first, second, pod(), cluster=LIVE)
    index.watch(target(port=4191))
    assert _governing(index, 4191) == "linkerd-admin-0"

    assert delete(index, first) == {target(port=4191)}

    assert _governing(index, 4191) == "linkerd-admin-1"


# inbound 113
@pytest.mark.parametrize(
    ("a_created", "b_created", "winner"), [(2, 1, "b"), (1, 2, "a"), (1, 1, "a"), (1, None, "b"), (None, None, "a")]
)
def test_the_oldest_server_wins(a_created: int | None, b_created: int | None, winner: str) -> None:
    """The older Server claims the port, then the lesser name; one without a time counts as oldest."""
    servers = server("a", created=a_created), server("b", created=b_created)

    assert _governing(index_of(pod(), *servers), 8080) == winner
    assert _governing(index_of(*servers[::-1], pod()), 8080) == winner


def test_a_server_loses_only_the_ports_that_others_have() -> None:
    """A Server that comes second still claims the ports that are free."""
    web = pod("pod-0", container(port("web", 8080), port("web", 8081)))
    index = index_of(web, server("a", 8080, created=1), server("b", "web", created=2))

    assert (_governing(index, 8080), _governing(index, 8081)) == ("a", "b")


# inbound 113
def test_servers_for_pods_and_for_external_workloads_do_not_meet() -> None:
    """A pod's Server never claims the port of an external workload, nor the reverse."""
    index = index_of(
        pod("x"),
        external_workload("x"),
        server("for-pods", 8080, selects=selector()),
        server("for-external", 80, selects_external=selector()),
    )

    assert (_governing(index, 8080, "x"), _governing(index, 80, "x")) == ("for-pods", None)
    assert told(index, external_target("x", 80)).reference == ServerRef("for-external")
    assert told(index, external_target("x", 8080)).reference == DefaultRef("cluster-unauthenticated")


def test_a_server_may_turn_from_pods_to_external_workloads() -> None:
    """What a Server selects may change altogether."""
    index = index_of(pod(), external_workload("wkld-1"), server("srv", 8080))
    index.watch(POD_8080)
    index.watch(external_target(port=8080))

    changed = apply(index, server("srv", 8080, selects_external=selector()))

    assert changed == {POD_8080, external_target(port=8080)}
    assert told(index) == DEFAULT


def test_a_server_that_changes_its_port_frees_the_old_one() -> None:
    """One step moves a Server from port to port."""
    index = index_of(pod(), server())
    index.watch(POD_8080)
    index.watch(target(port=8081))

    assert apply(index, server(port=8081)) == {POD_8080, target(port=8081)}

    assert told(index) == DEFAULT
    assert told(index, target(port=8081)) == SERVER


@pytest.mark.parametrize(
    ("selects", "expected"),
    [
        (selector({"app": "app-0"}, ("tier", "In", ["front", "back"])), True),
        (selector(None, ("tier", "In", ["front", "back"])), True),
        (selector(None, ("tier", "In", [])), False),
        (selector(None, ("tier", "In", None)), False),
        (selector(None, ("tier", "NotIn", ["back"])), True),
        (selector(None, ("app", "Exists", None), ("tier", "NotIn", ["front"])), False),
        (selector(None, ("nothing", "DoesNotExist", None)), True),
        (selector(None, ("app", "Exists", [])), False),
    ],
)
@pytest.mark.parametrize("pod_first", [True, False])
def test_every_form_of_selector_finds_its_pods(selects: dict[str, object], expected: bool, pod_first: bool) -> None:
    """What a selector says holds, whether the pod or the Server comes first, and for those who watch."""
    labelled, srv = pod(labels={"app": "app-0", "tier": "front"}), server("srv", selects=selects)
    index = index_of(labelled)
    index.watch(POD_8080)
    if not pod_first:
        index = index_of(srv, labelled)
        index.watch(POD_8080)
        delete(index, srv)

    changed = apply(index, srv)

    assert (changed, _governing(index, 8080)) == (({POD_8080}, "srv") if expected else (set(), None))


def test_a_server_renewed_within_a_batch_changes_nothing() -> None:
    """Deleted and made anew in one step, a Server tells nobody anything."""
    index = index_of(pod(), server(), server_authorization(server="srv-8080", unauthenticated=True))
    index.watch(POD_8080)

    assert index.apply([Deleted(type(server()), server().key), Applied(server())]) == frozenset()
    assert told(index).reference == ServerRef("srv-8080")


def test_a_server_gone_within_a_batch_that_also_changed_its_policy() -> None:
    """Parts of a policy that change just before their Server goes do not matter."""
    index = index_of(pod(), server())
    index.watch(POD_8080)

    assert index.apply([Applied(authorization_policy()), Deleted(type(server()), server().key)]) == {POD_8080}
    assert told(index) == DEFAULT


def test_what_was_asked_about_in_passing_is_not_remembered_wrongly() -> None:
    """Answers to unary questions follow every change, though nobody watches."""
    index = index_of(pod(), server())
    assert told(index) == SERVER

    apply(index, authorization_policy())
    assert told(index).authorizations == by_policy("authz-foo", client())
    apply(index, server("older", selects=selector({"app": "app-0"}), created=None))
    assert told(index).reference == ServerRef("older")
    delete(index, server("older"), server())
    assert told(index) == DEFAULT


def test_groups_that_nobody_watches_are_not_kept_for_ever() -> None:
    """Many kinds of pods asked about in passing leave the watched one alone."""
    pods = [pod(f"pod-{i}", labels={"app": f"app-{i}"}) for i in range(700)]
    index = index_of(server("srv", selects=selector(None, ("app", "Exists", None))), *pods)
    index.watch(target("pod-3"))

    assert {_governing(index, 8080, f"pod-{i}") for i in range(700)} == {"srv"}

    assert delete(index, server("srv")) == {target("pod-3")}
    assert {_governing(index, 8080, f"pod-{i}") for i in range(700)} == {None}


def test_cells_of_a_server_that_nobody_watches_are_not_kept_for_ever() -> None:
    """Many kinds of probes asked about in passing leave the watched one alone."""
    pods = [pod(f"pod-{i}", container(live=(8080, f"/{i}"))) for i in range(150)]
    index = index_of(server(), *pods, cluster=LIVE)
    watched = index.watch(target("pod-3"))

    answers = [index.lookup(target(f"pod-{i}")) for i in range(150)]

    assert index.lookup(target("pod-3")) is watched is answers[3]
    assert index.lookup(target("pod-4")) is not answers[4]  # forgotten meanwhile


def test_a_server_that_comes_too_late_is_no_news() -> None:
    """A Server whose port an older one has changes nothing, and neither does its end."""
    index = index_of(pod(), server(created=1))
    index.watch(POD_8080)
    late = server("late", created=2)

    assert apply(index, late) == delete(index, late) == frozenset()

    assert told(index) == SERVER


def test_a_port_may_come_to_a_server_whose_policy_changes() -> None:
    """A port that was another Server's before the batch is compared with what that one said."""
    index = index_of(pod("a"), pod("b", labels={"app": "b"}), server(), server("b", selects=selector({"app": "b"})))
    index.watch(target("a"))
    index.watch(target("b"))

    changed = index.apply(
        [
            Applied(server("b", access="audit", selects=selector(None, ("app", "In", ["b", "app-0"])), created=None)),
        ]
    )

    assert changed == {target("a"), target("b")}
    assert _governing(index, 8080, "a") == "b"


def test_a_server_made_anew_with_another_time_takes_its_place() -> None:
    """Which of two Servers comes first follows their creation times, whenever those change."""
    index = index_of(pod(), server("a", created=1), server("b", created=2))
    index.watch(POD_8080)

    assert apply(index, server("a", created=3)) == {POD_8080}

    assert _governing(index, 8080) == "b"


def test_a_server_that_lost_its_port_tells_nobody_of_its_policies() -> None:
    """Who has moved on does not hear of the Server that was there before."""
    index = index_of(pod(), server("late", created=2))
    index.watch(POD_8080)
    apply(index, server("early", created=1))

    assert apply(index, server("late", created=2, access="audit")) == frozenset()


def test_a_pod_and_its_server_may_move_together() -> None:
    """A pod that changes its labels while its Server follows notices nothing; a pod that was there already does."""
    index = index_of(pod("a"), pod("b", labels={"app": "b"}), server())
    index.watch(target("a"))
    index.watch(target("b"))

    changed = index.apply([Applied(pod("a", labels={"app": "b"})), Applied(server(selects=selector({"app": "b"})))])

    assert changed == {target("b")}
    assert (_governing(index, 8080, "a"), _governing(index, 8080, "b")) == ("srv-8080", "srv-8080")


def test_a_pod_may_change_its_labels_while_its_policy_changes() -> None:
    """A pod that stays under its Server hears of the Server's new policy, though its labels are others."""
    everybody = selector(None, ("app", "Exists", None))
    index = index_of(pod(), server(selects=everybody))
    index.watch(POD_8080)

    changed = index.apply([Applied(pod(labels={"app": "b"})), Applied(server(selects=everybody, access="audit"))])

    assert changed == {POD_8080}
