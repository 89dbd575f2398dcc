"""What is kept of questions that nobody watches."""

from __future__ import annotations

from controller.core.cluster import ClusterConfig
from controller.core.outbound import ServiceTarget
from controller.index.outbound import index as outbound
from controller.index.outbound.index import OutboundIndex
from tests.destinations import applied, deleted, service


def named(name: str, port: int = 8080) -> ServiceTarget:
    return ServiceTarget("ns", "ns", name, port)


def with_service() -> OutboundIndex:
    index = OutboundIndex(ClusterConfig())
    index.apply([applied(service("a", namespace="ns"))])
    return index


def test_an_answer_is_found_again_until_anything_changes() -> None:
    """Two questions in a row get the same answer; after a change it is derived anew."""
    index = with_service()
    first = index.lookup(named("a"))

    again = index.lookup(named("a"))
    index.apply([applied(service("b", namespace="ns"))])

    assert first is again
    assert index.lookup(named("a")) is not first


def test_nothing_is_kept_of_names_that_mean_nothing() -> None:
    """Anybody can ask for any number of them."""
    index = with_service()
    index.apply([deleted(service("a", namespace="ns"))])

    assert index.lookup(named("a")) is not index.lookup(named("a"))
    assert index._recent == {}


def test_no_more_is_kept_than_a_fixed_number() -> None:
    """Asking for every port of a Service does not fill the memory."""
    index = with_service()
    for port in range(1, outbound.MAX_RECENT + 10):
        index.lookup(named("a", port))

    assert len(index._recent) <= outbound.MAX_RECENT
