"""The list-and-watch protocol of one kind, as decisions.

Theory of operation
===================

The shell asks `next_step`, performs it, and says how it went. A step is a pause, fresh credentials, a page of a list,
or a watch. Everything that can go wrong arrives at `failed` as an error named by its remedy
(`controller.runtime.errors`), and a watch that the server closed in good order at `ended`; both answer with the
`Reaction`, which is also what logs and metrics show. Nothing ends a reflector: there is no failure after which it has
no next step.

Three things are kept apart:

1) *The version*: up to where we know the history. It moves only when what it stands for has been handed on
   (`synced`, `advanced`), so whoever is cancelled in between asks for it again.
2) *The back-off*: how long we wait. It starts anew only after real progress, which is a watch that has lasted:
   neither a list, nor a page, nor a watch that opened proves that the next attempt will do better than the last.
3) *Rows*: how often the same thing went wrong in a row, where the first time deserves another answer than the third.

This module does no I/O and reads no clock; chance and instants are arguments.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs

from controller.runtime.backoff import Backoff
from controller.runtime.errors import (
    AheadOfServer,
    Expired,
    Garbled,
    KubernetesError,
    Rejected,
    Throttled,
    Unauthenticated,
    Unavailable,
)

PAGE_SIZE = 500
HEALTHY_SECONDS = 120.0  # a watch open for so long is progress, even if nothing happened
HEALTHY_SECONDS_WITH_EVENT = 10.0
SHORT_SECONDS = 1.0
IN_A_ROW = 3
# Below the five minutes for which etcd keeps history and after which proxies cut connections; chance spreads watches.
WATCH_SECONDS = (270, 290)
IDLE_SLACK = 5.0  # seconds without any byte after which a watch that should have ended is taken for dead
SKIP_VERSION_CHECK = "0"  # as a list's resourceVersion: any version will do

_MATCH = "resourceVersionMatch"
_LIMIT = "limit"


@attrs.frozen
class Pause:
    """Do nothing for some seconds."""

    seconds: float


@attrs.frozen
class Refresh:
    """Get fresh credentials."""


@attrs.frozen
class ListPage:
    """Ask for one page of a list; on the first, forget what an earlier list may have left."""

    params: Mapping[str, str]
    first: bool


@attrs.frozen
class OpenWatch:
    """Follow the changes; a stream without a byte for `idle` seconds is dead."""

    params: Mapping[str, str]
    idle: float


Step: TypeAlias = Pause | Refresh | ListPage | OpenWatch


class Phase(enum.Enum):
    """Where something went wrong; the values are the labels of upstream's error metric."""

    LIST = "InitialListFailed"
    START = "WatchStartFailed"
    STREAM = "WatchFailed"


@attrs.frozen
class Reaction:
    """What follows from a failure, or from a watch that ended."""

    phase: Phase
    reason: str
    relist: bool
    wait: float = 0.0  # seconds


