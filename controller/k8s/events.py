"""What a watch tells an index: apply, delete, or the state of a whole kind."""

from __future__ import annotations

from typing import Generic, TypeAlias, TypeVar

import attrs

from controller.k8s.meta import ObjectKey, Resource

R_co = TypeVar("R_co", bound=Resource, covariant=True)


@attrs.frozen
class Applied(Generic[R_co]):
    """The object exists now in this form."""

    resource: R_co


@attrs.frozen
class Deleted(Generic[R_co]):
    """The object is gone. Known from metadata alone, so a delete is never lost to a bad body."""

    kind: type[R_co]
    key: ObjectKey


@attrs.frozen
class Reset(Generic[R_co]):
    """A completed list of the kind: these exist, and `removed` (known before, not listed now) are gone."""

    kind: type[R_co]
    resources: tuple[R_co, ...]
    removed: frozenset[ObjectKey] = frozenset()


Event: TypeAlias = Applied[Resource] | Deleted[Resource] | Reset[Resource]
