"""One resource naming another."""

from __future__ import annotations

from typing import Annotated

import msgspec

from controller.k8s.custom_resource.markers import MaxLen, Optional
from controller.k8s.names import Group, Kind, Namespace, ObjectName

POLICY_GROUP = "policy.linkerd.io"
GATEWAY_GROUP = "gateway.networking.k8s.io"
WORKLOAD_GROUP = "workload.linkerd.io"
CORE_GROUP = "core"

# Who writes our statuses, as they name him: the same as Linkerd's own controller, so that either can take over.
CONTROLLER_NAME = "linkerd.io/policy-controller"


def group_key(group: str | None) -> str:
    """A group as references compare it: lower case, the core group by name."""
    return (group or CORE_GROUP).lower()


class TargetRef(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A reference to a kind and a name, and sometimes a namespace."""

    kind: str
    name: str
    group: str | None = None
    namespace: str | None = None

    def targets(self, group: str, kind: str) -> bool:
        """Whether it names an object of this kind; case does not count, and an absent group is the core group."""
        return group_key(self.group) == group_key(group) and self.kind.lower() == kind.lower()

    @property
    def canonical_kind(self) -> str:
        """The kind as error texts show it: `Server.policy.linkerd.io`, `Namespace`."""
        return f"{self.kind}.{self.group}" if self.group else self.kind


# What users may write where a `TargetRef` is read.


class LocalRef(msgspec.Struct):
    """An object of the same namespace."""

    kind: Kind
    name: ObjectName
    group: Group | None = None


class AuthenticationRef(LocalRef):
    """An authentication, of the same namespace if none is given."""

    namespace: Annotated[str, MaxLen(253)] | None = None


class IdentityRef(msgspec.Struct):
    """A ServiceAccount, or a Namespace with all its ServiceAccounts."""

    kind: Kind
    # A reference without a name can be stored, and makes the object unreadable.
    name: Annotated[ObjectName, Optional()]
    group: Group | None = None
    namespace: Annotated[str, MaxLen(253)] | None = None


class ClientRef(LocalRef):
    """A client, of the same namespace if none is given."""

    namespace: Namespace | None = None
