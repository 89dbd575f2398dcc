"""One namespace of an inbound index."""

from __future__ import annotations

import attrs

from controller.core.cluster import ClusterConfig, DefaultPolicy
from controller.core.inbound import WorkloadKind
from controller.index.inbound.authentications import Authentications, PolicyEntry
from controller.index.inbound.cells import Cell, Group, ServerEntry
from controller.index.inbound.changes import Changes
from controller.index.inbound.default_cells import DefaultCells
from controller.index.inbound.parts import Parts, route_target
from controller.index.inbound.policies import Policies
from controller.index.inbound.statistics import NamespaceCounts
from controller.index.inbound.survey import ProbeSurvey
from controller.index.inbound.workloads import Workloads
from controller.index.parse.authorizations import AuthorizationPolicyForm, RouteTarget, ServerAuthorizationForm
from controller.index.parse.inbound_routes import RouteForm
from controller.index.parse.rate_limits import RateLimitForm
from controller.index.parse.servers import ServerForm
from controller.k8s.meta import ObjectKey


@attrs.define(eq=False)
class Namespace:
    """The workloads of a namespace and what holds for them. Nothing in it depends on another namespace but grants.

    Each `put_` sets a resource or, with `None`, removes it; answers follow when things are settled.
    """

    _name: str
    _cluster: ClusterConfig
    _authentications: Authentications
    _defaults: DefaultCells

    pods: Workloads = attrs.field(init=False)
    external_workloads: Workloads = attrs.field(init=False)
    parts: Parts = attrs.field(init=False)
    _policies: Policies = attrs.field(init=False)
    _servers: dict[str, ServerEntry] = attrs.field(factory=dict[str, ServerEntry], init=False)

    def __attrs_post_init__(self) -> None:
        self.pods = Workloads(self._cell_of)
        self.external_workloads = Workloads(self._cell_of)
        self.parts = Parts(self._servers, self._authentications)
        self._policies = Policies(self._cluster, self.parts, self._servers)

    def workloads(self, kind: WorkloadKind) -> Workloads:
        return self.pods if kind is WorkloadKind.POD else self.external_workloads

    def put_server(self, name: str, form: ServerForm | None) -> None:
        entry = self._servers.get(name)
        if entry is None:
            if form is not None:
                entry = self._servers[name] = ServerEntry(form)
                self.workloads(form.selects).add_server(entry)
        elif form is None:
            del self._servers[name]
            self.workloads(entry.form.selects).remove_server(entry)
        elif entry.form != form:
            self._alter_server(entry, form)

    def _alter_server(self, entry: ServerEntry, form: ServerForm) -> None:
        if entry.form.claims_like(form):
            entry.form = form
        else:
            self.workloads(entry.form.selects).remove_server(entry)
            entry.form = form
            self.workloads(form.selects).add_server(entry)
        self._policies.touch((form.name,))

    def put_server_authorization(self, name: str, form: ServerAuthorizationForm | None) -> None:
        self._policies.touch(self.parts.put_server_authorization(name, form))

    def put_authorization_policy(self, name: str, form: AuthorizationPolicyForm | None) -> None:
        key = ObjectKey(self._name, name)
        self._policies.touch(self.parts.put_authorization_policy(key, form))

    def put_rate_limit(self, name: str, form: RateLimitForm | None) -> None:
        self._policies.touch(self.parts.put_rate_limit(name, form))

    def put_route(self, target: RouteTarget, form: RouteForm | None) -> None:
        self._policies.touch(self.parts.put_route(target, form))

    def touch_policy(self, policy: PolicyEntry) -> None:
        """Note that a policy of this namespace lets in others now."""
        self._policies.touch(self.parts.targeted(policy.form))

    def survey_probes(self, server: str) -> ProbeSurvey | None:
        """What a route for the Server would put an end to; `None` if there is no such Server."""
        entry = self._servers.get(server)
        if entry is None:
            return None
        paths = self.workloads(entry.form.selects).probes_of(entry.form) if self._cluster.probe_networks else ()
        routes = [route_target(route.ref) for route in self.parts.http_routes_of(server)]
        anybody = (DefaultPolicy.ALL_UNAUTHENTICATED, DefaultPolicy.AUDIT)
        return ProbeSurvey(tuple(sorted(paths)), frozenset(routes), entry.form.access in anybody)

    def settle(self, changes: Changes) -> None:
        """Bring all watched answers up to date."""
        self._policies.settle(changes)
        self.pods.settle(changes)
        self.external_workloads.settle(changes)

    def rebuilt(self) -> Namespace:
        """A namespace that has been told of the same resources, and of nothing before."""
        fresh = Namespace(self._name, self._cluster, self._authentications.copy(), DefaultCells(self._cluster))
        for name, server in self._servers.items():
            fresh.put_server(name, server.form)
        for name, grant in self.parts.server_authorizations.items():
            fresh.put_server_authorization(name, grant)
        for name, policy in self.parts.authorization_policies.items():
            fresh.put_authorization_policy(name, policy.form)
        for name, limit in self.parts.rate_limits.items():
            fresh.put_rate_limit(name, limit)
        for route, form in self.parts.routes.items():
            fresh.put_route(route, form)
        for kind in WorkloadKind:
            for name, workload in self.workloads(kind).members():
                fresh.workloads(kind).put(name, workload)
        fresh.settle(Changes())
        return fresh

    def _cell_of(self, group: Group, number: int) -> Cell:
        probes = group.shape.probes.get(number, ()) if self._cluster.probe_networks else ()
        server = group.claims.get(number)
        if server is not None:
            return self._policies.cell_of(server, probes)
        return self._defaults.cell_of(group.shape.settings, number, probes)

    @property
    def empty(self) -> bool:
        parts = self.parts
        return not (
            len(self.pods)
            or len(self.external_workloads)
            or self._servers
            or parts.server_authorizations
            or parts.authorization_policies
            or parts.rate_limits
            or parts.routes
        )

    def counts(self) -> NamespaceCounts:
        grpc = sum(target.kind == "grpcroute" for target in self.parts.routes)
        return NamespaceCounts(
            pods=len(self.pods),
            external_workloads=len(self.external_workloads),
            servers=len(self._servers),
            server_authorizations=len(self.parts.server_authorizations),
            authorization_policies=len(self.parts.authorization_policies),
            http_routes=len(self.parts.routes) - grpc,
            grpc_routes=grpc,
            rate_limits=len(self.parts.rate_limits),
        )
