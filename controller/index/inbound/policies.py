"""The policies of the Servers of one namespace, and the cells of the ports that they govern.

A policy is put together when somebody asks for it, and again only when one of its parts has changed, whoever uses it.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from controller.core.answer import Answer
from controller.core.cluster import ClusterConfig
from controller.core.inbound import InboundServer, ServerRef
from controller.index.inbound.cells import Cell, Probes, ServerEntry
from controller.index.inbound.changes import Changes
from controller.index.inbound.defaults import DEFAULT_GRPC_ROUTES, default_authorizations, default_http_routes
from controller.index.inbound.parts import Parts
from controller.index.parse.servers import ServerForm

# Cells that nobody watches are kept up to this many for each Server: a unary question finds its answer, encoded.
_SPARE_CELLS = 64


@attrs.define(eq=False)
class Policies:
    """What holds on the ports that each Server claims."""

    _cluster: ClusterConfig
    _parts: Parts
    _servers: dict[str, ServerEntry]
    # Servers whose policy was put together before one of its parts changed.
    _touched: dict[ServerEntry, None] = attrs.field(factory=dict[ServerEntry, None], init=False)

    def touch(self, servers: Iterable[str]) -> None:
        """Note that policies may have changed. For those that nobody has asked for, nothing is to do."""
        for name in servers:
            entry = self._servers.get(name)
            if entry is not None and entry.policy is not None:
                entry.policy = None
                self._touched[entry] = None

    def settle(self, changes: Changes) -> None:
        """Bring the cells of the touched Servers up to date."""
        touched, self._touched = self._touched, {}
        for entry in touched:
            for probes, cell in [*entry.cells.items()]:
                if cell.ports:
                    changes.renew(cell, self._derive(entry, probes))
                else:
                    del entry.cells[probes]

    def cell_of(self, entry: ServerEntry, probes: Probes) -> Cell:
        """The cell of the ports that a Server governs and that are probed alike."""
        cell = entry.cells.get(probes)
        if cell is None:
            if len(entry.cells) >= _SPARE_CELLS:
                entry.cells = {probes: cell for probes, cell in entry.cells.items() if cell.ports}
            cell = entry.cells[probes] = Cell(Answer(self._derive(entry, probes)))
        return cell

    def _derive(self, entry: ServerEntry, probes: Probes) -> InboundServer:
        if entry.policy is None:
            entry.policy = self._policy_of(entry.form)
        if entry.policy.http_routes:
            return entry.policy  # a user's routes leave no room for the probe route
        return attrs.evolve(entry.policy, http_routes=default_http_routes(probes, self._cluster))

    def _policy_of(self, form: ServerForm) -> InboundServer:
        """The policy but for default HTTP routes, which depend on the port."""
        granted = () if form.access is None else default_authorizations(form.access, self._cluster)
        return InboundServer(
            reference=ServerRef(form.name),
            protocol=form.protocol,
            authorizations=(*granted, *self._parts.authorizations_of(form)),
            rate_limit=self._parts.rate_limit_of(form.name),
            http_routes=self._parts.http_routes_of(form.name),
            grpc_routes=self._parts.grpc_routes_of(form.name) or DEFAULT_GRPC_ROUTES,
        )
