"""What a server offers: services, their methods, and how each is called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias, cast

import attrs
from google.protobuf.message import Message
from grpclib.const import Cardinality, Handler, Status


class Publisher(Protocol):
    """The server's side of a stream that shows the latest value of something."""

    @property
    def peer(self) -> str: ...

    def publish(self, message: bytes) -> None:
        """Send a serialized message; it replaces one that has not been sent yet."""
        ...

    def end(self, status: Status, message: str | None = None) -> None:
        """End the stream, after the last message was sent."""
        ...


UnaryFunction: TypeAlias = "Callable[[Any], bytes | Message]"
PublishedFunction: TypeAlias = "Callable[[Any, Publisher], Callable[[], None]]"
TaskFunction: TypeAlias = "Callable[[Any], Awaitable[None]]"


class MethodHooks(Protocol):
    """Is told what happens to the calls of one method. Called often: it has to be cheap and must not raise."""

    def started(self) -> None: ...

    def received(self) -> None: ...

    def sent(self) -> None: ...

    def handled(self, status: Status, seconds: float) -> None: ...

    def cancelled(self, seconds: float) -> None:
        """The client went away before the call had a status."""
        ...


class Hooks(Protocol):
    def for_method(self, service: str, method: str, cardinality: Cardinality) -> MethodHooks: ...


class Servable(Protocol):
    """What grpclib generates for a service (its `…Base`)."""

    def __mapping__(self) -> Mapping[str, Handler]: ...


@attrs.frozen
class Unary:
    """A method whose function answers at once: it is called in place, without a task."""

    request_type: type[Message]
    function: UnaryFunction


@attrs.frozen
class Published:
    """A method that streams the latest value: its function subscribes and returns what unsubscribes."""

    request_type: type[Message]
    function: PublishedFunction


@attrs.frozen
class Service:
    """A service whose methods need no task each."""

    name: str
    unary: Mapping[str, Unary] = {}
    published: Mapping[str, Published] = {}


@attrs.frozen(eq=False)
class Method:
    """One method as the transport calls it. Exactly one of the functions is there."""

    service: str
    name: str
    cardinality: Cardinality
    decode: Callable[[bytes], Message]
    hooks: MethodHooks
    unary: UnaryFunction | None = None
    published: PublishedFunction | None = None
    task: TaskFunction | None = None

    @property
    def client_streaming(self) -> bool:
        return self.cardinality in (Cardinality.STREAM_UNARY, Cardinality.STREAM_STREAM)

    @property
    def server_streaming(self) -> bool:
        return self.cardinality in (Cardinality.UNARY_STREAM, Cardinality.STREAM_STREAM)


class Routes:
    """Finds methods by path."""

    def __init__(self, offered: Iterable[Service | Servable], hooks: Hooks) -> None:
        self._methods: dict[bytes, Method] = {}
        for service in offered:
            found = _of_service(service, hooks) if isinstance(service, Service) else _of_base(service, hooks)
            for method in found:
                self._methods[f"/{method.service}/{method.name}".encode()] = method

    def find(self, path: bytes) -> Method | None:
        return self._methods.get(path)

    @property
    def services(self) -> tuple[str, ...]:
        """The full names of all services, each once, sorted."""
        return tuple(sorted({method.service for method in self._methods.values()}))


def _of_service(service: Service, hooks: Hooks) -> Iterable[Method]:
    for name, unary in service.unary.items():
        cardinality = Cardinality.UNARY_UNARY
        told = hooks.for_method(service.name, name, cardinality)
        yield Method(service.name, name, cardinality, unary.request_type.FromString, told, unary=unary.function)
    for name, published in service.published.items():
        cardinality = Cardinality.UNARY_STREAM
        told = hooks.for_method(service.name, name, cardinality)
        decode = published.request_type.FromString
        yield Method(service.name, name, cardinality, decode, told, published=published.function)


def _of_base(base: Servable, hooks: Hooks) -> Iterable[Method]:
    for path, handler in base.__mapping__().items():
        service, _, name = path[1:].rpartition("/")
        function, cardinality, request_type, _ = cast(  # a named tuple whose fields have no types
            "tuple[TaskFunction, Cardinality, type[Message], type[Message]]", handler
        )
        told = hooks.for_method(service, name, cardinality)
        yield Method(service, name, cardinality, request_type.FromString, told, task=function)


class _Nobody:
    """Hooks for a server whose calls nobody counts."""

    def for_method(self, service: str, method: str, cardinality: Cardinality) -> MethodHooks:  # noqa: ARG002
        return self

    def started(self) -> None: ...

    def received(self) -> None: ...

    def sent(self) -> None: ...

    def handled(self, status: Status, seconds: float) -> None: ...

    def cancelled(self, seconds: float) -> None: ...


NO_HOOKS: Hooks = _Nobody()
