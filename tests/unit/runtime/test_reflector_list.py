"""The list half of the protocol: what is asked for, and what follows from each failure."""

from __future__ import annotations

import pytest

from controller.runtime.errors import (
    Absent,
    AheadOfServer,
    Expired,
    Forbidden,
    Garbled,
    KubernetesError,
    Refused,
    Rejected,
    Throttled,
    Unauthenticated,
    Unavailable,
)
from controller.runtime.reflector import ListPage, OpenWatch, Pause, Phase, Reaction, Reflector, Refresh, Step


def reflector(**settings: object) -> Reflector:
    return Reflector(lambda: 0.5, **settings)  # type: ignore[arg-type]


def params(step: Step) -> dict[str, str]:
    assert isinstance(step, ListPage)
    return dict(step.params)


def sync(subject: Reflector, version: str = "10") -> None:
    """Complete a list of one page."""
    assert isinstance(subject.next_step(), ListPage)
    assert subject.listed(version, "")
    subject.synced()


def resync(subject: Reflector) -> None:
    """Lose a healthy watch to expiry, so that the next step is a list at a known version."""
    assert isinstance(subject.next_step(), OpenWatch)
    subject.opened(0.0)
    subject.failed(Expired("too old"), 500.0)
    assert isinstance(subject.next_step(), Pause)


def fail(subject: Reflector, error: KubernetesError) -> Reaction:
    """Fail the list that is asked for next."""
    assert isinstance(subject.next_step(), ListPage)
    return subject.failed(error, 0.0)


def test_the_first_list_is_consistent_and_paged() -> None:
    """The first list asks for the newest state, in pages."""
    # runtime W5
    assert params(reflector().next_step()) == {"limit": "500"}


def test_selectors_go_along() -> None:
    """Every list and watch carries the selectors."""
    subject = reflector(label_selector="a=b", field_selector="c=d")
    assert params(subject.next_step()) == {"labelSelector": "a=b", "fieldSelector": "c=d", "limit": "500"}
    subject.listed("10", "more")
    assert params(subject.next_step())["labelSelector"] == "a=b"
    subject.listed("10", "")
    subject.synced()
    step = subject.next_step()
    assert isinstance(step, OpenWatch)
    assert (step.params["labelSelector"], step.params["fieldSelector"]) == ("a=b", "c=d")


def test_pages() -> None:
    """Pages go on with the token alone, and the last one's version is what the watch begins at."""
    # runtime W1, W2
    subject = reflector()
    assert subject.next_step() == ListPage({"limit": "500"}, first=True)
    assert not subject.listed("10", "token-1")
    assert subject.next_step() == ListPage({"limit": "500", "continue": "token-1"}, first=False)
    assert not subject.listed("11", "token-2")
    assert subject.next_step() == ListPage({"limit": "500", "continue": "token-2"}, first=False)
    assert subject.listed("12", "")
    assert subject.version is None, "nothing has been handed on"
    subject.synced()
    assert subject.version == "12"
    step = subject.next_step()
    assert isinstance(step, OpenWatch)
    assert step.params["resourceVersion"] == "12"


def test_a_relist_begins_where_we_are() -> None:
    """A list after the first asks for a state no older than what is known, from the cache and so in one piece."""
    # runtime W5
    subject = reflector()
    sync(subject)
    resync(subject)
    assert params(subject.next_step()) == {"resourceVersion": "10", "resourceVersionMatch": "NotOlderThan"}


def test_a_relist_goes_on_without_version_where_the_server_pages_it_anyway() -> None:
    """Continuing a list at a known version sends neither version nor match."""
    # runtime W2
    subject = reflector()
    sync(subject)
    resync(subject)
    subject.next_step()
    subject.listed("20", "token")
    assert params(subject.next_step()) == {"continue": "token", "limit": "500"}


def test_expired_relist_asks_for_the_newest() -> None:
    """The sequence is unset, 10, unset; once that has worked the version counts again."""
    # runtime W5
    subject = reflector()
    sync(subject)
    resync(subject)
    assert fail(subject, Expired("gone")) == Reaction(Phase.LIST, "expired", relist=True, wait=0.8)
    assert subject.next_step() == Pause(0.8)
    assert params(subject.next_step()) == {"limit": "500"}
    subject.listed("30", "")
    subject.synced()
    resync(subject)
    assert params(subject.next_step())["resourceVersion"] == "30"


def test_any_version() -> None:
    """Where any version will do, the sequence is 0, 10, unset."""
    # runtime W5
    subject = reflector(any_version=True)
    assert params(subject.next_step()) == {"resourceVersion": "0", "limit": "500"}
    subject.listed("10", "")
    subject.synced()
    resync(subject)
    assert params(subject.next_step())["resourceVersion"] == "10"
    subject.failed(Expired("gone"), 500.0)
    subject.next_step()
    assert params(subject.next_step()) == {"limit": "500"}


