"""Following a kind, from the first list to whatever the server thinks of."""

from __future__ import annotations

import contextlib
import io
import itertools
import random
from collections.abc import Mapping, Sequence

import attrs
import pytest
import trio
import trio.testing

from controller.k8s.events import Event
from controller.k8s.meta import Resource
from controller.k8s.resource import ResourceType
from controller.runtime.decode import Decoder
from controller.runtime.errors import (
    Absent,
    Expired,
    Forbidden,
    KubernetesError,
    Rejected,
    Status,
    Throttled,
    Unauthenticated,
    Unavailable,
)
from controller.runtime.freshness import WatchRecord, WatchState
from controller.runtime.list_watch import watch_kind
from controller.runtime.log import configured
from controller.runtime.log_filter import LogFilter, LogFormat
from controller.runtime.quarantine import Quarantine
from tests.cancelling import sweep
from tests.shell.runtime.scripted import End, ScriptedServer, Seen, following, virtual_clock
from tests.unit.runtime.support import WIDGETS, bookmark, line, page, status, widget

LOST = Unavailable("cut", reason="lost")
REFUSED = Unavailable("refused", reason="connect")


def lines(*each: bytes) -> bytes:
    return b"".join(one + b"\n" for one in each)


async def test_from_list_to_watch(autojump_clock: trio.testing.MockClock) -> None:
    """A list comes as one event, then changes come as they are, and the record knows it all."""
    # runtime W1, W9, W10, I1
    server = ScriptedServer(
        [page(widget("a"), continue_="token", version="10"), page(widget("b"), version="11")],
        [
            [
                1.0,
                lines(line("ADDED", widget("c", version="12"))),
                1.0,
                lines(line("MODIFIED", widget("a", version="13")), line("DELETED", widget("b", version="14"))),
                1.0,
                lines(bookmark("20")),
            ]
        ],
    )
    async with following(server) as subject:
        await trio.sleep(10)
        assert subject.seen.told() == ["[a,b]", "+c", "+a", "-b"]
        assert [len(batch) for batch in subject.seen.batches] == [1, 1, 2]
        statistics = subject.record.statistics()
    assert server.asked("list") == [{"limit": "500"}, {"limit": "500", "continue": "token"}]
    assert [params["resourceVersion"] for params in server.asked("watch")] == ["11"]
    assert (statistics.state, statistics.synced, statistics.objects) == (WatchState.WATCHING, True, 2)
    assert (statistics.resource_version, statistics.staleness) == ("20", 7.0)
    assert (statistics.resets, statistics.applies, statistics.deletes, statistics.bookmarks) == (1, 2, 1, 1)


async def test_not_synced_before_the_list_is_complete(autojump_clock: trio.testing.MockClock) -> None:
    """A list that has begun, or has failed, is no list."""
    # runtime N6
    server = ScriptedServer([page(widget("a"), continue_="token"), REFUSED])
    async with following(server) as subject:
        await trio.sleep(100)
        assert subject.seen.batches == []
        assert not subject.record.synced
        assert subject.record.state is WatchState.LISTING


async def test_the_watch_goes_on_where_it_was(autojump_clock: trio.testing.MockClock) -> None:
    """A watch that the server closes in good order is opened again at the latest version, without a list."""
    # runtime W10, W11
    server = ScriptedServer(
        [page(version="10")], [[100.0, lines(bookmark("15")), 180.0, End], [lines(line("ADDED", widget("a")))]]
    )
    async with following(server) as subject:
        await trio.sleep(500)
        assert subject.seen.told() == ["[]", "+a"]
        assert subject.record.restarts == {"ended": 1}
        assert subject.record.errors == {}
    assert len(server.asked("list")) == 1
    assert [params["resourceVersion"] for params in server.asked("watch")[:2]] == ["10", "15"]
    assert server.times("watch")[:2] == [0.0, 280.0]


async def test_cut_in_the_middle_of_a_line(autojump_clock: trio.testing.MockClock) -> None:
    """Half a line is nothing; the watch goes on after the last whole one, and no event comes twice."""
    # runtime W20
    first, second = line("ADDED", widget("a", version="11")), line("ADDED", widget("b", version="12"))
    server = ScriptedServer([page(version="10")], [[lines(first) + second[:40], LOST], [lines(second)]])
    async with following(server) as subject:
        await trio.sleep(10)
        assert subject.seen.told() == ["[]", "+a", "+b"]
    assert [params["resourceVersion"] for params in server.asked("watch")] == ["10", "11"]
    assert server.times("watch") == [0.0, 0.0], "an event had come, so the new connection may come at once"


