"""What a watch tells an index: apply, delete, or the state of a whole kind."""

from __future__ import annotations

from typing import Any, Generic, TypeAlias, TypeVar

import attrs

from controller.k8s.meta import ObjectKey, Resource

R = TypeVar("R", bound=Resource)


@attrs.frozen
class Applied(Generic[R]):
    """The object exists now in this form."""

    resource: R


@attrs.frozen
class Deleted(Generic[R]):
    """The object is gone. Known from metadata alone, so a delete is never lost to a bad body."""

    kind: type[R]
    key: ObjectKey


@attrs.frozen
class Reset(Generic[R]):
    """A completed list of the kind: these exist, and `removed` (known before, not listed now) are gone."""

    kind: type[R]
    resources: tuple[R, ...]
    removed: frozenset[ObjectKey] = frozenset()


Event: TypeAlias = Applied[Any] | Deleted[Any] | Reset[Any]