def test_a_server_without_cache_is_asked_in_pages() -> None:
    """If a list at any version came in pages, later ones are asked for in pages too."""
    subject = reflector(any_version=True)
    subject.next_step()
    subject.listed("10", "token")
    subject.next_step()
    subject.listed("10", "")
    subject.synced()
    resync(subject)
    assert params(subject.next_step()) == {
        "resourceVersion": "10",
        "resourceVersionMatch": "NotOlderThan",
        "limit": "500",
    }


def test_pages_of_the_newest_state_say_nothing_about_the_cache() -> None:
    """That a consistent list comes in pages is no reason to page one that the cache could serve."""
    subject = reflector(any_version=True)
    sync(subject)
    resync(subject)
    fail(subject, Expired("10 is too old"))
    subject.next_step()
    subject.next_step()
    subject.listed("20", "token")
    sync(subject, "20")
    resync(subject)
    assert params(subject.next_step()) == {"resourceVersion": "20", "resourceVersionMatch": "NotOlderThan"}


# Each row: the error, the reason in metrics, the wait after it the first and the second time.
@pytest.mark.parametrize(
    ("error", "reason", "waits"),
    [
        (Expired("x"), "expired", (0.5, 0.8)),
        (AheadOfServer("x"), "too_large_rv", (0.5, 0.8)),
        (Unauthenticated("x"), "unauthorized", (0.0, 0.8)),
        (Forbidden("x"), "forbidden", (0.8, 1.6)),
        (Absent("x"), "not_found", (0.8, 1.6)),
        (Throttled("x", retry_after=5.0), "throttled", (5.8, 6.6)),
        (Unavailable("x"), "unavailable", (0.8, 1.6)),
        (Unavailable("x", retry_after=3.0), "unavailable", (3.8, 4.6)),
        (Unavailable("x", reason="connect"), "connect", (0.8, 1.6)),
        (Unavailable("x", reason="tls"), "tls", (0.8, 1.6)),
        (Unavailable("x", reason="timeout"), "timeout", (0.8, 1.6)),
        (Unavailable("x", reason="lost"), "lost", (0.8, 1.6)),
        (Garbled("x", reason="decode"), "decode", (0.8, 1.6)),
        (Garbled("x", reason="no_rv"), "no_rv", (0.8, 1.6)),
        (Garbled("x"), "protocol", (30.0, 30.0)),
        (Rejected("something else"), "invalid", (0.8, 1.6)),
        (Refused("x"), "refused", (0.8, 1.6)),
    ],
)
def test_failures_of_a_list(error: KubernetesError, reason: str, waits: tuple[float, float]) -> None:
    """Whatever happens to a list, it is asked for again, after the wait that the failure deserves."""
    # runtime W6, W7
    subject = reflector()
    for wait in waits:
        reaction = fail(subject, error)
        assert (reaction.phase, reaction.reason, reaction.wait) == (Phase.LIST, reason, pytest.approx(wait))
        if wait:
            assert subject.next_step() == Pause(pytest.approx(wait))
        if isinstance(error, Unauthenticated):
            assert isinstance(subject.next_step(), Refresh)
    assert params(subject.next_step()) == {"limit": "500"}


def test_refresh_comes_after_the_pause() -> None:
    """Credentials are made fresh right before they are used."""
    subject = reflector()
    for _ in range(2):
        fail(subject, Unauthenticated("x"))
        steps = [subject.next_step() for _ in range(2)]
        if isinstance(steps[0], Refresh):
            subject.failed(Unauthenticated("still"), 0.0)
            assert isinstance(subject.next_step(), Pause)
            assert isinstance(subject.next_step(), Refresh)
    assert isinstance(subject.next_step(), ListPage)


def test_a_page_that_works_ends_a_row_of_refusals() -> None:
    """Once accepted, the next refusal is a first one again."""
    subject = reflector()
    fail(subject, Unauthenticated("x"))
    subject.next_step()
    sync(subject)
    subject.next_step()
    assert subject.failed(Unauthenticated("x"), 0.0).wait == 0.0


def test_a_throttled_page_is_asked_for_again() -> None:
    """Throttling loses no pages."""
    subject = reflector()
    subject.next_step()
    subject.listed("10", "token")
    reaction = fail(subject, Throttled("slow down", retry_after=2.0))
    assert (reaction.relist, reaction.wait) == (False, 2.8)
    subject.next_step()
    assert subject.next_step() == ListPage({"limit": "500", "continue": "token"}, first=False)


