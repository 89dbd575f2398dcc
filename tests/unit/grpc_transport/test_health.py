"""grpc.health.v1."""

from __future__ import annotations

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from controller.grpc.health import SERVICE, Health


class Watcher:
    peer = "somebody"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def publish(self, message: bytes) -> None:
        self.seen.append(name(message))

    def end(self, *_: object) -> None:
        raise AssertionError("health never ends a stream")


def name(message: bytes) -> str:
    return HealthCheckResponse.ServingStatus.Name(HealthCheckResponse.FromString(message).status)


def check(health: Health, service: str = "") -> str:
    return name(health.check(HealthCheckRequest(service=service)))


def test_nothing_serves_until_it_is_said() -> None:
    """The server and each service begin as not serving, and change together or alone."""
    health = Health(["a", "b"])
    assert [check(health, service) for service in ("", "a", "b")] == ["NOT_SERVING"] * 3
    health.set_serving(True)
    assert [check(health, service) for service in ("", "a", "b")] == ["SERVING"] * 3
    health.set_serving(False, "a")

    assert [check(health, service) for service in ("", "a", "b")] == ["SERVING", "NOT_SERVING", "SERVING"]


def test_unknown_services() -> None:
    """Asked once they are NOT_FOUND; watched, the stream says that they are unknown and stays open."""
    health, watcher = Health(["a"]), Watcher()
    with pytest.raises(GRPCError) as caught:
        check(health, "x")
    unsubscribe = health.watch(HealthCheckRequest(service="x"), watcher)
    health.set_serving(True)
    unsubscribe()

    assert caught.value.status is Status.NOT_FOUND
    assert watcher.seen == ["SERVICE_UNKNOWN"]


def test_watching() -> None:
    """The state of now, then each change and nothing but changes, until the subscription ends."""
    health = Health(["a"])
    one, two, other = Watcher(), Watcher(), Watcher()
    unsubscribe = health.watch(HealthCheckRequest(service="a"), one)
    end_two = health.watch(HealthCheckRequest(service="a"), two)
    end_other = health.watch(HealthCheckRequest(), other)
    health.set_serving(True, "a")
    health.set_serving(True, "a")
    unsubscribe()
    health.set_serving(False, "a")
    end_two()
    end_other()
    health.set_serving(True, "a")

    assert one.seen == ["NOT_SERVING", "SERVING"]
    assert two.seen == ["NOT_SERVING", "SERVING", "NOT_SERVING"]
    assert other.seen == ["NOT_SERVING"]


def test_what_is_offered() -> None:
    """Check answers in place and Watch is published: neither needs a task."""
    offered = Health([]).offered()

    assert offered.name == SERVICE
    assert (list(offered.unary), list(offered.published)) == (["Check"], ["Watch"])
