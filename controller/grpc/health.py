"""grpc.health.v1: whether the server, or one of its services, takes calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from controller.grpc.gen.grpc.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from controller.grpc.transport.services import Published, Publisher, Service, Unary

SERVICE = "grpc.health.v1.Health"

_State = HealthCheckResponse.ServingStatus
_WHOLE_SERVER = ""


class Health:
    """The state of each service, and who wants to hear of changes.

    The services are fixed; nothing is serving until `set_serving` says so.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._states = dict.fromkeys((_WHOLE_SERVER, *services), _State.NOT_SERVING)
        self._watchers: dict[str, dict[Publisher, None]] = {}

    def set_serving(self, serving: bool, *services: str) -> None:  # `set_serving(False)` reads well
        """Say that these services, or all of them and the server, take calls now, or do not."""
        state = _State.SERVING if serving else _State.NOT_SERVING
        for service in services or tuple(self._states):
            if self._states[service] != state:
                self._states[service] = state
                message = _encode(state)
                for stream in tuple(self._watchers.get(service, ())):
                    stream.publish(message)

    def offered(self) -> Service:
        """The service as a server takes it."""
        return Service(
            SERVICE,
            unary={"Check": Unary(HealthCheckRequest, self.check)},
            published={"Watch": Published(HealthCheckRequest, self.watch)},
        )

    def check(self, request: HealthCheckRequest) -> bytes:
        state = self._states.get(request.service)
        if state is None:
            raise GRPCError(Status.NOT_FOUND, f"unknown service {request.service}")
        return _encode(state)

    def watch(self, request: HealthCheckRequest, stream: Publisher) -> Callable[[], None]:
        """Show the state now and after each change; for an unknown service, that it is unknown."""
        service = request.service
        stream.publish(_encode(self._states.get(service, _State.SERVICE_UNKNOWN)))
        if service not in self._states:
            return _nothing  # it will stay so: services do not come later
        self._watchers.setdefault(service, {})[stream] = None

        def unsubscribe() -> None:
            watchers = self._watchers[service]
            del watchers[stream]
            if not watchers:
                del self._watchers[service]

        return unsubscribe


def _encode(state: HealthCheckResponse.ServingStatus) -> bytes:
    return HealthCheckResponse(status=state).SerializeToString()


def _nothing() -> None:
    return None
