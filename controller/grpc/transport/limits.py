"""How much a client may ask of us, and who keeps count."""

from __future__ import annotations

import attrs

from controller.grpc.transport.frames import DEFAULT_WINDOW


@attrs.frozen
class Limits:
    """What one server allows. Rates are events a second; a burst is how many may come at once.

    The defaults leave room for the clients we know: a proxy opens a few dozen streams on one connection and pings now
    and then, an aggregator may open thousands at once.
    """

    # Per connection.
    concurrent_streams: int = 10_000
    header_list_size: int = 16 * 1024
    message_size: int = 4 * 1024 * 1024  # tonic's, hence upstream's
    buffered_bytes: int = 8 * 1024 * 1024  # of requests that have not ended
    stream_window: int = DEFAULT_WINDOW
    connection_window: int = 1024 * 1024
    continuation_frames: int = 16
    # nghttp2 counts quick resets in the same way (1,000 at once, 33 a second); we give a little more to the patient
    # and less to the sudden.
    resets_per_second: float = 50
    resets_burst: int = 500
    rapid_seconds: float = 1.0  # a reset of a stream older than this is not a rapid one
    pings_per_second: float = 100
    pings_burst: int = 1_000
    settings_per_second: float = 1
    settings_burst: int = 32
    empty_frames_per_second: float = 10
    empty_frames_burst: int = 100
    new_streams_per_second: float = 5_000
    new_streams_burst: int = 10_000
    # Per server.
    connections: int = 16_384
    connections_per_peer: int = 1_024
    handshake_seconds: float = 10.0
    idle_seconds: float | None = 600.0  # without any stream
    keepalive_seconds: float | None = 120.0  # without a byte from the client, then we ask
    keepalive_timeout: float = 20.0
    stream_age_seconds: float | None = None
    stream_age_jitter: float = 0.5  # the share of the age that is drawn


class TokenBucket:
    """Allows a burst at once and a rate in the long run."""

    __slots__ = ("_burst", "_rate", "_stamp", "_tokens")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._stamp = 0.0

    def take(self, now: float) -> bool:
        """Take one token if there is one. Time never runs backwards here: an earlier `now` refills nothing."""
        tokens = self._tokens
        if tokens < self._burst and now > self._stamp:
            tokens = min(self._burst, tokens + (now - self._stamp) * self._rate)
        if now > self._stamp:
            self._stamp = now
        if tokens < 1.0:
            self._tokens = tokens
            return False
        self._tokens = tokens - 1.0
        return True
