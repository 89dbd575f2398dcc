"""grpcurl as a client that learns everything from reflection."""

from __future__ import annotations

import json
from pathlib import Path

import trio

from controller.grpc.health import SERVICE, Health
from controller.grpc.reflection import reflection
from controller.grpc.transport import GrpcServer
from tests.shell.grpc_transport.serving import listening


async def grpcurl(assets: Path, port: int, *words: str, options: tuple[str, ...] = ()) -> str:
    command = [str(assets / "grpcurl"), "-plaintext", "-max-time", "5", *options, f"127.0.0.1:{port}", *words]
    result = await trio.run_process(command, check=False, capture_stdout=True, capture_stderr=True)
    return (result.stdout + result.stderr).decode()


async def test_list_describe_and_call(assets: Path) -> None:
    """Services are listed, messages and methods described, and methods called without any definition at hand."""
    health = Health(["a.Service"])
    health.set_serving(True, "a.Service")
    server = GrpcServer([health.offered(), *reflection([SERVICE])], draw=lambda: 0.5)
    listener = listening()
    port = listener.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, [listener])
        with trio.fail_after(60):
            listed = await grpcurl(assets, port, "list")
            service = await grpcurl(assets, port, "describe", SERVICE)
            method = await grpcurl(assets, port, "describe", f"{SERVICE}.Watch")
            message = await grpcurl(assets, port, "describe", ".grpc.health.v1.HealthCheckRequest")
            unknown = await grpcurl(assets, port, "describe", "a.Stranger")
            call = await grpcurl(assets, port, f"{SERVICE}/Check", options=("-d", '{"service":"a.Service"}'))
        nursery.cancel_scope.cancel()

    assert listed.split() == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ]
    assert "rpc Check" in service
    assert "stream .grpc.health.v1.HealthCheckResponse" in method
    assert "string service = 1" in message
    assert "not found" in unknown.lower()
    assert json.loads(call) == {"status": "SERVING"}