# runtime W19
@pytest.mark.parametrize("size", [1, 2, 7, 64])
async def test_chunks_know_nothing_of_lines(autojump_clock: trio.testing.MockClock, size: int) -> None:
    """However the bytes are cut, the same events come out."""
    stream = lines(
        line("ADDED", widget("ä", version="11")),
        b"\r",
        line("MODIFIED", widget("b\n", version="12")) + b"\r",
        bookmark("13"),
    )
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    server = ScriptedServer([page(version="10")], [chunks])
    async with following(server) as subject:
        await trio.sleep(10)
        assert subject.seen.told() == ["[]", "+ä", "+b\n"]
        assert subject.record.resource_version == "13"


async def test_silence(autojump_clock: trio.testing.MockClock) -> None:
    """A connection on which nothing comes for longer than the watch should last is given up, and opened anew."""
    # runtime W21
    server = ScriptedServer([page(version="10")], [[100.0, lines(bookmark("12"))], [lines(bookmark("13"))]])
    async with following(server) as subject:
        await trio.sleep(386)
        assert subject.record.restarts == {"idle": 1}
        assert subject.record.resource_version == "13"
    assert server.times("watch") == [0.0, 100.0 + 280.0 + 5.0]
    assert len(server.asked("list")) == 1


# runtime W12, W13
@pytest.mark.parametrize(
    "gone",
    [
        Expired("too old", status=Status(code=410)),
        [1.0, lines(line("ERROR", status(410, "Expired", "too old resource version")))],
    ],
    ids=["at the start", "in the stream"],
)
async def test_history_is_gone(autojump_clock: trio.testing.MockClock, gone: KubernetesError | list[bytes]) -> None:
    """When the server has forgotten what happened, we list again, and what was deleted meanwhile is removed."""
    server = ScriptedServer(
        [page(widget("a"), widget("b"), version="10"), page(widget("b"), widget("c"), version="30")], [gone]
    )
    async with following(server) as subject:
        await trio.sleep(10)
        assert subject.seen.told() == ["[a,b]", "[b,c]-a"]
        assert subject.record.restarts == {"expired": 1}
    assert server.asked("list")[1] == {"resourceVersion": "10", "resourceVersionMatch": "NotOlderThan"}
    assert server.asked("watch")[-1]["resourceVersion"] == "30"


async def test_an_outage_loses_no_delete(autojump_clock: trio.testing.MockClock) -> None:
    """However lists fail, the first that works removes everything that is gone."""
    # runtime I7, I8, I9
    server = ScriptedServer(
        [
            page(widget("a"), widget("b"), widget("c"), version="10"),
            REFUSED,
            page(widget("a"), widget("b"), continue_="token", version="20"),
            LOST,
            b"not even JSON",
            page(kind="Table"),
            page(widget("b", version="31"), widget("d"), version="40"),
        ],
        [Expired("gone")],
    )
    async with following(server) as subject:
        await trio.sleep(200)
        assert subject.seen.told() == ["[a,b,c]", "[b,d]-a,c"]
        assert subject.record.lists == {"completed": 2, "connect": 1, "lost": 1, "decode": 1, "protocol": 1}
        assert subject.record.errors == {"WatchStartFailed": 1, "InitialListFailed": 4}


async def test_lists_that_never_work(autojump_clock: trio.testing.MockClock) -> None:
    """A server that is down is asked ever more slowly."""
    # runtime E2
    server = ScriptedServer(itertools.repeat(REFUSED))
    async with following(server) as subject:
        await trio.sleep(60)
        assert subject.record.state is WatchState.BACKING_OFF
    assert server.times("list") == pytest.approx([0.0, 0.8, 2.4, 5.6, 12.0, 24.8, 50.4])


# runtime W17
@pytest.mark.parametrize(
    "error", [Unauthenticated("401"), Forbidden("403"), Absent("404"), Rejected("422"), Expired("410")]
)
async def test_watches_that_never_work(autojump_clock: trio.testing.MockClock, error: KubernetesError) -> None:
    """A server that lists and then refuses the watch is not asked in a hot loop."""
    server = ScriptedServer(itertools.repeat(page(version="10")), itertools.repeat(error))
    async with following(server):
        await trio.sleep(60)
    assert 5 <= len(server.requests) <= 20


