"""What stands behind an address, and what a stream on it hears when that changes."""

from __future__ import annotations

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from controller.core.cluster import ClusterConfig
from controller.grpc.gen.linkerd import outbound_pb2 as pb
from tests.destinations import Object, egress_network, egress_ref, route, service, service_ref
from tests.outbound_controller import Controller
from tests.unit.grpc.outbound.parents import EP, SP
from tests.unit.grpc.outbound.reading import (
    destination,
    distribution,
    failure,
    first_rule,
    kind,
    name,
    names,
    only_backend,
    resource,
    routes,
)

ONE = "1.1.1.1:80"


def egress(namespace: str = "ns", network: str = "egress-net", **fields: object) -> Object:
    return egress_network(network, namespace, **fields)  # type: ignore[arg-type]


def assert_not_found(controller: Controller, target: str, source: str = "ns:client") -> None:
    for ask in (controller.get, controller.watch):
        with pytest.raises(GRPCError) as error:
            ask(target, source)
        assert (error.value.status, error.value.message) == (Status.NOT_FOUND, "No such service")


# outbound 108
def test_an_unused_address_of_the_cluster_is_not_found() -> None:
    """Nothing is kept for it."""
    controller = Controller(service())
    assert_not_found(controller, "10.8.255.255:4191")
    assert controller.index.statistics().targets == 0


# outbound 163, 97
def test_an_address_outside_is_connected_to_as_it_is() -> None:
    """Until an EgressNetwork covers it: then the stream ends, and who asks again hears of that."""
    controller = Controller()
    stream = controller.watch(ONE)
    policy = stream.update()
    assert name(policy.metadata) == "(egress-fallback)"
    controller.apply(egress())
    assert stream.ended is Status.OK
    assert len(stream.messages) == 1
    again = controller.watch(ONE).update()
    assert resource(again.metadata) == ("EgressNetwork", "ns", "egress-net", 80)


def test_the_fallback_in_full() -> None:
    """One backend for opaque traffic and for HTTP, whose only match is empty."""
    policy = Controller().get("[2001:db8::1]:443")
    assert policy.protocol.detect.timeout.seconds == 10
    (opaque,) = policy.protocol.detect.opaque.routes
    (http,) = routes(policy)
    for shown in (opaque, http):
        assert name(shown.metadata) == "(egress-fallback)"
        (rule,) = shown.rules
        assert not rule.filters
        ((weight, backend),) = distribution(rule)
        assert weight is None
        assert name(backend.backend.metadata) == "(egress-fallback)"
        assert destination(backend) == "[2001:db8::1]:443"
        assert (backend.backend.queue.capacity, backend.backend.queue.failfast_timeout.seconds) == (100, 3)
    (rule,) = http.rules
    assert len(rule.matches) == 1
    assert not rule.matches[0].ListFields()
    assert not http.hosts
    for absent in ("timeouts", "requestTimeout", "retry"):
        assert not rule.HasField(absent)
    assert not policy.protocol.detect.http1.HasField("failure_accrual")


# outbound 162, 98
def test_an_egress_network_that_is_deleted_ends_its_streams() -> None:
    """Without a further message; who asks again hears of the fallback."""
    network = egress()
    controller = Controller(network)
    stream = controller.watch(ONE)
    assert resource(stream.update().metadata) == ("EgressNetwork", "ns", "egress-net", 80)
    controller.delete(network)
    assert stream.ended is Status.OK
    assert len(stream.messages) == 1
    assert name(controller.watch(ONE).update().metadata) == "(egress-fallback)"


# outbound 96
def test_another_network_that_wins_ends_the_streams_of_the_first() -> None:
    """Equal in size and age, names decide."""
    controller = Controller(egress(network="b"), config=ClusterConfig(cluster_networks=()))
    stream = controller.watch("192.168.0.1:8080")
    assert resource(stream.update().metadata) == ("EgressNetwork", "ns", "b", 8080)
    controller.apply(egress(network="a"))
    assert stream.ended is Status.OK
    assert resource(controller.watch("192.168.0.1:8080").update().metadata) == ("EgressNetwork", "ns", "a", 8080)


# outbound 98
def test_a_network_that_only_hid_others_ends_fallbacks_when_it_goes() -> None:
    """A namespace's own EgressNetworks hide the global ones even from addresses that they do not cover."""
    own = egress(networks=[{"cidr": "9.9.9.9/32"}])
    controller = Controller(own, egress("linkerd-egress", "global"))
    stream = controller.watch(ONE)
    assert name(stream.update().metadata) == "(egress-fallback)"
    controller.delete(own)
    assert stream.ended is Status.OK
    assert resource(controller.get(ONE).metadata) == ("EgressNetwork", "linkerd-egress", "global", 80)


