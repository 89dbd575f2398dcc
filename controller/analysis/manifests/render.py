"""From choices to documents, and from documents to YAML that is the same every time."""

from __future__ import annotations

from collections.abc import Iterator

from controller.analysis.manifests.installation import Installation, OwnCertificate
from controller.analysis.manifests.network import (
    EXEMPT,
    EXEMPTION,
    certificate_secret,
    pod_monitor,
    policy_service,
    webhook_configuration,
    webhook_service,
)
from controller.analysis.manifests.objects import JsonObject, KubeObject, Metadata, Namespace
from controller.analysis.manifests.rights import rights
from controller.analysis.manifests.workload import deployment, disruption_budget
from controller.k8s.crds import crds
from controller.k8s.custom_resource import to_yaml


def manifests(installation: Installation) -> tuple[JsonObject, ...]:
    """Everything to apply, in an order in which it can be applied."""
    definitions = crds(gateway_api=installation.with_gateway_api) if installation.with_crds else ()
    first, *rest = (document.to_document() for document in _objects(installation))
    return (first, *definitions, *rest)


def manifests_yaml(installation: Installation) -> str:
    """All of it as one YAML stream, ready for `kubectl apply --server-side -f -`."""
    return to_yaml(*manifests(installation))


def _objects(installation: Installation) -> Iterator[KubeObject]:
    if installation.with_namespace:
        yield _namespace(installation)
    yield from rights(installation)
    yield policy_service(installation)
    webhook = installation.webhook
    if webhook is not None:
        if isinstance(webhook.certificate, OwnCertificate):
            yield certificate_secret(installation, webhook.certificate)
        yield webhook_service(installation)
    yield deployment(installation)
    yield disruption_budget(installation)
    if webhook is not None:
        # Last, so that nobody has to wait for a controller that is not there yet.
        yield webhook_configuration(installation, webhook)
    if installation.with_pod_monitor:
        yield pod_monitor(installation)


def _namespace(installation: Installation) -> Namespace:
    return Namespace(
        metadata=Metadata(
            name=installation.namespace,
            labels={
                **installation.labels,
                EXEMPTION: EXEMPT,
                "pod-security.kubernetes.io/enforce": "restricted",
            },
        )
    )
