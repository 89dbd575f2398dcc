"""Misbehaviour on command: what the server should do wrong next, to whom, and how often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import attrs

from controller.apiserver.shapes import is_object
from controller.apiserver.status import GroupResource

Effect: TypeAlias = Literal[
    "delay",  # answer only after `seconds`
    "cut",  # drop the connection in the middle: of an answer, or of a watch's line after `after` events
    "gone",  # 410: as the answer, or as the ERROR event of a watch when `event` is true
    "throttle",  # 429 with Retry-After of `seconds`
    "error",  # `code` (500 unless said otherwise): as the answer, or as an ERROR event
    "garbage",  # an answer, or a line after `after` events, that is no JSON
    "stall",  # say nothing more, and keep the connection, for `seconds` or for ever
    "stale",  # read from `lag` revisions ago
    "lose",  # leave out the next event of a watch
    "repeat",  # send the next event of a watch twice
    "end",  # end a watch in good order
]


@attrs.define(eq=False, kw_only=True)
class Fault:
    """One kind of misbehaviour; `times` counts down, None means until it is removed."""

    effect: Effect
    verb: str = "*"  # get, list, watch, create, update, patch, delete, deletecollection; other: not about objects
    resource: str = "*"  # a plural name, with `.group` or without
    times: int | None = 1
    seconds: float = 0.0
    after: int = 0
    code: int = 500
    lag: int = 0
    event: bool = False
    hits: int = 0

    def concerns(self, verb: str, resource: GroupResource) -> bool:
        return self.verb in ("*", verb) and self.resource in ("*", resource.plural, str(resource))

    @property
    def on_stream(self) -> bool:
        """Whether this happens inside a watch, rather than in place of one."""
        if self.effect in ("lose", "repeat", "end"):
            return True
        if self.effect in ("gone", "error", "throttle"):
            return self.event
        return self.effect in ("cut", "garbage", "stall")

    def to_object(self) -> dict[str, Any]:
        return attrs.asdict(self)


class Faults:
    """The misbehaviour in force."""

    def __init__(self) -> None:
        self._active: list[Fault] = []
        self.lifted = 0  # how often all of them were lifted
        self._listeners: dict[object, Callable[[], None]] = {}

    def __iter__(self) -> Any:
        return iter(tuple(self._active))

    def add(self, effect: Effect, verb: str = "*", resource: str = "*", **options: Any) -> Fault:
        """Misbehave from now on; open watches notice at once."""
        fault = Fault(effect=effect, verb=verb, resource=resource, **options)
        self._active.append(fault)
        for notify in list(self._listeners.values()):
            notify()
        return fault

    def remove(self, fault: Fault) -> None:
        if fault in self._active:
            self._active.remove(fault)

    def clear(self) -> None:
        """Behave again; whoever keeps silent goes on at once."""
        self._active.clear()
        self.lifted += 1
        for notify in list(self._listeners.values()):
            notify()

    def take(self, verb: str, resource: GroupResource) -> list[Fault]:
        """The faults that befall a request that has just come in, each counted as used."""
        found = [
            fault
            for fault in self._active
            if fault.concerns(verb, resource) and not (verb == "watch" and fault.on_stream)
        ]
        return [self.use(fault) for fault in found]

    def on_stream(self, resource: GroupResource) -> Fault | None:
        """The first fault that waits for an open watch of this kind."""
        return next((fault for fault in self._active if fault.on_stream and fault.concerns("watch", resource)), None)

    def use(self, fault: Fault) -> Fault:
        fault.hits += 1
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self.remove(fault)
        return fault

    def listen(self, notify: Callable[[], None]) -> Callable[[], None]:
        """Call `notify` whenever the faults change; returns how to stop that."""
        token = object()
        self._listeners[token] = notify
        return lambda: self._listeners.pop(token, None) and None


def parse_fault(value: Any) -> dict[str, Any]:
    """The arguments of `Faults.add` in an object that came over HTTP; ValueError says what is wrong."""
    if not is_object(value):
        raise ValueError("a fault is an object with at least `effect`")
    known = {field.name for field in attrs.fields(Fault)} - {"hits"}
    if unknown := value.keys() - known:
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
    if value.get("effect") not in Effect.__args__:  # type: ignore[attr-defined]  # a Literal has its values there
        raise ValueError(f"effect must be one of {', '.join(Effect.__args__)}")  # type: ignore[attr-defined]  # same
    return value
