"""A Kubernetes kind of one's own, made from one class.

    @custom_resource(group="policy.example.dev", version="v1", short_names=("lim",), columns=(AGE,))
    class Limit(CustomResource, frozen=True, kw_only=True):
        '''How often somebody may ask.'''

        spec: LimitSpec
        status: LimitStatus | None = None

The class is the model (what objects are decoded to), the place in the API (`resource_type()`), and the definition
(`crd()`). A class is one version; `merge_crds` puts several together.

Decoding ignores what the class does not name, so an encoded object may be less than what was read: change objects in
the API by patches, never by writing a decoded object back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, TypeVar

import yaml

from controller.k8s.custom_resource.definition import Column, Definition, Scale
from controller.k8s.custom_resource.markers import Marker
from controller.k8s.custom_resource.names import plural_of
from controller.k8s.custom_resource.node import JsonObject
from controller.k8s.custom_resource.schema import keep_unknown, schema_of
from controller.k8s.meta import Resource
from controller.k8s.resource import ResourceType


class CustomResource(Resource, frozen=True, gc=False, rename="camel", kw_only=True):
    """The base of classes that `custom_resource` decorates."""

    definition: ClassVar[Definition]
    object_markers: ClassVar[tuple[Marker, ...]] = ()

    @classmethod
    def resource_type(cls: type[C]) -> ResourceType[C]:
        """How the runtime lists, watches and decodes the kind."""
        about = cls.definition
        return ResourceType(cls, about.group, about.version, about.plural, about.kind, about.namespaced)

    @classmethod
    def schema(cls) -> JsonObject:
        """What the API server checks. Computed anew, so that a caller may change it."""
        whole = schema_of(cls, cls.definition.kind)
        # The API server checks `metadata` by rules of its own.
        properties = whole["properties"]
        assert isinstance(properties, dict)
        del properties["metadata"]
        required = whole["required"]
        assert isinstance(required, list)
        required.remove("metadata")
        if cls.definition.preserve_unknown:
            keep_unknown(whole)
        return {key: value for key, value in whole.items() if value}

    @classmethod
    def crd_name(cls) -> str:
        return cls.definition.crd_name

    @classmethod
    def crd(cls) -> JsonObject:
        """The CustomResourceDefinition with this version only."""
        return cls.definition.crd(cls.schema())

    @classmethod
    def crd_yaml(cls) -> str:
        return to_yaml(cls.crd())


C = TypeVar("C", bound=CustomResource)


def custom_resource(
    *,
    group: str,
    version: str,
    kind: str | None = None,
    singular: str | None = None,
    plural: str | None = None,
    namespaced: bool = True,
    short_names: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
    columns: tuple[Column, ...] = (),
    selectable: tuple[str, ...] = (),
    scale: Scale | None = None,
    status: bool | None = None,
    preserve_unknown: bool = False,
    served: bool = True,
    deprecated: str | bool = False,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Callable[[type[C]], type[C]]:
    """Make the class a version of a kind. Names that Kubernetes would refuse raise `SchemaError` here.

    The kind is called like the class, and its plural as English has it. A class with a field `status` gets the
    subresource; `status=False` keeps it writable with the rest.
    """

    def define(cls: type[C]) -> type[C]:
        name = kind or cls.__name__
        one = singular or name.lower()
        cls.definition = Definition(
            group=group,
            version=version,
            kind=name,
            singular=one,
            plural=plural or plural_of(one),
            list_kind=f"{name}List",
            namespaced=namespaced,
            short_names=short_names,
            categories=categories,
            columns=columns,
            selectable=selectable,
            scale=scale,
            has_status="status" in cls.__struct_fields__ if status is None else status,
            preserve_unknown=preserve_unknown,
            served=served,
            deprecated=deprecated,
            labels=labels or {},
            annotations=annotations or {},
        )
        return cls

    return define


class _Dumper(yaml.SafeDumper):
    """Without anchors: what is said twice stands there twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # PyYAML's signature
        return True


def to_yaml(*documents: JsonObject) -> str:
    """The documents in the order given, keys in their own order."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True, explicit_start=True)