# outbound 92
def test_a_namespace_with_networks_of_its_own_does_not_see_the_global_ones() -> None:
    """Outside the cluster that is the fallback, inside nothing."""
    everything = [{"cidr": "0.0.0.0/0"}]
    controller = Controller(
        egress(networks=[{"cidr": "9.9.9.9/32"}]), egress("linkerd-egress", "global", networks=everything)
    )
    assert name(controller.get(ONE).metadata) == "(egress-fallback)"
    assert_not_found(controller, "10.8.255.255:80")
    assert resource(controller.get("10.8.255.255:80", "other:x").metadata)[1:3] == ("linkerd-egress", "global")


# outbound 222
def test_a_write_that_changes_nothing_ends_nothing() -> None:
    """Statuses are written to all the time."""
    network = egress()
    controller = Controller(network)
    streams = [controller.watch(ONE), controller.watch("8.8.8.8:80", "elsewhere:client")]
    for stream in streams:
        stream.update()
    condition = {"type": "Accepted", "status": "True", "lastTransitionTime": "2024-01-01T00:00:00Z"}
    controller.apply({**network, "status": {"conditions": [condition]}})
    controller.apply(egress("third", networks=[{"cidr": "8.8.8.0/24"}]))
    assert all(stream.quiet for stream in streams)


def test_streams_of_other_namespaces_do_not_end() -> None:
    """Only the callers of a namespace are concerned by its EgressNetworks; the global ones' concern all others."""
    controller = Controller()
    streams = {source: controller.watch(ONE, f"{source}:client") for source in ("ns", "other")}
    for stream in streams.values():
        stream.update()
    controller.apply(egress("ns"))
    assert streams["ns"].ended is Status.OK
    assert streams["other"].quiet
    own = controller.watch(ONE, "ns:client")
    own.update()
    controller.apply(egress("linkerd-egress", "global"))
    assert own.quiet
    assert streams["other"].ended is Status.OK


def test_a_stream_of_a_global_network_ends_when_its_callers_get_their_own() -> None:
    """From then on theirs counts, also if it does not cover the address."""
    controller = Controller(egress("linkerd-egress", "global"))
    stream = controller.watch(ONE)
    stream.update()
    controller.apply(egress(networks=[{"cidr": "9.9.9.9/32"}]))
    assert stream.ended is Status.OK
    assert name(controller.get(ONE).metadata) == "(egress-fallback)"


def test_a_network_that_stays_the_right_one_keeps_its_streams_informed() -> None:
    """Its policy, its annotations, its routes: updates, not ends."""
    controller = Controller(egress())
    stream = controller.watch(ONE)
    assert names(stream.update()) == ["(http-egress-allow)"]
    controller.apply(egress(policy="Deny"))
    assert names(stream.update()) == ["(http-egress-deny)"]
    controller.apply(egress(policy="Deny", annotations={"timeout.linkerd.io/request": "1s"}))
    assert first_rule(stream.update()).timeouts.request.seconds == 1
    controller.apply(route("G", parents=[egress_ref("egress-net", port=80)]))
    assert names(stream.update()) == ["foo-route", "(http-egress-deny)"]


def test_an_explicit_block_may_cover_the_clusters_own_addresses() -> None:
    """EgressNetworks come before the cluster's networks, and Services before both."""
    controller = Controller(service(), egress(networks=[{"cidr": "10.0.0.0/8"}]))
    assert resource(controller.get("10.8.255.255:80").metadata)[0] == "EgressNetwork"
    assert resource(controller.get("10.96.0.1:4191").metadata)[0] == "Service"


def test_streams_share_what_an_egress_network_tells_all_addresses() -> None:
    """Each has its own address in it; both IP versions."""
    controller = Controller(
        egress(policy="Deny"),
        route("G", parents=[egress_ref("egress-net", port=80)], backends=[egress_ref("egress-net")]),
    )
    for address in ("1.1.1.1:80", "1.2.3.4:80", "0.0.0.0:80", "255.255.255.255:80", "[::]:80", "[2001:db8::]:80"):
        policy = controller.watch(address).update()
        backends = [backend for shown in routes(policy) for _, backend in distribution(shown.rules[0])]
        assert {destination(backend) for backend in backends} == {address}


