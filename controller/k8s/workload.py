"""ExternalWorkloads: workloads of the mesh that are not pods."""

from __future__ import annotations

from typing import Literal

import msgspec

from controller.k8s.meta import Resource
from controller.k8s.policy import Port


class ExternalWorkloadTls(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    identity: str
    server_name: str


class ExternalWorkloadPort(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    port: Port
    name: str | None = None
    protocol: str | None = None


class ExternalWorkloadSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    mesh_tls: ExternalWorkloadTls = msgspec.field(name="meshTLS")
    ports: tuple[ExternalWorkloadPort, ...] | None = None


class ExternalWorkloadCondition(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    type: str
    status: Literal["True", "False", "Unknown"]


class ExternalWorkloadStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    conditions: tuple[ExternalWorkloadCondition, ...]


class ExternalWorkload(Resource, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: ExternalWorkloadSpec
    status: ExternalWorkloadStatus | None = None
