"""What handlers with tasks see of their calls, and what cancelling them leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
import trio.testing
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError, ProtocolError

from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest as Ask
from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckResponse as Answer
from controller.grpc.transport.call import TaskCall
from controller.grpc.transport.frames import ErrorCode
from controller.grpc.transport.streams import HandlerStream, run_handler
from tests.cancelling import sweep
from tests.unit.grpc_transport.pair import NAME, CallPair, Response, framed, head

Stream = HandlerStream[Ask, Answer]


@attrs.define(eq=False)
class Method:
    """One method whose handler a test writes."""

    handler: Callable[[Stream], Awaitable[None]]
    cardinality: Cardinality = Cardinality.STREAM_STREAM

    async def run(self, stream: Stream) -> None:
        await self.handler(stream)

    def __mapping__(self) -> dict[str, Handler]:
        return {f"/{NAME}/Chat": Handler(self.run, self.cardinality, Ask, Answer)}


class Conversation:
    """A call of that method, its handler not yet running, and the client."""

    def __init__(
        self,
        handler: Callable[[Stream], Awaitable[None]],
        *names: str,
        cardinality: Cardinality = Cardinality.STREAM_STREAM,
        end: bool = True,
        **changes: str,
    ) -> None:
        self.pair = CallPair(Method(handler, cardinality))
        self.pair.now = trio.current_time()
        body = b"".join(framed(Ask(service=name)) for name in names)
        self.stream_id = self.pair.client.open(head("Chat", **changes), body, end=end)
        self.pair.exchange()
        (self.call,) = self.pair.server.take_started()

    @property
    def response(self) -> Response:
        return self.pair.client.responses[self.stream_id]

    async def run(self) -> Response:
        """Run the handler to its end."""
        await run_handler(self.call, self.pair.shared.report)
        self.pair.exchange()
        return self.response

    def send(self, name: str, *, end: bool = False) -> None:
        self.pair.client.h2.send_data(self.stream_id, framed(Ask(service=name)), end_stream=end)
        self.pair.exchange()


async def echo(stream: Stream) -> None:
    async for ask in stream:
        await stream.send_message(Answer(status=len(ask.service)))  # type: ignore[arg-type]


async def test_messages_in_and_out() -> None:
    """What the client sent is iterated over; what is sent arrives; returning is OK."""
    response = await Conversation(echo, "", "a", "ab").run()

    assert [Answer.FromString(message).status for message in response.messages] == [0, 1, 2]
    assert response.status is Status.OK


async def test_waiting_for_messages() -> None:
    """A handler waits for what has not come yet, and for the end."""
    conversation = Conversation(echo, end=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(conversation.run)
        await trio.testing.wait_all_tasks_blocked()
        conversation.send("a")
        await trio.testing.wait_all_tasks_blocked()
        conversation.pair.exchange()
        assert len(conversation.response.messages) == 1
        conversation.send("ab", end=True)

    assert len(conversation.response.messages) == 2


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (GRPCError(Status.NOT_FOUND, "no"), Status.NOT_FOUND, "no"),
        (ValueError("secret"), Status.UNKNOWN, "internal error"),
    ],
)
async def test_a_handler_that_fails(error: Exception, status: Status, text: str) -> None:
    """A GRPCError is the status; anything else is reported here and not told there."""

    async def fail(stream: Stream) -> None:
        await stream.recv_message()
        raise error

    conversation = Conversation(fail, "a")
    response = await conversation.run()
    assert (response.status, response.head["grpc-message"]) == (status, text)
    assert len(conversation.pair.faults) == isinstance(error, ValueError)


async def test_a_unary_handler_has_to_answer() -> None:
    """Returning without a message is a fault of the handler."""

    async def silent(stream: Stream) -> None:
        await stream.recv_message()

    response = await Conversation(silent, "a", cardinality=Cardinality.UNARY_UNARY).run()
    assert (response.status, response.head["grpc-message"]) == (Status.UNKNOWN, "the handler sent no message")


async def test_a_unary_request_has_a_message() -> None:
    """A client that sends none is told so; a stream of none is fine."""

    async def collect(stream: Stream) -> None:
        assert await stream.recv_message() is None
        await stream.send_message(Answer())

    assert (await Conversation(collect, cardinality=Cardinality.UNARY_UNARY).run()).status is Status.UNIMPLEMENTED
    assert (await Conversation(collect, cardinality=Cardinality.STREAM_UNARY).run()).status is Status.OK


async def test_misuse_is_told() -> None:
    """Sending twice what can be sent once is the handler's mistake."""

    async def misuse(stream: Stream) -> None:
        await stream.send_initial_metadata(metadata={"x-a": "b"})
        with pytest.raises(ProtocolError, match="initial metadata"):
            await stream.send_initial_metadata()
        with pytest.raises(ProtocolError, match="needs a message"):
            await stream.send_trailing_metadata()
        await stream.send_message(Answer())
        with pytest.raises(ProtocolError, match="one message"):
            await stream.send_message(Answer())
        await stream.send_trailing_metadata(status=Status.OK, metadata={"x-c": "d"})
        with pytest.raises(ProtocolError, match="already sent"):
            await stream.send_trailing_metadata()
        assert await stream.recv_message() is not None

    response = await Conversation(misuse, "a", cardinality=Cardinality.UNARY_UNARY).run()
    assert (response.head["x-a"], response.trailers["x-c"], response.status) == ("b", "d", Status.OK)