@attrs.define
class Reflector:
    """The protocol state of one watched kind. Does no I/O."""

    jitter: Callable[[], float]  # chance: a number in [0, 1)
    label_selector: str = ""
    field_selector: str = ""
    page_size: int = PAGE_SIZE
    any_version: bool = False  # the first list may be stale: cheaper for the server, but can go back in time
    _backoff: Backoff = attrs.field(init=False)

    # What we know.
    _version: str | None = attrs.field(default=None, init=False)
    _version_unavailable: bool = attrs.field(default=False, init=False)
    _always_paged: bool = attrs.field(default=False, init=False)
    _not_accepted: set[str] = attrs.field(factory=set[str], init=False)  # parameters that this server refuses

    # The list under way.
    _phase: Phase = attrs.field(default=Phase.LIST, init=False)
    _continue: str = attrs.field(default="", init=False)
    _unpaged: bool = attrs.field(default=False, init=False)
    _list_version: str = attrs.field(default="", init=False)

    # The watch under way.
    _opened: float = attrs.field(default=0.0, init=False)
    _events: int = attrs.field(default=0, init=False)
    _healthy: bool = attrs.field(default=False, init=False)

    # What comes before the next attempt.
    _pause: float = attrs.field(default=0.0, init=False)
    _refresh: bool = attrs.field(default=False, init=False)

    # Rows.
    _expired: int = attrs.field(default=0, init=False)
    _unauthenticated: int = attrs.field(default=0, init=False)
    _rejected: int = attrs.field(default=0, init=False)
    _ahead: int = attrs.field(default=0, init=False)
    _server_errors: int = attrs.field(default=0, init=False)
    _short: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._backoff = Backoff(self.jitter)

    @property
    def version(self) -> str | None:
        """Up to where what we know has been handed on."""
        return self._version

    @property
    def is_healthy(self) -> bool:
        """Whether the latest watch has lasted long enough for what failed before it to be history."""
        return self._healthy

    # -- steps --

    def next_step(self) -> Step:
        """Say what to do now."""
        if self._pause:
            seconds, self._pause = self._pause, 0.0
            return Pause(seconds)
        if self._refresh:
            self._refresh = False
            return Refresh()
        if self._phase is Phase.LIST:
            return ListPage(self._list_params(), first=not self._continue)
        self._phase = Phase.START
        seconds = WATCH_SECONDS[0] + round(self.jitter() * (WATCH_SECONDS[1] - WATCH_SECONDS[0]))
        return OpenWatch(self._watch_params(seconds), seconds + IDLE_SLACK)

    def _list_params(self) -> dict[str, str]:
        params = self._selectors()
        if self._continue:
            params["continue"] = self._continue
        elif version := self._version_to_list():
            params["resourceVersion"] = version
            if version != SKIP_VERSION_CHECK and _MATCH not in self._not_accepted:
                params[_MATCH] = "NotOlderThan"
        if self._is_paged(params):
            params[_LIMIT] = str(self.page_size)
        return params

    def _version_to_list(self) -> str:
        if self._version_unavailable:
            return ""
        if self._version is None:
            return SKIP_VERSION_CHECK if self.any_version else ""
        return self._version

    def _is_paged(self, params: Mapping[str, str]) -> bool:
        if self._unpaged or _LIMIT in self._not_accepted:
            return False
        # A list at a known version is served from the server's cache only if it is not paged.
        return self._always_paged or params.get("resourceVersion", SKIP_VERSION_CHECK) == SKIP_VERSION_CHECK

    def _watch_params(self, seconds: int) -> dict[str, str]:
        return self._selectors() | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version or "",
            "timeoutSeconds": str(seconds),
        }

    def _selectors(self) -> dict[str, str]:
        selectors = {"labelSelector": self.label_selector, "fieldSelector": self.field_selector}
        return {name: value for name, value in selectors.items() if value}

    # -- what went well --

    def listed(self, version: str, continue_: str) -> bool:
        """Take note of a page, and say whether it was the last; raise `Garbled` if it has no version."""
        if not version:
            raise Garbled("the list has no resourceVersion", reason="no_rv")
        self._unauthenticated = 0
        if continue_:
            if self._version is None and self.any_version and not self._version_unavailable:
                self._always_paged = True  # a server that pages a list at any version has no cache to serve it from
            self._continue = continue_
            return False
        self._list_version = version
        return True

    def synced(self) -> None:
        """Take note that the whole list has been handed on."""
        self._version, self._version_unavailable = self._list_version, False
        self._continue, self._unpaged, self._rejected = "", False, 0
        self._phase = Phase.START

    def opened(self, now: float) -> None:
        """Take note that the server has begun to answer a watch."""
        self._phase = Phase.STREAM
        self._opened, self._events, self._healthy = now, 0, False
        self._unauthenticated = self._ahead = 0

    def advanced(self, version: str, now: float) -> None:
        """Take note that everything up to this version has been handed on."""
        self._version = version
        self._events += 1
        self._settle(now)

    # -- what did not --

    def ended(self, now: float) -> Reaction:
        """Say what follows from a watch that the server closed in good order."""
        self._settle(now)
        self._server_errors = 0
        if self._events or now - self._opened >= SHORT_SECONDS:
            self._short = 0
            return self._react("ended", relist=False)
        self._short += 1
        relist = self._short >= IN_A_ROW
        if relist:
            self._short = 0
        return self._react("short", relist=relist, wait=self._backoff.next())

    def failed(self, error: KubernetesError, now: float) -> Reaction:
        """Say what follows from a failure of the step that is under way."""
        match self._phase:
            case Phase.LIST:
                return self._list_failed(error)
            case Phase.START:
                return self._start_failed(error)
            case Phase.STREAM:
                self._settle(now)
                return self._stream_failed(error)

    def vanished(self) -> None:
        """Take note that the kind is not served any more: what it was like says nothing about what will be."""
        self._version, self._version_unavailable = None, False
        self._phase, self._continue, self._unpaged, self._pause = Phase.LIST, "", False, 0.0
        self._backoff.reset()

    def _list_failed(self, error: KubernetesError) -> Reaction:
        continued, was_unpaged = bool(self._continue), self._unpaged
        if isinstance(error, Throttled):
            return self._react(error.reason, relist=False, wait=self._retry(error))
        self._continue, self._unpaged = "", False
        match error:
            case Expired() if continued and not was_unpaged:
                self._unpaged = True
                return self._react("continue_expired", relist=True)
            case Expired() | AheadOfServer():
                self._version_unavailable = True
                return self._react(error.reason, relist=True, wait=self._after_expiry())
            case Rejected() if self._stop_sending(error):
                self._rejected += 1
                return self._react(error.reason, relist=True, wait=0.0 if self._rejected == 1 else self._backoff.next())
            case Unauthenticated():
                return self._react(error.reason, relist=True, wait=self._after_refresh())
            case Garbled(reason="protocol"):
                return self._react(error.reason, relist=True, wait=self._backoff.longest())
            case _:
                return self._react(error.reason, relist=True, wait=self._retry(error))

    def _start_failed(self, error: KubernetesError) -> Reaction:
        match error:
            case Unavailable():
                return self._react(error.reason, relist=False, wait=self._retry(error))
            case Expired():
                return self._react(error.reason, relist=True, wait=self._after_expiry())
            case AheadOfServer():
                self._ahead += 1
                relist = self._ahead > IN_A_ROW
                if relist:
                    self._ahead, self._version_unavailable = 0, True
                return self._react(error.reason, relist=relist, wait=self._retry(error))
            case Unauthenticated():
                return self._react(error.reason, relist=False, wait=self._after_refresh())
            case _:
                return self._react(error.reason, relist=True, wait=self._retry(error))

    def _stream_failed(self, error: KubernetesError) -> Reaction:
        if self._events:
            self._server_errors = 0
        match error:
            case Unavailable(reason="idle"):
                return self._react("idle", relist=False)
            case Throttled():
                return self._react(error.reason, relist=False, wait=self._retry(error))
            case Unavailable(status=None):
                return self._react(error.reason, relist=False, wait=0.0 if self._events else self._retry(error))
            case Unavailable():
                self._server_errors += 1
                relist = self._server_errors > IN_A_ROW
                if relist:
                    self._server_errors = 0
                return self._react("server_error", relist=relist, wait=self._retry(error))
            case Expired():
                return self._react(error.reason, relist=True, wait=self._after_expiry())
            case Garbled():
                return self._react(error.reason, relist=True, wait=self._backoff.next())
            case _:
                return self._react("error", relist=True, wait=self._retry(error))

    def _react(self, reason: str, *, relist: bool, wait: float = 0.0) -> Reaction:
        reaction = Reaction(self._phase, reason, relist, wait)
        self._pause = wait
        if relist:
            self._phase = Phase.LIST
        return reaction

    def _retry(self, error: KubernetesError) -> float:
        return self._backoff.next() + (error.retry_after or 0.0)

    def _after_expiry(self) -> float:
        """Expiry is no fault, so the first in a row costs next to nothing; but a server may do it for ever."""
        self._expired += 1
        return self.jitter() if self._expired == 1 else self._backoff.next()

    def _after_refresh(self) -> float:
        self._refresh = True
        self._unauthenticated += 1
        return 0.0 if self._unauthenticated == 1 else self._backoff.next()

    def _stop_sending(self, error: KubernetesError) -> bool:
        """Find the parameter that the server complains about, and say whether leaving it out may help."""
        for parameter, words in ((_MATCH, (_MATCH,)), (_LIMIT, (_LIMIT, "continue"))):
            if parameter not in self._not_accepted and any(word in error.message for word in words):
                self._not_accepted.add(parameter)
                return True
        return False

    def _settle(self, now: float) -> None:
        """Forget old troubles if the watch has lasted."""
        lasted = now - self._opened
        if lasted >= HEALTHY_SECONDS or (self._events and lasted >= HEALTHY_SECONDS_WITH_EVENT):
            self._healthy = True
            self._backoff.reset()
            self._expired = self._server_errors = 0
