"""A controller without sockets and watches: index, actor and service, told of objects as users write them."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from controller.core.cluster import ClusterConfig
from controller.core.inbound import InboundServer, PortTarget
from controller.core.network import IPNet
from controller.grpc.inbound import InboundServerPolicies
from controller.index.inbound import KINDS, InboundIndex
from controller.indexer.actor import Indexer
from controller.indexer.knowledge import Knowledge, Policies
from controller.indexer.publications import Publications
from controller.k8s.events import Applied, Deleted, Reset
from controller.k8s.kinds import WATCHED
from controller.k8s.meta import ObjectKey
from controller.k8s.resource import ResourceType
from tests.manifests import Manifest

TYPES = {(kind.resource.api_version, kind.resource.kind): kind.resource for kind in WATCHED}
CONFIG = ClusterConfig(probe_networks=(IPNet(IPv4Address(0), 0), IPNet(IPv6Address(0), 0)))


class PolicyCluster:
    """Objects, and a controller that is told of each change at once."""

    def __init__(self, config: ClusterConfig = CONFIG) -> None:
        publications = self._publications = Publications[PortTarget, InboundServer](InboundIndex(config))
        knowledge = Knowledge.of(TYPES.values(), lambda: 0.0)
        self.service = InboundServerPolicies(Policies(publications, knowledge), config.cluster_networks)
        self.indexer = Indexer(((KINDS, publications),), knowledge.listed)

    @property
    def subscriptions(self) -> int:
        return self._publications.statistics().subscriptions

    def sync(self) -> None:
        """Complete the first, empty list of every kind."""
        self.indexer.apply([Reset(kind.resource.model, ()) for kind in WATCHED])

    def apply(self, *manifests: Manifest) -> None:
        for manifest in manifests:
            self.indexer.apply([Applied(self._type(manifest).decode(json.dumps(manifest).encode()))])

    def delete(self, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        key = ObjectKey(metadata["namespace"], metadata["name"])
        self.indexer.apply([Deleted(self._type(manifest).model, key)])

    @staticmethod
    def _type(manifest: Manifest) -> ResourceType[Any]:
        return TYPES[manifest["apiVersion"], manifest["kind"]]
