"""What is legal and still surprising, as far as it takes knowledge of the cluster to see it.

A manifest is mostly written together with others, in whatever order: what is missing now may come next. So nothing is
said of what does not exist, only of what is there and goes another way than the manifest suggests.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs

from controller.admission.findings import Finding, warning
from controller.admission.review import Review
from controller.core.cluster import ClusterConfig
from controller.core.inbound import WorkloadKind
from controller.index.inbound.survey import ProbeSurvey, ServerSurvey
from controller.index.parse.authorizations import RouteTarget
from controller.index.parse.inbound_routes import is_server
from controller.index.parse.servers import ServerForm, parse_server
from controller.k8s import gateway
from controller.k8s.gateway import GatewayHTTPRoute, PolicyHTTPRoute
from controller.k8s.meta import Resource
from controller.k8s.policy import Server
from controller.k8s.references import GATEWAY_GROUP, POLICY_GROUP

_NEWEST = dt.datetime.max.replace(tzinfo=dt.UTC)
_ANY_CLUSTER = ClusterConfig()


class Surroundings(Protocol):
    """What is known of the cluster."""

    def survey_server(self, namespace: str, form: ServerForm, /) -> ServerSurvey: ...

    def survey_probes(self, namespace: str, server: str, /) -> ProbeSurvey | None: ...


@attrs.frozen(eq=False)
class Advice:
    """Says of a resource what its surroundings make surprising, once everything in the cluster is known."""

    surroundings: Surroundings
    known: Callable[[], bool]

    def __call__(self, resource: Resource, review: Review) -> Iterable[Finding]:
        advise = _ADVICE.get(type(resource))
        return () if advise is None or not self.known() else advise(self.surroundings, resource, review)


def _on_server(surroundings: Surroundings, server: Server, review: Review) -> Iterator[Finding]:
    form = parse_server(server, _ANY_CLUSTER)
    if form.created is None and review.operation == "CREATE":
        form = attrs.evolve(form, created=_NEWEST)  # it is about to get a time
    found = surroundings.survey_server(server.metadata.namespace, form)
    if found.workloads and not found.selected:
        yield warning(
            f"spec.{_SELECTORS[form.selects]}", f"selects none of {_count(found.workloads, form.selects)} here"
        )
        return
    if found.without_port and found.without_port == found.looked_at:
        yield warning(
            "spec.port", f"none of {_count(found.selected, form.selects)} selected has a port named {form.port!r}"
        )
    if found.held:
        yield warning("spec.port", _behind(found, form.selects))


def _behind(found: ServerSurvey, kind: WorkloadKind) -> str:
    """Which Servers come first, and on how many workloads."""
    sure = "" if found.looked_at == found.selected else "at least "
    holders = [
        f"{name!r} on {'all' if count == found.selected else sure + str(count)}"
        for name, count in sorted(found.held.items())
    ]
    return (
        f"of {_count(found.selected, kind)} selected, Server {_some(holders)} came first (older, or as old and first "
        "by name): this one has no effect there"
    )


_SELECTORS = {WorkloadKind.POD: "podSelector", WorkloadKind.EXTERNAL_WORKLOAD: "externalWorkloadSelector"}
_NOUNS = {WorkloadKind.POD: "meshed pod", WorkloadKind.EXTERNAL_WORKLOAD: "ExternalWorkload"}


def _count(number: int, kind: WorkloadKind) -> str:
    return f"{number} {_NOUNS[kind]}{'' if number == 1 else 's'}"


def _on_http_route(
    surroundings: Surroundings, route: PolicyHTTPRoute | GatewayHTTPRoute, _review: Review
) -> Iterator[Finding]:
    group = POLICY_GROUP if isinstance(route, PolicyHTTPRoute) else GATEWAY_GROUP
    itself = RouteTarget.of(group, "HTTPRoute", route.metadata.name)
    for i, ref in enumerate(route.spec.parent_refs or ()):
        if not is_server(ref):
            continue
        found = surroundings.survey_probes(route.metadata.namespace, ref.name)
        if found is None or not found.paths or found.routes - {itself} or (found.open and _takes_all(route)):
            continue
        yield warning(
            f"spec.parentRefs[{i}]",
            f"a Server with a route lets kubelets probe only as its routes allow. Have one match "
            f"{_some(found.paths)} and authorize the kubelets, or these probes of Server {ref.name!r} fail",
        )


def _takes_all(route: PolicyHTTPRoute | GatewayHTTPRoute) -> bool:
    """Whether some rule is for every request."""
    for rule in route.spec.rules or ():
        if not rule.matches or any(_matches_all(match) for match in rule.matches):
            return True
    return False


def _matches_all(match: gateway.HttpRouteMatch) -> bool:
    path = match.path
    everywhere = path is None or (path.type in (None, "PathPrefix") and path.value in (None, "/"))
    return everywhere and not match.headers and not match.query_params and match.method in (None, "GET")


def _some(texts: Sequence[str]) -> str:
    return ", ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")


_ADVICE: Mapping[type[Resource], Callable[[Surroundings, Any, Review], Iterable[Finding]]] = {
    Server: _on_server,
    PolicyHTTPRoute: _on_http_route,
    GatewayHTTPRoute: _on_http_route,
}
