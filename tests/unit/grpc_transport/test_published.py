"""Streams that show the latest value: their ends, windows and age, with h2's client at the other end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest as Ask
from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckResponse as Answer
from controller.grpc.transport.call import PublishedStream
from controller.grpc.transport.frames import ErrorCode
from controller.grpc.transport.limits import Limits
from controller.grpc.transport.services import Publisher
from tests.unit.grpc_transport.pair import CallPair, Client

ANSWER = Answer(status=1).SerializeToString()  # type: ignore[arg-type]


def test_a_published_stream_shows_each_value() -> None:
    """The first comes with the opening, later ones when they are published; nothing is sent in between."""
    pair = CallPair()
    response = pair.call("Watch")
    assert (response.messages, response.ended) == ([b"first"], False)
    (stream,) = pair.streams.open
    assert stream.peer == "10.0.0.1:4321"

    stream.publish(b"second")
    pair.exchange()
    assert response.messages == [b"first", b"second"]
    stream.publish(b"")
    pair.exchange()
    assert response.messages == [b"first", b"second", b""]


def test_only_the_latest_value_is_sent() -> None:
    """Values that nobody has written yet are replaced, and one wake is enough for all of them."""
    pair = CallPair()
    response = pair.call("Watch")
    (stream,) = pair.streams.open
    for value in (b"2", b"3", b"4"):
        stream.publish(value)

    assert pair.woken == 1
    pair.exchange()
    assert response.messages == [b"first", b"4"]


def test_the_end_comes_after_the_last_value() -> None:
    """Ending sends what is pending, then the status, and unsubscribes at once and once."""
    pair = CallPair()
    response = pair.call("Watch")
    (stream,) = pair.streams.open
    stream.publish(b"last")
    stream.end(Status.OK)
    assert pair.streams.unsubscribed == 1
    stream.publish(b"too late")
    stream.end(Status.NOT_FOUND)
    pair.exchange()

    assert (response.messages, response.status, response.ended) == ([b"first", b"last"], Status.OK, True)
    assert pair.streams.unsubscribed == 1


def test_a_published_stream_may_end_within_its_opening() -> None:
    """Ended or failed before it is subscribed: the client sees it, and no subscription stays."""
    unsubscribed = list[str]()

    def watch(ask: Ask, stream: Publisher) -> Callable[[], None]:
        stream.publish(b"value")
        if ask.service == "ended":
            stream.end(Status.NOT_FOUND, "gone")
        if ask.service == "refused":
            raise GRPCError(Status.INVALID_ARGUMENT, "no")
        if ask.service == "broken":
            raise ValueError("secret")
        return lambda: unsubscribed.append(ask.service)

    pair = CallPair(watch=watch)
    ended, refused, broken = (pair.call("Watch", name) for name in ("ended", "refused", "broken"))

    assert (ended.messages, ended.status, ended.trailers["grpc-message"]) == ([b"value"], Status.NOT_FOUND, "gone")
    assert (refused.body, refused.status) == (b"", Status.INVALID_ARGUMENT)
    assert (broken.body, broken.status) == (b"", Status.UNKNOWN)
    assert unsubscribed == ["ended"]
    assert len(pair.faults) == 1

    pair.client.ask("Watch", "ended")
    pair.server.receive(pair.client.h2.data_to_send())
    pair.server.advance(0.0, 100)
    assert unsubscribed == ["ended"] * 2, "whether or not the client reads"


def test_a_client_that_cancels_is_unsubscribed() -> None:
    """Its reset ends the subscription; publishing afterwards does nothing."""
    pair = CallPair()
    stream_id = pair.client.ask("Watch")
    pair.exchange()
    (stream,) = pair.streams.open
    stream.publish(b"never seen")
    pair.client.h2.reset_stream(stream_id, ErrorCode.CANCEL)
    pair.exchange()
    stream.publish(b"too late")
    stream.end(Status.OK)
    pair.exchange()

    assert (pair.streams.unsubscribed, pair.server.streams, pair.woken) == (1, 0, 1)


def test_a_fault_in_unsubscribing_ends_nothing_else() -> None:
    """Whoever unsubscribes may fail; it is reported, and the connection goes on."""

    def watch(_: Ask, __: Publisher) -> Callable[[], None]:
        def unsubscribe() -> None:
            raise ValueError("broken")

        return unsubscribe

    pair = CallPair(watch=watch)
    stream_id = pair.client.ask("Watch")
    pair.exchange()
    pair.client.h2.reset_stream(stream_id)
    pair.exchange()

    assert [str(error) for _, error in pair.faults] == ["broken"]
    assert pair.call().status is Status.OK


def test_a_connection_that_goes_takes_its_streams_along() -> None:
    """Every stream is unsubscribed once when the connection is closed, and publishing is harmless from then on."""
    pair = CallPair()
    for _ in range(3):
        pair.call("Watch")
    streams = list(pair.streams.open)
    pair.server.close(pair.now)
    pair.server.close(pair.now)
    for stream in streams:
        stream.publish(b"x")
        stream.end(Status.OK)

    assert (pair.streams.unsubscribed, pair.counts.cancelled_calls) == (3, 3)
    assert (pair.server.finished, pair.woken) == (True, 0)

    """A stream of a watching proxy costs less than a kilobyte."""
    import tracemalloc

    pair = CallPair(watch=lambda _, stream: stream.end)  # type: ignore[arg-type,return-value]
    for _ in range(100):
        pair.call("Watch")
    data = list[bytes]()
    for _ in range(1000):
        pair.client.ask("Watch")
    data.append(pair.client.h2.data_to_send())
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    pair.server.receive(data[0])
    data.clear()
    while not data or pair.server.has_input:
        data.append(b"")
        pair.server.advance(0.0, 10_000)
        pair.server.data_to_send(0.0, 1 << 30)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert pair.server.streams == 1100
    assert used / 1000 < 1024


def test_the_slot_is_a_published_stream() -> None:
    """What handlers get is the documented class."""
    pair = CallPair()
    pair.call("Watch")

    assert isinstance(pair.streams.open[0], PublishedStream)


# Windows.


def narrow_client(window: int) -> Client:
    """A client that allows so little per stream, and gives back only when told to."""
    client = Client(acknowledging=False)
    client.h2.update_settings({4: window})
    return client


def test_a_slow_reader_gets_the_latest_value() -> None:
    """A stream without room keeps what it has begun and then the newest value; others go on."""
    pair = CallPair(client=narrow_client(20))
    pair.streams.first = b"a" * 10
    slow, quick = pair.client.ask("Watch"), pair.client.ask("Watch")
    pair.exchange()
    stream, other = pair.streams.open
    for value in (b"b" * 10, b"c" * 10, b"d" * 10):
        stream.publish(value)
        pair.exchange()
    assert len(pair.client.responses[slow].body) == 20  # the first, and the beginning of the second

    pair.client.h2.increment_flow_control_window(1000, quick)
    other.publish(b"e" * 10)
    pair.exchange()
    assert pair.client.responses[quick].messages == [b"a" * 10, b"e" * 10]

    pair.client.h2.increment_flow_control_window(1000, slow)
    pair.exchange()
    assert pair.client.responses[slow].messages == [b"a" * 10, b"b" * 10, b"d" * 10]


def test_a_slow_reader_that_goes_away_is_forgotten() -> None:
    """A stream that waits for room and is reset leaves nothing behind."""
    pair = CallPair(client=narrow_client(2))
    stream_id = pair.client.ask("Watch")
    pair.exchange()
    assert pair.server._blocked  # type: ignore[attr-defined]  # what is kept cannot be seen from outside
    pair.client.h2.reset_stream(stream_id)
    pair.exchange()

    assert not pair.server._blocked  # type: ignore[attr-defined]


def test_a_larger_initial_window_lets_everybody_go_on() -> None:
    """Settings that enlarge the windows are as good as updates for each stream."""
    pair = CallPair(client=narrow_client(0))
    opened = [pair.client.ask("Watch") for _ in range(3)]
    pair.exchange()
    assert [pair.client.responses[stream_id].head.get(":status") for stream_id in opened] == ["200"] * 3
    assert [pair.client.responses[stream_id].body for stream_id in opened] == [b""] * 3
    pair.client.h2.update_settings({4: 100})
    pair.exchange()

    assert [pair.client.responses[stream_id].messages for stream_id in opened] == [[b"first"]] * 3


def test_the_connections_window_is_shared_in_order() -> None:
    """When all streams together have no room the rest waits, wakes nobody, and goes on where it stopped."""
    pair = CallPair(client=Client(acknowledging=False))
    responses = [pair.call("Watch") for _ in range(100)]
    for stream in pair.streams.open:
        stream.publish(b"x" * 995)
    woken = pair.woken
    pair.exchange()
    done = [len(response.body) > 10 and response.body.endswith(b"x" * 995) for response in responses]
    assert done == [True] * 64 + [False] * 36
    for stream in pair.streams.open:
        stream.publish(b"y" * 995)
    assert (pair.woken, pair.server.has_output) == (woken, False)

    while pair.client.h2.inbound_flow_control_window < 1 << 20:
        pair.client.h2.increment_flow_control_window(10_000)
        pair.exchange()
    latest = [response.messages[-1][:1] for response in responses]
    assert latest == [b"y"] * 100
    assert sum(len(response.messages) for response in responses) <= 265  # what nobody had begun was skipped


def test_large_messages_are_cut_to_frames_and_windows() -> None:
    """An answer of any size arrives whole through windows of any size."""
    pair = CallPair(client=Client())
    pair.streams.get = lambda _: b"z" * 1_000_000

    assert pair.call().messages == [b"z" * 1_000_000]


def test_what_is_written_at_a_time_is_bounded() -> None:
    """With windows wide open, output still comes in pieces of about the size asked for, and all of it comes."""
    client = Client()
    client.h2.increment_flow_control_window(1 << 30)
    pair = CallPair(client=client)
    pair.streams.first = b"x" * 1000
    responses = [client.responses[client.ask("Watch")] for _ in range(100)]
    pair.server.receive(client.h2.data_to_send())
    pair.server.advance(0.0, 1000)
    pieces = list[int]()
    while pair.server.has_output:
        piece = pair.server.data_to_send(0.0, 10_000)
        pieces.append(len(piece))
        client.receive(piece)

    assert max(pieces) < 12_000
    assert [response.messages for response in responses] == [[b"x" * 1000]] * 100


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("publish"), st.integers(0, 2), st.integers(1, 60_000)),
            st.tuples(st.just("update"), st.integers(0, 2), st.integers(1, 50_000)),
            st.tuples(st.just("connection"), st.just(0), st.integers(1, 50_000)),
            st.tuples(st.just("initial"), st.just(0), st.integers(0, 60_000)),
        ),
        max_size=30,
    )
)
@settings(deadline=None, max_examples=50)
def test_every_reader_ends_with_the_latest_value(steps: list[tuple[str, int, int]]) -> None:
    """However windows open and close: once there is room, the last message that a client has is the last published."""
    client = Client(acknowledging=False)
    pair = CallPair(client=client, limits=Limits(settings_burst=1000))
    opened = [client.ask("Watch") for _ in range(3)]
    pair.exchange()
    published = [[b"first"] for _ in range(3)]
    for number, (what, index, count) in enumerate(steps):
        match what:
            case "publish":
                published[index].append(b"%d:" % number + b"x" * count)
                pair.streams.open[index].publish(published[index][-1])
            case "update":
                client.h2.increment_flow_control_window(count, opened[index])
            case "connection":
                client.h2.increment_flow_control_window(count)
            case _:
                client.h2.update_settings({4: count})
        pair.exchange()
    client.h2.increment_flow_control_window(1 << 29)
    for stream_id in opened:
        client.h2.increment_flow_control_window(1 << 29, stream_id)
    pair.exchange()
    for values, stream_id in zip(published, opened, strict=True):
        messages = client.responses[stream_id].messages
        assert messages[-1] == values[-1]
        order = [values.index(message) for message in messages]
        assert order == sorted(set(order)), "a value came twice or out of order"


# Time.


def test_streams_end_when_they_are_old() -> None:
    """At an age that is drawn from a range the stream ends with OK, so that its client asks anew."""
    pair = CallPair(limits=Limits(stream_age_seconds=100.0, stream_age_jitter=0.4))  # drawn: the middle, 80 seconds
    response = pair.call("Watch")
    pair.timers.expire(79.9)
    pair.exchange()
    assert not response.ended
    pair.timers.expire(81.0)
    pair.exchange()

    assert (response.status, pair.streams.unsubscribed, len(pair.timers)) == (Status.OK, 1, 0)


@pytest.mark.parametrize("age", [None, 100.0])
def test_streams_end_at_their_deadline(age: float | None) -> None:
    """A client that said how long it would wait is told when the time is over."""
    pair = CallPair(limits=Limits(stream_age_seconds=age))
    response = pair.call("Watch", grpc_timeout="10S")
    pair.timers.expire(10.02)
    pair.exchange()

    assert response.status is Status.DEADLINE_EXCEEDED


def test_a_deadline_beyond_the_age_changes_nothing() -> None:
    """The age comes first."""
    pair = CallPair(limits=Limits(stream_age_seconds=10.0))
    response = pair.call("Watch", grpc_timeout="1H")
    pair.timers.expire(11.0)
    pair.exchange()

    assert response.status is Status.OK


def test_streams_that_ended_are_not_in_the_calendar() -> None:
    """Whatever ends a stream also takes back its time."""
    pair = CallPair(limits=Limits(stream_age_seconds=100.0))
    first, second = pair.client.ask("Watch"), pair.client.ask("Watch")
    pair.exchange()
    assert len(pair.timers) == 2
    pair.client.h2.reset_stream(first)
    pair.streams.open[1].end(Status.OK)
    pair.exchange()

    assert pair.client.responses[second].ended
    assert len(pair.timers) == 0