async def test_watches_that_end_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """Something in between that closes every watch is not asked in a hot loop, and now and then we list."""
    # runtime W18
    server = ScriptedServer(itertools.repeat(page(version="10")), itertools.repeat([0.01, End]))
    async with following(server) as subject:
        await trio.sleep(60)
        assert subject.record.restarts == {"short": 7}
    assert len(server.asked("list")) == 3


# runtime W14, W15, W16
@pytest.mark.parametrize(
    ("failures", "lists"),
    [
        ([Throttled("429", retry_after=2.0)], 1),
        ([[lines(line("ERROR", status(429, "TooManyRequests", details={"retryAfterSeconds": 2})))]], 1),
        ([REFUSED] * 5, 1),
        ([[lines(line("ERROR", status(500, "InternalError")))]] * 2, 1),
        ([[lines(line("ERROR", status(500, "InternalError")))]] * 4, 2),
    ],
)
async def test_what_needs_no_list(
    autojump_clock: trio.testing.MockClock, failures: list[KubernetesError | list[bytes]], lists: int
) -> None:
    """Trouble that says nothing about history is waited out at the version that we have."""
    server = ScriptedServer(itertools.repeat(page(version="10")), [*failures, [lines_of("ADDED", "a", "11")]])
    async with following(server) as subject:
        await trio.sleep(100)
        assert subject.seen.names == {"a"}
    assert len(server.asked("list")) == lists
    assert {params["resourceVersion"] for params in server.asked("watch")} == {"10"}
    assert server.times("watch")[1] >= 0.8


def lines_of(change: str, name: str, version: str) -> bytes:
    return lines(line(change, widget(name, version=version)))


# runtime W22
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"garbage\n", "decode"),
        (lines(line("ADDED", widget("x", version=""))), "no_rv"),
        (b"x" * 2000, "oversize"),
    ],
)
async def test_lines_that_end_the_watch(autojump_clock: trio.testing.MockClock, bad: bytes, reason: str) -> None:
    """After a line that makes no sense, nothing on that stream is trusted; a list puts it right."""
    server = ScriptedServer(
        [page(widget("a"), version="10"), page(widget("b"), version="20")],
        [[lines_of("ADDED", "c", "11") + bad + lines_of("ADDED", "never", "12")]],
    )
    async with following(server, max_line=1000) as subject:
        await trio.sleep(10)
        assert subject.seen.names == {"b"}
        assert "never" not in str(subject.seen.told())
        assert subject.record.restarts == {reason: 1}
        label = "NoResourceVersion" if reason == "no_rv" else "WatchFailed"
        assert subject.record.errors == {label: 1}
    assert server.open_watches == 0 or server.asked("watch")[-1]["resourceVersion"] == "20"


async def test_lines_that_are_skipped(autojump_clock: trio.testing.MockClock) -> None:
    """What we do not understand, and what is not ours, is passed over."""
    # runtime W22
    server = ScriptedServer(
        [page(version="10")],
        [
            [
                lines(line("RENAMED", widget("x")), line("ADDED", widget("y") | {"kind": "Gadget"}))
                + lines_of("ADDED", "a", "11")
            ]
        ],
    )
    async with following(server) as subject:
        await trio.sleep(10)
        assert subject.seen.told() == ["[]", "+a"]
        assert subject.record.skipped == 2
        assert subject.record.errors == {}


async def test_the_same_event_again(autojump_clock: trio.testing.MockClock) -> None:
    """A server that repeats itself is repeated."""
    # runtime W23
    server = ScriptedServer(
        [page(version="10")], [[lines_of("ADDED", "a", "11"), LOST], [lines_of("ADDED", "a", "11")]]
    )
    async with following(server) as subject:
        await trio.sleep(10)
        assert subject.seen.told() == ["[]", "+a", "+a"]
        assert subject.record.statistics().objects == 1


async def test_a_poisoned_kind(autojump_clock: trio.testing.MockClock) -> None:
    """One object that cannot be read hides none of the others, in lists or changes."""
    # inbound 109
    server = ScriptedServer(
        [page(widget("a", size="bad"), widget("b"), version="10")],
        [[lines_of("ADDED", "c", "11"), lines(line("MODIFIED", widget("b", version="12", size=None)))]],
    )
    async with following(server) as subject:
        await trio.sleep(10)
        assert subject.seen.told() == ["[b]", "+c"]
        assert [entry.key.name for entry in subject.quarantine.statistics()] == ["a", "b"]
        assert subject.record.statistics().quarantined == 2
        assert subject.record.resource_version == "12"


