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
from socket import socket
from typing import Any, TypeAlias

import attrs
import trio
from prometheus_client import CollectorRegistry

from controller.admission.advice import Advice
from controller.admission.server import WebhookServer
from controller.admission.webhook import AdmissionMetrics, Webhook
from controller.app_config import ClusterAccess, RunConfig, WebhookConfig
from controller.grpc.health import Health
from controller.grpc.inbound import SERVICE as INBOUND_SERVICE
from controller.grpc.inbound import InboundServerPolicies
from controller.grpc.metrics import GrpcMetrics
from controller.grpc.outbound import SERVICE as OUTBOUND_SERVICE
from controller.grpc.outbound import OutboundPoliciesService
from controller.grpc.outbound_to_proto import OutboundDialect
from controller.grpc.reflection import reflection
from controller.grpc.transport.collector import ServerCollector
from controller.grpc.transport.server import GrpcServer
from controller.index.inbound import KINDS as INBOUND_KINDS
from controller.index.inbound import InboundIndex
from controller.index.outbound.index import OutboundIndex
from controller.index.outbound.world import OUTBOUND_KINDS
from controller.index.status.index import KINDS as STATUS_KINDS
from controller.index.status.index import StatusIndex
from controller.indexer.actor import Batch, Follower, Indexer
from controller.indexer.audit import Audit
from controller.indexer.knowledge import Destinations, Knowledge, Policies
from controller.indexer.metrics import AuditCollector, InboundCollector, IndexerCollector, OutboundCollector
from controller.indexer.publications import Publications
from controller.k8s.kinds import WATCHED, WatchedKind
from controller.k8s.meta import Resource
from controller.runtime import memory
from controller.runtime.access import Wanted, find_endpoint
from controller.runtime.admin import Admin, bind_admin, serve_admin
from controller.runtime.api import KubeApi
from controller.runtime.certs import CertificateFiles
from controller.runtime.client import KubeClient, Limits
from controller.runtime.client_metrics import ClientMetrics
from controller.runtime.clock import Clock, system_clock
from controller.runtime.debug_pages import freshness_page, loop_page, quarantine_page, staleness_check, tasks_page
from controller.runtime.discovery import Discovery
from controller.runtime.endpoint import Endpoint, Impersonation
from controller.runtime.freshness import WatchRecord
from controller.runtime.lease_metrics import LeaseMetrics
from controller.runtime.list_watch import watch_kind
from controller.runtime.listen import bind
from controller.runtime.log import get_logger
from controller.runtime.loop_metrics import LoopCollector
from controller.runtime.metrics import new_registry
from controller.runtime.quarantine import Quarantine
from controller.runtime.shutdown import Shutdown, graceful
from controller.runtime.watch_metrics import WatchMetrics
from controller.runtime.watchdog import Watchdog, watching
from controller.runtime.workqueue_metrics import WorkQueueMetrics
from controller.status.leadership import Leadership
from controller.status.metrics import StatusMetrics
from controller.status.objects import StatusObjects
from controller.status.writer import StatusWriter

_log = get_logger(__name__)
Followers: TypeAlias = "tuple[tuple[frozenset[type[Resource]], Follower], ...]"

# Batches that wait for the index actor. Watches that are ahead of it wait too, and so does the API server.
BACKLOG = 64
# The share of the grace period after which calls that still run are cut off, so that what encloses them ends in peace.
DRAINED_OF_GRACE = 0.8


