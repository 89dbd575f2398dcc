"""What every Kubernetes object has: a name, a version, labels."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, NamedTuple, TypeVar

import msgspec

from controller.k8s.numbers import Int64


class ObjectKey(NamedTuple):
    """Namespace and name; the namespace of a cluster-scoped object is empty."""

    namespace: str
    name: str


class ObjectMeta(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The part of `metadata` that the controller reads."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: Int64 | None = None
    creation_timestamp: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.namespace, self.name)


class Resource(msgspec.Struct, frozen=True, gc=False, rename="camel", kw_only=True):
    """A Kubernetes object, decoded as far as we read it."""

    metadata: ObjectMeta

    @property
    def key(self) -> ObjectKey:
        return self.metadata.key

    @property
    def labels(self) -> dict[str, str]:
        return self.metadata.labels or {}

    @property
    def annotations(self) -> dict[str, str]:
        return self.metadata.annotations or {}


R = TypeVar("R", bound=Resource)