async def test_credentials_are_refreshed(autojump_clock: trio.testing.MockClock) -> None:
    """A refused list or watch gets fresh credentials, and goes on at once."""
    server = ScriptedServer(
        [Unauthenticated("401"), page(version="10")], [Unauthenticated("401"), [lines_of("ADDED", "a", "11")]]
    )
    async with following(server) as subject:
        await trio.sleep(0.1)
        assert subject.seen.names == {"a"}
    assert server.refreshed == 2


# -- kinds that are not there --


@attrs.define
class ScriptedPresence:
    """Says what is served, and when it appears."""

    served: bool | KubernetesError = False
    appears: trio.Event = attrs.field(factory=trio.Event)
    asked: int = 0

    async def is_served(self, _resource_type: ResourceType[Resource]) -> bool:
        await trio.lowlevel.checkpoint()
        self.asked += 1
        if isinstance(self.served, KubernetesError):
            raise self.served
        return self.served

    async def wait_served(self, _resource_type: ResourceType[Resource]) -> None:
        await self.appears.wait()


NOT_THERE = Absent("404")


async def test_an_optional_kind_that_is_not_served(autojump_clock: trio.testing.MockClock) -> None:
    """It counts as a completed, empty list; when it appears, it is listed."""
    # runtime W28
    server = ScriptedServer([NOT_THERE, page(widget("a"))])
    presence = ScriptedPresence()
    async with following(server, presence=presence, optional=True) as subject:
        await trio.sleep(100)
        assert subject.seen.told() == ["[]"]
        assert subject.record.synced
        assert subject.record.state is WatchState.ABSENT
        assert len(server.requests) == 1, "nobody asks for it"
        presence.appears.set()
        await trio.sleep(1)
        assert subject.seen.told() == ["[]", "[a]"]
        assert subject.record.state is WatchState.WATCHING


async def test_a_required_kind_that_is_not_served(autojump_clock: trio.testing.MockClock) -> None:
    """Nothing is claimed about it until it appears."""
    server = ScriptedServer([NOT_THERE, page(widget("a"))])
    presence = ScriptedPresence()
    async with following(server, presence=presence) as subject:
        await trio.sleep(100)
        assert subject.seen.batches == []
        assert not subject.record.synced
        presence.appears.set()
        await trio.sleep(1)
        assert subject.seen.told() == ["[a]"]


@pytest.mark.parametrize("optional", [True, False])
async def test_a_kind_that_vanishes(autojump_clock: trio.testing.MockClock, optional: bool) -> None:
    """Its objects go once the server has said twice that it is gone, and come back with it."""
    # runtime W28
    server = ScriptedServer(
        [page(widget("a"), version="10"), NOT_THERE, NOT_THERE, page(widget("b"), version="50")],
        [[200.0, End], NOT_THERE],
    )
    presence = ScriptedPresence()
    output = io.StringIO()
    with configured(LogFilter.parse("warn"), LogFormat.PLAIN, output=output):
        async with following(server, presence=presence, optional=optional) as subject:
            await trio.sleep(250)
            assert subject.seen.told() == ["[a]", "[]-a"]
            assert presence.asked == 2
            presence.appears.set()
            await trio.sleep(1)
            assert subject.seen.told() == ["[a]", "[]-a", "[b]"]
    assert output.getvalue().count("all its objects are gone") == 1, "nobody should learn that from what proxies do"
    assert server.asked("list")[-1] == {"limit": "500"}, "what was known of the old one says nothing about the new one"


@pytest.mark.parametrize("served", [True, Unavailable("503")])
async def test_a_page_that_is_not_found_proves_nothing(
    autojump_clock: trio.testing.MockClock, served: bool | KubernetesError
) -> None:
    """While discovery says that the kind is there, or says nothing, what we know stays."""
    server = ScriptedServer([page(widget("a"), version="10"), *[NOT_THERE] * 4], [[200.0, End], NOT_THERE])
    async with following(server, presence=ScriptedPresence(served), optional=True) as subject:
        await trio.sleep(300)
        assert subject.seen.told() == ["[a]"]


