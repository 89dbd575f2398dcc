"""One shape for all workloads that look alike."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeAlias
from weakref import WeakValueDictionary

import attrs

from controller.index.inbound.workloads import Workload
from controller.index.parse.workloads import (
    DEFAULT_POLICY,
    OPAQUE_PORTS,
    REQUIRE_IDENTITY,
    WorkloadShape,
    parse_external_workload_shape,
    parse_pod_shape,
    parse_settings,
)
from controller.k8s.builtin import Pod
from controller.k8s.workload import ExternalWorkload

_Settings: TypeAlias = tuple[str | None, str | None, str | None]

_NO_SETTINGS: _Settings = (None, None, None)


@attrs.define(eq=False)
class Shapes:
    """Finds the shape of a workload by what was written, without reading it again.

    A Deployment's pods are written alike, and a pod's status changes all the time while its spec stays. So the wire
    form is the key: comparing it costs a fraction of reading it. A shape lives as long as a workload that has it.
    """

    _shapes: WeakValueDictionary[Hashable, WorkloadShape] = attrs.field(
        factory=WeakValueDictionary[Hashable, WorkloadShape], init=False
    )

    def __len__(self) -> int:
        return len(self._shapes)

    def pod(self, pod: Pod) -> Workload:
        """What the index keeps of a pod."""
        settings = _settings(pod.metadata.annotations)
        key = (pod.spec, settings)
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = parse_pod_shape(pod.spec, parse_settings(*settings))
        return Workload(pod.labels, shape)

    def external_workload(self, workload: ExternalWorkload) -> Workload:
        """What the index keeps of an ExternalWorkload."""
        settings = _settings(workload.metadata.annotations)
        key = (workload.spec.ports, settings)
        shape = self._shapes.get(key)
        if shape is None:
            shape = parse_external_workload_shape(workload.spec.ports, parse_settings(*settings))
            self._shapes[key] = shape
        return Workload(workload.labels, shape)


def _settings(annotations: Mapping[str, str] | None) -> _Settings:
    if not annotations:
        return _NO_SETTINGS
    get = annotations.get
    return get(DEFAULT_POLICY), get(OPAQUE_PORTS), get(REQUIRE_IDENTITY)