async def run(config: RunConfig) -> None:
    """Run the controller until a signal ends it, or a part without which it is of no use."""
    memory.begin()
    admin = Admin(new_registry(), open_diagnostics=config.open_diagnostics)
    admin_socket = bind_admin(config.admin_address)
    grpc_socket = bind(config.grpc_address, name="policy")
    webhook_socket = None if config.webhook is None else bind(config.webhook.address, name="webhook")
    endpoint = find_endpoint(_wanted(config.access), environment=os.environ, home=Path.home(), now=time.monotonic)
    _log.info("starting", api_server=endpoint.server)
    with watching() as watchdog:
        async with trio.open_nursery() as outermost:
            outermost.start_soon(serve_admin, admin, admin_socket)
            on_leaving = partial(admin.readiness.set, False)  # the argument is all it has
            async with graceful(
                grace=config.grace_period, delay=config.shutdown_delay, on_leaving=on_leaving
            ) as shutdown:
                controller = Controller.assemble(config, admin, watchdog, endpoint)
                await controller.serve(shutdown, grpc_socket, webhook_socket)
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
    lease_client: KubeClient  # the Lease must not wait for anything else that we ask
    clock: Clock
    knowledge: Knowledge
    quarantine: Quarantine
    discovery: Discovery
    records: tuple[tuple[WatchedKind, WatchRecord], ...]
    indexer: Indexer
    audits: tuple[Audit, ...]
    leadership: Leadership
    health: Health
    server: GrpcServer
    webhook: WebhookServer | None

    @classmethod
    def assemble(cls, config: RunConfig, admin: Admin, watchdog: Watchdog, endpoint: Endpoint) -> Controller:
        clock, registry = system_clock(), admin.registry
        limits = Limits(headers=config.access.response_headers_timeout)
        requests = ClientMetrics.register(registry, endpoint.server)
        client, lease_client = (KubeClient(endpoint, clock=clock, metrics=requests, limits=limits) for _ in range(2))
        records = tuple((kind, WatchRecord(kind.resource, clock)) for kind in WATCHED)
        watches = WatchMetrics(registry)
        for _, record in records:
            watches.follow(record)
        knowledge = Knowledge.of((kind.resource for kind in WATCHED), clock.monotonic)
        inbound, outbound = InboundIndex(config.cluster), OutboundIndex(config.cluster)
        publications = {"inbound": Publications[Any, Any](inbound), "outbound": Publications[Any, Any](outbound)}
        writer = _status_writer(config, KubeApi(client, random.random), clock, registry)
        followers: Followers = (
            (INBOUND_KINDS, publications["inbound"]),
            (OUTBOUND_KINDS, publications["outbound"]),
            (STATUS_KINDS, writer),
        )
        indexer = Indexer(followers, knowledge.listed)
        audits = {"inbound": Audit(inbound, indexer.wait_event), "outbound": Audit(outbound, indexer.wait_event)}
        health = Health((INBOUND_SERVICE, OUTBOUND_SERVICE))
        calls = GrpcMetrics((INBOUND_SERVICE, OUTBOUND_SERVICE))
        services = (
            InboundServerPolicies(
                Policies(publications["inbound"], knowledge), config.cluster.cluster_networks
            ).offered(),
            OutboundPoliciesService.create(
                Destinations(publications["outbound"], knowledge, outbound.resolve), _dialect(config)
            ).offered(),
            health.offered(),
        )
        names = [service.name for service in services]
        server = GrpcServer((*services, *reflection(names)), draw=random.random, limits=config.grpc_limits, hooks=calls)
        for collector in (
            LoopCollector(watchdog),
            InboundCollector(inbound.statistics),
            OutboundCollector(outbound.statistics),
            AuditCollector(lambda: {api: audit.statistics() for api, audit in audits.items()}),
            IndexerCollector(indexer.statistics, lambda: {api: p.statistics() for api, p in publications.items()}),
            calls,
            ServerCollector(server.statistics),
        ):
            registry.register(collector)
        admin.add_page("loop", loop_page(watchdog))
        admin.add_page("statuses", lambda _: writer.statistics())
        return cls(
            config=config,
            admin=admin,
            client=client,
            lease_client=lease_client,
            clock=clock,
            knowledge=knowledge,
            quarantine=Quarantine(clock),
            discovery=Discovery(client, random.random),
            records=records,
            indexer=indexer,
            audits=tuple(audits.values()),
            leadership=_leadership(config, KubeApi(lease_client, random.random), clock, writer, admin),
            health=health,
            server=server,
            webhook=None if config.webhook is None else _webhook(config.webhook, registry, inbound, knowledge),
        )

    async def serve(self, shutdown: Shutdown, grpc_socket: socket, webhook_socket: socket | None) -> None:
        """Follow the cluster, answer proxies, write statuses and judge manifests until told to stop."""
        self._show()
        self.admin.readiness.set(True)
        send, receive = trio.open_memory_channel[Batch](BACKLOG)
        async with self.client, self.lease_client, trio.open_nursery() as feeders:
            await feeders.start(partial(shutdown.run_required, "index actor", self.indexer.run, receive))
            async with send:
                for kind, record in self.records:
                    feeders.start_soon(self._follow, kind, record, send.clone())
            feeders.start_soon(self._settle)
            for audit in self.audits:
                feeders.start_soon(audit.run)
            async with trio.open_nursery() as servers:
                servers.start_soon(
                    shutdown.run_required,
                    "leadership",
                    self.leadership.run,
                    self.knowledge.wait_complete,
                    shutdown.wait_stopping,
                )
                await servers.start(partial(shutdown.run_required, "policy server", self.server.serve, (grpc_socket,)))
                _log.info("serving policy", address=str(self.config.grpc_address))
                if self.webhook is not None and webhook_socket is not None:
                    await self._start_webhook(self.webhook, webhook_socket, servers, shutdown)
                await shutdown.wait_stopping()
                self.health.set_serving(False)
                await self.server.drain(deadline=trio.current_time() + DRAINED_OF_GRACE * self.config.grace_period)
            feeders.cancel_scope.cancel()

    async def _start_webhook(
        self, webhook: WebhookServer, sock: socket, servers: trio.Nursery, shutdown: Shutdown
    ) -> None:
        serve = partial(webhook.serve, sock, wait_stopping=shutdown.wait_stopping, grace=self.config.grace_period)
        address = await servers.start(partial(shutdown.run_required, "webhook", serve))
        _log.info("serving the admission webhook", address=str(address))

    def _show(self) -> None:
        """Tell the admin server about the parts."""
        records = [record for _, record in self.records]
        for record in records:
            self.admin.diagnostics.add_watch(record)
        self.admin.add_page("freshness", freshness_page(records))
        self.admin.add_page("tasks", tasks_page)
        self.admin.add_page("quarantine", quarantine_page(self.quarantine))
        self.admin.add_page("index", lambda _: self.indexer.statistics())
        self.admin.add_page("lease", lambda _: self.leadership.statistics())
        self.admin.readiness.add("sync", self.knowledge.missing)
        self.admin.readiness.add("freshness", staleness_check(records, limit=self.config.max_staleness))

    async def _follow(self, kind: WatchedKind, record: WatchRecord, events: trio.MemorySendChannel[Batch]) -> None:
        await watch_kind(
            self.client,
            kind.resource,
            events=events,
            record=record,
            quarantine=self.quarantine,
            clock=self.clock,
            jitter=random.random,
            presence=self.discovery,
            optional=kind.optional,
        )

    async def _settle(self) -> None:
        await self.knowledge.wait_complete()
        self.health.set_serving(True)
        memory.settle()
        _log.info("every kind has been listed")