async def test_absences_count_in_a_row(autojump_clock: trio.testing.MockClock) -> None:
    """A server that changes its mind about a kind has not said twice that it is gone."""

    class Fickle(ScriptedPresence):
        async def is_served(self, _resource_type: ResourceType[Resource]) -> bool:
            await trio.lowlevel.checkpoint()
            self.asked += 1
            return self.asked % 2 == 0

    server = ScriptedServer([page(widget("a"), version="10"), *[NOT_THERE] * 6], [NOT_THERE])
    presence = Fickle()
    async with following(server, presence=presence) as subject:
        await trio.sleep(300)
        assert subject.seen.told() == ["[a]"]
        assert presence.asked == 6


async def test_a_forbidden_kind(autojump_clock: trio.testing.MockClock) -> None:
    """A required kind that we may not see keeps us waiting; an optional one counts as empty until we may."""
    for optional, told in ((False, []), (True, ["[]"])):
        server = ScriptedServer([*[Forbidden("403")] * 4, page(widget("a"))])
        async with following(server, presence=ScriptedPresence(), optional=optional) as subject:
            await trio.sleep(10)
            assert subject.seen.told() == told
            assert subject.record.synced is optional
            await trio.sleep(60)
            assert subject.seen.told() == [*told, "[a]"]


async def test_what_we_know_outlives_a_lost_permission(autojump_clock: trio.testing.MockClock) -> None:
    """Not being allowed to look is no proof that there is nothing."""
    server = ScriptedServer([page(widget("a")), *[Forbidden("403")] * 9], [Expired("gone")])
    async with following(server, presence=ScriptedPresence(), optional=True) as subject:
        await trio.sleep(100)
        assert subject.seen.told() == ["[a]"]


# -- the loop as a whole --


async def test_the_log_of_an_outage(autojump_clock: trio.testing.MockClock) -> None:
    """One warning when it begins, one each five minutes, one line when it is over."""
    # runtime 3.7
    server = ScriptedServer([*[REFUSED] * 30, page(version="10")], [[20.0, lines(bookmark("11"))]])
    output = io.StringIO()
    with configured(LogFilter.parse("info"), LogFormat.PLAIN, output=output):
        async with following(server):
            await trio.sleep(900)
    said = [text for text in output.getvalue().splitlines() if "list_watch" in text]
    assert [" WARN " in text for text in said] == [True, True, True, False, False]
    assert "listed" in said[3]
    assert "works again" in said[4]
    assert all("widgets" in text for text in said)


async def test_the_log_of_a_server_that_flaps(autojump_clock: trio.testing.MockClock) -> None:
    """A server that works for a moment and fails again does not fill the log."""
    flapping = [[lines(bookmark(str(11 + number))), 1.0, LOST] for number in range(50)]
    output = io.StringIO()
    with configured(LogFilter.parse("info"), LogFormat.PLAIN, output=output):
        async with following(ScriptedServer([page(version="10")], flapping)) as subject:
            await trio.sleep(100)
            assert subject.record.restarts == {"lost": 50}
    assert output.getvalue().count(" WARN ") == 1


