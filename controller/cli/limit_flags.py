"""The flags that bound what clients of the policy API may ask of the process."""

from __future__ import annotations

from typing import Annotated, Any

import attrs
from cyclopts import Group, Parameter

from controller.cli import values
from controller.cli.flag import flag
from controller.grpc.transport.limits import Limits

_GROUP = Group("Limits of the policy API", sort_key=5)
_DEFAULT = Limits()


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class LimitFlags:
    """What the command line says; `None` where it says nothing."""

    grpc_max_connections: Annotated[
        int | None, flag("Connections.", _GROUP, values.to_count, f"{_DEFAULT.connections}")
    ] = None
    grpc_max_connections_per_peer: Annotated[
        int | None, flag("Connections from one address.", _GROUP, values.to_count, f"{_DEFAULT.connections_per_peer}")
    ] = None
    grpc_max_concurrent_streams: Annotated[
        int | None, flag("Open streams of a connection.", _GROUP, values.to_count, f"{_DEFAULT.concurrent_streams}")
    ] = None
    grpc_max_new_streams_per_second: Annotated[
        int | None,
        flag(
            "Streams that a connection may open in a second; twice as many at once.",
            _GROUP,
            values.to_count,
            f"{_DEFAULT.new_streams_per_second:g}",
        ),
    ] = None
    grpc_max_resets_per_second: Annotated[
        int | None,
        flag(
            "Streams that a connection may reset as soon as they are open, in a second; ten times as many at once.",
            _GROUP,
            values.to_count,
            f"{_DEFAULT.resets_per_second:g}",
        ),
    ] = None
    grpc_max_header_bytes: Annotated[
        int | None, flag("Size of a request's headers.", _GROUP, values.to_count, f"{_DEFAULT.header_list_size}")
    ] = None
    grpc_max_message_bytes: Annotated[
        int | None, flag("Size of a request message.", _GROUP, values.to_count, f"{_DEFAULT.message_size}")
    ] = None
    grpc_max_buffered_bytes: Annotated[
        int | None,
        flag("Size of a connection's unfinished requests.", _GROUP, values.to_count, f"{_DEFAULT.buffered_bytes}"),
    ] = None
    grpc_max_stream_age: Annotated[
        float | None,
        flag("Age at which a stream is ended, so that its client asks again.", _GROUP, values.to_seconds, "none"),
    ] = None
    grpc_idle_timeout: Annotated[
        float | None, flag("Time that a connection may stay without a stream.", _GROUP, values.to_seconds, "10m")
    ] = None
    grpc_keepalive_interval: Annotated[
        float | None, flag("Silence of a client after which it is pinged.", _GROUP, values.to_seconds, "2m")
    ] = None

    def to_limits(self) -> Limits:
        new_streams, resets = self.grpc_max_new_streams_per_second, self.grpc_max_resets_per_second
        said: dict[str, Any] = {
            "connections": self.grpc_max_connections,
            "connections_per_peer": self.grpc_max_connections_per_peer,
            "concurrent_streams": self.grpc_max_concurrent_streams,
            "new_streams_per_second": new_streams,
            "new_streams_burst": new_streams and 2 * new_streams,
            "resets_per_second": resets,
            "resets_burst": resets and 10 * resets,
            "header_list_size": self.grpc_max_header_bytes,
            "message_size": self.grpc_max_message_bytes,
            "buffered_bytes": self.grpc_max_buffered_bytes,
            "stream_age_seconds": self.grpc_max_stream_age,
            "idle_seconds": self.grpc_idle_timeout,
            "keepalive_seconds": self.grpc_keepalive_interval,
        }
        return attrs.evolve(_DEFAULT, **{name: value for name, value in said.items() if value is not None})


NO_LIMIT_FLAGS = LimitFlags()