def _dialect(config: RunConfig) -> OutboundDialect:
    return OutboundDialect(config.cluster.cluster_domain, config.cluster.allow_l5d_request_headers)


def _status_writer(config: RunConfig, api: KubeApi, clock: Clock, registry: CollectorRegistry) -> StatusWriter:
    metrics = StatusMetrics.register(registry)
    types = {kind.resource.model: kind.resource for kind in WATCHED}
    return StatusWriter(
        StatusIndex(config.cluster),
        StatusObjects(api, types, metrics, clock, config.patch_timeout),
        metrics,
        clock,
        random.random,
        WorkQueueMetrics.register(registry, "statuses"),
    )


def _webhook(
    config: WebhookConfig, registry: CollectorRegistry, inbound: InboundIndex, knowledge: Knowledge
) -> WebhookServer:
    webhook = Webhook(AdmissionMetrics.register(registry), Advice(inbound, lambda: knowledge.ready))
    return WebhookServer(webhook, CertificateFiles(config.tls_key, config.tls_certs), registry)


def _leadership(config: RunConfig, api: KubeApi, clock: Clock, writer: StatusWriter, admin: Admin) -> Leadership:
    return Leadership(
        api,
        writer,
        clock,
        random.random,
        config.cluster.control_plane_namespace,
        config.policy_deployment_name,
        config.hostname,
        LeaseMetrics.register(admin.registry),
        admin.diagnostics.add_lease,
    )
