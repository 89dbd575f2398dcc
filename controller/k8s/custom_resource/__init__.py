"""Kinds of one's own: a class gives the model, the place in the API and the CustomResourceDefinition."""

from controller.k8s.custom_resource.decorator import CustomResource, custom_resource, to_yaml
from controller.k8s.custom_resource.definition import AGE, Column, Definition, Scale
from controller.k8s.custom_resource.merge import merge_crds
from controller.k8s.custom_resource.node import Json, JsonObject, SchemaError
from controller.k8s.custom_resource.schema import schema_of
from controller.k8s.custom_resource.structural import check_structural

__all__ = [
    "AGE",
    "Column",
    "CustomResource",
    "Definition",
    "Json",
    "JsonObject",
    "Scale",
    "SchemaError",
    "check_structural",
    "custom_resource",
    "merge_crds",
    "schema_of",
    "to_yaml",
]
