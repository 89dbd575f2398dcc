"""The composition root: the only module that knows all parts.

Theory of operation
===================

Nesting is the shutdown order. Outermost the admin server, which answers while the rest drains; in it the scope that a
signal ends; in that the feeders (one task for each watched kind, the index actor); innermost the policy server, so that
answers stay fresh until the last stream has ended.
"""

from __future__ import annotations

import os
import random
import time
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio

from controller.app_config import ClusterAccess, RunConfig
from controller.grpc.gen.linkerd import inbound_pb2
from controller.grpc.inbound import SERVICE as INBOUND_SERVICE
from controller.grpc.inbound import InboundServerPolicies
from controller.grpc.metrics import GrpcMetrics
from controller.grpc.transport.server import GrpcServer
from controller.grpc.transport.services import Published, Service, Unary
from controller.index.inbound import KINDS as INBOUND_KINDS
from controller.index.inbound import InboundIndex
from controller.indexer.actor import Batch, Indexer
from controller.indexer.knowledge import Knowledge, Policies
from controller.indexer.metrics import InboundCollector, IndexerCollector
from controller.indexer.publications import Publications
from controller.k8s.kinds import WATCHED, WatchedKind
from controller.runtime import memory
from controller.runtime.access import Wanted, find_endpoint
from controller.runtime.admin import Admin, bind_admin, serve_admin
from controller.runtime.client import KubeClient, Limits
from controller.runtime.client_metrics import ClientMetrics
from controller.runtime.clock import Clock, system_clock
from controller.runtime.debug_pages import freshness_page, loop_page, staleness_check, tasks_page
from controller.runtime.endpoint import Endpoint, Impersonation
from controller.runtime.freshness import WatchRecord
from controller.runtime.list_watch import watch_kind
from controller.runtime.listen import bind
from controller.runtime.log import get_logger
from controller.runtime.loop_metrics import LoopCollector
from controller.runtime.metrics import new_registry
from controller.runtime.quarantine import Quarantine
from controller.runtime.shutdown import Shutdown, graceful
from controller.runtime.watchdog import Watchdog, watching

_log = get_logger(__name__)

# Batches that wait for the index actor. Watches that are ahead of it wait too, and so does the API server.
BACKLOG = 64


async def run(config: RunConfig) -> None:
    """Run the controller until a signal ends it, or a part without which it is of no use."""
    memory.begin()
    admin = Admin(new_registry(), open_diagnostics=config.open_diagnostics)
    admin_socket = bind_admin(config.admin_address)
    grpc_socket = bind(config.grpc_address, name="policy")
    endpoint = find_endpoint(_wanted(config.access), environment=os.environ, home=Path.home(), now=time.monotonic)
    with watching() as watchdog:
        async with trio.open_nursery() as outermost:
            outermost.start_soon(serve_admin, admin, admin_socket)
            on_leaving = partial(admin.readiness.set, False)  # the argument is all it has
            async with graceful(
                grace=config.grace_period, delay=config.shutdown_delay, on_leaving=on_leaving
            ) as shutdown:
                controller = Controller.assemble(config, admin, watchdog, endpoint)
                await controller.serve(shutdown, grpc_socket)
            outermost.cancel_scope.cancel()


def _wanted(access: ClusterAccess) -> Wanted:
    return Wanted(
        kubeconfig=access.kubeconfig,
        context=access.context,
        cluster=access.cluster,
        user=access.user,
        impersonation=Impersonation(user=access.as_user, groups=access.as_groups) if access.as_user else None,
    )


