"""One resource naming another."""

from __future__ import annotations

import msgspec

POLICY_GROUP = "policy.linkerd.io"
GATEWAY_GROUP = "gateway.networking.k8s.io"
WORKLOAD_GROUP = "workload.linkerd.io"
CORE_GROUP = "core"


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
