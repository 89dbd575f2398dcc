"""What is printed for what is chosen; a real API server judges it in tests/cluster/test_install.py."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import yaml

from controller.analysis.manifests.installation import (
    CertificateInSecret,
    Installation,
    OwnCertificate,
    WebhookChoice,
)
from controller.analysis.manifests.linkerd import linkerd_patch
from controller.analysis.manifests.render import manifests, manifests_yaml
from controller.analysis.manifests.rights import cluster_rules
from controller.analysis.manifests.workload import run_arguments
from controller.k8s.kinds import WATCHED

OWN = OwnCertificate(certificate=b"certificate", key=b"key", ca=b"ca")
PLAIN = Installation(
    image="trellis:1", version="1", webhook=WebhookChoice(certificate=OWN, failure_policy="Ignore"), with_crds=False
)


def printed(installation: Installation) -> dict[str, Any]:
    """The objects by kind; of two of a kind, the last."""
    return {document["kind"]: document for document in manifests(installation)}


def pod(installation: Installation) -> Any:
    return printed(installation)["Deployment"]["spec"]["template"]["spec"]


def test_it_is_the_same_every_time() -> None:
    """Output that is committed changes when something has changed."""
    installation = attrs.evolve(PLAIN, with_crds=True, with_gateway_api=True, with_pod_monitor=True)

    text = manifests_yaml(installation)

    assert text == manifests_yaml(attrs.evolve(installation))
    assert list(yaml.safe_load_all(text)) == list(manifests(installation))
    assert "&id" not in text


def test_what_others_live_in_comes_first() -> None:
    """A namespace before what is in it, definitions and certificate before the pods, and the webhook after them."""
    kinds = [document["kind"] for document in manifests(attrs.evolve(PLAIN, with_crds=True))]
    order = ["Namespace", "CustomResourceDefinition", "ServiceAccount", "Secret", "Deployment"]

    assert [kinds.index(kind) for kind in order] == sorted(kinds.index(kind) for kind in order)
    assert kinds[-1] == "ValidatingWebhookConfiguration"
    assert "Namespace" not in printed(attrs.evolve(PLAIN, with_namespace=False))


def test_everything_of_an_installation_is_labelled_and_its_own() -> None:
    """Two installations share no object; all objects but definitions say which one they are of."""
    other = attrs.evolve(PLAIN, namespace="second")

    def names(installation: Installation) -> set[tuple[str, str, str]]:
        metadata = [(each["kind"], each["metadata"]) for each in manifests(installation)]
        assert {each["labels"]["app.kubernetes.io/instance"] for _, each in metadata} == {installation.namespace}
        return {(kind, each.get("namespace", ""), each["name"]) for kind, each in metadata}

    shared = names(PLAIN) & names(other)
    assert shared == set()


def test_services_and_budget_select_the_pods() -> None:
    """And the Deployment's own selector is free of what changes with a version."""
    objects = printed(PLAIN)
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    selectors = [each["spec"]["selector"] for each in manifests(PLAIN) if each["kind"] == "Service"]
    selectors += [objects[kind]["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")]

    assert len(selectors) == 4
    for selector in selectors:
        assert selector.items() <= labels
        assert "app.kubernetes.io/version" not in selector


