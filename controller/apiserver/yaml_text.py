"""YAML as Kubernetes reads it: the JSON types, the booleans of YAML 1.1, and dates as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import yaml

from controller.apiserver.shapes import is_list, is_object

_BOOL = "tag:yaml.org,2002:bool"
_FLOAT = "tag:yaml.org,2002:float"
_DATE = "tag:yaml.org,2002:timestamp"
_WORDS = {"y": True, "yes": True, "on": True, "true": True, "n": False, "no": False, "off": False, "false": False}
_BOOLEAN = re.compile(r"^(?:y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$")


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C if there is one


class _Loader(_SafeLoader):  # type: ignore[misc]  # either loader
    yaml_implicit_resolvers: ClassVar[dict[str, Any]]


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_DATE, _BOOL)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_FLOAT, re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(_BOOL, _BOOLEAN, list("yYnNtTfFoO"))


def _read_boolean(loader: Any, node: Any) -> bool:
    return _WORDS[loader.construct_scalar(node).lower()]


_Loader.add_constructor(_BOOL, _read_boolean)


def load_yaml(text: bytes | str) -> Any:
    """The value of the only document in a text."""
    return _to_json(yaml.load(text, Loader=_Loader))  # it derives from the safe loader


def load_all_yaml(text: bytes | str) -> Iterator[Any]:
    """The value of each document in a text."""
    return map(_to_json, yaml.load_all(text, Loader=_Loader))


def _to_json(value: Any) -> Any:
    """Keys of JSON are strings, whatever they look like in YAML."""
    if is_object(value):
        return {_to_key(name): _to_json(inner) for name, inner in value.items()}
    if is_list(value):
        return [_to_json(item) for item in value]
    return value


def _to_key(name: Any) -> str:
    if isinstance(name, bool):
        return str(name).lower()
    return "null" if name is None else str(name)


def dump_yaml(value: Any) -> bytes:
    """A value as YAML, its keys in order."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(value, Dumper=dumper, default_flow_style=False, sort_keys=True, allow_unicode=True)
    return text.encode()
