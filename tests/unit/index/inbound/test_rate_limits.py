"""How often clients may call."""

from __future__ import annotations

import pytest

from controller.core.inbound import RateLimit, RateLimitOverride
from tests.builders import decode, pod, rate_limit, ref, server
from tests.unit.index.inbound.support import LIVE, POD_8080, SERVER, apply, delete, index_of, told, with_

CLIENT_0 = "client-0.ns-0.serviceaccount.identity.linkerd.cluster.example.com"


# inbound 41
def test_a_limit_is_told_with_its_overrides() -> None:
    """A total, and another one for some clients; their namespace is the policy's unless it is named."""
    index = index_of(pod(), server())
    index.watch(POD_8080)
    clients = [ref("ServiceAccount", "client-0")]

    assert apply(index, rate_limit(total=1000, overrides=[(500, clients)])) == {POD_8080}

    limit = RateLimit("ratelimit-0", total=1000, overrides=(RateLimitOverride(500, (CLIENT_0,)),))
    assert told(index) == with_(SERVER, rate_limit=limit)


# inbound 52
def test_a_limit_beside_an_access_policy() -> None:
    """A Server that lets everyone in may still limit them."""
    clients = [ref("ServiceAccount", "sa-0", namespace="ns-1")]
    index = index_of(
        pod(), server(access="audit"), rate_limit("rl-0", total=1000, overrides=[(200, clients)]), cluster=LIVE
    )

    override = RateLimitOverride(200, ("sa-0.ns-1.serviceaccount.identity.linkerd.cluster.local",))
    assert told(index).rate_limit == RateLimit("rl-0", total=1000, overrides=(override,))


# inbound 115
@pytest.mark.parametrize("accepted", [None, "False", "Unknown"])
def test_a_limit_that_was_not_accepted_does_not_count(accepted: str | None) -> None:
    """Without its Accepted condition a limit limits nobody; with it, it does, and without it again not."""
    index = index_of(pod(), server())
    index.watch(POD_8080)

    assert apply(index, rate_limit(identity=5, accepted=accepted)) == frozenset()
    assert told(index) == SERVER
    assert apply(index, rate_limit(identity=5)) == {POD_8080}
    assert told(index).rate_limit == RateLimit("ratelimit-0", identity=5)
    assert apply(index, rate_limit(identity=5, accepted=accepted)) == {POD_8080}


def test_the_oldest_limit_counts() -> None:
    """Of several accepted limits the oldest, then the first by name; one without a time comes last."""
    limits = [
        rate_limit("d", created=None),
        rate_limit("a", created=3),
        rate_limit("c", created=2),
        rate_limit("b", created=2),
    ]
    index = index_of(pod(), server(), *limits)

    seen: list[str] = []
    while limit := told(index).rate_limit:
        seen.append(limit.name)
        delete(index, next(each for each in limits if each.metadata.name == limit.name))

    assert seen == ["b", "c", "a", "d"]


def test_a_limit_may_move_to_another_server() -> None:
    """Limits are for the Server that they name, exactly as it is spelled."""
    index = index_of(pod(), server(), rate_limit(total=1))
    index.watch(POD_8080)

    assert apply(index, rate_limit(server="SRV-8080", total=1)) == {POD_8080}

    assert told(index) == SERVER


@pytest.mark.parametrize(
    "wrong",
    [
        rate_limit(total=2, target={"group": "apps", "kind": "Deployment", "name": "srv-8080"}),
        rate_limit(total=2, overrides=[(1, [ref("MeshTLSAuthentication", "x")])]),
    ],
)
def test_a_limit_that_means_nothing_leaves_the_one_before(wrong: object) -> None:
    """Only Servers can be limited, and only service accounts have overrides."""
    index = index_of(pod(), server(), rate_limit(total=1))

    assert apply(index, wrong) == frozenset()

    assert told(index).rate_limit == RateLimit("ratelimit-0", total=1)
    assert len(index.invalid()) == 1


@pytest.mark.parametrize("number", [-1, 2**32])
def test_a_limit_beyond_32_bits_cannot_be_read(number: int) -> None:
    """Requests per second are an unsigned 32-bit number."""
    with pytest.raises(ValueError, match="requestsPerSecond"):
        rate_limit(total=number)
    assert decode(type(rate_limit()), {"metadata": {}, "spec": {"targetRef": ref("Server", "x")}})