async def test_what_a_request_brings_along() -> None:
    """Metadata with binary values decoded, the user agent, the deadline and the peer."""
    seen = list[object]()

    async def look(stream: Stream) -> None:
        assert stream.deadline is not None
        seen.extend([stream.metadata["x-a"], stream.metadata["x-b-bin"], stream.user_agent, stream.peer])
        seen.append(stream.deadline.time_remaining() <= 5.0)
        assert "te" not in stream.metadata

    await Conversation(look, x_a="text", x_b_bin="AAH/", user_agent="me/1", grpc_timeout="5S").run()
    assert seen == ["text", b"\x00\x01\xff", "me/1", "10.0.0.1:4321", True]


async def test_malformed_metadata_is_the_clients_fault() -> None:
    """Binary metadata that is no base64 ends the call when the handler asks for it."""

    async def look(stream: Stream) -> None:
        assert stream.metadata

    response = await Conversation(look, x_b_bin="a").run()
    assert response.status is Status.INVALID_ARGUMENT


async def test_a_message_of_another_type() -> None:
    """Bytes that are no message of the method's type end the call."""
    conversation = Conversation(echo, end=False)
    conversation.pair.client.h2.send_data(conversation.stream_id, framed(b"\xff"), end_stream=True)
    conversation.pair.exchange()

    assert (await conversation.run()).status is Status.INTERNAL


async def test_a_deadline_cancels_the_handler(autojump_clock: trio.testing.MockClock) -> None:
    """At the client's deadline the handler is stopped, and the status says so."""

    async def sleep(_: Stream) -> None:
        await trio.sleep_forever()

    response = await Conversation(sleep, grpc_timeout="7S").run()
    assert response.status is Status.DEADLINE_EXCEEDED
    assert trio.current_time() == pytest.approx(7.0)


