"""The configuration of the kind cluster says only what kind understands."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

CONFIG = Path(__file__).parents[2] / "kind-config.yaml"


class Node(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A node, of kind's configuration API v1alpha4."""

    role: Literal["control-plane", "worker"] = "control-plane"
    image: str = ""
    labels: dict[str, str] = {}
    kubeadm_config_patches: list[str] = []


class Cluster(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A cluster; kind refuses a file with any other field, as this does."""

    kind: Literal["Cluster"]
    api_version: Literal["kind.x-k8s.io/v1alpha4"]
    name: str = "kind"
    nodes: list[Node] = []
    feature_gates: dict[str, bool] = {}
    runtime_config: dict[str, str] = {}
    kubeadm_config_patches: list[str] = []
    containerd_config_patches: list[str] = []


def test_kind_understands_it() -> None:
    """One control plane; nodes enough for two replicas that must not share one."""
    cluster = msgspec.yaml.decode(CONFIG.read_bytes(), type=Cluster)

    assert cluster.name == "trellis"
    assert [node.role for node in cluster.nodes] == ["control-plane", "worker", "worker"]
