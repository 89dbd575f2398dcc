"""Clients over sockets for tests: h2's, and one made of bare frames that can afford thousands of streams."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable

import trio

from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest as Ask
from controller.grpc.transport import frames
from controller.grpc.transport.frames import FrameType, Setting
from tests.shell.grpc_transport.serving import NAME
from tests.unit.grpc_transport.pair import Client, framed

_PATHS = {name: f"/{NAME}/{name}".encode() for name in ("Get", "Watch", "Call", "Echo")}


class SocketClient(Client):
    """h2's client on a socket."""

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__()
        self.stream = stream
        self.closed = False

    async def flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            await self.stream.send_all(data)

    async def read(self) -> bool:
        """Take in what comes next; false when the server has hung up."""
        try:
            data = await self.stream.receive_some()
        except trio.BrokenResourceError:
            data = b""
        self.closed = not data
        self.receive(data)
        return bool(data)

    async def until(self, condition: Callable[[], object]) -> None:
        """Talk until something is true. The server hanging up before is a failure."""
        await self.flush()
        while not condition():
            assert await self.read(), "the server has hung up"
            await self.flush()

    async def until_closed(self) -> None:
        await self.flush()
        while await self.read():
            with contextlib.suppress(trio.BrokenResourceError):
                await self.flush()


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncGenerator[SocketClient]:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        client = SocketClient(stream)
        await client.flush()
        yield client


def request(stream_id: int, method: str = "Watch", name: str = "") -> bytes:
    """A whole call in frames; its header block is always the same bytes."""
    path = _PATHS[method]
    block = b"\x83\x86\x04" + bytes((len(path),)) + path + b"\x0f\x10\x10application/grpc\x00\x02te\x08trailers"
    body = framed(Ask(service=name))
    return (
        frames.frame_header(len(block), FrameType.HEADERS, frames.END_HEADERS, stream_id)
        + block
        + frames.frame_header(len(body), FrameType.DATA, frames.END_STREAM, stream_id)
        + body
    )


class FrameClient:
    """Sends bytes, and counts what comes back without understanding header blocks."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.messages: dict[int, list[bytes]] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.goaways: list[tuple[int, int]] = []  # last stream, code
        self.pings = 0
        self._rest = b""

    async def hello(self, *, window: int = (1 << 31) - 1, connection_window: int = (1 << 31) - 1) -> None:
        hello = frames.PREFACE + frames.settings_frame({Setting.INITIAL_WINDOW_SIZE: window})
        if connection_window > 65_535:
            hello += frames.window_update_frame(0, connection_window - 65_535)
        await self.stream.send_all(hello)

    async def read(self) -> bool:
        data = self._rest + await self.stream.receive_some(1 << 20)
        if len(data) == len(self._rest):
            return False
        at = 0
        while len(data) - at >= 9:
            size = 9 + int.from_bytes(data[at : at + 3], "big")
            if len(data) - at < size:
                break
            self._take(data[at : at + size])
            at += size
        self._rest = data[at:]
        return True

    def _take(self, frame: bytes) -> None:
        word, flags, stream_id = frames.FRAME_HEADER.unpack_from(frame)
        match word & 0xFF:
            case FrameType.DATA if len(frame) > 9:
                self.messages.setdefault(stream_id, []).append(frame[14:])
            case FrameType.RST_STREAM:
                self.resets[stream_id] = frames.read_u32(frame, 9)
            case FrameType.GOAWAY:
                self.goaways.append((frames.read_u32(frame, 9), frames.read_u32(frame, 13)))
            case FrameType.PING if not flags & frames.ACK:
                self.pings += 1
            case _:
                pass
        if word & 0xFF in (FrameType.HEADERS, FrameType.DATA) and flags & frames.END_STREAM:
            self.ended.add(stream_id)

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            assert await self.read(), "the server has hung up"


@contextlib.asynccontextmanager
async def bare(port: int) -> AsyncGenerator[FrameClient]:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        yield FrameClient(stream)