def test_replicas_may_have_to_stand_apart() -> None:
    """Then one has to leave before another can come, and otherwise the other way round."""
    apart = attrs.evolve(PLAIN, spread="required", replicas=3)

    term = {"labelSelector": {"matchLabels": dict(PLAIN.selector_labels)}, "topologyKey": "kubernetes.io/hostname"}
    assert pod(apart)["affinity"] == {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    assert "affinity" not in pod(PLAIN)
    rolling = [printed(each)["Deployment"]["spec"]["strategy"]["rollingUpdate"] for each in (apart, PLAIN)]
    assert rolling == [{"maxSurge": 1, "maxUnavailable": 1}, {"maxSurge": 1, "maxUnavailable": 0}]


def test_a_pod_has_time_to_drain() -> None:
    """Kubernetes does not kill before the controller has given up by itself."""
    arguments = dict(each.split("=", 1) for each in run_arguments(PLAIN)[1:])

    grace, delay = (int(arguments[name].rstrip("s")) for name in ("--shutdown-grace-period", "--shutdown-delay"))
    assert delay < grace < pod(PLAIN)["terminationGracePeriodSeconds"]


@pytest.mark.parametrize(
    ("certificate", "secret", "authority"),
    [
        (OWN, "trellis-webhook-tls", ("Y2E=", None)),
        (CertificateInSecret(secret="theirs", ca=b"ca"), "theirs", ("Y2E=", None)),
        (CertificateInSecret(secret="theirs", inject_ca_from="a/b"), "theirs", (None, "a/b")),
    ],
)
def test_the_certificate_comes_from_where_it_is_said(
    certificate: OwnCertificate | CertificateInSecret, secret: str, authority: tuple[str | None, str | None]
) -> None:
    """Only one of our own is printed; who signed it is known or filled in by cert-manager."""
    webhook = WebhookChoice(certificate=certificate, failure_policy="Fail")
    objects = printed(attrs.evolve(PLAIN, webhook=webhook))

    assert pod(attrs.evolve(PLAIN, webhook=webhook))["volumes"] == [{"name": "tls", "secret": {"secretName": secret}}]
    assert ("Secret" in objects) == (certificate is OWN)
    configuration = objects["ValidatingWebhookConfiguration"]
    [only] = configuration["webhooks"]
    annotations = configuration["metadata"].get("annotations", {})
    assert (only["clientConfig"].get("caBundle"), annotations.get("cert-manager.io/inject-ca-from")) == authority
    assert only["failurePolicy"] == "Fail"


def test_without_a_webhook_there_is_nothing_of_it() -> None:
    """No configuration, no Secret, no port, no mount, and the controller is told."""
    installation = attrs.evolve(PLAIN, webhook=None)

    assert not {"ValidatingWebhookConfiguration", "Secret"} & printed(installation).keys()
    assert "tls" not in str(pod(installation))
    assert run_arguments(installation)[-1] == "--admission-controller-disabled"


def test_ones_own_arguments_take_the_place_of_ours() -> None:
    """An argument that is given is not passed twice."""
    installation = attrs.evolve(PLAIN, arguments=("--cluster-networks=10.0.0.0/8", "--log-level=debug"))

    arguments = run_arguments(installation)

    assert arguments[-2:] == installation.arguments
    assert sum(argument.startswith("--cluster-networks=") for argument in arguments) == 1


def test_the_lease_is_owned_by_who_is_there() -> None:
    """Its owner has to be in its namespace: Linkerd's Deployment there, ours where everything is in one."""
    alone = attrs.evolve(PLAIN, control_plane_namespace="trellis")

    assert "--policy-deployment-name=trellis" in run_arguments(alone)
    assert not any("--policy-deployment-name" in argument for argument in run_arguments(PLAIN))
    assert [printed(each)["Role"]["rules"][1]["resourceNames"] for each in (alone, PLAIN)] == [
        ["trellis"],
        ["linkerd-destination"],
    ]
    assert printed(PLAIN)["Role"]["metadata"]["namespace"] == "linkerd"


def test_every_kind_may_be_followed() -> None:
    """A kind that the controller comes to follow is in its rights at once."""
    allowed = {
        (group, resource)
        for rule in cluster_rules()
        if set(rule.verbs) == {"list", "watch"}
        for group in rule.api_groups
        for resource in rule.resources
    }

    assert allowed == {(kind.resource.group, kind.resource.plural) for kind in WATCHED}


def test_the_patch_for_linkerd() -> None:
    """A program for the policy container, and no word about anything else."""
    patch = linkerd_patch(namespace="mesh", image="trellis:1")

    assert patch["metadata"] == {"name": "linkerd-destination", "namespace": "mesh"}
    assert patch["spec"] == {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "policy",
                        "image": "trellis:1",
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["/linkerd-policy-controller"],
                    }
                ]
            }
        }
    }