@attrs.frozen(eq=False)
class Controller:
    """The parts between the API server and the proxies, put together and not started yet."""

    config: RunConfig
    admin: Admin
    client: KubeClient
    clock: Clock
    knowledge: Knowledge
    quarantine: Quarantine
    records: tuple[tuple[WatchedKind, WatchRecord], ...]
    indexer: Indexer
    server: GrpcServer

    @classmethod
    def assemble(cls, config: RunConfig, admin: Admin, watchdog: Watchdog, endpoint: Endpoint) -> Controller:
        clock = system_clock()
        registry = admin.registry
        metrics = ClientMetrics.register(registry, endpoint.server)
        limits = Limits(headers=config.access.response_headers_timeout)
        knowledge = Knowledge.of(kind.resource for kind in WATCHED)
        inbound_index = InboundIndex(config.cluster)
        inbound = Publications[Any, Any](inbound_index)
        indexer = Indexer(((INBOUND_KINDS, inbound),), knowledge.listed)
        grpc_metrics = GrpcMetrics((INBOUND_SERVICE,))
        policies = InboundServerPolicies(Policies(inbound, knowledge), config.cluster.cluster_networks)
        registry.register(LoopCollector(watchdog))
        admin.add_page("loop", loop_page(watchdog))
        registry.register(InboundCollector(inbound_index.statistics))
        registry.register(IndexerCollector(indexer.statistics, lambda: {"inbound": inbound.statistics()}))
        registry.register(grpc_metrics)
        return cls(
            config=config,
            admin=admin,
            client=KubeClient(endpoint, clock=clock, metrics=metrics, limits=limits),
            clock=clock,
            knowledge=knowledge,
            quarantine=Quarantine(clock),
            records=tuple((kind, WatchRecord(kind.resource, clock)) for kind in WATCHED),
            indexer=indexer,
            server=GrpcServer(
                (inbound_service(policies),), draw=random.random, limits=config.grpc_limits, hooks=grpc_metrics
            ),
        )

    async def serve(self, shutdown: Shutdown, grpc_socket: Any) -> None:
        """Follow the cluster and answer proxies until told to stop."""
        records = [record for _, record in self.records]
        for record in records:
            self.admin.diagnostics.add_watch(record)
        self.admin.add_page("freshness", freshness_page(records))
        self.admin.add_page("tasks", tasks_page)
        self.admin.add_page("quarantine", lambda _: self.quarantine.statistics())
        self.admin.add_page("index", lambda _: self.indexer.statistics())
        self.admin.readiness.add("sync", self.knowledge.missing)
        self.admin.readiness.add("freshness", staleness_check(records, limit=self.config.max_staleness))
        self.admin.readiness.set(True)
        send, receive = trio.open_memory_channel[Batch](BACKLOG)
        async with self.client, trio.open_nursery() as feeders:
            await feeders.start(partial(shutdown.run_required, "index actor", self.indexer.run, receive))
            async with send:
                for kind, record in self.records:
                    feeders.start_soon(self._follow, kind, record, send.clone())
            feeders.start_soon(self._settle)
            async with trio.open_nursery() as servers:
                await servers.start(partial(shutdown.run_required, "policy server", self.server.serve, (grpc_socket,)))
                _log.info("serving policy", address=str(self.config.grpc_address))
                await shutdown.wait_stopping()
                await self.server.drain(deadline=trio.current_time() + self.config.grace_period)
            feeders.cancel_scope.cancel()

    async def _follow(self, kind: WatchedKind, record: WatchRecord, events: trio.MemorySendChannel[Batch]) -> None:
        await watch_kind(
            self.client,
            kind.resource,
            events=events,
            record=record,
            quarantine=self.quarantine,
            clock=self.clock,
            jitter=random.random,
            optional=kind.optional,
        )

    async def _settle(self) -> None:
        await self.knowledge.wait_complete()
        memory.settle()
        _log.info("every kind has been listed")


def inbound_service(policies: InboundServerPolicies) -> Service:
    """The methods of the inbound API, as the transport calls them."""
    return Service(
        INBOUND_SERVICE,
        unary={"GetPort": Unary(inbound_pb2.PortSpec, policies.get_port)},
        published={"WatchPort": Published(inbound_pb2.PortSpec, policies.watch_port)},
    )
