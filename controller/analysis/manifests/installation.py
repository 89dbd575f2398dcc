"""What can be chosen about an installation, and the names that follow from it."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from controller.analysis.manifests.objects import Labels, LabelSelector, Metadata

NAME = "trellis"
# Ports of the pod and their names are those of Linkerd's chart: its PodMonitor and its users look for them.
GRPC_PORT, ADMIN_PORT, WEBHOOK_PORT = 8090, 9990, 9443
GRPC_PORT_NAME, ADMIN_PORT_NAME, WEBHOOK_PORT_NAME = "policy-grpc", "policy-admin", "policy-https"

# What the certificate of the webhook has to be for.
WEBHOOK_SERVICE = f"{NAME}-webhook"


@attrs.frozen(kw_only=True)
class OwnCertificate:
    """A certificate that is part of the manifests: PEM, with the certificate of who signed it."""

    certificate: bytes
    key: bytes = attrs.field(repr=False)
    ca: bytes


@attrs.frozen(kw_only=True)
class CertificateInSecret:
    """A certificate that somebody else puts into a Secret of the type `kubernetes.io/tls`."""

    secret: str
    ca: bytes | None = None
    inject_ca_from: str | None = None  # namespace/name of a Certificate of cert-manager, which then fills in the CA


WebhookCertificate: TypeAlias = "OwnCertificate | CertificateInSecret"
FailurePolicy: TypeAlias = Literal["Fail", "Ignore"]


@attrs.frozen(kw_only=True)
class WebhookChoice:
    """The admission webhook."""

    certificate: WebhookCertificate
    failure_policy: FailurePolicy


@attrs.frozen(kw_only=True)
class Installation:
    """One Trellis in a cluster."""

    image: str
    version: str  # of Trellis, for a label
    namespace: str = NAME
    control_plane_namespace: str = "linkerd"  # where the Lease is, and whose name is part of the mesh's identities
    replicas: int = 1
    spread: Literal["preferred", "required"] = "preferred"  # whether replicas may share a node
    memory: str = "256Mi"
    ipv6: bool = False
    arguments: tuple[str, ...] = ()  # to add to those of `trellis run`
    webhook: WebhookChoice | None = None
    with_crds: bool = True
    with_gateway_api: bool = False
    with_namespace: bool = True
    with_pod_monitor: bool = False

    @property
    def selector_labels(self) -> Labels:
        """By which our pods are known; must never change."""
        return {"app.kubernetes.io/name": NAME, "app.kubernetes.io/instance": self.namespace}

    @property
    def selector(self) -> LabelSelector:
        return LabelSelector(match_labels=self.selector_labels)

    @property
    def labels(self) -> Labels:
        return {**self.selector_labels, "app.kubernetes.io/version": self.version}

    @property
    def cluster_name(self) -> str:
        """The name of objects outside the namespace: two installations must not share them."""
        return f"{NAME}-{self.namespace}"

    def metadata(self, name: str = NAME) -> Metadata:
        return Metadata(name=name, namespace=self.namespace, labels=self.labels)

    def cluster_metadata(self) -> Metadata:
        return Metadata(name=self.cluster_name, labels=self.labels)
