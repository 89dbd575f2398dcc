"""From a class to a CustomResourceDefinition."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml

from controller.k8s.custom_resource import Column, CustomResource, Scale, SchemaError, custom_resource
from controller.k8s.meta import ObjectMeta
from controller.k8s.resource import ResourceType
from tests.unit.k8s.custom_resource.samples import Limit, LimitSpec, LimitStatus, Note, NoteSpec, Window


class Spec(msgspec.Struct):
    text: str
    count: int = 0


class Status(msgspec.Struct):
    count: int = 0


class Inner(msgspec.Struct):
    a: int


class Outer(msgspec.Struct):
    some: tuple[Inner, ...]
    named: dict[str, Inner]
    plain: str


def define(**options: Any) -> type[CustomResource]:
    """A kind with these options, and a status."""

    @custom_resource(**({"group": "example.dev", "version": "v1"} | options))
    class Thing(CustomResource, frozen=True, kw_only=True):
        spec: Spec
        status: Status | None = None

    return Thing


def test_the_least_that_can_be_said_gives_the_least_crd() -> None:  # runtime X1, X4
    """Collections that nobody filled are left out, and names follow from the class."""
    assert Note.crd() == {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "notes.example.dev"},
        "spec": {
            "group": "example.dev",
            "scope": "Namespaced",
            "names": {"kind": "Note", "listKind": "NoteList", "plural": "notes", "singular": "note"},
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "required": ["spec"],
                            "properties": {
                                "spec": {
                                    "type": "object",
                                    "required": ["text"],
                                    "properties": {"text": {"type": "string"}},
                                }
                            },
                        }
                    },
                }
            ],
        },
    }


def test_every_option_shows_in_the_crd() -> None:  # runtime X1
    """Names, columns, subresources, selectable fields, deprecation, rules, labels and annotations."""
    crd: Any = Limit.crd()

    assert crd["metadata"] == {
        "name": "limits.policy.example.dev",
        "annotations": {"made-by": "example"},
        "labels": {"part-of": "example"},
    }
    assert crd["spec"]["names"] == {
        "kind": "Limit",
        "listKind": "LimitList",
        "plural": "limits",
        "singular": "limit",
        "shortNames": ["lim"],
        "categories": ["policy"],
    }
    (version,) = crd["spec"]["versions"]
    schema = version.pop("schema")["openAPIV3Schema"]
    assert version == {
        "name": "v1",
        "served": False,
        "storage": True,
        "deprecated": True,
        "deprecationWarning": "use something else",
        "additionalPrinterColumns": [
            {
                "name": "Most",
                "type": "integer",
                "format": "int32",
                "description": "As many.",
                "priority": 1,
                "jsonPath": ".spec.most",
            },
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
        "selectableFields": [{"jsonPath": ".spec.owner"}],
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
    }
    assert schema == {
        "description": "How often somebody may ask.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": {
                "description": "What is limited.",
                "type": "object",
                "required": ["least", "most"],
                "properties": {
                    "least": {"type": "integer", "format": "int64"},
                    "most": {
                        "description": "As many as this.",
                        "type": "integer",
                        "format": "int64",
                        "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "cannot be changed"}],
                    },
                    "replicas": {"type": "integer", "format": "int64", "default": 1},
                    "windows": {
                        "type": "array",
                        "items": {
                            "description": "A span of time.",
                            "type": "object",
                            "required": ["name"],
                            "properties": {
                                "name": {"type": "string"},
                                "seconds": {
                                    "type": "integer",
                                    "format": "int64",
                                    "default": 60,
                                    "minimum": 1,
                                    "maximum": 3600,
                                },
                            },
                        },
                        "maxItems": 8,
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                    },
                    "owner": {"type": "string", "minLength": 1, "pattern": "^[a-z]+$"},
                    "comment": {"type": "string"},
                },
                "x-kubernetes-validations": [
                    {"rule": "self.least <= self.most", "message": "least is above most"}
                ],
            },
            "status": {
                "type": "object",
                "properties": {
                    "replicas": {"type": "integer", "format": "int64"},
                    "ready": {"type": "boolean", "default": False},
                },
            },
        },
    }  # fmt: skip


def test_the_class_is_the_place_in_the_api_too() -> None:
    """The runtime gets path, version and decoder from the class."""
    assert Limit.crd_name() == "limits.policy.example.dev"
    assert Limit.resource_type() == ResourceType(Limit, "policy.example.dev", "v1", "limits", "Limit")
    assert define(namespaced=False).resource_type().namespaced is False


def test_the_class_is_the_model_too() -> None:  # runtime X9
    """What the class names is decoded, also by its wire name; the rest, checks included, is not its affair."""
    raw = b"""{"apiVersion": "x", "metadata": {"name": "a", "namespace": "b", "unknown": 1},
               "spec": {"least": 5, "most": 4, "comment": 7, "windows": [{"name": "w", "seconds": 99999}]},
               "status": {"replicas": 2}}"""

    limit = Limit.resource_type().decode(raw)

    assert limit.key == ("b", "a")
    assert limit.spec == LimitSpec(least=5, most=4, windows=(Window("w", 99999),))
    assert limit.status == LimitStatus(replicas=2)


def test_a_schema_can_be_edited_without_harm() -> None:
    """Each call makes a new one."""
    Limit.schema().clear()

    assert Limit.schema()


def test_a_status_can_be_written_with_the_rest() -> None:
    """A status field is a subresource unless the class says no."""
    with_rest: Any = define(status=False).crd()
    apart: Any = define().crd()

    assert "subresources" not in with_rest["spec"]["versions"][0]
    assert apart["spec"]["versions"][0]["subresources"] == {"status": {}}


def test_unknown_fields_can_be_kept_everywhere() -> None:
    """Every object of the schema keeps what it does not name, whatever it lies in."""

    @custom_resource(group="example.dev", version="v1", preserve_unknown=True)
    class Kept(CustomResource, frozen=True, kw_only=True):
        spec: Outer

    inner = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "integer", "format": "int64"}},
        "x-kubernetes-preserve-unknown-fields": True,
    }
    assert Kept.schema() == {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": {
                "type": "object",
                "required": ["some", "named", "plain"],
                "properties": {
                    "some": {"type": "array", "items": inner},
                    "named": {"type": "object", "additionalProperties": inner},
                    "plain": {"type": "string"},
                },
                "x-kubernetes-preserve-unknown-fields": True,
            }
        },
        "x-kubernetes-preserve-unknown-fields": True,
    }


def test_a_deprecation_needs_no_text() -> None:
    """Kubernetes has a warning of its own."""
    crd: Any = define(deprecated=True).crd()

    assert crd["spec"]["versions"][0]["deprecated"] is True
    assert "deprecationWarning" not in crd["spec"]["versions"][0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"group": "example"}, "group 'example' has no dot"),
        ({"group": "Example.dev"}, "group 'Example.dev' is not a DNS subdomain"),
        ({"group": "a" * 254 + ".dev"}, "is not a DNS subdomain"),
        ({"group": "a." + ".".join(["a" * 60] * 5)}, "is not a DNS subdomain"),
        ({"version": "1"}, "version '1' is not like v1"),
        ({"version": "v0"}, "version 'v0' is not like v1"),
        ({"version": "v1gamma1"}, "version 'v1gamma1' is not like v1"),
        ({"kind": "thing"}, "kind 'thing' is not in CamelCase"),
        ({"plural": "Things"}, "plural 'Things' is not a DNS label"),
        ({"singular": "a_thing"}, "singular 'a_thing' is not a DNS label"),
        ({"short_names": ("T",)}, "short name 'T' is not a DNS label"),
        ({"categories": ("a.b",)}, "category 'a.b' is not a DNS label"),
    ],
)
def test_names_are_checked_where_they_are_given(options: dict[str, Any], text: str) -> None:  # runtime X3
    """A name that Kubernetes would refuse fails when the class is made, and the error says which and why."""
    with pytest.raises(SchemaError, match=text):
        define(**options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"scale": Scale(spec=".spec.count", status=".status.count"), "status": False}, "scale needs a status"),
        ({"scale": Scale(spec=".count", status=".status.count")}, "scale path '.count' does not begin with '.spec.'"),
        ({"scale": Scale(spec=".spec.count", status=".spec.count")}, "does not begin with '.status.'"),
        (
            {"scale": Scale(spec=".spec.count", status=".status.count", selector=".selector")},
            "scale path '.selector' does not begin with '.status.'",
        ),
        ({"selectable": (".spec.text",) * 9}, "9 selectable fields: at most 8"),
        ({"selectable": (".spec.nothing",)}, "selectable field .spec.nothing: not a string, integer or boolean"),
        ({"selectable": (".spec.text.more",)}, "selectable field .spec.text.more: not a"),
        ({"selectable": (".spec",)}, "selectable field .spec: not a string"),
    ],
)
def test_paths_must_lead_somewhere(options: dict[str, Any], text: str) -> None:  # runtime X7
    """Scale and selectable fields are checked against the schema when the CRD is made."""
    with pytest.raises(SchemaError, match=text):
        define(**options).crd()


def test_a_selector_of_the_scale_may_lie_in_the_spec() -> None:
    """Both subtrees will do."""
    crd: Any = define(scale=Scale(spec=".spec.count", status=".status.count", selector=".spec.text")).crd()

    assert crd["spec"]["versions"][0]["subresources"]["scale"]["labelSelectorPath"] == ".spec.text"


def test_a_column_must_have_a_path() -> None:
    """JSON paths begin with a dot."""
    with pytest.raises(SchemaError, match=r"column path 'spec.text' does not begin with '\.'"):
        define(columns=(Column("Text", "spec.text"),)).crd()


def test_a_scale_without_selector_says_none() -> None:
    """The selector is optional."""
    crd: Any = define(scale=Scale(spec=".spec.count", status=".status.count")).crd()

    assert crd["spec"]["versions"][0]["subresources"]["scale"] == {
        "specReplicasPath": ".spec.count",
        "statusReplicasPath": ".status.count",
    }


def test_yaml_is_the_same_every_time() -> None:  # runtime X10
    """Keys stay in their order, nothing is abbreviated, and the text reads back as it was."""
    text = Limit.crd_yaml()

    assert text == Limit.crd_yaml()
    assert text.startswith("---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n")
    assert "&" not in text
    assert yaml.safe_load(text) == Limit.crd()


def test_a_spec_can_be_nothing_but_its_schema() -> None:
    """The type checker sees the class as it stands: it can be built by hand."""
    assert Note(metadata=ObjectMeta(name="a"), spec=NoteSpec("b")).spec.text == "b"
