"""Several versions in one CRD."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from controller.k8s.custom_resource import CustomResource, JsonObject, SchemaError, custom_resource, merge_crds


class Spec(msgspec.Struct):
    text: str


def crd(version: str, **options: Any) -> JsonObject:
    @custom_resource(**({"group": "example.dev", "version": version} | options))
    class Thing(CustomResource, frozen=True, kw_only=True):
        spec: Spec

    return Thing.crd()


def test_the_stored_version_comes_first_and_the_others_by_priority() -> None:  # runtime X8
    """Exactly one version is stored, and names are those of its CRD."""
    merged: Any = merge_crds(
        [crd("v1alpha1"), crd("v2", short_names=("no",)), crd("v1", short_names=("th",)), crd("v1beta1")], stored="v1"
    )

    assert [(version["name"], version["storage"]) for version in merged["spec"]["versions"]] == [
        ("v1", True),
        ("v2", False),
        ("v1beta1", False),
        ("v1alpha1", False),
    ]
    assert merged["spec"]["names"]["shortNames"] == ["th"]
    assert merged["metadata"] == {"name": "things.example.dev"}


def test_merging_leaves_its_input_alone() -> None:
    """The parts can be used again."""
    one = crd("v1")

    merge_crds([one, crd("v2")], stored="v2")

    assert one == crd("v1")


@pytest.mark.parametrize(
    ("crds", "text"),
    [
        ([], "no version v1 to store among \\[\\]"),
        ([crd("v2")], "no version v1 to store among \\['v2'\\]"),
        ([crd("v1"), crd("v2", group="other.dev")], "group is example.dev here and other.dev there"),
        ([crd("v1"), crd("v2", kind="Other")], "kind is Thing here and Other there"),
        ([crd("v1"), crd("v2", namespaced=False)], "scope is Namespaced here and Cluster there"),
        ([{"spec": {"versions": []}}], "one has 0 versions"),
        ([{"spec": {"versions": [{}, {}]}}], "one has 2 versions"),
        ([{"spec": {"versions": 3}}], "one has 0 versions"),
        ([{}], "one has 0 versions"),
        ([crd("v1"), {"spec": {"group": "example.dev", "names": 3, "versions": [{"name": "v2"}]}}], "kind is Thing"),
    ],
)
def test_what_cannot_be_merged_is_said(crds: list[JsonObject], text: str) -> None:  # runtime X8
    """Nothing to store, versions of different kinds, and CRDs that hold several already are errors."""
    with pytest.raises(SchemaError, match=f"merging CRDs: {text}"):
        merge_crds(crds, stored="v1")
