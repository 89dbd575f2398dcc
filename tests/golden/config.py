"""The settings that recorded command lines mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from controller.core.cluster import ClusterConfig
from controller.index.parse.cidr import parse_nets
from controller.index.parse.defaults import parse_default_policy
from controller.index.parse.ports import parse_port_set

_PARSERS: dict[str, Callable[[str], object]] = {
    "cluster-networks": parse_nets,
    "probe-networks": parse_nets,
    "default-policy": parse_default_policy,
    "default-opaque-ports": parse_port_set,
}


def config_of(arguments: Sequence[str]) -> ClusterConfig:
    """The settings that the controller's flags mean."""
    values: dict[str, Any] = {}
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        values[name.replace("-", "_")] = _PARSERS.get(name, str)(text) if equals else True
    return ClusterConfig(**values)