async def test_a_client_that_goes_cancels_the_handler() -> None:
    """Before it began, and while it waits."""

    async def never(_: Stream) -> None:
        raise AssertionError("nobody is there to answer")

    conversation = Conversation(never, end=False)
    conversation.pair.client.h2.reset_stream(conversation.stream_id)
    conversation.pair.exchange()
    await conversation.run()
    assert conversation.pair.faults == []

    conversation = Conversation(echo, end=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(conversation.run)
        await trio.testing.wait_all_tasks_blocked()
        conversation.pair.client.h2.reset_stream(conversation.stream_id)
        conversation.pair.exchange()
    assert conversation.pair.counts.cancelled_calls == 1


async def test_a_handler_may_give_up() -> None:
    """The client sees a reset."""

    async def give_up(stream: Stream) -> None:
        await stream.cancel()
        raise AssertionError("the handler is cancelled too")

    assert (await Conversation(give_up).run()).reset == ErrorCode.CANCEL


async def test_a_handler_waits_for_a_slow_client() -> None:
    """With 64 KiB unsent a handler has to wait, so that it cannot fill the memory."""
    sent = 0

    async def pour(stream: Stream) -> None:
        nonlocal sent
        for _ in range(1000):
            await stream.send_message(Answer.FromString(b"\x7a\x64" + b"x" * 100 + b"\x7a\xfe\x06" + bytes(894)))
            sent += 1

    conversation = Conversation(pour)
    conversation.pair.client.acknowledging = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(conversation.run)
        await trio.testing.wait_all_tasks_blocked()
        conversation.pair.exchange()
        await trio.testing.wait_all_tasks_blocked()
        stalled = sent
        conversation.pair.client.h2.increment_flow_control_window(1 << 30)
        conversation.pair.client.h2.increment_flow_control_window(1 << 30, conversation.stream_id)
        conversation.pair.exchange()
        while conversation.response.status is None:
            await trio.testing.wait_all_tasks_blocked()
            conversation.pair.exchange()

    assert stalled < 150
    assert len(conversation.response.messages) == sent == 1000


async def test_reading_and_writing_in_two_tasks() -> None:
    """A handler may wait for room and for messages at the same time, and each wait is woken."""
    heard = list[str]()

    async def both(stream: Stream) -> None:
        async def listen() -> None:
            async for ask in stream:
                heard.append(ask.service)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            for _ in range(200):
                await stream.send_message(Answer.FromString(b"\x7a\xe8\x07" + bytes(1000)))

    conversation = Conversation(both, end=False)
    conversation.pair.client.acknowledging = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(conversation.run)
        await trio.testing.wait_all_tasks_blocked()
        conversation.pair.exchange()
        await trio.testing.wait_all_tasks_blocked()
        conversation.send("heard")
        await trio.testing.wait_all_tasks_blocked()
        assert heard == ["heard"]
        conversation.pair.client.h2.increment_flow_control_window(1 << 30)
        conversation.pair.client.h2.increment_flow_control_window(1 << 30, conversation.stream_id)
        conversation.send("end", end=True)
        while conversation.response.status is None:
            await trio.testing.wait_all_tasks_blocked()
            conversation.pair.exchange()

    assert len(conversation.response.messages) == 200


async def test_no_cancellation_loses_a_message() -> None:
    """Wherever waiting for a message is cancelled, the message is still there."""

    def still_there(stream: Stream) -> None:
        assert stream._call.take_message() is not None  # type: ignore[attr-defined]

    cancelled = await sweep(
        HandlerStream.recv_message,
        prepare=lambda: HandlerStream(Conversation(echo, "a", end=False).call),
        check=still_there,
    )
    assert cancelled >= 1


async def test_cancelled_sends_have_sent() -> None:
    """Wherever sending is cancelled, the message is on its way once, or not at all if nothing has begun."""

    async def send(subject: tuple[Stream, Conversation]) -> None:
        await subject[0].send_message(Answer(status=1))  # type: ignore[arg-type]

    def prepare() -> tuple[Stream, Conversation]:
        conversation = Conversation(echo, "a", end=False)
        return HandlerStream(conversation.call), conversation

    def sent_once(subject: tuple[Stream, Conversation]) -> None:
        subject[1].pair.exchange()
        assert len(subject[1].response.messages) == 1

    assert await sweep(send, prepare=prepare, check=sent_once) >= 1


async def test_a_handler_cancelled_anywhere_leaves_nothing() -> None:
    """Wherever the task of a call is cancelled from outside, its connection can still be closed."""

    def closed(conversation: Conversation) -> None:
        pair = conversation.pair
        pair.server.close(0.0)
        assert pair.server.streams == 0
        assert len(pair.counts.statuses) + pair.counts.cancelled_calls == 1

    assert await sweep(Conversation.run, prepare=lambda: Conversation(echo, "a", "b"), check=closed) >= 3


def test_a_call_is_what_the_shell_runs() -> None:
    """The state of a call is a value of its own, without tasks."""
    assert not hasattr(TaskCall, "run")