# outbound 197, 198, 199
@pytest.mark.parametrize("letter", "GLRTC")
def test_an_egress_network_is_a_backend_for_its_own_routes_only(letter: str) -> None:
    """And then traffic goes on to where it was going, whatever port the backend names."""
    code = None if letter in "TC" else 500
    on_service = route(letter, parents=[SP.ref()], backends=[egress_ref(port=8443), egress_ref()])
    controller = Controller(service(), egress_network(), egress_network("second"), on_service)
    shown = [backend for _, backend in distribution(first_rule(controller.get(SP.address())))]
    assert [failure(backend) for backend in shown] == [
        (code, "EgressNetwork backends attach to EgressNetwork parents only")
    ] * 2
    assert [backend.backend.metadata.resource.port for backend in shown] == [8443, 0]

    backends = [egress_ref("second"), egress_ref("missing"), egress_ref(port=8443, weight=3), egress_ref()]
    controller.apply(route(letter, "second-route", parents=[egress_ref(port=443)], backends=backends))
    other, missing, ported, plain = [b for _, b in distribution(first_rule(controller.get("1.1.1.1:443")))]
    reason = "Route with EgressNetwork backend needs to have the same EgressNetwork as a parent"
    assert failure(other) == (code, reason)
    assert failure(missing) == (code, "EgressNetwork not found missing")
    assert (destination(ported), resource(ported.backend.metadata)[3]) == ("1.1.1.1:443", 8443)
    assert ported.backend.forward.weight == 3
    assert (destination(plain), resource(plain.backend.metadata)[3]) == ("1.1.1.1:443", 443)


# outbound 185
def test_a_port_that_a_service_does_not_declare() -> None:
    """Nobody may connect; when the port is declared, the stream ends and the next question says how."""
    controller = Controller(service(ports=[4191]))
    stream = controller.watch("10.96.0.1:9999")
    policy = stream.update()
    assert resource(policy.metadata) == ("Service", "ns", "my-svc", 9999)
    assert kind(policy) == "opaque"
    (shown,) = routes(policy)
    assert name(shown.metadata) == "(undefined-port)"
    (rule,) = shown.rules
    assert rule.backends.WhichOneof("kind") == "empty"
    assert [item.WhichOneof("kind") for item in rule.filters] == ["forbidden"]
    controller.apply(service(ports=[4191], annotations={"timeout.linkerd.io/request": "1s"}))
    assert stream.quiet
    controller.apply(service(ports=[4191, 9999]))
    assert stream.ended is Status.OK
    assert names(controller.get("10.96.0.1:9999")) == ["(http)"]


def test_a_refused_port_of_a_service_that_is_deleted_stays_refused() -> None:
    """A proxy that is told "not found" would not ask again, and the Service may come back."""
    made = service(ports=[4191])
    controller = Controller(made)
    stream = controller.watch("10.96.0.1:9999")
    stream.update()
    controller.delete(made)
    assert stream.quiet
    controller.apply(service(ports=[9999]))
    assert stream.ended is Status.OK


def test_a_refused_port_whose_address_another_service_takes() -> None:
    """The refusal names the Service, so it changes."""
    made = service(ports=[4191])
    controller = Controller(made)
    stream = controller.watch("10.96.0.1:9999")
    stream.update()
    controller.delete(made)
    controller.apply(service("successor", ports=[4191]))
    assert stream.ended is Status.OK
    assert resource(controller.get("10.96.0.1:9999").metadata)[2] == "successor"


def test_an_address_outside_that_becomes_a_services() -> None:
    """An EgressNetwork's stream, and a fallback's, end there too."""
    controller = Controller(egress(), config=ClusterConfig(cluster_networks=()))
    streams = [controller.watch("10.96.0.1:4191"), controller.watch("10.96.0.1:4191", "other:client")]
    assert [name(stream.update().metadata) for stream in streams] == ["egress-net", "(egress-fallback)"]
    controller.apply(service())
    assert [stream.ended for stream in streams] == [Status.OK, Status.OK]


# outbound 189, 190
def test_addresses_of_services() -> None:
    """All that one has; a headless Service has none, and can still be a backend and be asked for by name."""
    headless = service("headless", ips=["None"])
    dual = service("dual", ips=["10.96.0.9", "fd00::9"])
    made = route("G", parents=[service_ref("dual", port=4191)], backends=[service_ref("headless", port=80)])
    controller = Controller(headless, dual, made)
    for address in ("10.96.0.9:4191", "[fd00::9]:4191"):
        assert resource(controller.get(address).metadata) == ("Service", "ns", "dual", 4191)
    assert destination(only_backend(controller.get("dual.ns.svc:4191"))) == "headless.ns.svc.cluster.local:80"
    assert resource(controller.get("headless.ns.svc:4191").metadata)[2] == "headless"
    assert controller.index.statistics().service_index == 2


