"""Who may write: the decisions about a Lease, without I/O.

Theory of operation
===================

Safety rests on two things. Every write names the version it was derived from, so of two claimants at the same version
one is refused. And nobody compares wall clocks (but for the shortcut below), because those of the replicas need not
agree:

* The *holder* counts from the moment it **sent** its last successful write, on its own monotonic clock, and stops
  `margin` before the lease is over, whether or not it can reach the API server.
* An *observer* counts the whole duration from the moment at which it first **saw** that version of the record. It can
  only have seen it after it was written, so an observer always waits longer than the holder claims.

The first record that a claimant sees at all is taken at once if its time was over by more than a minute, on the wall
clock: that assumes only that clocks agree within a minute, and saves a start from waiting for a replica that was gone
long before.

A Lease that was deleted is nobody's: its holder stops at once, and who knows of another holder lets that one's time
pass before making the Lease anew.

Every method takes `now`; the shell performs the step that `next_step` names, and reports what came of it.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import TypeAlias

import attrs

from controller.runtime.backoff import Backoff
from controller.runtime.errors import Absent, AlreadyExists, Conflicted, Forbidden, KubernetesError, Rejected
from controller.runtime.lease_wire import LeaseParams, LeaseRecord

LONG_OVER = 60.0  # seconds
REFUSED_PAUSE = 30.0  # seconds between attempts that only an operator can make succeed
CONFLICTS_AT_ONCE = 3  # read again at once after that many conflicts in a row, and then with pauses


@attrs.frozen
class Read:
    """Read the Lease."""


@attrs.frozen
class Create:
    """Make the Lease; that somebody else made it is fine."""


@attrs.frozen
class Acquire:
    """Claim the Lease as it was read."""

    record: LeaseRecord


@attrs.frozen
class Renew:
    """Prolong the claim."""

    record: LeaseRecord


@attrs.frozen
class Wait:
    """Nothing to do before that time."""

    until: float


Step: TypeAlias = Read | Create | Acquire | Renew | Wait


@attrs.define(eq=False)
class LeaseClaim:
    """What one claimant knows of a Lease, and what it should do next."""

    params: LeaseParams
    jitter: Callable[[], float]
    _record: LeaseRecord | None = attrs.field(default=None, init=False)
    _seen: float = attrs.field(default=-math.inf, init=False)  # when that record was seen first
    _missing: bool = attrs.field(default=False, init=False)
    _fresh: bool = attrs.field(default=False, init=False)  # whether to decide from the record instead of reading anew
    _held_until: float = attrs.field(default=-math.inf, init=False)
    _renew_at: float = attrs.field(default=-math.inf, init=False)
    _pause_until: float = attrs.field(default=-math.inf, init=False)
    _conflicts: int = attrs.field(default=0, init=False)
    _backoff: Backoff = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._backoff = Backoff(self.jitter, initial=0.5, cap=min(5.0, self.params.duration / 4))

    @property
    def margin(self) -> float:
        """How long before its end the holder gives a claim up, in seconds."""
        return max(1.0, self.params.duration / 10)

    @property
    def record(self) -> LeaseRecord | None:
        """The Lease as it was read or written last."""
        return self._record

    def held_until(self) -> float:
        """Until when we hold the Lease: compare it with the clock at each use, since a paused process wakes up late."""
        return self._held_until

    def is_held(self, now: float) -> bool:
        return now < self._held_until

    def next_step(self, now: float) -> Step:
        if now < self._pause_until:
            return Wait(self._pause_until)
        record = self._record
        if self._missing:
            if record is None or not self._is_others(record, now):
                return Create()
            self._missing, self._fresh = False, False
            return Wait(self._look_again(record, now))
        if record is None or not self._fresh:
            return Read()
        if record.holder == self.params.claimant:
            # Not ours yet, but in our name: this process was started again, and goes on at once.
            return Renew(record) if now >= self._renew_at else Wait(self._renew_at)
        if not self._is_others(record, now):
            return Acquire(record)
        self._fresh = False  # read again, because it may have been renewed or given up meanwhile
        return Wait(self._look_again(record, now))

    def _is_others(self, record: LeaseRecord, now: float) -> bool:
        """Whether somebody else holds the Lease, as far as this record tells."""
        return record.holder not in (None, self.params.claimant) and now < self._seen + record.duration

    def _look_again(self, record: LeaseRecord, now: float) -> float:
        # Often enough that a Lease that is given up is taken over within two seconds of thirty. A holder that claims it
        # for longer expects less haste.
        return min(self._seen + record.duration, now + max(record.duration, self.params.duration) / 20)

    def read(self, record: LeaseRecord, now: float, wall: dt.datetime) -> None:
        """Note the Lease as it was just read."""
        self._missing = False
        self._pause_until = -math.inf
        if record.holder not in (None, self.params.claimant):
            self._conflicts = 0  # the race is over
        if not self._conflicts:  # reading is no progress where writing is what fails
            self._backoff.reset()
        if self._record is None:
            self._seen = -math.inf if _is_long_over(record, wall) else now
        elif record.version != self._record.version:
            self._seen = now
        if record.holder != self.params.claimant:
            self._held_until = -math.inf
        self._record, self._fresh = record, True

    def created(self) -> None:
        """Note that the Lease exists now, whoever made it."""
        self._missing, self._fresh = False, False

    def written(self, record: LeaseRecord, sent: float) -> None:
        """Note that a claim or renewal succeeded. `sent` is when the request was made: the claim counts from then."""
        self._pause_until = -math.inf
        self._backoff.reset()
        self._conflicts = 0
        self._record, self._fresh, self._seen = record, True, sent
        self._held_until = sent + self.params.duration - self.margin
        self._renew_at = sent + self.params.duration / 3 * (0.9 + self.jitter() / 5)

    def vacated(self, record: LeaseRecord | None = None) -> None:
        """Note that the claim was given up, with the Lease as it is then, or is not worth anything any more."""
        self._record = record or self._record
        self._held_until, self._fresh = -math.inf, False

    def failed(self, error: KubernetesError, now: float) -> None:
        """Note that a step failed. Only the Lease's absence ends the claim before its time, and nothing is final."""
        if isinstance(error, Absent):
            self._held_until = -math.inf
        match error:
            case Absent() if self.params.create:
                self._missing = True
                self._pause_until = now + (self._backoff.next() if self._conflicts else 0.0)
                self._conflicts += 1
            case AlreadyExists():
                self.created()
            case Rejected() if self._missing:
                # An API server says "invalid" of version 0 where the Lease exists by now: whoever comes second with
                # making it hears this, and has to read it.
                self.created()
                self._pause_until = now + self._backoff.next()
            case Conflicted():
                self._fresh = False
                self._conflicts += 1
                if self._conflicts > CONFLICTS_AT_ONCE:
                    self._pause_until = now + self._backoff.next()
            case Absent() | Forbidden():
                self._fresh = False
                self._pause_until = now + REFUSED_PAUSE
            case _:
                self._pause_until = now + max(self._backoff.next(), error.retry_after or 0.0)


def _is_long_over(record: LeaseRecord, wall: dt.datetime) -> bool:
    return record.renewed is not None and (wall - record.renewed).total_seconds() > record.duration + LONG_OVER
