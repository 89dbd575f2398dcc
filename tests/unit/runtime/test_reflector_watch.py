"""The watch half of the protocol: how long it lasts, how far it brings us, and what follows from its end."""

from __future__ import annotations

import pytest

from controller.runtime.errors import (
    Absent,
    AheadOfServer,
    Conflicted,
    Expired,
    Forbidden,
    Garbled,
    KubernetesError,
    Refused,
    Rejected,
    Status,
    Throttled,
    Unauthenticated,
    Unavailable,
)
from controller.runtime.reflector import ListPage, OpenWatch, Pause, Phase, Reaction, Reflector, Refresh


def listed(jitter: float = 0.5) -> Reflector:
    """A reflector that has completed a list at version 10."""
    subject = Reflector(lambda: jitter)
    subject.next_step()
    subject.listed("10", "")
    subject.synced()
    return subject


def starting() -> Reflector:
    """One that is about to open a watch."""
    subject = listed()
    assert isinstance(subject.next_step(), OpenWatch)
    return subject


def watching(*, events: int = 0) -> Reflector:
    """One whose watch opened at second 0, and has brought some events at once."""
    subject = starting()
    subject.opened(0.0)
    for number in range(events):
        subject.advanced(str(11 + number), 0.0)
    return subject


def reopen(subject: Reflector, now: float) -> None:
    """Get over a pause, and open the watch again."""
    step = subject.next_step()
    if isinstance(step, Pause):
        step = subject.next_step()
    assert isinstance(step, OpenWatch)
    subject.opened(now)


def relist_version(subject: Reflector) -> str | None:
    """Get over a pause, and return the version at which the next list begins."""
    step = subject.next_step()
    if isinstance(step, Pause):
        step = subject.next_step()
    assert isinstance(step, ListPage)
    return step.params.get("resourceVersion")


def watch_version(subject: Reflector) -> str:
    step = subject.next_step()
    if isinstance(step, Pause):
        step = subject.next_step()
    assert isinstance(step, OpenWatch)
    return step.params["resourceVersion"]


# runtime W11
@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 270), (0.5, 280), (0.999, 290)])
def test_what_a_watch_asks_for(jitter: float, seconds: int) -> None:
    """A watch begins at the list's version, wants bookmarks, lasts below five minutes, and is dead five seconds on."""
    assert listed(jitter).next_step() == OpenWatch(
        {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": "10",
            "timeoutSeconds": str(seconds),
        },
        idle=seconds + 5.0,
    )


def test_advancing() -> None:
    """What has been handed on is where the next watch begins."""
    # runtime W9, W10, W11
    subject = watching()
    subject.advanced("12", 100.0)
    subject.advanced("15", 200.0)
    assert subject.ended(280.0) == Reaction(Phase.STREAM, "ended", relist=False)
    assert watch_version(subject) == "15"


# Each row: the error, the reason in metrics, whether to list again, the wait the first and the second time.
@pytest.mark.parametrize(
    ("error", "reason", "relist", "waits"),
    [
        # runtime W14, W15
        (Unavailable("x", reason="connect"), "connect", False, (0.8, 1.6)),
        (Unavailable("x", reason="timeout"), "timeout", False, (0.8, 1.6)),
        (Unavailable("x", reason="lost"), "lost", False, (0.8, 1.6)),
        (Unavailable("x", status=Status(code=503), retry_after=2.0), "unavailable", False, (2.8, 3.6)),
        (Throttled("x", retry_after=2.0), "throttled", False, (2.8, 3.6)),
        # runtime W12
        (Expired("x"), "expired", True, (0.5, 0.8)),
        (Unauthenticated("x"), "unauthorized", False, (0.0, 0.8)),
        # runtime W17
        (Forbidden("x"), "forbidden", True, (0.8, 1.6)),
        (Absent("x"), "not_found", True, (0.8, 1.6)),
        (Rejected("x"), "invalid", True, (0.8, 1.6)),
        (Refused("x"), "refused", True, (0.8, 1.6)),
        (Conflicted("x"), "conflict", True, (0.8, 1.6)),
    ],
)
def test_failures_at_the_start(error: KubernetesError, reason: str, relist: bool, waits: tuple[float, float]) -> None:
    """A watch that does not open is opened again or listed for, after the wait that the failure deserves."""
    subject = listed()
    for wait in waits:
        assert isinstance(subject.next_step(), OpenWatch)
        reaction = subject.failed(error, 0.0)
        assert reaction == Reaction(Phase.START, reason, relist=relist, wait=pytest.approx(wait))
        if wait:
            assert subject.next_step() == Pause(pytest.approx(wait))
        if isinstance(error, Unauthenticated):
            assert isinstance(subject.next_step(), Refresh)
        if relist:
            assert relist_version(subject) == "10"
            subject.listed("10", "")
            subject.synced()
    assert subject.version == "10"


