"""Which objects a label selector selects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec

from controller.k8s.custom_resource.markers import As, Marker, PreserveUnknown


class LabelExpression(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A condition on one label.

    An operator with values it cannot have (`In` without, `Exists` with, even an empty list) never matches: that is how
    Linkerd's controller reads it, and it differs from Kubernetes on purpose (inbound spec, quirk Q9).
    """

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] | None = None

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        if self.values is None:
            match self.operator:
                case "Exists":
                    return value is not None
                case "DoesNotExist":
                    return value is None
                case _:
                    return False
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case _:
                return False


class AnyLabels(msgspec.Struct):
    """Labels and their values."""

    object_markers: ClassVar[tuple[Marker, ...]] = (PreserveUnknown(),)


class LabelSelector(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Labels and conditions, all of which must hold; an empty selector selects everything."""

    # A value that is no text can be stored, and makes the object unreadable.
    match_labels: Annotated[dict[str, str] | None, As(AnyLabels)] = None
    match_expressions: tuple[LabelExpression, ...] | None = None

    def matches(self, labels: Mapping[str, str]) -> bool:
        for key, value in (self.match_labels or {}).items():
            if labels.get(key) != value:
                return False
        return all(expression.matches(labels) for expression in self.match_expressions or ())
