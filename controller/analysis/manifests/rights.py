"""What the controller is allowed to do: what it does, and nothing else.

The rules come from the tables that the controller works by, so that a new kind cannot be forgotten here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from controller.analysis.manifests.installation import NAME, Installation
from controller.analysis.manifests.objects import (
    ClusterRole,
    ClusterRoleBinding,
    KubeObject,
    Metadata,
    PolicyRule,
    Role,
    RoleBinding,
    RoleRef,
    ServiceAccount,
    Subject,
)
from controller.index.status.records import PARSERS as KINDS_WITH_STATUS
from controller.k8s.kinds import WATCHED
from controller.k8s.meta import Resource
from controller.k8s.policy import HTTPLocalRateLimitPolicy
from controller.k8s.resource import ResourceType
from controller.status.leadership import LEASE_NAME

_RBAC_GROUP = "rbac.authorization.k8s.io"
# The Deployment that owns the Lease when Trellis is a guest in Linkerd's control plane.
LINKERD_DEPLOYMENT = "linkerd-destination"


def rights(installation: Installation) -> tuple[KubeObject, ...]:
    """The account, and what it may do: everywhere, and around the Lease."""
    account = Subject(kind="ServiceAccount", name=NAME, namespace=installation.namespace)
    # In a namespace that may be Linkerd's, and another installation's, too.
    role = Metadata(
        name=installation.cluster_name, namespace=installation.control_plane_namespace, labels=installation.labels
    )
    return (
        ServiceAccount(metadata=installation.metadata(), automount_service_account_token=False),
        ClusterRole(metadata=installation.cluster_metadata(), rules=cluster_rules()),
        ClusterRoleBinding(
            metadata=installation.cluster_metadata(),
            role_ref=RoleRef(api_group=_RBAC_GROUP, kind="ClusterRole", name=installation.cluster_name),
            subjects=(account,),
        ),
        Role(metadata=role, rules=lease_rules(lease_owner(installation))),
        RoleBinding(
            metadata=role,
            role_ref=RoleRef(api_group=_RBAC_GROUP, kind="Role", name=installation.cluster_name),
            subjects=(account,),
        ),
    )


def cluster_rules() -> tuple[PolicyRule, ...]:
    """Follow every kind, write the statuses of some, and before that read those to which others write, too."""
    watched = [kind.resource for kind in WATCHED]
    with_status = [resource for resource in watched if resource.model in KINDS_WITH_STATUS]
    shared = [resource for resource in with_status if resource.model is not HTTPLocalRateLimitPolicy]
    return (
        *_rules(watched, ("list", "watch")),
        *_rules(shared, ("get",)),
        *_rules(with_status, ("patch",), subresource="/status"),
    )


def lease_rules(owner: str) -> tuple[PolicyRule, ...]:
    """Hold the Lease that says who writes, and read the Deployment that owns it.

    A name can be demanded of `create`, too, because a Lease is created by applying it.
    """
    return (
        PolicyRule(
            api_groups=("coordination.k8s.io",),
            resources=("leases",),
            resource_names=(LEASE_NAME,),
            verbs=("create", "get", "patch"),
        ),
        PolicyRule(api_groups=("apps",), resources=("deployments",), resource_names=(owner,), verbs=("get",)),
    )


def lease_owner(installation: Installation) -> str:
    """The Deployment that owns the Lease: it has to be in the Lease's namespace."""
    return NAME if installation.namespace == installation.control_plane_namespace else LINKERD_DEPLOYMENT


def _rules(
    resources: Iterable[ResourceType[Resource]], verbs: tuple[str, ...], *, subresource: str = ""
) -> list[PolicyRule]:
    """One rule for each API group."""
    by_group = defaultdict[str, list[str]](list)
    for resource in resources:
        by_group[resource.group].append(resource.plural + subresource)
    return [
        PolicyRule(api_groups=(group,), resources=tuple(sorted(names)), verbs=verbs)
        for group, names in sorted(by_group.items())
    ]