def test_refused_connections_lose_nothing() -> None:
    """However often the server is not there, the watch goes on where it was."""
    # runtime W15
    subject = watching(events=1)
    subject.failed(Unavailable("x", reason="lost"), 500.0)
    for _ in range(5):
        assert watch_version(subject) == "11"
        subject.failed(Unavailable("x", reason="connect"), 500.0)
    assert watch_version(subject) == "11"


def test_a_version_from_the_future_at_the_start() -> None:
    """Three times we wait for the server to catch up; then we take what it has."""
    subject = listed()
    for expected in (False, False, False, True):
        assert isinstance(subject.next_step(), OpenWatch)
        reaction = subject.failed(AheadOfServer("x", retry_after=1.0), 0.0)
        assert (reaction.reason, reaction.relist) == ("too_large_rv", expected)
        assert reaction.wait > 1.0
        subject.next_step()
    assert relist_version(subject) is None


def test_expired_at_the_start_twice() -> None:
    """The first list after expiry begins at the known version; only if that is too old as well, it is dropped."""
    # runtime W12
    subject = starting()
    subject.failed(Expired("x"), 0.0)
    assert relist_version(subject) == "10"
    subject.failed(Expired("x"), 0.0)
    assert relist_version(subject) is None


def test_expiry_over_and_over_is_slowed_down() -> None:
    """A server that lets every watch expire is asked ever more slowly, although each list works."""
    # runtime W8
    subject = listed()
    waits: list[float] = []
    for _ in range(5):
        subject.next_step()
        waits.append(subject.failed(Expired("x"), 0.0).wait)
        subject.next_step()
        subject.next_step()
        subject.listed("10", "")
        subject.synced()
    assert waits == [0.5, 0.8, 1.6, 3.2, 6.4]


# Each row: the error, the reason in metrics, whether to list again, the wait.
@pytest.mark.parametrize(
    ("error", "reason", "relist", "wait"),
    [
        (Unavailable("x", reason="lost"), "lost", False, 0.8),
        (Unavailable("x", reason="tls"), "tls", False, 0.8),
        (Unavailable("x", reason="idle"), "idle", False, 0.0),  # runtime W21
        (Expired("x", status=Status(code=410)), "expired", True, 0.5),  # runtime W13
        (Throttled("x", status=Status(code=429), retry_after=4.0), "throttled", False, 4.8),  # runtime W14
        (Unavailable("x", status=Status(code=500)), "server_error", False, 0.8),  # runtime W16
        (Forbidden("x", status=Status(code=403)), "error", True, 0.8),
        (Refused("x", status=Status()), "error", True, 0.8),
        (AheadOfServer("x", status=Status(code=504)), "error", True, 0.8),
        (Garbled("x", reason="decode"), "decode", True, 0.8),  # runtime W22
        (Garbled("x", reason="oversize"), "oversize", True, 0.8),  # runtime W22
        (Garbled("x", reason="no_rv"), "no_rv", True, 0.8),  # runtime W22
    ],
)
def test_failures_of_a_stream(error: KubernetesError, reason: str, relist: bool, wait: float) -> None:
    """A stream that fails is resumed where it was, or listed for, after the wait that the failure deserves."""
    subject = watching()
    assert subject.failed(error, 5.0) == Reaction(Phase.STREAM, reason, relist=relist, wait=wait)
    assert (relist_version(subject) if relist else watch_version(subject)) == "10"


def test_a_lost_stream_that_had_brought_something() -> None:
    """A connection that was good for an event is replaced at once."""
    # runtime W20
    subject = watching(events=1)
    assert subject.failed(Unavailable("cut", reason="lost"), 3.0) == Reaction(Phase.STREAM, "lost", relist=False)
    assert watch_version(subject) == "11"


def test_server_errors_in_a_row() -> None:
    """Three are resumed from; the fourth says that something is wrong with what we ask for."""
    # runtime W16
    subject = watching()
    relists: list[bool] = []
    for _ in range(4):
        relists.append(subject.failed(Unavailable("x", status=Status(code=500)), 5.0).relist)
        if not relists[-1]:
            reopen(subject, 0.0)
    assert relists == [False, False, False, True]


def test_two_server_errors_and_an_event() -> None:
    """An event in between begins a new row."""
    # runtime W16
    subject = watching()
    for _ in range(2):
        assert not subject.failed(Unavailable("x", status=Status(code=500)), 5.0).relist
        reopen(subject, 0.0)
    subject.advanced("11", 1.0)
    for _ in range(3):
        assert not subject.failed(Unavailable("x", status=Status(code=500)), 5.0).relist
        reopen(subject, 0.0)


