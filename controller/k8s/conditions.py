"""What a controller says about an object."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import msgspec

from controller.k8s.custom_resource.markers import Ge, MaxLen
from controller.k8s.names import ConditionReason, ConditionStatus, ConditionType


class Condition(msgspec.Struct, frozen=True, gc=False, rename="camel", kw_only=True):
    """A condition as its author wrote it; unknown types and statuses are for the reader to ignore."""

    type: str = ""
    status: str = ""
    last_transition_time: Annotated[dt.datetime, msgspec.Meta(tz=True)]
    reason: str = ""
    message: str = ""


# What may be written where a `Condition` is read.


class PolicyCondition(msgspec.Struct, rename="camel"):
    """One aspect of the object's state."""

    type: ConditionType | None = None
    status: ConditionStatus | None = None
    reason: ConditionReason | None = None
    message: Annotated[str, MaxLen(32768)] | None = None
    last_transition_time: dt.datetime | None = None


class RouteCondition(msgspec.Struct, rename="camel"):
    """One aspect of the object's state."""

    type: ConditionType
    status: ConditionStatus
    reason: ConditionReason
    message: Annotated[str, MaxLen(32768)]
    last_transition_time: dt.datetime
    observed_generation: Annotated[int, Ge(0)] | None = None
