"""Kubernetes' own kinds: Pods and Services, as far as policy reads them."""

from __future__ import annotations

import msgspec

from controller.k8s.meta import Resource


class HttpGet(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    port: int | str
    path: str | None = None


class Probe(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    http_get: HttpGet | None = None


class ContainerPort(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    container_port: int
    name: str | None = None
    protocol: str | None = None


class Container(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    ports: tuple[ContainerPort, ...] | None = None
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None


class PodSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] | None = None


class Pod(Resource, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: PodSpec | None = None


class ServicePort(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    port: int
    app_protocol: str | None = None


class ServiceSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    cluster_ip: str | None = msgspec.field(name="clusterIP", default=None)
    cluster_ips: tuple[str, ...] | None = msgspec.field(name="clusterIPs", default=None)
    type: str | None = None
    ports: tuple[ServicePort, ...] | None = None


class Service(Resource, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: ServiceSpec | None = None