# outbound 191
def test_an_address_that_a_service_no_longer_has() -> None:
    """It is not found there any more; the stream follows the Service, and not the address."""
    controller = Controller(service(ips=["10.96.0.1", "10.96.0.2"]))
    stream = controller.watch("10.96.0.2:4191")
    stream.update()
    controller.apply(service(ips=["10.96.0.1"]))
    assert_not_found(controller, "10.96.0.2:4191")
    assert stream.quiet
    controller.apply(service(ips=["10.96.0.1"], annotations={"timeout.linkerd.io/request": "1s"}))
    assert first_rule(stream.update()).timeouts.request.seconds == 1


# outbound 192
def test_default_opaque_ports_hold_where_nothing_is_named() -> None:
    """An appProtocol counts more."""
    config = ClusterConfig(default_opaque_ports=frozenset((3306,)))
    controller = Controller(service(ports=[3306]), config=config)
    assert kind(controller.get("10.96.0.1:3306")) == "opaque"
    controller.apply(service(ports=[{"port": 3306, "appProtocol": "http"}]))
    assert kind(controller.get("10.96.0.1:3306")) == "http1"


# outbound 193
def test_a_service_that_is_deleted_while_it_is_watched() -> None:
    """Its stream stays, with what it last said; routes that name it fail until it is back."""
    target = service("target", ips=["10.96.0.7"], annotations={"timeout.linkerd.io/request": "1s"})
    made = route("G", parents=[SP.ref()], backends=[service_ref("target", port=80)])
    controller = Controller(service(), target, made)
    watched, user = controller.watch("10.96.0.7:4191"), controller.watch(SP.address())
    watched.update()
    assert destination(only_backend(user.update())) == "target.ns.svc.cluster.local:80"
    controller.delete(target)
    assert watched.quiet
    assert failure(only_backend(user.update())) == (500, "Service not found target")
    controller.apply(target)
    assert watched.quiet
    assert destination(only_backend(user.update())) == "target.ns.svc.cluster.local:80"
    controller.apply(service("target", ips=["10.96.0.7"]))
    assert not first_rule(watched.update()).timeouts.HasField("request")
    assert user.quiet


def test_an_egress_network_that_is_deleted_is_no_backend_any_more() -> None:
    """Unlike upstream's, which counts as existing for ever."""
    network = egress_network("other")
    made = route("G", parents=[EP.ref()], backends=[egress_ref("other")])
    controller = Controller(egress_network(), network, made)
    stream = controller.watch(EP.address())
    assert "same EgressNetwork" in failure(only_backend(stream.update()))[1]
    controller.delete(network)
    assert failure(only_backend(stream.update())) == (500, "EgressNetwork not found other")
    assert controller.index.statistics().service_info_index == 1


def test_a_removed_port_keeps_its_streams() -> None:
    """They go on with the Service's settings; a new question is refused."""
    controller = Controller(service(ports=[4191, 9999]))
    stream = controller.watch("10.96.0.1:9999")
    stream.update()
    controller.apply(service(ports=[4191], annotations={"timeout.linkerd.io/idle": "1s"}))
    assert first_rule(stream.update()).timeouts.idle.seconds == 1
    assert names(controller.watch("10.96.0.1:9999").update()) == ["(undefined-port)"]
    assert stream.quiet


def test_a_target_asked_about_again_after_its_end_serves_both() -> None:
    """The new stream is told of now, and the old one nothing more."""
    controller = Controller()
    old = controller.watch(ONE)
    old.update()
    controller.apply(egress())
    new = controller.watch(ONE)
    assert resource(new.update().metadata)[0] == "EgressNetwork"
    controller.apply(egress(policy="Deny"))
    assert names(new.update()) == ["(http-egress-deny)"]
    assert len(old.messages) == 1
    old.close()
    controller.apply(egress(policy="Allow"))
    assert names(new.update()) == ["(http-egress-allow)"]
    new.close()
    assert controller.index.statistics().targets == 0


# outbound 219
def test_everybody_is_told_the_same_bytes() -> None:
    """Two streams and a unary call; to apply the same again is no message."""
    controller = Controller(*SP.objects())
    streams = [controller.watch(SP.address()), controller.watch("my-svc.ns.svc.cluster.local:4191", "other:x")]
    assert streams[0].wire == streams[1].wire
    assert streams[0].wire[0] is streams[1].wire[0]
    assert streams[0].update() == controller.get(SP.address()) == streams[1].update()
    controller.apply(*SP.objects())
    assert all(stream.quiet for stream in streams)
    assert isinstance(streams[0].messages[0], pb.OutboundPolicy)
