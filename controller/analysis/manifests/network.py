"""How proxies, API servers and Prometheus reach the controller."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict

from controller.admission.rules import RULES
from controller.analysis.manifests.installation import (
    ADMIN_PORT_NAME,
    GRPC_PORT,
    GRPC_PORT_NAME,
    WEBHOOK_PORT_NAME,
    WEBHOOK_SERVICE,
    CertificateInSecret,
    Installation,
    OwnCertificate,
    WebhookChoice,
)
from controller.analysis.manifests.objects import (
    LabelSelector,
    LabelSelectorRequirement,
    Metadata,
    PodMetricsEndpoint,
    PodMonitor,
    PodMonitorSpec,
    Secret,
    Service,
    ServicePort,
    ServiceSpec,
    ValidatingWebhook,
    ValidatingWebhookConfiguration,
    WebhookClientConfig,
    WebhookRule,
    WebhookService,
)
from controller.analysis.manifests.workload import TLS_SECRET
from controller.k8s.custom_resource import CustomResource

# Namespaces with this label are left alone; Linkerd's control plane carries it.
EXEMPTION, EXEMPT = "config.linkerd.io/admission-webhooks", "disabled"


def policy_service(installation: Installation) -> Service:
    """Headless, so that a client sees every replica: it opens one connection and keeps it."""
    return Service(
        metadata=installation.metadata(),
        spec=ServiceSpec(
            cluster_ip="None",
            selector=installation.selector_labels,
            ports=(ServicePort(name="grpc", port=GRPC_PORT, target_port=GRPC_PORT_NAME),),
        ),
    )


def webhook_service(installation: Installation) -> Service:
    """With an address of its own: API servers do not resolve names."""
    return Service(
        metadata=installation.metadata(WEBHOOK_SERVICE),
        spec=ServiceSpec(
            selector=installation.selector_labels,
            ports=(ServicePort(name="https", port=443, target_port=WEBHOOK_PORT_NAME),),
        ),
    )


def certificate_secret(installation: Installation, certificate: OwnCertificate) -> Secret:
    return Secret(
        metadata=installation.metadata(TLS_SECRET),
        type="kubernetes.io/tls",
        data={"tls.crt": _base64(certificate.certificate), "tls.key": _base64(certificate.key)},
    )


def webhook_configuration(installation: Installation, webhook: WebhookChoice) -> ValidatingWebhookConfiguration:
    annotations = dict[str, str]()
    ca = webhook.certificate.ca
    if isinstance(webhook.certificate, CertificateInSecret) and webhook.certificate.inject_ca_from is not None:
        annotations["cert-manager.io/inject-ca-from"] = webhook.certificate.inject_ca_from
    return ValidatingWebhookConfiguration(
        metadata=Metadata(name=installation.cluster_name, labels=installation.labels, annotations=annotations),
        webhooks=(
            ValidatingWebhook(
                name=f"{WEBHOOK_SERVICE}.{installation.namespace}.svc",  # has to look like a host's name
                client_config=WebhookClientConfig(
                    ca_bundle=None if ca is None else _base64(ca),
                    service=WebhookService(namespace=installation.namespace, name=WEBHOOK_SERVICE, path="/"),
                ),
                rules=webhook_rules(),
                namespace_selector=LabelSelector(
                    match_expressions=(LabelSelectorRequirement(key=EXEMPTION, operator="NotIn", values=(EXEMPT,)),)
                ),
                failure_policy=webhook.failure_policy,
                side_effects="None",
                admission_review_versions=("v1",),
                timeout_seconds=10,
            ),
        ),
    )


def webhook_rules() -> tuple[WebhookRule, ...]:
    """Every kind that the webhook has rules for, in every version. Statuses are not its business."""
    by_group = defaultdict[str, list[str]](list)
    for model in RULES:
        assert issubclass(model, CustomResource)
        by_group[model.definition.group].append(model.definition.plural)
    return tuple(
        WebhookRule(
            api_groups=(group,),
            api_versions=("*",),
            resources=tuple(sorted(names)),
            operations=("CREATE", "UPDATE"),
        )
        for group, names in sorted(by_group.items())
    )


def pod_monitor(installation: Installation) -> PodMonitor:
    return PodMonitor(
        metadata=installation.metadata(),
        spec=PodMonitorSpec(
            selector=installation.selector,
            pod_metrics_endpoints=(PodMetricsEndpoint(port=ADMIN_PORT_NAME, path="/metrics", interval="15s"),),
        ),
    )


def _base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")
