"""A gRPC server on Trio: HTTP/2 of its own, for many streams that rarely say anything.

Three layers, each without the ones above it: `http2` (frames, streams, windows), `calls` (gRPC on it), both without
I/O and clock, and `server`, which gives them sockets and tasks.
"""

from controller.grpc.transport.call import PublishedStream
from controller.grpc.transport.collector import ServerCollector
from controller.grpc.transport.limits import Limits
from controller.grpc.transport.server import GrpcServer, ServerStatistics
from controller.grpc.transport.services import (
    NO_HOOKS,
    Hooks,
    MethodHooks,
    Published,
    Publisher,
    Servable,
    Service,
    Unary,
)

__all__ = [
    "NO_HOOKS",
    "GrpcServer",
    "Hooks",
    "Limits",
    "MethodHooks",
    "Published",
    "PublishedStream",
    "Publisher",
    "Servable",
    "ServerCollector",
    "ServerStatistics",
    "Service",
    "Unary",
]