async def test_a_consumer_that_is_gone(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody listening is an error of ours, and not one to try again."""
    # runtime I16
    clock = virtual_clock()
    send, receive = trio.open_memory_channel[Sequence[Event]](0)
    await receive.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await watch_kind(
            ScriptedServer([page()]),
            WIDGETS,
            events=send,
            record=WatchRecord(WIDGETS, clock),
            quarantine=Quarantine(clock),
            clock=clock,
            jitter=lambda: 0.5,
        )


async def test_a_slow_consumer_holds_the_version_back(autojump_clock: trio.testing.MockClock) -> None:
    """Events that nobody has taken do not count: neither for the version nor for readiness."""
    # runtime W24
    clock = virtual_clock()
    record = WatchRecord(WIDGETS, clock)
    send, receive = trio.open_memory_channel[Sequence[Event]](0)
    server = ScriptedServer([page(version="10")], [[lines_of("ADDED", "a", "11")]])
    async with trio.open_nursery() as nursery:

        async def follow() -> None:
            await watch_kind(
                server,
                WIDGETS,
                events=send,
                record=record,
                quarantine=Quarantine(clock),
                clock=clock,
                jitter=lambda: 0.5,
            )

        nursery.start_soon(follow)
        await trio.sleep(1)
        assert (record.synced, record.resource_version) == (False, None)
        await receive.receive()
        await trio.sleep(1)
        assert (record.synced, record.resource_version) == (True, "10")
        await receive.receive()
        await trio.sleep(1)
        assert record.resource_version == "11"
        nursery.cancel_scope.cancel()


@attrs.define
class Swept:
    """A whole life of a watch, and what it has handed on."""

    server: ScriptedServer
    seen: Seen
    record: WatchRecord


async def test_cancelled_anywhere(autojump_clock: trio.testing.MockClock) -> None:
    """Wherever it is cancelled, nothing stays open, and the record claims no more than was handed on."""
    # runtime W24, W36
    clock = virtual_clock()

    def prepare() -> Swept:
        server = ScriptedServer(
            [
                Unauthenticated("401"),
                page(widget("a"), continue_="t"),
                page(widget("b"), version="10"),
                NOT_THERE,
                NOT_THERE,
            ],
            [[lines_of("ADDED", "c", "11"), 0.1, lines_of("DELETED", "a", "12"), LOST], Absent("404")],
        )
        return Swept(server, Seen(), WatchRecord(WIDGETS, clock))

    async def live(subject: Swept) -> None:
        send, receive = trio.open_memory_channel[Sequence[Event]](100)
        presence = ScriptedPresence()
        try:
            await watch_kind(
                subject.server,
                WIDGETS,
                events=_Until(send, 4),  # type: ignore[arg-type]
                record=subject.record,
                quarantine=Quarantine(clock),
                clock=clock,
                jitter=lambda: 0.5,
                presence=presence,
            )
        except _Enough:
            pass
        finally:
            while receive.statistics().current_buffer_used:
                subject.seen.take(receive.receive_nowait())
            receive.close()

    def check(subject: Swept) -> None:
        assert subject.server.open_watches == 0
        version = subject.record.resource_version
        told = subject.seen.told()
        assert told == ["[a,b]", "+c", "-a", "[]-b,c"][: len(told)]
        handed_on = {None: 0, "10": 1, "11": 2, "12": 3}[version]
        assert handed_on <= len(told)
        assert subject.record.synced is (version is not None)

    assert await sweep(live, prepare=prepare, check=check) > 20


class _Enough(Exception):
    pass


class _Until:
    """A channel that ends the test after some batches."""

    def __init__(self, send: trio.MemorySendChannel[Sequence[Event]], count: int) -> None:
        self._send = send
        self._left = count

    def send_nowait(self, _batch: Sequence[Event]) -> None:
        raise trio.WouldBlock  # so that handing on is a checkpoint at which the test can cancel

    async def send(self, batch: Sequence[Event]) -> None:
        await self._send.send(batch)
        self._left -= 1
        if not self._left:
            raise _Enough

    async def __aenter__(self) -> _Until:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._send.close()


@attrs.define
class Restarting(ScriptedServer):
    """Loses every connection at second 10, and is back at second 30."""

    def _note(self, verb: str, params: Mapping[str, str]) -> None:
        super()._note(verb, params)
        if 10.0 <= trio.current_time() < 30.0:
            raise REFUSED


async def test_many_watches_and_a_restart(autojump_clock: trio.testing.MockClock) -> None:
    """Two hundred watches that lose their server together do not come back together, and all come back."""
    # runtime W37
    chance = random.Random(1)
    async with contextlib.AsyncExitStack() as stack:
        subjects = [
            await stack.enter_async_context(
                following(Restarting([page(version="10")], [[10.0, LOST]]), jitter=chance.random)
            )
            for _ in range(200)
        ]
        await trio.sleep(100)
        assert all(subject.record.state is WatchState.WATCHING for subject in subjects)
        assert all(subject.record.resets == 1 for subject in subjects), "nothing was lost, so nobody lists"
        times = [time for subject in subjects for time in subject.server.times("watch")]
    later = [time for time in times if time >= 12.0]
    assert max(sum(start <= time < start + 0.25 for time in later) for start in later) < 50
    assert len(later) <= 200 * 6


async def test_long_lists_let_others_run(autojump_clock: trio.testing.MockClock) -> None:
    """While thousands of objects are read, other tasks get their turn."""
    body = page(*(widget(f"w{number}") for number in range(5_000)))
    server = ScriptedServer([body])
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        async with following(server) as subject:
            while not subject.record.synced:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert turns >= 10
    assert len(Decoder(WIDGETS).page(body).items or ()) == 5_000
