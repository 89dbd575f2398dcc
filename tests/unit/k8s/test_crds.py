"""The definitions that `trellis crds` prints."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from controller.k8s.crds import GATEWAY_API, LINKERD, crds, crds_yaml
from controller.k8s.kinds import WATCHED

GOLDEN = Path(__file__).parents[2] / "golden/crds/all.yaml"


@cache
def text() -> str:
    return crds_yaml(gateway_api=True)


@cache
def everything() -> Any:
    return crds(gateway_api=True)


def test_the_definitions_are_those_on_file() -> None:  # runtime X1, X10
    """What changes shows in a review of the file; after a change wanted: `trellis crds --gateway-api > FILE`."""
    assert text() == GOLDEN.read_text(encoding="utf-8")


def test_stand_ins_come_last_and_on_request() -> None:
    """Without the word, only Linkerd's kinds."""
    alone, both = crds_yaml(), text()

    assert both.startswith(alone)
    assert alone.count("kind: CustomResourceDefinition") == len(LINKERD)
    assert [crd["metadata"]["name"] for crd in everything()[len(LINKERD) :]] == [
        "grpcroutes.gateway.networking.k8s.io",
        "httproutes.gateway.networking.k8s.io",
        "tcproutes.gateway.networking.k8s.io",
        "tlsroutes.gateway.networking.k8s.io",
    ]


@pytest.mark.parametrize(
    ("name", "versions", "short_names", "categories"),
    [  # status 4.1; a star for the stored version, a dagger for a deprecated one
        ("authorizationpolicies.policy.linkerd.io", "v1alpha1*", ["authzpolicy"], None),
        ("egressnetworks.policy.linkerd.io", "v1alpha1*", None, ["policy"]),
        ("httplocalratelimitpolicies.policy.linkerd.io", "v1alpha1*", None, None),
        ("httproutes.policy.linkerd.io", "v1beta3* v1beta2 v1beta1 v1alpha1", None, None),
        ("meshtlsauthentications.policy.linkerd.io", "v1alpha1*", ["meshtlsauthn"], None),
        ("networkauthentications.policy.linkerd.io", "v1alpha1*", ["netauthn", "networkauthn"], None),
        ("serverauthorizations.policy.linkerd.io", "v1beta1* v1alpha1†", ["saz", "serverauthz", "srvauthz"], None),
        ("servers.policy.linkerd.io", "v1beta3* v1beta2 v1beta1† v1alpha1†", ["srv"], None),
        ("externalworkloads.workload.linkerd.io", "v1beta1* v1alpha1", None, ["external"]),
        ("grpcroutes.gateway.networking.k8s.io", "v1*", None, ["gateway-api"]),
        ("httproutes.gateway.networking.k8s.io", "v1* v1beta1", None, ["gateway-api"]),
        ("tcproutes.gateway.networking.k8s.io", "v1alpha2*", None, ["gateway-api"]),
        ("tlsroutes.gateway.networking.k8s.io", "v1alpha2*† v1 v1alpha3†", None, ["gateway-api"]),
    ],
)
def test_each_kind_has_its_versions_and_names(
    name: str, versions: str, short_names: list[str] | None, categories: list[str] | None
) -> None:
    """All are served, and all belong to a namespace."""
    (crd,) = [crd for crd in everything() if crd["metadata"]["name"] == name]

    assert " ".join(map(_version, crd["spec"]["versions"])) == versions
    assert crd["spec"]["names"].get("shortNames") == short_names
    assert crd["spec"]["names"].get("categories") == categories
    assert crd["spec"]["scope"] == "Namespaced"
    assert all(version["served"] for version in crd["spec"]["versions"])


def _version(version: Any) -> str:
    return version["name"] + "*" * version["storage"] + "†" * bool(version.get("deprecated"))


def test_every_watched_kind_of_ours_is_defined() -> None:
    """The runtime watches a version that the definition serves."""
    served = {(crd["metadata"]["name"], version["name"]) for crd in everything() for version in crd["spec"]["versions"]}
    watched = {
        (f"{kind.resource.plural}.{kind.resource.group}", kind.resource.version)
        for kind in WATCHED
        if kind.resource.group
    }

    assert watched <= served
    assert len(watched) == len(LINKERD) + len(GATEWAY_API)