@pytest.mark.parametrize("error", [Unavailable("x"), Garbled("x", reason="decode"), Absent("x"), AheadOfServer("x")])
def test_a_list_that_fails_in_the_middle_begins_anew(error: KubernetesError) -> None:
    """Any other failure of a later page gives up the pages before it."""
    subject = reflector()
    subject.next_step()
    subject.listed("10", "token")
    fail(subject, error)
    subject.next_step()
    assert subject.next_step() == ListPage({"limit": "500"}, first=True)


def test_an_expired_token_makes_the_list_unpaged_once() -> None:
    """A list that is too slow for its own pages is asked for in one piece, at once; if that fails, in pages again."""
    # runtime W3
    subject = reflector()
    subject.next_step()
    subject.listed("10", "token")
    assert fail(subject, Expired("token")) == Reaction(Phase.LIST, "continue_expired", relist=True)
    assert subject.next_step() == ListPage({}, first=True)
    assert subject.failed(Unavailable("x"), 0.0).wait == 0.8
    subject.next_step()
    assert subject.next_step() == ListPage({"limit": "500"}, first=True)


def test_an_unpaged_list_that_worked_is_not_a_habit() -> None:
    """After an unpaged list, one for the newest state is paged again."""
    subject = reflector()
    subject.next_step()
    subject.listed("10", "token")
    fail(subject, Expired("token"))
    subject.next_step()
    subject.listed("11", "")
    subject.synced()
    for _ in range(4):
        assert isinstance(subject.next_step(), OpenWatch)
        subject.failed(AheadOfServer("11 is too new"), 0.0)
        subject.next_step()
    assert params(subject.next_step()) == {"limit": "500"}


def test_expired_unpaged_list() -> None:
    """If even the list in one piece is too old, the version goes."""
    # runtime W4
    subject = reflector()
    sync(subject)
    resync(subject)
    subject.next_step()
    subject.listed("20", "token")
    fail(subject, Expired("token"))
    assert params(subject.next_step())["resourceVersion"] == "10"
    assert subject.failed(Expired("gone"), 0.0).reason == "expired"
    subject.next_step()
    assert params(subject.next_step()) == {"limit": "500"}


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ("resourceVersionMatch is forbidden", {"resourceVersion": "10", "limit": "500"}),
        ("limit is forbidden", {"resourceVersion": "10", "resourceVersionMatch": "NotOlderThan"}),
    ],
)
def test_parameters_that_the_server_does_not_take(message: str, left: dict[str, str]) -> None:
    """A parameter that the server complains about is left out from then on."""
    subject = reflector(any_version=True)
    subject.next_step()
    subject.listed("10", "token")  # from here on, everything is paged
    subject.listed("10", "")
    subject.synced()
    resync(subject)
    assert fail(subject, Rejected(message)).wait == 0.0
    assert params(subject.next_step()) == left
    # Complaining again does not help; the usual wait applies.
    assert subject.failed(Rejected(message), 0.0).wait == 0.8


def test_two_parameters_in_a_row() -> None:
    """The second complaint in a row has to wait."""
    subject = reflector()
    assert fail(subject, Rejected("limit?")).wait == 0.0
    assert fail(subject, Rejected("resourceVersionMatch?")).wait == 0.8


def test_a_list_that_works_ends_a_row_of_complaints() -> None:
    """A complaint long after another is a first one."""
    subject = reflector()
    fail(subject, Rejected("limit?"))
    sync(subject)
    resync(subject)
    assert fail(subject, Rejected("resourceVersionMatch?")).wait == 0.0


def test_a_list_without_version() -> None:
    """A list that does not say which version it is cannot be watched from."""
    # runtime W7
    subject = reflector()
    subject.next_step()
    with pytest.raises(Garbled) as caught:
        subject.listed("", "")
    assert caught.value.reason == "no_rv"


def test_neither_lists_nor_pages_reset_the_back_off() -> None:
    """A server that lists well and then refuses the watch is asked ever more slowly."""
    # runtime W8
    subject = reflector()
    waits: list[float] = []
    for _ in range(7):
        sync(subject)
        subject.next_step()
        waits.append(subject.failed(Forbidden("no watching"), 0.0).wait)
        subject.next_step()
    assert waits == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0]


def test_a_kind_that_vanished_is_new_when_it_comes_back() -> None:
    """Nothing of what we knew of a kind counts after it was gone."""
    # runtime W28
    subject = reflector()
    sync(subject)
    resync(subject)
    fail(subject, Absent("404"))
    subject.vanished()
    assert subject.version is None
    assert subject.next_step() == ListPage({"limit": "500"}, first=True)