def test_server_errors_and_a_good_end() -> None:
    """A watch that ended in good order begins a new row."""
    subject = watching()
    for _ in range(3):
        subject.failed(Unavailable("x", status=Status(code=500)), 5.0)
        reopen(subject, 0.0)
    subject.ended(5.0)
    reopen(subject, 0.0)
    assert not subject.failed(Unavailable("x", status=Status(code=500)), 5.0).relist


def test_a_watch_that_opened_ends_rows_of_the_start() -> None:
    """Once a watch has opened, the next version from the future and the next refusal are first ones."""
    for error, times in ((AheadOfServer("x"), 3), (Unauthenticated("x"), 1)):
        subject = listed()
        for _ in range(2):
            for _ in range(times):
                while not isinstance(subject.next_step(), OpenWatch):
                    pass
                reaction = subject.failed(error, 0.0)
                assert not reaction.relist
                assert reaction.wait == 0.0 or isinstance(error, AheadOfServer)
            while not isinstance(subject.next_step(), OpenWatch):
                pass
            subject.opened(0.0)
            subject.ended(5.0)


def test_events_of_an_earlier_watch_do_not_count() -> None:
    """What the last connection was good for says nothing about this one."""
    subject = watching(events=1)
    subject.ended(5.0)
    reopen(subject, 5.0)
    assert subject.failed(Unavailable("cut", reason="lost"), 6.0).wait == 0.8


def test_expiry_after_a_healthy_watch_is_a_first_one() -> None:
    """Expiry now and then costs next to nothing each time."""
    subject = watching()
    for _ in range(3):
        assert subject.failed(Expired("x", status=Status(code=410)), 200.0).wait == 0.5
        assert relist_version(subject) == "10"
        subject.listed("10", "")
        subject.synced()
        reopen(subject, 0.0)


# runtime W18
def test_watches_that_end_at_once() -> None:
    """A watch that ends within a second with nothing is no watch; after three in a row we list, ever more slowly."""
    subject = watching()
    reactions: list[Reaction] = []
    for _ in range(3):
        reactions.append(subject.ended(0.01))
        if not reactions[-1].relist:
            reopen(subject, 0.0)
    assert [(reaction.reason, reaction.relist) for reaction in reactions] == [
        ("short", False),
        ("short", False),
        ("short", True),
    ]
    assert [reaction.wait for reaction in reactions] == [0.8, 1.6, 3.2]
    assert relist_version(subject) == "10"


@pytest.mark.parametrize(("events", "seconds"), [(0, 1.0), (1, 0.01)])
def test_watches_that_end_in_good_order(events: int, seconds: float) -> None:
    """A watch that lasted a second, or brought something, is opened again at once, and ends a row of short ones."""
    # runtime W11
    subject = watching()
    for _ in range(2):
        subject.ended(0.01)
        reopen(subject, 0.0)
    if events:
        subject.advanced("11", 0.0)
    assert subject.ended(seconds) == Reaction(Phase.STREAM, "ended", relist=False)
    reopen(subject, 0.0)
    assert not subject.ended(0.01).relist


# runtime W8
@pytest.mark.parametrize(
    ("lasted", "event_at", "wait"),
    [
        (119.0, None, 3.2),
        (120.0, None, 0.8),
        (9.0, 9.0, 3.2),
        (10.0, 10.0, 0.8),
        (10.0, 1.0, 0.8),
        (10.0, None, 3.2),
    ],
)
def test_what_resets_the_back_off(lasted: float, event_at: float | None, wait: float) -> None:
    """Two minutes of watching, or an event and ten seconds: then the next failure is a first one."""
    subject = listed()
    for _ in range(2):
        subject.next_step()
        subject.failed(Unavailable("x", reason="connect"), 0.0)
        subject.next_step()
    reopen(subject, 1000.0)
    if event_at is not None:
        subject.advanced("11", 1000.0 + event_at)
    assert subject.failed(Forbidden("x", status=Status(code=403)), 1000.0 + lasted).wait == wait
    assert subject.is_healthy is (wait == 0.8)


def test_healthy_is_said_of_the_watch_under_way() -> None:
    """A new watch has to prove itself again."""
    subject = watching()
    subject.ended(200.0)
    assert subject.is_healthy
    reopen(subject, 200.0)
    assert not subject.is_healthy


def test_a_cancelled_hand_over_does_not_advance() -> None:
    """The version stays where it is for as long as nobody says that the events have been handed on."""
    # runtime W24
    subject = watching()
    subject.failed(Unavailable("x", reason="lost"), 3.0)
    assert watch_version(subject) == "10"
