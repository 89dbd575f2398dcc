"""ExternalWorkloads: workloads of the mesh that are not pods."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, ClassVar

import msgspec

from controller.k8s.conditions import PolicyCondition
from controller.k8s.custom_resource import AGE, Column, CustomResource, custom_resource
from controller.k8s.custom_resource.markers import As, Default, MaxLen, MinLen, Optional, Unread
from controller.k8s.names import ConditionStatus, Port
from controller.k8s.references import WORKLOAD_GROUP

IdentityText = Annotated[str, MinLen(1), MaxLen(253)]

WORKLOAD_CATEGORIES = ("external",)


class ExternalWorkloadTls(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Who the workload is to its clients."""

    identity: IdentityText
    server_name: IdentityText


class ExternalWorkloadPort(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A port that the workload serves."""

    port: Port
    name: str | None = None
    protocol: Annotated[str | None, Default("TCP")] = None


class WorkloadIp(msgspec.Struct):
    """An address of the workload."""

    ip: str | None = None


class ExternalWorkloadSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    mesh_tls: ExternalWorkloadTls = msgspec.field(name="meshTLS")
    ports: tuple[ExternalWorkloadPort, ...] | None = None
    workload_ips: ClassVar[Annotated[tuple[WorkloadIp, ...] | None, Unread("workloadIPs"), MaxLen(2)]]


class ExternalWorkloadCondition(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    type: str
    status: ConditionStatus


class WorkloadCondition(PolicyCondition, rename="camel"):
    """One aspect of the workload's state."""

    last_probe_time: dt.datetime | None = None


class ExternalWorkloadStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    conditions: Annotated[tuple[ExternalWorkloadCondition, ...], As(tuple[WorkloadCondition, ...]), Optional()]


@custom_resource(
    group=WORKLOAD_GROUP,
    version="v1beta1",
    categories=WORKLOAD_CATEGORIES,
    columns=(Column("Identity", ".spec.meshTLS.identity"), AGE),
)
class ExternalWorkload(CustomResource, frozen=True, gc=False, rename="camel", kw_only=True):
    """A member of the mesh that runs outside of the cluster."""

    spec: ExternalWorkloadSpec
    status: ExternalWorkloadStatus | None = None
